//! The read side: records as pages and the API want them, straight from the backend.
//!
//! Every list follows an index, so its cost depends on what it returns and not on the length of the history. An
//! index entry whose record is gone (it was retired meanwhile) is passed over.

mod artifacts;
mod builds;
mod names;
mod requests;
mod results;

use serde::de::DeserializeOwned;

use super::backend::Backend;
use super::key::Table;
use super::txn::Records as _;
use super::{Scan, StoreError};

/// The records of a table, by their ids.
fn list<T: DeserializeOwned>(backend: &dyn Backend, table: Table, scan: &Scan) -> Result<Vec<T>, StoreError> {
    backend.records(&table.part(scan), scan.direction(), scan.limit)
}

/// The records of `table` that the keys of an index end with.
fn by_ids<T: DeserializeOwned>(
    backend: &dyn Backend,
    table: Table,
    ids: impl IntoIterator<Item = u64>,
) -> Result<Vec<T>, StoreError> {
    let records = ids.into_iter().map(|id| backend.record::<T>(&table.id(id)));
    records.filter_map(Result::transpose).collect()
}
