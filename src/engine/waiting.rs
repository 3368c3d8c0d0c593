//! Why a request waits, in words for people. Reads only; asks no user function.

use std::collections::BTreeSet;

use super::locking::{kin_of_request, locks_say};
use super::matching::{builder_has_slot, free_dir, locks_at};
use super::state::{Build, LockRequest, Rank, Request};
use super::turn::Turn;
use super::words::names;
use crate::base::{Span, Timestamp};
use crate::model::{BuilderId, BuilderPlan, Plan, RequestId, WorkerPlan, dirs_clash};

/// So many workers are told of one request; a builder of a hundred is told in a sentence.
const WORKERS_MAX: usize = 8;

/// So many requests before this one are counted.
const AHEAD_MAX: usize = 1_000;

/// A worker that did not connect in this time will not come by itself.
const NEVER_MAX: Span = Span::from_minutes(10);

/// A builder whose requests wait for what does not come by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StuckQueue {
    pub builder: String,
    /// What they wait for, in a sentence without a full stop.
    pub text: String,
    /// A worker to connect; none: the builder is gone.
    pub connect: Option<String>,
    /// Since when they wait, and now.
    pub since: Timestamp,
    pub now: Timestamp,
}

/// Queues that a person has to do something for: their builder is gone, or none of its workers was ever here.
pub(super) fn stuck_queues(turn: &Turn<'_>) -> Vec<StuckQueue> {
    let Some(plan) = turn.plan() else { return Vec::new() };
    let queues = turn.state.index().waiting.iter();
    queues.filter_map(|(builder, ranks)| stuck_queue(turn, &plan, *builder, ranks)).collect()
}

fn stuck_queue(turn: &Turn<'_>, plan: &Plan, builder: BuilderId, ranks: &BTreeSet<Rank>) -> Option<StuckQueue> {
    let since = turn.state.requests().get(&ranks.iter().map(|(_, _, id)| *id).min()?)?.submitted;
    let name = turn.state.builders().get(&builder)?.name.clone();
    let waiting = ranks.len();
    let many = if waiting == 1 { "one request waits".to_owned() } else { format!("{waiting} requests wait") };
    let stuck = |text: String, connect| StuckQueue { builder: name.clone(), text, connect, since, now: turn.now };
    let Some(found) = plan.builders.get(&name) else {
        return Some(stuck(format!("{many}, but the builder is not configured any more"), None));
    };
    let all = !found.workers.is_empty() && found.workers.iter().all(|name| was_never_here(turn, name));
    (all && since.plus(NEVER_MAX) <= turn.now).then(|| {
        let names: Vec<String> = found.workers.iter().take(WORKERS_MAX).map(|name| format!("`{name}`")).collect();
        let text = format!("{many}, but no worker that could build it ever connected: {}", names.join(", "));
        stuck(text, found.workers.first().cloned())
    })
}

fn was_never_here(turn: &Turn<'_>, worker: &str) -> bool {
    turn.state.workers().get(worker).is_none_or(|worker| worker.epoch == 0)
}

/// Why a request waits: one reason a line, what matters most first. Empty: it does not wait.
pub(super) fn why_waits(turn: &Turn<'_>, id: RequestId) -> Vec<String> {
    let Some(request) = turn.state.requests().get(&id).filter(|request| request.build.is_none()) else {
        return Vec::new();
    };
    let Some(plan) = turn.plan() else { return vec!["no configuration is in force".to_owned()] };
    let name = turn.state.builder(request.builder).name.clone();
    let Some(builder) = plan.builders.get(&name) else {
        return vec![format!(
            "builder `{name}` is not configured any more: the request waits for its return, or to be cancelled"
        )];
    };
    let mut why = Vec::new();
    if let Some(until) = request.rests(turn.now) {
        let rest = until.since(turn.now);
        why.push(format!("its last build is to be tried again, after a pause of another {rest}"));
    }
    why.extend(builder_is_full(turn, builder, request));
    why.extend(turn_of(turn, request));
    why.extend(workers_of(turn, &plan, builder, request));
    why
}

fn builder_is_full(turn: &Turn<'_>, builder: &BuilderPlan, request: &Request) -> Option<String> {
    if builder_has_slot(turn, builder, request.builder) {
        return None;
    }
    let running = turn.state.index().builds_of_builder.get(&request.builder).into_iter().flatten();
    let who = names(running.filter_map(|id| turn.state.builds().get(id)));
    Some(format!("builder `{}` runs as many builds as its `slots` allow: {who}", builder.name))
}

fn turn_of(turn: &Turn<'_>, request: &Request) -> Option<String> {
    let before = turn.state.index().waiting.get(&request.builder)?.range(..request.rank()).take(AHEAD_MAX).count();
    match before {
        0 => None,
        1 => Some("one other request of its builder is before it".to_owned()),
        AHEAD_MAX => Some(format!("{AHEAD_MAX} or more other requests of its builder are before it")),
        before => Some(format!("{before} other requests of its builder are before it")),
    }
}

fn workers_of(turn: &Turn<'_>, plan: &Plan, builder: &BuilderPlan, request: &Request) -> Vec<String> {
    if builder.workers.is_empty() {
        return vec![format!("no worker is configured for builder `{}`", builder.name)];
    }
    // One that was never here says least about what would help.
    let mut workers: Vec<&String> = builder.workers.iter().collect();
    workers.sort_by_key(|name| was_never_here(turn, name));
    let mut why: Vec<String> = workers
        .into_iter()
        .take(WORKERS_MAX)
        .map(|name| {
            let reason = plan.workers.get(name).map(|worker| worker_says(turn, plan, builder, request, worker));
            format!("worker `{name}`: {}", reason.unwrap_or_else(|| "is not configured".to_owned()))
        })
        .collect();
    let more = builder.workers.len().saturating_sub(WORKERS_MAX);
    if more > 0 {
        why.push(format!("{more} more workers"));
    }
    why
}

fn worker_says(turn: &Turn<'_>, plan: &Plan, builder: &BuilderPlan, request: &Request, worker: &WorkerPlan) -> String {
    let name = worker.name.as_str();
    let Some(state) = turn.state.workers().get(name) else { return "never connected".to_owned() };
    if state.connection.is_none() {
        return if state.epoch == 0 { "never connected" } else { "is not connected" }.to_owned();
    }
    if state.paused {
        return "is paused".to_owned();
    }
    if state.graceful {
        return "finishes its builds and takes no new ones".to_owned();
    }
    let reason = no_directory(turn, builder, request, name).or_else(|| no_slot(turn, worker, request));
    reason.or_else(|| no_locks(turn, plan, builder, request, name)).unwrap_or_else(|| no_reason(builder))
}

fn no_directory(turn: &Turn<'_>, builder: &BuilderPlan, request: &Request, worker: &str) -> Option<String> {
    if free_dir(turn, builder, request.builder, worker).is_some() {
        return None;
    }
    let there: Vec<&Build> =
        turn.state.builds_on(worker).into_iter().filter_map(|id| turn.state.builds().get(&id)).collect();
    let own = there.iter().copied().filter(|build| build.builder_id == request.builder);
    let who = names(own);
    if !who.is_empty() {
        return Some(format!("{who} runs there, and no more of them may (`slots_per_worker`)"));
    }
    let clashes = |dir: &str| builder.slot_dirs().any(|own| dirs_clash(dir, &own));
    let who = names(there.into_iter().filter(|build| clashes(&build.dir)));
    if !who.is_empty() {
        return Some(format!("{who} uses the directory `{}`", builder.dir));
    }
    let used = turn.state.dirs_in_use(worker);
    let left = used.into_iter().find(|(_, dir)| clashes(dir)).map(|(build, _)| build.to_string());
    let left = left.unwrap_or_default();
    Some(format!("a command of build {left}, which is over, may still run in the directory `{}`", builder.dir))
}

fn no_slot(turn: &Turn<'_>, worker: &WorkerPlan, request: &Request) -> Option<String> {
    let (slots, taken) = (worker.slots.max(1), turn.state.slots_taken(&worker.name));
    if taken < slots {
        return None;
    }
    let there = turn.state.builds_on(&worker.name).into_iter();
    let there: Vec<&Build> = there.filter_map(|id| turn.state.builds().get(&id)).collect();
    let ancestors = kin_of_request(turn.state, request.id);
    let lender = there.iter().find(|build| ancestors.iter().any(|owner| owner.build == build.id));
    if let Some(lender) = lender {
        let borrower = turn.state.borrower_of(lender).and_then(|id| turn.state.builds().get(&id));
        let how = borrower.map_or_else(
            || "lends its slot as soon as it only waits".to_owned(),
            |borrower| format!("has lent its slot to {}", names(std::iter::once(borrower))),
        );
        return Some(format!("{}, which waits for it, {how}", names(std::iter::once(*lender))));
    }
    let who = names(there.into_iter().filter(|build| build.lender.is_none()));
    Some(format!("{taken} of {slots} slots are taken: {who}"))
}

fn no_locks(turn: &Turn<'_>, plan: &Plan, builder: &BuilderPlan, request: &Request, worker: &str) -> Option<String> {
    let wants = locks_at(plan, builder, worker);
    let kin = kin_of_request(turn.state, request.id);
    let asker = LockRequest { since: (turn.state.seq(), u64::MAX), kin, worker, wants: &wants, transitive: false };
    locks_say(turn, &asker)
}

fn no_reason(builder: &BuilderPlan) -> String {
    let functions =
        [("can_start", builder.can_start), ("next_worker", builder.next_worker), ("next_build", builder.next_build)];
    let named: Vec<String> =
        functions.iter().filter(|(_, function)| function.is_some()).map(|(name, _)| format!("`{name}`")).collect();
    if named.is_empty() {
        "is free; its turn comes".to_owned()
    } else {
        format!("is free, but {} of the builder lets it wait", named.join(" or "))
    }
}
