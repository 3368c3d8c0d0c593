//! Blocks that were read lately, taken apart: neighbours are mostly read together.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::block::Block;

/// Bytes of blocks that are kept: those of a page of builds with all that belongs to them, many times over.
const CACHED_BYTES_MAX: usize = 8 << 20;

/// Blocks by their first key, the least recently used ones dropped first.
#[derive(Debug, Default)]
pub(super) struct BlockCache {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    blocks: BTreeMap<Vec<u8>, (Arc<Block>, u64)>,
    bytes: usize,
    used: u64,
}

impl BlockCache {
    /// A block, if it is here.
    pub fn get(&self, first: &[u8]) -> Option<Arc<Block>> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.used += 1;
        let now = inner.used;
        inner.blocks.get_mut(first).map(|(block, used)| {
            *used = now;
            Arc::clone(block)
        })
    }

    /// Keeps a block for those who read it next.
    pub fn put(&self, first: &[u8], block: &Arc<Block>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.used += 1;
        let now = inner.used;
        inner.bytes += block.size();
        if let Some((old, _)) = inner.blocks.insert(first.to_vec(), (Arc::clone(block), now)) {
            inner.bytes -= old.size();
        }
        if inner.bytes > CACHED_BYTES_MAX {
            inner.shrink();
        }
    }

    /// Lets go of blocks that change.
    pub fn forget<'a>(&self, firsts: impl Iterator<Item = &'a Vec<u8>>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        for first in firsts {
            if let Some((block, _)) = inner.blocks.remove(first) {
                inner.bytes -= block.size();
            }
        }
    }
}

impl Inner {
    /// Lets go of the older half.
    fn shrink(&mut self) {
        let mut used: Vec<u64> = self.blocks.values().map(|(_, used)| *used).collect();
        used.sort_unstable();
        let old = used.get(used.len() / 2).copied().unwrap_or(u64::MAX);
        self.blocks.retain(|_, (_, used)| *used > old);
        self.bytes = self.blocks.values().map(|(block, _)| block.size()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let cache = BlockCache::default();
        let block = Arc::new(Block { pairs: vec![(vec![1], vec![0; 100_000])] });
        cache.put(b"used", &block);
        for number in 0..1_000_u64 {
            cache.put(&number.to_be_bytes(), &block);
            assert!(cache.get(b"used").is_some());
        }
        assert!(cache.inner.lock().unwrap().bytes <= CACHED_BYTES_MAX);
        assert!(cache.get(&1_u64.to_be_bytes()).is_none());
        cache.forget([b"used".to_vec()].iter());
        assert!(cache.get(b"used").is_none());
    }
}
