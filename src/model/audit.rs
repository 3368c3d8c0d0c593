//! The audit log: which orders were carried out, who gave them, and when.

use serde::{Deserialize, Serialize};

use super::{
    Actor, BuildId, BuilderId, BuildsetId, Cause, ChangeId, ConfigDigest, Event, Fact, MadeBy, Outcome, Report,
    ReportId, RequestId, SchedulerId, StopReason, WorkerId,
};
use crate::base::Timestamp;

/// An order that was carried out. Its number is that of the fact that tells of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    pub seq: u64,
    pub at: Timestamp,
    pub by: Actor,
    pub act: AuditAct,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AuditAct {
    /// Builds were requested by hand.
    Forced {
        buildset: BuildsetId,
        builders: Vec<BuilderId>,
        reason: String,
    },
    /// A build was requested once more.
    Rebuilt {
        build: BuildId,
        buildset: BuildsetId,
    },
    /// A build was told to stop.
    Stopped {
        build: BuildId,
        why: String,
    },
    /// A build that could not go on was ended.
    Ended {
        build: BuildId,
    },
    /// A request was cancelled while it waited.
    Cancelled {
        request: RequestId,
    },
    Prioritised {
        request: RequestId,
        priority: i64,
    },
    /// A scheduler was switched on or off.
    Switched {
        scheduler: SchedulerId,
        enabled: bool,
    },
    /// A worker was paused or unpaused.
    Paused {
        worker: WorkerId,
        paused: bool,
        reason: Option<String>,
    },
    /// A worker was told to finish its builds and go, or not to.
    Retired {
        worker: WorkerId,
        graceful: bool,
    },
    /// A configuration was loaded.
    Reloaded {
        digest: ConfigDigest,
    },
    /// A configuration was rejected.
    Rejected,
    /// A change was reported.
    Reported {
        change: ChangeId,
    },
    /// A change was reported that change sources will find by themselves.
    Announced {
        sources: u64,
    },
    /// A report that was given up was sent again.
    Resent {
        report: ReportId,
    },
    /// A report that waited was given up.
    GivenUp {
        report: ReportId,
    },
}

impl AuditAct {
    /// What a fact tells of an order; none if it tells nothing of one, or only what follows from it.
    #[must_use]
    pub fn of(fact: &Fact) -> Option<(&Actor, Self)> {
        let Cause::Order(by) = &fact.cause else { return None };
        let act = match &fact.event {
            Event::BuildsetMade { buildset, requests } => match (buildset.made_by, buildset.rebuilt) {
                (MadeBy::Rebuild, Some(build)) => Self::Rebuilt { build, buildset: buildset.id },
                // A scheduler that a reported change set off is nobody's order.
                _ if matches!(by, Actor::Hook { .. }) => return None,
                _ => Self::Forced {
                    buildset: buildset.id,
                    builders: requests.iter().map(|request| request.builder).collect(),
                    reason: buildset.reason.clone(),
                },
            },
            Event::BuildStopping { build, why, reason: StopReason::Ordered, outcome: _ } => {
                Self::Stopped { build: *build, why: why.clone() }
            }
            Event::BuildEnded { build, outcome: Outcome::Exception, .. } => Self::Ended { build: *build },
            Event::RequestEnded { request, outcome: Outcome::Cancelled } => Self::Cancelled { request: *request },
            Event::RequestPriority { request, priority } => {
                Self::Prioritised { request: *request, priority: *priority }
            }
            Event::SchedulerEnabled { scheduler, enabled } => {
                Self::Switched { scheduler: *scheduler, enabled: *enabled }
            }
            Event::WorkerPaused { worker, paused, reason } => {
                Self::Paused { worker: *worker, paused: *paused, reason: reason.clone() }
            }
            Event::WorkerGraceful { worker, graceful } => Self::Retired { worker: *worker, graceful: *graceful },
            Event::PlanAdopted { digest, .. } => Self::Reloaded { digest: digest.clone() },
            Event::PlanRefused { .. } => Self::Rejected,
            Event::ChangeArrived { change } => Self::Reported { change: change.id },
            Event::ChangeAnnounced { change: _, sources } => Self::Announced { sources: sources.len() as u64 },
            Event::ReportQueued { report: Report { again: Some(report), .. } } => Self::Resent { report: *report },
            Event::ReportDropped { report, .. } => Self::GivenUp { report: *report },
            _ => return None,
        };
        Some((by, act))
    }

    /// Its word in the API.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Forced { .. } => "force",
            Self::Rebuilt { .. } => "rebuild",
            Self::Stopped { .. } => "stop",
            Self::Ended { .. } => "end",
            Self::Cancelled { .. } => "cancel",
            Self::Prioritised { .. } => "prioritise",
            Self::Switched { .. } => "enable",
            Self::Paused { .. } => "pause",
            Self::Retired { .. } => "retire",
            Self::Reloaded { .. } => "reload",
            Self::Rejected => "reload_rejected",
            Self::Reported { .. } => "change",
            Self::Announced { .. } => "announce",
            Self::Resent { .. } => "resend",
            Self::GivenUp { .. } => "give_up",
        }
    }
}
