//! What a database has to be able to do for us: get, scan in order, apply a batch.
//!
//! All knowledge of records and indexes lies above this trait, so a further database implements these
//! three methods and passes `contract`. Keys and values are bytes here.

mod block;
mod block_cache;
#[cfg(test)]
mod contract;
mod memory;
mod overlay;
mod sled;
mod values;

pub(crate) use self::memory::MemoryBackend;
pub(crate) use self::overlay::Overlay;
pub(crate) use self::sled::{OpenFailure, SledBackend};

use std::collections::BTreeMap;
use std::fmt;

use super::StoreError;

/// Keys from `from` (included) to `to` (excluded); empty if `to` is not beyond `from`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRange {
    pub from: Vec<u8>,
    pub to: Vec<u8>,
}

impl KeyRange {
    /// Whether no key can be in it.
    pub fn is_empty(&self) -> bool {
        self.from >= self.to
    }
}

/// In which order to scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Ascending,
    Descending,
}

/// A stored key with its value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// Changes that take effect together: key to new value, none to remove it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    pub writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// An ordered map of bytes that survives what its version promises to survive.
pub(crate) trait Backend: Send + Sync + fmt::Debug {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    /// At most `limit` pairs of a range, in order.
    fn scan(&self, range: &KeyRange, direction: Direction, limit: usize) -> Result<Vec<Pair>, StoreError>;
    /// Applies a batch as one. When it returns `Ok`, the batch is as durable as this backend can make it;
    /// after an error or a crash either all or nothing of it is there.
    fn apply(&self, batch: Batch) -> Result<(), StoreError>;
}
