//! Single values: counters, the refused configuration, adopted ones, the outbox.

use serde::{Deserialize, Serialize};

use crate::base::Timestamp;
use crate::model::{Fact, Report, ReportId};
use crate::store::StoreError;
use crate::store::key::Table;
use crate::store::txn::Txn;

/// The number of the last fact.
pub(crate) const LAST_SEQ: &str = "last_seq";
/// How many builds there are.
pub(crate) const BUILDS_TOTAL: &str = "builds_total";
/// The refused configuration that is newer than the one in force.
pub(crate) const PLAN_REFUSED: &str = "plan_refused";

/// A refused configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredRefusal {
    pub at: Timestamp,
    pub message: String,
}

/// A report in the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredReport {
    pub report: Report,
    /// Why the last try failed.
    pub error: Option<String>,
}

pub(super) fn plan_adopted(txn: &mut Txn<'_>, fact: &Fact) {
    txn.put(Table::PlanAdopted.id(fact.seq), fact);
    txn.remove(Table::Meta.name(PLAN_REFUSED));
}

pub(super) fn plan_refused(txn: &mut Txn<'_>, at: Timestamp, message: &str) {
    txn.put(Table::Meta.name(PLAN_REFUSED), &StoredRefusal { at, message: message.to_owned() });
}

pub(super) fn report_queued(txn: &mut Txn<'_>, report: &Report) {
    txn.put(Table::Outbox.id(report.id.0), &StoredReport { report: report.clone(), error: None });
}

pub(super) fn report_failed(txn: &mut Txn<'_>, report: ReportId, error: &str) -> Result<(), StoreError> {
    txn.update::<StoredReport>(Table::Outbox.id(report.0), |stored| stored.error = Some(error.to_owned()))
}
