//! The result of a command, as it is stored.

use serde::{Deserialize, Serialize};

use crate::protocol::{CommandReport, ReportedEnd};

/// Written once, last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::worker) struct Ending {
    /// How many parts of output there are.
    pub parts: u64,
    pub report: StoredReport,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::worker) struct StoredReport {
    pub end: StoredEnd,
    pub code: Option<i64>,
    pub signal: Option<i64>,
    pub why: String,
    #[serde(with = "serde_bytes")]
    pub stdout: Vec<u8>,
    #[serde(with = "serde_bytes")]
    pub stderr: Vec<u8>,
    pub cut: bool,
    pub elapsed_ms: u64,
}

/// What ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::worker) enum StoredEnd {
    Exited,
    Killed,
    IdleTimeout,
    TotalTimeout,
    TooManyLines,
    Interrupted,
    NotStarted,
    Broken,
    Lost,
}

impl StoredReport {
    /// A report with nothing but an end and its reason.
    pub fn of(end: StoredEnd, why: impl Into<String>) -> Self {
        Self {
            end,
            code: None,
            signal: None,
            why: why.into(),
            stdout: Vec::new(),
            stderr: Vec::new(),
            cut: false,
            elapsed_ms: 0,
        }
    }

    /// The same for the wire.
    pub fn for_wire(self) -> CommandReport {
        CommandReport {
            code: self.code,
            signal: self.signal,
            stdout: self.stdout.into(),
            stderr: self.stderr.into(),
            cut: self.cut,
            elapsed_ms: self.elapsed_ms,
            ..CommandReport::of(self.end.for_wire(), self.why)
        }
    }
}

impl StoredEnd {
    const fn for_wire(self) -> ReportedEnd {
        match self {
            Self::Exited => ReportedEnd::Exited,
            Self::Killed => ReportedEnd::Killed,
            Self::IdleTimeout => ReportedEnd::IdleTimeout,
            Self::TotalTimeout => ReportedEnd::TotalTimeout,
            Self::TooManyLines => ReportedEnd::TooManyLines,
            Self::Interrupted => ReportedEnd::Interrupted,
            Self::NotStarted => ReportedEnd::NotStarted,
            Self::Broken => ReportedEnd::Broken,
            Self::Lost => ReportedEnd::Lost,
        }
    }
}
