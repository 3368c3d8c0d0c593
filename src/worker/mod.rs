//! The worker: connection, workspace, command runner, log stream, spool.
//!
//! [`run`] connects to a master and does what it asks. [`run_command`] is the process beside each command, which
//! outlives the worker (docs/design/worker-link.md).

mod address;
#[cfg(unix)]
mod command;
#[cfg(unix)]
mod connect;
#[cfg(unix)]
mod entry;
#[cfg(unix)]
mod files;
#[cfg(unix)]
mod filetask;
#[cfg(unix)]
mod info;
#[cfg(unix)]
mod link;
mod options;
#[cfg(unix)]
mod order;
#[cfg(unix)]
mod run;
#[cfg(unix)]
mod runner;
#[cfg(unix)]
mod runners;
#[cfg(unix)]
mod session;
#[cfg(unix)]
mod spool;
#[cfg(unix)]
mod stock;
#[cfg(unix)]
mod table;
#[cfg(unix)]
mod transfer;
#[cfg(not(unix))]
mod unsupported;

pub use options::Options;
#[cfg(test)]
pub use options::WorkerError;
#[cfg(unix)]
pub(crate) use run::run;
#[cfg(unix)]
pub(crate) use runner::run_command;
#[cfg(not(unix))]
pub(crate) use unsupported::{run, run_command};
