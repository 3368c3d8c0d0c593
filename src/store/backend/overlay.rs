//! A database with its newest changes in memory.
//!
//! Changes are visible at once and reach the database below in one large batch now and then: a record that changes ten times in a
//! second is written once, and one that comes and goes is not written at all. What is only here does not survive the process; the
//! journal has it.
//!
//! ```text
//! apply ──► fresh ── fold ──► folding ──► database below
//!           reads look at all three, newest first
//! ```

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::{Backend, Batch, Direction, KeyRange, Pair};
use crate::store::StoreError;

/// Changes by key: the new value, none where it is removed.
type Changes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// What a change costs beside its key and value.
const CHANGE_BYTES: usize = 64;

/// A database below, and changes above it.
#[derive(Debug)]
pub(crate) struct Overlay {
    below: Arc<dyn Backend>,
    layers: RwLock<Layers>,
    /// Held by a fold: they come one after another.
    turn: Mutex<()>,
}

#[derive(Debug, Default)]
struct Layers {
    fresh: Changes,
    /// About what `fresh` takes in memory.
    bytes: usize,
    /// On their way to the database below.
    folding: Arc<Changes>,
}

impl Overlay {
    /// Begins without changes.
    pub fn new(below: Arc<dyn Backend>) -> Self {
        Self { below, layers: RwLock::default(), turn: Mutex::default() }
    }

    /// About how much memory the changes take that no fold has begun with.
    pub fn bytes(&self) -> usize {
        self.layers.read().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// Brings all changes so far into the database below, which makes them durable. If it fails, the changes
    /// stay here, and the next call takes them along.
    pub fn fold(&self) -> Result<(), StoreError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let folding = {
            let mut layers = self.layers.write().unwrap_or_else(PoisonError::into_inner);
            let fresh = std::mem::take(&mut layers.fresh);
            layers.bytes = 0;
            if layers.folding.is_empty() {
                layers.folding = Arc::new(fresh);
            } else {
                // An earlier fold failed; it may have been applied or not, and is overtaken either way.
                let mut together = Changes::clone(&layers.folding);
                together.extend(fresh);
                layers.folding = Arc::new(together);
            }
            Arc::clone(&layers.folding)
        };
        if !folding.is_empty() {
            self.below.apply(Batch { writes: Changes::clone(&folding) })?;
        }
        self.layers.write().unwrap_or_else(PoisonError::into_inner).folding = Arc::default();
        Ok(())
    }
}

impl Backend for Overlay {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        {
            let layers = self.layers.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(change) = layers.fresh.get(key).or_else(|| layers.folding.get(key)) {
                return Ok(change.clone());
            }
        }
        self.below.get(key)
    }

    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Vec<Pair>, StoreError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        // The layers first: a change that a fold moves meanwhile is seen twice, not never.
        let changes = self.layers.read().unwrap_or_else(PoisonError::into_inner).first(range, direction, limit);
        let removed = changes.values().filter(|change| change.is_none()).count();
        let below = self.below.scan(range, direction, limit.saturating_add(removed))?;
        if changes.is_empty() {
            return Ok(below);
        }
        let mut merged: BTreeMap<Vec<u8>, Vec<u8>> = below.into_iter().collect();
        for (key, change) in changes {
            match change {
                Some(value) => merged.insert(key, value),
                None => merged.remove(&key),
            };
        }
        Ok(match direction {
            Direction::Ascending => merged.into_iter().take(limit).collect(),
            Direction::Descending => merged.into_iter().rev().take(limit).collect(),
        })
    }

    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let mut layers = self.layers.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in batch.writes {
            layers.bytes += CHANGE_BYTES + key.len() + value.as_ref().map_or(0, Vec::len);
            if let Some(Some(old)) = layers.fresh.insert(key, value) {
                layers.bytes = layers.bytes.saturating_sub(CHANGE_BYTES + old.len());
            }
        }
        Ok(())
    }
}

impl Layers {
    /// The first changes of a range, in order, until `limit` of them set a value: nothing after those can be among the first
    /// `limit` pairs.
    fn first(&self, range: &KeyRange, direction: Direction, limit: usize) -> Changes {
        let bounds = (Bound::Included(range.from.as_slice()), Bound::Excluded(range.to.as_slice()));
        let (fresh, folding) = (self.fresh.range::<[u8], _>(bounds), self.folding.range::<[u8], _>(bounds));
        match direction {
            Direction::Ascending => gather(fresh, folding, limit, |left, right| left <= right),
            Direction::Descending => gather(fresh.rev(), folding.rev(), limit, |left, right| left >= right),
        }
    }
}

/// Merges two orderly rows of changes, of which the newer one wins.
fn gather<'a>(
    newer: impl Iterator<Item = (&'a Vec<u8>, &'a Option<Vec<u8>>)>,
    older: impl Iterator<Item = (&'a Vec<u8>, &'a Option<Vec<u8>>)>,
    limit: usize,
    comes_first: impl Fn(&[u8], &[u8]) -> bool,
) -> Changes {
    let (mut newer, mut older): (Peekable<_>, Peekable<_>) = (newer.peekable(), older.peekable());
    let (mut found, mut set) = (Changes::new(), 0);
    while set < limit {
        let next = match (newer.peek(), older.peek()) {
            (None, None) => break,
            (Some((left, _)), Some((right, _))) if left == right => {
                older.next();
                newer.next()
            }
            (Some((left, _)), Some((right, _))) if comes_first(left, right) => newer.next(),
            (Some(_), None) => newer.next(),
            (Some(_) | None, Some(_)) => older.next(),
        };
        let Some((key, change)) = next else { break };
        set += usize::from(change.is_some());
        found.insert(key.clone(), change.clone());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::MemoryBackend;
    use super::*;

    fn batch(writes: &[(&[u8], Option<&[u8]>)]) -> Batch {
        Batch { writes: writes.iter().map(|(k, v)| (k.to_vec(), v.map(<[u8]>::to_vec))).collect() }
    }

    #[test]
    fn changes_are_seen_at_once_and_reach_the_database_by_a_fold() {
        let below = Arc::new(MemoryBackend::default());
        let overlay = Overlay::new(below.clone());
        overlay.apply(batch(&[(b"a", Some(b"1")), (b"b", Some(b"2"))])).unwrap();
        assert!(overlay.bytes() > 0);
        assert_eq!((overlay.get(b"a").unwrap(), below.get(b"a").unwrap()), (Some(b"1".to_vec()), None));
        overlay.fold().unwrap();
        assert_eq!((overlay.bytes(), below.get(b"a").unwrap()), (0, Some(b"1".to_vec())));
        overlay.apply(batch(&[(b"a", None), (b"b", Some(b"3"))])).unwrap();
        assert_eq!((overlay.get(b"a").unwrap(), below.get(b"a").unwrap()), (None, Some(b"1".to_vec())));
        overlay.fold().unwrap();
        assert_eq!((below.get(b"a").unwrap(), below.get(b"b").unwrap()), (None, Some(b"3".to_vec())));
    }

    #[derive(Debug, Default)]
    struct Failing(MemoryBackend, std::sync::atomic::AtomicBool);

    impl Backend for Failing {
        fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
            self.0.get(key)
        }
        fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Vec<Pair>, StoreError> {
            self.0.scan(range, direction, limit)
        }
        fn apply(&self, batch: Batch) -> Result<(), StoreError> {
            if self.1.swap(false, std::sync::atomic::Ordering::SeqCst) {
                return Err(StoreError::Closed);
            }
            self.0.apply(batch)
        }
    }

    #[test]
    fn changes_of_a_failed_fold_go_with_the_next_one() {
        let below = Arc::new(Failing::default());
        let overlay = Overlay::new(below.clone());
        overlay.apply(batch(&[(b"a", Some(b"1")), (b"b", Some(b"1"))])).unwrap();
        below.1.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(overlay.fold().is_err());
        assert_eq!(overlay.get(b"a").unwrap(), Some(b"1".to_vec()));
        overlay.apply(batch(&[(b"b", Some(b"2"))])).unwrap();
        overlay.fold().unwrap();
        assert_eq!((below.get(b"a").unwrap(), below.get(b"b").unwrap()), (Some(b"1".to_vec()), Some(b"2".to_vec())));
    }
}
