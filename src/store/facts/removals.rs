//! The journal of what retention removed, so that a rebuild does not bring it back.

use std::fs::{File, OpenOptions};
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
    let path = facts.join("removals");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let file = File::open(&path).map_err(StoreError::io("open", &path))?;
    let mut scanner = Scanner::new(&file, MAGIC, 0).map_err(StoreError::io("read", &path))?;
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
}
