//! The spool: a few files for each command, which outlive worker and runner.
//!
//! ```text
//! spool/c-<command id>         the order, written by the worker before the start is answered; then the claim of the
//!                              start and the ending, by the runner, which holds the lock on it while it lives
//! spool/c-<command id>.out     frames, appended by the runner
//! spool/c-<command id>.acked   how many frames the master has, by the worker, once there are many
//! spool/c-<command id>.stop    how hard to stop, by the worker, if it is to
//! ```
//! Knows files only: no processes, no network.

mod directory;
mod ending;
mod frame;
mod out;
mod records;
mod spooled;

pub(super) use directory::Spool;
pub(super) use ending::{Ending, StoredEnd, StoredReport};
pub(super) use frame::{read_frame, seal};
pub(super) use out::{OutReader, OutWriter, Part, Stream, TimeRun};
pub(super) use records::{Acked, Stop};
pub(super) use spooled::{Claim, Claimed, Spooled};
