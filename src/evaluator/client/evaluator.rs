//! One evaluator: one order at a time, until it dies.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::limits::{DECISION_WALL, TURN_WALL};
use super::super::message::{ChildReply, ChildRequest, EvaluationRequest};
use super::abnormal_exit::{Bounds, Lost};
use super::journals::{JournalUpdate, Journals};
#[cfg(unix)]
use super::link::Awaited;
use super::link::{LinkError, within};
use super::process::{KillHandle, Process};
use super::template::Template;
use crate::model::{BuildId, EvalJob, EvalOutcome, FnId, Question, Value};

/// A job of so many entries is small: looking which of them the child lacks takes some 50 µs.
#[cfg(unix)]
const SMALL_ENTRIES: usize = 500;
/// The same in bytes: even if the child lacks all, they are a message within 100 µs.
#[cfg(unix)]
const SMALL_BYTES: usize = 256 << 10;

/// One evaluator of a configuration. After it was [`Lost`] there has to be another one.
#[derive(Debug)]
pub struct Evaluator {
    process: Process,
    template: Arc<Template>,
    journals: Journals,
    used: Instant,
}

impl Template {
    /// A fresh evaluator. Takes about a millisecond where it is forked.
    ///
    /// # Errors
    /// When there is no process for it.
    pub fn evaluator(self: &Arc<Self>) -> Result<Evaluator, Lost> {
        Ok(Evaluator::new(self.process().map_err(Lost::absent)?, Arc::clone(self)))
    }
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
    fn new(process: Process, template: Arc<Template>) -> Self {
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
    pub fn kill_handle(&self) -> Option<KillHandle> {
        self.process.kill_handle()
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
        let until = within(TURN_WALL);
        let order = turn_order(&self.template, self.journals.news(build, job), build, job);
        let sent = self.process.link.send(&order, until);
        let reply = sent.and_then(|()| self.process.link.receive(until));
        self.used = Instant::now();
        match reply {
            Ok(reply) => turned(job, reply),
            Err(broken) => Err(self.bury_turn(&broken)),
        }
    }

    fn bury_turn(&mut self, broken: &LinkError) -> Lost {
        let bounds = Bounds { processor: self.template.launcher().limits.turn, wall: TURN_WALL };
        Lost::of("the evaluation", &self.process.reap(broken, bounds))
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
        let order = ChildRequest::Decide {
            questions: Cow::Borrowed(questions),
            micros: limit.as_micros() as u64,
            budget_micros: budget.as_micros() as u64,
        };
        match self.exchange("the function", &order, Bounds { processor: limit, wall: DECISION_WALL })? {
            ChildReply::Decided { answers, spent_micros, printed } => {
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
        let order = ChildRequest::Render { function, facts: Cow::Borrowed(facts), micros: limit.as_micros() as u64 };
        match self.exchange("the template", &order, Bounds { processor: limit, wall: TURN_WALL })? {
            ChildReply::Rendered { text, printed } => {
                note(&printed);
                Ok(text)
            }
            other => Err(odd(&other)),
        }
    }

    /// Calls a function that makes plain data: what it made, or why it made nothing.
    ///
    /// # Errors
    /// When it killed or outlasted the child.
    pub fn compute(&mut self, function: FnId, facts: &Value) -> Result<Result<Value, String>, Lost> {
        let limit = self.template.launcher().limits.render;
        let order = ChildRequest::Compute { function, facts: Cow::Borrowed(facts), micros: limit.as_micros() as u64 };
        match self.exchange("the function", &order, Bounds { processor: limit, wall: TURN_WALL })? {
            ChildReply::Computed { value, printed } => {
                note(&printed);
                Ok(value)
            }
            other => Err(odd(&other)),
        }
    }

    fn exchange(&mut self, work: &str, order: &ChildRequest<'_>, bounds: Bounds) -> Result<ChildReply, Lost> {
        let until = within(bounds.wall);
        let reply = self.process.link.send(order, until).and_then(|()| self.process.link.receive(until));
        self.used = Instant::now();
        reply.map_err(|broken: LinkError| Lost::of(work, &self.process.reap(&broken, bounds)))
    }
}

/// An evaluation that somebody waits for without a thread: its evaluator, and until when it may take.
#[cfg(unix)]
#[derive(Debug)]
pub struct Evaluation {
    evaluator: Evaluator,
    until: Instant,
    broken: Option<LinkError>,
}

#[cfg(unix)]
impl Evaluation {
    /// Orders an evaluation.
    #[must_use]
    pub fn begin(mut evaluator: Evaluator, build: BuildId, job: &EvalJob) -> Self {
        let order = turn_order(&evaluator.template, evaluator.journals.news(build, job), build, job);
        let broken = evaluator.process.link.begin_send(&order).err();
        Self { evaluator, until: within(TURN_WALL), broken }
    }

    /// Whether putting a job into a message takes no noticeable time.
    #[must_use]
    pub fn is_small(job: &EvalJob) -> bool {
        let texts = job.readings.texts.values().map(|text| text.len()).sum::<usize>();
        let entries = job.journal.0.values().map(bytes_about).sum::<usize>();
        job.journal.0.len() <= SMALL_ENTRIES && entries + texts <= SMALL_BYTES
    }

    /// Its outcome, if it is there. Otherwise, or if it is lost, none: see [`Evaluation::is_lost`].
    ///
    /// # Errors
    /// When the child said something odd.
    pub fn outcome(&mut self, job: &EvalJob) -> Result<Option<EvalOutcome>, Lost> {
        if self.broken.is_some() {
            return Ok(None);
        }
        match self.evaluator.process.link.try_receive() {
            Ok(None) => Ok(None),
            Ok(Some(reply)) => {
                self.evaluator.used = Instant::now();
                turned(job, reply).map(Some)
            }
            Err(broken) => {
                self.broken = Some(broken);
                Ok(None)
            }
        }
    }

    /// Whether its child is gone.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        self.broken.is_some()
    }

    /// When it is ready there may be an outcome.
    #[must_use]
    pub fn awaited(&self) -> Awaited<'_> {
        self.evaluator.process.link.awaited()
    }

    /// Until when it may take.
    #[must_use]
    pub const fn until(&self) -> Instant {
        self.until
    }

    /// Gives the evaluator back after the outcome.
    #[must_use]
    pub fn into_evaluator(self) -> Evaluator {
        self.evaluator
    }

    /// Ends the child, which is gone or late, and says what it died of. Waits for its template.
    #[must_use]
    pub fn reap(mut self) -> Lost {
        let broken = self.broken.take().unwrap_or(LinkError::Late);
        self.evaluator.bury_turn(&broken)
    }
}

/// About so many bytes an entry takes in a message.
#[cfg(unix)]
fn bytes_about(entry: &crate::model::Entry) -> usize {
    const REST: usize = 512;
    let output = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    match &entry.answer {
        Some(crate::model::Answer::Command(result)) => REST + output(&result.stdout) + output(&result.stderr),
        _ => REST,
    }
}

fn turn_order<'a>(template: &Template, news: JournalUpdate<'a>, build: BuildId, job: &EvalJob) -> ChildRequest<'a> {
    ChildRequest::Evaluate(EvaluationRequest {
        micros: template.launcher().limits.turn.as_micros() as u64,
        build,
        context: news.context,
        step: job.step,
        part: job.part,
        step_outcome: job.step_outcome,
        entries: news.entries,
        texts: news.texts,
        logs: job.readings.logs.iter().map(|(request, found)| (request.clone(), found.clone())).collect(),
        forget: news.forget,
    })
}

fn turned(job: &EvalJob, reply: ChildReply) -> Result<EvalOutcome, Lost> {
    match reply {
        ChildReply::Evaluated { outcome, printed } => {
            if !printed.is_empty() {
                let (builder, number) = (&job.context.builder, job.context.number);
                tracing::debug!(builder, number, text = printed, "a script printed");
            }
            Ok(outcome)
        }
        other => Err(odd(&other)),
    }
}

fn note(printed: &str) {
    if !printed.is_empty() {
        tracing::debug!(text = printed, "a function printed");
    }
}

fn odd(reply: &ChildReply) -> Lost {
    Lost { message: format!("the evaluator sent an unexpected reply, which is a bug: {reply:?}"), killed: false }
}
