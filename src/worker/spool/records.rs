//! The small files by which worker and runner tell each other how far they are.

use serde::{Deserialize, Serialize};

use crate::model::StopLevel;

/// What the master has for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::worker) struct Acked {
    /// Number of parts.
    pub parts: u64,
    /// Where the next one begins in `out`.
    pub offset: u64,
}

/// How hard to stop a command, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::worker) struct Stop {
    pub level: StopLevel,
    pub why: String,
    /// Counts the requests, so that a repeated one is seen.
    pub count: u64,
}
