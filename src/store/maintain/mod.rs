//! Care of a store that no master has open: check, rebuild, compact, export, import.
//!
//! Each takes the directory's lock, tells its progress to a callback, and returns a report. `docs/reference/dump-format.md`
//! describes the dump.

mod check;
mod compact;
mod contents;
mod dump;
mod export;
mod files_of_logs;
mod import;
mod piece;
mod rebuild;

pub use check::{CheckReport, check};
pub use compact::{CompactReport, compact};
pub use dump::DumpReport;
pub use export::export;
pub use import::import;
pub(crate) use rebuild::rebuild_database;
pub use rebuild::{RebuildReport, rebuild, rebuild_unless_poorer};

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::backend::{OpenFailure, Overlay, SledBackend};
use super::catch_up::CatchUp;
use super::database::verify_database;
use super::directory::{Directory, DirectoryLock, Format};
use super::journal::{self, Read};
use super::{Store, StoreError, StoreOptions};

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
pub type OnProgress<'a> = &'a mut dyn FnMut(Progress);

/// News come once per so many things, so that telling costs nothing.
const PROGRESS_EVERY: u64 = 1000;

/// Takes a directory that has to hold a store.
fn take_existing(dir: &Path) -> Result<(Directory, DirectoryLock, Format), StoreError> {
    let directory = existing(dir)?;
    let missing = || StoreError::Missing { dir: dir.to_owned() };
    Format::read(&directory)?.ok_or_else(missing)?;
    let lock = DirectoryLock::take(&directory)?;
    directory.finish_swap()?;
    let format = Format::read(&directory)?.ok_or_else(missing)?;
    Ok((directory, lock, format))
}

/// Whether a directory holds a store.
///
/// # Errors
/// When it does not, or cannot be read.
pub fn require(dir: &Path) -> Result<(), StoreError> {
    let found = Format::read(&existing(dir)?)?;
    found.map(drop).ok_or_else(|| StoreError::Missing { dir: dir.to_owned() })
}

/// The layout of a directory that is there.
fn existing(dir: &Path) -> Result<Directory, StoreError> {
    match std::fs::metadata(dir) {
        Ok(found) if found.is_dir() => Ok(Directory::new(dir)),
        Ok(_) => Err(StoreError::io("open the store in", dir)(io::ErrorKind::NotADirectory.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(StoreError::Missing { dir: dir.to_owned() }),
        Err(error) => Err(StoreError::io("open the store in", dir)(error)),
    }
}

/// The records of a store, if its database can be trusted: what the journal has beyond it is added in memory only. Opening alone
/// would make an empty database where none is.
fn open_trusted(directory: &Directory) -> Result<Overlay, StoreError> {
    let damaged = |why: String| StoreError::corrupt(format!("the database in `{}`", directory.sled().display()), why);
    if !directory.sled().exists() {
        return Err(damaged("it is missing".to_owned()));
    }
    let backend = open_database(&directory.sled())?;
    if let Some(why) = verify_database(directory, &backend)? {
        return Err(damaged(why));
    }
    let overlay = Overlay::new(Arc::new(backend));
    let mut catch_up = CatchUp::new(directory, &overlay)?;
    for (_, path) in journal::segments(&directory.journal())? {
        journal::read(&path, |read| match read {
            Read::Entry(entry, place) => catch_up.take(&entry, &place),
            Read::Damage(_) | Read::Torn(_) => Ok(()),
        })?;
    }
    catch_up.finish()?;
    Ok(overlay)
}

/// Brings everything from the journal to where it stays, as a master does in its time.
fn settle(dir: &Path) -> Result<(), StoreError> {
    let store = Store::open_with(dir, &StoreOptions { free_bytes_min: 0, ..StoreOptions::default() })?;
    store.settle()?;
    store.close()
}

fn open_database(path: &Path) -> Result<SledBackend, StoreError> {
    SledBackend::open(path).map_err(|failure| match failure {
        OpenFailure::Damaged(why) => StoreError::corrupt(format!("the database in `{}`", path.display()), why),
        OpenFailure::Other(error) => error,
    })
}
