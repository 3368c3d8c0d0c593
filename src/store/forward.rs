//! The last flush before a death: it may have reached the fact files and not the database.
//!
//! If all of it is in the fact files, it is brought into the records: nobody was told of it, so it may be true, and a database that
//! lost its newest flush to damage cannot be told from one that never had it. If not all of it is there, it never was.

use super::StoreError;
use super::backend::{Backend, Order};
use super::codec::encode;
use super::facts::{FactReader, newest_flush};
use super::folder::Folder;
use super::key::Table;
use super::project::{last_seq, project};
use super::txn::{Records as _, Txn};
use crate::model::BuildId;

/// Fact files of builds looked into at an opening.
const BUILDS_MAX: usize = 1000;

/// Builds whose fact files a flush after the database's last fact can be in: running ones, and ones begun by that flush.
pub(crate) fn recent_builds(folder: &Folder, backend: &dyn Backend) -> Result<Vec<BuildId>, StoreError> {
    let mut builds = backend.ids(&Table::BuildRunning.all(), Order::Descending, BUILDS_MAX)?;
    let newest = backend.ids(&Table::Build.all(), Order::Descending, 1)?.first().copied().unwrap_or(0);
    let begun = (newest + 1..).take(BUILDS_MAX).take_while(|build| folder.build_facts(BuildId(*build)).exists());
    builds.extend(begun);
    Ok(builds.into_iter().map(BuildId).collect())
}

/// Brings the flush after the database's last fact into the records, if the fact files have all of it. Returns its number of facts.
pub(crate) fn roll_forward(folder: &Folder, backend: &dyn Backend) -> Result<usize, StoreError> {
    let last = last_seq(backend)?;
    let builds = recent_builds(folder, backend)?;
    if newest_flush(folder, builds.iter().copied())?.is_none_or(|(_, newest)| newest <= last) {
        return Ok(0);
    }
    let mut reader = FactReader::recent(folder, &builds, last)?;
    let mut txn = Txn::new(backend);
    let (mut facts, mut next) = (0, last + 1);
    while let Some(fact) = reader.next()? {
        if fact.seq == next {
            project(&mut txn, &fact)?;
            txn.put_bytes(Table::Tail.id(fact.seq), encode(&fact));
            (facts, next) = (facts + 1, next + 1);
        }
    }
    if facts > 0 {
        backend.apply(txn.into_batch())?;
        tracing::info!(
            facts,
            last = next - 1,
            "the last facts before a crash were in the fact files only; they are kept"
        );
    }
    Ok(facts)
}
