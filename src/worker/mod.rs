//! The worker: connection, workspace, command runner, log stream, spool.

mod face;
mod order;
mod runner;
mod spool;

pub use face::*;
pub use runner::run_command;
