//! Requests end: built, collapsed into another, cancelled, or without a builder.

use super::reports::report_request;
use super::turn::Turn;
use crate::model::{Event, Outcome, RequestId};

/// A request ended. Whether its buildset has, too, is looked at afterwards.
pub(super) fn end_request(turn: &mut Turn<'_>, request: RequestId, outcome: Outcome) {
    let found = turn.state.request(request);
    let (set, builder) = (found.buildset, found.builder);
    if found.build.is_none() {
        report_request(turn, request, Some(outcome));
    }
    turn.record(Event::RequestEnded { request, outcome });
    turn.in_flight.marks.builders([builder]);
    turn.in_flight.marks.buildset(set);
}

/// Cancels the waiting requests that builds wait for and whose builders are not configured any more: the builds that
/// wait must not wait for a configuration. Other requests wait for their builder's return.
pub(super) fn cancel_requests_of_removed_builders(turn: &mut Turn<'_>) {
    let waiting = turn.state.requests().iter().filter(|(_, request)| request.waited_for && request.build.is_none());
    let waiting: Vec<RequestId> = waiting.map(|(id, _)| *id).collect();
    for request in waiting {
        cancel_if_builder_removed(turn, request);
    }
}

/// The same for one request, which waits again.
pub(super) fn cancel_if_builder_removed(turn: &mut Turn<'_>, request: RequestId) {
    let Some(plan) = turn.plan() else { return };
    let found = turn.state.request(request);
    let builder = turn.state.builder(found.builder);
    if found.waited_for && found.build.is_none() && !plan.builders.contains_key(&builder.name) {
        end_request(turn, request, Outcome::Cancelled);
    }
}
