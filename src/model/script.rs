//! Questions that the engine asks user functions in line. The answer goes into an event, so that
//! recovery never runs a script.

use super::{Change, ConfigDigest, FnId, Properties, RequestRecord, Value};

/// A question to a user function: pure, short, tightly bounded.
#[derive(Clone, Debug)]
pub enum Question<'a> {
    /// Does this filter take the change? Answer: truth.
    Filter(&'a Change),
    /// Is the change important? Answer: truth.
    Important(&'a Change),
    /// May the two requests be one build? Answer: truth.
    Collapse { builder: &'a str, first: &'a RequestRecord, second: &'a RequestRecord },
    /// The priority of the requests of this builder (or scheduler). Answer: a whole number.
    Priority { builder: &'a str, properties: &'a Properties },
    /// Which of the waiting requests goes next? Answer: index, or null for none now.
    NextBuild { builder: &'a str, requests: &'a [RequestRecord] },
    /// Which of the free workers takes it? Answer: index, or null for none now.
    NextWorker { builder: &'a str, workers: &'a [String], request: &'a RequestRecord },
    /// May this builder start a build on this worker? Answer: truth.
    CanStart { builder: &'a str, worker: &'a str, request: &'a RequestRecord },
    /// Properties of a scheduler or builder that depend on others. Answer: a map.
    Properties { of: &'a str, properties: &'a Properties, changes: &'a [Change] },
}

/// A user function failed or ran too long: the error for people, with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ScriptError {
    /// The text.
    pub message: String,
}

/// Answers questions with a configuration's functions. Implemented by `config`; tests use tables.
pub trait Script: Send + Sync {
    /// Calls function `function` of configuration `plan`.
    ///
    /// # Errors
    /// When the function fails, or exceeds its bounds.
    fn decide(&self, plan: &ConfigDigest, function: FnId, question: &Question<'_>) -> Result<Value, ScriptError>;
}
