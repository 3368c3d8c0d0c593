//! Locks are asked for, given and taken back.
//!
//! Two kinds of askers share one queue: steps of running builds, whose wait is a fact, and builders whose next request
//! could start but for locks, whose claim is noted beside the state and made again after a restart.

use std::collections::BTreeMap;

use super::in_flight::{InFlight, SlotClaim};
use super::state::{AskedAt, LockHolder, LockRequest, State, Step, Waiter};
use super::turn::Turn;
use super::words::names;
use crate::model::{BuildId, BuilderId, Event, LockAccess, LockMode, RequestId, StepId};

/// What became of a wish for locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LockOutcome {
    Granted,
    Waits,
    /// It would wait for ever; why.
    Deadlock(String),
}

/// Everybody who waits for locks, earliest first.
pub(super) fn queue<'a>(state: &'a State, in_flight: &'a InFlight) -> Vec<LockRequest<'a>> {
    let steps = state.locks().waiting().map(|(since, waiter)| step_asker(state, (since, 0), waiter));
    let builders = in_flight.claims.active().map(|(_, claim)| claim.asker());
    let mut queue: Vec<LockRequest<'a>> = steps.chain(builders).chain(transitive_holders(state, in_flight)).collect();
    queue.sort_by_key(|asker| asker.since);
    queue
}

/// Requests that builds wait for, and that wait for other things than locks themselves. They stand behind everybody and
/// want nothing; they tell that whoever holds locks for them gives these back nobody knows when.
fn transitive_holders<'a>(state: &'a State, in_flight: &'a InFlight) -> impl Iterator<Item = LockRequest<'a>> {
    let steps = state.builds().values().filter_map(|build| build.step.as_ref());
    let sets = steps.flat_map(|step| step.triggers.values().flatten()).filter_map(|set| state.buildsets().get(set));
    let open = sets.flat_map(|set| set.requests.iter().filter(|(_, end)| end.is_none()).map(|(request, _)| *request));
    let waits = open.filter(|id| state.requests().get(id).is_some_and(|request| request.build.is_none()));
    waits.map(|request| kin_of_request(state, request)).filter_map(|kin| {
        let claimed = in_flight.claims.active().any(|(_, claim)| claim.kin == kin);
        let since = (u64::MAX, u64::MAX);
        (!claimed).then_some(LockRequest { since, kin, worker: "", wants: &[], transitive: true })
    })
}

pub(super) fn step_asker<'a>(state: &State, since: AskedAt, waiter: &'a Waiter) -> LockRequest<'a> {
    let kin = kin(state, waiter.owner);
    LockRequest { since, kin, worker: &waiter.worker, wants: &waiter.locks, transitive: false }
}

/// Those who give nothing back before this owner has gone on: itself, the steps that it is inside of, its build, and in
/// the same way the build that waits for its build.
pub(super) fn kin(state: &State, owner: LockHolder) -> Vec<LockHolder> {
    let mut kin = Vec::new();
    let build = state.build(owner.build);
    let mut at = owner.step;
    while let (Some(id), Some(current)) = (at, &build.step) {
        kin.push(LockHolder { build: build.id, step: Some(id) });
        at = current.children.get(&id).map(|child| child.parent);
    }
    kin.push(LockHolder { build: build.id, step: None });
    kin.extend(build.requests.first().into_iter().flat_map(|request| kin_of_request(state, *request)));
    kin
}

/// Those who give nothing back before this request has been built: the step of the build that waits for it, and so on.
pub(super) fn kin_of_request(state: &State, request: RequestId) -> Vec<LockHolder> {
    let set = state.requests().get(&request).and_then(|request| state.buildsets().get(&request.buildset));
    let Some((parent, key)) = set.and_then(|set| set.awaited_by.as_ref()) else { return Vec::new() };
    let step = state.builds().get(parent).and_then(|build| build.step.as_ref());
    let step = step.and_then(|step| step.journal.0.get(key)).map(|entry| entry.step);
    kin(state, LockHolder { build: *parent, step })
}

/// One list of locks from several; a lock that comes twice is taken once, exclusively if one of them says so.
pub(super) fn merge_locks<'l>(lists: impl IntoIterator<Item = &'l LockAccess>) -> Vec<LockAccess> {
    let mut merged: BTreeMap<&str, LockMode> = BTreeMap::new();
    for access in lists {
        let mode = merged.entry(&access.lock).or_insert(LockMode::Counting(0));
        *mode = match (*mode, access.mode) {
            (LockMode::Exclusive, _) | (_, LockMode::Exclusive) => LockMode::Exclusive,
            (LockMode::Counting(left), LockMode::Counting(right)) => LockMode::Counting(left.saturating_add(right)),
        };
    }
    merged.into_iter().map(|(lock, mode)| LockAccess { lock: lock.to_owned(), mode }).collect()
}

/// Which lock somebody waits for, and who holds it; none: it could have all.
pub(super) fn locks_say(turn: &Turn<'_>, asker: &LockRequest<'_>) -> Option<String> {
    if asker.wants.is_empty() {
        return None;
    }
    let define = turn.in_flight.plans.locks(turn.state.plan());
    if let Some((lock, holder)) = turn.state.locks().kept_from(asker, &define, &|_| true) {
        return Some(format!("lock `{lock}` is held by {}", owner_name(turn, holder)));
    }
    let queue = queue(turn.state, turn.in_flight);
    let may = turn.state.locks().may_take(asker, &queue, &define);
    (!may).then(|| format!("{} goes first to those who asked earlier", lock_names(asker.wants)))
}

fn owner_name(turn: &Turn<'_>, owner: LockHolder) -> String {
    let build = turn.state.build(owner.build);
    let step = build.step.as_ref().filter(|step| owner.step == Some(step.id)).map(|step| step.name.as_str());
    let child = |step: &Step| Some(step.children.get(&owner.step?)?.name.clone());
    let step = step.map(str::to_owned).or_else(|| build.step.as_ref().and_then(child));
    let build = names(std::iter::once(build));
    step.map_or_else(|| build.clone(), |step| format!("step `{step}` of {build}"))
}

/// Asks for locks for a step: it gets them at once, or a place at the end of the queue.
pub(super) fn ask_locks(turn: &mut Turn<'_>, build: BuildId, step: StepId, wants: &[LockAccess]) -> LockOutcome {
    let locks = merge_locks(wants);
    let owner = LockHolder { build, step: Some(step) };
    let worker = turn.state.build(build).worker.clone();
    let asker = LockRequest {
        since: (turn.state.seq() + 1, 0),
        kin: kin(turn.state, owner),
        worker: &worker,
        wants: &locks,
        transitive: false,
    };
    let (granted, deadlock) = {
        let queue = queue(turn.state, turn.in_flight);
        let define = turn.in_flight.plans.locks(turn.state.plan());
        let locks = &turn.state.locks();
        let granted = locks.may_take(&asker, &queue, &define);
        (granted, if granted { None } else { locks.deadlock(&asker, &queue, &define) })
    };
    if granted {
        turn.record(Event::LocksTaken { build, step: Some(step), locks });
        return LockOutcome::Granted;
    }
    if let Some(other) = deadlock {
        return LockOutcome::Deadlock(describe_deadlock(turn, other.build, &locks));
    }
    let state = locks_say(turn, &asker).map_or_else(|| "waits for locks".to_owned(), |why| format!("waits: {why}"));
    turn.record(Event::LocksAwaited { build, step: Some(step), locks, state });
    LockOutcome::Waits
}

pub(super) fn describe_deadlock(turn: &Turn<'_>, other: BuildId, wants: &[LockAccess]) -> String {
    let names = wants.iter().map(|access| format!("`{}`", access.lock)).collect::<Vec<_>>().join(", ");
    let who = turn
        .state
        .builds()
        .get(&other)
        .map_or_else(|| format!("build {other}"), |build| format!("build {} of `{}`", build.number, build.builder));
    format!("locks {names}: {who} holds one and waits itself for a lock of this build; take them in one order")
}

/// Gives locks to the steps that can have them now, in order of asking; builders with claims are looked at again.
pub(super) fn serve_steps(turn: &mut Turn<'_>) {
    while let Some((owner, locks)) = next_served(turn) {
        turn.record(Event::LocksTaken { build: owner.build, step: owner.step, locks });
    }
    turn.in_flight.marks.builders(turn.in_flight.claims.active().map(|(builder, _)| builder));
}

fn next_served(turn: &Turn<'_>) -> Option<(LockHolder, Vec<LockAccess>)> {
    let queue = queue(turn.state, turn.in_flight);
    let define = turn.in_flight.plans.locks(turn.state.plan());
    let mut steps = turn.state.locks().waiting();
    let may = |asker: LockRequest<'_>| turn.state.locks().may_take(&asker, &queue, &define);
    let found = steps.find(|(since, waiter)| may(step_asker(turn.state, (*since, 0), waiter)));
    found.map(|(_, waiter)| (waiter.owner, waiter.locks.clone()))
}

/// Takes back all that a build or step holds, or its place in the queue.
pub(super) fn release_locks(turn: &mut Turn<'_>, build: BuildId, step: Option<StepId>) {
    let owner = LockHolder { build, step };
    sabotage!(LocksKeptOnStop => if step.is_some() && turn.state.builds()[&build].stop.is_some() { return });
    if turn.state.locks().holds(owner) || turn.state.locks().is_waiting(owner) {
        turn.record(Event::LocksReleased { build, step });
    }
}

/// A builder's next request could start on this worker but for locks: it asks for them, from its old place in the
/// queue if it asked before.
pub(super) fn claim(
    turn: &mut Turn<'_>,
    builder: BuilderId,
    kin: Vec<LockHolder>,
    worker: &str,
    wants: Vec<LockAccess>,
) {
    let changed = turn.in_flight.claims.put(builder, kin, (worker, wants), (turn.state.seq(), turn.now));
    // What it no longer wants may be free for those behind it.
    if changed {
        turn.in_flight.marks.locks();
    }
}

/// A builder's next request cannot start for other reasons than locks: it keeps its place, but holds up nobody.
pub(super) fn suspend_claim(turn: &mut Turn<'_>, builder: BuilderId) {
    if !turn.state.index().waiting.contains_key(&builder) {
        unclaim(turn, builder);
    } else if turn.in_flight.claims.suspend(builder) {
        turn.in_flight.marks.locks();
    }
}

/// A builder claims nothing any more; what it claimed to the last.
pub(super) fn unclaim(turn: &mut Turn<'_>, builder: BuilderId) -> Option<SlotClaim> {
    let claim = turn.in_flight.claims.remove(builder);
    if claim.is_some() {
        turn.in_flight.marks.locks();
    }
    claim
}

/// Whether a step is `outer` or a child step inside of it.
pub(super) fn is_inside(state: &State, build: BuildId, step: StepId, outer: StepId) -> bool {
    kin(state, LockHolder { build, step: Some(step) }).contains(&LockHolder { build, step: Some(outer) })
}

/// Locks in words.
fn lock_names(wants: &[LockAccess]) -> String {
    let names: Vec<String> = wants.iter().map(|want| format!("`{}`", want.lock)).collect();
    if names.len() == 1 { format!("lock {}", names[0]) } else { format!("locks {}", names.join(", ")) }
}
