//! What schedulers and change sources remember.

use serde::{Deserialize, Serialize};

use super::{OwedBuildset, PendingChange, Retry};
use crate::base::Timestamp;
use crate::model::{ChangeId, ChangeSourceId, Cursor, SchedulerId};

/// At most so many changes wait in one scheduler; the oldest leave first. Only a scheduler that is never due
/// (an "only if changed" one that waits for an important change) comes near.
pub(in crate::engine) const QUEUED_MAX: usize = 10_000;

/// A scheduler, configured now or earlier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Scheduler {
    pub id: SchedulerId,
    /// The present configuration has it.
    pub active: bool,
    /// Nobody switched it off.
    pub enabled: bool,
    /// Changes taken and not yet built, oldest first.
    pub queued: Vec<QueuedChange>,
    /// Changes that it has not decided on, oldest first.
    pub pending: Vec<PendingChange>,
    /// Buildsets that a dependent scheduler has still to make, oldest first.
    pub owed: Vec<OwedBuildset>,
    /// Its last buildset could not be made: none is made before then.
    pub retry: Option<Retry>,
    /// A timed scheduler's next moment.
    pub next: Option<Timestamp>,
    /// When it last made a buildset, or let a moment pass.
    pub last: Option<Timestamp>,
}

/// A change that waits for its scheduler's quiet period or moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct QueuedChange {
    pub change: ChangeId,
    pub important: bool,
    /// When the quiet period ends; that of the newest important change counts.
    pub due: Option<Timestamp>,
}

impl Scheduler {
    /// A scheduler that was never there before.
    pub const fn new(id: SchedulerId) -> Self {
        Self {
            id,
            active: true,
            enabled: true,
            queued: Vec::new(),
            pending: Vec::new(),
            owed: Vec::new(),
            retry: None,
            next: None,
            last: None,
        }
    }

    /// Forgets what waits; returns the changes that it held.
    pub fn forget(&mut self) -> Vec<ChangeId> {
        self.next = None;
        self.retry = None;
        let queued = std::mem::take(&mut self.queued).into_iter().map(|queued| queued.change);
        let pending = std::mem::take(&mut self.pending).into_iter().map(|pending| pending.change);
        let owed = std::mem::take(&mut self.owed).into_iter().flat_map(|owed| owed.changes);
        queued.chain(pending).chain(owed).collect()
    }

    /// Takes these changes out of the queue; returns those that were in it.
    pub fn take(&mut self, changes: &[ChangeId]) -> Vec<ChangeId> {
        let mut taken = Vec::new();
        self.queued.retain(|queued| {
            let go = changes.contains(&queued.change);
            if go {
                taken.push(queued.change);
            }
            !go
        });
        taken
    }
}

/// A change source, configured now or earlier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Source {
    pub id: ChangeSourceId,
    pub active: bool,
    /// What it has seen; none before the first poll.
    pub cursor: Option<Cursor>,
    /// The last poll that went well and was worth a fact.
    pub polled: Option<Timestamp>,
    /// A hook told of something that it has yet to see.
    pub wanted: bool,
    /// Polls that failed since.
    pub failures: u64,
    /// When to try again after a failure.
    pub retry: Option<Timestamp>,
}

impl Source {
    /// A source that was never there before.
    pub const fn new(id: ChangeSourceId) -> Self {
        Self { id, active: true, cursor: None, polled: None, wanted: false, failures: 0, retry: None }
    }

    /// Forgets what it has seen.
    pub fn forget(&mut self) {
        *self = Self { active: self.active, ..Self::new(self.id) };
    }
}
