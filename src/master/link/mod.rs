//! The master's end of one worker's connection, for stock workers and our own (docs/design/worker-link.md).
//!
//! The way of a connection, as its owner writes it:
//!
//! ```text
//! let newcomer = link::greet(socket, Limits::default()).await?;             // who is it?
//! if let Some(old) = present.get(&worker) {
//!     match link::arbitrate(old, &newcomer).await {                         // two with one name?
//!         Verdict::Refuse { why } => { newcomer.refuse(&why).await; return }
//!         Verdict::Replace { why } => old.disconnect(&why),
//!     }
//! }
//! let (handle, orders) = link::link(&worker, epoch, &newcomer);             // keep the handle for the effects
//! let end = link::serve(host, newcomer, orders).await;                      // until it ends
//! ```
//!
//! A link knows the wire and what a command's output and end mean. It knows no engine: what it observes goes to
//! its [`LinkHost`] as inputs, what to do comes as [`LinkOrder`]s. It keeps nothing that a restart would miss.

mod arbitrate;
mod command;
mod greet;
mod handle;
mod host;
mod lane;
mod limits;
mod order_args;
mod outcome;
mod output;
mod paths;
mod serve;
mod session;
mod shell_version;
mod sweep;

pub use arbitrate::{Verdict, arbitrate};
pub use greet::{Newcomer, greet};
pub use handle::{Identity, LinkHandle, LinkOrder, LinkOrders, link};
pub use host::{LinkHost, LogPlace};
pub use limits::Limits;
pub use serve::serve;
