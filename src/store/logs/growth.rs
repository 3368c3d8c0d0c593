//! News of growing logs, for those who follow them.

use crate::model::{BuildId, LogId};

/// A log grew or was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogGrowth {
    /// Its build.
    pub build: BuildId,
    /// The log.
    pub log: LogId,
    /// How many lines it has now.
    pub lines: u64,
    /// Whether no more will come.
    pub closed: bool,
}
