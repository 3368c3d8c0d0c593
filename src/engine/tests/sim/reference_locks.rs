//! The reference model of locks: nobody holds more than there is, who asked first gets first, and nobody waits for what
//! is free.

use std::collections::BTreeSet;

use super::reference::Reference;
use crate::model::{BuildId, BuilderId, LockAccess, LockMode, LockPlan, LockScope, StepId};

/// A build, or one of its steps.
pub type Owner = (BuildId, Option<StepId>);

/// A lock that is held.
#[derive(Clone, Debug)]
pub struct Held {
    pub owner: Owner,
    pub worker: String,
    pub lock: String,
    pub mode: LockMode,
}

/// A step that waits.
#[derive(Clone, Debug)]
pub struct Waiting {
    pub since: u64,
    pub owner: Owner,
    pub worker: String,
    pub wants: Vec<LockAccess>,
}

impl Reference {
    /// What a lock can bear: the configuration in force says it, else any that knows it.
    fn lock(&self, name: &str) -> Option<&LockPlan> {
        let current = self.plan.as_ref().and_then(|plan| plan.locks.get(name));
        current.or_else(|| {
            let pinned = self.builds.values().filter_map(|build| self.plans.get(&build.plan));
            pinned.into_iter().find_map(|plan| plan.locks.get(name))
        })
    }

    /// The owner's build and steps around it, and those of the build that waits for its build, and so on: they give
    /// nothing back before it has gone on.
    pub fn kin(&self, owner: Owner) -> BTreeSet<Owner> {
        let mut kin = BTreeSet::new();
        let Some(build) = self.builds.get(&owner.0) else { return kin };
        let mut at = owner.1;
        while let Some(step) = at {
            kin.insert((owner.0, Some(step)));
            at = build.steps.get(&step).and_then(|step| step.parent);
        }
        kin.insert((owner.0, None));
        let first = build.requests.first();
        if let Some(parent) = first.and_then(|request| self.awaiting_step(*request)) {
            kin.extend(self.kin(parent));
        }
        kin
    }

    /// The step that waits for a request's build.
    pub fn awaiting_step(&self, request: crate::model::RequestId) -> Option<Owner> {
        let set = self.requests.get(&request)?.set;
        let (build, _, step) = self.sets.get(&set)?.awaited_by.clone()?;
        Some((build, Some(step)))
    }

    fn other_modes(&self, kin: &BTreeSet<Owner>, worker: &str, name: &str) -> Vec<LockMode> {
        let Some(lock) = self.lock(name) else { return vec![] };
        let same = |held: &&Held| held.lock == name && !kin.contains(&held.owner) && shared(lock, &held.worker, worker);
        self.holds.iter().filter(same).map(|held| held.mode).collect()
    }

    fn fits_beside_holders(&self, kin: &BTreeSet<Owner>, worker: &str, wants: &[LockAccess]) -> bool {
        wants.iter().all(|want| {
            let Some(lock) = self.lock(&want.lock) else { return true };
            fits(&self.other_modes(kin, worker, &want.lock), want.mode, lock, worker)
        })
    }

    pub fn locks_awaited(&mut self, build: BuildId, step: Option<StepId>, locks: &[LockAccess]) {
        let worker = self.builds[&build].worker.clone();
        let owner = (build, step);
        assert!(self.waits.iter().all(|wait| wait.owner != owner), "locks: {owner:?} waits twice");
        self.waits.push(Waiting { since: self.seq, owner, worker, wants: locks.to_vec() });
    }

    pub fn locks_taken(&mut self, build: BuildId, step: Option<StepId>, locks: &[LockAccess]) {
        let owner = (build, step);
        let worker = self.builds[&build].worker.clone();
        let kin = self.kin(owner);
        assert!(
            self.fits_beside_holders(&kin, &worker, locks),
            "locks: {owner:?} gets {locks:?} beside {:?}",
            self.holds
        );
        let since = match self.waits.iter().position(|wait| wait.owner == owner) {
            Some(at) => {
                let wait = self.waits.remove(at);
                assert_eq!(wait.wants, locks, "locks: {owner:?} gets other locks than it asked for");
                wait.since
            }
            None if step.is_some() => self.seq,
            None => self.builds[&build].queued_since,
        };
        self.check_fairness(owner, &kin, &worker, locks, since);
        for access in locks {
            self.holds.push(Held { owner, worker: worker.clone(), lock: access.lock.clone(), mode: access.mode });
        }
    }

    /// Nobody who asked before is overtaken, unless what it waits for is given back only after the winner has gone on.
    fn check_fairness(&self, owner: Owner, kin: &BTreeSet<Owner>, worker: &str, locks: &[LockAccess], since: u64) {
        for wait in self.waits.iter().filter(|wait| wait.since < since && !kin.contains(&wait.owner)) {
            let clash = self.clash(worker, locks, &wait.worker, &wait.wants);
            let fair = !clash || self.depends(wait, kin);
            assert!(fair, "locks: {owner:?}, who asks since {since}, gets {locks:?} before {wait:?}");
        }
        let Some(builder) = self.builds.get(&owner.0).map(|build| build.builder) else { return };
        for (other, claimed) in self.claimable.iter().filter(|(other, claimed)| **claimed < since && **other != builder)
        {
            let Some(wants) = self.master_wants(*other) else { continue };
            let clash = wants.iter().any(|want| {
                let lock = self.lock(&want.lock);
                let winner = locks.iter().find(|access| access.lock == want.lock);
                matches!((lock, winner), (Some(lock), Some(winner)) if !fits(&[winner.mode], want.mode, lock, worker))
            });
            let could = self.first_ready(*other).is_some() && self.has_room(*other);
            let first = clash && could && self.waits.is_empty() && owner.1.is_some();
            assert!(
                !first || self.claim_depends(*other, &wants, kin),
                "locks: {owner:?}, who asks since {since}, gets {locks:?} before builder {other}, who asks since {claimed}"
            );
        }
    }

    /// Whether the two wishes cannot be met at the same time, beside those who hold.
    fn clash(&self, worker: &str, locks: &[LockAccess], other_worker: &str, wants: &[LockAccess]) -> bool {
        wants.iter().any(|want| {
            let Some(lock) = self.lock(&want.lock) else { return false };
            let Some(winner) = locks.iter().find(|access| access.lock == want.lock) else { return false };
            shared(lock, worker, other_worker) && !fits(&[winner.mode], want.mode, lock, worker)
        })
    }

    /// Whether somebody waits, at some remove, for one of these owners.
    fn depends(&self, wait: &Waiting, owners: &BTreeSet<Owner>) -> bool {
        // Builders that ask for locks stand in the queue, too, and facts do not say since when: in doubt, yes.
        if self.waiting_builders().any(|builder| !self.wants_of(builder).is_empty()) {
            return true;
        }
        let mut seen = BTreeSet::new();
        let mut open = vec![wait];
        while let Some(next) = open.pop() {
            if !seen.insert(next.since) {
                continue;
            }
            let blockers = self.blockers(&self.kin(next.owner), &next.worker, &next.wants);
            if blockers.iter().any(|blocker| owners.contains(blocker) || self.waits_beyond(*blocker)) {
                return true;
            }
            let inside = |other: &&Waiting| self.kin(other.owner).iter().any(|owner| blockers.contains(owner));
            let ahead = |other: &&Waiting| other.since < next.since && self.share(other, next);
            open.extend(self.waits.iter().filter(|other| inside(other) || ahead(other)));
        }
        false
    }

    /// Whether a build waits for another one that has not started.
    fn waits_beyond(&self, owner: Owner) -> bool {
        let awaits = |id: &crate::model::RequestId| self.awaiting_step(*id).is_some_and(|step| step.0 == owner.0);
        self.requests.values().any(|request| request.waits() && awaits(&request.id))
    }

    fn share(&self, left: &Waiting, right: &Waiting) -> bool {
        left.wants.iter().any(|want| {
            let lock = self.lock(&want.lock);
            right.wants.iter().any(|other| other.lock == want.lock)
                && lock.is_some_and(|lock| shared(lock, &left.worker, &right.worker))
        })
    }

    fn blockers(&self, kin: &BTreeSet<Owner>, worker: &str, wants: &[LockAccess]) -> BTreeSet<Owner> {
        let mut blockers = BTreeSet::new();
        for want in wants {
            let Some(lock) = self.lock(&want.lock) else { continue };
            if !fits(&self.other_modes(kin, worker, &want.lock), want.mode, lock, worker) {
                let holders = self.holds.iter().filter(|held| held.lock == want.lock && !kin.contains(&held.owner));
                blockers.extend(holders.map(|held| held.owner));
            }
        }
        blockers
    }

    pub fn locks_released(&mut self, build: BuildId, step: Option<StepId>) {
        let owner = (build, step);
        let before = self.holds.len() + self.waits.len();
        self.holds.retain(|held| held.owner != owner);
        self.waits.retain(|wait| wait.owner != owner);
        assert!(before > self.holds.len() + self.waits.len(), "locks: {owner:?} gives back what it has not");
    }

    /// A step or build that ended holds nothing and waits for nothing.
    pub fn check_gave_all_back(&self, owner: Owner) {
        let all = owner.1.is_none();
        let mine = |other: Owner| other == owner || (all && other.0 == owner.0);
        assert!(self.holds.iter().all(|held| !mine(held.owner)), "locks: {owner:?} ended and holds {:?}", self.holds);
        assert!(self.waits.iter().all(|wait| !mine(wait.owner)), "locks: {owner:?} ended and waits");
    }

    /// The step that asked first does not wait for what is free.
    pub fn check_waiting_locks(&self) {
        let Some(first) = self.waits.iter().min_by_key(|wait| wait.since) else { return };
        let wanted = |builder: BuilderId| {
            self.wants_of(builder).iter().any(|name| first.wants.iter().any(|want| want.lock == *name))
        };
        if self.waiting_builders().any(wanted) {
            return;
        }
        let kin = self.kin(first.owner);
        assert!(
            !self.fits_beside_holders(&kin, &first.worker, &first.wants),
            "locks: {first:?} waits for what is free; held are {:?}",
            self.holds
        );
    }

    /// Builders with requests that wait.
    pub fn waiting_builders(&self) -> impl Iterator<Item = BuilderId> + '_ {
        let waiting: BTreeSet<BuilderId> =
            self.requests.values().filter(|request| request.waits()).map(|request| request.builder).collect();
        waiting.into_iter()
    }

    /// Names of all locks that a build of this builder may take at its start.
    pub fn wants_of(&self, builder: BuilderId) -> BTreeSet<String> {
        let (Some(plan), Some(builder)) = (&self.plan, self.builder_plan(builder)) else { return BTreeSet::new() };
        let workers = builder.workers.iter().filter_map(|worker| plan.workers.get(worker));
        let locks = builder.locks.iter().chain(workers.flat_map(|worker| &worker.locks));
        locks.map(|access| access.lock.clone()).collect()
    }

    /// The locks of a builder whose wish does not depend on the worker: those of the master alone.
    fn master_wants(&self, builder: BuilderId) -> Option<Vec<LockAccess>> {
        let plan = self.plan.as_ref()?;
        let found = self.builder_plan(builder)?;
        let own =
            found.workers.iter().filter_map(|worker| plan.workers.get(worker)).any(|worker| !worker.locks.is_empty());
        let local =
            found.locks.iter().any(|want| self.lock(&want.lock).is_some_and(|lock| lock.scope == LockScope::Worker));
        (!own && !local && !found.locks.is_empty()).then(|| found.locks.clone())
    }

    fn claim_depends(&self, builder: BuilderId, wants: &[LockAccess], kin: &BTreeSet<Owner>) -> bool {
        let first = self.first_ready(builder).map(|request| request.id);
        let own = first.and_then(|id| self.awaiting_step(id)).map(|owner| self.kin(owner)).unwrap_or_default();
        let mut seen: BTreeSet<Owner> = BTreeSet::new();
        let mut open: Vec<Owner> = self.blockers(&own, "", wants).into_iter().collect();
        while let Some(owner) = open.pop() {
            // As for steps that wait: what a build holds that waits for another one which has not started is given back
            // nobody knows when, perhaps only after the winner has gone on.
            if kin.contains(&owner) || self.waits_beyond(owner) {
                return true;
            }
            // Who waits inside of a holder waits for others in turn; with steps in the queue this is left to them.
            if seen.insert(owner) && self.waits.iter().any(|wait| self.kin(wait.owner).contains(&owner)) {
                return true;
            }
        }
        // Other builders may stand before this one.
        self.waiting_builders().filter(|other| *other != builder).any(|other| !self.wants_of(other).is_empty())
    }

    /// Notes since when a builder's first request could start but for locks.
    pub fn note_claims(&mut self) {
        let mut claimable = std::collections::BTreeMap::new();
        for builder in self.waiting_builders() {
            let ready = self.first_ready(builder).is_some() && self.master_wants(builder).is_some();
            if ready && self.has_room(builder) {
                let since = self.claimable.get(&builder).copied().unwrap_or(self.seq);
                claimable.insert(builder, since);
            }
        }
        self.claimable = claimable;
    }
}

/// Whether holders on these workers share one instance.
fn shared(lock: &LockPlan, left: &str, right: &str) -> bool {
    lock.scope == LockScope::Master || left == right
}

/// Whether one more fits.
fn fits(present: &[LockMode], wish: LockMode, lock: &LockPlan, worker: &str) -> bool {
    let all = match lock.scope {
        LockScope::Worker => lock.count_for.get(worker).copied().unwrap_or(lock.count),
        LockScope::Master => lock.count,
    };
    let all = all.max(1);
    let units = |mode: LockMode| match mode {
        LockMode::Exclusive => None,
        LockMode::Counting(count) => Some(count.min(all)),
    };
    let taken: Option<u64> = present.iter().map(|mode| units(*mode)).sum();
    match (taken, units(wish)) {
        (_, None) => present.is_empty(),
        (None, _) => false,
        (Some(taken), Some(more)) => taken + more <= all,
    }
}
