//! Facts, and what a restart needs beside them.

use std::fmt;
use std::sync::Arc;

use super::Pending;
use crate::base::Timestamp;
use crate::model::{ConfigDigest, Fact, RetentionPlan};
use crate::store::{Recovered, StoreError};

/// Facts, snapshots of the state they lead to, and the configurations that builds were started with.
pub trait Journal: Send + Sync + fmt::Debug {
    /// Makes facts durable, all or none. Their numbers follow the last one's.
    fn append(&self, facts: Vec<Arc<Fact>>) -> Pending<'_, ()>;
    /// Keeps the state after fact `seq`; durable when it is done.
    fn keep_snapshot(&self, seq: u64, bytes: Vec<u8>) -> Pending<'_, ()>;
    /// The newest snapshot and the facts after it. Blocks.
    fn recover(&self) -> Result<Recovered, StoreError>;
    /// Keeps a configuration; durable when it returns. One that is kept already stays as it is. Blocks.
    fn keep_configuration(&self, digest: &ConfigDigest, bytes: &[u8]) -> Result<(), StoreError>;
    /// A configuration that was kept. Blocks.
    fn configuration(&self, digest: &ConfigDigest) -> Result<Option<Vec<u8>>, StoreError>;
    /// Removes what the rules no longer keep, logs included; returns the number of builds removed. Bounded work per call.
    /// Blocks.
    fn retire(&self, rules: &RetentionPlan, now: Timestamp) -> Result<u64, StoreError>;
}
