//! HTTP: the API, the pages, live events, change hooks, and the connections of workers.
//!
//! [`serve`] serves a port. [`Control`] lists what the master can be asked for, and [`wire`] has the forms of our own
//! API, which the command line uses as well. Reads the store; makes all changes through the master.

mod api;
mod artifacts;
mod audit;
mod bodies;
mod buildbot_auth;
mod connection;
mod control;
mod cookies;
mod dispatch;
mod history;
mod hook;
mod host_check;
mod identify;
mod live;
mod login_alerts;
mod origin;
mod request;
mod respond;
mod seats;
mod server;
mod shared;
mod starting;
mod starwright_api;
mod sync_stream;
mod ui;
pub mod wire;
mod worker_link;

pub use api::paths as api_paths;
pub use bodies::BodyLimits;
pub use connection::ConnectionTimeouts;
pub use control::Control;
pub use request::COMMAND_LINE;
pub use request::encode;
pub use seats::SeatLimits;
pub use server::{WebLimits, serve, serve_within};
pub use starting::answer_while_starting;
pub use starwright_api::paths as own_api_paths;
pub use ui::paths as page_paths;
