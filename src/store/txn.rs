//! Reading records, and gathering changes to them into one batch.
//!
//! A [`Txn`] reads its own writes. It is not isolated from others: only the writer thread makes one.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;
use super::backend::{Backend, Batch, Direction, KeyRange, Pair};
use super::codec::{decode, decode_number, encode, encode_number};
use super::key::{Key, last_number};

/// Something that records are read from.
pub(crate) trait Records {
    /// The bytes of a key.
    fn bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    /// Pairs of a range.
    fn pairs(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Vec<Pair>, StoreError>;

    /// The record of a key.
    fn record<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, StoreError> {
        self.bytes(key)?.map(|bytes| decode(&bytes, &describe(key))).transpose()
    }

    /// The number of a key.
    fn number(&self, key: &[u8]) -> Result<Option<u64>, StoreError> {
        self.bytes(key)?.map(|bytes| decode_number(&bytes, &describe(key))).transpose()
    }

    /// The records of a range.
    fn records<T: DeserializeOwned>(
        &self,
        range: &KeyRange,
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<T>, StoreError> {
        let pairs = self.pairs(range, direction, limit)?;
        pairs.iter().map(|(key, value)| decode(value, &describe(key))).collect()
    }

    /// The last numbers of the keys of a range.
    fn ids(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Vec<u64>, StoreError> {
        Ok(self.pairs(range, direction, limit)?.iter().filter_map(|(key, _)| last_number(key)).collect())
    }
}

fn describe(key: &[u8]) -> String {
    let digits: String = key.iter().take(32).map(|byte| format!("{byte:02x}")).collect();
    format!("the record with key {digits}")
}

impl<B: Backend + ?Sized> Records for B {
    fn bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(key)
    }

    fn pairs(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Vec<Pair>, StoreError> {
        self.scan(range, direction, limit)
    }
}

/// Changes over a backend, not yet applied.
#[derive(Debug)]
pub(crate) struct Txn<'a> {
    backend: &'a dyn Backend,
    batch: Batch,
}

impl<'a> Txn<'a> {
    /// Starts without changes.
    pub fn new(backend: &'a dyn Backend) -> Self {
        Self { backend, batch: Batch::default() }
    }

    /// The changes, ready to be applied.
    pub fn into_batch(self) -> Batch {
        self.batch
    }

    /// How many keys change.
    pub fn len(&self) -> usize {
        self.batch.writes.len()
    }

    /// Sets a record.
    pub fn put<T: Serialize>(&mut self, key: Key, value: &T) {
        self.batch.writes.insert(key, Some(encode(value)));
    }

    /// Sets a number.
    pub fn put_number(&mut self, key: Key, number: u64) {
        self.batch.writes.insert(key, Some(encode_number(number)));
    }

    /// Sets a key that says everything by being there.
    pub fn mark(&mut self, key: Key) {
        self.batch.writes.insert(key, Some(Vec::new()));
    }

    /// Removes a key; one that is not there is fine.
    pub fn remove(&mut self, key: Key) {
        self.batch.writes.insert(key, None);
    }

    /// Changes a record; one that is not there (its build was removed) is left alone.
    pub fn update<T: Serialize + DeserializeOwned>(
        &mut self,
        key: Key,
        change: impl FnOnce(&mut T),
    ) -> Result<(), StoreError> {
        if let Some(mut record) = self.record::<T>(&key)? {
            change(&mut record);
            self.put(key, &record);
        }
        Ok(())
    }

    /// Adds to a counter and returns the new count.
    pub fn count(&mut self, key: Key, change: impl FnOnce(u64) -> u64) -> Result<u64, StoreError> {
        let count = change(self.number(&key)?.unwrap_or(0));
        self.put_number(key, count);
        Ok(count)
    }
}

impl Records for Txn<'_> {
    fn bytes(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.batch.writes.get(key) {
            Some(written) => Ok(written.clone()),
            None => self.backend.get(key),
        }
    }

    fn pairs(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Vec<Pair>, StoreError> {
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let written = || self.batch.writes.range(range.from.clone()..range.to.clone());
        let removed = written().filter(|(_, value)| value.is_none()).count();
        // So many more, because so many of them may be gone.
        let stored = self.backend.scan(range, direction, limit.saturating_add(removed))?;
        let mut merged: BTreeMap<_, _> = stored.into_iter().collect();
        for (key, value) in written() {
            match value {
                Some(value) => merged.insert(key.clone(), value.clone()),
                None => merged.remove(key),
            };
        }
        Ok(match direction {
            Direction::Ascending => merged.into_iter().take(limit).collect(),
            Direction::Descending => merged.into_iter().rev().take(limit).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::backend::MemoryBackend;
    use crate::store::key::Table;

    #[test]
    fn a_transaction_reads_its_own_writes() {
        let backend = MemoryBackend::default();
        let mut first = Txn::new(&backend);
        first.put_number(Table::Build.id(1), 10);
        first.put_number(Table::Build.id(2), 20);
        backend.apply(first.into_batch()).unwrap();

        let mut txn = Txn::new(&backend);
        txn.remove(Table::Build.id(1));
        txn.put_number(Table::Build.id(3), 30);
        assert_eq!(txn.number(&Table::Build.id(1)).unwrap(), None);
        assert_eq!(txn.ids(&Table::Build.all(), Direction::Descending, 9).unwrap(), [3, 2]);
        assert_eq!(txn.count(Table::Build.id(3), |count| count + 1).unwrap(), 31);
        assert_eq!(backend.get(&Table::Build.id(3)).unwrap(), None, "nothing is applied yet");
    }

    #[test]
    fn a_short_scan_sees_past_what_was_removed() {
        let backend = MemoryBackend::default();
        let mut first = Txn::new(&backend);
        (1..=9).for_each(|id| first.mark(Table::Build.id(id)));
        backend.apply(first.into_batch()).unwrap();
        let mut txn = Txn::new(&backend);
        [1, 2, 4, 9].into_iter().for_each(|id| txn.remove(Table::Build.id(id)));
        txn.mark(Table::Build.id(5));
        txn.mark(Table::Build.id(10));
        assert_eq!(txn.ids(&Table::Build.all(), Direction::Ascending, 3).unwrap(), [3, 5, 6]);
        assert_eq!(txn.ids(&Table::Build.all(), Direction::Descending, 2).unwrap(), [10, 8]);
        assert!(txn.ids(&Table::Build.all(), Direction::Ascending, 0).unwrap().is_empty());
    }

    #[test]
    fn a_change_of_a_missing_record_is_left_out() {
        let backend = MemoryBackend::default();
        let mut txn = Txn::new(&backend);
        txn.update::<u64>(Table::Build.id(1), |number| *number += 1).unwrap();
        assert_eq!(txn.len(), 0);
    }
}
