//! History as it is read: one record per noun, close to the resources of the HTTP API
//! (docs/reference/rest-api-v2.md#types).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    About, BuildId, BuilderId, BuildsetId, ChangeId, ChangeSourceId, CodebaseAbout, CodebaseId, ConfigDigest, LogId,
    MasterId, Outcome, ProjectId, Properties, RequestId, SchedulerId, SourceStamp, StepId, WorkerId,
};
use crate::base::Timestamp;

/// A builder's name and description; it stays when the builder leaves the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuilderRecord {
    pub id: BuilderId,
    pub name: String,
    pub tags: Vec<String>,
    pub description: Option<String>,
    /// Whether the present configuration has it.
    pub active: bool,
    /// Names of the workers that may build it.
    pub workers: Vec<String>,
    /// The project that it belongs to.
    #[serde(default)]
    pub project: Option<ProjectId>,
}

/// A project; it stays when it leaves the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectRecord {
    pub id: ProjectId,
    pub name: String,
    pub active: bool,
    pub about: About,
}

/// A declared codebase; it stays when it leaves the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodebaseRecord {
    pub id: CodebaseId,
    pub name: String,
    pub active: bool,
    pub project: Option<ProjectId>,
    pub about: CodebaseAbout,
}

/// A worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "fields of the API, each a switch of its own")]
pub struct WorkerRecord {
    pub id: WorkerId,
    pub name: String,
    /// Whether the present configuration has it.
    pub active: bool,
    pub connected: bool,
    pub paused: bool,
    pub pause_reason: Option<String>,
    /// Finishes its builds and takes no new ones.
    pub graceful: bool,
    /// What it told when it connected.
    pub info: BTreeMap<String, String>,
    /// When it last connected or was lost.
    pub since: Option<Timestamp>,
}

/// A scheduler.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerRecord {
    pub id: SchedulerId,
    pub name: String,
    pub enabled: bool,
    pub active: bool,
}

/// A change source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSourceRecord {
    pub id: ChangeSourceId,
    pub name: String,
    pub active: bool,
    /// The last poll that went well.
    pub polled: Option<Timestamp>,
    /// What is wrong since then.
    pub error: Option<String>,
}

/// This master.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterRecord {
    pub id: MasterId,
    pub name: String,
    pub active: bool,
    pub last_active: Timestamp,
}

/// What made a buildset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MadeBy {
    Scheduler(SchedulerId),
    /// Somebody forced builds that no force scheduler has.
    Force,
    /// Somebody wanted a build again.
    Rebuild,
}

impl MadeBy {
    /// The name that people read and scripts see: that of its scheduler, or a word.
    pub fn name(self, scheduler: impl FnOnce(SchedulerId) -> String) -> String {
        match self {
            Self::Scheduler(id) => scheduler(id),
            Self::Force => "force".to_owned(),
            Self::Rebuild => "rebuild".to_owned(),
        }
    }
}

/// A buildset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildsetRecord {
    pub id: BuildsetId,
    pub reason: String,
    pub made_by: MadeBy,
    pub external_id: Option<String>,
    pub submitted: Timestamp,
    pub completed: Option<Timestamp>,
    pub outcome: Option<Outcome>,
    pub parent: Option<BuildId>,
    pub rebuilt: Option<BuildId>,
    pub stamps: Vec<SourceStamp>,
    pub properties: Properties,
    /// The changes it was made for, oldest first.
    pub changes: Vec<ChangeId>,
    pub requests: Vec<RequestId>,
}

/// A build request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord {
    pub id: RequestId,
    pub buildset: BuildsetId,
    pub builder: BuilderId,
    pub priority: i64,
    pub submitted: Timestamp,
    pub claimed: Option<Timestamp>,
    pub completed: Option<Timestamp>,
    pub outcome: Option<Outcome>,
    /// A parent build waits for it.
    pub waited_for: bool,
    /// The request whose build does this one's work, if it was collapsed.
    pub collapsed_into: Option<RequestId>,
    /// Those of its buildset.
    pub properties: Properties,
}

/// A build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRecord {
    pub id: BuildId,
    pub number: u64,
    pub builder: BuilderId,
    pub worker: WorkerId,
    /// The first of its requests.
    pub request: RequestId,
    /// All of its requests (several when they were collapsed).
    pub requests: Vec<RequestId>,
    pub started: Timestamp,
    pub completed: Option<Timestamp>,
    pub outcome: Option<Outcome>,
    pub state: String,
    /// The steps that gave it a bad outcome, in their order, the innermost each.
    pub culprits: Vec<StepId>,
    /// Milliseconds spent waiting for locks outside steps.
    pub locks_wait_ms: u64,
    pub properties: Properties,
    /// The configuration it pins.
    pub plan: ConfigDigest,
    /// The changes that are new in it, oldest first.
    pub changes: Vec<ChangeId>,
}

/// A link of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Url {
    pub name: String,
    pub url: String,
}

/// A step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    pub id: StepId,
    pub build: BuildId,
    /// 0, 1, … in the build; 0 is `worker_preparation`.
    pub number: u64,
    pub name: String,
    /// The step it is inside of.
    pub parent: Option<StepId>,
    pub started: Option<Timestamp>,
    pub locks_acquired: Option<Timestamp>,
    pub completed: Option<Timestamp>,
    pub outcome: Option<Outcome>,
    pub state: String,
    pub urls: Vec<Url>,
    pub hidden: bool,
}

/// What a log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogKind {
    /// Lines of several streams: stdout, stderr, header.
    Stdio,
    /// Text.
    Text,
    /// HTML.
    Html,
    /// Its content was deleted by retention.
    Deleted,
}

impl LogKind {
    /// The letter in the HTTP API.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Stdio => 's',
            Self::Text => 't',
            Self::Html => 'h',
            Self::Deleted => 'd',
        }
    }
}

/// A log. Its lines are in the log store, which also knows their number while it grows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    pub id: LogId,
    pub step: StepId,
    pub build: BuildId,
    pub name: String,
    /// The name, made fit for a path and unique in its step (docs/reference/rest-api-v2.md#step).
    pub slug: String,
    pub kind: LogKind,
    pub complete: bool,
    /// Number of lines, once complete.
    pub lines: u64,
}
