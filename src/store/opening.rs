//! Opening the directory of a store: lock, format, database, and what the journal has that the database has not.
//!
//! The database is not trusted blindly: one that lost what it had (its files were damaged, or taken from a backup) is made again
//! from packs and journal.

use std::path::Path;
use std::sync::Arc;

use super::StoreError;
use super::backend::{Backend, OpenFailure, Overlay, SledBackend};
use super::directory::{Directory, DirectoryLock, Format, make_dir, sync_dir};
use super::facts::read_facts;
use super::journal::{self, Journal, Read, StoredEntry};
use super::logs::{LogWriting, records};
use super::maintain::{is_complete, mark_complete, rebuild_database};
use super::packs::{last_packed, packs};
use super::project::{last_seq, project};
use super::retention::{Removal, repeat};
use super::snapshot::Snapshots;
use super::txn::Txn;
use super::writer::remove_files;
use crate::model::Event;

/// An open directory.
pub(crate) struct Opened {
    pub format: Format,
    pub overlay: Arc<Overlay>,
    pub snapshots: Snapshots,
    pub directory: Directory,
    pub lock: DirectoryLock,
}

/// A random id for a new store.
pub(crate) fn new_installation() -> String {
    uuid::Uuid::new_v4().to_string()
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
    Ok(Opened { format, overlay, snapshots: Snapshots::Files(directory.snapshots()), directory, lock })
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

/// Whether there are files of facts, whatever is in them.
pub(crate) fn has_facts(directory: &Directory) -> Result<bool, StoreError> {
    let written = |path: &Path| std::fs::metadata(path).is_ok_and(|found| found.len() > 0);
    let in_journal = journal::segments(&directory.journal())?.iter().any(|(_, path)| written(path));
    Ok(in_journal || !packs(&directory.packs())?.is_empty())
}

/// The installation's id as the facts tell it; none if there are no facts of a master.
pub(crate) fn installation_of(directory: &Directory) -> Result<Option<String>, StoreError> {
    let mut found = None;
    read_facts(directory, 0, &mut |fact| {
        if let Event::MasterStarted { installation, name: _ } = fact.event {
            found.get_or_insert(installation);
        }
        Ok(())
    })?;
    Ok(found)
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

/// Why the database of a store that is not new cannot be trusted, if so.
pub(crate) fn verify_database(directory: &Directory, backend: &SledBackend) -> Result<Option<String>, StoreError> {
    if !is_complete(backend)? {
        return Ok(Some("it is empty or was never finished".to_owned()));
    }
    // Records reach the database before their facts are packed.
    let (last, packed) = (last_seq(backend)?, last_packed(&directory.packs())?);
    if packed > last {
        return Ok(Some(format!("it ends with fact {last}, but had fact {packed} at an earlier time")));
    }
    Ok(None)
}

/// Facts brought into the records together.
const BATCH_FACTS: usize = 1000;

/// Brings what the journal has into the records, in order.
pub(crate) struct CatchUp<'a> {
    backend: &'a dyn Backend,
    last: u64,
    /// What retention removed; it is taken out when all facts are in.
    removals: Vec<Removal>,
}

impl<'a> CatchUp<'a> {
    pub fn new(backend: &'a dyn Backend) -> Result<Self, StoreError> {
        Ok(Self { backend, last: last_seq(backend)?, removals: Vec::new() })
    }

    /// Takes the facts and removals of an entry. What is damaged is passed over: `store check` tells.
    pub fn take(&mut self, entry: &StoredEntry<'_>, place: &str) -> Result<(), StoreError> {
        match (entry.facts(place), entry.removals(place)) {
            (Ok(group), Ok(removals)) => {
                self.removals.extend(removals);
                let Some(group) = group.filter(|group| group.last > self.last) else { return Ok(()) };
                let facts = group.facts(place)?;
                for facts in facts.chunks(BATCH_FACTS) {
                    let mut txn = Txn::new(self.backend);
                    for fact in facts.iter().filter(|fact| fact.seq > self.last) {
                        project(&mut txn, fact)?;
                    }
                    self.backend.apply(txn.into_batch())?;
                }
                self.last = group.last;
            }
            (Err(error), _) | (_, Err(error)) => tracing::warn!(%error, "a part of the journal is left out"),
        }
        Ok(())
    }

    /// Takes out what was removed; what is out already stays out.
    pub fn finish(self) -> Result<Vec<Removal>, StoreError> {
        repeat_all(self.backend, &self.removals)?;
        Ok(self.removals)
    }
}

/// Takes these out of the records; what is out already stays out.
pub(crate) fn repeat_all(backend: &dyn Backend, entries: &[Removal]) -> Result<(), StoreError> {
    for entries in entries.chunks(BATCH_FACTS) {
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

/// Brings everything that the journal has into records and logs, and opens it for writing.
pub(crate) fn take_up_journal(
    directory: &Directory,
    backend: &dyn Backend,
    logs: &mut LogWriting,
) -> Result<Journal, StoreError> {
    let journal = Journal::open(&directory.journal())?;
    let segments = journal::segments(&directory.journal())?;
    logs.set_journal(journal.number());
    logs.set_live_journal(segments.first().map_or(u64::MAX, |(number, _)| *number));
    let mut catch_up = CatchUp::new(backend)?;
    for (_, path) in segments {
        journal::read(&path, |read| match read {
            Read::Entry(entry, place) => {
                catch_up.take(&entry, &place)?;
                take_up_logs(logs, &entry, &place)
            }
            Read::Damage(words) => {
                tracing::warn!(words, "a part of the journal is damaged; left out");
                Ok(())
            }
            Read::Torn(_) => Ok(()),
        })?;
    }
    logs.set_live_journal(u64::MAX);
    for entry in catch_up.finish()? {
        remove_files(logs, &entry)?;
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
