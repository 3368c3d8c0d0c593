//! Locks are asked for, given and taken back.
//!
//! Two kinds of askers share one queue: steps of running builds, whose wait is a fact, and builders whose next request
//! could start but for locks, whose claim is noted beside the state and made again after a restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::pass::Pass;
use super::state::{Asker, Owner, State};
use super::underway::{Claim, Underway};
use crate::model::{BuildId, ConfigDigest, Event, LockAccess, LockMode, LockPlan, Plan, StepId};

/// What became of a wish for locks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Granted,
    Waits,
    /// It would wait for ever; why.
    Hopeless(String),
}

/// The locks of the configuration in force, and for those that it lacks, of the configurations that builds pin.
pub(super) fn definitions<'p>(
    plans: &'p BTreeMap<ConfigDigest, Arc<Plan>>,
    current: Option<&ConfigDigest>,
) -> impl Fn(&str) -> Option<&'p LockPlan> + 'p {
    let current = current.and_then(|digest| plans.get(digest));
    move |name| {
        current.and_then(|plan| plan.locks.get(name)).or_else(|| plans.values().find_map(|plan| plan.locks.get(name)))
    }
}

/// Everybody who waits for locks, earliest first.
pub(super) fn queue<'a>(state: &'a State, up: &'a Underway) -> Vec<Asker<'a>> {
    let steps = state.locks.waiting().map(|(since, waiter)| Asker {
        since: (since, 0),
        kin: kin(state, waiter.owner.build),
        worker: &waiter.worker,
        wants: &waiter.locks,
    });
    let builders = up.claims.values().map(Claim::asker);
    let mut queue: Vec<Asker<'a>> = steps.chain(builders).collect();
    queue.sort_by_key(|asker| asker.since);
    queue
}

/// A build and those that wait for it.
pub(super) fn kin(state: &State, build: BuildId) -> Vec<BuildId> {
    let mut kin = vec![build];
    while let Some(parent) = kin.last().and_then(|last| state.builds.get(last)?.parent)
        && !kin.contains(&parent)
    {
        kin.push(parent);
    }
    kin
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

impl Claim {
    fn asker(&self) -> Asker<'_> {
        Asker { since: self.since, kin: self.kin.clone(), worker: &self.worker, wants: &self.wants }
    }
}

impl Pass<'_> {
    /// Asks for locks for a step: it gets them at once, or a place at the end of the queue.
    pub fn ask_locks(&mut self, build: BuildId, step: StepId, wants: &[LockAccess]) -> Wish {
        let locks = merge_locks(wants);
        let owner = Owner { build, step: Some(step) };
        let Some(worker) = self.state.builds.get(&build).map(|build| build.worker.clone()) else { return Wish::Waits };
        let asker =
            Asker { since: (self.state.seq + 1, 0), kin: kin(self.state, build), worker: &worker, wants: &locks };
        let define = definitions(&self.up.plans, self.state.plan.as_ref());
        if self.state.locks.may_take(&asker, &queue(self.state, self.up), &define) {
            drop(define);
            self.record(Event::LocksTaken { build, step: Some(step), locks });
            return Wish::Granted;
        }
        let inside = |build: BuildId, step: StepId, outer: Option<StepId>| is_inside(self.state, build, step, outer);
        if let Some(other) = self.state.locks.deadlock(owner, &asker, &define, &inside) {
            return Wish::Hopeless(self.describe_deadlock(other, &locks));
        }
        drop(define);
        self.record(Event::LocksAwaited { build, step: Some(step), locks });
        Wish::Waits
    }

    fn describe_deadlock(&self, other: BuildId, wants: &[LockAccess]) -> String {
        let names = wants.iter().map(|access| format!("`{}`", access.lock)).collect::<Vec<_>>().join(", ");
        let who = self
            .state
            .builds
            .get(&other)
            .map_or_else(|| format!("build {other}"), |build| format!("build {} of `{}`", build.number, build.builder));
        format!("locks {names}: {who} holds one and waits itself for a lock of this build; take them in one order")
    }

    /// Gives locks to the steps that can have them now, in order of asking; builders with claims are looked at again.
    pub fn serve_steps(&mut self) {
        while let Some((owner, locks)) = self.next_served() {
            self.record(Event::LocksTaken { build: owner.build, step: owner.step, locks });
        }
        self.up.builders.extend(self.up.claims.keys());
    }

    fn next_served(&self) -> Option<(Owner, Vec<LockAccess>)> {
        let queue = queue(self.state, self.up);
        let define = definitions(&self.up.plans, self.state.plan.as_ref());
        let mut steps = self.state.locks.waiting();
        let found = steps.find(|(since, waiter)| {
            let asker = Asker {
                since: (*since, 0),
                kin: kin(self.state, waiter.owner.build),
                worker: &waiter.worker,
                wants: &waiter.locks,
            };
            self.state.locks.may_take(&asker, &queue, &define)
        });
        found.map(|(_, waiter)| (waiter.owner, waiter.locks.clone()))
    }

    /// Takes back all that a build or step holds, or its place in the queue.
    pub fn release_locks(&mut self, build: BuildId, step: Option<StepId>) {
        let owner = Owner { build, step };
        if self.state.locks.holds(owner) || self.state.locks.is_waiting(owner) {
            self.record(Event::LocksReleased { build, step });
        }
    }

    /// A builder's next request could start on this worker but for locks.
    pub fn claim(&mut self, builder: crate::model::BuilderId, kin: Vec<BuildId>, worker: &str, wants: Vec<LockAccess>) {
        let before = self.up.claims.get(&builder);
        let since = before.map_or((self.state.seq, self.up.claims_made + 1), |claim| claim.since);
        let at = before.map_or(self.now, |claim| claim.at);
        let changed = before.is_some_and(|claim| claim.worker != worker || claim.wants != wants || claim.kin != kin);
        self.up.claims_made += u64::from(before.is_none());
        self.up.claims.insert(builder, Claim { since, at, kin, worker: worker.to_owned(), wants });
        // What it no longer wants may be free for those behind it.
        self.up.locks |= changed;
    }

    /// A builder claims nothing any more.
    pub fn unclaim(&mut self, builder: crate::model::BuilderId) -> Option<Claim> {
        let claim = self.up.claims.remove(&builder);
        self.up.locks |= claim.is_some();
        claim
    }
}

/// Whether a step is `outer` or a child step inside of it; every step is inside of its build.
pub(super) fn is_inside(state: &State, build: BuildId, step: StepId, outer: Option<StepId>) -> bool {
    let Some(outer) = outer else { return true };
    let current = state.builds.get(&build).and_then(|build| build.step.as_ref());
    let mut at = Some(step);
    while let Some(step) = at {
        if step == outer {
            return true;
        }
        at = current.and_then(|current| current.children.get(&step)).map(|child| child.parent);
    }
    false
}
