//! What one commit leaves in one fact file.

use std::sync::Arc;

use crate::model::Fact;
use crate::store::StoreError;
use crate::store::codec::{decode, encode};
use crate::store::frame::Magic;

/// Frames of fact files.
pub(crate) const FACTS_MAGIC: Magic = *b"SwF1";

/// The facts of one flush that go to one file. The flush may have put others into other files: it counts
/// only if all of them are there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FactGroup<F = Fact> {
    /// Which opening of the store wrote it.
    pub incarnation: u64,
    /// First fact of the flush, in whatever file.
    pub first: u64,
    /// Last fact of the flush, in whatever file.
    pub last: u64,
    /// Those in this file.
    pub facts: Vec<F>,
}

/// Bytes before the facts: three numbers.
const HEAD_BYTES: usize = 24;

impl FactGroup<Arc<Fact>> {
    /// The payload of its frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for number in [self.incarnation, self.first, self.last] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&encode(&self.facts));
        out
    }
}

/// Incarnation, first and last fact of the flush that a frame's payload belongs to.
pub(super) fn flush_of(payload: &[u8]) -> Option<(u64, u64, u64)> {
    let head = payload.first_chunk::<HEAD_BYTES>()?;
    let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("a slice of eight bytes"));
    Some((number(0), number(8), number(16)))
}

impl FactGroup {
    /// The group of a frame's payload; `place` names it in the error.
    pub fn decode(payload: &[u8], place: &str) -> Result<Self, StoreError> {
        let (incarnation, first, last) =
            flush_of(payload).ok_or_else(|| StoreError::corrupt(place, "a group of facts is too short"))?;
        Ok(Self { incarnation, first, last, facts: decode(&payload[HEAD_BYTES..], place)? })
    }
}
