//! Orders that were carried out, for the audit log.

use crate::model::{AuditAct, AuditRecord, Fact};
use crate::store::StoreError;
use crate::store::backend::Direction;
use crate::store::key::Table;
use crate::store::txn::{Records as _, Txn};

/// Entries that are kept: some years' worth of orders of a busy installation, at about 100 bytes each. The facts keep all.
const ENTRIES_MAX: u64 = 100_000;
/// Name of the counter of entries.
const TOTAL: &str = "audit_total";

/// Takes note of an order, if the fact tells of one.
pub(super) fn told(txn: &mut Txn<'_>, fact: &Fact) -> Result<(), StoreError> {
    let Some((by, act)) = AuditAct::of(fact) else { return Ok(()) };
    txn.put(Table::Audit.id(fact.seq), &AuditRecord { seq: fact.seq, at: fact.at, by: by.clone(), act });
    let total = txn.count(Table::Meta.name(TOTAL), |total| total + 1)?;
    if total > ENTRIES_MAX
        && let Some(oldest) = txn.ids(&Table::Audit.all(), Direction::Ascending, 1)?.first()
    {
        txn.remove(Table::Audit.id(*oldest));
        txn.count(Table::Meta.name(TOTAL), |total| total - 1)?;
    }
    Ok(())
}
