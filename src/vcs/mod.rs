//! Change sources: repositories and hook payloads to [`NewChange`](crate::model::NewChange).
//!
//! This room knows no scheduler and no store. What a source has seen is a [`Cursor`](crate::model::Cursor) that the
//! caller keeps, so a poll that is lost is simply made again.

mod address;
mod bounds;
mod bzr;
mod gerrit;
mod git;
mod hg;
mod hook;
#[cfg(test)]
mod list;
mod poll;
mod poll_error;
mod poll_tools;
mod program;
mod pulls;
mod svn;

pub use bounds::bounded;
pub use gerrit::{GerritEvent, listen_to_gerrit};
pub use git::GitProgram;
pub use hook::{Heard, HookCall, HookError, Meaning, base_hook, change_of, check_proof, hear, record_of};
pub use poll::{poll, poll_with};
pub use poll_error::PollError;
pub use poll_tools::PollTools;
