//! What waits for a user function that gave no answer, and what is known of such a function.

use serde::{Deserialize, Serialize};

use crate::base::Timestamp;
use crate::model::{ChangeId, StampSpec};

/// At most so many changes wait for one scheduler's decision; the oldest leave first. A function that fails for
/// every change of a busy repository fills it in days, and its alert stands all the while.
pub(in crate::engine) const PENDING_MAX: usize = 1_000;

/// At most so many buildsets are owed by one dependent scheduler; the oldest leave first.
pub(in crate::engine) const OWED_MAX: usize = 1_000;

/// When to ask again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Retry {
    /// How often it was asked in vain.
    pub tries: u32,
    /// None: with the next configuration.
    pub due: Option<Timestamp>,
}

/// A change that a scheduler has not decided on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct PendingChange {
    pub change: ChangeId,
    pub retry: Retry,
}

/// A buildset that a dependent scheduler has still to make.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct OwedBuildset {
    pub stamps: Vec<StampSpec>,
    pub changes: Vec<ChangeId>,
}

/// What is known of a function that failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct FunctionTrouble {
    /// Its last error; none once it has recovered.
    pub message: Option<String>,
    /// How many processes it has cost under this configuration.
    pub losses: u32,
    /// It is not asked.
    pub suspended: bool,
}
