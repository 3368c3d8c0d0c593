//! One pass: one input is taken, facts are recorded, and everything that follows from them at once is done.
//!
//! Deciding and changing are apart: a decision is a fact, [`Pass::record`] makes it part of the state, and notes what has
//! to be looked at because of it. [`Pass::settle`] looks, until nothing is left to look at. So nobody has to know who
//! else is concerned by what they record.

use std::sync::Arc;

use super::decide::Asked;
use super::state::State;
use super::timers::TimerKey;
use super::underway::Underway;
use super::{Deadline, Effect, Reply, Ticket, Turn, WakeReason};
use crate::base::Timestamp;
use crate::model::{Event, Fact, Plan, Script, StopTarget};

/// More rounds than any real input needs; an engine that circles ends loudly instead of hanging.
const ROUNDS_MAX: u64 = 1_000_000;

/// The work on one input.
pub(super) struct Pass<'a> {
    pub state: &'a mut State,
    pub up: &'a mut Underway,
    pub now: Timestamp,
    pub scripts: &'a dyn Script,
    pub facts: Vec<Arc<Fact>>,
    pub effects: Vec<Effect>,
    pub asked: Asked,
    replies: Vec<Effect>,
}

impl<'a> Pass<'a> {
    /// Begins.
    pub fn new(state: &'a mut State, up: &'a mut Underway, now: Timestamp, scripts: &'a dyn Script) -> Self {
        Self {
            state,
            up,
            now,
            scripts,
            facts: Vec::new(),
            effects: Vec::new(),
            asked: Asked::default(),
            replies: Vec::new(),
        }
    }

    /// Does all that follows, and gives what came of it.
    pub fn finish(mut self) -> Turn {
        self.settle();
        self.keep_answers();
        self.effects.append(&mut self.replies);
        Turn { facts: self.facts, effects: self.effects }
    }

    /// Makes a decision a fact, and part of the state.
    ///
    /// # Panics
    /// When the fact is illegal, which is a bug here: a wrong engine is worse than none.
    pub fn record(&mut self, event: Event) {
        let fact = Fact { seq: self.state.seq + 1, at: self.now, event };
        if let Err(why) = self.state.apply(&fact) {
            panic!("bug in the engine: fact {} is illegal: {why}: {:?}", fact.seq, fact.event);
        }
        self.note(&fact.event);
        self.facts.push(Arc::new(fact));
    }

    /// Answers an asker, if there is one.
    pub fn reply(&mut self, ticket: Option<Ticket>, reply: Reply) {
        self.replies.extend(ticket.map(|ticket| Effect::Reply { ticket, reply }));
    }

    /// The configuration in force.
    pub fn plan(&self) -> Option<Arc<Plan>> {
        self.up.plans.get(self.state.plan.as_ref()?).cloned()
    }

    /// Lets everything follow that follows now.
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            if let Some(build) = self.up.builds.pop_first() {
                self.drive(build);
            } else if std::mem::take(&mut self.up.locks) {
                self.serve_steps();
                self.up.lend = true;
            } else if !self.up.builders.is_empty() {
                self.match_requests();
            } else if std::mem::take(&mut self.up.lend) {
                self.lend_slots();
            } else if std::mem::take(&mut self.up.deadlocks) {
                self.end_deadlock();
            } else if !self.fire_timers() {
                self.prune_plans();
                return;
            }
        }
        panic!("bug in the engine: it circles, at fact {}", self.state.seq);
    }

    /// Looks at everything, as after a restart.
    pub fn look_at_everything(&mut self) {
        self.up.builds.extend(self.state.builds.keys());
        self.up.builders.extend(self.state.index.waiting.keys());
        self.up.locks = true;
        let parents = self.state.builds.values().filter(|build| build.has_triggers()).map(|build| build.id);
        self.up.parents = parents.collect();
        (self.up.lend, self.up.deadlocks) = (true, true);
        for worker in self.state.workers.keys().cloned().collect::<Vec<_>>() {
            self.note_free(&worker);
        }
        let state = &*self.state;
        let all = (state.schedulers.keys().cloned().map(TimerKey::Scheduler))
            .chain(state.sources.keys().cloned().map(TimerKey::Source))
            .chain(state.workers.keys().cloned().map(TimerKey::Worker))
            .chain(state.workers.keys().cloned().map(TimerKey::Leftovers))
            .chain(state.builds.keys().copied().map(TimerKey::Build))
            .chain(state.outbox.keys().copied().map(TimerKey::Report))
            .chain(state.requests.keys().copied().map(TimerKey::Request))
            .chain(state.troubles.keys().cloned().map(TimerKey::Function));
        self.up.touched.extend(all);
        sabotage!(QuietLostOnRestart => self.up.touched.retain(|key| !matches!(key, TimerKey::Scheduler(_))));
        sabotage!(WaitForgottenOnRestart => self.up.touched.retain(|key| !matches!(key, TimerKey::Build(_))));
    }

    /// Notes what has to be looked at because of an event.
    fn note(&mut self, event: &Event) {
        if let Some(build) = event.build() {
            self.up.builds.insert(build);
            self.up.touched.insert(TimerKey::Build(build));
        }
        match event {
            Event::PlanAdopted { .. } | Event::MasterStarted { .. } => self.look_at_everything(),
            Event::ChangeQueued { scheduler, .. }
            | Event::SchedulerTimed { scheduler, .. }
            | Event::ChangeUndecided { scheduler, .. }
            | Event::ChangeDeclined { scheduler, .. }
            | Event::BuildsetUndecided { scheduler, .. }
            | Event::BuildsetOwed { scheduler, .. }
            | Event::BuildsetForgone { scheduler, .. }
            | Event::SchedulerEnabled { scheduler, .. } => self.touch(TimerKey::Scheduler(scheduler.clone())),
            Event::SourcePolled { source, .. } | Event::SourceFailed { source, .. } => {
                self.touch(TimerKey::Source(source.clone()));
            }
            Event::BuildsetMade { buildset, requests } => {
                self.touch(TimerKey::Scheduler(buildset.scheduler.clone()));
                self.up.builders.extend(requests.iter().map(|request| request.builder));
                if requests.iter().any(|request| request.waited_for) {
                    self.up.parents.extend(buildset.parent);
                    (self.up.lend, self.up.deadlocks) = (true, true);
                }
            }
            Event::RequestCollapsed { into: request, .. }
            | Event::RequestPriority { request, .. }
            | Event::RequestWaits { request, .. } => {
                (self.up.lend, self.up.deadlocks) = (true, true);
                self.up.builders.extend(self.state.requests.get(request).map(|request| request.builder));
                self.touch(TimerKey::Request(*request));
            }
            Event::RequestEnded { request, .. } => self.touch(TimerKey::Request(*request)),
            Event::BuildStarted { worker, requests, .. } => {
                self.note_free(worker);
                let claims = self.up.claims.iter().filter(|(_, claim)| claim.worker == *worker);
                self.up.builders.extend(claims.map(|(builder, _)| builder));
                self.up.touched.extend(requests.iter().copied().map(TimerKey::Request));
            }
            Event::LocksReleased { .. } => self.up.locks = true,
            Event::LocksAwaited { .. } => self.up.deadlocks = true,
            Event::LocksTaken { build, step: Some(_), .. } | Event::Answered { build, .. } => {
                self.want_evaluation(*build);
            }
            Event::StopEscalated { target: StopTarget::Command { build, .. }, .. } => {
                self.up.builds.insert(*build);
                self.touch(TimerKey::Build(*build));
            }
            Event::BuildEnded { .. } => self.up.prune = true,
            Event::WorkerConnected { worker, .. }
            | Event::WorkerLost { worker, .. }
            | Event::LeftoverEnded { worker, .. }
            | Event::WorkerPaused { worker, .. }
            | Event::WorkerGraceful { worker, .. } => {
                sabotage!(UnpauseUnnoticed => if matches!(event, Event::WorkerPaused { paused: false, .. }) { return });
                self.look_at_worker(&worker.clone());
            }
            Event::ReportQueued { report } => self.touch(TimerKey::Report(report.id)),
            Event::ReportSent { report } | Event::ReportDropped { report, .. } => {
                self.up.prune = true;
                self.touch(TimerKey::Report(*report));
            }
            Event::ScriptFailed { function, .. }
            | Event::ScriptSuspended { function, .. }
            | Event::ScriptRecovered { function } => self.touch(TimerKey::Function(function.clone())),
            Event::ReportFailed { report, .. } => self.touch(TimerKey::Report(*report)),
            Event::MasterStopped
            | Event::PlanRefused { .. }
            | Event::ChangeArrived { .. }
            | Event::ChangeAnnounced { .. }
            | Event::DeliveryTaken { .. }
            | Event::EvaluationLost { .. }
            | Event::StepLinked { .. }
            | Event::TriggerRefused { .. }
            | Event::TriggerUndecided { .. }
            | Event::ReportRemarked { .. }
            | Event::BuildsetEnded { .. }
            | Event::LocksTaken { step: None, .. }
            | Event::BuildState { .. }
            | Event::StepStarted { .. }
            | Event::StepDecided { .. }
            | Event::StepRetried { .. }
            | Event::StepEnded { .. }
            | Event::Asked { .. }
            | Event::CommandRestarted { .. }
            | Event::LogClosed { .. }
            | Event::BuildStopping { .. }
            | Event::LocksWaited { .. } => {}
        }
    }

    /// A worker's slots or state changed: who could use it?
    pub fn look_at_worker(&mut self, worker: &str) {
        self.touch(TimerKey::Worker(worker.to_owned()));
        self.touch(TimerKey::Leftovers(worker.to_owned()));
        self.note_free(worker);
        self.up.lend = true;
        let waiting = &self.state.index.waiting;
        let builders = self.up.builders_of_worker.get(worker).into_iter().flatten();
        self.up.builders.extend(builders.filter(|builder| waiting.contains_key(builder)));
        self.up.builds.extend(self.state.builds_on(worker));
    }

    /// Has a moment looked up again.
    pub fn touch(&mut self, key: TimerKey) {
        self.up.touched.insert(key);
    }

    fn refresh_timers(&mut self) {
        for key in std::mem::take(&mut self.up.touched) {
            let due = self
                .due_of(&key)
                .map(|(at, why)| (self.up.postponed.get(&key).map_or(at, |floor| at.max(*floor)), why));
            self.up.timers.set(key, due);
        }
    }

    /// Does what is due; false if nothing is.
    fn fire_timers(&mut self) -> bool {
        self.refresh_timers();
        let due = self.up.timers.take_due(self.now);
        for key in &due {
            self.fire(key);
            self.touch(key.clone());
        }
        !due.is_empty()
    }

    /// When a thing is due, if it is waiting for a moment.
    fn due_of(&self, key: &TimerKey) -> Option<Deadline> {
        match key {
            TimerKey::Scheduler(name) => self.scheduler_due(name),
            TimerKey::Source(name) => self.poll_due(name),
            TimerKey::Build(build) => self.build_due(*build),
            TimerKey::Worker(name) => {
                let at = self.state.workers.get(name)?.give_up.filter(|_| self.state.load_of(name) > 0)?;
                // A clock that went back must not make the wait longer than it is.
                let at = at.min(self.now.plus(self.grace_of_workers()));
                Some((at, WakeReason::GiveUp(name.clone())))
            }
            TimerKey::Leftovers(name) => {
                sabotage!(LeftoversForEver => return None);
                let over = self.leftovers_over(name)?;
                Some((over, WakeReason::Leftovers(name.clone())))
            }
            TimerKey::Report(report) => self.delivery_due(*report),
            TimerKey::Request(request) => {
                let at = self.state.requests.get(request)?.rests(self.now)?;
                Some((at, WakeReason::Request(*request)))
            }
            TimerKey::Builder(builder) => {
                let at = self.retry_due(*self.up.retries.get(builder)?)?;
                Some((at, WakeReason::Queue(*builder)))
            }
            TimerKey::Function(function) => self.recovery_due(function),
            TimerKey::Later => {
                let waits = !self.up.later.is_empty() || !self.up.uncollapsed.is_empty();
                waits.then_some((self.now, WakeReason::Postponed))
            }
        }
    }

    fn fire(&mut self, key: &TimerKey) {
        self.up.postponed.remove(key);
        match key {
            TimerKey::Scheduler(name) => self.fire_scheduler(name),
            TimerKey::Build(build) => self.fire_build(*build),
            TimerKey::Worker(worker) => self.give_up_worker(worker),
            TimerKey::Leftovers(worker) => self.end_leftovers(worker),
            TimerKey::Request(request) => {
                self.up.lend = true;
                self.up.builders.extend(self.state.requests.get(request).map(|request| request.builder));
            }
            TimerKey::Source(source) => self.order_poll(source),
            TimerKey::Report(report) => self.order_delivery(*report),
            TimerKey::Builder(builder) => {
                // Whoever looks at the builder plans the next time; without free workers nobody does.
                if let Some(retry) = self.up.retries.get_mut(builder) {
                    retry.due = None;
                }
                self.up.lend = true;
                self.up.builders.insert(*builder);
            }
            TimerKey::Function(function) => self.function_recovered(function),
            TimerKey::Later => self.do_postponed(),
        }
    }

    /// Forgets configurations that nothing needs any more.
    fn prune_plans(&mut self) {
        if std::mem::take(&mut self.up.prune) && self.up.plans.len() > 1 {
            let needed = self.state.plans_needed();
            self.up.plans.retain(|digest, _| needed.contains(digest));
        }
    }
}
