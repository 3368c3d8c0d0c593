//! The one thread that writes: facts, removals, and logs.
//!
//! ```text
//! commit ─┐              ┌─ project the facts, encode
//! append ─┼─► queue ─────┼─ one append to the journal, one sync
//! retire ─┘  (bounded)   ├─ apply to records and to buffers of logs
//!                        └─ answer all
//! ```
//!
//! What waits together shares one sync, and the order in the queue is the order on the disk. Readers see nothing that a crash would
//! undo: records change after the sync. Records reach the database, and full segments of the journal their pack, by work of the background
//! thread.

mod batch;
mod upkeep;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;

use self::batch::{Together, gather, in_order};
use self::upkeep::copy;
use crate::model::{BuildId, Fact};
use crate::store::StoreError;
use crate::store::backend::{Backend, Batch};
use crate::store::background::BackgroundThread;
use crate::store::blocking::{block_on, block_until};
use crate::store::disk_space::DiskSpace;
use crate::store::journal::{Entry, FactGroup, SegmentWriter};
use crate::store::logs::{LogKey, LogWriting, push_part};
use crate::store::packing::Packing;
use crate::store::project::{last_seq, project};
use crate::store::recent::RecentFacts;
use crate::store::removal::Removal;
use crate::store::retention::{self, Retired, Retirement};
use crate::store::txn::Txn;
use crate::store::write_queue::{Append, Commit, Queued, WriteJob, WriteQueue};

/// Records reach the database this long after they changed, or earlier when there are many.
const FOLD_AFTER: Duration = Duration::from_secs(2);

/// More in memory means that the database takes nothing any more.
const UNFOLDED_BYTES_MAX: usize = 128 << 20;

/// Sends jobs to the writer thread.
#[derive(Debug)]
pub(crate) struct Writer {
    jobs: WriteQueue,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the writer works with.
#[derive(Debug)]
pub(crate) struct WriterParts {
    pub backend: Arc<dyn Backend>,
    pub logs: LogWriting,
    /// None for a store in memory.
    pub disk: Option<Disk>,
    /// The facts of a store in memory.
    pub memory: Option<Arc<Mutex<Vec<Arc<Fact>>>>>,
    pub background: Arc<BackgroundThread>,
}

/// What makes things durable.
#[derive(Debug)]
pub(crate) struct Disk {
    pub journal: SegmentWriter,
    pub packing: Packing,
    pub recent: Arc<RecentFacts>,
    pub space: DiskSpace,
}

impl Writer {
    /// Starts the thread.
    pub fn start(parts: WriterParts, jobs: WriteQueue, queue: UnboundedReceiver<Queued>) -> Result<Self, StoreError> {
        let last = last_seq(&*parts.backend)?;
        let owner = WriterThread {
            last,
            jobs: jobs.clone(),
            fold_due: None,
            fold_failed: Arc::default(),
            is_packing: false,
            uncopied: Vec::new(),
            unremoved: Vec::new(),
            removed_meanwhile: Vec::new(),
            parts,
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || owner.run(queue))
            .map_err(StoreError::io("start the thread of", std::path::Path::new("store-writer")))?;
        Ok(Self { jobs, thread: Mutex::new(Some(thread)) })
    }

    /// Makes facts durable; see [`crate::store::Store::commit`].
    pub async fn commit(&self, facts: Vec<Arc<Fact>>) -> Result<(), StoreError> {
        self.jobs.ask(|answer| WriteJob::Commit(Commit { facts, answer })).await
    }

    /// Forgets the ends of builds up to `seq`.
    pub async fn trim(&self, seq: u64) -> Result<(), StoreError> {
        self.jobs.send(WriteJob::Trim(seq)).await
    }

    /// Removes records by the rules of retention, and the logs that go with them.
    pub async fn retire(&self, retirement: Retirement) -> Result<Retired, StoreError> {
        self.jobs.ask(|answer| WriteJob::Retire(Box::new(retirement), answer)).await
    }

    /// Brings everything from the journal to where it stays.
    pub async fn settle(&self) -> Result<(), StoreError> {
        self.jobs.ask(WriteJob::Settle).await
    }

    /// Ends the thread after everything that was asked before. Again: nothing happens.
    pub async fn close(&self) -> Result<(), StoreError> {
        let closed = match self.jobs.ask(WriteJob::Close).await {
            Err(StoreError::Closed) => Ok(()),
            other => other,
        };
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's writer thread died");
            return Err(StoreError::Closed);
        }
        closed
    }
}

struct WriterThread {
    parts: WriterParts,
    jobs: WriteQueue,
    /// The last fact that is durable.
    last: u64,
    /// When changed records should reach the database; none if nothing changed.
    fold_due: Option<Instant>,
    /// Why they did not get there, if so.
    fold_failed: Arc<Mutex<Option<StoreError>>>,
    /// Segments of the journal are being packed.
    is_packing: bool,
    /// Facts that have no second copy yet.
    uncopied: Vec<FactGroup>,
    /// Removed builds whose files could not be removed yet.
    unremoved: Vec<Removal>,
    /// Builds that were removed while a pack was being written, which may have their logs.
    removed_meanwhile: Vec<BuildId>,
}

impl WriterThread {
    fn run(mut self, mut queue: UnboundedReceiver<Queued>) {
        self.begin();
        let mut next = None;
        loop {
            let Some(job) = next.take().or_else(|| self.wait(&mut queue)) else { return };
            let mut batch = Together::default();
            match batch.push(job) {
                None => {
                    next = gather(&mut batch, &mut queue);
                    self.write(batch);
                }
                Some(WriteJob::Close(answer)) => {
                    let _ = answer.send(self.close());
                    return;
                }
                Some(job) => self.carry_out(job),
            }
            self.keep_small();
        }
    }

    /// What earlier openings left in the journal is packed when there is more than the segment in use.
    fn begin(&mut self) {
        self.note_change();
        if self.parts.disk.as_ref().is_some_and(|disk| disk.packing.has_segments_before(disk.journal.number())) {
            self.pack();
        }
    }

    fn carry_out(&mut self, job: WriteJob) {
        match job {
            WriteJob::CloseLog(key, answer) => {
                let _ = answer.send(self.parts.logs.close(key));
            }
            WriteJob::LimitLog(key, bytes_max) => self.parts.logs.limit(key, bytes_max),
            WriteJob::Trim(seq) => self.trim(seq),
            WriteJob::Retire(retirement, answer) => {
                let _ = answer.send(self.retire(&retirement));
            }
            WriteJob::Packed(packed) => self.packed(packed),
            WriteJob::Settle(answer) => {
                let _ = answer.send(self.settle());
            }
            WriteJob::Commit(_) | WriteJob::Append(_) | WriteJob::Close(_) => unreachable!("those are taken by `run`"),
        }
    }

    /// The next job; while none comes, changed records are brought into the database.
    fn wait(&mut self, queue: &mut UnboundedReceiver<Queued>) -> Option<WriteJob> {
        loop {
            match self.fold_due {
                None => return block_on(queue.recv()).map(|queued| queued.job),
                Some(due) => match block_until(queue.recv(), due) {
                    Some(queued) => return queued.map(|queued| queued.job),
                    None => self.fold(),
                },
            }
        }
    }

    /// One batch: makes it durable, applies it, answers.
    fn write(&mut self, batch: Together) {
        let mut appends = Vec::new();
        for append in batch.appends {
            match self.parts.logs.has(append.key, &append.source, append.n) {
                Ok(false) => appends.push(append),
                Ok(true) => answer(append, Ok(())),
                Err(error) => answer(append, Err(error)),
            }
        }
        let (commits, refused) = in_order(batch.commits, self.last);
        for (commit, error) in refused {
            let _ = commit.answer.send(Err(error));
        }
        let (commits, changes) = self.projected(commits);
        let facts: Vec<Arc<Fact>> = commits.iter().flat_map(|commit| commit.facts.iter().cloned()).collect();
        let result = self.make_durable(&facts, &appends);
        if result.is_ok() {
            self.apply(&facts, changes);
        }
        let touched: BTreeSet<LogKey> = appends.iter().map(|append| append.key).collect();
        for append in appends {
            let pushed =
                result.clone().and_then(|()| self.parts.logs.push(append.key, &append.source, append.n, &append.part));
            answer(append, pushed);
        }
        for commit in commits {
            let _ = commit.answer.send(result.clone());
        }
        self.parts.logs.grew(&touched);
    }

    /// What facts do to the records. Commits that cannot be taken are answered, and do not keep the others of a batch from it.
    fn projected(&self, commits: Vec<Commit>) -> (Vec<Commit>, Batch) {
        if commits.is_empty() {
            return (commits, Batch::default());
        }
        let mut txn = Txn::new(&*self.parts.backend);
        let mut facts = commits.iter().flat_map(|commit| &commit.facts);
        match self.check_space().and_then(|()| facts.try_for_each(|fact| project(&mut txn, fact))) {
            Ok(()) => (commits, txn.into_batch()),
            Err(error) => {
                for commit in commits {
                    let _ = commit.answer.send(Err(error.clone()));
                }
                (Vec::new(), Batch::default())
            }
        }
    }

    /// Writes facts and parts of logs to the journal.
    fn make_durable(&mut self, facts: &[Arc<Fact>], appends: &[Append]) -> Result<(), StoreError> {
        if facts.is_empty() && appends.is_empty() {
            return Ok(());
        }
        let mut logs = self.parts.logs.take_closed();
        let Some(disk) = &mut self.parts.disk else { return Ok(()) };
        if let Err(error) = self.parts.logs.check_buffers() {
            // What has its place is not refused alone: what follows from it may come next.
            disk.journal.give_up();
            return Err(error);
        }
        for append in appends {
            push_part(&mut logs, append.key, &append.source, append.n, &append.part);
        }
        let group = FactGroup::of(facts);
        self.append(&Entry { facts: group.clone(), removals: Vec::new(), logs })?;
        self.uncopied.extend(group);
        Ok(())
    }

    fn apply(&mut self, facts: &[Arc<Fact>], changes: Batch) {
        let Some(last) = facts.last() else { return };
        self.parts.backend.apply(changes).expect("changes are made in memory");
        self.last = last.seq;
        self.note_change();
        if let Some(memory) = &self.parts.memory {
            memory.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(facts);
        }
    }

    fn append(&mut self, entry: &Entry) -> Result<(), StoreError> {
        match &mut self.parts.disk {
            Some(disk) => disk.journal.append(entry).map_err(|error| disk.space.explain(error)),
            None => Ok(()),
        }
    }

    /// Refuses facts while the disk is nearly full, or the database takes none.
    fn check_space(&self) -> Result<(), StoreError> {
        let Some(disk) = &self.parts.disk else { return Ok(()) };
        disk.space.check()?;
        if disk.packing.overlay.bytes() < UNFOLDED_BYTES_MAX {
            return Ok(());
        }
        let failed = self.fold_failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        failed.map_or(Ok(()), Err)
    }

    /// Records changed: they reach the database in a while.
    fn note_change(&mut self) {
        if self.parts.disk.is_some() && self.fold_due.is_none() {
            self.fold_due = Some(Instant::now() + FOLD_AFTER);
        }
    }

    fn retire(&mut self, retirement: &Retirement) -> Result<Retired, StoreError> {
        self.remove_files(Vec::new())?;
        let backend = Arc::clone(&self.parts.backend);
        let mut txn = Txn::new(&*backend);
        let retired = retention::retire(&mut txn, &*backend, retirement)?;
        if !retired.entries.is_empty() {
            let logs = self.parts.logs.take_closed();
            self.append(&Entry { facts: None, removals: retired.entries.clone(), logs })?;
        }
        if txn.len() > 0 {
            backend.apply(txn.into_batch())?;
            self.note_change();
        }
        if self.is_packing {
            self.removed_meanwhile.extend(retired.builds().chain(retired.logs()));
        }
        self.remove_files(retired.entries.clone())?;
        Ok(retired)
    }

    /// Removes the files of what the journal says is removed; those that fail are tried again by the next call.
    fn remove_files(&mut self, entries: Vec<Removal>) -> Result<(), StoreError> {
        let mut todo = std::mem::take(&mut self.unremoved);
        todo.extend(entries);
        while let Some(entry) = todo.first() {
            if let Err(error) = self.parts.logs.remove(entry) {
                self.unremoved = todo;
                return Err(error);
            }
            todo.remove(0);
        }
        Ok(())
    }

    /// Everything committed is in the database when it returns; lines of logs may be in the journal only.
    fn close(&mut self) -> Result<(), StoreError> {
        let Some(disk) = &self.parts.disk else { return self.parts.logs.write_all() };
        let closed = self.parts.logs.take_closed();
        let (overlay, recent) = (Arc::clone(&disk.packing.overlay), Arc::clone(&disk.recent));
        let uncopied = std::mem::take(&mut self.uncopied);
        if !closed.is_empty() && disk.space.check().is_ok() {
            self.append(&Entry { logs: closed, ..Entry::default() })?;
        }
        block_on(self.parts.background.run(move || {
            copy(&recent, &uncopied);
            overlay.fold()
        }))
    }
}

fn answer(append: Append, result: Result<(), StoreError>) {
    // The caller may have gone; what it gave is kept all the same.
    let _ = append.answer.send(result);
    drop(append.permit);
}
