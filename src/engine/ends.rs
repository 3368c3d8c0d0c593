//! Builds end: by themselves, because somebody stopped them, because their worker is lost.

use super::commands::{kill_commands, stop_commands};
use super::in_flight::Finish;
use super::lending::slot_given_back;
use super::locking::release_locks;
use super::outcomes::culprits;
use super::request_ends::{cancel_if_builder_removed, end_request};
use super::step_ends::end_step;
use super::turn::Turn;
use super::workers::dismiss_if_idle;
use super::{reports, words};
use crate::model::{BuildId, Event, Outcome, RequestId};

/// Ends the step in progress as soon as its commands have stopped. False while they have not.
pub(super) fn wind_down(turn: &mut Turn<'_>, id: BuildId) -> bool {
    if !stop_commands(turn, id) {
        return false;
    }
    turn.in_flight.finishing.put(id, Finish::of(Outcome::Cancelled));
    end_step(turn, id, false);
    true
}

/// Ends a build at once, whatever it does: its worker is lost, or it cannot go on.
pub(super) fn abandon(turn: &mut Turn<'_>, id: BuildId, outcome: Outcome, why: &str) {
    let build = turn.state.build(id);
    let outcome = build.stop.as_ref().map_or(outcome, |stop| stop.outcome);
    if build.step.is_some() {
        kill_commands(turn, id);
        turn.in_flight.finishing.put(id, Finish::of(outcome));
        end_step(turn, id, false);
    }
    close_build(turn, id, outcome, Some(why));
}

/// Ends a build that has no step in progress.
pub(super) fn end_build(turn: &mut Turn<'_>, id: BuildId, outcome: Outcome) {
    close_build(turn, id, outcome, None);
}

fn close_build(turn: &mut Turn<'_>, id: BuildId, outcome: Outcome, why: Option<&str>) {
    release_locks(turn, id, None);
    let build = turn.state.build(id).clone();
    let previous = turn.state.builder(build.builder_id).results.previous(&build, outcome);
    let culprits = culprits(&build, turn.in_flight.plans.get(&build.plan).map(|plan| &**plan), outcome);
    let state = words::build_state(&build, outcome, &culprits.iter().collect::<Vec<_>>(), why);
    let culprits = culprits.iter().map(|culprit| culprit.step).collect();
    turn.record(Event::BuildEnded { build: id, outcome, state: state.clone(), culprits });
    turn.in_flight.evaluations.build_ended(id);
    turn.in_flight.finishing.take(id);
    turn.in_flight.slots.wait_no_more(id);
    slot_given_back(turn, build.lender);
    turn.in_flight.marks.builders([build.builder_id]);
    turn.look_at_worker(&build.worker);
    for request in &build.requests {
        close_request(turn, *request, outcome, &state);
    }
    if outcome != Outcome::Retry {
        reports::report_build(turn, &build, outcome, previous);
        sabotage!(StopTwiceEndsTwice => if build.stop.as_ref().is_some_and(|stop| stop.times > 1) {
            reports::report_build(turn, &build, outcome, previous);
        });
    }
    dismiss_if_idle(turn, &build.worker);
}

fn close_request(turn: &mut Turn<'_>, request: RequestId, outcome: Outcome, state: &str) {
    if outcome == Outcome::Retry {
        sabotage!(RetryLost => return);
        turn.record(Event::RequestWaits { request, why: state.to_owned() });
        cancel_if_builder_removed(turn, request);
    } else {
        end_request(turn, request, outcome);
    }
}
