//! Why a poll failed, whatever the kind of source.

/// Why a poll told nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PollError {
    /// For people: what failed, of which repository, and what would do. Never a password.
    pub message: String,
}
