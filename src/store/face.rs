//! Signatures that the other rooms use; bodies follow.
#![allow(clippy::missing_errors_doc, unused_variables, clippy::unused_async, clippy::todo)]

use super::StoreError;
use super::folder::Folder;
use super::room::Room;
use crate::base::Timestamp;
use crate::model::*;

#[derive(Clone, Debug, Default)]
pub struct LogLimits {}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// `o` stdout, `e` stderr, `h` header; `t` for logs of text.
    pub stream: char,
    pub at: Timestamp,
    /// Without the line end; any bytes.
    pub text: bytes::Bytes,
}

/// Lines of one stream as they come from a worker, not yet split: `text` holds whole lines, each ended by
/// a newline (the last may lack it); `times` one per line, padded with the last one known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPart {
    pub stream: char,
    pub text: bytes::Bytes,
    pub times: Vec<Timestamp>,
}

/// The bodies of logs.
#[derive(Clone, Debug)]
pub struct Logs {}

impl Logs {
    pub(crate) fn open(folder: &Folder, limits: &LogLimits, room: Option<Room>) -> Result<Self, StoreError> {
        Ok(Self {})
    }
    pub(crate) async fn remove_logs(&self, build: BuildId) -> Result<(), StoreError> {
        Ok(())
    }
    pub(crate) async fn remove_build(&self, build: BuildId) -> Result<(), StoreError> {
        Ok(())
    }
    pub(crate) fn shut_down(&self) -> Result<(), StoreError> {
        Ok(())
    }
    /// Appends part `n` (from 0, without gaps) of `source` (a command id, or `master`) to a log. A part that is there
    /// already is left out. Durable when it returns; appends of several callers share one sync.
    pub async fn append(
        &self,
        build: BuildId,
        log: LogId,
        source: &str,
        n: u64,
        part: LogPart,
    ) -> Result<(), StoreError> {
        todo!()
    }
    /// The number of the next part expected of a source (0 if nothing came yet): what a resumed command goes on from.
    pub fn next(&self, build: BuildId, log: LogId, source: &str) -> Result<u64, StoreError> {
        todo!()
    }
    /// No more lines follow; returns their number. Idempotent.
    pub async fn close(&self, build: BuildId, log: LogId) -> Result<u64, StoreError> {
        todo!()
    }
    /// Number of lines now.
    pub fn lines(&self, build: BuildId, log: LogId) -> Result<u64, StoreError> {
        todo!()
    }
    /// Up to `count` lines from `first`; fewer at the end. Quick at any place of a large log.
    pub fn read(&self, build: BuildId, log: LogId, first: u64, count: u64) -> Result<Vec<LogLine>, StoreError> {
        todo!()
    }
    /// The last `count` lines.
    pub fn tail(&self, build: BuildId, log: LogId, count: u64) -> Result<Vec<LogLine>, StoreError> {
        todo!()
    }
}
