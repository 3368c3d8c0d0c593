//! What a person, a token or a hook can want done. The only list of it: pages, API, command line and hooks build one of
//! these, the master asks whether the one who gives it may, and the engine or the shell carries it out.

use std::collections::BTreeMap;

use super::{BuildId, BuilderId, BuildsetRecord, NewChange, Report, ReportId, RequestId, StampSpec, Value};

/// Something to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Start builds by hand.
    Force(ForceOrder),
    /// Start a build that ended once more. `of` is what is known of it, which the master looks up; none: nothing is.
    Rebuild { build: BuildId, of: Option<Box<BuiltOf>> },
    /// Stop a build.
    StopBuild { build: BuildId, why: String },
    /// End a build at once, as an exception, whatever it does: it cannot go on.
    EndBuild { build: BuildId, why: String },
    /// Cancel a request; if its build runs, that is stopped.
    CancelRequest { request: RequestId, why: String },
    /// Change the priority of a request.
    SetPriority { request: RequestId, priority: i64 },
    /// Switch a scheduler on or off.
    EnableScheduler { scheduler: String, enabled: bool },
    /// Pause or unpause a worker.
    PauseWorker { worker: String, paused: bool, reason: Option<String> },
    /// Let a worker finish its builds and go.
    StopWorker { worker: String },
    /// End a worker at once.
    KillWorker { worker: String, why: String },
    /// Record changes. `delivery` names this delivery, if the sender gives it a name: one that came before is not
    /// recorded again.
    AddChanges { changes: Vec<NewChange>, delivery: Option<String>, intake: Intake },
    /// Poll a change source now; none: all.
    Poll { source: Option<String> },
    /// Send a report again that was given up. `of` is what the master knows of it; none: there is no such one.
    Resend { report: ReportId, of: Option<Box<Report>> },
    /// Try to deliver a waiting report now, whatever pause there is.
    DeliverNow { report: ReportId },
    /// Give up a waiting report.
    GiveUpReport { report: ReportId },
    /// Load the configuration again. `why` is for the record.
    Reload { why: String },
}

/// What is to become of changes that a hook tells of. Those of people and tokens are always recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Intake {
    /// They are recorded, unless a poller looks at their repository: that one records what it sees itself.
    #[default]
    Report,
    /// They are recorded in any case: somebody wants them built.
    Always,
    /// The pollers of their repositories look at once, and nothing else happens.
    Wake,
}

/// Builds by hand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ForceOrder {
    /// A force scheduler; none: any force scheduler that has the builder, or, if there is none, directly.
    pub scheduler: Option<String>,
    /// Builder names; empty: all of the scheduler.
    pub builders: Vec<String>,
    /// Parameters by name.
    pub params: BTreeMap<String, Value>,
    /// What to check out; empty: the scheduler's codebases.
    pub stamps: Vec<StampSpec>,
    pub reason: String,
    /// As given; the engine says whether it is a number.
    pub priority: Option<Value>,
}

/// What a build was made of.
#[derive(Clone, Debug, PartialEq)]
pub struct BuiltOf {
    pub builder: BuilderId,
    /// The buildset of its request, with the changes of all of its requests.
    pub buildset: BuildsetRecord,
}

impl Order {
    /// The reason that is given with it, if there is one.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Force(ForceOrder { reason, .. }) => Some(reason),
            Self::StopBuild { why, .. }
            | Self::EndBuild { why, .. }
            | Self::CancelRequest { why, .. }
            | Self::KillWorker { why, .. }
            | Self::Reload { why } => Some(why),
            Self::PauseWorker { reason, .. } => reason.as_deref(),
            Self::Rebuild { .. }
            | Self::SetPriority { .. }
            | Self::EnableScheduler { .. }
            | Self::StopWorker { .. }
            | Self::AddChanges { .. }
            | Self::Poll { .. }
            | Self::Resend { .. }
            | Self::DeliverNow { .. }
            | Self::GiveUpReport { .. } => None,
        }
    }
}
