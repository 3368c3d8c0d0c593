//! The bodies of logs: durable when appended, quick to read at any line, bounded in size.
//!
//! ```text
//!             one thread                                                   a log's own files
//! append ─┐   ┌─ write-ahead file: parts of all logs, one sync a batch     head  tail tail …
//! append ─┼─► │                                                       ┌─► [block][block]…[index]
//! close  ─┘   └─ buffer of each log (readers see it) ── full block ───┘
//! ```
//!
//! A part is answered once the write-ahead file is synced. Blocks of some hundred lines follow lazily into the log's
//! file; when a write-ahead file is full, the files behind it are synced and it is removed. Parts are numbered by their
//! source, blocks tell how far each source got, so a part that comes twice is left out, also after a crash.

mod block;
mod buffer;
mod growth;
mod handle;
mod handles;
mod inspect;
mod line;
mod log;
mod owner;
mod read;
mod segment;
mod shelf;
#[cfg(test)]
mod tests;
mod varint;
mod wal;

pub use growth::LogGrowth;
pub use handle::{LogLimits, Logs};
pub(crate) use inspect::{inspect_file, is_log_file, log_files};
pub use line::{LeftOut, LogLine, LogPart};
