//! Logs as others hold them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{Semaphore, broadcast, mpsc, oneshot};

use super::growth::LogGrowth;
use super::line::{LeftOut, LogLine, LogPart};
use super::log::LogKey;
use super::owner::{Answer, Append, Order, Owner};
use super::read::{carry_out, plan};
use super::shelf::Shelf;
use crate::model::{BuildId, LogId};
use crate::store::StoreError;
use crate::store::blocking::block_on;
use crate::store::folder::Folder;
use crate::store::room::Room;

/// Orders that may wait; a part also needs room by its size.
const QUEUE_MAX: usize = 4096;

/// Text that may wait to be written, in KiB: what a slow disk may pile up in memory before those who append are slowed
/// down.
const QUEUE_KIB_MAX: u32 = 32 << 10;

/// News of growth kept for a slow listener; one that falls behind reads the present state instead.
const GROWTH_MAX: usize = 1024;

/// How much of a log is kept, in bytes on disk (compressed): its beginning and its end; the middle of one that grows
/// beyond both is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// Kept of the beginning.
    pub head_bytes: u64,
    /// Kept of the end: at least three quarters of this.
    pub tail_bytes: u64,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { head_bytes: 64 << 20, tail_bytes: 16 << 20 }
    }
}

/// The bodies of logs.
#[derive(Clone, Debug)]
pub struct Logs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    shelf: Arc<Shelf>,
    orders: mpsc::Sender<Order>,
    queue: Arc<Semaphore>,
    growth: broadcast::Sender<LogGrowth>,
    thread: Mutex<Option<JoinHandle<()>>>,
    is_closed: AtomicBool,
}

impl Logs {
    /// Opens the logs of a store. Without `room` nothing has to survive the process, and nothing is synced.
    pub(crate) fn open(folder: &Folder, limits: &LogLimits, room: Option<Room>) -> Result<Self, StoreError> {
        let shelf = Arc::new(Shelf::new(folder));
        let (growth, _) = broadcast::channel(GROWTH_MAX);
        let owner = Owner::recover(Arc::clone(&shelf), limits, room, growth.clone())?;
        let (orders, queue) = mpsc::channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("store-logs".to_owned())
            .spawn(move || owner.run(queue))
            .map_err(StoreError::io("start the thread of", std::path::Path::new("store-logs")))?;
        let inner = Inner {
            shelf,
            orders,
            queue: Arc::new(Semaphore::new(usize::try_from(QUEUE_KIB_MAX).unwrap_or(usize::MAX))),
            growth,
            thread: Mutex::new(Some(thread)),
            is_closed: AtomicBool::new(false),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Puts what a killed process wrote ahead into the logs' own files.
    pub(crate) fn settle(folder: &Folder) -> Result<(), StoreError> {
        Self::open(folder, &LogLimits::default(), Some(Room::new(folder.dir(), 0)))?.shut_down()
    }

    /// Appends part `n` of `source` (a command id, or `master`) to a log. A part that is there
    /// already is left out. Durable when it returns; appends of several callers share one sync.
    ///
    /// The parts of a source come in order, from 0. A source may spread its numbers over several logs: then a log sees
    /// gaps, and parts are durable in the order in which they were appended, whatever their logs.
    pub async fn append(
        &self,
        build: BuildId,
        log: LogId,
        source: &str,
        n: u64,
        part: LogPart,
    ) -> Result<(), StoreError> {
        let kib = u32::try_from(part.text.len() >> 10).unwrap_or(QUEUE_KIB_MAX).saturating_add(1).min(QUEUE_KIB_MAX);
        let queue = Arc::clone(&self.inner.queue);
        let permit = queue.acquire_many_owned(kib).await.map_err(|_| StoreError::Closed)?;
        let source = source.to_owned();
        let key = LogKey { build, log };
        self.ask(|answer| Order::Append(Append { key, source, n, part, answer, permit })).await
    }

    /// The number of the next part expected of a source (0 if nothing came yet): what a resumed command goes on from.
    pub fn next(&self, build: BuildId, log: LogId, source: &str) -> Result<u64, StoreError> {
        self.check_open()?;
        self.inner.shelf.with(LogKey { build, log }, |log| Ok(log.next(source)))
    }

    /// No more lines follow; returns their number. Idempotent.
    ///
    /// A crash right afterwards may leave the log open: its lines are durable, that it was closed is not. Closing it again
    /// is always right.
    pub async fn close(&self, build: BuildId, log: LogId) -> Result<u64, StoreError> {
        self.ask(|answer| Order::Close(LogKey { build, log }, answer)).await
    }

    /// Number of lines now, those left out included.
    pub fn lines(&self, build: BuildId, log: LogId) -> Result<u64, StoreError> {
        self.check_open()?;
        self.inner.shelf.with(LogKey { build, log }, |log| Ok(log.lines()))
    }

    /// Up to `count` lines from `first`; fewer at the end. Quick at any place of a large log.
    ///
    /// The line at index `i` of the answer is line `first + i` of the log, always: of lines that were left out
    /// ([`Self::left_out`]) or are damaged, the first reads as a header line that tells so, the others as empty
    /// header lines.
    pub fn read(&self, build: BuildId, log: LogId, first: u64, count: u64) -> Result<Vec<LogLine>, StoreError> {
        self.check_open()?;
        let pieces = self.inner.shelf.with(LogKey { build, log }, |log| Ok(plan(log, first, count)))?;
        carry_out(pieces, &self.inner.shelf.handles)
    }

    /// The last `count` lines.
    pub fn tail(&self, build: BuildId, log: LogId, count: u64) -> Result<Vec<LogLine>, StoreError> {
        self.check_open()?;
        let pieces = self
            .inner
            .shelf
            .with(LogKey { build, log }, |log| Ok(plan(log, log.lines().saturating_sub(count), count)))?;
        carry_out(pieces, &self.inner.shelf.handles)
    }

    /// The lines that the log's bounds left out, if any.
    pub fn left_out(&self, build: BuildId, log: LogId) -> Result<Option<LeftOut>, StoreError> {
        self.check_open()?;
        self.inner.shelf.with(LogKey { build, log }, |log| Ok(log.left_out()))
    }

    /// News of every log that grows or is closed from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<LogGrowth> {
        self.inner.growth.subscribe()
    }

    /// Removes the logs of a build.
    pub(crate) async fn remove_logs(&self, build: BuildId) -> Result<(), StoreError> {
        self.ask(|answer| Order::RemoveLogs(build, answer)).await
    }

    /// Removes the whole folder of a build.
    pub(crate) async fn remove_build(&self, build: BuildId) -> Result<(), StoreError> {
        self.ask(|answer| Order::RemoveBuild(build, answer)).await
    }

    /// Writes everything to the logs' files and ends the thread. Again: nothing happens.
    pub(crate) fn shut_down(&self) -> Result<(), StoreError> {
        self.inner.shut_down()
    }

    async fn ask<T>(&self, order: impl FnOnce(Answer<T>) -> Order) -> Result<T, StoreError> {
        self.check_open()?;
        let (answer, answered) = oneshot::channel();
        self.inner.orders.send(order(answer)).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.inner.is_closed.load(Ordering::SeqCst) { Err(StoreError::Closed) } else { Ok(()) }
    }
}

impl Inner {
    fn shut_down(&self) -> Result<(), StoreError> {
        if self.is_closed.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        let result = block_on(async {
            self.orders.send(Order::ShutDown(answer)).await.map_err(|_| StoreError::Closed)?;
            answered.await.map_err(|_| StoreError::Closed)?
        });
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the logs died");
        }
        result
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Err(error) = self.shut_down() {
            tracing::warn!(%error, "the logs were not closed in order");
        }
    }
}
