//! The bodies of logs. They are removed with their builds, by [`Journal::retire`](super::Journal::retire).

use std::fmt;

use super::Pending;
use crate::model::{BuildId, LogId};
use crate::store::{LeftOut, LogLine, LogPart, StoreError};

/// Reads bodies of logs. Blocks, for microseconds with a store on the local disk.
pub trait LogReader: Send + Sync + fmt::Debug {
    /// How many lines there are, those left out included.
    fn lines(&self, build: BuildId, log: LogId) -> Result<u64, StoreError>;
    /// Up to `count` lines from `first`.
    fn read(&self, build: BuildId, log: LogId, first: u64, count: u64) -> Result<Vec<LogLine>, StoreError>;
    /// The lines that the log's bounds left out, if any.
    fn left_out(&self, build: BuildId, log: LogId) -> Result<Option<LeftOut>, StoreError>;
    /// The last `count` lines.
    fn tail(&self, build: BuildId, log: LogId, count: u64) -> Result<Vec<LogLine>, StoreError> {
        let first = self.lines(build, log)?.saturating_sub(count);
        self.read(build, log, first, count)
    }
}

/// Part `n` of what a source (a command, or the master) writes to a log.
#[derive(Clone, Debug)]
pub struct SourcePart<'a> {
    /// The source.
    pub source: &'a str,
    /// The number of the part: the parts of a source come in order, from 0.
    pub n: u64,
    /// The lines.
    pub part: LogPart,
}

/// Writes them.
pub trait LogStore: LogReader {
    /// Gives a part its place: what is appended to logs or journal after that becomes durable only together with it. The second
    /// answer comes when it is durable. A part that is there already is left out.
    fn place<'a>(&'a self, build: BuildId, log: LogId, part: SourcePart<'a>) -> Pending<'a, Pending<'static, ()>>;
    /// Appends a part; durable when it is done.
    fn append<'a>(&'a self, build: BuildId, log: LogId, part: SourcePart<'a>) -> Pending<'a, ()> {
        Box::pin(async move { self.place(build, log, part).await?.await })
    }
    /// The number of the next part expected of a source.
    fn next(&self, build: BuildId, log: LogId, source: &str) -> Result<u64, StoreError>;
    /// From now on the log keeps about so many bytes of text, head and tail; what was kept before stays. It is not
    /// remembered by a restart.
    fn limit(&self, build: BuildId, log: LogId, bytes_max: u64) -> Pending<'_, ()>;
    /// No more lines follow; gives their number.
    fn finish(&self, build: BuildId, log: LogId) -> Pending<'_, u64>;
}
