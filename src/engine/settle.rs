//! The core of a turn: it takes the input, and lets the parts look at what is marked until nothing is.
//!
//! The only place that knows all parts. A part that wants something of a higher one sets a mark on the turn, and it is
//! here that the higher part is called.

use super::asked::PostponedOrders;
use super::deliveries::Deliveries;
use super::queue_retries::QueueRetries;
use super::sources::Polls;
use super::timers::TimerKey;
use super::turn::Turn;
use super::{
    Deadline, Decided, Effect, WakeReason, deadlocks, decide, dependents, lending, locking, matching, returns,
    schedulers, steps, workers,
};
use crate::base::Timestamp;

/// More rounds than any real input needs; an engine that circles ends loudly instead of hanging.
const ROUNDS_MAX: u64 = 1_000_000;

/// What the parts have under way, each for itself. None of it survives a restart.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    pub polls: Polls,
    pub deliveries: Deliveries,
    pub queue_retries: QueueRetries,
    pub postponed: PostponedOrders,
    /// Writes to logs that the last process may not have carried out.
    pub log_writes: Vec<Effect>,
    /// The last moment that was told.
    pub told: Timestamp,
}

/// A turn, and the parts that take part in it.
pub(super) struct Core<'a> {
    pub turn: Turn<'a>,
    pub parts: &'a mut Parts,
}

impl Core<'_> {
    /// Does all that follows, and gives what came of it.
    pub fn finish(mut self) -> Decided {
        self.settle();
        decide::keep_answers(&mut self.turn);
        self.turn.decided()
    }

    /// Lets everything follow that follows now.
    fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let turn = &mut self.turn;
            if let Some(source) = turn.in_flight.marks.take_poll() {
                self.parts.polls.again(turn, &source);
            } else if let Some(set) = turn.in_flight.marks.take_buildset() {
                dependents::end_buildset_if_done(turn, set);
            } else if let Some(build) = turn.in_flight.marks.take_build() {
                steps::drive(turn, build);
            } else if turn.in_flight.marks.take_locks() {
                locking::serve_steps(turn);
                turn.in_flight.marks.lending();
            } else if turn.in_flight.marks.has_builders() {
                matching::match_requests(turn, &mut self.parts.queue_retries);
            } else if turn.in_flight.marks.take_lending() {
                lending::lend_slots(turn, &mut self.parts.queue_retries);
            } else if turn.in_flight.marks.take_deadlocks() {
                deadlocks::end_deadlock(turn);
            } else if !self.fire_timers() {
                self.prune_plans();
                return;
            }
        }
        panic!("bug in the engine: it circles, at fact {}", self.turn.state.seq());
    }

    fn refresh_timers(&mut self) {
        for key in self.turn.in_flight.marks.take_timers() {
            let due = self.due_of(&key);
            self.turn.in_flight.timers.set(key, due);
        }
    }

    /// Does what is due; false if nothing is.
    fn fire_timers(&mut self) -> bool {
        self.refresh_timers();
        let due = self.turn.in_flight.timers.take_due(self.turn.now);
        for key in &due {
            self.fire(key);
            self.turn.touch(key.clone());
        }
        !due.is_empty()
    }

    /// When a thing is due, if it is waiting for a moment.
    fn due_of(&self, key: &TimerKey) -> Option<Deadline> {
        let turn = &self.turn;
        match key {
            TimerKey::Scheduler(name) => schedulers::scheduler_due(turn, name),
            TimerKey::Source(name) => self.parts.polls.due(turn, name),
            TimerKey::Build(build) => steps::build_due(turn, *build),
            TimerKey::Worker(name) => {
                let at = turn.state.workers().get(name)?.give_up.filter(|_| turn.state.load_of(name) > 0)?;
                // A clock that went back must not make the wait longer than it is.
                let at = at.min(turn.now.plus(workers::grace_of_workers(turn)));
                Some((at, WakeReason::GiveUp(name.clone())))
            }
            TimerKey::Leftovers(name) => {
                sabotage!(LeftoversForEver => return None);
                let over = workers::leftovers_over(turn, name)?;
                Some((over, WakeReason::Leftovers(name.clone())))
            }
            TimerKey::Report(report) => self.parts.deliveries.due(turn, *report),
            TimerKey::Destination(name) => self.parts.deliveries.rested(turn, name),
            TimerKey::Request(request) => {
                let at = turn.state.requests().get(request)?.rests(turn.now)?;
                Some((at, WakeReason::Request(*request)))
            }
            TimerKey::Builder(builder) => self.parts.queue_retries.due(turn, *builder),
            TimerKey::Function(function) => decide::recovery_due(turn, function),
            TimerKey::Later => {
                let waits = turn.in_flight.marks.has_collapses() || !self.parts.postponed.is_empty();
                waits.then_some((turn.now, WakeReason::Postponed))
            }
        }
    }

    fn fire(&mut self, key: &TimerKey) {
        let turn = &mut self.turn;
        turn.in_flight.timers.look(key);
        match key {
            TimerKey::Scheduler(name) => schedulers::fire_scheduler(turn, name),
            TimerKey::Build(build) => steps::fire_build(turn, *build),
            TimerKey::Worker(worker) => returns::give_up_worker(turn, worker),
            TimerKey::Leftovers(worker) => workers::end_leftovers(turn, worker),
            TimerKey::Request(request) => {
                turn.in_flight.marks.lending();
                turn.in_flight.marks.builders(turn.state.requests().get(request).map(|request| request.builder));
            }
            TimerKey::Source(source) => self.parts.polls.order(turn, source),
            TimerKey::Report(report) => self.parts.deliveries.order(turn, *report),
            TimerKey::Destination(_) => self.parts.deliveries.hand_out(turn),
            TimerKey::Builder(builder) => self.parts.queue_retries.fire(turn, *builder),
            TimerKey::Function(function) => decide::function_recovered(turn, function),
            TimerKey::Later => self.parts.postponed.carry_out(turn),
        }
    }

    /// Forgets configurations that nothing needs any more.
    fn prune_plans(&mut self) {
        let turn = &mut self.turn;
        if turn.in_flight.marks.take_plans() {
            turn.in_flight.plans.prune(|| turn.state.plans_needed());
        }
    }
}
