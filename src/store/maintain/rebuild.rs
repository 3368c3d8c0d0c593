//! Making the database again from the fact files.
//!
//! The new database grows beside the old one and takes its place only when it is whole; the old one is set aside, not
//! deleted. The tail begins after the oldest whole snapshot; without any it is the complete history, so that the engine
//! can fold open work from the facts alone.

use std::path::{Path, PathBuf};

use super::{Progress, TELL_EVERY, Tell, existing, open_database, open_trusted};
use crate::model::Fact;
use crate::store::StoreError;
use crate::store::backend::Backend;
use crate::store::codec::encode;
use crate::store::facts::{FactReader, read_removals, segments};
use crate::store::folder::{FORMAT, Folder, FolderLock, Format, make_dir, remove_all, sync_dir};
use crate::store::key::Table;
use crate::store::opening::{installation_of, new_installation};
use crate::store::project::{BUILDS_TOTAL, last_seq, project};
use crate::store::settle::repeat_all;
use crate::store::snapshot::Snapshots;
use crate::store::txn::{Records as _, Txn};

/// Facts projected into one batch.
const BATCH_FACTS: usize = 1000;

/// Present once the database holds everything: a database without it is new, wiped, or was never finished.
const COMPLETE: &str = "format";

/// What a rebuild found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RebuildReport {
    /// Facts that are in the database now.
    pub facts: u64,
    /// Builds that are in the database now.
    pub builds: u64,
    /// Facts in the files that never became true (a crash came between file and database).
    pub void: u64,
    /// Places in the fact files that could not be read, in words.
    pub damage: Vec<String>,
    /// Fact files whose last bytes are torn, in words: a kill leaves that of a write that nobody was told of.
    pub torn: Vec<String>,
    /// Where the old database is now, if there was one.
    pub set_aside: Option<PathBuf>,
}

/// Makes the database of the store in `dir` again from its fact files.
///
/// When it returns, history and open work are as the fact files tell, and the old database lies in `damaged/`.
pub fn rebuild(dir: &Path, tell: Tell<'_>) -> Result<RebuildReport, StoreError> {
    let (folder, _lock, is_described) = take_damaged(dir)?;
    let report = rebuild_database(&folder, tell)?;
    if !is_described {
        describe(&folder)?;
    }
    Ok(report)
}

/// The same, but refuses if the present database can be read and holds more than the fact files do: then those are what is
/// damaged.
pub fn rebuild_unless_poorer(dir: &Path, tell: Tell<'_>) -> Result<RebuildReport, StoreError> {
    let (folder, _lock, is_described) = take_damaged(dir)?;
    let present = Holdings::of_database(&folder);
    let report = make_database(&folder, present.as_ref(), tell)?;
    if !is_described {
        describe(&folder)?;
    }
    Ok(report)
}

/// Takes a folder whose format file may be lost or damaged, and says whether it is fine.
fn take_damaged(dir: &Path) -> Result<(Folder, FolderLock, bool), StoreError> {
    let folder = existing(dir)?;
    let is_described = match Format::read(&folder) {
        Ok(Some(_)) => true,
        Ok(None) | Err(StoreError::NoFormat { .. }) => false,
        Err(error) => return Err(error),
    };
    if !is_described && segments(&folder.facts())?.is_empty() {
        return Err(StoreError::Missing { dir: dir.to_owned() });
    }
    let lock = FolderLock::take(&folder)?;
    folder.finish_swap()?;
    Ok((folder, lock, is_described))
}

/// Makes the format file again; a damaged one is set aside.
fn describe(folder: &Folder) -> Result<(), StoreError> {
    set_aside(folder, &folder.format())?;
    let installation = installation_of(folder)?.unwrap_or_else(new_installation);
    Format { installation }.write(folder)
}

/// How much a database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Holdings {
    last_fact: u64,
    builds: u64,
}

impl Holdings {
    fn of(backend: &dyn Backend) -> Result<Self, StoreError> {
        let builds = backend.number(&Table::Meta.name(BUILDS_TOTAL))?.unwrap_or(0);
        Ok(Self { last_fact: last_seq(backend)?, builds })
    }

    /// What the present database holds; none if it is missing or cannot be trusted.
    fn of_database(folder: &Folder) -> Option<Self> {
        let backend = open_trusted(folder).ok()?;
        Self::of(&backend).ok()
    }

    fn is_poorer_than(&self, other: &Self) -> bool {
        self.last_fact < other.last_fact || self.builds < other.builds
    }
}

/// A rebuild for who holds the lock.
pub(crate) fn rebuild_database(folder: &Folder, tell: Tell<'_>) -> Result<RebuildReport, StoreError> {
    make_database(folder, None, tell)
}

fn make_database(folder: &Folder, present: Option<&Holdings>, tell: Tell<'_>) -> Result<RebuildReport, StoreError> {
    let growing = folder.growing(&folder.sled());
    remove_all(&growing)?;
    let mut report;
    {
        let backend = open_database(&growing)?;
        let snapshots = Snapshots::Files(folder.snapshots());
        let tail_after = snapshots.whole()?.next().map_or(0, |(seq, _)| seq);
        report = project_facts(FactReader::open(folder)?, &backend, tail_after, tell)?;
        remove_again(folder, &backend)?;
        let made = Holdings::of(&backend)?;
        if let Some(present) = present.filter(|present| made.is_poorer_than(present)) {
            drop(backend);
            remove_all(&growing)?;
            return Err(StoreError::Poorer {
                dir: folder.dir().to_owned(),
                facts: (present.last_fact, made.last_fact),
                builds: (present.builds, made.builds),
            });
        }
        snapshots.drop_beyond(last_seq(&backend)?)?;
        report.builds = made.builds;
        mark_complete(&backend)?;
    }
    report.set_aside = set_aside(folder, &folder.sled())?;
    std::fs::rename(&growing, folder.sled()).map_err(StoreError::io("rename", &growing))?;
    sync_dir(folder.dir())?;
    Ok(report)
}

/// Notes that the database holds everything.
pub(crate) fn mark_complete(backend: &dyn Backend) -> Result<(), StoreError> {
    let mut txn = Txn::new(backend);
    txn.put_number(Table::Meta.name(COMPLETE), FORMAT);
    backend.apply(txn.into_batch())
}

/// Whether the database holds everything.
pub(crate) fn is_complete(backend: &dyn Backend) -> Result<bool, StoreError> {
    Ok(backend.number(&Table::Meta.name(COMPLETE))?.is_some())
}

/// Projects all facts of a reader; those beyond `tail_after` go to the tail as well.
pub(super) fn project_facts(
    mut reader: FactReader,
    backend: &dyn Backend,
    tail_after: u64,
    tell: Tell<'_>,
) -> Result<RebuildReport, StoreError> {
    let mut report = RebuildReport::default();
    let mut batch = Vec::with_capacity(BATCH_FACTS);
    while let Some(fact) = reader.next()? {
        batch.push(fact);
        report.facts += 1;
        if report.facts.is_multiple_of(TELL_EVERY) {
            tell(Progress { what: "facts", done: report.facts, total: None });
        }
        if batch.len() == BATCH_FACTS {
            apply(backend, &batch, tail_after)?;
            batch.clear();
        }
    }
    apply(backend, &batch, tail_after)?;
    tell(Progress { what: "facts", done: report.facts, total: Some(report.facts) });
    report.void = reader.findings().void;
    report.damage.clone_from(&reader.findings().damage);
    report.torn.clone_from(&reader.findings().torn);
    Ok(report)
}

fn apply(backend: &dyn Backend, facts: &[Fact], tail_after: u64) -> Result<(), StoreError> {
    let mut txn = Txn::new(backend);
    for fact in facts {
        project(&mut txn, fact)?;
        if fact.seq > tail_after {
            txn.put_bytes(Table::Tail.id(fact.seq), encode(fact));
        } else {
            txn.remove(Table::Ended.id(fact.seq));
        }
    }
    backend.apply(txn.into_batch())
}

/// What retention removed stays removed.
pub(super) fn remove_again(folder: &Folder, backend: &dyn Backend) -> Result<(), StoreError> {
    repeat_all(backend, &read_removals(&folder.facts())?)
}

/// Moves a file or folder to `damaged/`; returns where it is then, none if it was not there.
pub(crate) fn set_aside(folder: &Folder, path: &Path) -> Result<Option<PathBuf>, StoreError> {
    if !path.exists() {
        return Ok(None);
    }
    let damaged = folder.dir().join("damaged");
    make_dir(&damaged)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let target = (1_u64..).map(|number| damaged.join(format!("{name}.{number}"))).find(|target| !target.exists());
    let target = target.expect("numbers do not run out");
    std::fs::rename(path, &target).map_err(StoreError::io("move aside", path))?;
    Ok(Some(target))
}
