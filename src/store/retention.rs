//! Retention: which builds, requests and logs go, and their removal from the records.
//!
//! A call looks at a bounded number of builders and removes a bounded number of builds, oldest first, so that commits
//! never wait long behind it. The newest build of a builder always stays, as do running builds and those that a report in
//! the outbox speaks of. Builds that were running when a kept snapshot of the engine was made stay until the next one: who
//! folds facts onto that snapshot needs the fact of their end. Files go after the records; the journal has what was removed, so a
//! crash in between is made good by the next opening.

use std::collections::BTreeSet;

use super::StoreError;
use super::backend::{Backend, Direction};
use super::codec::decode;
use super::key::{Table, last_number};
use super::project::remove_results;
use super::project::{BUILDS_TOTAL, StoredEnd, StoredReport, remove_artifacts};
use super::removal::Removal;
use super::txn::{Records, Txn};
use crate::base::{Span, Timestamp};
use crate::model::{
    ArtifactRules, BuildId, BuildRecord, BuilderRecord, BuildsetRecord, LogKind, LogRecord, RequestRecord,
    RetentionPlan, StepRecord,
};

/// Builders looked at in one call: each costs a few reads.
const BUILDERS_MAX: usize = 200;

/// Builds removed in one call: each costs some hundred deletes.
const BUILDS_MAX: usize = 20;

/// Builds or requests of one builder looked at in one call.
const LOOKED_AT_MAX: usize = 64;

/// Builds with artifacts of one builder looked at in one call. Some may stay much longer than others.
const ARTIFACTS_LOOKED_AT_MAX: usize = 512;

/// Removals of the journal applied together.
const REPEATED_AT_ONCE: usize = 1000;

/// What to do.
#[derive(Clone, Debug)]
pub(crate) struct Retirement {
    pub rules: RetentionPlan,
    pub now: Timestamp,
    /// The facts at which the kept snapshots were made.
    pub snapshots: Vec<u64>,
    /// Begin with the first builder after this one.
    pub after_builder: Option<u64>,
}

/// What was done to the records; the files follow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Retired {
    pub entries: Vec<Removal>,
    /// The last builder looked at; none when all were.
    pub last_builder: Option<u64>,
}

impl Retired {
    /// Builds that are gone.
    pub fn builds(&self) -> impl Iterator<Item = BuildId> {
        self.entries.iter().filter_map(|entry| match entry {
            Removal::Build(build) => Some(*build),
            Removal::Request(_) | Removal::Buildset(_) | Removal::Logs(_) | Removal::Artifacts(_) => None,
        })
    }

    /// Builds whose logs are gone.
    pub fn logs(&self) -> impl Iterator<Item = BuildId> {
        self.entries.iter().filter_map(|entry| match entry {
            Removal::Logs(build) => Some(*build),
            Removal::Build(_) | Removal::Request(_) | Removal::Buildset(_) | Removal::Artifacts(_) => None,
        })
    }
}

/// Removes what the rules no longer keep from the records.
pub(crate) fn retire(txn: &mut Txn<'_>, backend: &dyn Backend, retirement: &Retirement) -> Result<Retired, StoreError> {
    let scan = super::Scan { after: retirement.after_builder, descending: false, limit: BUILDERS_MAX };
    let builders = backend.ids(&Table::Builder.part(&scan), Direction::Ascending, BUILDERS_MAX)?;
    let mut sweep = Sweep {
        txn,
        backend,
        rules: retirement,
        needed: needed(backend, &retirement.snapshots)?,
        retired: Retired::default(),
    };
    for builder in &builders {
        sweep.builds(*builder)?;
        sweep.requests(*builder)?;
        sweep.logs(*builder)?;
        sweep.artifacts(*builder)?;
        sweep.retired.last_builder = Some(*builder);
        if sweep.retired.entries.len() >= BUILDS_MAX {
            return Ok(sweep.retired);
        }
    }
    if builders.len() < BUILDERS_MAX {
        sweep.retired.last_builder = None;
    }
    Ok(sweep.retired)
}

/// Builds that a report in the outbox speaks of, or that ended after a kept snapshot in which they run.
fn needed(backend: &dyn Backend, snapshots: &[u64]) -> Result<BTreeSet<u64>, StoreError> {
    let reports: Vec<StoredReport> = backend.records(&Table::Outbox.all(), Direction::Ascending, usize::MAX)?;
    let reported = reports.into_iter().filter_map(|stored| stored.report.subject.build().map(|build| build.0));
    let mut needed: BTreeSet<u64> = reported.collect();
    // One that is being written at this moment is newer than all of them.
    let newest = snapshots.last().copied().unwrap_or(u64::MAX);
    for (key, value) in backend.scan(&Table::Ended.all(), Direction::Ascending, usize::MAX)? {
        let end: StoredEnd = decode(&value, "the end of a build")?;
        let ended = last_number(&key).unwrap_or(u64::MAX);
        if ended > newest || snapshots.iter().any(|snapshot| (end.started..ended).contains(snapshot)) {
            needed.insert(end.build);
        }
    }
    Ok(needed)
}

struct Sweep<'a, 'b> {
    txn: &'a mut Txn<'b>,
    backend: &'a dyn Backend,
    rules: &'a Retirement,
    /// Builds that somebody still has to read.
    needed: BTreeSet<u64>,
    retired: Retired,
}

impl Sweep<'_, '_> {
    fn builds(&mut self, builder: u64) -> Result<(), StoreError> {
        let all = Table::BuildNumber.under(builder);
        let newest = self.backend.ids(&all, Direction::Descending, 1)?.first().copied();
        let count = self.backend.number(&Table::BuildCount.id(builder))?.unwrap_or(0);
        let mut excess = self.rules.rules.builds.map_or(0, |kept| count.saturating_sub(kept));
        for (key, value) in self.backend.scan(&all, Direction::Ascending, LOOKED_AT_MAX)? {
            if last_number(&key) == newest || self.retired.entries.len() >= BUILDS_MAX {
                return Ok(());
            }
            let Some(build) = last_number(&value) else { continue };
            let Some(record) = self.backend.record::<BuildRecord>(&Table::Build.id(build))? else { continue };
            let is_old = record.completed.is_some_and(|completed| self.is_past(completed, self.rules.rules.days));
            if record.completed.is_none() || self.needed.contains(&build) {
                excess = excess.saturating_sub(1);
            } else if excess > 0 || is_old {
                excess = excess.saturating_sub(1);
                remove_build(self.txn, &record, &mut self.retired.entries)?;
            } else {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Requests that ended without a build, older than the oldest build that stays.
    fn requests(&mut self, builder: u64) -> Result<(), StoreError> {
        let oldest = self.txn.pairs(&Table::BuildNumber.under(builder), Direction::Ascending, 1);
        let Some((_, value)) = oldest?.into_iter().next() else { return Ok(()) };
        let Some(oldest) = last_number(&value) else { return Ok(()) };
        let Some(oldest) = self.txn.record::<BuildRecord>(&Table::Build.id(oldest))? else { return Ok(()) };
        let limited = self.rules.rules.days.is_some() || self.rules.rules.builds.is_some();
        for id in self.backend.ids(&Table::RequestOfBuilder.under(builder), Direction::Ascending, LOOKED_AT_MAX)? {
            let Some(request) = self.txn.record::<RequestRecord>(&Table::Request.id(id))? else { continue };
            let is_over = request.completed.is_some_and(|completed| completed < oldest.started);
            let has_builds = !self.txn.ids(&Table::BuildOfRequest.under(id), Direction::Ascending, 1)?.is_empty();
            if !limited || !is_over || has_builds {
                return Ok(());
            }
            remove_request(self.txn, &request, &mut self.retired.entries)?;
        }
        Ok(())
    }

    fn logs(&mut self, builder: u64) -> Result<(), StoreError> {
        if self.rules.rules.log_days.is_none() {
            return Ok(());
        }
        let kept_key = Table::LogsKept.id(builder);
        let kept = self.txn.number(&kept_key)?.unwrap_or(0);
        let scan = super::Scan { after: kept.checked_sub(1), descending: false, limit: LOOKED_AT_MAX };
        let mut next = kept;
        for (key, value) in
            self.backend.scan(&Table::BuildNumber.part_under(builder, &scan), Direction::Ascending, LOOKED_AT_MAX)?
        {
            let (Some(number), Some(build)) = (last_number(&key), last_number(&value)) else { continue };
            let record = self.txn.record::<BuildRecord>(&Table::Build.id(build))?;
            let completed = record.as_ref().map(|record| record.completed);
            let is_past = match completed {
                None => true,
                Some(completed) => completed.is_some_and(|at| self.is_past(at, self.rules.rules.log_days)),
            };
            if !is_past || self.needed.contains(&build) || self.retired.entries.len() >= BUILDS_MAX {
                break;
            }
            next = number + 1;
            if record.is_some() {
                remove_logs(self.txn, BuildId(build))?;
                self.retired.entries.push(Removal::Logs(BuildId(build)));
            }
        }
        if next != kept {
            self.txn.put_number(kept_key, next);
        }
        Ok(())
    }

    /// Those of the newest build that has any stay.
    fn artifacts(&mut self, builder: u64) -> Result<(), StoreError> {
        let Some(rules) = self.artifact_rules(builder)? else { return Ok(()) };
        let all = Table::BuildWithArtifacts.under(builder);
        let newest = self.backend.ids(&all, Direction::Descending, 1)?.first().copied();
        for (key, value) in self.backend.scan(&all, Direction::Ascending, ARTIFACTS_LOOKED_AT_MAX)? {
            if last_number(&key) == newest || self.retired.entries.len() >= BUILDS_MAX {
                return Ok(());
            }
            let Some(build) = last_number(&value).filter(|build| !self.needed.contains(build)) else { continue };
            // Removed a moment ago, perhaps.
            let Some(record) = self.txn.record::<BuildRecord>(&Table::Build.id(build))? else { continue };
            let (Some(completed), Some(outcome)) = (record.completed, record.outcome) else { continue };
            let days = rules.days_of(outcome).or(self.rules.rules.artifact_days);
            if self.is_past(completed, days) {
                remove_artifacts(self.txn, &record)?;
                self.retired.entries.push(Removal::Artifacts(record.id));
            }
        }
        Ok(())
    }

    /// None if artifacts of this builder stay as long as their builds.
    fn artifact_rules(&self, builder: u64) -> Result<Option<ArtifactRules>, StoreError> {
        let rules = &self.rules.rules;
        if rules.artifact_days.is_none() && rules.artifacts_of.is_empty() {
            return Ok(None);
        }
        let record: Option<BuilderRecord> = self.backend.record(&Table::Builder.id(builder))?;
        let own = record.and_then(|record| rules.artifacts_of.get(&record.name).cloned()).unwrap_or_default();
        let says_nothing = rules.artifact_days.is_none() && own.days.is_none() && own.days_after.is_empty();
        Ok((!says_nothing).then_some(own))
    }

    fn is_past(&self, at: Timestamp, days: Option<u64>) -> bool {
        days.is_some_and(|days| self.rules.now.since(at) > Span::from_minutes(days.saturating_mul(24 * 60)))
    }
}

/// Takes these out of the records; what is out already stays out.
pub(crate) fn repeat_all(backend: &dyn Backend, entries: &[Removal]) -> Result<(), StoreError> {
    for entries in entries.chunks(REPEATED_AT_ONCE) {
        let mut txn = Txn::new(backend);
        for entry in entries {
            repeat(&mut txn, entry)?;
        }
        if txn.len() > 0 {
            backend.apply(txn.into_batch())?;
        }
    }
    Ok(())
}

/// Applies one removal of the journal again, as a rebuild does.
fn repeat(txn: &mut Txn<'_>, entry: &Removal) -> Result<(), StoreError> {
    let mut ignored = Vec::new();
    match entry {
        Removal::Build(build) => match txn.record::<BuildRecord>(&Table::Build.id(build.0))? {
            Some(record) => remove_build(txn, &record, &mut ignored),
            None => Ok(()),
        },
        Removal::Request(request) => match txn.record::<RequestRecord>(&Table::Request.id(request.0))? {
            Some(record) => remove_request(txn, &record, &mut ignored),
            None => Ok(()),
        },
        Removal::Buildset(buildset) => match txn.record::<BuildsetRecord>(&Table::Buildset.id(buildset.0))? {
            Some(record) => {
                remove_buildset(txn, &record);
                Ok(())
            }
            None => Ok(()),
        },
        Removal::Artifacts(build) => match txn.record::<BuildRecord>(&Table::Build.id(build.0))? {
            Some(record) => remove_artifacts(txn, &record),
            None => Ok(()),
        },
        Removal::Logs(build) => {
            remove_logs(txn, *build)?;
            if let Some(record) = txn.record::<BuildRecord>(&Table::Build.id(build.0))? {
                let key = Table::LogsKept.id(record.builder.0);
                txn.count(key, |kept| kept.max(record.number + 1))?;
            }
            Ok(())
        }
    }
}

fn remove_build(txn: &mut Txn<'_>, build: &BuildRecord, gone: &mut Vec<Removal>) -> Result<(), StoreError> {
    let id = build.id.0;
    for (key, step) in steps(txn, build.id)? {
        for log in txn.ids(&Table::Log.under(step.id.0), Direction::Ascending, usize::MAX)? {
            txn.remove(Table::Log.pair(step.id.0, log));
            txn.remove(Table::LogPlace.id(log));
        }
        txn.remove(Table::StepPlace.id(step.id.0));
        txn.remove(key);
    }
    remove_artifacts(txn, build)?;
    remove_results(txn, build)?;
    txn.remove(Table::Build.id(id));
    txn.remove(Table::BuildNumber.pair(build.builder.0, build.number));
    txn.remove(Table::BuildOfWorker.pair(build.worker.0, id));
    txn.remove(Table::BuildRunning.id(id));
    for request in &build.requests {
        txn.remove(Table::BuildOfRequest.pair(request.0, id));
    }
    txn.count(Table::BuildCount.id(build.builder.0), |count| count.saturating_sub(1))?;
    txn.count(Table::Meta.name(BUILDS_TOTAL), |count| count.saturating_sub(1))?;
    gone.push(Removal::Build(build.id));
    for request in &build.requests {
        let Some(record) = txn.record::<RequestRecord>(&Table::Request.id(request.0))? else { continue };
        let has_builds = !txn.ids(&Table::BuildOfRequest.under(request.0), Direction::Ascending, 1)?.is_empty();
        if record.completed.is_some() && !has_builds {
            remove_request(txn, &record, gone)?;
        }
    }
    Ok(())
}

fn steps(txn: &Txn<'_>, build: BuildId) -> Result<Vec<(Vec<u8>, StepRecord)>, StoreError> {
    let pairs = txn.pairs(&Table::Step.under(build.0), Direction::Ascending, usize::MAX)?;
    pairs.into_iter().map(|(key, bytes)| Ok((key, decode(&bytes, &format!("a step of build {build}"))?))).collect()
}

fn remove_request(txn: &mut Txn<'_>, request: &RequestRecord, gone: &mut Vec<Removal>) -> Result<(), StoreError> {
    txn.remove(Table::Request.id(request.id.0));
    txn.remove(Table::RequestWaiting.id(request.id.0));
    txn.remove(Table::RequestOfBuilder.pair(request.builder.0, request.id.0));
    gone.push(Removal::Request(request.id));
    let Some(buildset) = txn.record::<BuildsetRecord>(&Table::Buildset.id(request.buildset.0))? else { return Ok(()) };
    for sibling in &buildset.requests {
        if txn.bytes(&Table::Request.id(sibling.0))?.is_some() {
            return Ok(());
        }
    }
    if buildset.completed.is_some() {
        remove_buildset(txn, &buildset);
        gone.push(Removal::Buildset(buildset.id));
    }
    Ok(())
}

fn remove_buildset(txn: &mut Txn<'_>, buildset: &BuildsetRecord) {
    txn.remove(Table::Buildset.id(buildset.id.0));
    if let Some(parent) = buildset.parent {
        txn.remove(Table::BuildsetOfParent.pair(parent.0, buildset.id.0));
    }
}

fn remove_logs(txn: &mut Txn<'_>, build: BuildId) -> Result<(), StoreError> {
    for (_, step) in steps(txn, build)? {
        for log in txn.ids(&Table::Log.under(step.id.0), Direction::Ascending, usize::MAX)? {
            txn.update::<LogRecord>(Table::Log.pair(step.id.0, log), |log| {
                log.kind = LogKind::Deleted;
                log.complete = true;
                log.lines = 0;
            })?;
        }
    }
    Ok(())
}
