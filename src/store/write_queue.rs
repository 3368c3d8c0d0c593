//! What the writer thread is asked to do, and how: one queue, so that what is asked first is durable first.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use super::StoreError;
use super::logs::{LogKey, LogPart, LogsToKeep};
use super::retention::{Retired, Retirement};
use crate::model::Fact;

/// WriteQueue that may wait; callers beyond that wait in turn. The engine's owner commits one turn at a time, so this is for parts of
/// logs, and those have a bound of their own by size.
const QUEUE_MAX: usize = 4096;

/// Where an answer goes.
pub(crate) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

/// A job for the writer thread.
#[derive(Debug)]
pub(crate) enum WriteJob {
    Commit(Commit),
    Append(Append),
    CloseLog(LogKey, Answer<u64>),
    /// A log keeps so many bytes of text.
    LimitLog(LogKey, u64),
    /// What was kept for the facts up to this number is not needed any more.
    Trim(u64),
    Retire(Box<Retirement>, Answer<Retired>),
    /// Segments of the journal were packed, or could not be.
    Packed(Packed),
    /// Brings everything from the journal to where it stays.
    Settle(Answer<()>),
    Close(Answer<()>),
}

/// Facts to make durable.
#[derive(Debug)]
pub(crate) struct Commit {
    pub facts: Vec<Arc<Fact>>,
    pub answer: Answer<()>,
}

/// A part to append.
#[derive(Debug)]
pub(crate) struct Append {
    pub key: LogKey,
    pub source: String,
    pub n: u64,
    pub part: LogPart,
    pub answer: Answer<()>,
    /// Its place in the queue by size, given back when it is done.
    pub permit: OwnedSemaphorePermit,
}

/// What became of packing segments of the journal.
#[derive(Debug)]
pub(crate) struct Packed {
    /// Logs that are in a pack now, with their numbers of lines; or what is still to be done.
    pub logs: Result<Vec<(LogKey, u64)>, LogsToKeep>,
}

/// A job with its place in the queue, which it gives back when it is done.
#[derive(Debug)]
pub(crate) struct Queued {
    pub job: WriteJob,
    _place: Option<OwnedSemaphorePermit>,
}

/// Sends jobs.
#[derive(Clone, Debug)]
pub(crate) struct WriteQueue {
    sender: mpsc::UnboundedSender<Queued>,
    places: Arc<Semaphore>,
}

impl WriteQueue {
    /// A queue.
    pub fn new() -> (Self, mpsc::UnboundedReceiver<Queued>) {
        let (sender, queue) = mpsc::unbounded_channel();
        (Self { sender, places: Arc::new(Semaphore::new(QUEUE_MAX)) }, queue)
    }

    /// Puts a job into the queue: it has its place when this returns.
    pub async fn send(&self, job: WriteJob) -> Result<(), StoreError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let queued = Queued { job, _place: Some(place) };
        self.sender.send(queued).map_err(|_| StoreError::Closed)
    }

    /// Puts word of finished work into the queue; there is one at a time.
    pub fn tell(&self, packed: Packed) {
        // A writer that has ended does not need it.
        let _ = self.sender.send(Queued { job: WriteJob::Packed(packed), _place: None });
    }

    /// Sends a job and waits for its answer.
    pub async fn ask<T>(&self, job: impl FnOnce(Answer<T>) -> WriteJob) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        self.send(job(answer)).await?;
        answered.await.map_err(|_| StoreError::Closed)?
    }
}
