//! Reports that are not delivered yet.

use serde::{Deserialize, Serialize};

use crate::base::Timestamp;
use crate::model::Report;

/// A report in the outbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Queued {
    pub report: Report,
    /// Deliveries that failed.
    pub tries: u64,
    /// Not before then.
    pub due: Timestamp,
}
