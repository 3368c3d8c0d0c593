//! How much room the disk has left.
//!
//! A database that hits a full disk refuses everything until it is opened again, and cannot be opened while
//! the disk is full. So the store refuses new facts and log parts a little earlier, and goes on by itself once
//! there is room.

use std::path::{Path, PathBuf};

use super::StoreError;

/// Bytes that must be free before anything is written: room for what sled and the file system write on
/// their own account after our last commit.
pub(crate) const FREE_BYTES_MIN: u64 = 64 << 20;

/// Watches the file system of a store.
#[derive(Clone, Debug)]
pub(crate) struct DiskSpace {
    dir: PathBuf,
    free_bytes_min: u64,
}

impl DiskSpace {
    /// Watches the file system that holds `dir`.
    pub fn new(dir: &Path, free_bytes_min: u64) -> Self {
        Self { dir: dir.to_owned(), free_bytes_min }
    }

    /// Refuses if there is too little room.
    pub fn check(&self) -> Result<(), StoreError> {
        match free_bytes(&self.dir) {
            Some(free) if free < self.free_bytes_min => Err(self.full(free)),
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses what can wait or fail if it would leave too little room for facts: twice as much has to be free.
    pub fn check_for_bulk(&self) -> Result<(), StoreError> {
        match free_bytes(&self.dir) {
            Some(free) if free < self.free_bytes_min.saturating_mul(2) => Err(self.full(free)),
            Some(_) | None => Ok(()),
        }
    }

    /// The error for a write that found no room, with the present figure; other errors pass.
    pub fn explain(&self, error: StoreError) -> StoreError {
        if error.is_full() { self.full(free_bytes(&self.dir).unwrap_or(0)) } else { error }
    }

    fn full(&self, free: u64) -> StoreError {
        StoreError::Full { dir: self.dir.clone(), free_mib: free >> 20 }
    }
}

/// Bytes that we may still use; none where the system does not say.
#[cfg(unix)]
fn free_bytes(dir: &Path) -> Option<u64> {
    rustix::fs::statvfs(dir).ok().map(|found| found.f_bavail.saturating_mul(found.f_frsize))
}

/// Bytes that we may still use; none where the system does not say.
#[cfg(not(unix))]
fn free_bytes(_dir: &Path) -> Option<u64> {
    None
}
