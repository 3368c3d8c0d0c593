//! Builds.

use serde::{Deserialize, Serialize};

use super::meta::BUILDS_TOTAL;
use super::request;
use crate::base::{Span, Timestamp};
use crate::model::{BuildId, BuildRecord, Outcome, Property, StepId};
use crate::store::StoreError;
use crate::store::backend::Direction;
use crate::store::key::Table;
use crate::store::txn::{Records, Txn};

/// The state of a build that has said nothing yet.
pub(super) const STARTING: &str = "starting";

/// How a build ended.
pub(super) struct End<'a> {
    pub at: Timestamp,
    pub outcome: Outcome,
    pub state: &'a str,
    pub culprits: &'a [StepId],
}

/// The end of a build, for as long as its fact is in the tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredEnd {
    pub build: u64,
    /// The number of the fact that started it.
    pub started: u64,
}

/// A property that was set while its build runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredProperty {
    pub name: String,
    pub property: Property,
}

pub(super) fn started(txn: &mut Txn<'_>, seq: u64, build: BuildRecord) -> Result<(), StoreError> {
    let id = build.id.0;
    if txn.bytes(&Table::Build.id(id))?.is_none() {
        txn.count(Table::Meta.name(BUILDS_TOTAL), |count| count.saturating_add(1))?;
        txn.count(Table::BuildCount.id(build.builder.0), |count| count.saturating_add(1))?;
    }
    txn.put_number(Table::BuildNumber.pair(build.builder.0, build.number), id);
    txn.mark(Table::BuildOfWorker.pair(build.worker.0, id));
    txn.put_number(Table::BuildRunning.id(id), seq);
    for claimed in &build.requests {
        txn.mark(Table::BuildOfRequest.pair(claimed.0, id));
        request::change(txn, *claimed, |request| request.claimed = Some(build.started))?;
    }
    txn.put(Table::Build.id(id), &build);
    Ok(())
}

pub(super) fn change(
    txn: &mut Txn<'_>,
    build: BuildId,
    change: impl FnOnce(&mut BuildRecord),
) -> Result<(), StoreError> {
    txn.update(Table::Build.id(build.0), change)
}

pub(super) fn state(txn: &mut Txn<'_>, build: BuildId, state: &str) -> Result<(), StoreError> {
    change(txn, build, |build| state.clone_into(&mut build.state))
}

pub(super) fn locks_waited(txn: &mut Txn<'_>, build: BuildId, waited: Span) -> Result<(), StoreError> {
    change(txn, build, |build| build.locks_wait_ms = build.locks_wait_ms.saturating_add(waited.as_millis()))
}

/// A property is a record of its own while the build runs: a build that sets a thousand must not write all of them again
/// for each.
pub(super) fn property(txn: &mut Txn<'_>, build: BuildId, name: &str, property: Property) -> Result<(), StoreError> {
    if txn.bytes(&Table::BuildRunning.id(build.0))?.is_some() {
        txn.put(Table::BuildProperty.named(build.0, name), &StoredProperty { name: name.to_owned(), property });
    }
    Ok(())
}

pub(super) fn ended(txn: &mut Txn<'_>, seq: u64, build: BuildId, end: &End<'_>) -> Result<(), StoreError> {
    let running = Table::BuildRunning.id(build.0);
    if let Some(started) = txn.number(&running)? {
        txn.put(Table::Ended.id(seq), &StoredEnd { build: build.0, started });
    }
    txn.remove(running);
    let range = Table::BuildProperty.under(build.0);
    let set: Vec<StoredProperty> = txn.records(&range, Direction::Ascending, usize::MAX)?;
    for (key, _) in txn.pairs(&range, Direction::Ascending, usize::MAX)? {
        txn.remove(key);
    }
    change(txn, build, |build| {
        build.properties.0.extend(set.into_iter().map(|set| (set.name, set.property)));
        build.completed = Some(end.at);
        build.outcome = Some(end.outcome);
        end.state.clone_into(&mut build.state);
        end.culprits.clone_into(&mut build.culprits);
    })
}
