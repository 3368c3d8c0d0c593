//! The master's end of one worker's connection, for stock workers and our own (docs/design/worker-link.md).
//!
//! How the owner of a connection uses this module:
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
//! A link knows the protocol, and what the output and the end of a command mean. It does not know the engine: it passes
//! what it observes to its [`LinkHost`] as inputs, and gets its work as [`LinkOrder`]s. It holds nothing that a restart
//! would miss.

mod arbitrate;
mod command;
mod decoding;
mod greet;
mod handle;
mod host;
mod identity;
mod lane;
mod limits;
mod logged_output;
mod order_args;
mod outcome;
mod output;
mod paths;
mod serve;
mod session;
mod shell_version;
mod sweep;
mod transfer;

pub use arbitrate::{Verdict, arbitrate};
pub use greet::{Newcomer, greet};
pub use handle::{LinkHandle, LinkOrder, LinkOrders, link};
pub use host::{ArtifactRoom, Durable, LinkHost, LogPlace};
pub use identity::Identity;
pub use limits::Limits;
pub use serve::serve;
