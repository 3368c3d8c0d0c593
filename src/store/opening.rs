//! Opening the directory of a store: lock, format, database, and what the journal has that the database has not.
//!
//! The database is not trusted blindly: one that lost what it had (its files were damaged, or taken from a backup) is made again
//! from packs and journal.

use std::path::Path;
use std::sync::Arc;

use super::StoreError;
use super::backend::{Backend, OpenFailure, Overlay, SledBackend};
use super::catch_up::CatchUp;
use super::database::{is_complete, mark_complete, verify_database};
use super::directory::{Directory, DirectoryLock, Format, make_dir, sync_dir};
use super::installation::{has_facts, installation_of, new_installation};
use super::journal::{self, Entry, Read, SegmentWriter, StoredEntry};
use super::logs::{LogWriting, records};
use super::maintain::rebuild_database;
use super::packs;
use super::snapshot::Snapshots;

/// An open directory.
pub(crate) struct Opened {
    pub format: Format,
    pub overlay: Arc<Overlay>,
    pub snapshots: Snapshots,
    pub directory: Directory,
    pub lock: DirectoryLock,
    /// How many times the store was opened, this one included.
    pub epoch: u64,
}

/// Opens or makes the store in `dir`. The records are those of the database; the journal is still to be taken up.
pub(crate) fn open(dir: &Path) -> Result<Opened, StoreError> {
    make_dir(dir)?;
    let directory = Directory::new(dir);
    let lock = DirectoryLock::take(&directory)?;
    let format = match Format::read(&directory)? {
        Some(format) => format,
        None => begin(&directory)?,
    };
    directory.finish_swap()?;
    let overlay = Arc::new(Overlay::new(Arc::new(open_database(&directory)?)));
    let epoch = lock.next_epoch(&directory)?;
    Ok(Opened { epoch, format, overlay, snapshots: Snapshots::Files(directory.snapshots()), directory, lock })
}

fn begin(directory: &Directory) -> Result<Format, StoreError> {
    for dir in [directory.journal(), directory.packs(), directory.builds(), directory.snapshots(), directory.configs()]
    {
        make_dir(&dir)?;
    }
    sync_dir(directory.dir())?;
    let format = Format { installation: installation_of(directory)?.unwrap_or_else(new_installation) };
    if has_facts(directory)? {
        tracing::warn!(dir = %directory.dir().display(), "the file `format` was missing; it is made again");
    }
    format.write(directory)?;
    Ok(format)
}

fn open_database(directory: &Directory) -> Result<SledBackend, StoreError> {
    let why = match open_or_repair(directory)? {
        Ok(backend) => match distrust_reason(directory, &backend) {
            Ok(None) => return Ok(backend),
            Ok(Some(why)) | Err(StoreError::Corrupt { why, .. } | StoreError::Database { why, .. }) => why,
            Err(error) => return Err(error),
        },
        Err(why) => why,
    };
    tracing::warn!(
        dir = %directory.dir().display(),
        why,
        "the database is damaged; it is set aside and made again from packs and journal"
    );
    let report = rebuild_database(directory, &mut |_| {})?;
    for words in report.damage.iter().chain(&report.missing) {
        tracing::warn!(words, "packs or journal are incomplete; `starwright store check` tells what would help");
    }
    tracing::warn!(
        facts = report.facts,
        builds = report.builds,
        damaged_places = report.damage.len(),
        "the database was made again"
    );
    SledBackend::open(&directory.sled()).map_err(|failure| failed(directory, failure))
}

fn failed(directory: &Directory, failure: OpenFailure) -> StoreError {
    match failure {
        OpenFailure::Damaged(why) => {
            StoreError::corrupt(format!("the database in `{}`", directory.sled().display()), why)
        }
        OpenFailure::Other(error) => error,
    }
}

/// The database, or why it does not open. A half-written snapshot of sled's is moved aside first: that is the usual
/// damage, and sled can do without it.
fn open_or_repair(directory: &Directory) -> Result<Result<SledBackend, String>, StoreError> {
    let failure = match SledBackend::open(&directory.sled()) {
        Ok(backend) => return Ok(Ok(backend)),
        Err(failure) => failure,
    };
    let OpenFailure::Damaged(why) = failure else { return Err(failed(directory, failure)) };
    if !set_snapshots_aside(directory)? {
        return Ok(Err(why));
    }
    match SledBackend::open(&directory.sled()) {
        Ok(backend) => {
            tracing::warn!(why, "the database had a half-written snapshot, which was set aside");
            Ok(Ok(backend))
        }
        Err(OpenFailure::Damaged(why)) => Ok(Err(why)),
        Err(failure @ OpenFailure::Other(_)) => Err(failed(directory, failure)),
    }
}

fn set_snapshots_aside(directory: &Directory) -> Result<bool, StoreError> {
    let mut found = false;
    let dir = directory.sled();
    for entry in std::fs::read_dir(&dir).map_err(StoreError::io("list", &dir))? {
        let path = entry.map_err(StoreError::io("list", &dir))?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            directory.set_aside(&path)?;
            found = true;
        }
    }
    Ok(found)
}

/// Why the database cannot be trusted, if so. One of a new store is marked as complete.
fn distrust_reason(directory: &Directory, backend: &SledBackend) -> Result<Option<String>, StoreError> {
    if !is_complete(backend)? && !has_facts(directory)? {
        mark_complete(backend)?;
        return Ok(None);
    }
    verify_database(directory, backend)
}

/// Brings everything that the journal has into records and logs, and opens it for writing.
pub(crate) fn take_up_journal(
    directory: &Directory,
    backend: &dyn Backend,
    logs: &mut LogWriting,
) -> Result<SegmentWriter, StoreError> {
    // If packs have segments, and there is none after them, it is lost: its number stays free, so that this goes on to show.
    let packed = packs::last_segment(&packs::packs(&directory.packs())?)?.unwrap_or(0);
    let first = if packed == 0 { 1 } else { packed + 2 };
    let mut journal = SegmentWriter::open(&directory.journal(), first)?;
    let mut is_damaged = false;
    let segments = journal::segments(&directory.journal())?;
    logs.set_journal(journal.number());
    logs.begin_taking_up(segments.first().map_or(u64::MAX, |(number, _)| *number));
    let mut catch_up = CatchUp::new(directory, backend)?;
    for (_, path) in segments {
        journal::read(&path, |read| match read {
            Read::Entry(entry, place) => {
                catch_up.take(&entry, &place)?;
                take_up_logs(logs, &entry, &place)
            }
            Read::Damage(words) => {
                tracing::warn!(words, "a part of the journal is damaged; left out");
                is_damaged = true;
                Ok(())
            }
            Read::Torn(_) => Ok(()),
        })?;
    }
    logs.end_taking_up()?;
    let (removals, lacking) = catch_up.finish()?;
    for entry in removals {
        logs.remove(&entry)?;
    }
    if let (Some(first), Some(last)) = (lacking.first(), lacking.last()) {
        tracing::warn!(
            first = first.first,
            last = last.last,
            "the journal lacked facts; they are restored from their second copy in `recent`"
        );
    }
    for group in lacking {
        journal.append(&Entry { facts: Some(group), ..Entry::default() })?;
    }
    if is_damaged {
        // What is whole of a damaged segment is packed now, while the second copy has what it lacks.
        journal.rotate()?;
    }
    Ok(journal)
}

fn take_up_logs(logs: &mut LogWriting, entry: &StoredEntry<'_>, place: &str) -> Result<(), StoreError> {
    match entry.logs(place).map(|plain| records(&plain)) {
        Ok(Some(records)) => records.into_iter().try_for_each(|record| logs.take_up(record)),
        Ok(None) | Err(_) => {
            tracing::warn!(place, "parts of logs in the journal make no sense; left out");
            Ok(())
        }
    }
}
