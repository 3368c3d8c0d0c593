//! Whether the database can be trusted: it must be whole, and may not lack what it once had.

use super::StoreError;
use super::backend::{Backend, SledBackend};
use super::directory::Directory;
use super::key::Table;
use super::packs::last_packed;
use super::project::last_seq;
use super::txn::{Records as _, Txn};

/// Present once the database holds everything: a database without it is new, wiped, or was never finished.
const COMPLETE: &str = "format";

/// How records are stored in the database, its dictionary included. One of another number is made again.
const DATABASE_FORMAT: u64 = 4;

/// Why the database of a store that is not new cannot be trusted, if so.
pub(crate) fn verify_database(directory: &Directory, backend: &SledBackend) -> Result<Option<String>, StoreError> {
    if !is_complete(backend)? {
        return Ok(Some("it is empty or was never finished".to_owned()));
    }
    // Records reach the database before their facts are packed.
    let (last, packed) = (last_seq(backend)?, last_packed(&directory.packs())?);
    if packed > last {
        return Ok(Some(format!("it ends with fact {last}, but had fact {packed} at an earlier time")));
    }
    Ok(None)
}

/// Notes that the database holds everything.
pub(crate) fn mark_complete(backend: &dyn Backend) -> Result<(), StoreError> {
    let mut txn = Txn::new(backend);
    txn.put_number(Table::Meta.name(COMPLETE), DATABASE_FORMAT);
    backend.apply(txn.into_batch())
}

/// Whether the database holds everything.
pub(crate) fn is_complete(backend: &dyn Backend) -> Result<bool, StoreError> {
    Ok(backend.number(&Table::Meta.name(COMPLETE))? == Some(DATABASE_FORMAT))
}
