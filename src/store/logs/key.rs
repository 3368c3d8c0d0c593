//! Which log is meant.

use crate::model::{BuildId, LogId};

/// Which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogKey {
    pub build: BuildId,
    pub log: LogId,
}
