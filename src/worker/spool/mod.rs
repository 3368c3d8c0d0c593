//! The spool: a folder for each command, which outlives worker and runner.
//!
//! ```text
//! spool/<command id>/   order   what to do, written before the start is answered
//!                       started by the runner, create-new: who fails to create it must not start the command
//!                       lock    held by the runner while it lives
//!                       out     frames, appended by the runner
//!                       end     the result, put in place as one
//!                       acked   how many frames the master has for good, by the worker
//!                       stop    how hard to stop, by the worker
//! ```
//! Knows files only: no processes, no network.

mod ending;
mod folder;
mod frame;
mod out;
mod records;

pub(super) use ending::{Ending, StoredEnd, StoredReport};
pub(super) use folder::{Folder, Spool};
pub(super) use frame::{read_frame, seal};
pub(super) use out::{OutReader, OutWriter, Part, Stream, TimeRun};
pub(super) use records::{Acked, Stop, StopLevel};
