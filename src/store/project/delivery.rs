//! Reports: those in the outbox, and the newest of those that did not arrive as they were meant.

use super::alerts;
use super::report::StoredReport;
use crate::base::Timestamp;
use crate::model::{DeliveryRecord, Report, ReportId};
use crate::store::StoreError;
use crate::store::backend::Direction;
use crate::store::key::Table;
use crate::store::txn::{Records as _, Txn};

/// Reports that were given up or delivered in part: the newest ones are kept. More than a person looks through.
const UNDELIVERED_MAX: usize = 200;

pub(super) fn queued(txn: &mut Txn<'_>, report: &Report) {
    let stored = StoredReport { report: report.clone(), error: None, remarks: Vec::new() };
    txn.put(Table::Outbox.id(report.id.0), &stored);
}

pub(super) fn failed(txn: &mut Txn<'_>, at: Timestamp, report: ReportId, error: &str) -> Result<(), StoreError> {
    let Some(stored) = find(txn, report)? else { return Ok(()) };
    alerts::report_failed(txn, at, &stored, error)?;
    txn.put(Table::Outbox.id(report.0), &StoredReport { error: Some(error.to_owned()), ..stored });
    Ok(())
}

pub(super) fn remarked(
    txn: &mut Txn<'_>,
    at: Timestamp,
    report: ReportId,
    remarks: &[String],
) -> Result<(), StoreError> {
    let Some(stored) = find(txn, report)? else { return Ok(()) };
    alerts::report_remarked(txn, at, &stored, remarks)?;
    keep(txn, DeliveryRecord { report: stored.report.clone(), at, given_up: false, why: remarks.join("\n") })?;
    txn.put(Table::Outbox.id(report.0), &StoredReport { remarks: remarks.to_vec(), ..stored });
    Ok(())
}

pub(super) fn sent(txn: &mut Txn<'_>, report: ReportId) -> Result<(), StoreError> {
    let Some(stored) = find(txn, report)? else { return Ok(()) };
    alerts::report_sent(txn, &stored)?;
    txn.remove(Table::Outbox.id(report.0));
    Ok(())
}

pub(super) fn dropped(txn: &mut Txn<'_>, at: Timestamp, report: ReportId, why: &str) -> Result<(), StoreError> {
    let Some(stored) = find(txn, report)? else { return Ok(()) };
    alerts::report_dropped(txn, at, &stored, why)?;
    txn.remove(Table::Outbox.id(report.0));
    keep(txn, DeliveryRecord { report: stored.report, at, given_up: true, why: why.to_owned() })
}

fn find(txn: &Txn<'_>, report: ReportId) -> Result<Option<StoredReport>, StoreError> {
    txn.record(&Table::Outbox.id(report.0))
}

fn keep(txn: &mut Txn<'_>, record: DeliveryRecord) -> Result<(), StoreError> {
    txn.put(Table::Undelivered.id(record.report.id.0), &record);
    let kept = txn.ids(&Table::Undelivered.all(), Direction::Ascending, UNDELIVERED_MAX + 1)?;
    if kept.len() > UNDELIVERED_MAX {
        txn.remove(Table::Undelivered.id(kept[0]));
    }
    Ok(())
}
