//! Slots are lent: a build all of whose branches wait for builds that it triggered lends its slot to one of those, or of
//! theirs, on its own worker. It asks for no command while its slot is lent, and needs none in order to end.
//!
//! Who lends to whom is a fact ([`super::state::Build::lender`]); whether a build could lend is looked up each time, so a
//! restart needs nothing. A build whose script is being evaluated may be about to ask for a command, and does not lend.

use std::collections::BTreeMap;

use super::locking::kin_of_request;
use super::matching::{
    TRIED_MAX, builder_has_slot, choose_among, choose_worker, free_dir, locks_at, may_lock, may_start_at,
};
use super::queue_retries::QueueRetries;
use super::start::{Placement, start_build};
use super::state::{Build, Rank, State};
use super::turn::Turn;
use crate::model::{Ask, BuildId, BuilderId, BuilderPlan, Plan, RequestId};

/// Starts requests with slots that are lent to them; the innermost lender first.
pub(super) fn lend_slots(turn: &mut Turn<'_>, retries: &mut QueueRetries) {
    sabotage!(SlotNeverLent => return);
    let Some(plan) = turn.plan() else { return };
    turn.in_flight.slots.keep_parents(|id| turn.state.builds().get(&id).is_some_and(Build::has_triggers));
    for lender in turn.in_flight.slots.parents().rev().collect::<Vec<_>>() {
        if lends(turn, lender) {
            lend(turn, retries, &plan, lender);
        }
    }
}

/// Whether all that a build does is to wait for builds that it triggered.
pub(super) fn lends(turn: &Turn<'_>, id: BuildId) -> bool {
    let build = turn.state.build(id);
    let Some(step) = build.step.as_ref().filter(|_| !build.stops_step()) else { return false };
    let open = || step.journal.0.iter().filter(|(_, entry)| entry.answer.is_none() && !entry.ask.is_immediate());
    turn.in_flight.evaluations.is_quiet(id)
        && build.has_triggers()
        && !turn.in_flight.finishing.is(id)
        && !turn.in_flight.slots.waits(id)
        && step.commands_running.is_empty()
        && open().all(|(key, entry)| matches!(entry.ask, Ask::Trigger(_)) && step.triggers.contains_key(key))
        && is_unlent(turn, build)
}

fn is_unlent(turn: &Turn<'_>, build: &Build) -> bool {
    sabotage!(SlotLentTwice => return true);
    turn.state.borrower_of(build).is_none()
}

/// Whether a build has to wait for its slot, which it lent, before it may ask for a command.
pub(super) fn waits_for_slot(turn: &Turn<'_>, id: BuildId) -> bool {
    sabotage!(SlotNotTakenBack => return false);
    turn.state.builds().get(&id).is_some_and(|build| turn.state.borrower_of(build).is_some())
}

/// A build ended that had its slot from another one: that one may go on.
pub(super) fn slot_given_back(turn: &mut Turn<'_>, lender: Option<BuildId>) {
    if let Some(lender) = lender.filter(|lender| turn.in_flight.slots.waits(*lender)) {
        turn.want_evaluation(lender);
    }
}

fn lend(turn: &mut Turn<'_>, retries: &mut QueueRetries, plan: &Plan, lender: BuildId) {
    let worker = turn.state.build(lender).worker.clone();
    // A worker that is to go finishes its builds first, and these belong to them.
    let takes = |worker: &super::state::Worker| worker.active && worker.connection.is_some() && !worker.paused;
    if !turn.state.workers().get(&worker).is_some_and(takes) {
        return;
    }
    for (builder, ranks) in awaited_by_rank(turn, lender) {
        let name = turn.state.builders().get(&builder).map(|builder| builder.name.as_str());
        let Some(builder_plan) = name.and_then(|name| plan.builders.get(name)) else { continue };
        if !builder_plan.workers.contains(&worker) {
            continue;
        }
        turn.asked.no_answer = None;
        let lent = lend_to(turn, plan, builder_plan, builder, ranks, &worker, lender);
        retries.plan(turn, builder);
        if lent {
            return;
        }
    }
}

/// Builders of the waiting requests that a build waits for at some remove, by their first one.
fn awaited_by_rank(turn: &Turn<'_>, lender: BuildId) -> Vec<(BuilderId, Vec<RequestId>)> {
    let mut waiting = Vec::new();
    awaited(turn.state, lender, &mut waiting);
    let mut by_builder: BTreeMap<BuilderId, Vec<Rank>> = BTreeMap::new();
    for request in waiting.iter().filter_map(|id| turn.state.requests().get(id)) {
        if request.rests(turn.now).is_none() {
            by_builder.entry(request.builder).or_default().push(request.rank());
        }
    }
    by_builder.values_mut().for_each(|ranks| ranks.sort_unstable());
    let mut builders: Vec<(BuilderId, Vec<Rank>)> = by_builder.into_iter().collect();
    builders.sort_by(|(_, left), (_, right)| left.first().cmp(&right.first()));
    let ids = |ranks: Vec<Rank>| ranks.into_iter().map(|(_, _, id)| id).collect();
    builders.into_iter().map(|(builder, ranks)| (builder, ids(ranks))).collect()
}

fn lend_to(
    turn: &mut Turn<'_>,
    plan: &Plan,
    builder_plan: &BuilderPlan,
    builder: BuilderId,
    requests: Vec<RequestId>,
    worker: &str,
    lender: BuildId,
) -> bool {
    if !builder_has_slot(turn, builder_plan, builder) {
        return false;
    }
    // Another build or a leftover has it.
    let Some(dir) = free_dir(turn, builder_plan, builder, worker) else { return false };
    let locks = locks_at(plan, builder_plan, worker);
    for request in choose_among(turn, builder_plan, requests).into_iter().take(TRIED_MAX) {
        let kin = kin_of_request(turn.state, request);
        let (worker, dir, locks) = (worker.to_owned(), dir.clone(), locks.clone());
        let place = Placement { worker, dir, lender: Some(lender), locks };
        if may_lock(turn, builder, &kin, &place)
            && may_start_at(turn, builder_plan, &place.worker, request)
            && choose_worker(turn, builder_plan, vec![place.worker.clone()], request).is_some()
        {
            start_build(turn, builder_plan, request, place, None);
            return true;
        }
    }
    false
}

impl Build {
    /// Whether it waits for builds that it triggered.
    pub fn has_triggers(&self) -> bool {
        self.step.as_ref().is_some_and(|step| !step.triggers.is_empty())
    }
}

/// The waiting requests that a build waits for, at some remove.
fn awaited(state: &State, build: BuildId, waiting: &mut Vec<RequestId>) {
    let step = state.builds().get(&build).and_then(|build| build.step.as_ref());
    let sets = step.into_iter().flat_map(|step| step.triggers.values().flatten());
    for request in sets.filter_map(|set| state.buildsets().get(set)).flat_map(|set| set.requests.keys()) {
        match state.requests().get(request).map(|request| request.build) {
            Some(None) => waiting.push(*request),
            Some(Some(child)) => awaited(state, child, waiting),
            None => {}
        }
    }
}
