//! What queue functions see of requests and workers. Everything shown is bounded, so that a question stays cheap
//! however much a request has swallowed.

use std::sync::Arc;

use super::turn::Turn;
use crate::model::{CandidateWorker, Change, ChangeId, RequestId, Value, WaitingRequest};

/// A request is shown with its newest changes: enough to look at a push, and a queue of a hundred still travels quickly.
pub(super) const CHANGES_SHOWN_MAX: usize = 10;

/// A change of a request is shown with so many files.
pub(super) const FILES_SHOWN_MAX: usize = 100;

/// An open request, for user functions.
pub(super) fn waiting_request(turn: &Turn<'_>, id: RequestId) -> Arc<WaitingRequest> {
    let request = turn.state.request(id);
    let set = &turn.state.buildset_of(request).record;
    let owner = set.properties.get("owner").and_then(Value::as_str).filter(|owner| !owner.is_empty());
    Arc::new(WaitingRequest {
        id,
        buildset: request.buildset,
        builder: turn.state.builder(request.builder).name.clone(),
        priority: request.priority,
        submitted: request.submitted,
        reason: set.reason.clone(),
        scheduler: set.made_by.name(|id| turn.state.scheduler_name(id).cloned().unwrap_or_default()),
        owner: owner.map(str::to_owned),
        properties: set.properties.clone(),
        stamps: set.stamps.clone(),
        changes: changes_shown(turn, &request.changes),
        waited_for: request.waited_for,
    })
}

fn changes_shown(turn: &Turn<'_>, changes: &[ChangeId]) -> Vec<Arc<Change>> {
    let newest = &changes[changes.len().saturating_sub(CHANGES_SHOWN_MAX)..];
    turn.state.changes().all(newest).into_iter().map(shown).collect()
}

/// A worker that could take a build, for user functions.
pub(super) fn candidate_worker(turn: &Turn<'_>, name: &str) -> Arc<CandidateWorker> {
    let plan = turn.plan();
    let plan = plan.as_ref().and_then(|plan| plan.workers.get(name));
    let info = turn.state.workers().get(name).map(|worker| worker.info.clone()).unwrap_or_default();
    Arc::new(CandidateWorker {
        name: name.to_owned(),
        tags: plan.map(|plan| plan.tags.clone()).unwrap_or_default(),
        properties: plan.map(|plan| plan.properties.clone()).unwrap_or_default(),
        system: info.get("system").cloned().unwrap_or_default(),
        slots: plan.map_or(1, |plan| plan.slots.max(1)),
        busy: turn.state.load_of(name) as u64,
        info,
    })
}

fn shown(change: Arc<Change>) -> Arc<Change> {
    if change.data.files.len() <= FILES_SHOWN_MAX {
        return change;
    }
    let mut shorter = Change::clone(&change);
    shorter.data.files.truncate(FILES_SHOWN_MAX);
    Arc::new(shorter)
}
