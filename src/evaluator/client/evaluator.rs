//! One evaluator: one order at a time, until it dies.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::limits::{DECISION_WALL, TURN_WALL};
use super::super::message::{Order, Reply, TurnOrder};
use super::death::{Bounds, Lost};
use super::journals::Journals;
use super::link::{Broken, within};
use super::process::{Killer, Process};
use super::template::Template;
use crate::model::{BuildId, EvalJob, EvalOutcome, FnId, Question, Value};

/// One evaluator of a configuration. After it was [`Lost`] there has to be another one.
#[derive(Debug)]
pub struct Evaluator {
    process: Process,
    template: Arc<Template>,
    journals: Journals,
    used: Instant,
}

/// Answers, and what they took.
#[derive(Clone, Debug)]
pub struct Spent<T> {
    /// The answers.
    pub answers: T,
    /// Processor time of the child.
    pub time: Duration,
}

impl Evaluator {
    pub(super) fn new(process: Process, template: Arc<Template>) -> Self {
        Self { process, template, journals: Journals::default(), used: Instant::now() }
    }

    /// Where it comes from.
    #[must_use]
    pub fn template(&self) -> &Arc<Template> {
        &self.template
    }

    /// Its process, for people who look; 0 once it ended.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends what another thread waits for; none if it ended.
    #[must_use]
    pub fn killer(&self) -> Option<Killer> {
        self.process.killer()
    }

    /// Whether it died since its last order.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        self.process.link.is_closed()
    }

    /// How long it has had nothing to do.
    #[must_use]
    pub fn idle(&self) -> Duration {
        self.used.elapsed()
    }

    /// Evaluates a build script.
    ///
    /// # Errors
    /// When the evaluation killed or outlasted the child.
    pub fn turn(&mut self, build: BuildId, job: &EvalJob) -> Result<EvalOutcome, Lost> {
        let limit = self.template.launcher().limits.turn;
        let news = self.journals.news(build, job);
        let order = Order::Turn(TurnOrder {
            micros: limit.as_micros() as u64,
            build,
            context: news.context,
            step: job.step,
            part: job.part,
            step_outcome: job.step_outcome,
            entries: news.entries,
            forget: news.forget,
        });
        match self.exchange("the evaluation", &order, Bounds { processor: limit, wall: TURN_WALL })? {
            Reply::Turned { outcome, printed } => {
                if !printed.is_empty() {
                    let (builder, number) = (&job.context.builder, job.context.number);
                    tracing::debug!(builder, number, text = printed, "a script printed");
                }
                Ok(outcome)
            }
            other => Err(odd(&other)),
        }
    }

    /// Asks user functions, as long as the budget of processor time lasts: the answers of the first questions.
    ///
    /// # Errors
    /// When one of them killed or outlasted the child.
    pub fn decide(
        &mut self,
        questions: &[(FnId, Question)],
        budget: Duration,
    ) -> Result<Spent<Vec<Result<Value, String>>>, Lost> {
        let limit = self.template.launcher().limits.decision;
        let order = Order::Decide {
            questions: Cow::Borrowed(questions),
            micros: limit.as_micros() as u64,
            budget_micros: budget.as_micros() as u64,
        };
        match self.exchange("the function", &order, Bounds { processor: limit, wall: DECISION_WALL })? {
            Reply::Decided { answers, spent_micros, printed } => {
                note(&printed);
                Ok(Spent { answers, time: Duration::from_micros(spent_micros) })
            }
            other => Err(odd(&other)),
        }
    }

    /// Calls a template function of reports: the text, or why there is none.
    ///
    /// # Errors
    /// When it killed or outlasted the child.
    pub fn render(&mut self, function: FnId, facts: &Value) -> Result<Result<String, String>, Lost> {
        let limit = self.template.launcher().limits.render;
        let order = Order::Render { function, facts: Cow::Borrowed(facts), micros: limit.as_micros() as u64 };
        match self.exchange("the template", &order, Bounds { processor: limit, wall: TURN_WALL })? {
            Reply::Rendered { text, printed } => {
                note(&printed);
                Ok(text)
            }
            other => Err(odd(&other)),
        }
    }

    fn exchange(&mut self, work: &str, order: &Order<'_>, bounds: Bounds) -> Result<Reply, Lost> {
        let until = within(bounds.wall);
        let reply = self.process.link.send(order, until).and_then(|()| self.process.link.receive(until));
        self.used = Instant::now();
        reply.map_err(|broken: Broken| Lost::of(work, &self.process.bury(&broken, bounds)))
    }
}

fn note(printed: &str) {
    if !printed.is_empty() {
        tracing::debug!(text = printed, "a function printed");
    }
}

fn odd(reply: &Reply) -> Lost {
    Lost { message: format!("the evaluator said what nobody asked, which is a bug: {reply:?}"), killed: false }
}
