//! One turn: what every part works with while one input is dealt with.
//!
//! Deciding and changing are apart: a decision is a fact, [`Turn::record`] makes it part of the state, and marks what has to
//! be looked at because of it. The core lets those parts look, until nothing is marked. So nobody has to know who else is
//! concerned by what they record, and a lower part never calls a higher one: it sets a mark.

use std::sync::Arc;

use super::asking::Asked;
use super::in_flight::InFlight;
use super::state::State;
use super::timers::TimerKey;
use super::{Decided, Effect, Reply, Ticket};
use crate::base::Timestamp;
use crate::model::{BuildId, Cause, Event, Fact, Plan, Script};

/// The work on one input.
pub(super) struct Turn<'a> {
    pub state: &'a mut State,
    pub in_flight: &'a mut InFlight,
    pub now: Timestamp,
    /// What all facts of this pass are caused by.
    cause: Cause,
    pub scripts: &'a dyn Script,
    pub facts: Vec<Arc<Fact>>,
    pub effects: Vec<Effect>,
    pub asked: Asked,
    replies: Vec<Effect>,
}

impl<'a> Turn<'a> {
    /// Begins.
    pub fn new(
        state: &'a mut State,
        in_flight: &'a mut InFlight,
        (now, cause): (Timestamp, Cause),
        scripts: &'a dyn Script,
    ) -> Self {
        Self {
            state,
            in_flight,
            now,
            cause,
            scripts,
            facts: Vec::new(),
            effects: Vec::new(),
            asked: Asked::default(),
            replies: Vec::new(),
        }
    }

    /// What came of it; answers to askers come last.
    pub fn decided(mut self) -> Decided {
        self.effects.append(&mut self.replies);
        Decided { facts: self.facts, effects: self.effects }
    }

    /// Makes a decision a fact, and part of the state.
    ///
    /// # Panics
    /// When the fact is illegal, which is a bug here: a wrong engine is worse than none.
    pub fn record(&mut self, event: Event) {
        let fact = Fact { seq: self.state.seq() + 1, at: self.now, cause: self.cause(), event };
        if let Err(why) = self.state.apply(&fact) {
            panic!("bug in the engine: fact {} is illegal: {why}: {:?}", fact.seq, fact.event);
        }
        self.note(&fact.event);
        self.facts.push(Arc::new(fact));
    }

    fn cause(&self) -> Cause {
        sabotage!(CauseForgotten => if !self.facts.is_empty() { return Cause::Clock });
        self.cause.clone()
    }

    /// Answers an asker, if there is one.
    pub fn reply(&mut self, ticket: Option<Ticket>, reply: Reply) {
        self.replies.extend(ticket.map(|ticket| Effect::Reply { ticket, reply }));
    }

    /// The configuration in force. None before the first, and after a restart that could not load it: nothing new starts
    /// then.
    pub fn plan(&self) -> Option<Arc<Plan>> {
        self.in_flight.plans.get(self.state.plan()?).cloned()
    }

    /// Looks at everything, as after a restart.
    pub fn look_at_everything(&mut self) {
        self.in_flight.marks.builds(self.state.builds().keys().copied());
        self.in_flight.marks.builders(self.state.index().waiting.keys().copied());
        self.in_flight.marks.locks();
        let parents = self.state.builds().values().filter(|build| build.has_triggers()).map(|build| build.id);
        self.in_flight.slots.set_parents(parents);
        self.in_flight.marks.waits();
        for worker in self.state.workers().keys().cloned().collect::<Vec<_>>() {
            self.note_free(&worker);
        }
        let state = &*self.state;
        let all = (state.schedulers().keys().cloned().map(TimerKey::Scheduler))
            .chain(state.sources().keys().cloned().map(TimerKey::Source))
            .chain(state.workers().keys().cloned().map(TimerKey::Worker))
            .chain(state.workers().keys().cloned().map(TimerKey::Leftovers))
            .chain(state.builds().keys().copied().map(TimerKey::Build))
            .chain(state.outbox().keys().copied().map(TimerKey::Report))
            .chain(state.requests().keys().copied().map(TimerKey::Request))
            .chain(state.troubles().keys().copied().map(TimerKey::Function));
        self.in_flight.marks.timers(all);
        sabotage!(QuietLostOnRestart => self.in_flight.marks.keep_timers(|key| !matches!(key, TimerKey::Scheduler(_))));
        sabotage!(WaitForgottenOnRestart => self.in_flight.marks.keep_timers(|key| !matches!(key, TimerKey::Build(_))));
    }

    /// Notes what has to be looked at because of an event.
    fn note(&mut self, event: &Event) {
        if let Some(build) = event.build() {
            self.in_flight.marks.builds([build]);
            self.in_flight.marks.timers([TimerKey::Build(build)]);
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
            | Event::SchedulerEnabled { scheduler, .. } => {
                let name = self.state.scheduler_name(*scheduler).cloned();
                self.in_flight.marks.timers(name.map(TimerKey::Scheduler));
            }
            Event::SourcePolled { source, .. } | Event::SourceFailed { source, .. } => {
                let name = self.state.source_name(*source).cloned();
                self.in_flight.marks.timers(name.map(TimerKey::Source));
            }
            Event::BuildsetMade { buildset, requests } => {
                let scheduler = self.state.scheduler_of(buildset).cloned();
                self.in_flight.marks.timers(scheduler.map(TimerKey::Scheduler));
                self.in_flight.marks.builders(requests.iter().map(|request| request.builder));
                if requests.iter().any(|request| request.waited_for) {
                    self.in_flight.slots.add_parents(buildset.parent);
                    self.in_flight.marks.waits();
                }
            }
            Event::RequestCollapsed { into: request, .. }
            | Event::RequestPriority { request, .. }
            | Event::RequestWaits { request, .. } => {
                self.in_flight.marks.waits();
                self.in_flight.marks.builders(self.state.requests().get(request).map(|request| request.builder));
                self.touch(TimerKey::Request(*request));
            }
            Event::RequestEnded { request, .. } => self.touch(TimerKey::Request(*request)),
            Event::BuildStarted { worker, requests, .. } => {
                let worker = self.state.name_of_worker(*worker).clone();
                self.note_free(&worker);
                self.in_flight.marks.builders(self.in_flight.claims.on_worker(&worker));
                self.in_flight.marks.timers(requests.iter().copied().map(TimerKey::Request));
            }
            Event::LocksReleased { .. } => self.in_flight.marks.locks(),
            Event::LocksAwaited { .. } => self.in_flight.marks.deadlocks(),
            Event::LocksTaken { build, step: Some(_), .. } | Event::Answered { build, .. } => {
                self.want_evaluation(*build);
            }
            Event::BuildEnded { .. } => self.in_flight.marks.plans(),
            Event::WorkerConnected { worker, .. }
            | Event::WorkerLost { worker, .. }
            | Event::LeftoversInterrupted { worker, .. }
            | Event::LeftoverEnded { worker, .. }
            | Event::WorkerPaused { worker, .. }
            | Event::WorkerGraceful { worker, .. } => {
                sabotage!(UnpauseUnnoticed => if matches!(event, Event::WorkerPaused { paused: false, .. }) { return });
                let worker = self.state.name_of_worker(*worker).clone();
                self.look_at_worker(&worker);
            }
            Event::ReportQueued { report } => self.touch(TimerKey::Report(report.id)),
            Event::ReportSent { report }
            | Event::ReportDropped { report, .. }
            | Event::ReportSuperseded { report, .. } => {
                self.in_flight.marks.plans();
                self.touch(TimerKey::Report(*report));
            }
            Event::ScriptFailed { function, .. }
            | Event::ScriptSuspended { function, .. }
            | Event::ScriptRecovered { function } => self.touch(TimerKey::Function(*function)),
            Event::ReportFailed { report, .. } => self.touch(TimerKey::Report(*report)),
            Event::MasterStopped
            | Event::PlanRefused { .. }
            | Event::ChangeArrived { .. }
            | Event::ChangeAnnounced { .. }
            | Event::DeliveryTaken { .. }
            | Event::EvaluationLost { .. }
            | Event::StepNoted { .. }
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
            | Event::StopEscalated { .. }
            | Event::CommandGivenUp { .. }
            | Event::LocksWaited { .. } => {}
        }
    }

    /// A worker's slots or state changed: who could use it?
    pub fn look_at_worker(&mut self, worker: &str) {
        self.touch(TimerKey::Worker(worker.to_owned()));
        self.touch(TimerKey::Leftovers(worker.to_owned()));
        self.note_free(worker);
        self.in_flight.marks.lending();
        let waiting = &self.state.index().waiting;
        let builders = self.in_flight.plans.builders_of(worker).iter().copied();
        self.in_flight.marks.builders(builders.filter(|builder| waiting.contains_key(builder)));
        self.in_flight.marks.builds(self.state.builds_on(worker));
    }

    /// Something changed that a build's script waits for.
    pub fn want_evaluation(&mut self, build: BuildId) {
        self.in_flight.evaluations.want(build);
        self.in_flight.marks.builds([build]);
    }

    /// Notes whether new builds may go to a worker.
    pub fn note_free(&mut self, worker: &str) {
        let takes = self.state.workers().get(worker).is_some_and(super::state::Worker::takes_builds);
        let load = self.state.slots_taken(worker);
        let is_free = takes && self.slots_of(worker).is_some_and(|slots| load < slots);
        self.in_flight.free_workers.note(worker, is_free);
    }

    fn slots_of(&self, worker: &str) -> Option<u64> {
        Some(self.plan()?.workers.get(worker)?.slots.max(1))
    }

    /// Has a moment looked up again.
    pub fn touch(&mut self, key: TimerKey) {
        self.in_flight.marks.timers([key]);
    }
}
