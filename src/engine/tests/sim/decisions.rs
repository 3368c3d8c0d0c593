//! User functions of moods: while there is chaos, they fail, kill their process or are postponed, by chance. What the
//! engine makes of it is compared with what it was told.
//!
//! Whether a configuration has such functions follows from its grace period, so that the other runs are as they were.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::draft::Draft;
use super::rng::Rng;
use super::run::Sim;
use crate::engine::Input;
use crate::engine::state::State;
use crate::model::{
    ChangeId, Decision, EvalOutcome, Event, Fact, FnId, FunctionKind, FunctionOwner, Plan, Question, RequestId,
    SchedulerId, SchedulerKind, Undecided, UserFunction, Value,
};

/// So many losses of a build are enough for the step that it is in.
const LOSSES_MAX: u32 = 3;

/// One question and what came of it.
#[derive(Clone, Debug)]
struct Told {
    function: FnId,
    change: Option<ChangeId>,
    start: Option<(RequestId, String)>,
    said: Decision,
}

/// How functions feel, and what they were asked in this turn. The engine asks through a shared reference.
#[derive(Clone, Debug, Default)]
pub struct Moods {
    seed: Arc<AtomicU64>,
    moody: Arc<AtomicBool>,
    deadly: Arc<AtomicBool>,
    told: Arc<Mutex<Vec<Told>>>,
}

/// Whether this configuration has functions.
pub const fn is_fickle(draft: &Draft) -> bool {
    draft.grace % 3 == 0
}

impl Moods {
    pub fn new(seed: u64) -> Self {
        let moods = Self::default();
        moods.seed.store(seed, Ordering::Relaxed);
        moods.moody.store(true, Ordering::Relaxed);
        moods.deadly.store(Rng::new(seed).chance(50), Ordering::Relaxed);
        moods
    }

    /// From now on everything is answered.
    pub fn calm_down(&self) {
        self.moody.store(false, Ordering::Relaxed);
    }

    /// In every second run with functions many processes die of them.
    fn deaths(&self, usual: u64, many: u64) -> u64 {
        if self.deadly.load(Ordering::Relaxed) { many } else { usual }
    }

    fn chance(&self, percent: u64) -> bool {
        let seed = self.seed.fetch_add(1, Ordering::Relaxed);
        self.moody.load(Ordering::Relaxed) && Rng::new(seed).chance(percent)
    }

    /// The answer to a question, or none by chance.
    pub fn said(&self, function: FnId, question: &Question, answer: impl FnOnce() -> Decision) -> Decision {
        let said = if self.chance(12) {
            Err(Undecided::Failed { message: format!("no luck with {function}") })
        } else if self.chance(self.deaths(6, 45)) {
            Err(Undecided::Lost { message: "it was killed".to_owned() })
        } else if self.chance(8) {
            Err(Undecided::Postponed)
        } else {
            answer()
        };
        let (change, start) = match question {
            Question::Filter(change) => (Some(change.id), None),
            Question::CanStart { worker, request, .. } => (None, Some((request.id, worker.name.clone()))),
            _ => (None, None),
        };
        self.told.lock().unwrap().push(Told { function, change, start, said: said.clone() });
        said
    }

    /// An evaluation's outcome, or that its process was lost.
    pub fn evaluated(&self, outcome: EvalOutcome) -> EvalOutcome {
        if self.chance(self.deaths(4, 30)) {
            EvalOutcome::Lost { message: "it was killed".to_owned() }
        } else {
            outcome
        }
    }

    fn take(&self) -> Vec<Told> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

/// The answer of a function of a drafted configuration.
pub fn answer(question: &Question) -> Decision {
    match question {
        Question::Filter(change) => Ok(Value::Bool(!change.id.0.is_multiple_of(7))),
        _ => Ok(Value::Bool(true)),
    }
}

/// The functions of a configuration, by id.
fn function_of(state: &State, plan: &Plan, id: FnId) -> Option<UserFunction> {
    let filter = |kind: &SchedulerKind| match kind {
        SchedulerKind::Branch { filter, .. } | SchedulerKind::AnyBranch { filter, .. } => filter.function,
        _ => None,
    };
    let scheduler = plan.schedulers.values().find(|scheduler| filter(&scheduler.kind) == Some(id));
    let builder = plan.builders.values().find(|builder| builder.can_start == Some(id));
    scheduler
        .map(|scheduler| UserFunction::new(FunctionKind::Filter, state.scheduler_id(&scheduler.name)))
        .or_else(|| builder.map(|builder| UserFunction::new(FunctionKind::CanStart, state.builder_id(&builder.name))))
}

impl Sim {
    /// Functions that must not be asked in the turn that begins.
    pub fn suspended(&self, input: &Input) -> Vec<UserFunction> {
        let Some(shell) = self.shell.as_ref().filter(|_| !matches!(input, Input::PlanLoaded { .. })) else {
            return Vec::new();
        };
        let troubles = shell.engine.state().troubles().iter().filter(|(_, trouble)| trouble.suspended);
        troubles.map(|(function, _)| *function).collect()
    }

    /// After a turn: each question was allowed, and what has no answer is neither forgotten nor untold.
    pub fn check_decisions(&mut self, suspended: &[UserFunction], facts: &[Arc<Fact>]) {
        let told = self.scene.moods.take();
        let Some(shell) = &self.shell else { return };
        let (state, plan) = (shell.engine.state(), shell.engine.plan().cloned());
        let Some(plan) = plan else { return };
        let mut saw = Vec::new();
        for told in &told {
            let Some(function) = function_of(state, &plan, told.function) else { continue };
            assert!(!suspended.contains(&function), "decisions: {function} is asked, but suspended");
            match &told.said {
                Ok(_) => {
                    self.allowed.extend(told.start.clone());
                    continue;
                }
                Err(Undecided::Postponed) => saw.push("decision postponed"),
                Err(Undecided::Failed { .. }) => saw.push("decision failed"),
                Err(Undecided::Lost { .. }) => saw.push("decision lost"),
            }
            let known = state.troubles().get(&function).is_some_and(|trouble| trouble.message.is_some());
            assert!(
                known || told.said == Err(Undecided::Postponed),
                "decisions: {function} failed, and nothing says so"
            );
            if let (Some(change), FunctionOwner::Scheduler(id)) = (told.change, function.of) {
                let name = state.scheduler_name(id).unwrap();
                let scheduler = &state.schedulers()[name];
                let waits = scheduler.pending.iter().any(|pending| pending.change == change);
                // Asked twice in one turn it may have been answered the second time.
                let decided = facts.iter().any(|fact| is_decision(&fact.event, scheduler.id, change));
                assert!(waits || decided, "decisions: change {change} is undecided for `{name}`, and forgotten");
            }
        }
        for fact in facts {
            match &fact.event {
                Event::BuildStarted { builder, worker, requests, .. } => {
                    let (builder, worker) = (&state.builders()[builder].name, state.worker_name(*worker).unwrap());
                    let asks = plan.builders.get(builder).is_some_and(|builder| builder.can_start.is_some());
                    let allowed = self.allowed.contains(&(requests[0], worker.clone()));
                    assert!(!asks || allowed, "decisions: `{builder}` starts on `{worker}`, which nothing allowed");
                }
                Event::EvaluationLost { build, step, part, losses, .. } => {
                    saw.push("evaluation lost");
                    let lost = (*build, *step, *part, self.crashes());
                    let given_up = *losses >= LOSSES_MAX && !self.given_up.insert(lost);
                    assert!(!given_up, "decisions: {part:?} of step {step} was given up, and is evaluated again");
                }
                Event::StepRetried { build, .. } => self.given_up.retain(|(other, ..)| other != build),
                Event::ChangeQueued { scheduler, change, .. } => {
                    let scheduler = state.scheduler_name(*scheduler).unwrap();
                    let fresh = self.taken.insert((scheduler.clone(), *change, self.processes));
                    assert!(fresh, "decisions: change {change} is taken twice by `{scheduler}`");
                }
                Event::ScriptSuspended { .. } => saw.push("function suspended"),
                Event::ScriptRecovered { .. } => saw.push("function recovered"),
                _ => {}
            }
        }
        saw.into_iter().for_each(|what| self.saw(what));
    }

    /// Facts that were not durable are decided anew by the next process.
    const fn crashes(&self) -> u64 {
        self.processes
    }

    /// Whether nothing waits for an answer, but of functions that are suspended.
    pub fn is_decided(&self) -> bool {
        let Some(shell) = &self.shell else { return false };
        let state = shell.engine.state();
        state.schedulers().values().all(|scheduler| {
            scheduler.pending.is_empty() || !scheduler.enabled || self.is_suspended(FunctionKind::Filter, scheduler.id)
        })
    }

    /// Whether this function is not asked any more.
    pub fn is_suspended(&self, kind: FunctionKind, of: impl Into<FunctionOwner>) -> bool {
        let function = UserFunction::new(kind, of);
        let troubles = self.shell.as_ref().map(|shell| shell.engine.state().troubles());
        troubles.and_then(|troubles| troubles.get(&function)).is_some_and(|trouble| trouble.suspended)
    }
}

fn is_decision(event: &Event, of: SchedulerId, id: ChangeId) -> bool {
    match event {
        Event::ChangeQueued { scheduler, change, .. } | Event::ChangeDeclined { scheduler, change, .. } => {
            *scheduler == of && *change == id
        }
        _ => false,
    }
}
