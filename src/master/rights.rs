//! Asks who may do what: brings the rules of the configuration in force, what the function `rights` says, and what an
//! order is about together for [`super::authorize`].
//!
//! The function runs in an evaluator process of its own. What it says about reading is remembered, because lists ask for
//! each builder; everything else is asked each time. No answer means no.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::authorize::{Rules, Said};
use super::configurations::Configurations;
use super::declared_place::objects_of;
use super::plan_in_force::PlanInForce;
use crate::evaluator::Evaluator;
use crate::model::{
    Action, BuildId, ConfigDigest, Denial, FnId, Identity, Object, Order, Plan, Properties, Question, ReportId,
    RequestId, Value,
};
use crate::store::{Store, StoreError};

/// Answers about reading that are remembered: some hundred visitors with a thousand builders each would be forgotten in
/// between, and asked about again.
const REMEMBERED_MAX: usize = 50_000;
/// Processor time of one question.
const ASK_TIME: Duration = Duration::from_millis(250);
/// A function that killed so many processes is not asked again until the next configuration: everybody waits for it.
const DEATHS_MAX: u64 = 3;
/// A process that was killed from outside is no fault of the function: it is asked again, but not for ever.
const TRIES_MAX: usize = 3;

/// Decides who may do what.
#[derive(Debug)]
pub(super) struct Rights {
    plan: PlanInForce,
    configurations: Arc<Configurations>,
    of_plan: Mutex<OfPlan>,
    evaluator: Mutex<Option<Evaluator>>,
}

/// What is known of the configuration in force.
#[derive(Debug, Default)]
struct OfPlan {
    digest: ConfigDigest,
    rules: Arc<Rules>,
    /// What the function said about reading.
    reads: BTreeMap<(Identity, Object), Said>,
    deaths: u64,
}

impl Rights {
    pub fn new(plan: PlanInForce, configurations: Arc<Configurations>) -> Self {
        let of_plan = OfPlan { rules: Arc::new(Rules::of_plan(&plan.get())), ..OfPlan::default() };
        Self { plan, configurations, of_plan: Mutex::new(of_plan), evaluator: Mutex::default() }
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
        store: &Store,
        identity: &Identity,
        order: &Order,
    ) -> Result<Result<(), Box<Denial>>, StoreError> {
        for object in objects(store, &self.plan.get(), order)? {
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
        }
        known
    }

    fn said(&self, plan: &Plan, function: FnId, identity: &Identity, action: Action, object: &Object) -> Said {
        let key = (identity.clone(), object.clone());
        let reads = action == Action::Read;
        {
            let known = self.of_plan(plan);
            if let Some(said) = known.reads.get(&key).filter(|_| reads) {
                return *said;
            }
            if known.deaths >= DEATHS_MAX {
                return Said::Undecided;
            }
        }
        let question = Question::Rights { user: Box::new(identity.clone()), action, object: object.clone() };
        let said = match self.ask(&plan.digest, function, question) {
            Ok(Value::Bool(true)) => Said::Yes,
            Ok(Value::Bool(false)) => Said::No,
            Ok(_) => Said::Nothing,
            Err(Unanswered { why, died }) => {
                tracing::warn!(action = action.word(), %object, "`rights` gave no answer, so the answer is no: {why}");
                self.of_plan(plan).deaths += u64::from(died);
                return Said::Undecided;
            }
        };
        if reads {
            let mut known = self.of_plan(plan);
            if known.reads.len() >= REMEMBERED_MAX {
                known.reads.clear();
            }
            known.reads.insert(key, said);
        }
        said
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
                    let answer = spent.answers.into_iter().next();
                    return answer.unwrap_or_else(|| Err("it took too long".to_owned())).map_err(failed);
                }
                Err(lost) if lost.killed => {}
                Err(lost) => return Err(Unanswered { why: lost.message, died: true }),
            }
        }
        Err(failed("its process was killed from outside, again and again".to_owned()))
    }
}

/// Why the function said nothing.
struct Unanswered {
    why: String,
    /// It killed or outlasted its process.
    died: bool,
}

/// What an order is about. What does not exist is about the installation: whoever may not do it there does not hear
/// whether it exists.
fn objects(store: &Store, plan: &Plan, order: &Order) -> Result<BTreeSet<Object>, StoreError> {
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
            one(of_build(store, *build)?)
        }
        Order::CancelRequest { request, .. } | Order::SetPriority { request, .. } => one(of_request(store, *request)?),
        Order::EnableScheduler { scheduler, .. } => one(Object::Scheduler { name: scheduler.clone() }),
        Order::PauseWorker { worker, .. } | Order::StopWorker { worker } | Order::KillWorker { worker, .. } => {
            one(Object::worker(worker))
        }
        Order::AddChanges { changes, .. } => {
            let all: BTreeSet<Object> = changes.iter().flat_map(|change| objects_of(plan, change)).collect();
            if all.is_empty() { one(Object::Installation) } else { all }
        }
        Order::Poll { source: Some(name) } => one(Object::Source { name: name.clone() }),
        Order::Resend { report, .. } => one(of_report(store, *report)?),
        Order::Poll { source: None } | Order::Reload { .. } => one(Object::Installation),
    })
}

fn of_build(store: &Store, id: BuildId) -> Result<Object, StoreError> {
    let Some(build) = store.build(id)? else { return Ok(Object::Installation) };
    let Some(builder) = store.builder(build.builder)? else { return Ok(Object::Installation) };
    Ok(Object::Builder { name: builder.name, owners: owners(&build.properties) })
}

fn of_request(store: &Store, id: RequestId) -> Result<Object, StoreError> {
    let Some(request) = store.request(id)? else { return Ok(Object::Installation) };
    let Some(builder) = store.builder(request.builder)? else { return Ok(Object::Installation) };
    Ok(Object::Builder { name: builder.name, owners: owners(&request.properties) })
}

fn of_report(store: &Store, id: ReportId) -> Result<Object, StoreError> {
    let report = store.undelivered()?.into_iter().map(|record| record.report).find(|report| report.id == id);
    let Some(builder) = report.and_then(|report| report.subject.builder()) else { return Ok(Object::Installation) };
    Ok(store.builder(builder)?.map_or(Object::Installation, |builder| Object::builder(builder.name)))
}

/// Who wanted it, as Buildbot's properties say it.
fn owners(properties: &Properties) -> BTreeSet<String> {
    let several = match properties.get("owners") {
        Some(Value::List(owners)) => owners.as_slice(),
        _ => &[],
    };
    let owners = several.iter().chain(properties.get("owner"));
    owners.filter_map(Value::as_str).filter(|owner| !owner.is_empty()).map(str::to_owned).collect()
}
