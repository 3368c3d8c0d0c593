//! The functions of a configuration that decide, by what they are for: facts and alerts name them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{BuilderId, SchedulerId};

/// A function of the configuration: what it decides, and for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UserFunction {
    pub kind: FunctionKind,
    pub of: FunctionOwner,
}

/// What a function belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FunctionOwner {
    Scheduler(SchedulerId),
    Builder(BuilderId),
}

/// What a function decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum FunctionKind {
    /// Whether a scheduler takes a change.
    Filter,
    /// Whether a change is important to a scheduler.
    Important,
    /// The properties of a scheduler's buildsets.
    Properties,
    /// The priority of a builder's requests.
    Priority,
    /// Whether two requests of a builder may be one build.
    Collapse,
    /// Which request of a builder goes next.
    NextBuild,
    /// Which worker a request of a builder goes to.
    NextWorker,
    /// Whether a builder may start on a worker.
    CanStart,
    /// Whether pages leave a step of a builder out.
    HideIf,
    /// A pattern of a scheduler's filter; no function, but it decides and can be wrong.
    Pattern,
    /// When a timed scheduler is due: its `cron` and zone.
    Times,
}

impl FunctionKind {
    /// Its word in a configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Important => "important",
            Self::Properties => "properties",
            Self::Priority => "priority",
            Self::Collapse => "collapse",
            Self::NextBuild => "next_build",
            Self::NextWorker => "next_worker",
            Self::CanStart => "can_start",
            Self::HideIf => "hide_if",
            Self::Pattern => "pattern",
            Self::Times => "times",
        }
    }

    /// What happens until it gives an answer again, for people.
    #[must_use]
    pub const fn meanwhile(self) -> &'static str {
        match self {
            Self::Filter | Self::Important => "the changes that it was asked about wait, and it is asked again",
            Self::Properties => "the builds that need its properties wait, and it is asked again",
            Self::Priority => "new requests get priority 0",
            Self::Collapse => "each request gets a build of its own",
            Self::NextBuild => "the oldest request of the highest priority starts first",
            Self::NextWorker => "the least loaded worker is used",
            Self::CanStart => "a request does not start on a worker about which it gave no answer",
            Self::HideIf => "the step is shown",
            Self::Pattern => "the pattern matches nothing",
            Self::Times => "the scheduler starts nothing",
        }
    }
}

impl UserFunction {
    /// The function of this kind of a scheduler or builder.
    pub fn new(kind: FunctionKind, of: impl Into<FunctionOwner>) -> Self {
        Self { kind, of: of.into() }
    }
}

impl From<SchedulerId> for FunctionOwner {
    fn from(id: SchedulerId) -> Self {
        Self::Scheduler(id)
    }
}

impl From<BuilderId> for FunctionOwner {
    fn from(id: BuilderId) -> Self {
        Self::Builder(id)
    }
}

impl fmt::Display for UserFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.of {
            FunctionOwner::Scheduler(id) => write!(f, "`{}` of scheduler {id}", self.kind.word()),
            FunctionOwner::Builder(id) => write!(f, "`{}` of builder {id}", self.kind.word()),
        }
    }
}
