//! The doors of the store of this house: a directory on the local disk, or memory.

use std::sync::Arc;

use super::{ArtifactStore, History, Journal, Lease, LogReader, LogStore, Pending, SourcePart};
use crate::base::Timestamp;
use crate::model::{
    Alert, ArtifactRecord, AuditRecord, BuildDatumRecord, BuildId, BuildRecord, BuilderId, BuilderRecord, BuildsetId,
    BuildsetRecord, Change, ChangeId, ChangeSourceId, ChangeSourceRecord, CodebaseRecord, ConfigDigest, DeliveryRecord,
    Fact, LogId, LogRecord, MasterRecord, ProjectRecord, RequestId, RequestRecord, RetentionPlan, SchedulerId,
    SchedulerRecord, SourceStamp, SourceStampId, StepId, StepRecord, TestId, TestResult, TestRun, TestSetRecord,
    ValueRun, WaitingReport, WorkerId, WorkerRecord,
};
use crate::store::StoreError;
use crate::store::handle::Store;
use crate::store::logs::{LeftOut, LogLine, Logs};
use crate::store::recovered::Recovered;
use crate::store::scan::Scan;

impl Journal for Store {
    fn append(&self, facts: Vec<Arc<Fact>>) -> Pending<'_, ()> {
        Box::pin(self.commit(facts))
    }

    fn keep_snapshot(&self, seq: u64, bytes: Vec<u8>) -> Pending<'_, ()> {
        Box::pin(self.save_snapshot(seq, bytes))
    }

    fn recover(&self) -> Result<Recovered, StoreError> {
        self.recover()
    }

    fn keep_configuration(&self, digest: &ConfigDigest, bytes: &[u8]) -> Result<(), StoreError> {
        self.put_config(digest, bytes)
    }

    fn configuration(&self, digest: &ConfigDigest) -> Result<Option<Vec<u8>>, StoreError> {
        self.config(digest)
    }

    fn retire(&self, rules: &RetentionPlan, now: Timestamp) -> Result<u64, StoreError> {
        self.retire(rules, now)
    }
}

impl LogReader for Logs {
    fn lines(&self, build: BuildId, log: LogId) -> Result<u64, StoreError> {
        self.lines(build, log)
    }

    fn read(&self, build: BuildId, log: LogId, first: u64, count: u64) -> Result<Vec<LogLine>, StoreError> {
        self.read(build, log, first, count)
    }

    fn left_out(&self, build: BuildId, log: LogId) -> Result<Option<LeftOut>, StoreError> {
        self.left_out(build, log)
    }

    /// Of one moment, however fast the log grows.
    fn tail(&self, build: BuildId, log: LogId, count: u64) -> Result<Vec<LogLine>, StoreError> {
        self.tail(build, log, count)
    }
}

impl LogStore for Logs {
    fn place<'a>(&'a self, build: BuildId, log: LogId, part: SourcePart<'a>) -> Pending<'a, Pending<'static, ()>> {
        Box::pin(async move {
            let placed = self.place(build, log, part.source, part.n, part.part).await?;
            Ok(Box::pin(placed.durable()) as Pending<'static, ()>)
        })
    }

    fn next(&self, build: BuildId, log: LogId, source: &str) -> Result<u64, StoreError> {
        self.next(build, log, source)
    }

    fn limit(&self, build: BuildId, log: LogId, bytes_max: u64) -> Pending<'_, ()> {
        Box::pin(self.limit(build, log, bytes_max))
    }

    fn finish(&self, build: BuildId, log: LogId) -> Pending<'_, u64> {
        Box::pin(self.close(build, log))
    }
}

impl Lease for Store {
    fn epoch(&self) -> u64 {
        self.epoch()
    }

    /// The lock belongs to the process, so only closing the store ends it.
    fn check(&self) -> Result<(), StoreError> {
        self.parts().map(drop)
    }
}

impl History for Store {
    fn installation(&self) -> String {
        self.installation()
    }

    fn logs(&self) -> Arc<dyn LogReader> {
        Arc::new(self.logs())
    }

    fn artifact_contents(&self) -> Result<Arc<dyn ArtifactStore>, StoreError> {
        Ok(Arc::new(self.artifact_contents()?))
    }

    fn build(&self, id: BuildId) -> Result<Option<BuildRecord>, StoreError> {
        self.build(id)
    }

    fn build_by_number(&self, builder: BuilderId, number: u64) -> Result<Option<BuildRecord>, StoreError> {
        self.build_by_number(builder, number)
    }

    fn builds(&self, scan: Scan) -> Result<Vec<BuildRecord>, StoreError> {
        self.builds(scan)
    }

    fn builds_of_builder(&self, builder: BuilderId, scan: Scan) -> Result<Vec<BuildRecord>, StoreError> {
        self.builds_of_builder(builder, scan)
    }

    fn builds_of_worker(&self, worker: WorkerId, scan: Scan) -> Result<Vec<BuildRecord>, StoreError> {
        self.builds_of_worker(worker, scan)
    }

    fn builds_of_request(&self, request: RequestId) -> Result<Vec<BuildRecord>, StoreError> {
        self.builds_of_request(request)
    }

    fn builds_running(&self) -> Result<Vec<BuildRecord>, StoreError> {
        self.builds_running()
    }

    fn builds_triggered_by(&self, build: BuildId) -> Result<Vec<BuildRecord>, StoreError> {
        self.builds_triggered_by(build)
    }

    fn steps(&self, build: BuildId) -> Result<Vec<StepRecord>, StoreError> {
        self.steps(build)
    }

    fn step(&self, id: StepId) -> Result<Option<StepRecord>, StoreError> {
        self.step(id)
    }

    fn logs_of_step(&self, step: StepId) -> Result<Vec<LogRecord>, StoreError> {
        self.logs_of_step(step)
    }

    fn log(&self, id: LogId) -> Result<Option<LogRecord>, StoreError> {
        self.log(id)
    }

    fn artifacts(&self, build: BuildId) -> Result<Vec<ArtifactRecord>, StoreError> {
        self.artifacts(build)
    }

    fn artifact(&self, build: BuildId, name: &str) -> Result<Option<ArtifactRecord>, StoreError> {
        self.artifact(build, name)
    }

    fn artifact_bytes(&self, builder: Option<BuilderId>) -> Result<u64, StoreError> {
        self.artifact_bytes(builder)
    }

    fn all_test_sets(&self, scan: Scan) -> Result<Vec<TestSetRecord>, StoreError> {
        self.all_test_sets(scan)
    }

    fn test_sets(&self, build: BuildId) -> Result<Vec<TestSetRecord>, StoreError> {
        self.test_sets(build)
    }

    fn test_set(&self, id: u64) -> Result<Option<TestSetRecord>, StoreError> {
        self.test_set(id)
    }

    fn test_results(&self, set: u64) -> Result<Vec<TestResult>, StoreError> {
        self.test_results(set)
    }

    fn test_history(&self, builder: BuilderId, test: TestId, limit: usize) -> Result<Vec<TestRun>, StoreError> {
        self.test_history(builder, test, limit)
    }

    fn value_history(&self, builder: BuilderId, name: &str, limit: usize) -> Result<Vec<ValueRun>, StoreError> {
        self.value_history(builder, name, limit)
    }

    fn build_data(&self, build: BuildId) -> Result<Vec<BuildDatumRecord>, StoreError> {
        self.build_data(build)
    }

    fn build_datum(&self, build: BuildId, name: &str) -> Result<Option<BuildDatumRecord>, StoreError> {
        self.build_datum(build, name)
    }

    fn change(&self, id: ChangeId) -> Result<Option<Change>, StoreError> {
        self.change(id)
    }

    fn changes(&self, scan: Scan) -> Result<Vec<Change>, StoreError> {
        self.changes(scan)
    }

    fn stamp(&self, id: SourceStampId) -> Result<Option<SourceStamp>, StoreError> {
        self.stamp(id)
    }

    fn stamps(&self, scan: Scan) -> Result<Vec<SourceStamp>, StoreError> {
        self.stamps(scan)
    }

    fn change_of_stamp(&self, id: SourceStampId) -> Result<Option<Change>, StoreError> {
        self.change_of_stamp(id)
    }

    fn buildset(&self, id: BuildsetId) -> Result<Option<BuildsetRecord>, StoreError> {
        self.buildset(id)
    }

    fn buildsets(&self, scan: Scan) -> Result<Vec<BuildsetRecord>, StoreError> {
        self.buildsets(scan)
    }

    fn request(&self, id: RequestId) -> Result<Option<RequestRecord>, StoreError> {
        self.request(id)
    }

    fn requests(&self, scan: Scan) -> Result<Vec<RequestRecord>, StoreError> {
        self.requests(scan)
    }

    fn requests_of_builder(&self, builder: BuilderId, scan: Scan) -> Result<Vec<RequestRecord>, StoreError> {
        self.requests_of_builder(builder, scan)
    }

    fn requests_waiting(&self, scan: Scan) -> Result<Vec<RequestRecord>, StoreError> {
        self.requests_waiting(scan)
    }

    fn masters(&self) -> Result<Vec<MasterRecord>, StoreError> {
        self.masters()
    }

    fn builders(&self) -> Result<Vec<BuilderRecord>, StoreError> {
        self.builders()
    }

    fn builder(&self, id: BuilderId) -> Result<Option<BuilderRecord>, StoreError> {
        self.builder(id)
    }

    fn builder_named(&self, name: &str) -> Result<Option<BuilderRecord>, StoreError> {
        self.builder_named(name)
    }

    fn workers(&self) -> Result<Vec<WorkerRecord>, StoreError> {
        self.workers()
    }

    fn worker(&self, id: WorkerId) -> Result<Option<WorkerRecord>, StoreError> {
        self.worker(id)
    }

    fn change_source(&self, id: ChangeSourceId) -> Result<Option<ChangeSourceRecord>, StoreError> {
        self.change_source(id)
    }

    fn worker_named(&self, name: &str) -> Result<Option<WorkerRecord>, StoreError> {
        self.worker_named(name)
    }

    fn scheduler(&self, id: SchedulerId) -> Result<Option<SchedulerRecord>, StoreError> {
        self.scheduler(id)
    }

    fn scheduler_named(&self, name: &str) -> Result<Option<SchedulerRecord>, StoreError> {
        self.scheduler_named(name)
    }

    fn schedulers(&self) -> Result<Vec<SchedulerRecord>, StoreError> {
        self.schedulers()
    }

    fn change_sources(&self) -> Result<Vec<ChangeSourceRecord>, StoreError> {
        self.change_sources()
    }

    fn projects(&self) -> Result<Vec<ProjectRecord>, StoreError> {
        self.projects()
    }

    fn project_named(&self, name: &str) -> Result<Option<ProjectRecord>, StoreError> {
        self.project_named(name)
    }

    fn codebases(&self) -> Result<Vec<CodebaseRecord>, StoreError> {
        self.codebases()
    }

    fn outbox(&self) -> Result<Vec<WaitingReport>, StoreError> {
        self.outbox()
    }

    fn undelivered(&self) -> Result<Vec<DeliveryRecord>, StoreError> {
        self.undelivered()
    }

    fn audited(&self, scan: Scan) -> Result<Vec<AuditRecord>, StoreError> {
        self.audited(scan)
    }

    fn alerts(&self) -> Result<Vec<Alert>, StoreError> {
        self.alerts()
    }

    fn plan_refused(&self) -> Result<Option<(Timestamp, String)>, StoreError> {
        self.plan_refused()
    }

    fn plans_adopted(&self, limit: usize) -> Result<Vec<Fact>, StoreError> {
        self.plans_adopted(limit)
    }
}
