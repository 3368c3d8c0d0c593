//! Answers the engine's questions with the functions of the configuration, in a process that does nothing else.
//!
//! The engine waits for the answers, so the time that one pass may take is bounded: what does not fit is postponed to the
//! next. Only the engine task asks. It never waits for a configuration to be loaded.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::configurations::Configurations;
use crate::evaluator::{Evaluator, Readiness};
use crate::model::{ConfigDigest, Decision, FnId, Question, Script, Undecided};

/// Processor time of one pass: four decisions that outlast their deadline. Everybody who asks the master for something
/// waits as long.
const PASS_TIME: Duration = Duration::from_secs(1);
/// The same by the wall clock, for a machine that has no time for the process.
const PASS_WALL: Duration = Duration::from_secs(10);
/// Questions in one message.
const BATCH_MAX: usize = 1_000;

/// The process for decisions.
#[derive(Debug)]
pub(super) struct Decisions {
    configurations: Arc<Configurations>,
    pending: Mutex<Pending>,
}

#[derive(Debug)]
struct Pending {
    evaluator: Option<Evaluator>,
    /// Processor time that this pass has left.
    left: Duration,
    until: Instant,
}

impl Decisions {
    pub fn new(configurations: Arc<Configurations>) -> Self {
        let pending = Pending { evaluator: None, left: PASS_TIME, until: Instant::now() + PASS_WALL };
        Self { configurations, pending: Mutex::new(pending) }
    }

    /// A pass of the engine begins.
    pub fn begin_pass(&self) {
        let mut pending = self.pending();
        (pending.left, pending.until) = (PASS_TIME, Instant::now() + PASS_WALL);
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Script for Decisions {
    fn decide(&self, plan: &ConfigDigest, function: FnId, question: &Question) -> Decision {
        let answer = self.decide_all(plan, &[(function, question.clone())]);
        answer.into_iter().next().unwrap_or(Err(Undecided::Postponed))
    }

    fn decide_all(&self, plan: &ConfigDigest, questions: &[(FnId, Question)]) -> Vec<Decision> {
        let mut pending = self.pending();
        let mut answers = Vec::with_capacity(questions.len());
        // One by one, once a batch killed the process: so it shows which question it was.
        let mut batch = BATCH_MAX;
        let mut retried = false;
        while answers.len() < questions.len() {
            let rest = &questions[answers.len()..];
            let some = &rest[..rest.len().min(batch)];
            match pending.ask(&self.configurations, plan, some) {
                AskResult::Answers(some) if some.is_empty() => break,
                AskResult::Answers(some) => answers.extend(some),
                AskResult::Killed if !retried => retried = true,
                AskResult::Lost(_) if some.len() > 1 => batch = 1,
                AskResult::Lost(message) => answers.push(Err(Undecided::Lost { message })),
                AskResult::Killed => {
                    let message = "its process was killed from outside, twice".to_owned();
                    answers.push(Err(Undecided::Lost { message }));
                }
                AskResult::NotNow => break,
            }
        }
        answers.resize(questions.len(), Err(Undecided::Postponed));
        answers
    }
}

enum AskResult {
    /// Of the first of the questions.
    Answers(Vec<Decision>),
    /// The process died of a question.
    Lost(String),
    /// It was killed from outside.
    Killed,
    /// No time is left, or the configuration is being loaded.
    NotNow,
}

impl Pending {
    fn ask(
        &mut self,
        configurations: &Configurations,
        plan: &ConfigDigest,
        questions: &[(FnId, Question)],
    ) -> AskResult {
        if self.left.is_zero() || Instant::now() >= self.until {
            return AskResult::NotNow;
        }
        let mut evaluator = match self.evaluator(configurations, plan) {
            Ok(evaluator) => evaluator,
            Err(asked) => return asked,
        };
        match evaluator.decide(questions, self.left) {
            Ok(spent) => {
                self.left = self.left.saturating_sub(spent.time);
                self.evaluator = Some(evaluator);
                let answers = spent.answers.into_iter();
                AskResult::Answers(
                    answers.map(|answer| answer.map_err(|message| Undecided::Failed { message })).collect(),
                )
            }
            Err(lost) if lost.killed => AskResult::Killed,
            Err(lost) => {
                let limit = evaluator.template().launcher().limits.decision;
                self.left = self.left.saturating_sub(limit);
                AskResult::Lost(lost.message)
            }
        }
    }

    /// The one of this configuration, or a new one.
    fn evaluator(&mut self, configurations: &Configurations, plan: &ConfigDigest) -> Result<Evaluator, AskResult> {
        let known = self.evaluator.take();
        if let Some(known) = known.filter(|known| known.template().digest() == plan && !known.is_dead()) {
            return Ok(known);
        }
        match configurations.templates().obtain(plan, || ()) {
            Readiness::Ready(template) => template.evaluator().map_err(|lost| AskResult::Lost(lost.message)),
            Readiness::Starting => Err(AskResult::NotNow),
            Readiness::Failed(why) => Err(AskResult::Lost(format!("configuration `{plan}` cannot be had: {why}"))),
        }
    }
}
