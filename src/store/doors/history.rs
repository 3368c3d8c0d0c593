//! What happened: questions, and their answers in order, page by page.

use std::fmt;
use std::sync::Arc;

use super::{ArtifactStore, LogReader};
use crate::base::Timestamp;
use crate::model::{
    Alert, ArtifactRecord, AuditRecord, BuildDatumRecord, BuildId, BuildRecord, BuilderId, BuilderRecord, BuildsetId,
    BuildsetRecord, Change, ChangeId, ChangeSourceId, ChangeSourceRecord, CodebaseRecord, DeliveryRecord, Fact, LogId,
    LogRecord, MadeBy, MasterRecord, ProjectRecord, RequestId, RequestRecord, SchedulerId, SchedulerRecord,
    SourceStamp, SourceStampId, StepId, StepRecord, TestId, TestResult, TestRun, TestSetRecord, ValueRun,
    WaitingReport, WorkerId, WorkerRecord,
};
use crate::store::{Scan, StoreError};

/// Questions about what happened. Each is one that a database can answer by an index. An answer shows only what is
/// durable.
///
/// Blocks, for microseconds with a store on the local disk: whoever may not wait at all asks on another thread.
pub trait History: Send + Sync + fmt::Debug {
    /// The id of the installation, drawn when its store was made.
    fn installation(&self) -> String;
    /// The bodies of its logs.
    fn logs(&self) -> Arc<dyn LogReader>;

    /// The contents of its artifacts.
    fn artifact_contents(&self) -> Result<Arc<dyn ArtifactStore>, StoreError>;

    /// One build.
    fn build(&self, id: BuildId) -> Result<Option<BuildRecord>, StoreError>;
    /// The build of a builder with this number.
    fn build_by_number(&self, builder: BuilderId, number: u64) -> Result<Option<BuildRecord>, StoreError>;
    /// Builds by id.
    fn builds(&self, scan: Scan) -> Result<Vec<BuildRecord>, StoreError>;
    /// Builds of a builder, by number; `scan.after` is a number, too.
    fn builds_of_builder(&self, builder: BuilderId, scan: Scan) -> Result<Vec<BuildRecord>, StoreError>;
    /// Builds of a worker, by id.
    fn builds_of_worker(&self, worker: WorkerId, scan: Scan) -> Result<Vec<BuildRecord>, StoreError>;
    /// Builds of a request, by id: several after retries.
    fn builds_of_request(&self, request: RequestId) -> Result<Vec<BuildRecord>, StoreError>;
    /// Builds that have not ended, by id.
    fn builds_running(&self) -> Result<Vec<BuildRecord>, StoreError>;
    /// Builds of buildsets whose parent is this build, by id.
    fn builds_triggered_by(&self, build: BuildId) -> Result<Vec<BuildRecord>, StoreError>;
    /// The steps of a build, by number.
    fn steps(&self, build: BuildId) -> Result<Vec<StepRecord>, StoreError>;
    /// One step.
    fn step(&self, id: StepId) -> Result<Option<StepRecord>, StoreError>;
    /// The logs of a step, by id, each with its present number of lines.
    fn logs_of_step(&self, step: StepId) -> Result<Vec<LogRecord>, StoreError>;
    /// One log, with its present number of lines.
    fn log(&self, id: LogId) -> Result<Option<LogRecord>, StoreError>;

    /// The artifacts of a build, by name.
    fn artifacts(&self, build: BuildId) -> Result<Vec<ArtifactRecord>, StoreError>;
    /// The artifact of a build with this name.
    fn artifact(&self, build: BuildId, name: &str) -> Result<Option<ArtifactRecord>, StoreError>;
    /// The bytes of a builder's artifacts; those of all without one.
    fn artifact_bytes(&self, builder: Option<BuilderId>) -> Result<u64, StoreError>;

    /// Sets of test results and numbers, by id.
    fn all_test_sets(&self, scan: Scan) -> Result<Vec<TestSetRecord>, StoreError>;
    /// Those of a build, in the order in which they were recorded.
    fn test_sets(&self, build: BuildId) -> Result<Vec<TestSetRecord>, StoreError>;
    /// One of them.
    fn test_set(&self, id: u64) -> Result<Option<TestSetRecord>, StoreError>;
    /// The results of a set, in order.
    fn test_results(&self, set: u64) -> Result<Vec<TestResult>, StoreError>;
    /// What became of a test in the newest builds of a builder that have it, the oldest first.
    fn test_history(&self, builder: BuilderId, test: TestId, limit: usize) -> Result<Vec<TestRun>, StoreError>;
    /// A number in the newest builds of a builder, the oldest first.
    fn value_history(&self, builder: BuilderId, name: &str, limit: usize) -> Result<Vec<ValueRun>, StoreError>;
    /// Data of a build, by name.
    fn build_data(&self, build: BuildId) -> Result<Vec<BuildDatumRecord>, StoreError>;
    /// One datum of a build.
    fn build_datum(&self, build: BuildId, name: &str) -> Result<Option<BuildDatumRecord>, StoreError>;

    /// One change.
    fn change(&self, id: ChangeId) -> Result<Option<Change>, StoreError>;
    /// Changes by id; descending is newest first.
    fn changes(&self, scan: Scan) -> Result<Vec<Change>, StoreError>;
    /// One source stamp.
    fn stamp(&self, id: SourceStampId) -> Result<Option<SourceStamp>, StoreError>;
    /// Source stamps by id.
    fn stamps(&self, scan: Scan) -> Result<Vec<SourceStamp>, StoreError>;
    /// The newest change with this stamp.
    fn change_of_stamp(&self, id: SourceStampId) -> Result<Option<Change>, StoreError>;
    /// One buildset.
    fn buildset(&self, id: BuildsetId) -> Result<Option<BuildsetRecord>, StoreError>;
    /// Buildsets by id.
    fn buildsets(&self, scan: Scan) -> Result<Vec<BuildsetRecord>, StoreError>;
    /// One request.
    fn request(&self, id: RequestId) -> Result<Option<RequestRecord>, StoreError>;
    /// Requests by id.
    fn requests(&self, scan: Scan) -> Result<Vec<RequestRecord>, StoreError>;
    /// Requests of one builder, by id.
    fn requests_of_builder(&self, builder: BuilderId, scan: Scan) -> Result<Vec<RequestRecord>, StoreError>;
    /// Requests that are neither complete nor claimed nor collapsed into another, by id.
    fn requests_waiting(&self, scan: Scan) -> Result<Vec<RequestRecord>, StoreError>;

    /// All masters that ever worked on this store, by id.
    fn masters(&self) -> Result<Vec<MasterRecord>, StoreError>;
    /// All builders that were ever configured, by id.
    fn builders(&self) -> Result<Vec<BuilderRecord>, StoreError>;
    /// One builder.
    fn builder(&self, id: BuilderId) -> Result<Option<BuilderRecord>, StoreError>;
    /// The builder of a name.
    fn builder_named(&self, name: &str) -> Result<Option<BuilderRecord>, StoreError>;
    /// All workers that were ever configured, by id.
    fn workers(&self) -> Result<Vec<WorkerRecord>, StoreError>;
    /// One worker.
    fn worker(&self, id: WorkerId) -> Result<Option<WorkerRecord>, StoreError>;
    /// One change source.
    fn change_source(&self, id: ChangeSourceId) -> Result<Option<ChangeSourceRecord>, StoreError>;
    /// The worker of a name.
    fn worker_named(&self, name: &str) -> Result<Option<WorkerRecord>, StoreError>;
    /// One scheduler.
    fn scheduler(&self, id: SchedulerId) -> Result<Option<SchedulerRecord>, StoreError>;
    /// The name of what made a buildset: its scheduler, or a word.
    fn maker_of(&self, set: &BuildsetRecord) -> Result<String, StoreError> {
        let scheduler = match set.made_by {
            MadeBy::Scheduler(id) => self.scheduler(id)?.map(|record| record.name),
            MadeBy::Force | MadeBy::Rebuild => None,
        };
        Ok(set.made_by.name(|_| scheduler.unwrap_or_default()))
    }
    /// The scheduler of a name.
    fn scheduler_named(&self, name: &str) -> Result<Option<SchedulerRecord>, StoreError>;
    /// All schedulers that were ever configured, by id.
    fn schedulers(&self) -> Result<Vec<SchedulerRecord>, StoreError>;
    /// All change sources that were ever configured, by id.
    fn change_sources(&self) -> Result<Vec<ChangeSourceRecord>, StoreError>;
    /// All projects, by id.
    fn projects(&self) -> Result<Vec<ProjectRecord>, StoreError>;
    /// The project of a name.
    fn project_named(&self, name: &str) -> Result<Option<ProjectRecord>, StoreError>;
    /// All declared codebases, by id.
    fn codebases(&self) -> Result<Vec<CodebaseRecord>, StoreError>;
    /// Reports still in the outbox, oldest first.
    fn outbox(&self) -> Result<Vec<WaitingReport>, StoreError>;
    /// The newest reports that were given up or delivered in part, newest first.
    fn undelivered(&self) -> Result<Vec<DeliveryRecord>, StoreError>;
    /// Entries of the audit log, by the numbers of their facts.
    fn audited(&self, scan: Scan) -> Result<Vec<AuditRecord>, StoreError>;
    /// Alerts that follow from facts: what failed and has not worked since.
    fn alerts(&self) -> Result<Vec<Alert>, StoreError>;
    /// Refused configuration that is newer than the one in force.
    fn plan_refused(&self) -> Result<Option<(Timestamp, String)>, StoreError>;
    /// Configurations adopted, newest first, at most `limit`.
    fn plans_adopted(&self, limit: usize) -> Result<Vec<Fact>, StoreError>;
}
