//! Making the database again from packs and journal.
//!
//! The new database grows beside the old one and takes its place only when it is whole; the old one is set aside, not
//! deleted.

use std::path::{Path, PathBuf};

use super::{OnProgress, PROGRESS_EVERY, Progress, existing, open_database, open_trusted};
use crate::model::Fact;
use crate::store::StoreError;
use crate::store::backend::Backend;
use crate::store::database::mark_complete;
use crate::store::directory::{Directory, DirectoryLock, Format, remove_all, sync_dir};
use crate::store::facts::{Findings, read_facts};
use crate::store::installation::{has_facts, installation_of, new_installation};
use crate::store::key::Table;
use crate::store::project::{BUILDS_TOTAL, last_seq, project};
use crate::store::retention::repeat_all;
use crate::store::snapshot::Snapshots;
use crate::store::txn::{Records as _, Txn};

/// Facts projected into one batch.
const BATCH_FACTS: usize = 1000;

/// What a rebuild found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RebuildReport {
    /// Facts that are in the database now.
    pub facts: u64,
    /// Builds that are in the database now.
    pub builds: u64,
    /// Places in packs and journal that could not be read, in words.
    pub damage: Vec<String>,
    /// Packs, segments of the journal and facts that are gone, in words.
    pub missing: Vec<String>,
    /// Segments of the journal whose last bytes are torn, in words: a kill leaves that of a write that nobody was told of.
    pub torn: Vec<String>,
    /// Where the old database is now, if there was one.
    pub set_aside: Option<PathBuf>,
}

/// Makes the database of the store in `dir` again from its packs and its journal.
///
/// When it returns, history and open work are as these tell, and the old database lies in `damaged/`.
pub fn rebuild(dir: &Path, on_progress: OnProgress<'_>) -> Result<RebuildReport, StoreError> {
    let (directory, _lock, is_described) = take_damaged(dir)?;
    let report = rebuild_database(&directory, on_progress)?;
    if !is_described {
        describe(&directory)?;
    }
    Ok(report)
}

/// The same, but refuses if the present database can be read and holds more than packs and journal do: then those are what
/// is damaged.
pub fn rebuild_unless_poorer(dir: &Path, on_progress: OnProgress<'_>) -> Result<RebuildReport, StoreError> {
    let (directory, _lock, is_described) = take_damaged(dir)?;
    let present = Contents::of_database(&directory);
    let report = make_database(&directory, present.as_ref(), on_progress)?;
    if !is_described {
        describe(&directory)?;
    }
    Ok(report)
}

/// Takes a directory whose format file may be lost or damaged, and says whether it is fine.
fn take_damaged(dir: &Path) -> Result<(Directory, DirectoryLock, bool), StoreError> {
    let directory = existing(dir)?;
    let is_described = match Format::read(&directory) {
        Ok(Some(_)) => true,
        Ok(None) | Err(StoreError::NoFormat { .. }) => false,
        Err(error) => return Err(error),
    };
    if !is_described && !has_facts(&directory)? {
        return Err(StoreError::Missing { dir: dir.to_owned() });
    }
    let lock = DirectoryLock::take(&directory)?;
    directory.finish_swap()?;
    Ok((directory, lock, is_described))
}

/// Makes the format file again; a damaged one is set aside.
fn describe(directory: &Directory) -> Result<(), StoreError> {
    directory.set_aside(&directory.format())?;
    let installation = installation_of(directory)?.unwrap_or_else(new_installation);
    Format { installation }.write(directory)
}

/// How much a database holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Contents {
    last_fact: u64,
    builds: u64,
}

impl Contents {
    fn of(backend: &dyn Backend) -> Result<Self, StoreError> {
        let builds = backend.number(&Table::Meta.name(BUILDS_TOTAL))?.unwrap_or(0);
        Ok(Self { last_fact: last_seq(backend)?, builds })
    }

    /// What the present database holds; none if it is missing or cannot be trusted.
    fn of_database(directory: &Directory) -> Option<Self> {
        let backend = open_trusted(directory).ok()?;
        Self::of(&backend).ok()
    }

    fn is_poorer_than(&self, other: &Self) -> bool {
        self.last_fact < other.last_fact || self.builds < other.builds
    }
}

/// A rebuild for who holds the lock.
pub(crate) fn rebuild_database(
    directory: &Directory,
    on_progress: OnProgress<'_>,
) -> Result<RebuildReport, StoreError> {
    make_database(directory, None, on_progress)
}

fn make_database(
    directory: &Directory,
    present: Option<&Contents>,
    on_progress: OnProgress<'_>,
) -> Result<RebuildReport, StoreError> {
    let growing = directory.growing(&directory.sled());
    remove_all(&growing)?;
    let mut report;
    {
        let backend = open_database(&growing)?;
        let snapshots = Snapshots::Files(directory.snapshots());
        let covered = snapshots.whole()?.next().map_or(0, |(seq, _)| seq);
        let (facts, found) = project_facts(directory, &backend, (covered, u64::MAX), on_progress)?;
        report = RebuildReport {
            facts,
            damage: found.damage,
            missing: found.missing,
            torn: found.torn,
            ..RebuildReport::default()
        };
        let made = Contents::of(&backend)?;
        if let Some(present) = present.filter(|present| made.is_poorer_than(present)) {
            drop(backend);
            remove_all(&growing)?;
            return Err(StoreError::Poorer {
                dir: directory.dir().to_owned(),
                facts: (present.last_fact, made.last_fact),
                builds: (present.builds, made.builds),
            });
        }
        snapshots.drop_beyond(last_seq(&backend)?)?;
        report.builds = made.builds;
        mark_complete(&backend)?;
    }
    report.set_aside = directory.set_aside(&directory.sled())?;
    std::fs::rename(&growing, directory.sled()).map_err(StoreError::io("rename", &growing))?;
    sync_dir(directory.dir())?;
    Ok(report)
}

/// Projects all facts up to a last one, and takes out what retention removed. Ends of builds are kept as long as a snapshot may
/// need them: those after the fact that is `covered`.
pub(super) fn project_facts(
    directory: &Directory,
    backend: &dyn Backend,
    (covered, last): (u64, u64),
    on_progress: OnProgress<'_>,
) -> Result<(u64, Findings), StoreError> {
    let mut done = 0;
    let mut batch = Vec::with_capacity(BATCH_FACTS);
    let findings = read_facts(directory, 0, &mut |fact| {
        if fact.seq > last {
            return Ok(());
        }
        batch.push(fact);
        done += 1;
        if done % PROGRESS_EVERY == 0 {
            on_progress(Progress { what: "facts", done, total: None });
        }
        if batch.len() == BATCH_FACTS {
            apply(backend, &batch, covered)?;
            batch.clear();
        }
        Ok(())
    })?;
    apply(backend, &batch, covered)?;
    on_progress(Progress { what: "facts", done, total: Some(done) });
    // What retention removed stays removed.
    repeat_all(backend, &findings.removals)?;
    Ok((done, findings))
}

fn apply(backend: &dyn Backend, facts: &[Fact], covered: u64) -> Result<(), StoreError> {
    let mut txn = Txn::new(backend);
    for fact in facts {
        project(&mut txn, fact)?;
        if fact.seq <= covered {
            txn.remove(Table::Ended.id(fact.seq));
        }
    }
    backend.apply(txn.into_batch())
}
