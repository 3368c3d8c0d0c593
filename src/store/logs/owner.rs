//! The one thread that changes logs.
//!
//! Takes what waits, writes the parts ahead with one sync, puts them into the logs' buffers, answers, and writes full
//! blocks. What is in a buffer is durable already, so blocks are written without hurry and synced only when a write-ahead
//! file is to be removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, broadcast, mpsc, oneshot};

use super::growth::LogGrowth;
use super::handle::LogLimits;
use super::line::LogPart;
use super::log::{Context, FILE_PREFIX, Log, LogKey, file_names};
use super::shelf::Shelf;
use super::wal::{self, Record, Wal};
use crate::model::BuildId;
use crate::store::StoreError;
use crate::store::folder::{remove_all, sync_dir};
use crate::store::keeper::Keeper;
use crate::store::room::Room;

/// Text written ahead with one sync: more would delay the answers for little.
const BATCH_BYTES_MAX: usize = 4 << 20;

/// Parts written ahead with one sync.
const BATCH_PARTS_MAX: usize = 1024;

/// Text in the buffers of all logs together. Beyond it the largest buffers are written early, and if even that fails
/// (the disk is full) parts are refused.
const BUFFERED_BYTES_MAX: usize = 32 << 20;

pub(super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the thread is asked to do.
#[derive(Debug)]
pub(super) enum Order {
    Append(Append),
    Close(LogKey, Answer<u64>),
    RemoveLogs(BuildId, Answer<()>),
    RemoveBuild(BuildId, Answer<()>),
    ShutDown(Answer<()>),
}

/// A part to append.
#[derive(Debug)]
pub(super) struct Append {
    pub key: LogKey,
    pub source: String,
    pub n: u64,
    pub part: LogPart,
    pub answer: Answer<()>,
    /// Its place in the queue, given back when it is done.
    pub permit: OwnedSemaphorePermit,
}

/// The thread's own.
#[derive(Debug)]
pub(super) struct Owner {
    shelf: Arc<Shelf>,
    limits: LogLimits,
    room: Option<Room>,
    growth: broadcast::Sender<LogGrowth>,
    /// None in memory: nothing has to survive.
    wal: Option<Wal>,
    keeper: Keeper,
    /// Full write-ahead files whose lines are not all in the logs' files yet.
    old_wals: Vec<u64>,
    /// Builds with parts in the write-ahead file in use, and in the ones before it, which are about to go.
    wal_builds: [BTreeSet<BuildId>; 2],
    /// Logs with unwritten lines, and how many bytes.
    buffered: BTreeMap<LogKey, usize>,
    /// Files written since they were last synced.
    dirty: BTreeSet<PathBuf>,
}

impl Owner {
    /// Takes up what the last process left: parts written ahead come into their logs again.
    pub fn recover(
        shelf: Arc<Shelf>,
        limits: &LogLimits,
        room: Option<Room>,
        growth: broadcast::Sender<LogGrowth>,
    ) -> Result<Self, StoreError> {
        let is_durable = room.is_some();
        let mut owner = Self {
            shelf,
            limits: limits.clone(),
            room,
            growth,
            wal: None,
            keeper: Keeper::start()?,
            old_wals: Vec::new(),
            wal_builds: Default::default(),
            buffered: BTreeMap::new(),
            dirty: BTreeSet::new(),
        };
        if is_durable {
            owner.replay()?;
        }
        Ok(owner)
    }

    fn replay(&mut self) -> Result<(), StoreError> {
        let dir = self.shelf.folder.wal();
        let numbers = wal::numbers(&dir)?;
        self.shelf.set_live_wal(numbers.first().copied().unwrap_or(u64::MAX));
        for number in &numbers {
            wal::replay(&dir, *number, |record| self.take_up(record))?;
        }
        self.shelf.set_live_wal(u64::MAX);
        self.wal = Some(Wal::begin(&dir, numbers.last().copied().unwrap_or(0) + 1)?);
        self.old_wals = numbers;
        self.retire_wals();
        Ok(())
    }

    fn take_up(&mut self, record: Record) -> Result<(), StoreError> {
        match record {
            Record::Part { key, source, n, part } => {
                self.wal_builds[0].insert(key.build);
                self.push(key, &source, n, &part)?;
                self.write_full(key);
                self.relieve();
                Ok(())
            }
            Record::LogsRemoved(build) => self.unlink_logs(build),
            Record::BuildRemoved(build) => self.unlink_build(build),
        }
    }

    /// Works until it is shut down, or nobody can ask any more.
    pub fn run(mut self, mut queue: mpsc::Receiver<Order>) {
        let mut next = None;
        while let Some(order) = next.take().or_else(|| queue.blocking_recv()) {
            match order {
                Order::Append(first) => {
                    let batch;
                    (batch, next) = gather(first, &mut queue);
                    self.append(batch);
                }
                Order::Close(key, answer) => {
                    let _ = answer.send(self.close(key));
                }
                Order::RemoveLogs(build, answer) => {
                    let _ = answer.send(self.remove(build, Record::LogsRemoved(build), Self::unlink_logs));
                }
                Order::RemoveBuild(build, answer) => {
                    let _ = answer.send(self.remove(build, Record::BuildRemoved(build), Self::unlink_build));
                }
                Order::ShutDown(answer) => {
                    let _ = answer.send(self.shut_down());
                    return;
                }
            }
        }
    }

    fn append(&mut self, batch: Vec<Append>) {
        let mut fresh = Vec::new();
        for append in batch {
            match self.shelf.with(append.key, |log| Ok(log.has(&append.source, append.n))) {
                Ok(false) => fresh.push(append),
                Ok(true) => answer(append, Ok(())),
                Err(error) => answer(append, Err(error)),
            }
        }
        if fresh.is_empty() {
            return;
        }
        if let Err(error) = self.write_ahead(&fresh) {
            let error = self.room.as_ref().map_or(error.clone(), |room| room.explain(error));
            fresh.into_iter().for_each(|append| answer(append, Err(error.clone())));
            return;
        }
        let touched: BTreeSet<LogKey> = fresh.iter().map(|append| append.key).collect();
        for append in fresh {
            let pushed = self.push(append.key, &append.source, append.n, &append.part);
            answer(append, pushed);
        }
        for key in touched {
            self.tell(key);
            self.write_full(key);
        }
        self.relieve();
        if self.wal.as_ref().is_some_and(Wal::is_full) {
            self.rotate();
        }
    }

    fn write_ahead(&mut self, appends: &[Append]) -> Result<(), StoreError> {
        self.room.as_ref().map_or(Ok(()), Room::check)?;
        self.check_buffers()?;
        let Some(wal) = &mut self.wal else { return Ok(()) };
        let records: Vec<Record> = appends
            .iter()
            .map(|append| Record::Part {
                key: append.key,
                source: append.source.clone(),
                n: append.n,
                part: append.part.clone(),
            })
            .collect();
        wal.append(&records)?;
        self.wal_builds[0].extend(appends.iter().map(|append| append.key.build));
        Ok(())
    }

    /// Refuses parts while the buffers are full and cannot be written.
    fn check_buffers(&mut self) -> Result<(), StoreError> {
        while self.buffered.values().sum::<usize>() > BUFFERED_BYTES_MAX {
            self.write_largest()?;
        }
        Ok(())
    }

    fn push(&mut self, key: LogKey, source: &str, n: u64, part: &LogPart) -> Result<(), StoreError> {
        let buffered = self.shelf.with(key, |log| {
            log.push(source, n, part);
            Ok((!log.is_flushed()).then(|| log.buffered()))
        })?;
        match buffered {
            Some(bytes) => self.buffered.insert(key, bytes),
            None => self.buffered.remove(&key),
        };
        Ok(())
    }

    fn tell(&self, key: LogKey) {
        let grown = self.shelf.with(key, |log| Ok((log.lines(), log.is_closed())));
        if let Ok((lines, closed)) = grown {
            // Nobody may be listening.
            let _ = self.growth.send(LogGrowth { build: key.build, log: key.log, lines, closed });
        }
    }

    /// Writes what is full. Nothing is lost if that fails: the lines stay in the buffer and the write-ahead file.
    fn write_full(&mut self, key: LogKey) {
        if let Err(error) = self.change(key, Log::flush_full) {
            tracing::warn!(build = key.build.0, log = key.log.0, %error, "lines of a log stay in memory for now");
        }
    }

    /// Changes a log and notes what it wrote and what it still holds.
    fn change(
        &mut self,
        key: LogKey,
        work: impl FnOnce(&mut Log, &Context<'_>) -> Result<Vec<PathBuf>, StoreError>,
    ) -> Result<(), StoreError> {
        let shelf = Arc::clone(&self.shelf);
        let context =
            Context { handles: &shelf.handles, limits: &self.limits, wal: self.wal.as_ref().map_or(0, Wal::number) };
        let mut buffered = None;
        let written = shelf.with(key, |log| {
            let written = work(log, &context);
            buffered = (!log.is_flushed()).then(|| log.buffered());
            written
        });
        match buffered {
            Some(bytes) => self.buffered.insert(key, bytes),
            None => self.buffered.remove(&key),
        };
        self.dirty.extend(written?);
        Ok(())
    }

    /// Keeps the buffers of all logs together within their bound.
    fn relieve(&mut self) {
        while self.buffered.values().sum::<usize>() > BUFFERED_BYTES_MAX {
            if self.write_largest().is_err() {
                return;
            }
        }
    }

    fn write_largest(&mut self) -> Result<(), StoreError> {
        let largest = self.buffered.iter().max_by_key(|(_, bytes)| **bytes).map(|(key, _)| *key);
        largest.map_or(Ok(()), |key| self.change(key, Log::flush))
    }

    fn write_all(&mut self) -> Result<(), StoreError> {
        let keys: Vec<LogKey> = self.buffered.keys().copied().collect();
        keys.into_iter().try_for_each(|key| self.change(key, Log::flush))
    }

    fn close(&mut self, key: LogKey) -> Result<u64, StoreError> {
        self.change(key, Log::close)?;
        self.tell(key);
        self.shelf.with(key, |log| Ok(log.lines()))
    }

    /// Begins the next write-ahead file.
    fn rotate(&mut self) {
        let Some(full) = &self.wal else { return };
        match Wal::begin(&self.shelf.folder.wal(), full.number() + 1) {
            Ok(next) => {
                self.old_wals.push(full.number());
                self.wal_builds = [BTreeSet::new(), std::mem::take(&mut self.wal_builds[0])];
                self.wal = Some(next);
                self.retire_wals();
            }
            Err(error) => tracing::warn!(%error, "no new write-ahead file; the full one goes on"),
        }
    }

    /// Writes all buffers and has the files synced; then the old write-ahead files go. If lines cannot be written, they stay.
    fn retire_wals(&mut self) {
        if self.old_wals.is_empty() {
            return;
        }
        if let Err(error) = self.write_all() {
            tracing::warn!(%error, "lines of logs stay in memory and in the write-ahead file for now");
            return;
        }
        let dirty = std::mem::take(&mut self.dirty);
        let numbers = std::mem::take(&mut self.old_wals);
        let dir = self.shelf.folder.wal();
        self.keeper.push(move || {
            let retired =
                sync_files(&dirty).and_then(|()| numbers.iter().try_for_each(|number| wal::remove(&dir, *number)));
            if let Err(error) = retired {
                // Read again at the next opening, where every part is found to be there.
                tracing::warn!(%error, "a write-ahead file stays");
            }
        });
    }

    fn remove(
        &mut self,
        build: BuildId,
        record: Record,
        unlink: impl FnOnce(&mut Self, BuildId) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        if self.wal_builds.iter().any(|builds| builds.contains(&build))
            && let Some(wal) = &mut self.wal
        {
            wal.append(&[record])?;
        }
        unlink(self, build)
    }

    fn unlink_logs(&mut self, build: BuildId) -> Result<(), StoreError> {
        self.forget(build);
        let dir = self.shelf.folder.build(build);
        for name in file_names(&dir)?.iter().filter(|name| name.starts_with(FILE_PREFIX)) {
            remove_all(&dir.join(name))?;
        }
        Ok(())
    }

    fn unlink_build(&mut self, build: BuildId) -> Result<(), StoreError> {
        self.forget(build);
        remove_all(&self.shelf.folder.build(build))
    }

    fn forget(&mut self, build: BuildId) {
        self.shelf.forget(build);
        self.buffered.retain(|key, _| key.build != build);
        let dir = self.shelf.folder.build(build);
        self.dirty.retain(|path| !path.starts_with(&dir));
    }

    fn shut_down(&mut self) -> Result<(), StoreError> {
        self.write_all()?;
        let Some(wal) = self.wal.take() else { return Ok(()) };
        sync_files(&self.dirty)?;
        let dir = self.shelf.folder.wal();
        self.old_wals.push(wal.number());
        self.old_wals.iter().try_for_each(|number| wal::remove(&dir, *number))
    }
}

fn answer(append: Append, result: Result<(), StoreError>) {
    // The caller may have gone; what it gave is kept all the same.
    let _ = append.answer.send(result);
    drop(append.permit);
}

/// The parts that wait right behind the first one, within bounds, and the order after them.
fn gather(first: Append, queue: &mut mpsc::Receiver<Order>) -> (Vec<Append>, Option<Order>) {
    let mut bytes = first.part.text.len();
    let mut batch = vec![first];
    while bytes < BATCH_BYTES_MAX && batch.len() < BATCH_PARTS_MAX {
        match queue.try_recv() {
            Ok(Order::Append(append)) => {
                bytes += append.part.text.len();
                batch.push(append);
            }
            Ok(order) => return (batch, Some(order)),
            Err(_) => break,
        }
    }
    (batch, None)
}

/// Makes files and their names durable; those that were removed meanwhile need nothing.
fn sync_files(paths: &BTreeSet<PathBuf>) -> Result<(), StoreError> {
    let mut dirs = BTreeSet::new();
    for path in paths {
        match File::open(path) {
            Ok(file) => file.sync_all().map_err(StoreError::io("sync", path))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(StoreError::io("open", path)(error)),
        }
        // The build's folder, the one of its thousand, and that of all builds.
        dirs.extend(path.ancestors().skip(1).take(3).map(std::path::Path::to_owned));
    }
    for dir in dirs.iter().filter(|dir| dir.exists()) {
        sync_dir(dir)?;
    }
    Ok(())
}
