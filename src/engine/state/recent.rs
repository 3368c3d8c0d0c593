//! Memory of the newest few: what was seen lately, by fingerprint.
//!
//! Bounded, so that state does not grow with history. What has been forgotten is treated as new.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// The first 16 bytes of SHA-256 over something's stored form: stands for it in lookups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::engine) struct Fingerprint(u64, u64);

impl Fingerprint {
    /// The fingerprint of plain data.
    pub fn of(what: &impl Serialize) -> Self {
        let bytes = rmp_serde::to_vec(what).expect("plain data always serializes");
        let hash = sha2::Sha256::digest(&bytes);
        let half = |at: usize| hash[at..at + 8].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
        Self(half(0), half(8))
    }
}

impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}{:016x}", self.0, self.1)
    }
}

/// How many entries are remembered: a busy week of changes, at 40 bytes each.
pub(in crate::engine) const RECENT_MAX: usize = 10_000;

/// The newest [`RECENT_MAX`] entries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Recent<V> {
    order: VecDeque<Fingerprint>,
    entries: BTreeMap<Fingerprint, V>,
}

impl<V> Default for Recent<V> {
    fn default() -> Self {
        Self { order: VecDeque::new(), entries: BTreeMap::new() }
    }
}

impl<V> Recent<V> {
    /// What is remembered of this one.
    pub fn get(&self, print: Fingerprint) -> Option<&V> {
        self.entries.get(&print)
    }

    /// Remembers; an entry known already keeps its age and takes the new value.
    pub fn put(&mut self, print: Fingerprint, value: V) {
        if self.entries.insert(print, value).is_some() {
            return;
        }
        self.order.push_back(print);
        if self.order.len() > RECENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_entry_is_forgotten_when_full() {
        let mut recent = Recent::default();
        for number in 0..=RECENT_MAX {
            recent.put(Fingerprint::of(&number), number);
        }
        assert_eq!(recent.get(Fingerprint::of(&0_usize)), None);
        assert_eq!(recent.get(Fingerprint::of(&1_usize)), Some(&1));
        assert_eq!(recent.get(Fingerprint::of(&RECENT_MAX)), Some(&RECENT_MAX));
    }

    #[test]
    fn different_things_have_different_prints() {
        assert_ne!(Fingerprint::of(&("a", "bc")), Fingerprint::of(&("ab", "c")));
        assert_eq!(Fingerprint::of(&("a", "b")), Fingerprint::of(&("a", "b")));
    }
}
