//! The doors of the store of this house: its reads are quick, so most answers are ready at once.

use std::future::ready;
use std::sync::Arc;

use super::{BuildFilter, History, Journal, Lease, LogStore, Pending, RequestFilter, SourcePart};
use crate::base::Timestamp;
use crate::model::{
    BuildId, BuildRecord, BuilderRecord, BuildsetRecord, Change, ConfigDigest, Fact, LogId, LogRecord, RequestRecord,
    RetentionPlan, SourceStamp, StepRecord, WorkerRecord,
};
use crate::store::StoreError;
use crate::store::handle::Store;
use crate::store::logs::{LeftOut, LogLine, Logs};
use crate::store::recovered::Recovered;
use crate::store::scan::Scan;

fn now<'a, T: Send + 'a>(answer: Result<T, StoreError>) -> Pending<'a, T> {
    Box::pin(ready(answer))
}

impl Journal for Store {
    fn append(&self, facts: Vec<Arc<Fact>>) -> Pending<'_, ()> {
        Box::pin(self.commit(facts))
    }

    fn last_fact(&self) -> Pending<'_, u64> {
        now(self.last_fact())
    }

    fn recover(&self) -> Pending<'_, Recovered> {
        now(self.recover())
    }

    fn keep_snapshot(&self, seq: u64, bytes: Vec<u8>) -> Pending<'_, ()> {
        Box::pin(self.save_snapshot(seq, bytes))
    }

    fn keep_configuration<'a>(&'a self, digest: &'a ConfigDigest, bytes: &'a [u8]) -> Pending<'a, ()> {
        now(self.put_config(digest, bytes))
    }

    fn configuration<'a>(&'a self, digest: &'a ConfigDigest) -> Pending<'a, Option<Vec<u8>>> {
        now(self.config(digest))
    }
}

/// The part of a list that is known as a whole.
fn page(mut all: Vec<BuildRecord>, page: Scan) -> Vec<BuildRecord> {
    all.retain(|build| {
        page.after.is_none_or(|after| if page.descending { build.id.0 < after } else { build.id.0 > after })
    });
    if page.descending {
        all.reverse();
    }
    all.truncate(page.limit);
    all
}

impl History for Store {
    fn build(&self, id: BuildId) -> Pending<'_, Option<BuildRecord>> {
        now(self.build(id))
    }

    fn builds(&self, filter: BuildFilter, scan: Scan) -> Pending<'_, Vec<BuildRecord>> {
        now(match filter {
            BuildFilter::All => self.builds(scan),
            BuildFilter::OfBuilder(builder) => self.builds_of_builder(builder, scan),
            BuildFilter::OfWorker(worker) => self.builds_of_worker(worker, scan),
            BuildFilter::OfRequest(request) => self.builds_of_request(request).map(|all| page(all, scan)),
            BuildFilter::Running => self.builds_running().map(|all| page(all, scan)),
            BuildFilter::TriggeredBy(build) => self.builds_triggered_by(build).map(|all| page(all, scan)),
        })
    }

    fn steps(&self, build: BuildId) -> Pending<'_, Vec<StepRecord>> {
        now(self.steps(build))
    }

    fn logs(&self, build: BuildId) -> Pending<'_, Vec<LogRecord>> {
        let logs = self.steps(build).and_then(|steps| {
            steps.iter().map(|step| self.logs_of_step(step.id)).collect::<Result<Vec<Vec<LogRecord>>, StoreError>>()
        });
        now(logs.map(|logs| logs.concat()))
    }

    fn requests(&self, filter: RequestFilter, scan: Scan) -> Pending<'_, Vec<RequestRecord>> {
        now(match filter {
            RequestFilter::All => self.requests(scan),
            RequestFilter::OfBuilder(builder) => self.requests_of_builder(builder, scan),
            RequestFilter::Waiting => self.requests_waiting(scan),
        })
    }

    fn buildsets(&self, scan: Scan) -> Pending<'_, Vec<BuildsetRecord>> {
        now(self.buildsets(scan))
    }

    fn changes(&self, scan: Scan) -> Pending<'_, Vec<Change>> {
        now(self.changes(scan))
    }

    fn stamps(&self, scan: Scan) -> Pending<'_, Vec<SourceStamp>> {
        now(self.stamps(scan))
    }

    fn builders(&self) -> Pending<'_, Vec<BuilderRecord>> {
        now(self.builders())
    }

    fn workers(&self) -> Pending<'_, Vec<WorkerRecord>> {
        now(self.workers())
    }

    fn retire<'a>(&'a self, rules: &'a RetentionPlan, at: Timestamp) -> Pending<'a, u64> {
        now(self.retire(rules, at))
    }
}

impl LogStore for Logs {
    fn place<'a>(&'a self, build: BuildId, log: LogId, part: SourcePart<'a>) -> Pending<'a, Pending<'static, ()>> {
        Box::pin(async move {
            let placed = self.place(build, log, part.source, part.n, part.part).await?;
            Ok(Box::pin(placed.durable()) as Pending<'static, ()>)
        })
    }

    fn next<'a>(&'a self, build: BuildId, log: LogId, source: &'a str) -> Pending<'a, u64> {
        now(self.next(build, log, source))
    }

    fn finish(&self, build: BuildId, log: LogId) -> Pending<'_, u64> {
        Box::pin(self.close(build, log))
    }

    fn lines(&self, build: BuildId, log: LogId) -> Pending<'_, u64> {
        now(self.lines(build, log))
    }

    fn read(&self, build: BuildId, log: LogId, first: u64, count: u64) -> Pending<'_, Vec<LogLine>> {
        now(self.read(build, log, first, count))
    }

    fn left_out(&self, build: BuildId, log: LogId) -> Pending<'_, Option<LeftOut>> {
        now(self.left_out(build, log))
    }
}

impl Lease for Store {
    fn epoch(&self) -> u64 {
        self.epoch()
    }

    /// The lock belongs to the process, so only closing the store ends it.
    fn check(&self) -> Pending<'_, ()> {
        now(self.parts().map(drop))
    }
}
