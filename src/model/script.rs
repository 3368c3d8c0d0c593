//! Questions that the engine asks user functions in line. The answer goes into an event, so that
//! recovery never runs a script. Questions are plain data, because they travel to another process.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Action, BuildsetId, Change, ConfigDigest, FnId, Identity, Object, Properties, RequestId, SourceStamp, Value,
};
use crate::base::Timestamp;

/// A question to a user function: pure, short, tightly bounded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// Does this filter take the change? Answer: truth.
    Filter(Arc<Change>),
    /// Is the change important? Answer: truth.
    Important(Arc<Change>),
    /// May the two requests be one build? Answer: truth.
    Collapse { builder: String, first: Arc<WaitingRequest>, second: Arc<WaitingRequest> },
    /// The priority of the requests of this builder (or scheduler). Answer: a whole number.
    Priority { builder: String, properties: Arc<Properties> },
    /// Which of the waiting requests goes next? Answer: index, or null for none now.
    NextBuild { builder: String, requests: Vec<Arc<WaitingRequest>> },
    /// Which of the free workers takes it? Answer: index, or null for none now.
    NextWorker { builder: String, workers: Vec<Arc<CandidateWorker>>, request: Arc<WaitingRequest> },
    /// May this builder start a build on this worker? Answer: truth.
    CanStart { builder: String, worker: Arc<CandidateWorker>, request: Arc<WaitingRequest> },
    /// Properties of a scheduler that depend on others. Answer: a map.
    Properties { of: String, properties: Arc<Properties>, changes: Vec<Arc<Change>> },
    /// May this user do this? Answer: truth, or null if the rules decide.
    Rights { user: Box<Identity>, action: Action, object: Object },
}

/// A waiting request as queue functions see it: `request` in `can_start`, `next_build`, `next_worker` and `collapse`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingRequest {
    pub id: RequestId,
    pub buildset: BuildsetId,
    /// Its builder's name.
    pub builder: String,
    pub priority: i64,
    pub submitted: Timestamp,
    /// Why it was made.
    pub reason: String,
    /// The scheduler that made it.
    pub scheduler: String,
    /// Who asked for it, if somebody did.
    pub owner: Option<String>,
    /// Those of its buildset.
    pub properties: Properties,
    /// One per codebase.
    pub stamps: Vec<SourceStamp>,
    /// Its changes, oldest first: the newest few.
    pub changes: Vec<Arc<Change>>,
    /// A parent build waits for it.
    pub waited_for: bool,
}

/// A worker that could take a build, as queue functions see it: `worker` in `can_start` and `next_worker`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateWorker {
    pub name: String,
    pub tags: Vec<String>,
    /// The worker's own, from the configuration.
    pub properties: Properties,
    /// `posix` or `nt`; empty if the worker did not tell.
    pub system: String,
    /// How many builds it may run at a time.
    pub slots: u64,
    /// How many it runs now.
    pub busy: u64,
    /// What it told when it connected (`admin`, `host`, `version`, …).
    pub info: std::collections::BTreeMap<String, String>,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Undecided {
    /// The function raised an error, or answered with the wrong type: the error for people, with its place.
    #[error("{message}")]
    Failed { message: String },
    /// The process that ran the function died, or the function outlasted its deadline.
    #[error("{message}")]
    Lost { message: String },
    /// This pass has spent its time on decisions: ask again in the next one.
    #[error("postponed to the next pass")]
    Postponed,
}

impl From<ScriptError> for Undecided {
    fn from(error: ScriptError) -> Self {
        Self::Failed { message: error.message }
    }
}

/// A user function failed or ran too long: the error for people, with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ScriptError {
    /// The text.
    pub message: String,
}

/// What a user function says, or why it does not.
pub type Decision = Result<Value, Undecided>;

/// Answers questions with a configuration's functions. Implemented by `master`; tests use tables.
pub trait Script: Send + Sync {
    /// Calls function `function` of configuration `plan`.
    ///
    /// # Errors
    /// When the function fails, is lost with its process, or this pass has no time left for it.
    fn decide(&self, plan: &ConfigDigest, function: FnId, question: &Question) -> Decision;

    /// Asks many questions at once: one answer each, in order.
    fn decide_all(&self, plan: &ConfigDigest, questions: &[(FnId, Question)]) -> Vec<Decision> {
        questions.iter().map(|(function, question)| self.decide(plan, *function, question)).collect()
    }
}
