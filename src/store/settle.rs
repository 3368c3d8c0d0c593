//! Ending what was cut short: the last flush (`forward.rs`), and removals.
//!
//! Retention notes what it removes in the journal of removals, takes it out of the records, and unlinks the files, in this order. The
//! database says up to where in the journal all three are done; whatever follows is done again, which changes nothing
//! where it was done before. So the records are always what a rebuild would make of the fact files.

use super::StoreError;
use super::backend::Backend;
use super::facts::{end_of_removals, read_removals_from};
use super::folder::Folder;
use super::forward::roll_forward;
use super::key::{Key, Table};
use super::logs::log_files;
use super::retire::{RetiredEntry, repeat};
use super::txn::{Records as _, Txn};
use crate::model::BuildId;

/// Removals repeated in one batch: each deletes some hundred records at most.
const BATCH_ENTRIES: usize = 1000;

/// Up to which byte of the journal of removals everything is done, files included.
const REMOVALS_DONE: &str = "removals_done";

/// What is left to do after the records are settled.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Unsettled {
    /// Builds whose logs are removed, but their files may still be there.
    pub logs: Vec<BuildId>,
    /// Whether the journal told anything that was not known to be done.
    pub found: bool,
}

/// Brings the last flush into the records, and takes what the journal tells out of them.
pub(crate) fn settle(folder: &Folder, backend: &dyn Backend) -> Result<Unsettled, StoreError> {
    roll_forward(folder, backend)?;
    let done = backend.number(&key())?.unwrap_or(0);
    let entries = read_removals_from(&folder.facts(), done)?;
    repeat_all(backend, &entries)?;
    let mut unsettled = Unsettled { logs: Vec::new(), found: !entries.is_empty() };
    for entry in entries {
        if let RetiredEntry::Logs(build) = entry
            && !log_files(&folder.build(build))?.is_empty()
        {
            unsettled.logs.push(build);
        }
    }
    Ok(unsettled)
}

/// Takes these out of the records; what is out already stays out.
pub(crate) fn repeat_all(backend: &dyn Backend, entries: &[RetiredEntry]) -> Result<(), StoreError> {
    for entries in entries.chunks(BATCH_ENTRIES) {
        let mut txn = Txn::new(backend);
        for entry in entries {
            repeat(&mut txn, entry)?;
        }
        if txn.len() > 0 {
            backend.apply(txn.into_batch())?;
        }
    }
    Ok(())
}

/// Notes that everything in the journal is done.
pub(crate) fn all_done(folder: &Folder, txn: &mut Txn<'_>) -> Result<(), StoreError> {
    txn.put_number(key(), end_of_removals(&folder.facts())?);
    Ok(())
}

/// The key of the note, for who writes the journal anew: without the note all of it counts as not done.
pub(crate) fn key() -> Key {
    Table::Meta.name(REMOVALS_DONE)
}
