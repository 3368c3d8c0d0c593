//! Snapshots of the engine: files of their own, so that they outlive the database.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::StoreError;
use super::directory::{make_dir, remove_all, write_whole};
use super::frame::{self, Magic};

const MAGIC: Magic = *b"SwS1";

/// How many snapshots are kept: a damaged one must not cost more than a longer fold.
const KEPT: usize = 2;

/// A snapshot: all facts up to the number are in the bytes.
pub(crate) type Snapshot = (u64, Vec<u8>);

/// Where snapshots are kept.
#[derive(Debug)]
pub(crate) enum Snapshots {
    Files(PathBuf),
    Memory(Mutex<BTreeMap<u64, Vec<u8>>>),
}

impl Snapshots {
    /// Keeps a snapshot durably and drops those beyond the newest two. Returns the number of the older one
    /// kept: facts up to it are needed no more.
    pub fn save(&self, seq: u64, bytes: &[u8]) -> Result<Option<u64>, StoreError> {
        match self {
            Self::Files(dir) => {
                make_dir(dir)?;
                let mut framed = Vec::new();
                frame::push(&mut framed, MAGIC, bytes);
                write_whole(&path(dir, seq), &framed)?;
                let numbers = numbers(dir)?;
                for old in dropped(&numbers) {
                    remove_all(&path(dir, *old))?;
                }
                Ok(covered(&numbers))
            }
            Self::Memory(map) => {
                let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
                map.insert(seq, bytes.to_vec());
                let numbers: Vec<u64> = map.keys().copied().collect();
                for old in dropped(&numbers) {
                    map.remove(old);
                }
                Ok(covered(&numbers))
            }
        }
    }

    /// The newest whole snapshot, if any; damaged ones are passed over with a warning.
    pub fn newest(&self) -> Result<Option<Snapshot>, StoreError> {
        Ok(self.whole()?.next_back())
    }

    /// All whole snapshots, oldest first.
    pub fn whole(&self) -> Result<std::vec::IntoIter<Snapshot>, StoreError> {
        match self {
            Self::Files(dir) => {
                let mut found = Vec::new();
                for seq in numbers(dir)? {
                    found.extend(load(dir, seq)?.map(|bytes| (seq, bytes)));
                }
                Ok(found.into_iter())
            }
            Self::Memory(map) => {
                let map = map.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(map.iter().map(|(seq, bytes)| (*seq, bytes.clone())).collect::<Vec<_>>().into_iter())
            }
        }
    }

    /// The facts at which the kept snapshots were made, oldest first.
    pub fn numbers(&self) -> Result<Vec<u64>, StoreError> {
        match self {
            Self::Files(dir) => numbers(dir),
            Self::Memory(map) => Ok(map.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()),
        }
    }

    /// All snapshots there are, and whether each is whole.
    pub fn inspect(&self) -> Result<Vec<(u64, bool)>, StoreError> {
        match self {
            Self::Files(dir) => numbers(dir)?.into_iter().map(|seq| Ok((seq, load(dir, seq)?.is_some()))).collect(),
            Self::Memory(map) => {
                Ok(map.lock().unwrap_or_else(PoisonError::into_inner).keys().map(|seq| (*seq, true)).collect())
            }
        }
    }

    /// Drops snapshots that hold facts beyond `seq`, which never became true.
    pub fn drop_beyond(&self, seq: u64) -> Result<(), StoreError> {
        match self {
            Self::Files(dir) => {
                for number in numbers(dir)?.into_iter().filter(|number| *number > seq) {
                    tracing::warn!(snapshot = number, last_fact = seq, "a snapshot is ahead of the facts; left out");
                    remove_all(&path(dir, number))?;
                }
            }
            Self::Memory(map) => {
                map.lock().unwrap_or_else(PoisonError::into_inner).retain(|number, _| *number <= seq);
            }
        }
        Ok(())
    }
}

fn dropped(numbers: &[u64]) -> &[u64] {
    &numbers[..numbers.len().saturating_sub(KEPT)]
}

fn covered(numbers: &[u64]) -> Option<u64> {
    numbers.len().checked_sub(KEPT).map(|oldest_kept| numbers[oldest_kept])
}

fn path(dir: &Path, seq: u64) -> PathBuf {
    dir.join(format!("{seq:020}"))
}

fn load(dir: &Path, seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let path = path(dir, seq);
    let bytes = fs::read(&path).map_err(StoreError::io("read", &path))?;
    let payload = frame::payload(&bytes, MAGIC).map(<[u8]>::to_vec);
    if payload.is_none() {
        tracing::warn!(path = %path.display(), "a snapshot is damaged; the one before it is used");
    }
    Ok(payload)
}

fn numbers(dir: &Path) -> Result<Vec<u64>, StoreError> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
        let name = entry.map_err(StoreError::io("list", dir))?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(case: impl Fn(Snapshots)) {
        let dir = tempfile::tempdir().unwrap();
        case(Snapshots::Files(dir.path().join("snapshots")));
        case(Snapshots::Memory(Mutex::default()));
    }

    #[test]
    fn two_snapshots_are_kept() {
        each(|snapshots| {
            assert_eq!(snapshots.newest().unwrap(), None);
            assert_eq!(snapshots.save(5, b"five").unwrap(), None);
            assert_eq!(snapshots.save(9, b"nine").unwrap(), Some(5));
            assert_eq!(snapshots.save(12, b"twelve").unwrap(), Some(9));
            assert_eq!(snapshots.newest().unwrap(), Some((12, b"twelve".to_vec())));
            assert_eq!(snapshots.whole().unwrap().count(), 2);
            snapshots.drop_beyond(11).unwrap();
            assert_eq!(snapshots.newest().unwrap(), Some((9, b"nine".to_vec())));
        });
    }

    #[test]
    fn a_damaged_snapshot_gives_way_to_the_one_before() {
        let dir = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::Files(dir.path().to_owned());
        snapshots.save(1, b"one").unwrap();
        snapshots.save(2, b"two").unwrap();
        let newest = path(dir.path(), 2);
        let mut bytes = fs::read(&newest).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&newest, bytes).unwrap();
        assert_eq!(snapshots.newest().unwrap(), Some((1, b"one".to_vec())));
    }
}
