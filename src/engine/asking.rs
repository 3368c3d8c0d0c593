//! What is remembered of questions to user functions: for one turn, and from one to the next.

use std::collections::BTreeMap;

use super::state::Fingerprint;
use crate::base::Timestamp;
use crate::model::{FnId, Question, UserFunction, Value};

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NoAnswer {
    /// It is not asked before the next configuration.
    Suspended,
    /// The function failed, or was lost.
    Failed,
    /// This pass has no time left.
    Postponed,
}

/// What a function says.
pub(super) type FunctionAnswer = Result<Value, NoAnswer>;

/// What this process knows of functions.
#[derive(Clone, Debug, Default)]
pub(super) struct Asking {
    /// Answers of passes that could not ask everything.
    pub kept: BTreeMap<Fingerprint, Value>,
    /// Functions in trouble that answer, since when.
    pub answering: BTreeMap<UserFunction, Timestamp>,
    /// When the last text of a function's trouble was told.
    pub told: BTreeMap<UserFunction, Timestamp>,
}

/// What this pass asked.
#[derive(Debug, Default)]
pub(super) struct Asked {
    pub answers: Vec<(FnId, Question, Value)>,
    /// Functions that failed in this pass: that they answer other questions is no recovery.
    pub failed: std::collections::BTreeSet<UserFunction>,
    pub postponed: bool,
    /// The most hopeful reason for no answer since somebody last looked.
    pub no_answer: Option<NoAnswer>,
}
