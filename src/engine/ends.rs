//! Builds end: by themselves, because somebody stopped them, because their worker is lost.

use super::in_flight::Finish;
use super::steps::culprits;
use super::turn::Turn;
use super::{reports, words};
use crate::model::{BuildId, Event, Outcome, RequestId, StopReason};

impl Turn<'_> {
    /// Somebody wants a build stopped: the step in progress ends, steps that always run still run. Asked a second time,
    /// these are stopped, too.
    pub fn stop_build(&mut self, id: BuildId, why: &str, reason: StopReason) {
        if self.state.builds.contains_key(&id) {
            let why = why.to_owned();
            self.record(Event::BuildStopping { build: id, why, reason, outcome: Outcome::Cancelled });
        }
    }

    /// Ends the step in progress as soon as its commands have stopped. False while they have not.
    pub fn wind_down(&mut self, id: BuildId) -> bool {
        if !self.stop_commands(id) {
            return false;
        }
        self.in_flight.finishing.insert(id, Finish { outcome: Outcome::Cancelled, summary: None });
        self.end_step(id, false);
        true
    }

    /// Ends a build at once, whatever it does: its worker is lost, or it cannot go on.
    pub fn abandon(&mut self, id: BuildId, outcome: Outcome, why: &str) {
        let Some(build) = self.state.builds.get(&id) else { return };
        let outcome = build.stop.as_ref().map_or(outcome, |stop| stop.outcome);
        if build.step.is_some() {
            self.kill_commands(id);
            self.in_flight.finishing.insert(id, Finish { outcome, summary: None });
            self.end_step(id, false);
        }
        self.close_build(id, outcome, Some(why));
    }

    /// Ends a build that has no step in progress.
    pub fn end_build(&mut self, id: BuildId, outcome: Outcome) {
        self.close_build(id, outcome, None);
    }

    fn close_build(&mut self, id: BuildId, outcome: Outcome, why: Option<&str>) {
        self.release_locks(id, None);
        let Some(build) = self.state.builds.get(&id).cloned() else { return };
        let builder = self.state.builders.get(&build.builder_id);
        let previous = builder.map(|builder| builder.results.previous(&build, outcome)).unwrap_or_default();
        let culprits = culprits(&build, self.in_flight.plans.get(&build.plan).map(|plan| &**plan), outcome);
        let state = words::build_state(&build, outcome, &culprits.iter().collect::<Vec<_>>(), why);
        let culprits = culprits.iter().map(|culprit| culprit.step).collect();
        self.record(Event::BuildEnded { build: id, outcome, state: state.clone(), culprits });
        self.in_flight.evaluations.remove(&id);
        self.in_flight.evaluate_at.remove(&id);
        self.in_flight.contexts.remove(&id);
        self.in_flight.finishing.remove(&id);
        self.in_flight.slot_waits.remove(&id);
        self.slot_given_back(build.lender);
        self.in_flight.builders.insert(build.builder_id);
        self.look_at_worker(&build.worker);
        for request in &build.requests {
            self.close_request(*request, outcome, &state);
        }
        if outcome != Outcome::Retry {
            reports::report_build(self, &build, outcome, previous);
            sabotage!(StopTwiceEndsTwice => if build.stop.as_ref().is_some_and(|stop| stop.times > 1) {
                reports::report_build(self, &build, outcome, previous);
            });
        }
        self.dismiss_if_idle(&build.worker);
    }

    fn close_request(&mut self, request: RequestId, outcome: Outcome, state: &str) {
        if outcome == Outcome::Retry {
            sabotage!(RetryLost => return);
            self.record(Event::RequestWaits { request, why: state.to_owned() });
            self.cancel_if_homeless(request);
        } else {
            self.end_request(request, outcome);
        }
    }
}
