//! Change sources: repositories and hook payloads to [`NewChange`](crate::model::NewChange).
//!
//! This room knows no scheduler and no store. What a source has seen is a [`Cursor`](crate::model::Cursor) that the
//! caller keeps, so a poll that is lost is simply made again.

mod address;
mod bounds;
mod git;
mod hook;
#[cfg(test)]
mod list;
mod poll;
mod poll_error;

pub use bounds::bounded;
pub use git::GitProgram;
pub use hook::{Heard, HookCall, HookError, Meaning, base_hook, change_of, check_proof, hear, record_of};
pub(crate) use poll::poll;
pub use poll::poll_with;
pub use poll_error::PollError;
