//! The journal of what retention removed, so that a rebuild does not bring it back.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use crate::store::StoreError;
use crate::store::codec::{decode, encode};
use crate::store::folder::write_whole;
use crate::store::frame::{self, Found, Magic, Scanner};
use crate::store::retire::RetiredEntry;

const MAGIC: Magic = *b"SwR1";

/// Removals in one frame of a journal that is written anew.
const ENTRIES_MAX: usize = 1000;

/// Adds removals; durable when it returns.
pub(super) fn append(facts: &Path, entries: &[RetiredEntry]) -> Result<(), StoreError> {
    let path = facts.join("removals");
    let mut bytes = Vec::new();
    frame::push(&mut bytes, MAGIC, &encode(&entries));
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(StoreError::io("open", &path))?;
    let write = || {
        // A torn frame before this one is passed over when reading.
        let end = file.metadata()?.len();
        frame::write_all_at(&file, &bytes, end)?;
        file.sync_data()
    };
    write().map_err(StoreError::io("write", &path))
}

/// Writes a journal with nothing but these.
pub(crate) fn write(facts: &Path, entries: &[RetiredEntry]) -> Result<(), StoreError> {
    let mut bytes = Vec::new();
    for entries in entries.chunks(ENTRIES_MAX) {
        frame::push(&mut bytes, MAGIC, &encode(&entries));
    }
    write_whole(&facts.join("removals"), &bytes)
}

/// All removals, oldest first.
pub(crate) fn read(facts: &Path) -> Result<Vec<RetiredEntry>, StoreError> {
    read_from(facts, 0)
}

/// Where the next removal will be written.
pub(crate) fn end(facts: &Path) -> Result<u64, StoreError> {
    let path = facts.join("removals");
    match fs::metadata(&path) {
        Ok(found) => Ok(found.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(StoreError::io("look at", &path)(error)),
    }
}

/// The removals from byte `from` on (the end of an earlier one). All of them if the journal is shorter: then it is another
/// journal than the one that the number was taken from.
pub(crate) fn read_from(facts: &Path, from: u64) -> Result<Vec<RetiredEntry>, StoreError> {
    let path = facts.join("removals");
    let end = end(facts)?;
    if end == 0 {
        return Ok(Vec::new());
    }
    let from = if from > end { 0 } else { from };
    let file = File::open(&path).map_err(StoreError::io("open", &path))?;
    let mut scanner = Scanner::new(&file, MAGIC, from).map_err(StoreError::io("read", &path))?;
    let mut entries: Vec<RetiredEntry> = Vec::new();
    loop {
        match scanner.next().map_err(StoreError::io("read", &path))? {
            Found::Frame { .. } => {
                entries.extend(decode::<Vec<RetiredEntry>>(scanner.payload(), &path.display().to_string())?);
            }
            Found::Damage { .. } => {}
            Found::End { .. } => return Ok(entries),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BuildId;

    #[test]
    fn removals_are_read_in_order_over_a_torn_one() {
        let dir = tempfile::tempdir().unwrap();
        append(dir.path(), &[RetiredEntry::Build(BuildId(1))]).unwrap();
        append(dir.path(), &[RetiredEntry::Build(BuildId(2))]).unwrap();
        let path = dir.path().join("removals");
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        append(dir.path(), &[RetiredEntry::Logs(BuildId(3))]).unwrap();
        assert_eq!(read(dir.path()).unwrap(), [RetiredEntry::Build(BuildId(1)), RetiredEntry::Logs(BuildId(3))]);
    }

    #[test]
    fn removals_after_a_place_are_read_and_all_of_a_shorter_journal() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!((end(dir.path()).unwrap(), read_from(dir.path(), 7).unwrap()), (0, Vec::new()));
        append(dir.path(), &[RetiredEntry::Build(BuildId(1))]).unwrap();
        let first = end(dir.path()).unwrap();
        append(dir.path(), &[RetiredEntry::Build(BuildId(2))]).unwrap();
        let second = end(dir.path()).unwrap();
        assert_eq!(read_from(dir.path(), first).unwrap(), [RetiredEntry::Build(BuildId(2))]);
        assert_eq!(read_from(dir.path(), second).unwrap(), []);
        assert_eq!(read_from(dir.path(), second + 1).unwrap().len(), 2);
    }
}
