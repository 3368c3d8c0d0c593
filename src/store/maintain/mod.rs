//! Care of a store that no master has open: check, rebuild, compact, export, import.
//!
//! Each takes the folder's lock, tells its progress to a callback, and returns a report. `docs/design/store.md`
//! describes the dump format.

mod rebuild;

pub use rebuild::{RebuildReport, rebuild};
pub(crate) use rebuild::{is_complete, mark_complete, rebuild_database, set_aside};

/// How far a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is counted: `facts`, `builds`, `logs`.
    pub what: &'static str,
    /// How many are done.
    pub done: u64,
    /// How many there are, where known.
    pub total: Option<u64>,
}

/// Who is told.
pub type Tell<'a> = &'a mut dyn FnMut(Progress);

/// News come once per so many things, so that telling costs nothing.
const TELL_EVERY: u64 = 1000;
