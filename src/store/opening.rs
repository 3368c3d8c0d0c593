//! Opening the folder of a store: lock, format, database, and what to do when the database is damaged.

use std::path::Path;
use std::sync::Arc;

use super::StoreError;
use super::backend::{Backend, OpenFailure, SledBackend};
use super::facts::{FactFiles, Fences};
use super::folder::{Folder, FolderLock, Format, make_dir, sync_dir};
use super::handle::{Parts, Recovered};
use super::project::last_seq;
use super::snapshot::{Snapshot, Snapshots};

/// An open folder.
pub(crate) struct Opened {
    pub format: Format,
    pub backend: Arc<dyn Backend>,
    pub files: FactFiles,
    pub snapshots: Snapshots,
    pub folder: Folder,
    pub lock: FolderLock,
}

/// A random id for a new store.
pub(crate) fn new_installation() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Opens or makes the store in `dir`.
pub(crate) fn open(dir: &Path) -> Result<Opened, StoreError> {
    make_dir(dir)?;
    let folder = Folder::new(dir);
    let lock = FolderLock::take(&folder)?;
    let format = match Format::read(&folder)? {
        Some(format) => format,
        None => begin(&folder)?,
    };
    let backend: Arc<dyn Backend> = Arc::new(open_database(&folder)?);
    let last = last_seq(&*backend)?;
    let fences = Fences::read(&folder.facts())?;
    let snapshots = Snapshots::Files(folder.snapshots());
    snapshots.drop_beyond(last)?;
    let files = FactFiles::open(&folder, fences, last)?;
    Ok(Opened { format, backend, files, snapshots, folder, lock })
}

fn begin(folder: &Folder) -> Result<Format, StoreError> {
    for dir in [folder.facts(), folder.builds(), folder.wal(), folder.snapshots(), folder.configs()] {
        make_dir(&dir)?;
    }
    sync_dir(folder.dir())?;
    let format = Format { installation: new_installation() };
    format.write(folder)?;
    Ok(format)
}

fn open_database(folder: &Folder) -> Result<SledBackend, StoreError> {
    match SledBackend::open(&folder.sled()) {
        Ok(backend) => Ok(backend),
        Err(OpenFailure::Other(error)) => Err(error),
        Err(OpenFailure::Damaged(why)) => Err(StoreError::corrupt(folder.sled().display().to_string(), why)),
    }
}

/// The whole tail from the fact files, when the database holds only a part of what follows the snapshot.
pub(crate) fn recover_from_files(_parts: &Parts, _snapshot: Option<Snapshot>) -> Result<Recovered, StoreError> {
    Err(StoreError::corrupt("the tail of facts", "its beginning is missing"))
}
