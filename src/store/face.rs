//! Signatures that the other rooms use; bodies follow.
#![allow(clippy::missing_errors_doc, unused_variables, clippy::unused_async, clippy::todo)]

use std::path::Path;
use std::sync::Arc;

use crate::base::Timestamp;
use crate::model::*;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("placeholder")]
    Placeholder,
}

/// Which part of an ordered list to read.
#[derive(Clone, Copy, Debug)]
pub struct Scan {
    /// Start after this key (in the direction of reading); none: at the end the direction starts from.
    pub after: Option<u64>,
    pub descending: bool,
    pub limit: usize,
}

/// What a restart needs.
#[derive(Debug, Default)]
pub struct Recovered {
    /// The newest whole snapshot of the engine: facts up to and including `.0` are in it.
    pub snapshot: Option<(u64, Vec<u8>)>,
    /// The facts after it, in order.
    pub facts: Vec<Fact>,
}

/// A handle; cheap to clone. Reading methods block for microseconds and may be called anywhere;
/// `commit` is the only way to write facts.
#[derive(Clone, Debug)]
pub struct Store {}

impl Store {
    /// Opens or makes the store in `dir`; refuses a folder that another process holds or that a newer version wrote.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        todo!()
    }
    /// A store whose records live in memory; logs go to `dir`. For tests, the simulator and local runs.
    pub fn in_memory(dir: &Path) -> Result<Self, StoreError> {
        todo!()
    }
    /// A random id, drawn when the store was made.
    pub fn installation(&self) -> String {
        todo!()
    }

    /// Makes facts durable and visible in the records, all or none. Facts of several callers are merged into one flush.
    pub async fn commit(&self, facts: Vec<Arc<Fact>>) -> Result<(), StoreError> {
        todo!()
    }
    /// The same for callers outside the runtime.
    pub fn commit_blocking(&self, facts: Vec<Arc<Fact>>) -> Result<(), StoreError> {
        todo!()
    }
    /// What a restart begins with.
    pub fn recover(&self) -> Result<Recovered, StoreError> {
        todo!()
    }
    /// Keeps a snapshot; facts that it covers are dropped from the tail (they stay in the fact files).
    pub async fn save_snapshot(&self, seq: u64, bytes: Vec<u8>) -> Result<(), StoreError> {
        todo!()
    }

    pub fn put_config(&self, digest: &ConfigDigest, bytes: &[u8]) -> Result<(), StoreError> {
        todo!()
    }
    pub fn config(&self, digest: &ConfigDigest) -> Result<Option<Vec<u8>>, StoreError> {
        todo!()
    }

    pub fn masters(&self) -> Result<Vec<MasterRecord>, StoreError> {
        todo!()
    }
    pub fn builders(&self) -> Result<Vec<BuilderRecord>, StoreError> {
        todo!()
    }
    pub fn builder(&self, id: BuilderId) -> Result<Option<BuilderRecord>, StoreError> {
        todo!()
    }
    pub fn builder_named(&self, name: &str) -> Result<Option<BuilderRecord>, StoreError> {
        todo!()
    }
    pub fn workers(&self) -> Result<Vec<WorkerRecord>, StoreError> {
        todo!()
    }
    pub fn schedulers(&self) -> Result<Vec<SchedulerRecord>, StoreError> {
        todo!()
    }
    pub fn change_sources(&self) -> Result<Vec<ChangeSourceRecord>, StoreError> {
        todo!()
    }

    pub fn change(&self, id: ChangeId) -> Result<Option<Change>, StoreError> {
        todo!()
    }
    pub fn changes(&self, scan: Scan) -> Result<Vec<Change>, StoreError> {
        todo!()
    }
    pub fn stamp(&self, id: SourceStampId) -> Result<Option<SourceStamp>, StoreError> {
        todo!()
    }
    pub fn stamps(&self, scan: Scan) -> Result<Vec<SourceStamp>, StoreError> {
        todo!()
    }
    /// The newest change with this stamp.
    pub fn change_of_stamp(&self, id: SourceStampId) -> Result<Option<Change>, StoreError> {
        todo!()
    }

    pub fn buildset(&self, id: BuildsetId) -> Result<Option<BuildsetRecord>, StoreError> {
        todo!()
    }
    pub fn buildsets(&self, scan: Scan) -> Result<Vec<BuildsetRecord>, StoreError> {
        todo!()
    }
    pub fn request(&self, id: RequestId) -> Result<Option<RequestRecord>, StoreError> {
        todo!()
    }
    pub fn requests(&self, scan: Scan) -> Result<Vec<RequestRecord>, StoreError> {
        todo!()
    }
    pub fn requests_of_builder(&self, builder: BuilderId, scan: Scan) -> Result<Vec<RequestRecord>, StoreError> {
        todo!()
    }
    /// Neither complete nor claimed, by id.
    pub fn requests_waiting(&self, scan: Scan) -> Result<Vec<RequestRecord>, StoreError> {
        todo!()
    }

    pub fn build(&self, id: BuildId) -> Result<Option<BuildRecord>, StoreError> {
        todo!()
    }
    pub fn build_by_number(&self, builder: BuilderId, number: u64) -> Result<Option<BuildRecord>, StoreError> {
        todo!()
    }
    pub fn builds(&self, scan: Scan) -> Result<Vec<BuildRecord>, StoreError> {
        todo!()
    }
    /// By number; `scan.after` is a number.
    pub fn builds_of_builder(&self, builder: BuilderId, scan: Scan) -> Result<Vec<BuildRecord>, StoreError> {
        todo!()
    }
    pub fn builds_of_worker(&self, worker: WorkerId, scan: Scan) -> Result<Vec<BuildRecord>, StoreError> {
        todo!()
    }
    pub fn builds_of_request(&self, request: RequestId) -> Result<Vec<BuildRecord>, StoreError> {
        todo!()
    }
    pub fn builds_running(&self) -> Result<Vec<BuildRecord>, StoreError> {
        todo!()
    }
    /// Builds of buildsets whose parent is this build.
    pub fn builds_triggered_by(&self, build: BuildId) -> Result<Vec<BuildRecord>, StoreError> {
        todo!()
    }
    /// How many there are: exact, and quick at a million.
    pub fn builds_total(&self) -> Result<u64, StoreError> {
        todo!()
    }

    pub fn steps(&self, build: BuildId) -> Result<Vec<StepRecord>, StoreError> {
        todo!()
    }
    pub fn step(&self, id: StepId) -> Result<Option<StepRecord>, StoreError> {
        todo!()
    }
    pub fn logs_of_step(&self, step: StepId) -> Result<Vec<LogRecord>, StoreError> {
        todo!()
    }
    /// With the present number of lines while it grows.
    pub fn log(&self, id: LogId) -> Result<Option<LogRecord>, StoreError> {
        todo!()
    }
    /// Reports still in the outbox, oldest first, each with its last error.
    pub fn outbox(&self) -> Result<Vec<(Report, Option<String>)>, StoreError> {
        todo!()
    }
    /// Refused configuration that is newer than the one in force.
    pub fn plan_refused(&self) -> Result<Option<(Timestamp, String)>, StoreError> {
        todo!()
    }
    /// Configurations adopted, newest first, at most `limit`.
    pub fn plans_adopted(&self, limit: usize) -> Result<Vec<Fact>, StoreError> {
        todo!()
    }

    pub fn logs(&self) -> Logs {
        todo!()
    }
    /// Removes what the rules no longer keep; returns the number of builds removed. Bounded work per call.
    pub fn retire(&self, rules: &RetentionPlan, now: Timestamp) -> Result<u64, StoreError> {
        todo!()
    }
    /// Ends the writer; everything committed is on disk when it returns.
    pub fn close(&self) -> Result<(), StoreError> {
        todo!()
    }
}

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
