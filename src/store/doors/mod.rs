//! The doors of a store, in words of the model: what another backend has to offer.
//!
//! * [`Journal`]: facts become durable, and a restart gets back what it needs.
//! * [`History`]: questions about what happened.
//! * [`LogStore`]: the bodies of logs; [`LogReader`] is the half of those who only look.
//! * [`ArtifactStore`]: the contents of artifacts.
//! * [`Lease`]: who is the master.
//!
//! What waits for a disk is asynchronous ([`Pending`]); everything else blocks, so that rows can be read one by one where they are
//! written out. How facts become records is each backend's own matter, and so are opening, checking and repairing. `contract` has the
//! cases that each backend passes.

mod artifacts;
#[cfg(test)]
mod contract;
mod history;
mod journal;
mod lease;
mod logs;
mod store;

use std::future::Future;
use std::pin::Pin;

pub use self::artifacts::{ArtifactStore, UploadContent, UploadError, UploadForm};
pub use self::history::History;
pub use self::journal::Journal;
pub use self::lease::Lease;
pub use self::logs::{LogReader, LogStore, SourcePart};
use super::error::StoreError;

/// An answer that comes when something is durable.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;
