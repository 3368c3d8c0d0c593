//! Where the logs of a pack are.

use std::fs::File;

use super::{KIND_INDEX, KIND_LOGS, MAGIC, Trailer, logs};
use crate::store::compression;
use crate::store::frame;
use crate::store::varint::{self, Input};

/// Where a log is: its build, its number, the place of its block.
pub(super) type Place = (u64, u64, u64);

/// The logs of a pack by build and number.
#[derive(Debug, Default)]
pub(super) struct Index {
    places: Vec<Place>,
}

impl Index {
    /// The stored form; `places` in order.
    pub fn encode(places: &[Place]) -> Vec<u8> {
        let mut plain = Vec::new();
        let mut before = (0, 0, 0);
        for place in places {
            varint::push(&mut plain, place.0 - before.0);
            varint::push_signed(&mut plain, place.1.wrapping_sub(before.1).cast_signed());
            varint::push_signed(&mut plain, place.2.wrapping_sub(before.2).cast_signed());
            before = *place;
        }
        let mut payload = vec![KIND_INDEX];
        payload.extend_from_slice(&compression::compress_thoroughly(&plain));
        payload
    }

    fn decode(payload: &[u8]) -> Option<Self> {
        let (&KIND_INDEX, content) = payload.split_first()? else { return None };
        let plain = compression::decompress(content)?;
        let mut input = Input(&plain);
        let (mut places, mut before) = (Vec::new(), (0_u64, 0_u64, 0_u64));
        while !input.0.is_empty() {
            let build = before.0.checked_add(input.number()?)?;
            let log = before.1.wrapping_add(input.signed()?.cast_unsigned());
            let at = before.2.wrapping_add(input.signed()?.cast_unsigned());
            before = (build, log, at);
            places.push(before);
        }
        Some(Self { places })
    }

    /// Reads the index of a pack; an empty one if it is damaged.
    pub fn load(file: &File, trailer: &Trailer) -> std::io::Result<Self> {
        let end = file.metadata()?.len();
        let length = end.saturating_sub(trailer.index_at);
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        frame::read_exact_at(file, &mut bytes, trailer.index_at)?;
        Ok(frame::payload(&bytes, MAGIC).and_then(Self::decode).unwrap_or_default())
    }

    /// The place of the block that has a log.
    pub fn find(&self, build: u64, log: u64) -> Option<u64> {
        let found = self.places.binary_search_by_key(&(build, log), |(build, log, _)| (*build, *log)).ok()?;
        Some(self.places[found].2)
    }

    /// About what it takes in memory.
    pub fn size(&self) -> usize {
        self.places.len() * size_of::<Place>()
    }
}

/// The text of a log in the block at a place; none if that is damaged.
pub(super) fn read_log(file: &File, at: u64, build: u64, log: u64) -> std::io::Result<Option<Vec<u8>>> {
    let mut head = [0; frame::HEAD_BYTES];
    frame::read_exact_at(file, &mut head, at)?;
    let Some(length) = frame::payload_bytes(&head, MAGIC) else { return Ok(None) };
    let left = file.metadata()?.len().saturating_sub(at);
    if u64::try_from(frame::HEAD_BYTES + length).is_ok_and(|needed| needed > left) {
        return Ok(None);
    }
    let mut bytes = vec![0; frame::HEAD_BYTES + length];
    frame::read_exact_at(file, &mut bytes, at)?;
    let block = frame::payload(&bytes, MAGIC).and_then(<[u8]>::split_first);
    let Some((&KIND_LOGS, content)) = block else { return Ok(None) };
    let found = logs(content).and_then(|logs| logs.into_iter().find(|found| (found.0, found.1) == (build, log)));
    Ok(found.map(|(_, _, bytes)| bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_comes_back_and_finds_logs() {
        let places = [(3, 70, 0), (3, 71, 0), (9, 5, 900), (u64::MAX, u64::MAX, 12)];
        let index = Index::decode(&Index::encode(&places)).unwrap();
        assert_eq!(index.places, places);
        assert_eq!((index.find(9, 5), index.find(3, 71), index.find(3, 72)), (Some(900), Some(0), None));
    }
}
