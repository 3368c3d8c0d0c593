//! The thread for slow work on files that nobody should wait for: filling the database, packing, writing snapshots.

use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};

use super::StoreError;

/// Jobs that may wait. They are few (a batch of records every two seconds, a snapshot now and then); who finds the queue full does the
/// work itself, or waits.
const JOBS_MAX: usize = 64;

type Job = Box<dyn FnOnce() + Send>;

/// Hands jobs to the thread; joins it when dropped.
#[derive(Debug)]
pub(crate) struct BackgroundThread {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl BackgroundThread {
    /// Starts the thread.
    pub fn start() -> Result<Self, StoreError> {
        let (jobs, mut queue) = mpsc::channel::<Job>(JOBS_MAX);
        let run = move || {
            while let Some(job) = queue.blocking_recv() {
                job();
            }
        };
        let thread = std::thread::Builder::new()
            .name("store-background".to_owned())
            .spawn(run)
            .map_err(StoreError::io("start the thread of", std::path::Path::new("store-background")))?;
        Ok(Self { jobs: Some(jobs), thread: Mutex::new(Some(thread)) })
    }

    /// Does a job when its turn comes, or at once if too many wait.
    pub fn push(&self, job: impl FnOnce() + Send + 'static) {
        let Some(jobs) = &self.jobs else { return };
        match jobs.try_send(Box::new(job)) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(job) | mpsc::error::TrySendError::Closed(job)) => job(),
        }
    }

    /// Does a job and returns what it came to.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move || {
            // Whoever asked may have gone meanwhile.
            let _ = answer.send(job());
        });
        let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
        jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for BackgroundThread {
    fn drop(&mut self) {
        self.jobs.take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's background thread died");
        }
    }
}
