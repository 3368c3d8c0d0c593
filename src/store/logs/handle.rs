//! Logs as others hold them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Semaphore, broadcast, oneshot};

use super::cache::LogCache;
use super::growth::LogGrowth;
use super::key::LogKey;
use super::limits::LogLimits;
use super::line::{LeftOut, LogLine, LogPart};
use super::read::{carry_out, plan};
use super::writing::LogWriting;
use crate::model::{BuildId, LogId};
use crate::store::StoreError;
use crate::store::directory::Directory;
use crate::store::disk_space::DiskSpace;
use crate::store::packs::PackCache;
use crate::store::write_queue::{Append, WriteJob, WriteQueue};

/// Text that may wait to be written, in KiB: what a slow disk may pile up in memory before those who append are slowed
/// down. Less than the room that is kept free on the disk: what has its place in the queue finds room.
const QUEUE_KIB_MAX: u32 = 32 << 10;

/// News of growth kept for a slow listener; one that falls behind reads the present state instead.
const GROWTH_MAX: usize = 1024;

/// The bodies of logs.
#[derive(Clone, Debug)]
pub struct Logs {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cache: Arc<LogCache>,
    jobs: WriteQueue,
    queue: Arc<Semaphore>,
    growth: broadcast::Sender<LogGrowth>,
    space: Option<DiskSpace>,
    is_closed: AtomicBool,
}

/// A part that has its place in the order of what becomes durable.
#[derive(Debug)]
pub struct Placed {
    answered: oneshot::Receiver<Result<(), StoreError>>,
}

impl Placed {
    /// Waits until it is durable.
    pub async fn durable(self) -> Result<(), StoreError> {
        self.answered.await.map_err(|_| StoreError::Closed)?
    }
}

impl Logs {
    /// The logs of a directory, and what the writer thread needs to change them.
    pub(crate) fn open(
        directory: &Directory,
        limits: &LogLimits,
        jobs: WriteQueue,
        packs: Arc<PackCache>,
        space: Option<DiskSpace>,
    ) -> (Self, LogWriting) {
        let cache = Arc::new(LogCache::new(directory, packs));
        let (growth, _) = broadcast::channel(GROWTH_MAX);
        let writing = LogWriting::new(Arc::clone(&cache), limits, growth.clone());
        let queue = Arc::new(Semaphore::new(usize::try_from(QUEUE_KIB_MAX).unwrap_or(usize::MAX)));
        let inner = Inner { cache, jobs, queue, growth, space, is_closed: AtomicBool::new(false) };
        (Self { inner: Arc::new(inner) }, writing)
    }

    /// Appends part `n` of `source` (a command id, or `master`) to a log. A part that is there
    /// already is left out. Durable when it returns; appends and commits of several callers share one sync.
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
        self.place(build, log, source, n, part).await?.durable().await
    }

    /// The same, but returns as soon as the part has its place in the queue: everything that is appended or committed after that
    /// is durable only together with it.
    pub async fn place(
        &self,
        build: BuildId,
        log: LogId,
        source: &str,
        n: u64,
        part: LogPart,
    ) -> Result<Placed, StoreError> {
        self.check_open()?;
        self.check_space()?;
        let kib = u32::try_from(part.text.len() >> 10).unwrap_or(QUEUE_KIB_MAX).saturating_add(1).min(QUEUE_KIB_MAX);
        let queue = Arc::clone(&self.inner.queue);
        let permit = queue.acquire_many_owned(kib).await.map_err(|_| StoreError::Closed)?;
        let (answer, answered) = oneshot::channel();
        let append = Append { key: LogKey { build, log }, source: source.to_owned(), n, part, answer, permit };
        self.inner.jobs.send(WriteJob::Append(append)).await?;
        Ok(Placed { answered })
    }

    /// Refuses if the disk is nearly full.
    pub(crate) fn check_space(&self) -> Result<(), StoreError> {
        self.inner.space.as_ref().map_or(Ok(()), DiskSpace::check)
    }

    /// The number of the next part expected of a source (0 if nothing came yet): what a resumed command goes on from.
    pub fn next(&self, build: BuildId, log: LogId, source: &str) -> Result<u64, StoreError> {
        self.check_open()?;
        self.inner.cache.with(LogKey { build, log }, |log| Ok(log.next(source)))
    }

    /// From now on the log keeps about so many bytes of text.
    pub async fn limit(&self, build: BuildId, log: LogId, bytes_max: u64) -> Result<(), StoreError> {
        self.check_open()?;
        self.inner.jobs.send(WriteJob::LimitLog(LogKey { build, log }, bytes_max)).await
    }

    /// No more lines follow; returns their number. Idempotent.
    ///
    /// A crash right afterwards may leave the log open: its lines are durable, that it was closed is not. Closing it again
    /// is always right.
    pub async fn close(&self, build: BuildId, log: LogId) -> Result<u64, StoreError> {
        self.check_open()?;
        self.inner.jobs.ask(|answer| WriteJob::CloseLog(LogKey { build, log }, answer)).await
    }

    /// Number of lines now, those left out included.
    pub fn lines(&self, build: BuildId, log: LogId) -> Result<u64, StoreError> {
        self.check_open()?;
        self.inner.cache.with(LogKey { build, log }, |log| Ok(log.lines()))
    }

    /// Up to `count` lines from `first`; fewer at the end. Quick at any place of a large log.
    ///
    /// The line at index `i` of the answer is line `first + i` of the log, always: of lines that were left out
    /// ([`Self::left_out`]) or are damaged, the first reads as a header line that tells so, the others as empty
    /// header lines.
    pub fn read(&self, build: BuildId, log: LogId, first: u64, count: u64) -> Result<Vec<LogLine>, StoreError> {
        self.check_open()?;
        let pieces = self.inner.cache.with(LogKey { build, log }, |log| Ok(plan(log, first, count)))?;
        carry_out(pieces, &self.inner.cache.handles, &self.inner.cache.packs)
    }

    /// The last `count` lines.
    pub fn tail(&self, build: BuildId, log: LogId, count: u64) -> Result<Vec<LogLine>, StoreError> {
        self.check_open()?;
        let pieces = self
            .inner
            .cache
            .with(LogKey { build, log }, |log| Ok(plan(log, log.lines().saturating_sub(count), count)))?;
        carry_out(pieces, &self.inner.cache.handles, &self.inner.cache.packs)
    }

    /// The lines that the log's bounds left out, if any.
    pub fn left_out(&self, build: BuildId, log: LogId) -> Result<Option<LeftOut>, StoreError> {
        self.check_open()?;
        self.inner.cache.with(LogKey { build, log }, |log| Ok(log.left_out()))
    }

    /// News of every log that grows or is closed from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<LogGrowth> {
        self.inner.growth.subscribe()
    }

    /// Refuses everything from now on.
    pub(crate) fn close_all(&self) {
        self.inner.is_closed.store(true, Ordering::SeqCst);
    }

    fn check_open(&self) -> Result<(), StoreError> {
        if self.inner.is_closed.load(Ordering::SeqCst) { Err(StoreError::Closed) } else { Ok(()) }
    }
}
