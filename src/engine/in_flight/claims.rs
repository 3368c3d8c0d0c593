//! Claims of builders whose next request could start but for locks: their places in the queue.

use std::collections::BTreeMap;

use crate::base::Timestamp;
use crate::engine::state::{AskedAt, LockHolder, LockRequest};
use crate::model::{BuilderId, LockAccess};

/// A builder's wish for locks.
#[derive(Clone, Debug)]
pub(in crate::engine) struct SlotClaim {
    pub since: AskedAt,
    pub at: Timestamp,
    pub kin: Vec<LockHolder>,
    pub worker: String,
    pub wants: Vec<LockAccess>,
    /// Only locks are missing. If not, it keeps its place, but is nobody's hindrance.
    active: bool,
}

impl SlotClaim {
    /// The claim as it stands in the queue.
    pub fn asker(&self) -> LockRequest<'_> {
        LockRequest {
            since: self.since,
            kin: self.kin.clone(),
            worker: &self.worker,
            wants: &self.wants,
            transitive: false,
        }
    }
}

/// One claim a builder at most.
#[derive(Clone, Debug, Default)]
pub(in crate::engine) struct Claims {
    by_builder: BTreeMap<BuilderId, SlotClaim>,
    made: u64,
}

impl Claims {
    /// A builder asks for locks on a worker, from its old place in the queue if it asked before. True if it asked for
    /// something else until now: what it no longer wants may be free.
    pub fn put(
        &mut self,
        builder: BuilderId,
        kin: Vec<LockHolder>,
        (worker, wants): (&str, Vec<LockAccess>),
        (seq, now): (u64, Timestamp),
    ) -> bool {
        let before = self.by_builder.get(&builder);
        let since = before.map_or((seq, self.made + 1), |claim| claim.since);
        let still = before.filter(|claim| claim.active);
        let at = still.map_or(now, |claim| claim.at);
        let changed = still.is_some_and(|claim| claim.worker != worker || claim.wants != wants || claim.kin != kin);
        self.made += u64::from(before.is_none());
        let claim = SlotClaim { since, at, kin, worker: worker.to_owned(), wants, active: true };
        self.by_builder.insert(builder, claim);
        changed
    }

    /// A builder cannot start for other reasons than locks: it keeps its place, but holds up nobody. True if it did.
    pub fn suspend(&mut self, builder: BuilderId) -> bool {
        self.by_builder.get_mut(&builder).is_some_and(|claim| std::mem::replace(&mut claim.active, false))
    }

    /// A builder claims nothing any more; what it claimed to the last.
    pub fn remove(&mut self, builder: BuilderId) -> Option<SlotClaim> {
        self.by_builder.remove(&builder).filter(|claim| claim.active)
    }

    /// All places are void: another configuration is in force.
    pub fn clear(&mut self) {
        self.by_builder.clear();
    }

    /// Since when a builder has its place.
    pub fn since(&self, builder: BuilderId) -> Option<AskedAt> {
        Some(self.by_builder.get(&builder)?.since)
    }

    /// Claims of those for whom only locks are missing.
    pub fn active(&self) -> impl Iterator<Item = (BuilderId, &SlotClaim)> {
        self.by_builder.iter().filter(|(_, claim)| claim.active).map(|(builder, claim)| (*builder, claim))
    }

    /// Builders that claim locks on a worker.
    pub fn on_worker(&self, worker: &str) -> impl Iterator<Item = BuilderId> {
        self.by_builder.iter().filter(move |(_, claim)| claim.worker == worker).map(|(builder, _)| *builder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspended_claim_keeps_its_place_and_starts_to_count_anew() {
        let (one, two) = (BuilderId(1), BuilderId(2));
        let at = Timestamp::from_seconds;
        let mut claims = Claims::default();
        assert!(!claims.put(one, Vec::new(), ("w", Vec::new()), (7, at(1))));
        assert!(!claims.put(two, Vec::new(), ("w", Vec::new()), (7, at(2))));
        assert!(claims.since(one) < claims.since(two));
        let place = claims.since(one);
        assert!(claims.suspend(one) && !claims.suspend(one), "it holds up nobody the second time");
        assert_eq!(claims.active().map(|(builder, _)| builder).collect::<Vec<_>>(), [two]);
        assert!(!claims.put(one, Vec::new(), ("w2", Vec::new()), (9, at(5))), "what is suspended wants nothing");
        assert!(claims.put(one, Vec::new(), ("w", Vec::new()), (9, at(6))), "it gives way on the other worker");
        let last = claims.remove(one).unwrap();
        assert_eq!((Some(last.since), last.at), (place, at(5)));
    }
}
