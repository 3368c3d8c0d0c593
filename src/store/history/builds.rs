//! Reading builds, their steps and logs.

use std::collections::BTreeSet;

use super::{by_ids, list};
use crate::model::{
    BuildId, BuildRecord, BuilderId, BuildsetRecord, LogId, LogKind, LogRecord, RequestId, StepId, StepRecord, WorkerId,
};
use crate::store::backend::{Backend, Direction};
use crate::store::key::{Table, last_number};
use crate::store::project::{BUILDS_TOTAL, StepPlace, StoredProperty};
use crate::store::txn::Records as _;
use crate::store::{Logs, Scan, Store, StoreError};

impl Store {
    /// One build.
    pub fn build(&self, id: BuildId) -> Result<Option<BuildRecord>, StoreError> {
        one(&*self.backend()?, id.0)
    }

    /// The build of a builder with this number.
    pub fn build_by_number(&self, builder: BuilderId, number: u64) -> Result<Option<BuildRecord>, StoreError> {
        let backend = self.backend()?;
        match backend.number(&Table::BuildNumber.pair(builder.0, number))? {
            Some(build) => one(&*backend, build),
            None => Ok(None),
        }
    }

    /// Builds by id.
    pub fn builds(&self, scan: Scan) -> Result<Vec<BuildRecord>, StoreError> {
        let backend = self.backend()?;
        let records: Vec<BuildRecord> = list(&*backend, Table::Build, &scan)?;
        records.into_iter().map(|record| whole(&*backend, record)).collect()
    }

    /// By number; `scan.after` is a number.
    pub fn builds_of_builder(&self, builder: BuilderId, scan: Scan) -> Result<Vec<BuildRecord>, StoreError> {
        let backend = self.backend()?;
        let pairs = backend.scan(&Table::BuildNumber.part_under(builder.0, &scan), scan.direction(), scan.limit)?;
        many(&*backend, pairs.iter().filter_map(|(_, build)| last_number(build)))
    }

    /// Builds of a worker, by id.
    pub fn builds_of_worker(&self, worker: WorkerId, scan: Scan) -> Result<Vec<BuildRecord>, StoreError> {
        let backend = self.backend()?;
        let range = Table::BuildOfWorker.part_under(worker.0, &scan);
        many(&*backend, backend.ids(&range, scan.direction(), scan.limit)?)
    }

    /// Builds of a request, by id: several after retries.
    pub fn builds_of_request(&self, request: RequestId) -> Result<Vec<BuildRecord>, StoreError> {
        builds_of_request(&*self.backend()?, request)
    }

    /// Builds that have not ended, by id.
    pub fn builds_running(&self) -> Result<Vec<BuildRecord>, StoreError> {
        let backend = self.backend()?;
        many(&*backend, backend.ids(&Table::BuildRunning.all(), Direction::Ascending, usize::MAX)?)
    }

    /// Builds of buildsets whose parent is this build, by id.
    pub fn builds_triggered_by(&self, build: BuildId) -> Result<Vec<BuildRecord>, StoreError> {
        let backend = self.backend()?;
        let buildsets = backend.ids(&Table::BuildsetOfParent.under(build.0), Direction::Ascending, usize::MAX)?;
        let buildsets: Vec<BuildsetRecord> = by_ids(&*backend, Table::Buildset, buildsets)?;
        let mut builds = BTreeSet::new();
        for request in buildsets.iter().flat_map(|buildset| &buildset.requests) {
            builds.extend(backend.ids(&Table::BuildOfRequest.under(request.0), Direction::Ascending, usize::MAX)?);
        }
        many(&*backend, builds)
    }

    /// How many there are: exact, and quick at a million.
    pub fn builds_total(&self) -> Result<u64, StoreError> {
        Ok(self.backend()?.number(&Table::Meta.name(BUILDS_TOTAL))?.unwrap_or(0))
    }

    /// How many builds a builder has: exact and quick.
    pub fn builds_total_of(&self, builder: BuilderId) -> Result<u64, StoreError> {
        Ok(self.backend()?.number(&Table::BuildCount.id(builder.0))?.unwrap_or(0))
    }

    /// The steps of a build, by number.
    pub fn steps(&self, build: BuildId) -> Result<Vec<StepRecord>, StoreError> {
        self.backend()?.records(&Table::Step.under(build.0), Direction::Ascending, usize::MAX)
    }

    /// One step.
    pub fn step(&self, id: StepId) -> Result<Option<StepRecord>, StoreError> {
        let backend = self.backend()?;
        match backend.record::<StepPlace>(&Table::StepPlace.id(id.0))? {
            Some(place) => backend.record(&Table::Step.pair(place.build, place.number)),
            None => Ok(None),
        }
    }

    /// The logs of a step, by id, each with its present number of lines.
    pub fn logs_of_step(&self, step: StepId) -> Result<Vec<LogRecord>, StoreError> {
        let records = self.backend()?.records(&Table::Log.under(step.0), Direction::Ascending, usize::MAX)?;
        let logs = self.logs();
        records.into_iter().map(|record| with_lines(&logs, record)).collect()
    }

    /// One log, with its present number of lines.
    pub fn log(&self, id: LogId) -> Result<Option<LogRecord>, StoreError> {
        let backend = self.backend()?;
        let Some(step) = backend.number(&Table::LogPlace.id(id.0))? else { return Ok(None) };
        let record = backend.record(&Table::Log.pair(step, id.0))?;
        record.map(|record| with_lines(&self.logs(), record)).transpose()
    }
}

fn one(backend: &dyn Backend, id: u64) -> Result<Option<BuildRecord>, StoreError> {
    let record = backend.record(&Table::Build.id(id))?;
    record.map(|record| whole(backend, record)).transpose()
}

fn many(backend: &dyn Backend, ids: impl IntoIterator<Item = u64>) -> Result<Vec<BuildRecord>, StoreError> {
    ids.into_iter().filter_map(|id| one(backend, id).transpose()).collect()
}

/// A build with the properties that it has set so far, which are in its record once it has ended.
fn whole(backend: &dyn Backend, record: BuildRecord) -> Result<BuildRecord, StoreError> {
    if record.completed.is_some() {
        return Ok(record);
    }
    let id = record.id.0;
    let set: Vec<StoredProperty> =
        backend.records(&Table::BuildProperty.under(id), Direction::Ascending, usize::MAX)?;
    // It may have ended meanwhile, and taken them into its record.
    let mut record = backend.record(&Table::Build.id(id))?.unwrap_or(record);
    if record.completed.is_none() {
        record.properties.0.extend(set.into_iter().map(|set| (set.name, set.property)));
    }
    Ok(record)
}

fn builds_of_request(backend: &dyn Backend, request: RequestId) -> Result<Vec<BuildRecord>, StoreError> {
    let ids = backend.ids(&Table::BuildOfRequest.under(request.0), Direction::Ascending, usize::MAX)?;
    many(backend, ids)
}

/// Records do not know how many lines a log has: the log's own file does.
fn with_lines(logs: &Logs, mut record: LogRecord) -> Result<LogRecord, StoreError> {
    record.lines = match record.kind {
        LogKind::Stdio | LogKind::Text | LogKind::Html => logs.lines(record.build, record.id)?,
        LogKind::Deleted => 0,
    };
    Ok(record)
}
