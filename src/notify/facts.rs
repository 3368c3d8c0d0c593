//! What a message can tell. Collected from the store by the caller; nothing here is looked up later.

use crate::base::Timestamp;
use crate::model::{
    BuildId, BuildRecord, BuilderRecord, BuildsetRecord, Change, Outcome, Report, ReportSubject, RequestRecord,
    StepRecord, Value,
};

/// What a report is about, with everything that a message about it can tell: one line a kind of thing.
#[derive(Clone, Debug)]
pub enum ReportFacts {
    /// A build that started or ended, as the report says.
    Build(Box<BuildFacts>),
    /// A request that was made, or that ended without a build.
    Request(Box<RequestFacts>),
    /// A buildset that ended.
    Set(Box<SetFacts>),
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

/// Everything a message about a request can tell.
#[derive(Clone, Debug)]
pub struct RequestFacts {
    pub report: Report,
    pub installation: String,
    pub title: String,
    pub url: String,
    pub builder: BuilderRecord,
    pub request: RequestRecord,
    pub buildset: Option<BuildsetRecord>,
    pub scheduler: String,
    pub changes: Vec<Change>,
    pub now: Timestamp,
}

/// Everything a message about a buildset can tell.
#[derive(Clone, Debug)]
pub struct SetFacts {
    pub report: Report,
    pub installation: String,
    pub title: String,
    pub url: String,
    pub buildset: BuildsetRecord,
    pub scheduler: String,
    pub changes: Vec<Change>,
    /// What became of its requests, in their order.
    pub builds: Vec<SetBuild>,
    pub now: Timestamp,
}

/// What became of a request of a buildset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetBuild {
    pub builder: BuilderRecord,
    /// Its last build and that build's number.
    pub build: Option<(BuildId, u64)>,
    pub outcome: Option<Outcome>,
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

/// What every message can tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    pub report: &'a Report,
    pub installation: &'a str,
    pub title: &'a str,
    pub url: &'a str,
    /// None for a buildset.
    pub builder: Option<&'a BuilderRecord>,
    pub buildset: Option<&'a BuildsetRecord>,
    pub scheduler: &'a str,
    pub changes: &'a [Change],
    /// The person who forced it, if one did.
    pub owner: Option<&'a str>,
    pub now: Timestamp,
}

impl ReportFacts {
    /// What every message can tell.
    pub(super) fn head(&self) -> Head<'_> {
        match self {
            Self::Build(facts) => facts.head(),
            Self::Request(facts) => facts.head(),
            Self::Set(facts) => facts.head(),
        }
    }
}

impl RequestFacts {
    pub(super) fn head(&self) -> Head<'_> {
        Head {
            report: &self.report,
            installation: &self.installation,
            title: &self.title,
            url: &self.url,
            builder: Some(&self.builder),
            buildset: self.buildset.as_ref(),
            scheduler: &self.scheduler,
            changes: &self.changes,
            owner: owner_of(self.buildset.as_ref()),
            now: self.now,
        }
    }
}

impl SetFacts {
    pub(super) fn head(&self) -> Head<'_> {
        Head {
            report: &self.report,
            installation: &self.installation,
            title: &self.title,
            url: &self.url,
            builder: None,
            buildset: Some(&self.buildset),
            scheduler: &self.scheduler,
            changes: &self.changes,
            owner: owner_of(Some(&self.buildset)),
            now: self.now,
        }
    }
}

impl Head<'_> {
    /// How it ended; none: it has not.
    pub const fn outcome(&self) -> Option<Outcome> {
        match &self.report.subject {
            ReportSubject::Build { outcome, .. } | ReportSubject::Set { outcome, .. } => Some(*outcome),
            ReportSubject::Request { outcome, .. } => *outcome,
            ReportSubject::Start { .. } => None,
        }
    }

    /// The same for every attempt to deliver this report, and for no other report anywhere.
    pub fn id(&self) -> String {
        let fit = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
        let installation: String = self.installation.chars().filter(fit).collect();
        let installation = if installation.is_empty() { "unnamed" } else { &installation };
        format!("report-{}.{installation}", self.report.id)
    }
}

impl BuildFacts {
    pub(super) fn head(&self) -> Head<'_> {
        Head {
            report: &self.report,
            installation: &self.installation,
            title: &self.title,
            url: &self.url,
            builder: Some(&self.builder),
            buildset: self.buildset.as_ref(),
            scheduler: &self.scheduler,
            changes: &self.changes,
            owner: self.owner(),
            now: self.now,
        }
    }

    /// How the build ended; none: it started.
    pub(super) const fn outcome(&self) -> Option<Outcome> {
        match &self.report.subject {
            ReportSubject::Build { outcome, .. } => Some(*outcome),
            ReportSubject::Start { .. } | ReportSubject::Request { .. } | ReportSubject::Set { .. } => None,
        }
    }

    /// How the one before it ended.
    pub(super) fn previous(&self) -> Option<Outcome> {
        match &self.report.subject {
            ReportSubject::Build { previous, .. } => previous.or(self.previous),
            ReportSubject::Start { .. } | ReportSubject::Request { .. } | ReportSubject::Set { .. } => None,
        }
    }

    /// The person who forced the build, if one did.
    fn owner(&self) -> Option<&str> {
        let property = self.build.properties.get("owner").and_then(named);
        property.or_else(|| owner_of(self.buildset.as_ref()))
    }
}

fn owner_of(buildset: Option<&BuildsetRecord>) -> Option<&str> {
    named(buildset?.properties.get("owner")?)
}

fn named(owner: &Value) -> Option<&str> {
    owner.as_str().map(str::trim).filter(|owner| !owner.is_empty())
}
