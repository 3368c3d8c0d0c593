//! HTTP: the API, the pages, live events, change hooks, and the door for workers.
//!
//! [`bind`] takes the port, [`serve`] serves it. What the master can be asked stands in [`Control`]; the forms
//! of our own API, which the command line uses too, in [`wire`]. Reads the store; changes nothing but through
//! the master.

mod api;
mod connection;
mod control;
mod hook;
mod live;
mod origin;
mod own;
mod request;
mod respond;
mod server;
mod site;
mod sync_stream;
mod ui;
pub mod wire;
mod worker_link;

pub use control::{Command, Control};
pub use server::{BindError, WebOptions, bind, serve};
