//! What the two ends say to each other. Orders go to a child, replies come back; one order at a time, and each has its
//! reply - but during a load, when the child asks for files and says what it is doing.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::{LoadRequest, Phase, Problem, ReadError, Sources};
use crate::model::{
    BuildContext, BuildId, Entry, EvalOutcome, EvalPart, FnId, FoundLog, Key, LogRequest, Outcome, Plan, Question,
    TextRef, Value,
};

/// What a child is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ChildRequest<'a> {
    /// The first one: the configuration to load.
    Load { request: Cow<'a, LoadRequest>, micros: u64, types_micros: u64 },
    /// The file that the load asked for.
    Text(Result<String, ReadError>),
    /// Evaluate a build script.
    Evaluate(EvaluationRequest<'a>),
    /// Answer questions, each within `micros` of processor time, until `budget_micros` are spent.
    Decide { questions: Cow<'a, [(FnId, Question)]>, micros: u64, budget_micros: u64 },
    /// Write a text with a template function.
    Render { function: FnId, facts: Cow<'a, Value>, micros: u64 },
    /// Make plain data with a function.
    Compute { function: FnId, facts: Cow<'a, Value>, micros: u64 },
    /// (to a template) Fork an evaluator. Its pipes follow beside the next byte.
    Fork,
    /// (to a template) Kill an evaluator and say how it ended.
    End { pid: i32 },
}

/// One evaluation. What the child has already is left out.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EvaluationRequest<'a> {
    pub micros: u64,
    pub build: BuildId,
    /// None: the one of the turn before. With a new one the child forgets its journal of the build.
    pub context: Option<Arc<BuildContext>>,
    pub step: usize,
    pub part: EvalPart,
    pub step_outcome: Option<Outcome>,
    /// New and changed entries of the journal.
    pub entries: Vec<(Cow<'a, Key>, Cow<'a, Entry>)>,
    /// Texts that the child has not been sent in this step.
    pub texts: Vec<(TextRef, Cow<'a, str>)>,
    /// What was found in logs just now.
    pub logs: Vec<(LogRequest, Result<FoundLog, String>)>,
    /// Builds that the child need not remember any more.
    pub forget: Vec<BuildId>,
}

/// What a child says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum ChildReply {
    /// The load begins something.
    Begins(Phase, String),
    /// The load needs a file.
    Read(String),
    /// The configuration is right.
    Loaded(Box<LoadedConfig>),
    /// It is not.
    Refused(Vec<Problem>),
    /// What an evaluation came to.
    Evaluated { outcome: EvalOutcome, printed: String },
    /// Answers in the order of the questions; fewer if the budget was spent.
    Decided { answers: Vec<Result<Value, String>>, spent_micros: u64, printed: String },
    /// The text of a template function, or why there is none.
    Rendered { text: Result<String, String>, printed: String },
    /// What a function made, or why it made nothing.
    Computed { value: Result<Value, String>, printed: String },
    /// (of a template) The new evaluator.
    Forked { pid: i32 },
    /// (of a template) How an evaluator ended: its exit code, or the signal.
    Ended { code: Option<i32>, signal: Option<i32> },
    /// (of a template) There is no such evaluator, or no process can be started: why.
    Failed(String),
}

/// A configuration that was loaded.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LoadedConfig {
    pub plan: Arc<Plan>,
    pub sources: Arc<Sources>,
    pub warnings: Vec<Problem>,
    pub printed: String,
}
