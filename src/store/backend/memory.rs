//! The backend for tests, the simulator and local runs: a map in memory, gone with the process.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use super::{Backend, Batch, Direction, KeyRange, Pair};
use crate::store::StoreError;

/// An ordered map behind a lock.
#[derive(Debug, Default)]
pub(crate) struct MemoryBackend {
    map: RwLock<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Backend for MemoryBackend {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.map.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned())
    }

    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Vec<Pair>, StoreError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        let found = map.range(range.from.clone()..range.to.clone());
        let owned = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        Ok(match direction {
            Direction::Ascending => found.take(limit).map(owned).collect(),
            Direction::Descending => found.rev().take(limit).map(owned).collect(),
        })
    }

    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in batch.writes {
            match value {
                Some(value) => map.insert(key, value),
                None => map.remove(&key),
            };
        }
        Ok(())
    }
}
