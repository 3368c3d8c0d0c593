//! The bodies of logs: durable when appended, quick to read at any line, bounded in size.
//!
//! ```text
//! append ─┐                                                            a long log's own files
//! append ─┼─► journal ─► buffer of each log ── full block ───────────► [block][block]…[index]
//! close  ─┘              (readers see it)   └─ short and over ───────► a pack, together with others
//! ```
//!
//! A part is answered once the journal is synced. Blocks of some hundred lines follow lazily into the log's file; before a segment of
//! the journal goes, the files behind it are synced. Parts are numbered by their source, and each form of a log tells how far each
//! source got, so a part that comes twice is left out, also after a crash.

mod block;
mod buffer;
mod cache;
mod growth;
mod handle;
mod handles;
mod inspect;
mod key;
mod limits;
mod line;
mod log;
mod packed;
mod read;
mod record;
mod segment;
#[cfg(test)]
mod tests;
mod writing;

pub use handle::Logs;
pub(crate) use inspect::{file_name, inspect_file, inspect_packed, is_log_file, log_file, log_files};
pub(crate) use key::LogKey;
pub use limits::LogLimits;
pub use line::{LeftOut, LogLine, LogPart};
pub(crate) use record::{push_part, records};
pub(crate) use writing::{LogWriting, LogsToKeep};
