//! A short log as a pack has it: how far its sources got, and its lines in one block.

use super::block::Block;
use super::buffer::{Progress, Sources};
use crate::store::varint::{self, Input};

/// A log with more text has files of its own.
pub(super) const PACKED_BYTES_MAX: usize = 32 << 10;

/// A whole log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PackedLog {
    pub sources: Sources,
    pub block: Block,
}

impl PackedLog {
    /// The stored form; the pack compresses it together with others.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        varint::push(&mut out, u64::try_from(self.sources.len()).expect("sizes fit 64 bits"));
        for (source, progress) in &self.sources {
            varint::push_bytes(&mut out, source.as_bytes());
            varint::push(&mut out, progress.next);
            varint::push(&mut out, progress.lines);
        }
        out.extend_from_slice(&self.block.encode());
        out
    }

    /// A log from its stored form; none if that is damaged.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut input = Input(bytes);
        let mut sources = Sources::new();
        for _ in 0..input.number()? {
            let source = std::str::from_utf8(input.bytes()?).ok()?.into();
            sources.insert(source, Progress { next: input.number()?, lines: input.number()? });
        }
        Some(Self { sources, block: Block::decode(input.0)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_log_comes_back() {
        let mut block = Block::default();
        block.extend('o', b"one\ntwo\n", &[5, 6]);
        block.extend('e', b"three\n", &[4]);
        let sources = Sources::from([("cmd".into(), Progress { next: 3, lines: 0 })]);
        let log = PackedLog { sources, block };
        let bytes = log.encode();
        assert_eq!(PackedLog::decode(&bytes), Some(log));
        assert_eq!(PackedLog::decode(&[9]), None);
    }
}
