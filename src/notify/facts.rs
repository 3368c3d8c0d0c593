//! What a message about a build can tell. Collected from the store by the caller; nothing here is looked up later.

use crate::base::Timestamp;
use crate::model::{
    BuildRecord, BuilderRecord, BuildsetRecord, Change, Outcome, Report, ReportSubject, StepRecord, Value,
};

/// What a report is about, with everything that a message about it can tell: one line a subject.
#[derive(Clone, Debug)]
pub enum ReportFacts {
    /// A build that ended.
    Build(Box<BuildFacts>),
}

/// Everything a message about a build can tell.
#[derive(Clone, Debug)]
pub struct BuildFacts {
    pub report: Report,
    /// Names this installation for all time.
    pub installation: String,
    /// The installation's name for people.
    pub title: String,
    /// Address of the pages, ends with `/`.
    pub url: String,
    pub builder: BuilderRecord,
    /// Name of the worker.
    pub worker: String,
    pub build: BuildRecord,
    pub buildset: Option<BuildsetRecord>,
    /// Name of what made the buildset.
    pub scheduler: String,
    /// The changes that are new in the build, oldest first.
    pub changes: Vec<Change>,
    pub steps: Vec<StepRecord>,
    /// The outcome of the build before, where the report does not say.
    pub previous: Option<Outcome>,
    /// The last lines of each failed step's log.
    pub excerpts: Vec<Excerpt>,
    /// The present moment.
    pub now: Timestamp,
}

/// The end of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// Name of the step.
    pub step: String,
    /// Name of the log.
    pub log: String,
    /// Its last lines, decoded.
    pub lines: Vec<String>,
    /// How many lines come before these.
    pub before: u64,
}

impl BuildFacts {
    /// How the build ended.
    pub(super) const fn outcome(&self) -> Outcome {
        self.outcomes().0
    }

    /// How the one before it ended.
    pub(super) fn previous(&self) -> Option<Outcome> {
        self.outcomes().1.or(self.previous)
    }

    /// How the build and the one before it ended, as the report says.
    const fn outcomes(&self) -> (Outcome, Option<Outcome>) {
        match &self.report.subject {
            ReportSubject::Build { outcome, previous, .. } => (*outcome, *previous),
        }
    }

    /// The person who forced the build, if one did.
    pub(super) fn owner(&self) -> Option<&str> {
        let property = self.build.properties.get("owner").or_else(|| self.buildset.as_ref()?.properties.get("owner"));
        property.and_then(Value::as_str).map(str::trim).filter(|owner| !owner.is_empty())
    }
}
