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

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::error::TryRecvError;

use super::StoreError;
use super::backend::{Backend, Batch, Direction};
use super::background::BackgroundThread;
use super::blocking::{block_on, block_until};
use super::disk_space::DiskSpace;
use super::journal::{Entry, FactGroup, Journal};
use super::key::Table;
use super::logs::{Append, LogKey, LogWriting, LogsToKeep, push_part};
use super::packing::Packing;
use super::project::{last_seq, project};
use super::retention::{self, Removal, Retired, Retirement};
use super::txn::{Records as _, Txn};
use super::write_queue::{Commit, Packed, Queued, WriteJob, WriteQueue};
use crate::model::{BuildId, Fact};

/// Text of logs and number of jobs that share one sync: more would delay the answers for little.
const BATCH_BYTES_MAX: usize = 1 << 20;
const BATCH_JOBS_MAX: usize = 1024;

/// Parts of logs wait this long for company, unless it is that much text: what follows from a command's end usually comes within this
/// time, and shares the sync. Nobody waits for a part alone.
const LINGER: Duration = Duration::from_millis(2);
const LINGER_BYTES_MAX: usize = 256 << 10;

/// Records reach the database this long after they changed, or when there is so much of them.
const FOLD_AFTER: Duration = Duration::from_secs(2);
const FOLD_BYTES: usize = 4 << 20;

/// More in memory means that the database takes nothing any more.
const UNFOLDED_BYTES_MAX: usize = 128 << 20;

/// Ends of builds forgotten in one go.
const TRIMMED_MAX: usize = 1000;

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
    pub journal: Journal,
    pub packing: Packing,
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

    /// Makes facts durable; see [`super::Store::commit`].
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
    /// Removed builds whose files could not be removed yet.
    unremoved: Vec<Removal>,
    /// Builds that were removed while a pack was being written, which may have their logs.
    removed_meanwhile: Vec<BuildId>,
}

/// What shares one sync.
#[derive(Default)]
struct Together {
    commits: Vec<Commit>,
    appends: Vec<Append>,
    bytes: usize,
}

impl Together {
    fn push(&mut self, job: WriteJob) -> Option<WriteJob> {
        match job {
            WriteJob::Commit(commit) => self.commits.push(commit),
            WriteJob::Append(append) => {
                self.bytes += append.part.text.len();
                self.appends.push(append);
            }
            other => return Some(other),
        }
        None
    }

    fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES_MAX || self.commits.len() + self.appends.len() >= BATCH_JOBS_MAX
    }

    /// Whether nobody minds if it waits for more.
    fn can_wait(&self) -> bool {
        self.commits.is_empty() && self.bytes < LINGER_BYTES_MAX && !self.is_full()
    }
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
        self.append(&Entry { facts: FactGroup::of(facts), removals: Vec::new(), logs })
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

    /// Brings changed records into the database, on the background's thread. Without room they wait: a database that hits the end of a
    /// disk refuses everything from then on.
    fn fold(&mut self) {
        let Some(disk) = &self.parts.disk else { return };
        self.fold_due = None;
        if disk.space.check().is_err() {
            self.note_change();
            return;
        }
        let (overlay, failed) = (Arc::clone(&disk.packing.overlay), Arc::clone(&self.fold_failed));
        self.parts.background.push(move || {
            let folded = overlay.fold();
            if let Err(error) = &folded {
                tracing::warn!(%error, "records did not reach the database; they are in the journal");
            }
            *failed.lock().unwrap_or_else(PoisonError::into_inner) = folded.err();
        });
    }

    /// Work that keeps memory and journal small.
    fn keep_small(&mut self) {
        let Some(disk) = &self.parts.disk else { return };
        let (overlay_bytes, is_full) = (disk.packing.overlay.bytes(), disk.journal.is_full());
        if overlay_bytes >= FOLD_BYTES && self.fold_due.is_some() {
            self.fold();
        }
        if is_full && !self.is_packing {
            self.rotate();
        }
    }

    /// Begins the next segment of the journal, and has the ones before packed.
    fn rotate(&mut self) {
        let Some(disk) = &mut self.parts.disk else { return };
        if let Err(error) = disk.space.check().and_then(|()| disk.journal.rotate()) {
            tracing::warn!(%error, "no new segment of the journal; the full one goes on");
            return;
        }
        // Whose files are still there, is said again where it stays.
        let removals = std::mem::take(&mut self.unremoved);
        if !removals.is_empty() {
            let noted = self.append(&Entry { removals: removals.clone(), ..Entry::default() });
            self.unremoved = removals;
            if let Err(error) = noted {
                tracing::warn!(%error, "the journal stays as it is for now");
                return;
            }
        }
        self.pack();
    }

    fn pack(&mut self) {
        let Some((live, packing, logs)) = self.hand_over() else { return };
        self.is_packing = true;
        let jobs = self.jobs.clone();
        self.parts.background.push(move || {
            let logs = match packing.pack(live, &logs) {
                Ok(packed) => Ok(packed),
                Err(error) => {
                    tracing::warn!(%error, "segments of the journal stay for now");
                    Err(logs)
                }
            };
            jobs.tell(Packed { logs });
        });
    }

    /// What packing needs; none if lines cannot be written.
    fn hand_over(&mut self) -> Option<(u64, Packing, LogsToKeep)> {
        let disk = self.parts.disk.as_ref()?;
        let (live, packing) = (disk.journal.number(), disk.packing.clone());
        self.parts.logs.set_journal(live);
        match self.parts.logs.hand_over() {
            Ok(logs) => Some((live, packing, logs)),
            Err(error) => {
                tracing::warn!(%error, "lines of logs stay in memory and in the journal for now");
                None
            }
        }
    }

    fn packed(&mut self, packed: Packed) {
        self.is_packing = false;
        match packed.logs {
            Ok(logs) => self.parts.logs.were_packed(logs.into_iter()),
            Err(undone) => self.parts.logs.take_back(undone),
        }
        for build in std::mem::take(&mut self.removed_meanwhile) {
            if let Err(error) = self.parts.logs.remove_logs(build) {
                tracing::warn!(%error, "logs of a removed build stay in a pack");
            }
        }
    }

    /// The same work, done here and now.
    fn settle(&mut self) -> Result<(), StoreError> {
        let Some(disk) = &mut self.parts.disk else { return Ok(()) };
        if !disk.journal.is_empty() {
            disk.journal.rotate()?;
        }
        let (live, packing) = (disk.journal.number(), disk.packing.clone());
        self.parts.logs.set_journal(live);
        let logs = self.parts.logs.hand_over()?;
        let packed = block_on(self.parts.background.run(move || packing.pack(live, &logs)))?;
        self.parts.logs.were_packed(packed.into_iter());
        Ok(())
    }

    /// Forgets ends of builds up to a fact: the kept snapshots are newer.
    fn trim(&mut self, seq: u64) {
        if let Some(memory) = &self.parts.memory {
            memory.lock().unwrap_or_else(PoisonError::into_inner).retain(|fact| fact.seq > seq);
        }
        let backend = Arc::clone(&self.parts.backend);
        loop {
            let scan = super::Scan { after: None, descending: false, limit: TRIMMED_MAX };
            let mut txn = Txn::new(&*backend);
            match backend.ids(&Table::Ended.part(&scan), Direction::Ascending, TRIMMED_MAX) {
                Ok(ids) => ids.into_iter().take_while(|id| *id <= seq).for_each(|id| txn.remove(Table::Ended.id(id))),
                Err(error) => return tracing::warn!(%error, "the ends of old builds could not be looked for"),
            }
            let trimmed = txn.len();
            if trimmed > 0 {
                if let Err(error) = backend.apply(txn.into_batch()) {
                    return tracing::warn!(%error, "the ends of old builds could not be forgotten");
                }
                self.note_change();
            }
            if trimmed < TRIMMED_MAX {
                return;
            }
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
            if let Err(error) = remove_files(&mut self.parts.logs, entry) {
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
        let overlay = Arc::clone(&disk.packing.overlay);
        if !closed.is_empty() && disk.space.check().is_ok() {
            self.append(&Entry { logs: closed, ..Entry::default() })?;
        }
        block_on(self.parts.background.run(move || overlay.fold()))
    }
}

/// Removes the files of what retention removed.
pub(crate) fn remove_files(logs: &mut LogWriting, entry: &Removal) -> Result<(), StoreError> {
    match entry {
        Removal::Build(build) => logs.remove_build(*build),
        Removal::Logs(build) => logs.remove_logs(*build),
        Removal::Request(_) | Removal::Buildset(_) => Ok(()),
    }
}

fn answer(append: Append, result: Result<(), StoreError>) {
    // The caller may have gone; what it gave is kept all the same.
    let _ = append.answer.send(result);
    drop(append.permit);
}

/// Adds what waits right behind, and returns the job after that. Parts of logs alone wait a moment for what follows from them.
fn gather(batch: &mut Together, queue: &mut UnboundedReceiver<Queued>) -> Option<WriteJob> {
    let mut end = None;
    while !batch.is_full() {
        let queued = match queue.try_recv() {
            Ok(queued) => queued,
            Err(TryRecvError::Empty) if batch.can_wait() => {
                let end = *end.get_or_insert_with(|| Instant::now() + LINGER);
                block_until(queue.recv(), end).flatten()?
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => return None,
        };
        if let Some(other) = batch.push(queued.job) {
            return Some(other);
        }
    }
    None
}

type Refused = Vec<(Commit, StoreError)>;

/// Splits off the commits whose facts do not follow the last one.
fn in_order(commits: Vec<Commit>, mut last: u64) -> (Vec<Commit>, Refused) {
    let (mut good, mut refused) = (Vec::new(), Vec::new());
    for commit in commits {
        match check_order(&commit.facts, last) {
            Ok(next) => {
                last = next;
                good.push(commit);
            }
            Err(error) => refused.push((commit, error)),
        }
    }
    (good, refused)
}

fn check_order(facts: &[Arc<Fact>], mut last: u64) -> Result<u64, StoreError> {
    for fact in facts {
        if fact.seq != last + 1 {
            return Err(StoreError::OutOfOrder { found: fact.seq, expected: last + 1 });
        }
        last = fact.seq;
    }
    Ok(last)
}
