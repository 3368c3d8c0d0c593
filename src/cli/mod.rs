//! The command line: a file a subcommand. The only room that wires the others together, and the only one
//! that speaks to standard output, by `output`, because `println!` panics when its reader has gone away.

mod args;
mod artifacts;
mod builds;
mod cancel;
mod check;
mod client;
mod credentials;
mod deliveries;
mod dispatch;
mod error;
mod force;
mod installation;
mod log;
mod login;
mod master;
mod output;
mod password;
mod pause;
mod progress;
mod rebuild;
mod reload;
mod security_log;
mod sendchange;
mod signals;
mod status;
mod stop;
mod store;
mod terminal;
mod tests;
mod token;
mod up;
mod user;
mod watch;
mod worker;

pub use dispatch::main;
