//! Fences: which facts of earlier openings count.
//!
//! Facts are written to their files before the database confirms them. A crash in between leaves facts that
//! never became true, and the next opening gives their numbers to others. So each opening (an *incarnation*)
//! notes with which fact number it began: facts of earlier incarnations beyond that number are void.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::ops::Bound;
use std::path::Path;

use crate::store::StoreError;
use crate::store::folder::write_whole;
use crate::store::frame::{self, Found, Magic, Scanner};

const MAGIC: Magic = *b"SwE1";

/// Where an incarnation began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fence {
    pub incarnation: u64,
    /// The last fact that was true when it began.
    pub after: u64,
}

impl Fence {
    fn encode(self) -> Vec<u8> {
        [self.incarnation.to_le_bytes(), self.after.to_le_bytes()].concat()
    }
}

/// All fences, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fences {
    fences: Vec<Fence>,
}

impl Fences {
    /// Reads the fences of a folder; a torn last one never began anything.
    pub fn read(facts: &Path) -> Result<Self, StoreError> {
        let path = facts.join("fences");
        if !path.exists() {
            return Ok(Self::default());
        }
        let file = File::open(&path).map_err(StoreError::io("open", &path))?;
        let mut scanner = Scanner::new(&file, MAGIC, 0).map_err(StoreError::io("read", &path))?;
        let mut fences = Vec::new();
        loop {
            match scanner.next().map_err(StoreError::io("read", &path))? {
                Found::Frame { .. } => fences.extend(parse(scanner.payload())),
                Found::Damage { .. } => {}
                Found::End { .. } => return Ok(Self { fences }),
            }
        }
    }

    /// Notes durably that a new incarnation begins after fact `after`; returns its number.
    pub fn begin(&mut self, facts: &Path, after: u64) -> Result<u64, StoreError> {
        self.begin_beyond(0, facts, after)
    }

    /// The same; its number is higher than `seen`, too: the fence of that one may be lost.
    pub fn begin_beyond(&mut self, seen: u64, facts: &Path, after: u64) -> Result<u64, StoreError> {
        let path = facts.join("fences");
        let incarnation = self.fences.last().map_or(0, |last| last.incarnation).max(seen) + 1;
        let mut bytes = Vec::new();
        frame::push(&mut bytes, MAGIC, &Fence { incarnation, after }.encode());
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .read(true)
            .open(&path)
            .map_err(StoreError::io("open", &path))?;
        let end = whole_end(&file).map_err(StoreError::io("read", &path))?;
        let write = || {
            file.set_len(end)?;
            frame::write_all_at(&file, &bytes, end)?;
            file.sync_all()
        };
        write().map_err(StoreError::io("write", &path))?;
        self.fences.push(Fence { incarnation, after });
        Ok(incarnation)
    }

    /// Writes them to another folder, durably.
    pub fn copy_to(&self, facts: &Path) -> Result<(), StoreError> {
        let path = facts.join("fences");
        let mut bytes = Vec::new();
        for fence in &self.fences {
            frame::push(&mut bytes, MAGIC, &fence.encode());
        }
        write_whole(&path, &bytes)
    }

    /// The last fact that the newest incarnation began with.
    pub fn last(&self) -> Option<Fence> {
        self.fences.last().copied()
    }

    /// Which facts of each incarnation can be true.
    pub fn bounds(&self) -> Bounds {
        let mut bound = u64::MAX;
        let mut below = BTreeMap::new();
        for fence in self.fences.iter().rev() {
            bound = bound.min(fence.after);
            below.insert(fence.incarnation, bound);
        }
        Bounds { below }
    }
}

/// Which facts of each incarnation can be true.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Incarnation to the last fact that any earlier one can have.
    below: BTreeMap<u64, u64>,
}

impl Bounds {
    /// The last fact of an incarnation that can be true. Its own fence may be lost; those after it count.
    pub fn of(&self, incarnation: u64) -> u64 {
        let later = (Bound::Excluded(incarnation), Bound::Unbounded);
        self.below.range(later).next().map_or(u64::MAX, |(_, last)| *last)
    }
}

fn whole_end(file: &File) -> std::io::Result<u64> {
    let mut scanner = Scanner::new(file, MAGIC, 0)?;
    loop {
        if let Found::End { whole, .. } = scanner.next()? {
            return Ok(whole);
        }
    }
}

fn parse(payload: &[u8]) -> Option<Fence> {
    let (incarnation, after) = payload.split_first_chunk::<8>()?;
    let after = <[u8; 8]>::try_from(after).ok()?;
    Some(Fence { incarnation: u64::from_le_bytes(*incarnation), after: u64::from_le_bytes(after) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incarnation_ends_where_a_later_one_began() {
        let dir = tempfile::tempdir().unwrap();
        let mut fences = Fences::default();
        for after in [0, 10, 7, 20] {
            fences.begin(dir.path(), after).unwrap();
        }
        let read = Fences::read(dir.path()).unwrap();
        assert_eq!(read, fences);
        let bounds = read.bounds();
        assert_eq!([1, 2, 3, 4, 5].map(|incarnation| bounds.of(incarnation)), [7, 7, 20, u64::MAX, u64::MAX]);
    }

    #[test]
    fn a_lost_fence_gives_its_number_to_nobody() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Fences::default().begin_beyond(5, dir.path(), 30).unwrap(), 6);
        let mut fences = Fences::read(dir.path()).unwrap();
        assert_eq!((fences.bounds().of(4), fences.bounds().of(6)), (30, u64::MAX));
        assert_eq!(fences.begin(dir.path(), 31).unwrap(), 7);
    }

    #[test]
    fn a_torn_fence_never_was() {
        let dir = tempfile::tempdir().unwrap();
        let mut fences = Fences::default();
        fences.begin(dir.path(), 3).unwrap();
        let path = dir.path().join("fences");
        let whole = std::fs::read(&path).unwrap();
        fences.begin(dir.path(), 5).unwrap();
        let both = std::fs::read(&path).unwrap();
        for length in whole.len()..both.len() {
            std::fs::write(&path, &both[..length]).unwrap();
            let mut read = Fences::read(dir.path()).unwrap();
            assert_eq!(read.last(), Some(Fence { incarnation: 1, after: 3 }));
            assert_eq!(read.begin(dir.path(), 4).unwrap(), 2);
            assert_eq!(Fences::read(dir.path()).unwrap(), read);
        }
    }
}
