//! Which request gets which worker, and when.
//!
//! Only builders that something changed for are looked at, in order of their first request: higher priority, then the
//! longest waiting. A builder whose requests cannot start waits until its own slots, a worker's slots or locks change.

use std::sync::Arc;

use super::asking::{FunctionAnswer, NoAnswer};
use super::decide::decide;
use super::locking::{claim, kin_of_request, merge_locks, queue, suspend_claim, unclaim};
use super::questions::{candidate_worker, waiting_request};
use super::queue_retries::QueueRetries;
use super::start::{Placement, start_build};
use super::state::{AskedAt, LockHolder, LockRequest, Rank};
use super::turn::Turn;
use crate::model::{
    BuilderId, BuilderPlan, FnId, FunctionKind, LockAccess, Plan, Question, RequestId, UserFunction, WaitingRequest,
    dirs_clash,
};

/// `next_build` is shown at most so many requests, the first in the queue: a queue of ten thousand must not make each
/// question slow.
const SHOWN_MAX: usize = 100;

/// Where `can_start` or locks refuse a request, at most so many are tried.
pub(super) const TRIED_MAX: usize = 20;

/// Loads are compared in parts of a million of a worker's slots.
const LOAD_SCALE: u64 = 1_000_000;

/// What became of a look at a builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MatchOutcome {
    Started,
    /// Nothing can start; with a wish for locks, or without.
    Claims,
    Nothing,
}

/// Looks at all builders that something changed for.
pub(super) fn match_requests(turn: &mut Turn<'_>, retries: &mut QueueRetries) {
    let Some(plan) = turn.plan() else {
        turn.in_flight.marks.take_builders();
        return;
    };
    let noted = turn.in_flight.marks.take_builders();
    let mut ranked: std::collections::BTreeSet<(Option<Rank>, BuilderId)> =
        noted.into_iter().map(|builder| (first_rank(turn, builder), builder)).collect();
    while let Some((rank, builder)) = ranked.pop_first() {
        let look = match rank {
            Some(_) if !turn.in_flight.free_workers.is_empty() => look_and_plan(turn, retries, &plan, builder),
            Some(_) | None => MatchOutcome::Nothing,
        };
        match look {
            MatchOutcome::Started => {
                // The next one of this builder is looked at in its own turn.
                ranked.insert((first_rank(turn, builder), builder));
            }
            MatchOutcome::Claims => {}
            MatchOutcome::Nothing => {
                suspend_claim(turn, builder);
            }
        }
    }
}

/// The place in the queue of the first request that may start now.
fn first_rank(turn: &Turn<'_>, builder: BuilderId) -> Option<Rank> {
    ready(turn, builder).next()
}

/// Requests of a builder that may start now, first ones first.
fn ready(turn: &Turn<'_>, builder: BuilderId) -> impl Iterator<Item = Rank> {
    let rests = |id: &RequestId| turn.state.requests().get(id).is_some_and(|request| request.rests(turn.now).is_some());
    turn.state.index().waiting.get(&builder).into_iter().flatten().copied().filter(move |(_, _, id)| !rests(id))
}

/// Looks at a builder, and plans to look again if a user function left something open.
fn look_and_plan(
    turn: &mut Turn<'_>,
    retries: &mut QueueRetries,
    plan: &Arc<Plan>,
    builder: BuilderId,
) -> MatchOutcome {
    turn.asked.no_answer = None;
    let look = look_at_builder(turn, plan, builder);
    if !retries.plan(turn, builder) {
        retries.forget(turn, builder);
    }
    look
}

fn look_at_builder(turn: &mut Turn<'_>, plan: &Arc<Plan>, builder: BuilderId) -> MatchOutcome {
    // Its requests wait for its return to the configuration.
    let Some(builder_plan) = plan.builders.get(&turn.state.builder(builder).name) else { return MatchOutcome::Nothing };
    if !builder_has_slot(turn, builder_plan, builder) {
        return MatchOutcome::Nothing;
    }
    let roomy = roomy_workers(turn, builder_plan, builder);
    if roomy.is_empty() {
        return MatchOutcome::Nothing;
    }
    for request in choose_requests(turn, builder_plan, builder) {
        let places = places(turn, plan, builder_plan, request, &roomy);
        if !places.is_empty() {
            return start_or_claim(turn, plan, builder_plan, builder, request, places);
        }
    }
    MatchOutcome::Nothing
}

/// Whether a builder may run one more build, wherever.
pub(super) fn builder_has_slot(turn: &Turn<'_>, plan: &BuilderPlan, builder: BuilderId) -> bool {
    let running = turn.state.index().builds_of_builder.get(&builder).map_or(0, std::collections::BTreeSet::len);
    plan.slots.is_none_or(|slots| (running as u64) < slots)
}

/// The requests to try, in order: the one that the builder's function chooses, or the first - and those behind it as
/// far as a function may refuse it.
fn choose_requests(turn: &mut Turn<'_>, plan: &BuilderPlan, builder: BuilderId) -> Vec<RequestId> {
    let many = if plan.next_build.is_some() {
        SHOWN_MAX
    } else if plan.can_start.is_some() {
        TRIED_MAX
    } else {
        1
    };
    let ids: Vec<RequestId> = ready(turn, builder).take(many).map(|(_, _, id)| id).collect();
    choose_among(turn, plan, ids)
}

/// The one of these requests that the builder's function chooses; without a function, all.
pub(super) fn choose_among(turn: &mut Turn<'_>, plan: &BuilderPlan, ids: Vec<RequestId>) -> Vec<RequestId> {
    let Some(function) = plan.next_build else { return ids };
    let ids: Vec<RequestId> = ids.into_iter().take(SHOWN_MAX).collect();
    let requests: Vec<Arc<WaitingRequest>> = ids.iter().map(|id| waiting_request(turn, *id)).collect();
    let question = Question::NextBuild { builder: plan.name.clone(), requests };
    let chosen = decide(turn, &function_of(turn, FunctionKind::NextBuild, plan), function, question);
    choose(chosen, &ids).into_iter().collect()
}

fn function_of(turn: &Turn<'_>, kind: FunctionKind, plan: &BuilderPlan) -> UserFunction {
    UserFunction::new(kind, turn.state.builder_id(&plan.name))
}

/// Workers that have a slot for the builder, and its directory there.
fn roomy_workers(turn: &Turn<'_>, plan: &BuilderPlan, builder: BuilderId) -> Vec<(String, String)> {
    let free = plan.workers.iter().filter(|worker| turn.in_flight.free_workers.contains(worker));
    free.filter_map(|worker| Some((worker.clone(), free_dir(turn, plan, builder, worker)?))).collect()
}

/// The directory that the builder's next build gets on a worker: the lowest that nothing uses. None if it runs as
/// many builds there as it may, or if all of its directories are in use.
pub(super) fn free_dir(turn: &Turn<'_>, plan: &BuilderPlan, builder: BuilderId, worker: &str) -> Option<String> {
    sabotage!(DirShared => return Some(plan.dir.clone()));
    let running = turn.state.builds_on(worker).into_iter().filter_map(|id| turn.state.builds().get(&id));
    let own = running.filter(|build| build.builder_id == builder).count() as u64;
    if own >= plan.slots_per_worker.max(1) {
        return None;
    }
    let used = turn.state.dirs_in_use(worker);
    plan.slot_dirs().find(|dir| !used.iter().any(|(_, used)| dirs_clash(used, dir)))
}

/// Places that the request could go to, most willing first: least loaded, then longest unused.
fn places(
    turn: &mut Turn<'_>,
    plan: &Plan,
    builder: &BuilderPlan,
    request: RequestId,
    roomy: &[(String, String)],
) -> Vec<Placement> {
    let mut free: Vec<&(String, String)> = roomy.iter().collect();
    free.sort_by_key(|(worker, _)| {
        let slots = plan.workers.get(worker).map_or(1, |worker| worker.slots.max(1));
        let load = turn.state.slots_taken(worker).saturating_mul(LOAD_SCALE) / slots;
        (load, turn.state.workers().get(worker).map_or(0, |worker| worker.used))
    });
    let mut places = Vec::new();
    for (worker, dir) in free {
        if may_start_at(turn, builder, worker, request) {
            let (worker, dir) = (worker.clone(), dir.clone());
            places.push(Placement { locks: locks_at(plan, builder, &worker), worker, dir, lender: None });
        }
    }
    places
}

/// Whether the builder's function lets a request start on a worker.
pub(super) fn may_start_at(turn: &mut Turn<'_>, builder: &BuilderPlan, worker: &str, request: RequestId) -> bool {
    builder.can_start.is_none_or(|function| can_start(turn, builder, function, worker, request))
}

fn can_start(turn: &mut Turn<'_>, builder: &BuilderPlan, function: FnId, worker: &str, request: RequestId) -> bool {
    let request = waiting_request(turn, request);
    let worker = candidate_worker(turn, worker);
    let question = Question::CanStart { builder: builder.name.clone(), worker, request };
    let said = decide(turn, &function_of(turn, FunctionKind::CanStart, builder), function, question);
    sabotage!(UndecidedStarts => if said.is_err() { return true });
    said.is_ok_and(|answer| answer.is_true())
}

/// Starts the request where it gets its locks; if that is nowhere, asks for those of the first place.
fn start_or_claim(
    turn: &mut Turn<'_>,
    plan: &Plan,
    builder_plan: &BuilderPlan,
    builder: BuilderId,
    request: RequestId,
    places: Vec<Placement>,
) -> MatchOutcome {
    let kin = kin_of_request(turn.state, request);
    let open = open_places(turn, builder, &kin, places.clone());
    if !open.is_empty() {
        return start_at(turn, builder_plan, builder, request, open);
    }
    if let Some((breaker, open)) = find_deadlock_breaker(turn, plan, builder_plan, builder, request) {
        return start_at(turn, builder_plan, builder, breaker, open);
    }
    if let Some(first) = places.into_iter().next() {
        claim(turn, builder, kin, &first.worker, first.locks);
    }
    MatchOutcome::Claims
}

fn start_at(
    turn: &mut Turn<'_>,
    plan: &BuilderPlan,
    builder: BuilderId,
    request: RequestId,
    open: Vec<Placement>,
) -> MatchOutcome {
    let workers: Vec<String> = open.iter().map(|place| place.worker.clone()).collect();
    // The builder's function takes none for now.
    let Some(worker) = choose_worker(turn, plan, workers, request) else { return MatchOutcome::Nothing };
    let place = open.into_iter().find(|place| place.worker == worker).expect("it is one of these workers");
    let claim = unclaim(turn, builder);
    start_build(turn, plan, request, place, claim.map(|claim| claim.at));
    MatchOutcome::Started
}

fn open_places(turn: &Turn<'_>, builder: BuilderId, kin: &[LockHolder], places: Vec<Placement>) -> Vec<Placement> {
    places.into_iter().filter(|place| may_lock(turn, builder, kin, place)).collect()
}

/// A request behind the first one, `blocked`, that gets its locks although that one does not: a build waits for it that
/// holds some of them, or others for which somebody waits who would have to go first, and gives them back only
/// afterwards. To let it wait for its turn would be for ever.
fn find_deadlock_breaker(
    turn: &mut Turn<'_>,
    plan: &Plan,
    builder_plan: &BuilderPlan,
    builder: BuilderId,
    blocked: RequestId,
) -> Option<(RequestId, Vec<Placement>)> {
    let awaited = |id: &RequestId| turn.state.requests().get(id).is_some_and(|request| request.waited_for);
    let behind = ready(turn, builder).map(|(_, _, id)| id).filter(|id| *id != blocked && awaited(id));
    for request in behind.take(TRIED_MAX).collect::<Vec<_>>() {
        let kin = kin_of_request(turn.state, request);
        if !kin.iter().any(|owner| turn.state.locks().holds(*owner)) {
            continue;
        }
        let roomy = roomy_workers(turn, builder_plan, builder);
        let places = places(turn, plan, builder_plan, request, &roomy);
        let open = open_places(turn, builder, &kin, places);
        if !open.is_empty() {
            return Some((request, open));
        }
    }
    None
}

pub(super) fn may_lock(turn: &Turn<'_>, builder: BuilderId, kin: &[LockHolder], place: &Placement) -> bool {
    if place.locks.is_empty() {
        return true;
    }
    let last: AskedAt = (turn.state.seq(), u64::MAX);
    let since = turn.in_flight.claims.since(builder).unwrap_or(last);
    let asker = LockRequest { since, kin: kin.to_vec(), worker: &place.worker, wants: &place.locks, transitive: false };
    let define = turn.in_flight.plans.locks(turn.state.plan());
    turn.state.locks().may_take(&asker, &queue(turn.state, turn.in_flight), &define)
}

/// The most willing of these workers, or the one that the builder's function chooses.
pub(super) fn choose_worker(
    turn: &mut Turn<'_>,
    plan: &BuilderPlan,
    workers: Vec<String>,
    request: RequestId,
) -> Option<String> {
    let Some(function) = plan.next_worker else { return workers.into_iter().next() };
    let request = waiting_request(turn, request);
    let candidates = workers.iter().map(|worker| candidate_worker(turn, worker)).collect();
    let question = Question::NextWorker { builder: plan.name.clone(), workers: candidates, request };
    let chosen = decide(turn, &function_of(turn, FunctionKind::NextWorker, plan), function, question);
    choose(chosen, &workers)
}

/// The locks that a build takes before its first step.
pub(super) fn locks_at(plan: &Plan, builder: &BuilderPlan, worker: &str) -> Vec<LockAccess> {
    let locks = plan.workers.get(worker).map_or(&[][..], |plan| &plan.locks);
    merge_locks(builder.locks.iter().chain(locks))
}

/// What a function chose of a list: an index, or nothing for now. If it failed, the first; if it was not asked, nothing.
fn choose<T: Clone>(chosen: FunctionAnswer, from: &[T]) -> Option<T> {
    match chosen {
        Err(NoAnswer::Failed | NoAnswer::Suspended) => from.first().cloned(),
        Err(NoAnswer::Postponed) => None,
        Ok(value) => {
            value.as_int().and_then(|index| usize::try_from(index).ok()).and_then(|index| from.get(index)).cloned()
        }
    }
}
