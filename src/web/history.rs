//! The history as one visitor may see it.
//!
//! Pages, API and events read the store only through this, so none of them can forget to ask. What a visitor may not read does
//! not exist for them: a list leaves it out, and by its id or name it is not found. A build, a request, a step and a log are read
//! by those who may read their builder; a buildset by those who may read one of its requests.
//!
//! Where everybody may read everything, this costs nothing. Otherwise the first question about a builder may take some
//! milliseconds, so it is to be used on a thread that may wait.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::control::Control;
use crate::model::{
    Action, Alert, AlertSubject, ArtifactRecord, AuditRecord, BuildDatumRecord, BuildId, BuildRecord, BuilderId,
    BuilderRecord, BuildsetId, BuildsetRecord, Change, ChangeId, ChangeSourceId, ChangeSourceRecord, CodebaseRecord,
    DeliveryRecord, Denial, Fact, Identity, LogId, LogRecord, MasterRecord, Object, ProjectId, ProjectRecord, Report,
    ReportSubject, RequestId, RequestRecord, SchedulerId, SchedulerPlan, SchedulerRecord, SourceStamp, SourceStampId,
    StepId, StepRecord, TestId, TestResult, TestRun, TestSetRecord, ValueRun, WaitingReport, WorkerId, WorkerRecord,
};
use crate::store::{ArtifactStore, History, LogReader, Scan, StoreError};

/// Rows of a list that are looked at for one page. Somebody who may see one build in a million gets a short list, and the master
/// does not read the whole history for it.
const LOOKED_MAX: usize = 100_000;
/// Rows that are read at a time while most of them are hidden.
const SLICE: usize = 512;

/// Why a request waits, for visitors who may not see what is in the way.
const SOME_REASON: &str = "it waits for a worker, a lock or its turn";

/// An alert about a builder or request, for visitors who may not see what it names.
const SOME_ALERT: &str = "requests of it wait until somebody acts";
/// The name of the master, for visitors who may not know where it runs.
const SOME_MASTER: &str = "master";

/// The state of a step that triggered what the visitor may not see.
const TRIGGERED: &str = "triggered builds";
/// The reason of builds that were triggered by what the visitor may not see.
const TRIGGERED_SET: &str = "triggered by another build";

/// What one visitor may see of a store.
pub struct VisibleHistory<'a> {
    store: &'a dyn History,
    /// None: everything is visible.
    visitor: Option<Visitor<'a>>,
}

struct Visitor<'a> {
    control: &'a dyn Control,
    identity: &'a Identity,
    /// What was asked already.
    builders: RefCell<BTreeMap<BuilderId, bool>>,
}

type Found<T> = Result<Option<T>, StoreError>;
type List<T> = Result<Vec<T>, StoreError>;

impl Visitor<'_> {
    fn reads(&self, object: &Object) -> bool {
        self.control.may(self.identity, Action::Read, object).is_ok()
    }
}

impl<'a> VisibleHistory<'a> {
    /// What `identity` may see.
    pub fn new(control: &'a dyn Control, identity: &'a Identity) -> Self {
        // A token may be limited where nobody else is.
        let everything = control.plan().rights.is_open() && identity.grant.is_none();
        let visitor = (!everything).then(|| Visitor { control, identity, builders: RefCell::default() });
        Self { store: control.store(), visitor }
    }

    /// Whether nothing is hidden.
    pub const fn is_whole(&self) -> bool {
        self.visitor.is_none()
    }

    /// Whether the visitor may read this object.
    pub fn reads(&self, object: &Object) -> bool {
        self.visitor.as_ref().is_none_or(|visitor| visitor.reads(object))
    }

    /// Whether the visitor may see how the installation runs: its configuration, deliveries, alerts about the master.
    pub fn reads_operation(&self) -> bool {
        self.reads(&Object::Operation)
    }

    /// Whether there may be more than the visitor sees, so that an empty list says nothing.
    pub fn hides_some(&self) -> bool {
        !self.is_whole() && !self.reads_operation()
    }

    /// Whether the visitor may see a builder and what belongs to it.
    pub fn sees_builder(&self, id: BuilderId) -> Result<bool, StoreError> {
        let Some(visitor) = &self.visitor else { return Ok(true) };
        if let Some(sees) = visitor.builders.borrow().get(&id) {
            return Ok(*sees);
        }
        // A builder that is no longer configured is known by the name that it had.
        let sees = self.store.builder(id)?.is_some_and(|record| visitor.reads(&Object::builder(record.name)));
        visitor.builders.borrow_mut().insert(id, sees);
        Ok(sees)
    }

    /// Whether the visitor may see a builder of the configuration.
    pub fn sees_builder_named(&self, name: &str) -> bool {
        self.reads(&Object::builder(name))
    }

    /// Whether the visitor may see a worker.
    pub fn sees_worker(&self, name: &str) -> bool {
        self.reads(&Object::worker(name))
    }

    /// Changes and source stamps are those of a project; one without a project is for those who may read everything.
    pub fn sees_project(&self, project: &str) -> bool {
        self.reads(&if project.is_empty() { Object::Operation } else { Object::Project { name: project.to_owned() } })
    }

    fn sees_set(&self, set: &BuildsetRecord) -> Result<bool, StoreError> {
        if self.is_whole() {
            return Ok(true);
        }
        for id in &set.requests {
            if self.request(*id)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// An alert as the visitor may see it. Those about builders and requests name workers and locks that are in the way.
    pub fn visible_alert(&self, mut alert: Alert) -> Option<Alert> {
        if !self.sees_alert(&alert.subject) {
            return None;
        }
        let names_others = matches!(alert.subject, AlertSubject::Builder(_) | AlertSubject::Request(_));
        if names_others && self.hides_some() {
            SOME_ALERT.clone_into(&mut alert.text);
            alert.hint = None;
        }
        Some(alert)
    }

    fn sees_alert(&self, subject: &AlertSubject) -> bool {
        match subject {
            AlertSubject::Builder(name) => self.sees_builder_named(name),
            AlertSubject::Build(id) => self.build(*id).is_ok_and(|found| found.is_some()),
            AlertSubject::Request(id) => self.request(*id).is_ok_and(|found| found.is_some()),
            AlertSubject::Worker(name) => self.sees_worker(name),
            AlertSubject::Source(name) => self.reads(&Object::Source { name: name.clone() }),
            AlertSubject::Scheduler(name) => self.reads(&Object::Scheduler { name: name.clone() }),
            AlertSubject::Configuration
            | AlertSubject::Master
            | AlertSubject::Secret(_)
            | AlertSubject::Hook(_)
            | AlertSubject::Notifier(_)
            | AlertSubject::Network(_) => self.reads_operation(),
        }
    }

    fn only<T>(&self, found: Found<T>, sees: impl Fn(&Self, &T) -> Result<bool, StoreError>) -> Found<T> {
        match found? {
            Some(one) if self.is_whole() || sees(self, &one)? => Ok(Some(one)),
            Some(_) | None => Ok(None),
        }
    }

    fn each<T>(&self, list: List<T>, sees: impl Fn(&Self, &T) -> Result<bool, StoreError>) -> List<T> {
        let list = list?;
        if self.is_whole() {
            return Ok(list);
        }
        let mut seen = Vec::new();
        for one in list {
            if sees(self, &one)? {
                seen.push(one);
            }
        }
        Ok(seen)
    }

    /// The part of a long list that is asked for, hidden rows left out.
    fn part<T>(
        &self,
        scan: Scan,
        read: impl Fn(Scan) -> List<T>,
        key: impl Fn(&T) -> u64,
        sees: impl Fn(&Self, &T) -> Result<bool, StoreError>,
    ) -> List<T> {
        if self.is_whole() {
            return read(scan);
        }
        let (mut seen, mut looked, mut slice) = (Vec::new(), 0, Scan { limit: scan.limit.clamp(1, SLICE), ..scan });
        loop {
            let rows = read(slice)?;
            let next = rows.last().map(&key).filter(|_| rows.len() == slice.limit);
            looked += rows.len();
            for row in rows {
                if seen.len() < scan.limit && sees(self, &row)? {
                    seen.push(row);
                }
            }
            match next {
                Some(after) if seen.len() < scan.limit && looked < LOOKED_MAX => {
                    slice = Scan { after: Some(after), limit: SLICE, ..slice };
                }
                Some(_) | None => return Ok(seen),
            }
        }
    }
}

/// What there is of each name.
impl VisibleHistory<'_> {
    pub fn installation(&self) -> String {
        self.store.installation()
    }

    /// The masters. Their names say where they run: not to visitors who may only see some of the installation.
    pub fn masters(&self) -> List<MasterRecord> {
        let mut masters = self.store.masters()?;
        if self.hides_some() {
            masters.iter_mut().for_each(|master| SOME_MASTER.clone_into(&mut master.name));
        }
        Ok(masters)
    }

    pub fn builders(&self) -> List<BuilderRecord> {
        self.each(self.store.builders(), |this, builder| Ok(this.sees_builder_named(&builder.name)))
    }

    pub fn builder(&self, id: BuilderId) -> Found<BuilderRecord> {
        self.only(self.store.builder(id), |this, builder| Ok(this.sees_builder_named(&builder.name)))
    }

    pub fn builder_named(&self, name: &str) -> Found<BuilderRecord> {
        self.only(self.store.builder_named(name), |this, builder| Ok(this.sees_builder_named(&builder.name)))
    }

    pub fn projects(&self) -> List<ProjectRecord> {
        self.each(self.store.projects(), |this, project| Ok(this.sees_project(&project.name)))
    }

    pub fn project(&self, id: ProjectId) -> Found<ProjectRecord> {
        Ok(self.projects()?.into_iter().find(|project| project.id == id))
    }

    pub fn project_named(&self, name: &str) -> Found<ProjectRecord> {
        self.only(self.store.project_named(name), |this, project| Ok(this.sees_project(&project.name)))
    }

    pub fn codebases(&self) -> List<CodebaseRecord> {
        let sees = |this: &Self, codebase: &CodebaseRecord| {
            Ok(this.sees_project(codebase.about.project.as_deref().unwrap_or_default()))
        };
        self.each(self.store.codebases(), sees)
    }

    pub fn workers(&self) -> List<WorkerRecord> {
        self.each(self.store.workers(), |this, worker| Ok(this.sees_worker(&worker.name)))
    }

    pub fn worker(&self, id: WorkerId) -> Found<WorkerRecord> {
        self.only(self.store.worker(id), |this, worker| Ok(this.sees_worker(&worker.name)))
    }

    pub fn worker_named(&self, name: &str) -> Found<WorkerRecord> {
        self.only(self.store.worker_named(name), |this, worker| Ok(this.sees_worker(&worker.name)))
    }

    pub fn schedulers(&self) -> List<SchedulerRecord> {
        self.each(self.store.schedulers(), |this, scheduler| Ok(this.sees_scheduler(scheduler)))
    }

    pub fn scheduler(&self, id: SchedulerId) -> Found<SchedulerRecord> {
        self.only(self.store.scheduler(id), |this, scheduler| Ok(this.sees_scheduler(scheduler)))
    }

    pub fn scheduler_named(&self, name: &str) -> Found<SchedulerRecord> {
        self.only(self.store.scheduler_named(name), |this, scheduler| Ok(this.sees_scheduler(scheduler)))
    }

    fn sees_scheduler(&self, scheduler: &SchedulerRecord) -> bool {
        self.reads(&Object::Scheduler { name: scheduler.name.clone() })
    }

    /// A force scheduler with the builders that the visitor may see; none if there are none.
    pub fn visible_form(&self, plan: &SchedulerPlan) -> Option<SchedulerPlan> {
        let mut plan = plan.clone();
        plan.builders.retain(|builder| self.sees_builder_named(builder));
        (self.is_whole() || !plan.builders.is_empty()).then_some(plan)
    }

    /// Whether a scheduler of the configuration is on. The form of a builder asks, which its visitors may see.
    pub fn is_enabled(&self, scheduler: &str) -> Result<bool, StoreError> {
        Ok(self.store.scheduler_named(scheduler)?.is_none_or(|record| record.enabled))
    }

    pub fn change_sources(&self) -> List<ChangeSourceRecord> {
        self.each(self.store.change_sources(), |this, source| Ok(this.sees_source(source)))
    }

    pub fn change_source(&self, id: ChangeSourceId) -> Found<ChangeSourceRecord> {
        self.only(self.store.change_source(id), |this, source| Ok(this.sees_source(source)))
    }

    fn sees_source(&self, source: &ChangeSourceRecord) -> bool {
        self.reads(&Object::Source { name: source.name.clone() })
    }
}

/// What was built.
impl VisibleHistory<'_> {
    pub fn build(&self, id: BuildId) -> Found<BuildRecord> {
        self.only(self.store.build(id), |this, build| this.sees_builder(build.builder))
    }

    pub fn build_by_number(&self, builder: BuilderId, number: u64) -> Found<BuildRecord> {
        self.only(self.store.build_by_number(builder, number), |this, build| this.sees_builder(build.builder))
    }

    pub fn builds(&self, scan: Scan) -> List<BuildRecord> {
        self.part(
            scan,
            |part| self.store.builds(part),
            |build| build.id.0,
            |this, build| this.sees_builder(build.builder),
        )
    }

    pub fn builds_of_builder(&self, builder: BuilderId, scan: Scan) -> List<BuildRecord> {
        if self.sees_builder(builder)? { self.store.builds_of_builder(builder, scan) } else { Ok(Vec::new()) }
    }

    pub fn builds_of_worker(&self, worker: WorkerId, scan: Scan) -> List<BuildRecord> {
        let read = |part| self.store.builds_of_worker(worker, part);
        self.part(scan, read, |build| build.id.0, |this, build| this.sees_builder(build.builder))
    }

    pub fn builds_of_request(&self, request: RequestId) -> List<BuildRecord> {
        self.each(self.store.builds_of_request(request), |this, build| this.sees_builder(build.builder))
    }

    pub fn builds_running(&self) -> List<BuildRecord> {
        self.each(self.store.builds_running(), |this, build| this.sees_builder(build.builder))
    }

    pub fn builds_triggered_by(&self, build: BuildId) -> List<BuildRecord> {
        self.each(self.store.builds_triggered_by(build), |this, build| this.sees_builder(build.builder))
    }

    pub fn steps(&self, build: BuildId) -> List<StepRecord> {
        if !self.sees_build(build)? {
            return Ok(Vec::new());
        }
        self.store.steps(build)?.into_iter().map(|step| self.without_hidden_links(step)).collect()
    }

    pub fn step(&self, id: StepId) -> Found<StepRecord> {
        let found = self.only(self.store.step(id), |this, step| this.sees_build(step.build))?;
        found.map(|step| self.without_hidden_links(step)).transpose()
    }

    /// A step without links to builds and requests that are hidden. What it triggered is hidden then, too.
    fn without_hidden_links(&self, mut step: StepRecord) -> Result<StepRecord, StoreError> {
        if self.is_whole() {
            return Ok(step);
        }
        let mut shown = Vec::new();
        for link in std::mem::take(&mut step.urls) {
            if self.sees_link(&link.url)? {
                shown.push(link);
            } else {
                TRIGGERED.clone_into(&mut step.state);
            }
        }
        step.urls = shown;
        Ok(step)
    }

    /// Whether a link leads to something visible. Links of the engine are paths of pages.
    fn sees_link(&self, url: &str) -> Result<bool, StoreError> {
        let elements: Vec<&str> = url.split('/').collect();
        let number = |text: &str| text.parse::<u64>().ok();
        match elements.as_slice() {
            ["", "builders", id, ..] => match number(id) {
                Some(id) => self.sees_builder(BuilderId(id)),
                None => Ok(self.builder_named(id)?.is_some()),
            },
            ["", "requests", id, ..] => {
                Ok(number(id).map(|id| self.request(RequestId(id))).transpose()?.flatten().is_some())
            }
            ["", "builds", id, ..] => Ok(number(id).map(|id| self.build(BuildId(id))).transpose()?.flatten().is_some()),
            _ => Ok(true),
        }
    }

    pub fn logs_of_step(&self, step: StepId) -> List<LogRecord> {
        if self.step(step)?.is_some() { self.store.logs_of_step(step) } else { Ok(Vec::new()) }
    }

    pub fn log(&self, id: LogId) -> Found<LogRecord> {
        self.only(self.store.log(id), |this, log| this.sees_build(log.build))
    }

    /// The artifacts of a build.
    pub fn artifacts(&self, build: BuildId) -> List<ArtifactRecord> {
        if self.sees_build(build)? { self.store.artifacts(build) } else { Ok(Vec::new()) }
    }

    pub fn artifact(&self, build: BuildId, name: &str) -> Found<ArtifactRecord> {
        if self.sees_build(build)? { self.store.artifact(build, name) } else { Ok(None) }
    }

    /// The contents of artifacts whose records were found.
    pub fn artifact_contents(&self) -> Result<Arc<dyn ArtifactStore>, StoreError> {
        self.store.artifact_contents()
    }

    pub fn all_test_sets(&self, scan: Scan) -> List<TestSetRecord> {
        let read = |part| self.store.all_test_sets(part);
        self.part(scan, read, |set| set.id, |this, set| this.sees_builder(set.builder))
    }

    pub fn test_sets(&self, build: BuildId) -> List<TestSetRecord> {
        self.each(self.store.test_sets(build), |this, set| this.sees_builder(set.builder))
    }

    pub fn test_set(&self, id: u64) -> Found<TestSetRecord> {
        self.only(self.store.test_set(id), |this, set| this.sees_builder(set.builder))
    }

    pub fn test_results(&self, set: u64) -> List<TestResult> {
        if self.test_set(set)?.is_some() { self.store.test_results(set) } else { Ok(Vec::new()) }
    }

    pub fn test_history(&self, builder: BuilderId, test: TestId, limit: usize) -> List<TestRun> {
        if self.sees_builder(builder)? { self.store.test_history(builder, test, limit) } else { Ok(Vec::new()) }
    }

    pub fn value_history(&self, builder: BuilderId, name: &str, limit: usize) -> List<ValueRun> {
        if self.sees_builder(builder)? { self.store.value_history(builder, name, limit) } else { Ok(Vec::new()) }
    }

    pub fn build_data(&self, build: BuildId) -> List<BuildDatumRecord> {
        if self.sees_build(build)? { self.store.build_data(build) } else { Ok(Vec::new()) }
    }

    pub fn build_datum(&self, build: BuildId, name: &str) -> Found<BuildDatumRecord> {
        if self.sees_build(build)? { self.store.build_datum(build, name) } else { Ok(None) }
    }

    fn sees_build(&self, id: BuildId) -> Result<bool, StoreError> {
        Ok(self.is_whole() || self.build(id)?.is_some())
    }

    /// The contents of logs, to be read by a record that is visible.
    pub fn logs(&self) -> Arc<dyn LogReader> {
        self.store.logs()
    }
}

/// What is to be built, and of what.
impl VisibleHistory<'_> {
    pub fn request(&self, id: RequestId) -> Found<RequestRecord> {
        self.only(self.store.request(id), |this, request| this.sees_builder(request.builder))
    }

    pub fn requests(&self, scan: Scan) -> List<RequestRecord> {
        let read = |part| self.store.requests(part);
        self.part(scan, read, |request| request.id.0, |this, request| this.sees_builder(request.builder))
    }

    pub fn requests_of_builder(&self, builder: BuilderId, scan: Scan) -> List<RequestRecord> {
        if self.sees_builder(builder)? { self.store.requests_of_builder(builder, scan) } else { Ok(Vec::new()) }
    }

    pub fn requests_waiting(&self, scan: Scan) -> List<RequestRecord> {
        let read = |part| self.store.requests_waiting(part);
        self.part(scan, read, |request| request.id.0, |this, request| this.sees_builder(request.builder))
    }

    pub fn buildset(&self, id: BuildsetId) -> Found<BuildsetRecord> {
        let found = self.only(self.store.buildset(id), Self::sees_set)?;
        found.map(|set| self.without_hidden_parent(set)).transpose()
    }

    /// A buildset that does not name the build that triggered it, if that is hidden.
    fn without_hidden_parent(&self, mut set: BuildsetRecord) -> Result<BuildsetRecord, StoreError> {
        if let Some(parent) = set.parent
            && !self.sees_build(parent)?
        {
            set.parent = None;
            TRIGGERED_SET.clone_into(&mut set.reason);
        }
        Ok(set)
    }

    pub fn buildsets(&self, scan: Scan) -> List<BuildsetRecord> {
        let sets = self.part(scan, |part| self.store.buildsets(part), |set| set.id.0, Self::sees_set)?;
        sets.into_iter().map(|set| self.without_hidden_parent(set)).collect()
    }

    /// Why requests that are visible wait. The reasons name whatever is in the way, so they are only for those who may see
    /// everything.
    pub fn visible_reasons(&self, why: BTreeMap<RequestId, Vec<String>>) -> BTreeMap<RequestId, Vec<String>> {
        if self.reads_operation() {
            return why;
        }
        let short = |reasons: Vec<String>| if reasons.is_empty() { reasons } else { vec![SOME_REASON.to_owned()] };
        why.into_iter().map(|(id, reasons)| (id, short(reasons))).collect()
    }

    /// The name of what made a buildset that is visible.
    pub fn maker_of(&self, set: &BuildsetRecord) -> Result<String, StoreError> {
        self.store.maker_of(set)
    }

    pub fn change(&self, id: ChangeId) -> Found<Change> {
        self.only(self.store.change(id), |this, change| Ok(this.sees_project(&change.data.project)))
    }

    /// One of the changes of a build that is visible: who may see the build may see what it is of.
    pub fn change_of(&self, build: &BuildRecord, id: ChangeId) -> Found<Change> {
        if build.changes.contains(&id) { self.store.change(id) } else { self.change(id) }
    }

    pub fn changes(&self, scan: Scan) -> List<Change> {
        let read = |part| self.store.changes(part);
        self.part(scan, read, |change| change.id.0, |this, change| Ok(this.sees_project(&change.data.project)))
    }

    pub fn stamp(&self, id: SourceStampId) -> Found<SourceStamp> {
        self.only(self.store.stamp(id), |this, stamp| Ok(this.sees_project(&stamp.spec.project)))
    }

    pub fn stamps(&self, scan: Scan) -> List<SourceStamp> {
        let read = |part| self.store.stamps(part);
        self.part(scan, read, |stamp| stamp.id.0, |this, stamp| Ok(this.sees_project(&stamp.spec.project)))
    }

    pub fn change_of_stamp(&self, id: SourceStampId) -> Found<Change> {
        self.only(self.store.change_of_stamp(id), |this, change| Ok(this.sees_project(&change.data.project)))
    }
}

/// How the installation runs.
impl VisibleHistory<'_> {
    pub fn outbox(&self) -> List<WaitingReport> {
        self.each(self.store.outbox(), |this, waiting| this.sees_report(&waiting.report))
    }

    pub fn undelivered(&self) -> List<DeliveryRecord> {
        self.each(self.store.undelivered(), |this, record| this.sees_report(&record.report))
    }

    fn sees_report(&self, report: &Report) -> Result<bool, StoreError> {
        match &report.subject {
            ReportSubject::Build { builder, .. }
            | ReportSubject::Start { builder, .. }
            | ReportSubject::Request { builder, .. } => self.sees_builder(*builder),
            ReportSubject::Set { buildset, .. } => Ok(self.buildset(*buildset)?.is_some()),
        }
    }

    /// Whether the visitor may read the audit log.
    ///
    /// # Errors
    /// Why not.
    pub fn may_audit(&self) -> Result<(), Box<Denial>> {
        let Some(visitor) = &self.visitor else { return Ok(()) };
        visitor.control.may(visitor.identity, Action::Audit, &Object::Installation)
    }

    /// The audit log, as a whole, for those who may read it.
    pub fn audited(&self, scan: Scan) -> List<AuditRecord> {
        if self.may_audit().is_ok() { self.store.audited(scan) } else { Ok(Vec::new()) }
    }

    pub fn plan_refused(&self) -> Found<(crate::base::Timestamp, String)> {
        if self.reads_operation() { self.store.plan_refused() } else { Ok(None) }
    }

    pub fn plans_adopted(&self, limit: usize) -> List<Fact> {
        if self.reads_operation() { self.store.plans_adopted(limit) } else { Ok(Vec::new()) }
    }
}
