//! Builds.

use super::meta::BUILDS_TOTAL;
use super::request;
use crate::base::{Span, Timestamp};
use crate::model::{BuildId, BuildRecord, Outcome};
use crate::store::StoreError;
use crate::store::key::Table;
use crate::store::txn::{Records, Txn};

/// The state of a build that has said nothing yet.
pub(super) const STARTING: &str = "starting";

pub(super) fn started(txn: &mut Txn<'_>, build: BuildRecord) -> Result<(), StoreError> {
    let id = build.id.0;
    if txn.bytes(&Table::Build.id(id))?.is_none() {
        txn.count(Table::Meta.name(BUILDS_TOTAL), |count| count.saturating_add(1))?;
        txn.count(Table::BuildCount.id(build.builder.0), |count| count.saturating_add(1))?;
    }
    txn.put_number(Table::BuildNumber.pair(build.builder.0, build.number), id);
    txn.mark(Table::BuildOfWorker.pair(build.worker.0, id));
    txn.mark(Table::BuildRunning.id(id));
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

pub(super) fn ended(
    txn: &mut Txn<'_>,
    at: Timestamp,
    build: BuildId,
    outcome: Outcome,
    state: &str,
) -> Result<(), StoreError> {
    txn.remove(Table::BuildRunning.id(build.0));
    change(txn, build, |build| {
        build.completed = Some(at);
        build.outcome = Some(outcome);
        state.clone_into(&mut build.state);
    })
}
