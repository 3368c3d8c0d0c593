//! Opening the folder of a store: lock, format, database, and what to do when the database is damaged.
//!
//! The database is not trusted blindly: one that lost what it had confirmed (its files were damaged, or taken from a backup)
//! is made again from the fact files.

use std::path::Path;
use std::sync::Arc;

use super::StoreError;
use super::backend::{Backend, OpenFailure, SledBackend};
use super::facts::{FactFiles, FactReader, Fences, newest_flush, segments};
use super::folder::{Folder, FolderLock, Format, make_dir, sync_dir};
use super::forward::recent_builds;
use super::handle::{Parts, Recovered};
use super::maintain::{is_complete, mark_complete, rebuild_database, set_aside};
use super::project::last_seq;
use super::settle::{Unsettled, settle};
use super::snapshot::{Snapshot, Snapshots};
use crate::model::Event;

/// An open folder.
pub(crate) struct Opened {
    pub format: Format,
    pub backend: Arc<dyn Backend>,
    pub files: FactFiles,
    pub snapshots: Snapshots,
    pub folder: Folder,
    pub lock: FolderLock,
    /// What a kill left to do of removals.
    pub unsettled: Unsettled,
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
    folder.finish_swap()?;
    let fences = Fences::read(&folder.facts())?;
    let backend: Arc<dyn Backend> = Arc::new(open_database(&folder, &fences)?);
    let unsettled = settle(&folder, &*backend)?;
    let last = last_seq(&*backend)?;
    let snapshots = Snapshots::Files(folder.snapshots());
    snapshots.drop_beyond(last)?;
    let files = FactFiles::open(&folder, fences, last)?;
    Ok(Opened { format, backend, files, snapshots, folder, lock, unsettled })
}

fn begin(folder: &Folder) -> Result<Format, StoreError> {
    for dir in [folder.facts(), folder.builds(), folder.wal(), folder.snapshots(), folder.configs()] {
        make_dir(&dir)?;
    }
    sync_dir(folder.dir())?;
    let format = Format { installation: installation_of(folder)?.unwrap_or_else(new_installation) };
    if Fences::read(&folder.facts())?.last().is_some() {
        tracing::warn!(dir = %folder.dir().display(), "the file `format` was missing; it is made again");
    }
    format.write(folder)?;
    Ok(format)
}

/// The installation's id as the facts tell it; none if there are no facts of a master.
pub(crate) fn installation_of(folder: &Folder) -> Result<Option<String>, StoreError> {
    let mut reader = FactReader::segments(folder, u64::MAX)?;
    while let Some(fact) = reader.next()? {
        if let Event::MasterStarted { installation, name: _ } = fact.event {
            return Ok(Some(installation));
        }
    }
    Ok(None)
}

fn open_database(folder: &Folder, fences: &Fences) -> Result<SledBackend, StoreError> {
    let why = match open_or_repair(folder)? {
        Ok(backend) => match doubts(folder, fences, &backend) {
            Ok(None) => return Ok(backend),
            Ok(Some(why)) | Err(StoreError::Corrupt { why, .. } | StoreError::Database { why, .. }) => why,
            Err(error) => return Err(error),
        },
        Err(why) => why,
    };
    tracing::warn!(
        dir = %folder.dir().display(),
        why,
        "the database is damaged; it is set aside and made again from the fact files"
    );
    let report = rebuild_database(folder, &mut |_| {})?;
    tracing::warn!(
        facts = report.facts,
        builds = report.builds,
        damaged_places = report.damage.len(),
        "the database was made again"
    );
    SledBackend::open(&folder.sled()).map_err(|failure| failed(folder, failure))
}

fn failed(folder: &Folder, failure: OpenFailure) -> StoreError {
    match failure {
        OpenFailure::Damaged(why) => StoreError::corrupt(format!("the database in `{}`", folder.sled().display()), why),
        OpenFailure::Other(error) => error,
    }
}

/// The database, or why it does not open. A half-written snapshot of sled's is moved aside first: that is the usual
/// damage, and sled can do without it.
fn open_or_repair(folder: &Folder) -> Result<Result<SledBackend, String>, StoreError> {
    let failure = match SledBackend::open(&folder.sled()) {
        Ok(backend) => return Ok(Ok(backend)),
        Err(failure) => failure,
    };
    let OpenFailure::Damaged(why) = failure else { return Err(failed(folder, failure)) };
    if !set_snapshots_aside(folder)? {
        return Ok(Err(why));
    }
    match SledBackend::open(&folder.sled()) {
        Ok(backend) => {
            tracing::warn!(why, "the database had a half-written snapshot, which was set aside");
            Ok(Ok(backend))
        }
        Err(OpenFailure::Damaged(why)) => Ok(Err(why)),
        Err(failure @ OpenFailure::Other(_)) => Err(failed(folder, failure)),
    }
}

fn set_snapshots_aside(folder: &Folder) -> Result<bool, StoreError> {
    let mut found = false;
    let dir = folder.sled();
    for entry in std::fs::read_dir(&dir).map_err(StoreError::io("list", &dir))? {
        let path = entry.map_err(StoreError::io("list", &dir))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            set_aside(folder, &path)?;
            found = true;
        }
    }
    Ok(found)
}

/// Why the database cannot be trusted, if so. One of a new store is marked as complete.
fn doubts(folder: &Folder, fences: &Fences, backend: &SledBackend) -> Result<Option<String>, StoreError> {
    if !is_complete(backend)? && fences.last().is_none() && segments(&folder.facts())?.is_empty() {
        mark_complete(backend)?;
        return Ok(None);
    }
    mistrust(folder, fences, backend)
}

/// Why the database of a store that is not new cannot be trusted, if so.
pub(crate) fn mistrust(folder: &Folder, fences: &Fences, backend: &SledBackend) -> Result<Option<String>, StoreError> {
    if !is_complete(backend)? {
        return Ok(Some("it is empty or was never finished".to_owned()));
    }
    let last = last_seq(backend)?;
    let told = fences.last().map_or(0, |fence| fence.after);
    if told > last {
        return Ok(Some(format!("it ends with fact {last}, but had fact {told} at an earlier start")));
    }
    // A flush may have reached the files and not the database; a second one cannot have been begun before the first
    // was confirmed.
    match newest_flush(folder, recent_builds(folder, backend)?.into_iter())? {
        Some((first, _)) if first > last + 1 => {
            Ok(Some(format!("it ends with fact {last}, but fact {} was confirmed", first - 1)))
        }
        Some(_) | None => Ok(None),
    }
}

/// The whole tail from the fact files, for when the database holds only a part of what follows the snapshot (both
/// snapshots that it was cut for are damaged).
pub(crate) fn recover_from_files(parts: &Parts, snapshot: Option<Snapshot>) -> Result<Recovered, StoreError> {
    if parts.lock.is_none() {
        return Err(StoreError::corrupt("the tail of facts in memory", "its beginning is missing"));
    }
    tracing::warn!("no snapshot fits the facts in the database; the engine starts from the fact files");
    let after = snapshot.as_ref().map_or(0, |(seq, _)| *seq);
    let last = last_seq(&*parts.backend)?;
    let mut reader = FactReader::open(&parts.folder)?;
    let mut facts = Vec::new();
    while let Some(fact) = reader.next()? {
        if fact.seq > after && fact.seq <= last {
            facts.push(fact);
        }
    }
    Ok(Recovered { snapshot, facts })
}
