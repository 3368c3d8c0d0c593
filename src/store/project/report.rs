//! Reports in the outbox.

use serde::{Deserialize, Serialize};

use crate::base::Timestamp;
use crate::model::Report;

/// A report in the outbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredReport {
    pub report: Report,
    /// Why the last try failed.
    pub error: Option<String>,
    /// What is wrong with it although it could be delivered.
    #[serde(default)]
    pub remarks: Vec<String>,
    /// Deliveries that failed.
    #[serde(default)]
    pub tries: u64,
    /// When it is tried again.
    #[serde(default)]
    pub retry: Option<Timestamp>,
}
