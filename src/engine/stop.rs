//! Builds are told to stop, and what waits is cancelled: by order, or because whoever waited for it is over.

use super::request_ends::end_request;
use super::turn::Turn;
use crate::model::{BuildId, Event, Outcome, RequestId, StopReason};

/// Somebody wants a build stopped: the step in progress ends, steps that always run still run. Asked a second time,
/// these are stopped, too.
pub(super) fn stop_build(turn: &mut Turn<'_>, id: BuildId, why: &str, reason: StopReason) {
    if turn.state.builds().contains_key(&id) {
        let why = why.to_owned();
        turn.record(Event::BuildStopping { build: id, why, reason, outcome: Outcome::Cancelled });
    }
}

/// Ends a waiting request, or stops its build.
pub(super) fn cancel_request(turn: &mut Turn<'_>, request: RequestId, why: &str, reason: StopReason) {
    match turn.state.requests().get(&request).map(|request| request.build) {
        Some(Some(build)) => stop_build(turn, build, why, reason),
        Some(None) => end_request(turn, request, Outcome::Cancelled),
        None => {}
    }
}

/// Cancels what the step in progress triggered and still waits for.
pub(super) fn cancel_triggered(turn: &mut Turn<'_>, id: BuildId) {
    let (build, step) = (turn.state.build(id), turn.state.current_step(id));
    let why = format!("{}/{}, which waited for it, is over", build.builder, build.number);
    let sets = step.triggers.values().flatten().filter_map(|set| turn.state.buildsets().get(set));
    let open: Vec<RequestId> = sets
        .flat_map(|set| set.requests.iter().filter(|(_, end)| end.is_none()).map(|(request, _)| *request))
        .collect();
    for request in open {
        cancel_request(turn, request, &why, StopReason::ParentEnded(id));
    }
}
