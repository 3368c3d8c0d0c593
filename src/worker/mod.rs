//! The worker: connection, workspace, command runner, log stream, spool.

mod face;
pub use face::*;
