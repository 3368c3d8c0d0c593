//! What is kept: facts, history records, configurations, logs.
//!
//! Facts are truth; records and indexes are a fold over them. What is committed or appended is one entry of the journal and one sync;
//! from there facts go to packs, records to a database that can be made again, logs to packs and files. This room knows no engine and no
//! configuration language: snapshots and configurations are bytes to it. `docs/design/store.md` has the whole picture.

mod artifacts;
mod backend;
mod background;
mod blocking;
mod catch_up;
mod codec;
mod compression;
mod configs;
mod database;
mod directory;
mod disk_space;
mod doors;
mod error;
mod facts;
mod frame;
mod handle;
mod history;
mod installation;
mod journal;
mod key;
mod logs;
pub mod maintain;
mod opening;
mod packing;
mod packs;
mod project;
mod recent;
mod recovered;
mod removal;
mod retention;
mod scan;
mod snapshot;
mod txn;
mod varint;
mod write_queue;
mod writer;

pub use artifacts::Artifacts;
pub use doors::{
    ArtifactStore, History, Journal, Lease, LogReader, LogStore, SourcePart, UploadContent, UploadError, UploadForm,
};
pub use error::StoreError;
pub use handle::{Store, StoreOptions};
pub use logs::{LeftOut, LogLimits, LogLine, LogPart, Logs};
pub use recovered::Recovered;
pub use scan::Scan;
