//! Asks who may do what: brings the rules of the configuration in force, what the function `rights` says, and what an
//! order is about together for [`super::authorize`].
//!
//! The function runs in an evaluator process of its own. It is pure, so what it says is remembered: lists ask for each builder,
//! pages for each button. No answer means no, and what failed fails again: the same question is asked again after a pause that
//! doubles, and a function that keeps dying or taking too long not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Alerts;
use super::authorize::{Rules, Said};
use super::configurations::Configurations;
use super::declared_place::objects_of;
use super::plan_in_force::PlanInForce;
use crate::base::{Clock, Span, Timestamp};
use crate::evaluator::Evaluator;
use crate::model::{
    Action, AlertSubject, BuildId, ConfigDigest, Denial, FnId, Identity, Object, Order, Plan, Question, ReportId,
    RequestId, Value,
};
use crate::store::{History, StoreError};

/// Answers that are remembered: some hundred visitors with a thousand builders each would be forgotten in
/// between, and asked about again.
const REMEMBERED_MAX: usize = 50_000;
/// Processor time of one question.
const ASK_TIME: Duration = Duration::from_millis(250);
/// A function that killed so many processes, or took too long so often, is not asked again until the next configuration:
/// everybody waits for it.
const DEATHS_MAX: u64 = 3;
/// The pause before a question that got no answer is asked again; it doubles. Those of the engine are the same.
const PAUSE: Span = Span::from_seconds(10);
/// The longest such pause.
const PAUSE_MAX: Span = Span::from_minutes(60);
/// The function has recovered when it has answered for so long without failing: one that fails for some users only must
/// not be told of as failing and recovered in turn.
const RECOVERY: Span = Span::from_minutes(1);
/// The kind of the alert about it.
const FUNCTION: &str = "rights";
/// A process that was killed from outside is no fault of the function: it is asked again, but not for ever.
const TRIES_MAX: usize = 3;

/// Decides who may do what.
#[derive(Debug)]
pub(super) struct Rights {
    plan: PlanInForce,
    configurations: Arc<Configurations>,
    of_plan: Mutex<OfPlan>,
    evaluator: Mutex<Option<Evaluator>>,
    alerts: Alerts,
    clock: Arc<dyn Clock>,
}

/// What is known of the configuration in force.
#[derive(Debug, Default)]
struct OfPlan {
    digest: ConfigDigest,
    rules: Arc<Rules>,
    /// What the function said.
    answers: BTreeMap<(Identity, Action, Object), Said>,
    /// Questions that got no answer.
    failures: BTreeMap<(Identity, Action, Object), Failure>,
    /// When one of them did last.
    failed: Option<Timestamp>,
    deaths: u64,
}

/// A question that got no answer.
#[derive(Clone, Copy, Debug)]
struct Failure {
    tries: u32,
    /// When it may be asked again.
    again: Timestamp,
}

impl Rights {
    pub fn new(plan: PlanInForce, configurations: Arc<Configurations>, alerts: Alerts, clock: Arc<dyn Clock>) -> Self {
        let of_plan = OfPlan { rules: Arc::new(Rules::of_plan(&plan.get())), ..OfPlan::default() };
        Self { plan, configurations, of_plan: Mutex::new(of_plan), evaluator: Mutex::default(), alerts, clock }
    }

    /// Whether an answer may take long, because a function is asked: then ask on a thread that may wait.
    pub fn may_wait(&self) -> bool {
        self.plan.get().rights.function.is_some()
    }

    /// Whether somebody may do something.
    pub fn may(&self, identity: &Identity, action: Action, object: &Object) -> Result<(), Box<Denial>> {
        let plan = self.plan.get();
        let rules = Arc::clone(&self.of_plan(&plan).rules);
        let said = match plan.rights.function {
            Some(function) if rules.asks(identity) => self.said(&plan, function, identity, action, object),
            Some(_) | None => Said::Nothing,
        };
        rules.authorize(identity, action, object, said)
    }

    /// Whether somebody may give an order: all that it is about.
    pub fn may_order(
        &self,
        history: &dyn History,
        identity: &Identity,
        order: &Order,
    ) -> Result<Result<(), Box<Denial>>, StoreError> {
        for object in objects(history, &self.plan.get(), order)? {
            if let Err(denial) = self.may(identity, order.action(), &object) {
                return Ok(Err(denial));
            }
        }
        Ok(Ok(()))
    }

    fn of_plan(&self, plan: &Plan) -> MutexGuard<'_, OfPlan> {
        let mut known = self.of_plan.lock().unwrap_or_else(PoisonError::into_inner);
        if known.digest != plan.digest {
            let rules = Arc::new(Rules::of_plan(plan));
            *known = OfPlan { digest: plan.digest.clone(), rules, ..OfPlan::default() };
            self.alerts.clear(&AlertSubject::Configuration, FUNCTION);
        }
        known
    }

    fn said(&self, plan: &Plan, function: FnId, identity: &Identity, action: Action, object: &Object) -> Said {
        let asked = (identity.clone(), action, object.clone());
        {
            let (known, now) = (self.of_plan(plan), self.clock.now());
            if let Some(said) = known.answers.get(&asked) {
                return *said;
            }
            let waits = |failure: &Failure| now < failure.again && failure.again.since(now) <= PAUSE_MAX;
            if known.deaths >= DEATHS_MAX || known.failures.get(&asked).is_some_and(waits) {
                return Said::Undecided;
            }
        }
        let question = Question::Rights { user: Box::new(identity.clone()), action, object: object.clone() };
        let said = match self.ask(&plan.digest, function, question) {
            Ok(Value::Bool(true)) => Said::Yes,
            Ok(Value::Bool(false)) => Said::No,
            Ok(_) => Said::Nothing,
            Err(Unanswered { why, died }) => {
                self.failed(plan, asked, &why, died);
                return Said::Undecided;
            }
        };
        self.answered(plan, &asked);
        let mut known = self.of_plan(plan);
        if known.answers.len() >= REMEMBERED_MAX {
            known.answers.clear();
        }
        known.answers.insert(asked, said);
        drop(known);
        said
    }

    fn failed(&self, plan: &Plan, asked: (Identity, Action, Object), why: &str, died: bool) {
        let now = self.clock.now();
        let mut known = self.of_plan(plan);
        known.deaths += u64::from(died);
        known.failed = Some(now);
        let text = if known.deaths >= DEATHS_MAX {
            format!(
                "the function `rights` is not asked any more, and everybody whom it is asked about is denied: {why}"
            )
        } else {
            format!("the function `rights` gave no answer, so the answer is no: {why}")
        };
        if known.failures.len() >= REMEMBERED_MAX {
            known.failures.clear();
        }
        let tries = known.failures.get(&asked).map_or(1, |failure| failure.tries.saturating_add(1));
        known.failures.insert(asked, Failure { tries, again: now.plus(pause_after(tries)) });
        drop(known);
        let hint = "correct the function; people on the master's own machine may do everything meanwhile";
        self.alerts.raise(AlertSubject::Configuration, FUNCTION, text, Some(hint.to_owned()));
    }

    fn answered(&self, plan: &Plan, asked: &(Identity, Action, Object)) {
        let mut known = self.of_plan(plan);
        let Some(failed) = known.failed else { return };
        known.failures.remove(asked);
        if self.clock.now().since(failed) >= RECOVERY && known.deaths < DEATHS_MAX {
            known.failed = None;
            self.alerts.clear(&AlertSubject::Configuration, FUNCTION);
        }
    }

    fn ask(&self, digest: &ConfigDigest, function: FnId, question: Question) -> Result<Value, Unanswered> {
        let mut known = self.evaluator.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |why: String| Unanswered { why, died: false };
        let questions = [(function, question)];
        for _ in 0..TRIES_MAX {
            let usable = |known: &Evaluator| known.template().digest() == digest && !known.is_dead();
            let mut evaluator = match known.take().filter(usable) {
                Some(evaluator) => evaluator,
                None => {
                    let template = self.configurations.templates().obtain_now(digest).map_err(failed)?;
                    template.evaluator().map_err(|lost| failed(lost.message))?
                }
            };
            match evaluator.decide(&questions, ASK_TIME) {
                Ok(spent) => {
                    *known = Some(evaluator);
                    let slow = || Unanswered { why: "it took too long".to_owned(), died: true };
                    return spent.answers.into_iter().next().ok_or_else(slow)?.map_err(failed);
                }
                Err(lost) if lost.killed => {}
                Err(lost) => return Err(Unanswered { why: lost.message, died: true }),
            }
        }
        Err(failed("its process was killed from outside, again and again".to_owned()))
    }
}

/// The pause after so many tries.
fn pause_after(tries: u32) -> Span {
    let doubled = PAUSE.as_millis().saturating_mul(1 << tries.saturating_sub(1).min(16));
    Span::from_millis(doubled).min(PAUSE_MAX)
}

/// Why the function said nothing.
struct Unanswered {
    why: String,
    /// It killed its process, or took too long.
    died: bool,
}

/// What an order is about. What does not exist is about the installation: whoever may not do it there does not hear
/// whether it exists.
fn objects(history: &dyn History, plan: &Plan, order: &Order) -> Result<BTreeSet<Object>, StoreError> {
    let one = |object: Object| BTreeSet::from([object]);
    Ok(match order {
        Order::Force(ask) => {
            let of_scheduler = ask.scheduler.as_ref().and_then(|name| plan.schedulers.get(name));
            let all = of_scheduler.map(|scheduler| scheduler.builders.as_slice()).unwrap_or_default();
            let builders = if ask.builders.is_empty() { all } else { &ask.builders };
            match builders {
                [] => one(Object::Installation),
                builders => builders.iter().map(Object::builder).collect(),
            }
        }
        Order::Rebuild { build, .. } | Order::StopBuild { build, .. } | Order::EndBuild { build, .. } => {
            one(of_build(history, *build)?)
        }
        Order::CancelRequest { request, .. } | Order::SetPriority { request, .. } => {
            one(of_request(history, *request)?)
        }
        Order::EnableScheduler { scheduler, .. } => one(Object::Scheduler { name: scheduler.clone() }),
        Order::PauseWorker { worker, .. } | Order::StopWorker { worker } | Order::KillWorker { worker, .. } => {
            one(Object::worker(worker))
        }
        Order::AddChanges { changes, .. } => {
            let all: BTreeSet<Object> = changes.iter().flat_map(|change| objects_of(plan, change)).collect();
            if all.is_empty() { one(Object::Installation) } else { all }
        }
        Order::Poll { source: Some(name) } => one(Object::Source { name: name.clone() }),
        Order::Resend { report, .. } | Order::DeliverNow { report } | Order::GiveUpReport { report } => {
            one(of_report(history, *report)?)
        }
        Order::Poll { source: None } | Order::Reload { .. } => one(Object::Installation),
    })
}

fn of_build(history: &dyn History, id: BuildId) -> Result<Object, StoreError> {
    let Some(build) = history.build(id)? else { return Ok(Object::Installation) };
    let Some(builder) = history.builder(build.builder)? else { return Ok(Object::Installation) };
    Ok(Object::owned(builder.name, &build.properties))
}

fn of_request(history: &dyn History, id: RequestId) -> Result<Object, StoreError> {
    let Some(request) = history.request(id)? else { return Ok(Object::Installation) };
    let Some(builder) = history.builder(request.builder)? else { return Ok(Object::Installation) };
    Ok(Object::owned(builder.name, &request.properties))
}

fn of_report(history: &dyn History, id: ReportId) -> Result<Object, StoreError> {
    let given_up = history.undelivered()?.into_iter().map(|record| record.report);
    let report =
        given_up.chain(history.outbox()?.into_iter().map(|waiting| waiting.report)).find(|report| report.id == id);
    let Some(builder) = report.and_then(|report| report.subject.builder()) else { return Ok(Object::Installation) };
    Ok(history.builder(builder)?.map_or(Object::Installation, |builder| Object::builder(builder.name)))
}
