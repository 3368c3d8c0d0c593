//! A second copy of the newest facts: those after the older of the two snapshots, which a restart may have to fold.
//!
//! If one of these is lost, nobody knows the state of the open work. The background thread writes them once more, some seconds after
//! the journal has them, into files that go when newer snapshots make them needless. So only a fact that was committed a moment ago
//! has no second copy. Records are never read from here, and nothing waits for it.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::StoreError;
use super::compression;
use super::directory::{make_dir, numbered_files, remove_all, sync_dir};
use super::frame::{self, Found, Magic, Scanner};
use super::journal::FactGroup;
use super::varint::Input;

const MAGIC: Magic = *b"SwR1";

const SUFFIX: &str = "facts";

/// The files of an open store. Each is named after its first fact.
#[derive(Debug)]
pub(crate) struct RecentFacts {
    dir: PathBuf,
    /// The file in use, and where it ends.
    file: Mutex<Option<(File, u64)>>,
}

impl RecentFacts {
    /// The files in `dir`; the next facts begin a new one.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), file: Mutex::default() }
    }

    /// Adds facts that the journal has; durable when it returns.
    pub fn add(&self, groups: &[FactGroup]) -> Result<(), StoreError> {
        let Some(first) = groups.first().map(|group| group.first) else { return Ok(()) };
        let (mut plain, mut payload, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        groups.iter().for_each(|group| group.push(&mut plain));
        compression::push(&mut payload, &plain);
        frame::push(&mut bytes, MAGIC, &payload);
        let mut in_use = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // After a failure the next facts begin a new file.
        let (file, end) = match in_use.take() {
            Some(found) => found,
            None => (self.begin(first)?, 0),
        };
        let write = || {
            frame::write_all_at(&file, &bytes, end)?;
            file.sync_data()
        };
        write().map_err(StoreError::io("write to", &self.dir))?;
        *in_use = Some((file, end + u64::try_from(bytes.len()).expect("sizes fit 64 bits")));
        Ok(())
    }

    fn begin(&self, first: u64) -> Result<File, StoreError> {
        make_dir(&self.dir)?;
        let path = self.dir.join(format!("{first:020}.{SUFFIX}"));
        let file = OpenOptions::new().create(true).truncate(true).write(true).open(&path);
        let file = file.map_err(StoreError::io("open", &path))?;
        sync_dir(&self.dir)?;
        Ok(file)
    }

    /// Removes the files that hold no fact after `covered`. The next facts begin a new file.
    pub fn trim(&self, covered: u64) -> Result<(), StoreError> {
        let mut in_use = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        *in_use = None;
        let files = numbered_files(&self.dir, SUFFIX)?;
        for (file, next) in files.iter().zip(files.iter().skip(1)) {
            if next.0 <= covered.saturating_add(1) {
                remove_all(&file.1)?;
            }
        }
        Ok(())
    }
}

/// The facts after `last` and before `next` that the files in a directory have, in order.
pub(crate) fn between(dir: &Path, last: u64, next: u64) -> Result<Vec<FactGroup>, StoreError> {
    let mut found: Vec<FactGroup> = Vec::new();
    for (_, path) in numbered_files(dir, SUFFIX)? {
        let file = File::open(&path).map_err(StoreError::io("open", &path))?;
        let mut scanner = Scanner::new(&file, MAGIC, 0).map_err(StoreError::io("read", &path))?;
        loop {
            match scanner.next().map_err(StoreError::io("read", &path))? {
                Found::Frame { .. } => {
                    let plain = compression::pull(scanner.payload()).unwrap_or_default();
                    let mut input = Input(&plain);
                    while let Some(group) = FactGroup::pull(&mut input) {
                        let before = found.last().map_or(last, |group| group.last);
                        if group.first > before && group.last < next {
                            found.push(group);
                        }
                    }
                }
                // It is a second copy: damage costs nothing as long as the first one is whole.
                Found::Damage { .. } => {}
                Found::End { .. } => break,
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(first: u64, last: u64) -> FactGroup {
        FactGroup::rest_of(first, last, &[])
    }

    fn ranges(dir: &Path, last: u64, next: u64) -> Vec<(u64, u64)> {
        between(dir, last, next).unwrap().iter().map(|group| (group.first, group.last)).collect()
    }

    #[test]
    fn facts_come_back_in_order_over_files() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("recent");
        assert_eq!(ranges(&place, 0, u64::MAX), []);
        RecentFacts::new(&place).add(&[group(1, 3), group(4, 4)]).unwrap();
        let again = RecentFacts::new(&place);
        again.add(&[group(5, 9)]).unwrap();
        again.add(&[group(10, 11)]).unwrap();
        assert_eq!(ranges(&place, 0, u64::MAX), [(1, 3), (4, 4), (5, 9), (10, 11)]);
        assert_eq!(ranges(&place, 3, 10), [(4, 4), (5, 9)]);
    }

    #[test]
    fn files_go_when_snapshots_cover_all_their_facts() {
        let dir = tempfile::tempdir().unwrap();
        let recent = RecentFacts::new(dir.path());
        recent.add(&[group(1, 5)]).unwrap();
        recent.trim(0).unwrap();
        recent.add(&[group(6, 9)]).unwrap();
        recent.trim(4).unwrap();
        assert_eq!(ranges(dir.path(), 0, u64::MAX).len(), 2, "fact 5 is not covered");
        recent.trim(5).unwrap();
        assert_eq!(ranges(dir.path(), 0, u64::MAX), [(6, 9)]);
        recent.trim(9).unwrap();
        assert_eq!(ranges(dir.path(), 0, u64::MAX), [(6, 9)], "what comes next is not known");
        recent.add(&[group(10, 10)]).unwrap();
        recent.trim(9).unwrap();
        assert_eq!(ranges(dir.path(), 0, u64::MAX), [(10, 10)]);
    }

    #[test]
    fn a_damaged_file_gives_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let recent = RecentFacts::new(dir.path());
        recent.add(&[group(1, 5)]).unwrap();
        recent.add(&[group(6, 9)]).unwrap();
        let (_, path) = numbered_files(dir.path(), SUFFIX).unwrap().remove(0);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[frame::HEAD_BYTES] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(ranges(dir.path(), 0, u64::MAX), [(6, 9)]);
    }
}
