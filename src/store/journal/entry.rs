//! What one sync makes durable: facts, removals, and what was written to logs.

use std::sync::Arc;

use crate::model::Fact;
use crate::store::StoreError;
use crate::store::codec::{decode, encode};
use crate::store::compression;
use crate::store::removal::Removal;
use crate::store::varint::{self, Input};

/// The facts of a range of numbers in their stored form. A compaction may have left some of them out; then the range says that they
/// are not lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FactGroup {
    /// The first number of the range.
    pub first: u64,
    /// The last number of the range.
    pub last: u64,
    bytes: Vec<u8>,
}

impl FactGroup {
    /// The group of these facts; none of no facts.
    pub fn of(facts: &[Arc<Fact>]) -> Option<Self> {
        let (first, last) = (facts.first()?.seq, facts.last()?.seq);
        Some(Self { first, last, bytes: encode(&facts) })
    }

    /// The group of these facts, which are all that is left of a range.
    pub fn rest_of(first: u64, last: u64, facts: &[Arc<Fact>]) -> Self {
        Self { first, last, bytes: encode(&facts) }
    }

    /// The facts; `place` names them in the error.
    pub fn facts(&self, place: &str) -> Result<Vec<Fact>, StoreError> {
        decode(&self.bytes, place)
    }

    /// Bytes of its facts.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Appends it to others.
    pub fn push(&self, out: &mut Vec<u8>) {
        varint::push(out, self.first);
        varint::push(out, self.last);
        varint::push_bytes(out, &self.bytes);
    }

    /// The group at the front of a row of them.
    pub fn pull(input: &mut Input<'_>) -> Option<Self> {
        Some(Self { first: input.number()?, last: input.number()?, bytes: input.bytes()?.to_vec() })
    }
}

/// One frame of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// What became true.
    pub facts: Option<FactGroup>,
    /// What retention removed.
    pub removals: Vec<Removal>,
    /// What was written to logs, as the logs encode it.
    pub logs: Vec<u8>,
}

impl Entry {
    /// Its stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut plain = Vec::new();
        if let Some(facts) = &self.facts {
            facts.push(&mut plain);
        }
        push_section(&mut out, &plain);
        plain.clear();
        if !self.removals.is_empty() {
            plain = encode(&self.removals);
        }
        push_section(&mut out, &plain);
        push_section(&mut out, &self.logs);
        out
    }

    /// Bytes before compression.
    pub fn size(&self) -> usize {
        self.facts.as_ref().map_or(0, FactGroup::size) + self.logs.len()
    }
}

/// A frame of the journal as it is stored; its parts are looked into one by one.
#[derive(Debug)]
pub(crate) struct StoredEntry<'a> {
    sections: [&'a [u8]; 3],
}

impl<'a> StoredEntry<'a> {
    /// Takes a frame's payload apart; none if it makes no sense.
    pub fn parse(payload: &'a [u8]) -> Option<Self> {
        let mut input = Input(payload);
        Some(Self { sections: [input.bytes()?, input.bytes()?, input.bytes()?] })
    }

    /// Its facts, if it has any.
    pub fn facts(&self, place: &str) -> Result<Option<FactGroup>, StoreError> {
        let Some(plain) = self.section(0, place)? else { return Ok(None) };
        let group = FactGroup::pull(&mut Input(&plain));
        group.map(Some).ok_or_else(|| StoreError::corrupt(place, "a group of facts is cut short"))
    }

    /// Its removals.
    pub fn removals(&self, place: &str) -> Result<Vec<Removal>, StoreError> {
        self.section(1, place)?.map_or_else(|| Ok(Vec::new()), |plain| decode(&plain, place))
    }

    /// What it says of logs; empty if nothing.
    pub fn logs(&self, place: &str) -> Result<Vec<u8>, StoreError> {
        Ok(self.section(2, place)?.unwrap_or_default())
    }

    fn section(&self, number: usize, place: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let stored = self.sections[number];
        if stored.is_empty() {
            return Ok(None);
        }
        compression::pull(stored).map(Some).ok_or_else(|| StoreError::corrupt(place, "it does not decompress"))
    }
}

fn push_section(out: &mut Vec<u8>, plain: &[u8]) {
    let mut stored = Vec::new();
    if !plain.is_empty() {
        compression::push(&mut stored, plain);
    }
    varint::push_bytes(out, &stored);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BuildId;

    #[test]
    fn an_entry_comes_back_part_by_part() {
        let group = FactGroup { first: 7, last: 9, bytes: encode(&Vec::<Fact>::new()) };
        let removals = vec![Removal::Build(BuildId(3))];
        let entry = Entry { facts: Some(group.clone()), removals: removals.clone(), logs: vec![5; 2_000] };
        let stored = entry.encode();
        assert!(stored.len() < 200, "{}", stored.len());
        let parsed = StoredEntry::parse(&stored).unwrap();
        assert_eq!(parsed.facts("x").unwrap(), Some(group));
        assert_eq!(parsed.removals("x").unwrap(), removals);
        assert_eq!(parsed.logs("x").unwrap(), [5; 2_000]);
    }

    #[test]
    fn an_entry_may_have_nothing_of_a_kind() {
        let stored = Entry::default().encode();
        let parsed = StoredEntry::parse(&stored).unwrap();
        assert_eq!(parsed.facts("x").unwrap(), None);
        assert_eq!(parsed.removals("x").unwrap(), []);
        assert!(parsed.logs("x").unwrap().is_empty());
        assert!(StoredEntry::parse(&[9]).is_none());
    }
}
