//! Waits that cannot end: builds that wait for builds which can only start when those have ended.
//!
//! A build that waits for others keeps its directory, its slot (unless it lends it) and its locks until they have ended.
//! What is found here waits for nothing else any more, whatever the workers and people do; so it is told at once: the
//! step that waits fails, and says who waits for whom. Only what is certain counts: whoever does not wait for a build or a
//! lock, ends.

use std::collections::{BTreeMap, BTreeSet};

use super::finish::fail_script;
use super::locking::{describe_deadlock, kin, kin_of_request, queue, release_locks, step_asker};
use super::matching::locks_at;
use super::state::{Build, LockHolder, LockRequest};
use super::turn::Turn;
use super::words::names;
use crate::model::{BuildId, BuilderPlan, Event, Key, LockAccess, Plan, RequestId, dirs_clash};

/// So many workers are named in one text.
const NAMED_MAX: usize = 3;

/// Locks were defined anew: steps that have come to wait for each other fail, as if they had asked only now.
pub(super) fn end_deadlocked_waits(turn: &mut Turn<'_>) {
    while let Some((owner, locks, other)) = next_deadlocked(turn) {
        let why = describe_deadlock(turn, other.build, &locks);
        release_locks(turn, owner.build, owner.step);
        fail_script(turn, owner.build, &why);
    }
}

fn next_deadlocked(turn: &Turn<'_>) -> Option<(LockHolder, Vec<LockAccess>, LockHolder)> {
    let queue = queue(turn.state, turn.in_flight);
    let define = turn.in_flight.plans.locks(turn.state.plan());
    // The last who asked gives way.
    turn.state.locks().waiting().collect::<Vec<_>>().into_iter().rev().find_map(|(since, waiter)| {
        let asker = step_asker(turn.state, (since, 0), waiter);
        let other = turn.state.locks().deadlock(&asker, &queue, &define)?;
        let granted = turn.state.locks().may_take(&asker, &queue, &define);
        (!granted).then(|| (waiter.owner, waiter.locks.clone(), other))
    })
}

/// Fails the youngest step that waits for what cannot come, if there is one.
pub(super) fn end_deadlock(turn: &mut Turn<'_>) {
    sabotage!(DeadlockUntold => return);
    let Some(plan) = turn.plan() else { return };
    let stuck = stuck_builds(turn, &plan);
    for id in stuck.iter().rev().copied() {
        if let Some((key, why)) = deadlocked_request(turn, &plan, id, &stuck) {
            turn.in_flight.marks.deadlocks();
            turn.record(Event::TriggerRefused { build: id, key, why: why.clone() });
            return fail_script(turn, id, &why);
        }
    }
    for id in stuck.iter().rev().copied() {
        if let Some((owner, why)) = deadlocked_locks(turn, id, &stuck) {
            turn.in_flight.marks.deadlocks();
            release_locks(turn, owner.build, owner.step);
            return fail_script(turn, id, &why);
        }
    }
}

/// Builds that can never end: of those that wait, all but those whose waits can end, over and over.
fn stuck_builds(turn: &Turn<'_>, plan: &Plan) -> BTreeSet<BuildId> {
    let lock_waiters = turn.state.locks().waiting().map(|(_, waiter)| waiter.owner.build);
    let parents = turn.in_flight.slots.parents();
    let mut stuck: BTreeSet<BuildId> = parents.chain(lock_waiters).filter(|id| may_be_stuck(turn, *id)).collect();
    loop {
        let ends: Vec<BuildId> = stuck.iter().copied().filter(|id| can_end(turn, plan, *id, &stuck)).collect();
        if ends.is_empty() {
            return stuck;
        }
        stuck.retain(|id| !ends.contains(id));
    }
}

fn may_be_stuck(turn: &Turn<'_>, id: BuildId) -> bool {
    let build = turn.state.builds().get(&id);
    !turn.in_flight.finishing.is(id) && build.is_some_and(|build| build.step.is_some() && !build.stops_step())
}

fn can_end(turn: &Turn<'_>, plan: &Plan, id: BuildId, stuck: &BTreeSet<BuildId>) -> bool {
    let mut known: BTreeMap<_, bool> = BTreeMap::new();
    let awaited = awaited_requests(turn, id).into_iter().all(|request| {
        // It has ended.
        let Some(found) = turn.state.requests().get(&request) else { return true };
        match found.build {
            Some(child) => !stuck.contains(&child),
            // All requests of one builder that one build waits for are alike here.
            None => *known.entry(found.builder).or_insert_with(|| obstacles(turn, plan, request, stuck).is_none()),
        }
    });
    awaited && deadlocked_locks(turn, id, stuck).is_none()
}

fn awaited_requests(turn: &Turn<'_>, id: BuildId) -> Vec<RequestId> {
    let step = turn.state.step(id);
    let sets = step.into_iter().flat_map(|step| step.triggers.values().flatten());
    sets.filter_map(|set| turn.state.buildsets().get(set)).flat_map(|set| set.requests.keys().copied()).collect()
}

fn deadlocked_request(turn: &Turn<'_>, plan: &Plan, id: BuildId, stuck: &BTreeSet<BuildId>) -> Option<(Key, String)> {
    let waits = |request: &RequestId| turn.state.requests().get(request).is_some_and(|found| found.build.is_none());
    awaited_requests(turn, id).into_iter().filter(waits).find_map(|request| {
        let obstacles = obstacles(turn, plan, request, stuck)?;
        let found = turn.state.requests().get(&request)?;
        let (_, key) = turn.state.buildsets().get(&found.buildset)?.awaited_by.clone()?;
        let builder = &turn.state.builders().get(&found.builder)?.name;
        Some((key, format!("deadlock: the build of `{builder}` that it waits for can never start: {obstacles}")))
    })
}

/// Why a request can start nowhere as long as these builds do not end; none: somewhere it can.
fn obstacles(turn: &Turn<'_>, plan: &Plan, request: RequestId, stuck: &BTreeSet<BuildId>) -> Option<String> {
    let found = turn.state.requests().get(&request)?;
    let builder = plan.builders.get(&turn.state.builders().get(&found.builder)?.name)?;
    let own: Vec<&Build> = of(turn, stuck).filter(|build| build.builder_id == found.builder).collect();
    if let Some(slots) = builder.slots.filter(|slots| own.len() as u64 >= *slots) {
        let who = names(own.into_iter());
        return Some(format!("its builder may run {slots} at a time, and {who} waits for it to end"));
    }
    let mut why = Vec::new();
    for worker in &builder.workers {
        why.push(obstacle_at(turn, plan, builder, request, worker, stuck)?);
    }
    why.truncate(NAMED_MAX);
    Some(if why.is_empty() { "no worker is configured for it".to_owned() } else { why.join("; ") })
}

fn obstacle_at(
    turn: &Turn<'_>,
    plan: &Plan,
    builder: &BuilderPlan,
    request: RequestId,
    worker: &str,
    stuck: &BTreeSet<BuildId>,
) -> Option<String> {
    let there: Vec<&Build> = of(turn, stuck).filter(|build| build.worker == worker).collect();
    let own = there.iter().filter(|build| build.builder == builder.name).count() as u64;
    let taken = |dir: &String| there.iter().find(|build| dirs_clash(&build.dir, dir));
    if own >= builder.slots_per_worker.max(1) || builder.slot_dirs().all(|dir| taken(&dir).is_some()) {
        let who = names(there.iter().copied().filter(|build| {
            build.builder == builder.name || builder.slot_dirs().any(|dir| dirs_clash(&build.dir, &dir))
        }));
        let dir = &builder.dir;
        return Some(format!(
            "on worker `{worker}` its directory `{dir}` belongs to {who}, which waits itself (allow another one with `slots_per_worker`, or give it another worker)"
        ));
    }
    let slots = plan.workers.get(worker).map_or(1, |plan| plan.slots.max(1));
    let roots = || there.iter().copied().filter(|build| build.lender.is_none());
    if roots().count() as u64 >= slots && !may_borrow(turn, request, worker, stuck) {
        return Some(format!("on worker `{worker}` all slots belong to {}, which wait themselves", names(roots())));
    }
    let wants = locks_at(plan, builder, worker);
    let kin = kin_of_request(turn.state, request);
    let asker = LockRequest { since: (u64::MAX, 0), kin, worker, wants: &wants, transitive: false };
    lock_obstacle(turn, &asker, stuck)
}

/// Whether a build that waits for this request can lend it its slot, sooner or later.
fn may_borrow(turn: &Turn<'_>, request: RequestId, worker: &str, stuck: &BTreeSet<BuildId>) -> bool {
    let ancestors: BTreeSet<BuildId> =
        kin_of_request(turn.state, request).into_iter().map(|owner| owner.build).collect();
    let there = ancestors.iter().filter_map(|id| turn.state.builds().get(id)).filter(|build| build.worker == worker);
    there.into_iter().any(|build| turn.state.borrower_of(build).is_none_or(|borrower| !stuck.contains(&borrower)))
}

fn deadlocked_locks(turn: &Turn<'_>, id: BuildId, stuck: &BTreeSet<BuildId>) -> Option<(LockHolder, String)> {
    let waits = turn.state.locks().waiting().filter(|(_, waiter)| waiter.owner.build == id);
    waits.into_iter().find_map(|(since, waiter)| {
        let kin = kin(turn.state, waiter.owner);
        let (worker, wants) = (waiter.worker.as_str(), waiter.locks.as_slice());
        let asker = LockRequest { since: (since, 0), kin, worker, wants, transitive: false };
        Some((waiter.owner, format!("deadlock: {}", lock_obstacle(turn, &asker, stuck)?)))
    })
}

fn lock_obstacle(turn: &Turn<'_>, asker: &LockRequest<'_>, stuck: &BTreeSet<BuildId>) -> Option<String> {
    if asker.wants.is_empty() {
        return None;
    }
    let define = turn.in_flight.plans.locks(turn.state.plan());
    let kept = |owner: &LockHolder| stuck.contains(&owner.build) && keeps(turn, *owner);
    let (lock, holder) = turn.state.locks().kept_from(asker, &define, &kept)?;
    let who = names(turn.state.builds().get(&holder.build).into_iter());
    Some(format!("lock `{lock}` is held by {who}, which waits itself"))
}

/// Whether an owner of a build that cannot end keeps its locks as long as the build waits.
fn keeps(turn: &Turn<'_>, owner: LockHolder) -> bool {
    let Some(step) = turn.state.step(owner.build) else {
        return false;
    };
    let inside = |step| kin(turn.state, LockHolder { build: owner.build, step: Some(step) }).contains(&owner);
    let triggers = step.triggers.keys().filter_map(|key| step.journal.0.get(key)).map(|entry| entry.step);
    let waiting = turn.state.locks().waiting().map(|(_, waiter)| waiter.owner);
    let waiting = waiting.filter(|waiter| waiter.build == owner.build).filter_map(|waiter| waiter.step);
    let slot = turn.in_flight.slots.waits(owner.build) && step.waits.is_empty() && step.commands_running.is_empty();
    owner.step.is_none() || slot || triggers.chain(waiting).any(inside)
}

fn of<'s>(turn: &'s Turn<'_>, ids: &'s BTreeSet<BuildId>) -> impl Iterator<Item = &'s Build> {
    ids.iter().filter_map(|id| turn.state.builds().get(id))
}
