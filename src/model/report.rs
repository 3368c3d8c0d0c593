//! Reports to people: what the outbox holds.

use serde::{Deserialize, Serialize};

use super::{BuildId, BuilderId, BuildsetId, ConfigDigest, Outcome, ReportId, RequestId};
use crate::base::Timestamp;

/// Why a report is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ReportReason {
    /// The build failed.
    Failure,
    /// It ended with warnings.
    Warnings,
    /// It ended with an exception.
    Exception,
    /// It was cancelled.
    Cancelled,
    /// It succeeded.
    Success,
    /// It failed, and the previous build of the branch did not.
    Problem,
    /// It succeeded, and the previous build of the branch did not: back to green.
    Recovery,
    /// Its outcome differs from that of the one before.
    Change,
    /// Every build is reported.
    Always,
    /// A build was requested, or its request ended without one.
    Pending,
    /// It started.
    Start,
    /// All builds of its buildset ended.
    Set,
}

impl ReportReason {
    /// Its word in templates and in our own API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Warnings => "warnings",
            Self::Exception => "exception",
            Self::Cancelled => "cancelled",
            Self::Success => "success",
            Self::Problem => "problem",
            Self::Recovery => "recovery",
            Self::Change => "change",
            Self::Always => "always",
            Self::Pending => "pending",
            Self::Start => "start",
            Self::Set => "set",
        }
    }
}

/// What it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportSubject {
    /// A build that ended; `previous` is the outcome of the last build of this builder on the same branch that says
    /// something about it.
    Build { build: BuildId, builder: BuilderId, outcome: Outcome, previous: Option<Outcome> },
    /// A build that started.
    Start { build: BuildId, builder: BuilderId },
    /// A request that was made; with an outcome, one that ended without a build.
    Request { request: RequestId, builder: BuilderId, buildset: BuildsetId, outcome: Option<Outcome> },
    /// A buildset whose builds all ended.
    Set { buildset: BuildsetId, outcome: Outcome },
}

impl ReportSubject {
    /// Its word in templates and in our own API.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Build { .. } => "end",
            Self::Start { .. } => "start",
            Self::Request { .. } => "pending",
            Self::Set { .. } => "set",
        }
    }

    /// How what it is about ended; none: it has not.
    #[must_use]
    pub const fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Build { outcome, .. } | Self::Set { outcome, .. } => Some(*outcome),
            Self::Request { outcome, .. } => *outcome,
            Self::Start { .. } => None,
        }
    }

    /// The build that it is about.
    #[must_use]
    pub const fn build(&self) -> Option<BuildId> {
        match self {
            Self::Build { build, .. } | Self::Start { build, .. } => Some(*build),
            Self::Request { .. } | Self::Set { .. } => None,
        }
    }

    /// The builder that it is about.
    #[must_use]
    pub const fn builder(&self) -> Option<BuilderId> {
        match self {
            Self::Build { builder, .. } | Self::Start { builder, .. } | Self::Request { builder, .. } => Some(*builder),
            Self::Set { .. } => None,
        }
    }
}

/// A report in the outbox: kept until delivered, or given up after a stated number of days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its number; with the installation's id it makes the mail's Message-ID, so that a mail sent
    /// twice over a crash is recognised as one.
    pub id: ReportId,
    /// The notifier's name.
    pub notifier: String,
    /// The configuration whose notifier and templates make the text.
    pub plan: ConfigDigest,
    /// Why.
    pub reason: ReportReason,
    /// About what.
    pub subject: ReportSubject,
    /// When it was put into the outbox.
    pub made: Timestamp,
    /// Stands for what it is about, a builder and the revisions that it builds: reports of one notifier about the same
    /// target arrive in order. Empty: it may arrive at any time.
    #[serde(default)]
    pub target: String,
    /// A later report about the same target makes it needless.
    #[serde(default)]
    pub latest_only: bool,
    /// The report that was given up and is sent again as this one.
    #[serde(default)]
    pub again: Option<ReportId>,
}

/// A report in the outbox, and how its delivery goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingReport {
    pub report: Report,
    /// Why it was not delivered when last tried.
    pub error: Option<String>,
    /// How often it was tried.
    pub tries: u64,
    /// When it is tried again, if it was.
    pub retry: Option<Timestamp>,
}

/// A report that did not arrive as it was meant, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRecord {
    pub report: Report,
    /// When it was given up, or delivered in part.
    pub at: Timestamp,
    /// Nobody got it; else somebody did not get it, or not in the words that were wanted.
    pub given_up: bool,
    /// How often it was tried.
    #[serde(default)]
    pub tries: u64,
    /// Why, for people.
    pub why: String,
}
