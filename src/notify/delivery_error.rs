//! Why a report was not delivered.

use std::time::Duration;

use crate::base::Timestamp;

/// Why a report was not delivered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DeliveryError {
    /// For people: which server, at what, and its words.
    pub message: String,
    /// Trying again cannot help.
    pub final_: bool,
    /// How long the server wants to be left alone, if it says so.
    pub pause: Option<Pause>,
}

/// How long a server wants to be left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    For(Duration),
    Until(Timestamp),
}
