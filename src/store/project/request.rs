//! What leads to builds: changes, source stamps, buildsets, requests.

use crate::base::Timestamp;
use crate::model::{BuildsetId, BuildsetRecord, Change, Outcome, RequestId, RequestRecord, SourceStamp};
use crate::store::StoreError;
use crate::store::key::Table;
use crate::store::txn::{Records, Txn};

pub(super) fn change_arrived(txn: &mut Txn<'_>, change: &Change) -> Result<(), StoreError> {
    txn.put(Table::Change.id(change.id.0), change);
    txn.put_number(Table::ChangeOfStamp.id(change.stamp.id.0), change.id.0);
    stamp(txn, &change.stamp)
}

/// Keeps a stamp, unless it is known: its first sight counts.
fn stamp(txn: &mut Txn<'_>, stamp: &SourceStamp) -> Result<(), StoreError> {
    let key = Table::Stamp.id(stamp.id.0);
    if txn.bytes(&key)?.is_none() {
        txn.put(key, stamp);
    }
    Ok(())
}

pub(super) fn buildset_made(
    txn: &mut Txn<'_>,
    buildset: &BuildsetRecord,
    requests: &[RequestRecord],
) -> Result<(), StoreError> {
    txn.put(Table::Buildset.id(buildset.id.0), buildset);
    if let Some(parent) = buildset.parent {
        txn.mark(Table::BuildsetOfParent.pair(parent.0, buildset.id.0));
    }
    for known in &buildset.stamps {
        stamp(txn, known)?;
    }
    for request in requests {
        txn.mark(Table::RequestOfBuilder.pair(request.builder.0, request.id.0));
        put(txn, request);
    }
    Ok(())
}

/// Keeps a request and its place among the waiting ones.
fn put(txn: &mut Txn<'_>, request: &RequestRecord) {
    let waiting = Table::RequestWaiting.id(request.id.0);
    if request.claimed.is_none() && request.completed.is_none() && request.collapsed_into.is_none() {
        txn.mark(waiting);
    } else {
        txn.remove(waiting);
    }
    txn.put(Table::Request.id(request.id.0), request);
}

/// Changes a request; one that is not there is left alone.
pub(super) fn change(
    txn: &mut Txn<'_>,
    id: RequestId,
    change: impl FnOnce(&mut RequestRecord),
) -> Result<(), StoreError> {
    if let Some(mut request) = txn.record::<RequestRecord>(&Table::Request.id(id.0))? {
        change(&mut request);
        put(txn, &request);
    }
    Ok(())
}

pub(super) fn collapsed(txn: &mut Txn<'_>, request: RequestId, into: RequestId) -> Result<(), StoreError> {
    change(txn, request, |request| request.collapsed_into = Some(into))
}

pub(super) fn priority(txn: &mut Txn<'_>, request: RequestId, priority: i64) -> Result<(), StoreError> {
    change(txn, request, |request| request.priority = priority)
}

/// A request that ends without a build counts as claimed at its end.
pub(super) fn ended(txn: &mut Txn<'_>, at: Timestamp, request: RequestId, outcome: Outcome) -> Result<(), StoreError> {
    change(txn, request, |request| {
        request.claimed.get_or_insert(at);
        request.completed = Some(at);
        request.outcome = Some(outcome);
    })
}

pub(super) fn waits(txn: &mut Txn<'_>, request: RequestId) -> Result<(), StoreError> {
    change(txn, request, |request| {
        request.claimed = None;
        request.completed = None;
        request.outcome = None;
        request.collapsed_into = None;
    })
}

pub(super) fn buildset_ended(
    txn: &mut Txn<'_>,
    at: Timestamp,
    buildset: BuildsetId,
    outcome: Outcome,
) -> Result<(), StoreError> {
    txn.update::<BuildsetRecord>(Table::Buildset.id(buildset.0), |buildset| {
        buildset.completed = Some(at);
        buildset.outcome = Some(outcome);
    })
}
