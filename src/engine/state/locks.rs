//! Who holds which lock, who waits, and who may take one.
//!
//! Knows no configuration: what a lock can bear is told with each question. Facts name a lock and how it is taken; the
//! worker that the holder runs on tells which of a worker-scoped lock's instances is meant.
//!
//! The rule: locks go to those who asked first. Nobody overtakes an earlier asker with whom it could not share - but
//! for one case: an earlier one that waits, at some remove, for a lock which is given back only after the asker has gone
//! on (its build holds it, or the build that waits for its build) lets the asker pass, because there is no other way
//! forward. The same goes if the earlier one waits for a build that waits for another one which has not started, and not
//! for want of locks: it may be the asker who occupies what that one needs. With this exception nobody waits for the queue alone for ever; only holders that wait for each other's locks
//! do, and [`Locks::deadlock`] finds those when they ask.
//!
//! Invariant: an owner holds all of the locks that it asked for, or waits for all of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::{BuildId, LockAccess, LockMode, LockPlan, LockScope, StepId};

/// Who holds or waits: a build, or one of its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::engine) struct LockHolder {
    pub build: BuildId,
    pub step: Option<StepId>,
}

/// A hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct HeldLock {
    pub worker: String,
    pub mode: LockMode,
}

/// A step that waits. Builds that have not started wait as requests, outside of this table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Waiter {
    pub owner: LockHolder,
    pub worker: String,
    pub locks: Vec<LockAccess>,
}

/// All locks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::engine) struct Locks {
    held: BTreeMap<String, BTreeMap<LockHolder, HeldLock>>,
    /// By the fact that made them wait.
    waiting: BTreeMap<u64, Waiter>,
}

/// The fact since which somebody asks, and a number to tell apart requests that ask since the same one. The smaller,
/// the earlier.
pub(in crate::engine) type AskedAt = (u64, u64);

/// Somebody who wants locks now.
#[derive(Clone, Debug)]
pub(in crate::engine) struct LockRequest<'a> {
    /// Since when it asks.
    pub since: AskedAt,
    /// Those who give nothing back before it has gone on: itself, the steps that it is inside of, its build, and in
    /// the same way the builds that wait for its build. What they hold is no hindrance.
    pub kin: Vec<LockHolder>,
    pub worker: &'a str,
    pub wants: &'a [LockAccess],
    /// It waits for other things than locks, a worker's slot perhaps: nobody here can tell who has to go on first.
    pub transitive: bool,
}

/// What a lock can bear; none: no configuration has it any more, and it bears anything.
pub(in crate::engine) type LockPlans<'a> = dyn Fn(&str) -> Option<&'a LockPlan> + 'a;

impl Locks {
    /// Steps that wait, in order of asking.
    pub fn waiting(&self) -> impl Iterator<Item = (u64, &Waiter)> {
        self.waiting.iter().map(|(since, waiter)| (*since, waiter))
    }

    /// Whether somebody waits.
    pub fn is_waiting(&self, owner: LockHolder) -> bool {
        self.waiting.values().any(|waiter| waiter.owner == owner)
    }

    /// Whether somebody holds anything.
    pub fn holds(&self, owner: LockHolder) -> bool {
        self.held.values().any(|owners| owners.contains_key(&owner))
    }

    /// Whether this build or a step of it holds or waits for anything.
    pub fn concern(&self, build: BuildId) -> bool {
        self.held.values().any(|owners| owners.keys().any(|owner| owner.build == build))
            || self.waiting.values().any(|waiter| waiter.owner.build == build)
    }

    /// Puts somebody at the end of the queue.
    pub fn wait(&mut self, since: u64, waiter: Waiter) {
        self.waiting.insert(since, waiter);
    }

    /// Gives locks to somebody, who waits no more.
    pub fn take(&mut self, owner: LockHolder, worker: &str, locks: &[LockAccess]) {
        self.waiting.retain(|_, waiter| waiter.owner != owner);
        for access in locks {
            let hold = HeldLock { worker: worker.to_owned(), mode: access.mode };
            self.held.entry(access.lock.clone()).or_default().insert(owner, hold);
        }
    }

    /// Takes everything back from somebody, including the place in the queue.
    pub fn release(&mut self, owner: LockHolder) {
        self.waiting.retain(|_, waiter| waiter.owner != owner);
        self.held.retain(|_, owners| {
            owners.remove(&owner);
            !owners.is_empty()
        });
    }

    /// Whether `asker` may take all that it wants now. `queue` has everybody who waits, earliest first.
    pub fn may_take(&self, asker: &LockRequest<'_>, queue: &[LockRequest<'_>], define: &LockPlans<'_>) -> bool {
        sabotage!(LockQueueJumped => return self.blockers(asker, define).is_empty());
        let earlier: Vec<&LockRequest<'_>> = queue.iter().filter(|other| other.since < asker.since).collect();
        asker.wants.iter().all(|want| {
            let Some(lock) = define(&want.lock) else { return true };
            let holders = self.modes(asker, want, lock);
            fits(&holders, want.mode, lock, asker.worker)
                && (self.leaves_room(asker, want, lock, &holders, earlier.iter().copied())
                    || (!asker.kin.is_empty()
                        && self.leaves_room(
                            asker,
                            want,
                            lock,
                            &holders,
                            earlier.iter().copied().filter(|other| !self.depends(other, &asker.kin, queue, define)),
                        )))
        })
    }

    /// Whether the asker would wait for ever: a holder of what it wants waits, at some remove, for what the asker's own
    /// kin hold. If so, that holder.
    pub fn deadlock(
        &self,
        asker: &LockRequest<'_>,
        queue: &[LockRequest<'_>],
        define: &LockPlans<'_>,
    ) -> Option<LockHolder> {
        let mut seen = BTreeSet::new();
        let first = self.blockers(asker, define);
        let mut open: Vec<(LockHolder, LockHolder)> = first.into_iter().map(|owner| (owner, owner)).collect();
        while let Some((owner, through)) = open.pop() {
            if !seen.insert(owner) {
                continue;
            }
            for inside in queue.iter().filter(|other| other.kin.contains(&owner)) {
                for blocker in self.blockers(inside, define) {
                    if asker.kin.contains(&blocker) {
                        return Some(through);
                    }
                    open.push((blocker, through));
                }
            }
        }
        None
    }

    /// A lock that the asker cannot have as long as those who `keep` theirs do, and one of them.
    pub fn kept_from(
        &self,
        asker: &LockRequest<'_>,
        define: &LockPlans<'_>,
        keep: &dyn Fn(&LockHolder) -> bool,
    ) -> Option<(String, LockHolder)> {
        asker.wants.iter().find_map(|want| {
            let lock = define(&want.lock)?;
            let kept: Vec<(LockHolder, LockMode)> = self
                .others(asker, want, lock)
                .filter(|(owner, _)| keep(owner))
                .map(|(owner, hold)| (owner, hold.mode))
                .collect();
            let modes: Vec<LockMode> = kept.iter().map(|(_, mode)| *mode).collect();
            let first = kept.first().filter(|_| !fits(&modes, want.mode, lock, asker.worker))?;
            Some((want.lock.clone(), first.0))
        })
    }

    /// Who holds what the asker cannot have for now.
    fn blockers(&self, asker: &LockRequest<'_>, define: &LockPlans<'_>) -> BTreeSet<LockHolder> {
        let mut owners = BTreeSet::new();
        for want in asker.wants {
            let Some(lock) = define(&want.lock) else { continue };
            if !fits(&self.modes(asker, want, lock), want.mode, lock, asker.worker) {
                owners.extend(self.others(asker, want, lock).map(|(owner, _)| owner));
            }
        }
        owners
    }

    /// Whether the wish fits beside the holders and the wishes of those who asked earlier.
    #[expect(clippy::unused_self, reason = "a rule of the table like its neighbours")]
    fn leaves_room<'a>(
        &self,
        asker: &LockRequest<'_>,
        want: &LockAccess,
        lock: &LockPlan,
        holders: &[LockMode],
        earlier: impl Iterator<Item = &'a LockRequest<'a>>,
    ) -> bool {
        let mut modes = holders.to_vec();
        for other in earlier.filter(|other| same_instance(lock, other.worker, asker.worker)) {
            modes.extend(other.wants.iter().filter(|access| access.lock == want.lock).map(|access| access.mode));
        }
        fits(&modes, want.mode, lock, asker.worker)
    }

    /// Whether `asker` waits, through holders or through the queue, for one of `owners`.
    fn depends(
        &self,
        asker: &LockRequest<'_>,
        owners: &[LockHolder],
        queue: &[LockRequest<'_>],
        define: &LockPlans<'_>,
    ) -> bool {
        let mut seen = BTreeSet::from([asker.since]);
        let mut open = vec![asker];
        while let Some(next) = open.pop() {
            let blockers = self.blockers(next, define);
            if next.transitive {
                return true;
            }
            if blockers.iter().any(|blocker| owners.contains(blocker)) {
                return true;
            }
            let ahead = |other: &LockRequest<'_>| other.since < next.since && shares_lock(other, next, define);
            let inside = |other: &LockRequest<'_>| other.kin.iter().any(|owner| blockers.contains(owner));
            for other in queue.iter().filter(|other| inside(other) || ahead(other)) {
                if other.transitive || seen.insert(other.since) {
                    open.push(other);
                }
            }
        }
        false
    }

    fn modes(&self, asker: &LockRequest<'_>, want: &LockAccess, lock: &LockPlan) -> Vec<LockMode> {
        self.others(asker, want, lock).map(|(_, hold)| hold.mode).collect()
    }

    /// Holders, other than the asker's kin, of the instance of a lock that the asker wants.
    fn others<'s>(
        &'s self,
        asker: &'s LockRequest<'_>,
        want: &LockAccess,
        lock: &'s LockPlan,
    ) -> impl Iterator<Item = (LockHolder, &'s HeldLock)> {
        self.held
            .get(&want.lock)
            .into_iter()
            .flatten()
            .filter(move |(owner, hold)| !asker.kin.contains(owner) && same_instance(lock, &hold.worker, asker.worker))
            .map(|(owner, hold)| (*owner, hold))
    }
}

/// Whether two askers want the same instance of some lock.
fn shares_lock(left: &LockRequest<'_>, right: &LockRequest<'_>, define: &LockPlans<'_>) -> bool {
    left.wants.iter().any(|access| {
        right.wants.iter().any(|other| other.lock == access.lock)
            && define(&access.lock).is_some_and(|lock| same_instance(lock, left.worker, right.worker))
    })
}

/// Whether holders on these two workers share one instance of the lock.
fn same_instance(lock: &LockPlan, left: &str, right: &str) -> bool {
    match lock.scope {
        LockScope::Master => true,
        LockScope::Worker => left == right,
    }
}

/// How many units the instance of a lock on this worker has.
pub(in crate::engine) fn units(lock: &LockPlan, worker: &str) -> u64 {
    match lock.scope {
        LockScope::Master => lock.count,
        LockScope::Worker => lock.count_for.get(worker).copied().unwrap_or(lock.count),
    }
    .max(1)
}

/// Whether one more fits beside those present. A wish for more units than there are counts as one for all of them.
fn fits(present: &[LockMode], wish: LockMode, lock: &LockPlan, worker: &str) -> bool {
    let units = units(lock, worker);
    let mut used: u64 = 0;
    for mode in present {
        match mode {
            LockMode::Exclusive => return false,
            LockMode::Counting(count) => used = used.saturating_add((*count).min(units)),
        }
    }
    match wish {
        LockMode::Exclusive => present.is_empty(),
        LockMode::Counting(count) => used.saturating_add(count.min(units)) <= units,
    }
}
