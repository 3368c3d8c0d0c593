//! Changing logs: what the journal has comes into their buffers, and from there into files and packs.
//!
//! Only the writer thread has this. What is in a buffer is durable already, so blocks are written without hurry and synced only
//! when a segment of the journal is to be removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::broadcast;

use super::cache::LogCache;
use super::growth::LogGrowth;
use super::inspect::log_file;
use super::key::LogKey;
use super::limits::LogLimits;
use super::line::LogPart;
use super::log::{Context, FILE_PREFIX, Log, file_names};
use super::record::LogRecord;
use crate::model::BuildId;
use crate::store::StoreError;
use crate::store::directory::{remove_all, sync_dir};
use crate::store::packs::LogFile;
use crate::store::removal::Removal;

/// Text in the buffers of all logs together. Beyond it the largest buffers are written early, and if even that fails
/// (the disk is full) they grow further, to a bound that nothing reaches while parts are refused on a full disk.
const BUFFERED_BYTES_MAX: usize = 32 << 20;
const STUCK_BYTES_MAX: usize = 128 << 20;

/// The logs of an open store, as the writer thread has them.
#[derive(Debug)]
pub(crate) struct LogWriting {
    cache: Arc<LogCache>,
    limits: LogLimits,
    /// Bytes of text of open logs that have a limit of their own.
    text_max: BTreeMap<LogKey, u64>,
    growth: broadcast::Sender<LogGrowth>,
    /// The number of the journal's segment in use.
    journal: u64,
    /// Logs with unwritten lines, and how many bytes.
    buffered: BTreeMap<LogKey, usize>,
    /// The sum of those.
    buffered_bytes: usize,
    /// Files written since they were last synced, and where each ends.
    dirty: BTreeMap<PathBuf, u64>,
    /// Logs that the journal tells of at an opening: their files may not be synced yet.
    taken_up: BTreeSet<LogKey>,
    /// Logs that were closed since the last entry of the journal.
    closed: Vec<u8>,
}

/// What is to be done before segments of the journal can go.
#[derive(Debug, Default)]
pub(crate) struct LogsToKeep {
    /// Short logs for the pack, each with its number of lines.
    pub short: Vec<(LogKey, u64, Vec<u8>)>,
    /// Files to sync, and where each ends.
    dirty: BTreeMap<PathBuf, u64>,
}

impl LogWriting {
    pub(super) fn new(cache: Arc<LogCache>, limits: &LogLimits, growth: broadcast::Sender<LogGrowth>) -> Self {
        Self {
            cache,
            limits: limits.clone(),
            text_max: BTreeMap::new(),
            growth,
            journal: 0,
            buffered: BTreeMap::new(),
            buffered_bytes: 0,
            dirty: BTreeMap::new(),
            taken_up: BTreeSet::new(),
            closed: Vec::new(),
        }
    }

    /// Tells which segment of the journal is in use.
    pub fn set_journal(&mut self, number: u64) {
        self.journal = number;
    }

    /// Tells from which segment on the journal is about to be taken up.
    pub fn begin_taking_up(&self, number: u64) {
        self.cache.set_live_journal(number);
    }

    /// The journal is taken up. What is in files by now was perhaps written by a process that was killed before it synced them.
    pub fn end_taking_up(&mut self) -> Result<(), StoreError> {
        self.cache.set_live_journal(u64::MAX);
        for key in std::mem::take(&mut self.taken_up) {
            let files = self
                .cache
                .with(key, |log| Ok(log.files().map(|(path, segment)| (path, segment.end)).collect::<Vec<_>>()))?;
            self.dirty.extend(files);
        }
        Ok(())
    }

    /// Takes up what the journal tells.
    pub fn take_up(&mut self, record: LogRecord) -> Result<(), StoreError> {
        let (LogRecord::Part { key, .. } | LogRecord::Closed(key)) = &record;
        self.taken_up.insert(*key);
        match record {
            LogRecord::Part { key, source, n, part } => {
                self.push(key, &source, n, &part)?;
                self.write_full(key);
                self.relieve();
                Ok(())
            }
            LogRecord::Closed(key) => self.change(key, Log::close),
        }
    }

    /// Whether a log has this part already.
    pub fn has(&self, key: LogKey, source: &str, n: u64) -> Result<bool, StoreError> {
        self.cache.with(key, |log| Ok(log.has(source, n)))
    }

    /// Adds a part that the journal has.
    pub fn push(&mut self, key: LogKey, source: &str, n: u64, part: &LogPart) -> Result<(), StoreError> {
        let buffered = self.cache.with(key, |log| {
            log.push(source, n, part);
            Ok((!log.is_flushed()).then(|| log.buffered()))
        })?;
        self.note_buffered(key, buffered);
        Ok(())
    }

    /// A log keeps so many bytes of text from now on.
    pub fn limit(&mut self, key: LogKey, bytes_max: u64) {
        self.text_max.insert(key, bytes_max);
    }

    /// Tells of logs that grew, and writes what is full of them.
    pub fn grew(&mut self, logs: &BTreeSet<LogKey>) {
        for key in logs {
            self.tell(*key);
            self.write_full(*key);
        }
        self.relieve();
    }

    /// Why the buffers cannot be written, when they take too much memory.
    pub fn check_buffers(&mut self) -> Result<(), StoreError> {
        while self.buffered_bytes > STUCK_BYTES_MAX {
            self.write_largest()?;
        }
        Ok(())
    }

    /// No more lines follow; returns their number.
    pub fn close(&mut self, key: LogKey) -> Result<u64, StoreError> {
        self.change(key, Log::close)?;
        LogRecord::Closed(key).push(&mut self.closed);
        self.tell(key);
        self.cache.with(key, |log| Ok(log.lines()))
    }

    /// What the next entry of the journal has to say of logs that were closed.
    pub fn take_closed(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.closed)
    }

    /// Writes all buffers but those of short logs that are over: these are for a pack. What is returned has to be done before
    /// the segments of the journal so far can go.
    pub fn hand_over(&mut self) -> Result<LogsToKeep, StoreError> {
        let mut short = Vec::new();
        let keys: Vec<LogKey> = self.buffered.keys().copied().collect();
        for key in keys {
            match self.cache.with(key, |log| Ok(log.to_pack()))? {
                Some((lines, text)) => short.push((key, lines, text)),
                None => self.change(key, Log::flush)?,
            }
        }
        Ok(LogsToKeep { short, dirty: std::mem::take(&mut self.dirty) })
    }

    /// Takes back what could not be done.
    pub fn take_back(&mut self, undone: LogsToKeep) {
        for (path, end) in undone.dirty {
            self.dirty.entry(path).or_insert(end);
        }
    }

    /// Lets go of lines that are in a pack now.
    pub fn were_packed(&mut self, logs: impl Iterator<Item = (LogKey, u64)>) {
        for (key, lines) in logs {
            let buffered = self.cache.with(key, |log| {
                log.was_packed(lines);
                Ok((!log.is_flushed()).then(|| log.buffered()))
            });
            if let Ok(buffered) = buffered {
                self.note_buffered(key, buffered);
            }
        }
    }

    /// Writes everything into files.
    pub fn write_all(&mut self) -> Result<(), StoreError> {
        let keys: Vec<LogKey> = self.buffered.keys().copied().collect();
        keys.into_iter().try_for_each(|key| self.change(key, Log::flush))
    }

    /// Removes the files of what retention removed.
    pub fn remove(&mut self, entry: &Removal) -> Result<(), StoreError> {
        match entry {
            Removal::Build(build) => self.remove_build(*build),
            Removal::Logs(build) => self.remove_logs(*build),
            // Contents of artifacts may be shared: a sweep removes them.
            Removal::Request(_) | Removal::Buildset(_) | Removal::Artifacts(_) => Ok(()),
        }
    }

    /// Removes the logs of a build.
    pub fn remove_logs(&mut self, build: BuildId) -> Result<(), StoreError> {
        self.forget(build)?;
        let dir = self.cache.directory.build(build);
        for name in file_names(&dir)?.iter().filter(|name| name.starts_with(FILE_PREFIX)) {
            remove_all(&dir.join(name))?;
        }
        Ok(())
    }

    /// Removes everything of a build.
    fn remove_build(&mut self, build: BuildId) -> Result<(), StoreError> {
        self.forget(build)?;
        remove_all(&self.cache.directory.build(build))
    }

    fn forget(&mut self, build: BuildId) -> Result<(), StoreError> {
        self.cache.forget(build);
        self.buffered.retain(|key, _| key.build != build);
        self.text_max.retain(|key, _| key.build != build);
        self.buffered_bytes = self.buffered.values().sum();
        let dir = self.cache.directory.build(build);
        self.dirty.retain(|path, _| !path.starts_with(&dir));
        self.cache.packs.remove(build.0)
    }

    fn tell(&self, key: LogKey) {
        let grown = self.cache.with(key, |log| Ok((log.lines(), log.is_closed())));
        if let Ok((lines, closed)) = grown {
            // Nobody may be listening.
            let _ = self.growth.send(LogGrowth { build: key.build, log: key.log, lines, closed });
        }
    }

    /// Writes what is full. Nothing is lost if that fails: the lines stay in the buffer and the journal.
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
        let cache = Arc::clone(&self.cache);
        let text_max = self.text_max.get(&key).copied();
        let context = Context {
            handles: &cache.handles,
            packs: &cache.packs,
            limits: &self.limits,
            text_max,
            journal: self.journal,
        };
        let (mut buffered, mut ends) = (None, Vec::new());
        let written = cache.with(key, |log| {
            let written = work(log, &context);
            buffered = (!log.is_flushed()).then(|| log.buffered());
            if written.as_ref().is_ok_and(|written| !written.is_empty()) {
                ends.extend(log.files().map(|(path, segment)| (path, segment.end)));
            }
            written
        });
        self.note_buffered(key, buffered);
        let written = written?;
        self.dirty.extend(ends.into_iter().filter(|(path, _)| written.contains(path)));
        Ok(())
    }

    fn note_buffered(&mut self, key: LogKey, bytes: Option<usize>) {
        let before = match bytes {
            Some(bytes) => self.buffered.insert(key, bytes),
            None => self.buffered.remove(&key),
        };
        self.buffered_bytes = self.buffered_bytes + bytes.unwrap_or(0) - before.unwrap_or(0);
    }

    /// Keeps the buffers of all logs together within their bound.
    fn relieve(&mut self) {
        while self.buffered_bytes > BUFFERED_BYTES_MAX {
            if self.write_largest().is_err() {
                return;
            }
        }
    }

    fn write_largest(&mut self) -> Result<(), StoreError> {
        let largest = self.buffered.iter().max_by_key(|(_, bytes)| **bytes).map(|(key, _)| *key);
        largest.map_or(Ok(()), |key| self.change(key, Log::flush))
    }
}

impl LogsToKeep {
    /// Makes the files and their names durable, and lists them; those that were removed meanwhile need nothing.
    pub fn sync(&self) -> Result<Vec<LogFile>, StoreError> {
        let (mut dirs, mut files) = (BTreeSet::new(), Vec::new());
        for (path, end) in &self.dirty {
            match File::open(path) {
                Ok(file) => file.sync_all().map_err(StoreError::io("sync", path))?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(StoreError::io("open", path)(error)),
            }
            // The build's directory, the one of its thousand, and that of all builds.
            files.extend(log_file(path, *end));
            dirs.extend(path.ancestors().skip(1).take(3).map(std::path::Path::to_owned));
        }
        for dir in dirs.iter().filter(|dir| dir.exists()) {
            sync_dir(dir)?;
        }
        Ok(files)
    }
}
