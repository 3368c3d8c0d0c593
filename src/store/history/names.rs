//! Reading what has a name: the master, builders, workers, schedulers, change sources, configurations, reports.

use super::list;
use crate::base::Timestamp;
use crate::model::{
    Alert, AuditRecord, BuilderId, BuilderRecord, ChangeSourceId, ChangeSourceRecord, CodebaseRecord, DeliveryRecord,
    Fact, MasterRecord, ProjectRecord, SchedulerId, SchedulerRecord, WaitingReport, WorkerId, WorkerRecord,
};
use crate::store::backend::Direction;
use crate::store::key::Table;
use crate::store::project::{PLAN_REFUSED, StoredAlert, StoredRefusal, StoredReport, StoredWorker};
use crate::store::txn::Records as _;
use crate::store::{Scan, Store, StoreError};

const EVERYTHING: Scan = Scan { after: None, descending: false, limit: usize::MAX };

impl Store {
    /// All masters that ever worked on this store, by id.
    pub fn masters(&self) -> Result<Vec<MasterRecord>, StoreError> {
        list(&*self.backend()?, Table::Master, &EVERYTHING)
    }

    /// All builders that were ever configured, by id.
    pub fn builders(&self) -> Result<Vec<BuilderRecord>, StoreError> {
        list(&*self.backend()?, Table::Builder, &EVERYTHING)
    }

    /// One builder.
    pub fn builder(&self, id: BuilderId) -> Result<Option<BuilderRecord>, StoreError> {
        self.backend()?.record(&Table::Builder.id(id.0))
    }

    /// The builder of a name.
    pub fn builder_named(&self, name: &str) -> Result<Option<BuilderRecord>, StoreError> {
        let backend = self.backend()?;
        match backend.number(&Table::BuilderNamed.name(name))? {
            Some(id) => backend.record(&Table::Builder.id(id)),
            None => Ok(None),
        }
    }

    /// All workers that were ever configured, by id.
    pub fn workers(&self) -> Result<Vec<WorkerRecord>, StoreError> {
        let stored: Vec<StoredWorker> = list(&*self.backend()?, Table::Worker, &EVERYTHING)?;
        Ok(stored.into_iter().map(|worker| worker.record).collect())
    }

    /// One worker.
    pub fn worker(&self, id: WorkerId) -> Result<Option<WorkerRecord>, StoreError> {
        let stored: Option<StoredWorker> = self.backend()?.record(&Table::Worker.id(id.0))?;
        Ok(stored.map(|worker| worker.record))
    }

    /// One change source.
    pub fn change_source(&self, id: ChangeSourceId) -> Result<Option<ChangeSourceRecord>, StoreError> {
        self.backend()?.record(&Table::ChangeSource.id(id.0))
    }

    /// The worker of a name.
    pub fn worker_named(&self, name: &str) -> Result<Option<WorkerRecord>, StoreError> {
        match self.backend()?.number(&Table::WorkerNamed.name(name))? {
            Some(id) => self.worker(WorkerId(id)),
            None => Ok(None),
        }
    }

    /// One scheduler.
    pub fn scheduler(&self, id: SchedulerId) -> Result<Option<SchedulerRecord>, StoreError> {
        self.backend()?.record(&Table::Scheduler.id(id.0))
    }

    /// The scheduler of a name.
    pub fn scheduler_named(&self, name: &str) -> Result<Option<SchedulerRecord>, StoreError> {
        match self.backend()?.number(&Table::SchedulerNamed.name(name))? {
            Some(id) => self.scheduler(SchedulerId(id)),
            None => Ok(None),
        }
    }

    /// All schedulers that were ever configured, by id.
    pub fn schedulers(&self) -> Result<Vec<SchedulerRecord>, StoreError> {
        list(&*self.backend()?, Table::Scheduler, &EVERYTHING)
    }

    /// All change sources that were ever configured, by id.
    pub fn change_sources(&self) -> Result<Vec<ChangeSourceRecord>, StoreError> {
        list(&*self.backend()?, Table::ChangeSource, &EVERYTHING)
    }

    /// All projects, by id.
    pub fn projects(&self) -> Result<Vec<ProjectRecord>, StoreError> {
        list(&*self.backend()?, Table::Project, &EVERYTHING)
    }

    /// The project of a name.
    pub fn project_named(&self, name: &str) -> Result<Option<ProjectRecord>, StoreError> {
        let backend = self.backend()?;
        match backend.number(&Table::ProjectNamed.name(name))? {
            Some(id) => backend.record(&Table::Project.id(id)),
            None => Ok(None),
        }
    }

    /// All declared codebases, by id.
    pub fn codebases(&self) -> Result<Vec<CodebaseRecord>, StoreError> {
        list(&*self.backend()?, Table::Codebase, &EVERYTHING)
    }

    /// Reports still in the outbox, oldest first.
    pub fn outbox(&self) -> Result<Vec<WaitingReport>, StoreError> {
        let stored: Vec<StoredReport> = list(&*self.backend()?, Table::Outbox, &EVERYTHING)?;
        let waiting =
            |StoredReport { report, error, remarks: _, tries, retry }| WaitingReport { report, error, tries, retry };
        Ok(stored.into_iter().map(waiting).collect())
    }

    /// The newest reports that were given up or delivered in part, newest first.
    pub fn undelivered(&self) -> Result<Vec<DeliveryRecord>, StoreError> {
        self.backend()?.records(&Table::Undelivered.all(), Direction::Descending, usize::MAX)
    }

    /// Entries of the audit log, by the numbers of their facts.
    pub fn audited(&self, scan: Scan) -> Result<Vec<AuditRecord>, StoreError> {
        list(&*self.backend()?, Table::Audit, &scan)
    }

    /// Alerts that follow from facts: what failed and has not worked since.
    pub fn alerts(&self) -> Result<Vec<Alert>, StoreError> {
        let stored: Vec<StoredAlert> = list(&*self.backend()?, Table::Alert, &EVERYTHING)?;
        Ok(stored.into_iter().map(|stored| stored.alert).collect())
    }

    /// Refused configuration that is newer than the one in force.
    pub fn plan_refused(&self) -> Result<Option<(Timestamp, String)>, StoreError> {
        let stored: Option<StoredRefusal> = self.backend()?.record(&Table::Meta.name(PLAN_REFUSED))?;
        Ok(stored.map(|refusal| (refusal.at, refusal.message)))
    }

    /// Configurations adopted, newest first, at most `limit`.
    pub fn plans_adopted(&self, limit: usize) -> Result<Vec<Fact>, StoreError> {
        self.backend()?.records(&Table::PlanAdopted.all(), Direction::Descending, limit)
    }
}
