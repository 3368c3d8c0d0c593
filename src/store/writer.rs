//! The one thread that changes records.
//!
//! ```text
//! commit ─┐              ┌─ project into one batch
//! commit ─┼─► queue ─────┼─ append to the fact files
//! retire ─┘  (bounded)   ├─ apply the batch, one flush
//!                        └─ answer all
//! ```
//!
//! Commits that wait together share one flush. An answer is given only when everything of the batch is durable; if
//! anything fails, all of its commits get the error and none of them is in the records.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::StoreError;
use super::backend::{Backend, Order as ScanOrder};
use super::codec::encode;
use super::facts::{FactFiles, ToSync};
use super::keeper::Keeper;
use super::key::Table;
use super::project::{last_seq, project};
use super::retire::{self, Retired, RetiredEntry, Retirement};
use super::room::Room;
use super::settle;
use super::txn::{Records as _, Txn};
use crate::model::Fact;

/// Orders that may wait; callers beyond that wait in turn. The engine's owner commits one turn at a time, so
/// this is for bursts of other callers.
const QUEUE_MAX: usize = 1024;

/// Commits merged into one flush: a bound on what one batch can hold in memory.
const MERGED_MAX: usize = 256;

/// Facts dropped from the tail in one batch, so that a commit never waits long behind a snapshot.
const TRIMMED_MAX: usize = 1000;

type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

#[derive(Debug)]
enum Order {
    Commit(Commit),
    /// Drop facts up to this number from the tail.
    Trim(u64),
    Retire(Box<Retirement>, Answer<Retired>),
    /// The folders of these builds are gone, and so are all other files of what was removed.
    Unlinked(Vec<u64>),
    Close(Answer<()>),
}

#[derive(Debug)]
struct Commit {
    facts: Vec<Arc<Fact>>,
    answer: Answer<()>,
}

/// Sends orders to the writer thread.
#[derive(Debug)]
pub(crate) struct Writer {
    orders: mpsc::Sender<Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the writer works with.
#[derive(Debug)]
pub(crate) struct WriterParts {
    pub backend: Arc<dyn Backend>,
    /// None for a store in memory.
    pub files: Option<FactFiles>,
    pub room: Option<Room>,
    pub keeper: Arc<Keeper>,
}

impl Writer {
    /// Starts the thread.
    pub fn start(parts: WriterParts) -> Result<Self, StoreError> {
        let last = last_seq(&*parts.backend)?;
        let (orders, queue) = mpsc::channel(QUEUE_MAX);
        let owner = Owner { parts, last, trim_to: 0, unapplied: Vec::new() };
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || owner.run(queue))
            .map_err(StoreError::io("start the thread of", std::path::Path::new("store-writer")))?;
        Ok(Self { orders, thread: Mutex::new(Some(thread)) })
    }

    /// Makes facts durable; see [`super::Store::commit`].
    pub async fn commit(&self, facts: Vec<Arc<Fact>>) -> Result<(), StoreError> {
        self.ask(|answer| Order::Commit(Commit { facts, answer })).await
    }

    /// Drops facts up to `seq` from the tail, a piece at a time.
    pub async fn trim(&self, seq: u64) -> Result<(), StoreError> {
        self.orders.send(Order::Trim(seq)).await.map_err(|_| StoreError::Closed)
    }

    /// Removes records by the rules of retention.
    pub async fn retire(&self, retirement: Retirement) -> Result<Retired, StoreError> {
        self.ask(|answer| Order::Retire(Box::new(retirement), answer)).await
    }

    /// Notes that the folders of removed builds are gone, and with them all files of what was removed so far.
    pub async fn unlinked(&self, builds: Vec<u64>) -> Result<(), StoreError> {
        self.orders.send(Order::Unlinked(builds)).await.map_err(|_| StoreError::Closed)
    }

    /// Ends the thread after everything that was asked before. Again: nothing happens.
    pub async fn close(&self) -> Result<(), StoreError> {
        let closed = match self.ask(Order::Close).await {
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

    async fn ask<T>(&self, order: impl FnOnce(Answer<T>) -> Order) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.orders.send(order(answer)).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }
}

struct Owner {
    parts: WriterParts,
    /// The last fact that is durable.
    last: u64,
    /// Facts up to this number can go from the tail.
    trim_to: u64,
    /// Removals that may be in the journal, but not in the records: the disk failed in between.
    unapplied: Vec<RetiredEntry>,
}

impl Owner {
    fn run(mut self, mut queue: mpsc::Receiver<Order>) {
        let mut next = None;
        loop {
            let Some(order) = next.take().or_else(|| self.wait(&mut queue)) else { return };
            match order {
                Order::Commit(first) => {
                    let commits;
                    (commits, next) = gather(first, &mut queue);
                    self.commit(commits);
                }
                Order::Trim(seq) => self.trim_to = self.trim_to.max(seq),
                Order::Retire(retirement, answer) => {
                    let _ = answer.send(self.retire(&retirement));
                }
                Order::Unlinked(builds) => self.unlinked(&builds),
                Order::Close(answer) => {
                    let _ = answer.send(self.close());
                    return;
                }
            }
        }
    }

    /// The next order; while none is there, the tail is trimmed.
    fn wait(&mut self, queue: &mut mpsc::Receiver<Order>) -> Option<Order> {
        while self.trim_to > 0 {
            match queue.try_recv() {
                Ok(order) => return Some(order),
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
                Err(mpsc::error::TryRecvError::Empty) => self.trim(),
            }
        }
        queue.blocking_recv()
    }

    fn commit(&mut self, commits: Vec<Commit>) {
        let (commits, refused) = in_order(commits, self.last);
        for (commit, error) in refused {
            let _ = commit.answer.send(Err(error));
        }
        let facts: Vec<Arc<Fact>> = commits.iter().flat_map(|commit| commit.facts.iter().cloned()).collect();
        let result = if facts.is_empty() { Ok(()) } else { self.write(&facts) };
        for commit in commits {
            let _ = commit.answer.send(result.clone());
        }
    }

    fn write(&mut self, facts: &[Arc<Fact>]) -> Result<(), StoreError> {
        let parts = &mut self.parts;
        parts.room.as_ref().map_or(Ok(()), Room::check)?;
        let mut txn = Txn::new(&*parts.backend);
        for fact in facts {
            project(&mut txn, fact)?;
            txn.put_bytes(Table::Tail.id(fact.seq), encode(&**fact));
        }
        let due = match &mut parts.files {
            Some(files) => files.append(facts, self.last).map_err(|error| explain(parts.room.as_ref(), error))?,
            None => Vec::new(),
        };
        parts.backend.apply(txn.into_batch()).map_err(|error| explain(parts.room.as_ref(), error))?;
        if let Some(files) = &mut parts.files {
            files.confirm();
        }
        self.last = facts.last().map_or(self.last, |fact| fact.seq);
        self.sync(due);
        Ok(())
    }

    fn sync(&self, files: ToSync) {
        if !files.is_empty() {
            self.parts.keeper.push(move || sync_all(&files));
        }
    }

    fn trim(&mut self) {
        let range = Table::Tail.part(&super::Scan { after: None, descending: false, limit: TRIMMED_MAX });
        let trimmed = self.parts.backend.ids(&range, ScanOrder::Ascending, TRIMMED_MAX).and_then(|ids| {
            let mut txn = Txn::new(&*self.parts.backend);
            for seq in ids.into_iter().take_while(|seq| *seq <= self.trim_to) {
                txn.remove(Table::Tail.id(seq));
                txn.remove(Table::Ended.id(seq));
            }
            let done = txn.len() < 2 * TRIMMED_MAX;
            if txn.len() > 0 {
                self.parts.backend.apply(txn.into_batch())?;
            }
            Ok(done)
        });
        match trimmed {
            Ok(false) => {}
            Ok(true) => self.trim_to = 0,
            Err(error) => {
                // The facts stay; the next snapshot tries again.
                tracing::warn!(%error, "old facts could not be dropped from the tail");
                self.trim_to = 0;
            }
        }
    }

    fn retire(&mut self, retirement: &Retirement) -> Result<Retired, StoreError> {
        let backend = Arc::clone(&self.parts.backend);
        let mut caught_up = Retired { entries: std::mem::take(&mut self.unapplied), last_builder: None };
        if !caught_up.entries.is_empty() {
            let mut txn = Txn::new(&*backend);
            caught_up.entries.iter().try_for_each(|entry| retire::repeat(&mut txn, entry))?;
            self.remove(&caught_up, txn)?;
        }
        let mut txn = Txn::new(&*backend);
        let mut retired = retire::retire(&mut txn, &*backend, retirement)?;
        self.remove(&retired, txn)?;
        retired.entries.splice(0..0, caught_up.entries.drain(..));
        Ok(retired)
    }

    /// Notes removals in the journal, then takes them out of the records. What fails is done again by the next call, or by the
    /// next opening.
    fn remove(&mut self, retired: &Retired, txn: Txn<'_>) -> Result<(), StoreError> {
        self.unapplied.clone_from(&retired.entries);
        if let Some(files) = &mut self.parts.files {
            files.retired(retired, self.last)?;
        }
        if txn.len() > 0 {
            self.parts.backend.apply(txn.into_batch()).map_err(|error| explain(self.parts.room.as_ref(), error))?;
        }
        self.unapplied.clear();
        Ok(())
    }

    fn unlinked(&mut self, builds: &[u64]) {
        let mut txn = Txn::new(&*self.parts.backend);
        for build in builds {
            txn.remove(Table::Doomed.id(*build));
        }
        let noted = match &self.parts.files {
            Some(files) => settle::all_done(files.folder(), &mut txn),
            None => Ok(()),
        };
        if let Err(error) = noted.and_then(|()| self.parts.backend.apply(txn.into_batch())) {
            // They are unlinked again next time, which does nothing.
            tracing::warn!(%error, "removed builds could not be crossed off");
        }
    }

    fn close(&mut self) -> Result<(), StoreError> {
        if let Some(files) = &mut self.parts.files {
            sync_all(&files.take_dirty());
        }
        Ok(())
    }
}

/// The commits that wait right behind the first one, and the order after them.
fn gather(first: Commit, queue: &mut mpsc::Receiver<Order>) -> (Vec<Commit>, Option<Order>) {
    let mut commits = vec![first];
    while commits.len() < MERGED_MAX {
        match queue.try_recv() {
            Ok(Order::Commit(commit)) => commits.push(commit),
            Ok(order) => return (commits, Some(order)),
            Err(_) => break,
        }
    }
    (commits, None)
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

fn explain(room: Option<&Room>, error: StoreError) -> StoreError {
    match room {
        Some(room) => room.explain(error),
        None => error,
    }
}

/// Syncs fact files. Their facts are in the database as well, so a failure is a warning.
fn sync_all(files: &[Arc<std::fs::File>]) {
    for file in files {
        if let Err(error) = file.sync_data() {
            tracing::warn!(%error, "a fact file could not be synced");
        }
    }
}
