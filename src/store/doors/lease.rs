//! Who is the master.

use std::fmt;

use crate::store::StoreError;

/// Who may write. It is taken when the store is opened, and ends with its process or when the store is closed.
pub trait Lease: Send + Sync + fmt::Debug {
    /// Which holding this is: greater for each later one. What an earlier holder still sends is known by its lower number.
    fn epoch(&self) -> u64;
    /// Fails when the lease was lost: nothing may be written any more. Blocks.
    fn check(&self) -> Result<(), StoreError>;
}
