//! What shares one sync: gathering it from the queue, and telling apart what cannot be taken.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::error::TryRecvError;

use crate::model::Fact;
use crate::store::StoreError;
use crate::store::blocking::block_until;
use crate::store::write_queue::{Append, Commit, Queued, WriteJob};

/// Text of logs and number of jobs that share one sync: more would delay the answers for little.
const BATCH_BYTES_MAX: usize = 1 << 20;
const BATCH_JOBS_MAX: usize = 1024;

/// Parts of logs wait this long for company, unless it is that much text: what follows from a command's end usually comes within this
/// time, and shares the sync. Nobody waits for a part alone.
const LINGER: Duration = Duration::from_millis(2);
const LINGER_BYTES_MAX: usize = 256 << 10;

/// What shares one sync.
#[derive(Default)]
pub(super) struct Together {
    pub commits: Vec<Commit>,
    pub appends: Vec<Append>,
    bytes: usize,
}

impl Together {
    pub(super) fn push(&mut self, job: WriteJob) -> Option<WriteJob> {
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

    pub(super) fn is_full(&self) -> bool {
        self.bytes >= BATCH_BYTES_MAX || self.commits.len() + self.appends.len() >= BATCH_JOBS_MAX
    }

    /// Whether nobody minds if it waits for more.
    fn can_wait(&self) -> bool {
        self.commits.is_empty() && self.bytes < LINGER_BYTES_MAX && !self.is_full()
    }
}

/// Adds what waits right behind, and returns the job after that. Parts of logs alone wait a moment for what follows from them.
pub(super) fn gather(batch: &mut Together, queue: &mut UnboundedReceiver<Queued>) -> Option<WriteJob> {
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

pub(super) type Refused = Vec<(Commit, StoreError)>;

/// Splits off the commits whose facts do not follow the last one.
pub(super) fn in_order(commits: Vec<Commit>, mut last: u64) -> (Vec<Commit>, Refused) {
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
