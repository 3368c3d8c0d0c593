//! What the master itself writes to logs: lines of scripts, and the ends of logs.
//!
//! Writes to one log keep their order; logs do not wait for each other. The text that waits is bounded: when
//! it is too much, the engine task waits, which is safe because nothing here waits for the engine task.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::disk_full::retry_while_disk_full;
use super::keyed_queue::KeyedQueue;
use super::{Alerts, MasterError};
use crate::model::{BuildId, LogId};
use crate::store::{LogPart, LogStore, SourcePart, StoreError};

/// Text that may wait to be written. A script's line is short; this is a second's worth of the slowest disk.
const WAITING_BYTES_MAX: usize = 16 << 20;
/// Even an empty write counts as so many bytes, so that the number of writes is bounded, too.
const WRITE_BYTES_MIN: usize = 64;
/// Logs written to at the same time: enough that they share one sync of the disk.
const LOGS_AT_ONCE: usize = 64;
/// The source of the master's lines in a log.
const SOURCE: &str = "master";

/// Takes writes in order and carries them out.
#[derive(Debug)]
pub(super) struct LogWrites {
    logs: Arc<dyn LogStore>,
    alerts: Alerts,
    queue: KeyedQueue<(BuildId, LogId), Write>,
    room: Arc<Semaphore>,
}

#[derive(Debug)]
struct Write {
    change: LogChange,
    _room: OwnedSemaphorePermit,
}

#[derive(Debug)]
enum LogChange {
    Append { n: u64, part: LogPart },
    Close,
}

impl LogWrites {
    pub fn new(logs: impl LogStore + 'static, alerts: Alerts) -> Self {
        Self {
            logs: Arc::new(logs),
            alerts,
            queue: KeyedQueue::new(),
            room: Arc::new(Semaphore::new(WAITING_BYTES_MAX)),
        }
    }

    /// Orders whole lines appended as the master's part `n` of a log; waits while too much waits.
    pub async fn append(&self, build: BuildId, log: LogId, n: u64, part: LogPart) {
        self.order(build, log, part.text.len(), LogChange::Append { n, part }).await;
    }

    /// Orders the end of a log, after all that was ordered before.
    pub async fn close(&self, build: BuildId, log: LogId) {
        self.order(build, log, 0, LogChange::Close).await;
    }

    /// Carries out what is ordered, until a write fails.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), MasterError> {
        let (logs, alerts) = (&self.logs, &self.alerts);
        let result = self
            .queue
            .run(LOGS_AT_ONCE, &stop, |(build, log), write| async move {
                perform(&**logs, alerts, (build, log), write).await.map_err(|source| MasterError::Log {
                    build,
                    log,
                    source,
                })
            })
            .await;
        self.room.close();
        result
    }

    /// Returns true when everything that was ordered is durable, false if a write failed.
    pub async fn drained(&self) -> bool {
        self.room.acquire_many(permits(WAITING_BYTES_MAX)).await.is_ok()
    }

    /// After a write failed the master ends; orders are then dropped, and come again after the next start.
    async fn order(&self, build: BuildId, log: LogId, bytes: usize, change: LogChange) {
        let bytes = bytes.clamp(WRITE_BYTES_MIN, WAITING_BYTES_MAX);
        if let Ok(room) = Arc::clone(&self.room).acquire_many_owned(permits(bytes)).await {
            self.queue.append((build, log), Write { change, _room: room });
        }
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("the bound is far below 4 GiB")
}

async fn perform(
    logs: &dyn LogStore,
    alerts: &Alerts,
    (build, log): (BuildId, LogId),
    write: Write,
) -> Result<(), StoreError> {
    match write.change {
        LogChange::Append { n, part } => {
            retry_while_disk_full(alerts, "lines of logs", || {
                let part = SourcePart { source: SOURCE, n, part: part.clone() };
                logs.append(build, log, part)
            })
            .await
        }
        LogChange::Close => {
            retry_while_disk_full(alerts, "the ends of logs", || logs.finish(build, log)).await.map(|_lines| ())
        }
    }
}
