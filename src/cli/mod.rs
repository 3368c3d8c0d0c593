//! The command line: a file a subcommand. The only room that wires the others together, and the only one
//! that speaks to standard output.
#![expect(clippy::disallowed_macros, reason = "speaking to the person at the terminal is what this room is for")]

mod args;
mod builds;
mod check;
mod client;
mod error;
mod force;
mod log;
mod master;
mod output;
mod progress;
mod reload;
mod sendchange;
mod signals;
mod status;
mod stop;
mod store;
mod up;
mod watch;
mod worker;

pub use args::main;
