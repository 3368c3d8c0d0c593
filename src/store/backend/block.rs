//! Neighbouring pairs in one value of the database: records of one kind are much alike, so together they take a tenth.
//!
//! A block has the pairs of one table from its first key to the next block's. It grows to [`BLOCK_BYTES_MAX`] and is cut then. Keys are
//! stored without the bytes they share with the one before.

use std::collections::BTreeMap;

use super::{Pair, values};
use crate::store::varint::{self, Input};

/// A block that is cut begins with so many bytes of pairs: reading one out of it takes some microseconds.
const BLOCK_BYTES: usize = 8 << 10;

/// A block is cut when it has more.
const BLOCK_BYTES_MAX: usize = 12 << 10;

/// The pairs of a block, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    pub pairs: Vec<Pair>,
}

impl Block {
    /// The value of a key.
    pub fn get(&self, key: &[u8]) -> Option<&Vec<u8>> {
        let found = self.pairs.binary_search_by(|(known, _)| known.as_slice().cmp(key)).ok()?;
        Some(&self.pairs[found].1)
    }

    /// Its stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut plain = Vec::new();
        let mut before: &[u8] = &[];
        for (key, value) in &self.pairs {
            let shared = before.iter().zip(key).take_while(|(left, right)| left == right).count();
            varint::push(&mut plain, as_u64(shared));
            varint::push_bytes(&mut plain, &key[shared..]);
            varint::push_bytes(&mut plain, value);
            before = key;
        }
        values::shrink(&plain)
    }

    /// A block from its stored form; none if that is damaged.
    pub fn decode(stored: &[u8]) -> Option<Self> {
        let plain = values::grow(stored)?;
        let mut input = Input(&plain);
        let mut pairs: Vec<Pair> = Vec::new();
        while !input.0.is_empty() {
            let shared = usize::try_from(input.number()?).ok()?;
            let before = pairs.last().map_or(&[] as &[u8], |(key, _)| key);
            let mut key = before.get(..shared)?.to_vec();
            key.extend_from_slice(input.bytes()?);
            pairs.push((key, input.bytes()?.to_vec()));
        }
        Some(Self { pairs })
    }

    /// The blocks that pairs make.
    pub fn cut(pairs: BTreeMap<Vec<u8>, Vec<u8>>) -> Vec<Self> {
        let total: usize = pairs.iter().map(|(key, value)| size(key, value)).sum();
        let target = if total > BLOCK_BYTES_MAX { BLOCK_BYTES } else { usize::MAX };
        let (mut blocks, mut bytes) = (Vec::<Self>::new(), 0);
        for (key, value) in pairs {
            if blocks.is_empty() || bytes >= target {
                blocks.push(Self::default());
                bytes = 0;
            }
            bytes += size(&key, &value);
            blocks.last_mut().expect("one was begun").pairs.push((key, value));
        }
        blocks
    }

    /// About what it takes in memory.
    pub fn size(&self) -> usize {
        self.pairs.iter().map(|(key, value)| size(key, value) + 2 * size_of::<Vec<u8>>()).sum()
    }
}

fn size(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len()
}

fn as_u64(number: usize) -> u64 {
    u64::try_from(number).expect("sizes fit 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(count: u64) -> BTreeMap<Vec<u8>, Vec<u8>> {
        (0..count).map(|id| (id.to_be_bytes().to_vec(), format!("the value of {id}").into_bytes())).collect()
    }

    #[test]
    fn a_block_comes_back_and_finds_keys() {
        let block = Block { pairs: pairs(100).into_iter().collect() };
        let stored = block.encode();
        assert!(stored.len() * 4 < block.size(), "{} of {}", stored.len(), block.size());
        assert_eq!(Block::decode(&stored), Some(block.clone()));
        assert_eq!(block.get(&7_u64.to_be_bytes()), Some(&b"the value of 7".to_vec()));
        assert_eq!(block.get(&100_u64.to_be_bytes()), None);
        assert_eq!(Block::decode(&stored[..stored.len() / 2]), None);
        let empty = Block { pairs: vec![(Vec::new(), Vec::new())] };
        assert_eq!(Block::decode(&empty.encode()), Some(empty));
    }

    #[test]
    fn pairs_are_cut_into_blocks_of_like_size() {
        assert_eq!(Block::cut(pairs(0)), []);
        assert_eq!(Block::cut(pairs(100)).len(), 1);
        let all = pairs(5_000);
        let blocks = Block::cut(all.clone());
        assert!(blocks.iter().all(|block| block.size() < 4 * BLOCK_BYTES_MAX), "none is far too large");
        assert!(blocks.len() > 10);
        assert_eq!(blocks.into_iter().flat_map(|block| block.pairs).collect::<BTreeMap<_, _>>(), all);
    }
}
