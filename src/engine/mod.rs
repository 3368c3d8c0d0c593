//! The engine decides: which change starts what, who waits, what a build does next, who is told.
//!
//! A plain struct. It reads no clock, no disk, no socket; it knows no Starlark. The same inputs in the
//! same order give the same events and effects. All changes of state go through one function from
//! (state, fact) to state, used live and on recovery. See `docs/design/engine.md`.

/// A place where a test can plant a bug, to see whether the simulator finds it. Nothing in real builds.
macro_rules! sabotage {
    ($bug:ident => $what:expr) => {
        #[cfg(test)]
        if crate::engine::tests::sim::bugs::on(crate::engine::tests::sim::bugs::Bug::$bug) {
            $what;
        }
    };
}

mod adopt;
mod asked;
mod asking;
mod asks;
mod buildsets;
mod cause;
mod collapse;
mod command_ends;
mod commands;
mod core;
mod cron;
mod deadlocks;
mod decide;
mod deliveries;
mod dependents;
mod diff;
mod effect;
mod ends;
mod evaluate;
mod filter;
mod finish;
mod form;
mod in_flight;
mod input;
mod intake;
mod journal;
mod lending;
mod lines;
mod links;
mod locking;
mod matching;
mod outcomes;
mod pending;
mod questions;
mod queue_retries;
mod reports;
mod request_ends;
mod returns;
mod schedulers;
mod settle;
mod sources;
mod start;
mod state;
mod step_ends;
mod steps;
mod stop;
mod take;
mod timers;
mod triggers;
mod turn;
mod waiting;
mod watch;
mod words;
mod workers;

#[cfg(test)]
mod tests;

pub use self::core::{Engine, RestoreError};
pub use deliveries::DELIVERIES_MAX;
pub use effect::{CommandOrder, Deadline, Decided, Effect, Reply, SubmissionResult, WakeReason, Work};
pub use input::{CommandEnded, Input, PollResult, ResumeState, ResumedCommand, Ticket};

pub use waiting::StuckQueue;

pub use crate::model::StopLevel;
