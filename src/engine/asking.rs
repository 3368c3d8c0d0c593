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
    kept: BTreeMap<Fingerprint, Value>,
    /// Functions in trouble that answer, since when.
    answering: BTreeMap<UserFunction, Timestamp>,
    /// When the last text of a function's trouble was told.
    told: BTreeMap<UserFunction, Timestamp>,
}

impl Asking {
    /// What an earlier pass was told.
    pub fn known(&self, id: FnId, question: &Question) -> Option<&Value> {
        // To compare a question costs more than most answers.
        if self.kept.is_empty() { None } else { self.kept.get(&Fingerprint::of(&(id, question))) }
    }

    /// Keeps these answers for the next pass, and no others.
    pub fn keep(&mut self, answers: Vec<(FnId, Question, Value)>) {
        let print = |(id, question, value)| (Fingerprint::of(&(id, &question)), value);
        self.kept = answers.into_iter().map(print).collect();
    }

    /// A function answers, though it is in trouble.
    pub fn answers(&mut self, function: &UserFunction, now: Timestamp) {
        self.answering.entry(*function).or_insert(now);
    }

    /// Since when it does.
    pub fn answers_since(&self, function: &UserFunction) -> Option<Timestamp> {
        self.answering.get(function).copied()
    }

    /// It does not, or is in no trouble any more.
    pub fn fails(&mut self, function: &UserFunction) {
        self.answering.remove(function);
    }

    /// The text of its trouble is told.
    pub fn tell(&mut self, function: &UserFunction, now: Timestamp) {
        self.told.insert(*function, now);
    }

    /// When it was told last.
    pub fn told(&self, function: &UserFunction) -> Option<Timestamp> {
        self.told.get(function).copied()
    }
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
