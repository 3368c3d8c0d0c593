//! Reports to people: what the outbox holds.

use serde::{Deserialize, Serialize};

use super::{BuildId, BuilderId, ConfigDigest, Outcome, ReportId};
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
        }
    }
}

/// What it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReportSubject {
    /// A build that ended; `previous` is the outcome of the last build of this builder on the same branch that says
    /// something about it.
    Build { build: BuildId, builder: BuilderId, outcome: Outcome, previous: Option<Outcome> },
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
}

/// A report that did not arrive as it was meant, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRecord {
    pub report: Report,
    /// When it was given up, or delivered in part.
    pub at: Timestamp,
    /// Nobody got it; else somebody did not get it, or not in the words that were wanted.
    pub given_up: bool,
    /// Why, for people.
    pub why: String,
}
