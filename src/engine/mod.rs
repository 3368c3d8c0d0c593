//! The engine decides: which change starts what, who waits, what a build does next, who is told.
//!
//! A plain struct. It reads no clock, no disk, no socket; it knows no Starlark. The same inputs in the
//! same order give the same events and effects. All changes of state go through one function from
//! (state, fact) to state, used live and on recovery. See `docs/design/engine.md`.

mod effect;
mod input;
mod state;

pub use effect::{CommandOrder, Deadline, Effect, Reply, StopLevel, Turn, WakeReason, Work};
pub use input::{ChangeReport, CommandEnded, ForceAsk, Input, RebuildAsk, ResumeState, ResumedCommand, Ticket};
pub use state::{Engine, Illegal, RestoreError};
