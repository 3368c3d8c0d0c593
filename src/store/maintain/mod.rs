//! Care of a store that no master has open: check, rebuild, compact, export, import.
//!
//! Each takes the folder's lock, tells its progress to a callback, and returns a report. `docs/design/store.md`
//! describes the dump format.

mod check;
mod compact;
mod dump;
mod export;
mod import;
mod rebuild;

pub use check::{CheckReport, check};
pub use compact::{CompactReport, compact};
pub use dump::DumpReport;
pub use export::export;
pub use import::import;
pub use rebuild::{RebuildReport, rebuild};
pub(crate) use rebuild::{is_complete, mark_complete, rebuild_database, set_aside};

use std::path::Path;

use super::StoreError;
use super::backend::{OpenFailure, SledBackend};
use super::folder::{Folder, FolderLock, Format};

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is counted: `facts`, `builds`, `records`, `log files`.
    pub what: &'static str,
    /// How many are done.
    pub done: u64,
    /// How many there are, where known.
    pub total: Option<u64>,
}

/// Who is told.
pub type Tell<'a> = &'a mut dyn FnMut(Progress);

/// News come once per so many things, so that telling costs nothing.
const TELL_EVERY: u64 = 1000;

/// Takes a folder that has to hold a store.
fn take_existing(dir: &Path) -> Result<(Folder, FolderLock, Format), StoreError> {
    let folder = Folder::new(dir);
    let missing = || StoreError::Missing { dir: dir.to_owned() };
    Format::read(&folder)?.ok_or_else(missing)?;
    let lock = FolderLock::take(&folder)?;
    folder.finish_swap()?;
    let format = Format::read(&folder)?.ok_or_else(missing)?;
    Ok((folder, lock, format))
}

fn open_database(path: &Path) -> Result<SledBackend, StoreError> {
    SledBackend::open(path).map_err(|failure| match failure {
        OpenFailure::Damaged(why) => StoreError::corrupt(format!("the database in `{}`", path.display()), why),
        OpenFailure::Other(error) => error,
    })
}
