//! Polls a git repository.
//!
//! ```text
//!   ls-remote ──► tips == cursor? ──yes──► nothing new
//!                      │ no
//!                      ▼
//!   fetch what moved into a bare cache ──► walk from each old tip to the new one ──► changes, new cursor
//! ```
//!
//! The git program talks to servers, so that the SSH keys and credential helpers of the user that runs the master
//! work; commits are read in process. The cache holds nothing that cannot be fetched again: if it is broken, it is
//! made anew, once a poll.

mod branches;
mod cache;
mod commit;
mod encoding;
mod explain;
mod history;
mod poll;
mod program;
mod remote;

pub(super) use poll::poll_git;
pub use program::GitProgram;
