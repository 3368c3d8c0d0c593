//! What is kept: facts, history records, configurations, logs.
//!
//! Facts are truth; records and indexes are a fold over them ([`Store`] keeps both in a database, and the facts
//! once more in files from which the database can be made again). Logs are files. This room knows no engine and no
//! configuration language: snapshots and configurations are bytes to it. `docs/design/store.md` has the whole picture.

mod backend;
mod blocking;
mod codec;
mod configs;
mod error;
mod facts;
mod folder;
mod forward;
mod frame;
mod handle;
mod history;
mod keeper;
mod key;
mod logs;
pub mod maintain;
mod opening;
mod project;
mod retire;
mod room;
mod settle;
mod snapshot;
mod txn;
mod writer;

pub use error::StoreError;
pub use handle::{Recovered, Scan, Store, StoreOptions};
pub use logs::{LeftOut, LogGrowth, LogLimits, LogLine, LogPart, Logs};
