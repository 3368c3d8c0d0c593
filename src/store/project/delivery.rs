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
    let stored = StoredReport { report: report.clone(), error: None, remarks: Vec::new(), tries: 0, retry: None };
    txn.put(Table::Outbox.id(report.id.0), &stored);
    if let Some(before) = report.again {
        txn.remove(Table::Undelivered.id(before.0));
    }
}

pub(super) fn failed(
    txn: &mut Txn<'_>,
    at: Timestamp,
    report: ReportId,
    error: &str,
    (tries, retry): (u64, Timestamp),
) -> Result<(), StoreError> {
    let Some(stored) = find(txn, report)? else { return Ok(()) };
    alerts::report_failed(txn, at, &stored, error)?;
    let stored = StoredReport { error: Some(error.to_owned()), tries, retry: Some(retry), ..stored };
    txn.put(Table::Outbox.id(report.0), &stored);
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
    let (report_sent, tries) = (stored.report.clone(), stored.tries + 1);
    keep(txn, DeliveryRecord { report: report_sent, at, given_up: false, tries, why: remarks.join("\n") })?;
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
    let tries = stored.tries + 1;
    keep(txn, DeliveryRecord { report: stored.report, at, given_up: true, tries, why: why.to_owned() })
}

/// A later report says all that this one would have said.
pub(super) fn superseded(txn: &mut Txn<'_>, report: ReportId) -> Result<(), StoreError> {
    let Some(stored) = find(txn, report)? else { return Ok(()) };
    alerts::report_superseded(txn, &stored)?;
    txn.remove(Table::Outbox.id(report.0));
    Ok(())
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
