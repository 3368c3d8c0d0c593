//! Single values: counters, the refused configuration, adopted ones.

use serde::{Deserialize, Serialize};

use crate::base::Timestamp;
use crate::model::Fact;
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

pub(super) fn plan_adopted(txn: &mut Txn<'_>, fact: &Fact) {
    txn.put(Table::PlanAdopted.id(fact.seq), fact);
    txn.remove(Table::Meta.name(PLAN_REFUSED));
}

pub(super) fn plan_refused(txn: &mut Txn<'_>, at: Timestamp, message: &str) {
    txn.put(Table::Meta.name(PLAN_REFUSED), &StoredRefusal { at, message: message.to_owned() });
}
