//! Removes contents that no record names: after retention, after a crash between a content and its fact, and after answers
//! that nobody waited for.

use std::fs;
use std::sync::atomic::{AtomicU8, Ordering};

use super::contents::Contents;
use super::incoming::is_older;
use crate::base::{Span, Timestamp};
use crate::model::ContentDigest;
use crate::store::StoreError;
use crate::store::backend::{Backend, Direction};
use crate::store::key::Table;
use crate::store::txn::Records as _;

/// A content is there before the fact that names it. A full disk can keep the fact waiting, but hardly for a day.
pub(super) const GRACE: Span = Span::from_minutes(24 * 60);

/// Buckets of one call, of 256: a few calls go through all of them.
const BUCKETS_AT_ONCE: u8 = 16;

/// Where the next call goes on.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    next: AtomicU8,
}

impl Sweep {
    /// Goes through the next buckets; returns how many contents were removed.
    pub fn next(&self, contents: &Contents, backend: &dyn Backend, now: Timestamp) -> Result<u64, StoreError> {
        let first = self.next.fetch_add(BUCKETS_AT_ONCE, Ordering::Relaxed);
        let mut removed = 0;
        for bucket in (0..BUCKETS_AT_ONCE).map(|step| contents.bucket(first.wrapping_add(step))) {
            let Ok(entries) = fs::read_dir(&bucket) else { continue };
            for entry in entries {
                let path = entry.map_err(StoreError::io("list", &bucket))?.path();
                let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
                let digest = ContentDigest(name.to_owned());
                let is_unused = || Ok(is_older(&path, GRACE, now) && !is_named(backend, &digest)?);
                if is_unused()? && contents.remove(&path, is_unused)? {
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }
}

/// Whether a record names a content.
pub(crate) fn is_named(backend: &dyn Backend, digest: &ContentDigest) -> Result<bool, StoreError> {
    Ok(!backend.pairs(&Table::ArtifactOfDigest.begins(&digest.0), Direction::Ascending, 1)?.is_empty())
}
