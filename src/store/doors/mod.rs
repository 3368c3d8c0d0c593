//! The four doors of a store, in words of the model: what another backend has to offer.
//!
//! * [`Journal`]: facts become durable, and a restart gets back what it needs.
//! * [`History`]: questions about what happened.
//! * [`LogStore`]: the bodies of logs.
//! * [`Lease`]: who is the master.
//!
//! Everything is asynchronous, because another backend asks a server. How facts become records is each backend's own matter, and so
//! are opening, checking and repairing. `contract` has the cases that each backend passes.

#[cfg(test)]
mod contract;
mod store;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use super::error::StoreError;
use super::logs::{LeftOut, LogLine, LogPart};
use super::recovered::Recovered;
use super::scan::Scan;
use crate::base::Timestamp;
use crate::model::{
    BuildId, BuildRecord, BuilderId, BuilderRecord, BuildsetRecord, Change, ConfigDigest, Fact, LogId, LogRecord,
    RequestId, RequestRecord, RetentionPlan, SourceStamp, StepRecord, WorkerId, WorkerRecord,
};

/// An answer that may take a while.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Facts, snapshots of the state they lead to, and the configurations that builds were started with.
pub trait Journal: Send + Sync + fmt::Debug {
    /// Makes facts durable, all or none. Their numbers follow the last one's.
    fn append(&self, facts: Vec<Arc<Fact>>) -> Pending<'_, ()>;
    /// The number of the last fact; 0 if there is none.
    fn last_fact(&self) -> Pending<'_, u64>;
    /// The newest snapshot and the facts after it.
    fn recover(&self) -> Pending<'_, Recovered>;
    /// Keeps the state after fact `seq`; durable when it returns.
    fn keep_snapshot(&self, seq: u64, bytes: Vec<u8>) -> Pending<'_, ()>;
    /// Keeps a configuration; durable when it returns. One that is kept already stays as it is.
    fn keep_configuration<'a>(&'a self, digest: &'a ConfigDigest, bytes: &'a [u8]) -> Pending<'a, ()>;
    /// A configuration that was kept.
    fn configuration<'a>(&'a self, digest: &'a ConfigDigest) -> Pending<'a, Option<Vec<u8>>>;
}

/// Which builds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuildFilter {
    /// All of them, by id.
    All,
    /// Those of a builder, by number; the page counts by number, too.
    OfBuilder(BuilderId),
    /// Those of a worker, by id.
    OfWorker(WorkerId),
    /// Those of a request, by id: several after retries.
    OfRequest(RequestId),
    /// Those that have not ended, by id.
    Running,
    /// Those of buildsets whose parent is this build, by id.
    TriggeredBy(BuildId),
}

/// Which requests, by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFilter {
    /// All of them.
    All,
    /// Those of a builder.
    OfBuilder(BuilderId),
    /// Those that are neither complete nor claimed nor collapsed into another.
    Waiting,
}

/// What happened, by question, in order, page by page. An answer shows only what is durable.
pub trait History: Send + Sync + fmt::Debug {
    /// One build.
    fn build(&self, id: BuildId) -> Pending<'_, Option<BuildRecord>>;
    /// Builds.
    fn builds(&self, filter: BuildFilter, page: Scan) -> Pending<'_, Vec<BuildRecord>>;
    /// The steps of a build, by number.
    fn steps(&self, build: BuildId) -> Pending<'_, Vec<StepRecord>>;
    /// The logs of a build's steps, by step and id, with their numbers of lines.
    fn logs(&self, build: BuildId) -> Pending<'_, Vec<LogRecord>>;
    /// Requests.
    fn requests(&self, filter: RequestFilter, page: Scan) -> Pending<'_, Vec<RequestRecord>>;
    /// Buildsets, by id.
    fn buildsets(&self, page: Scan) -> Pending<'_, Vec<BuildsetRecord>>;
    /// Changes, by id.
    fn changes(&self, page: Scan) -> Pending<'_, Vec<Change>>;
    /// Source stamps, by id.
    fn stamps(&self, page: Scan) -> Pending<'_, Vec<SourceStamp>>;
    /// All builders that were ever configured, by id.
    fn builders(&self) -> Pending<'_, Vec<BuilderRecord>>;
    /// All workers that were ever configured, by id.
    fn workers(&self) -> Pending<'_, Vec<WorkerRecord>>;
    /// Removes what the rules no longer keep, logs included; returns the number of builds removed. Bounded work per call.
    fn retire<'a>(&'a self, rules: &'a RetentionPlan, now: Timestamp) -> Pending<'a, u64>;
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

/// The bodies of logs. They are removed with their builds, by [`History::retire`].
pub trait LogStore: Send + Sync + fmt::Debug {
    /// Gives a part its place: what is appended to logs or journal after that becomes durable only together with it. The second
    /// answer comes when it is durable. A part that is there already is left out.
    fn place<'a>(&'a self, build: BuildId, log: LogId, part: SourcePart<'a>) -> Pending<'a, Pending<'static, ()>>;
    /// Appends a part; durable when it returns.
    fn append<'a>(&'a self, build: BuildId, log: LogId, part: SourcePart<'a>) -> Pending<'a, ()> {
        Box::pin(async move { self.place(build, log, part).await?.await })
    }
    /// The number of the next part expected of a source.
    fn next<'a>(&'a self, build: BuildId, log: LogId, source: &'a str) -> Pending<'a, u64>;
    /// No more lines follow; returns their number.
    fn finish(&self, build: BuildId, log: LogId) -> Pending<'_, u64>;
    /// How many lines there are.
    fn lines(&self, build: BuildId, log: LogId) -> Pending<'_, u64>;
    /// Up to `count` lines from `first`.
    fn read(&self, build: BuildId, log: LogId, first: u64, count: u64) -> Pending<'_, Vec<LogLine>>;
    /// The lines that the log's bounds left out, if any.
    fn left_out(&self, build: BuildId, log: LogId) -> Pending<'_, Option<LeftOut>>;
}

/// Who may write. It is taken when the store is opened, and ends with its process or when the store is closed.
pub trait Lease: Send + Sync + fmt::Debug {
    /// Which holding this is: greater for each later one. What an earlier holder still sends is known by its lower number.
    fn epoch(&self) -> u64;
    /// Fails when the lease was lost: nothing may be written any more.
    fn check(&self) -> Pending<'_, ()>;
}
