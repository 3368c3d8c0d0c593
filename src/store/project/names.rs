//! What has a name in the configuration: the master, builders, workers, schedulers, change sources.
//!
//! Their records stay for ever; those that the present configuration lacks are not active.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::projects;
use crate::base::{Span, Timestamp};
use crate::model::{
    AlertSubject, BuilderAbout, BuilderId, BuilderRecord, ChangeSourceId, ChangeSourceRecord, FunctionOwner, MasterId,
    MasterRecord, NameChanges, SchedulerId, SchedulerRecord, WorkerId, WorkerRecord,
};
use crate::store::StoreError;
use crate::store::backend::Direction;
use crate::store::key::Table;
use crate::store::txn::{Records, Txn};

/// The only master of this version.
const MASTER: MasterId = MasterId(1);

/// How often the master's last sign of life is noted: the field refreshes it about once a minute.
const SEEN_EVERY: Span = Span::from_minutes(1);

/// A worker with what only this room needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredWorker {
    pub record: WorkerRecord,
    /// The connection that `connected` speaks of; the end of an earlier one changes nothing.
    pub epoch: u64,
}

pub(super) fn master_started(txn: &mut Txn<'_>, at: Timestamp, name: &str) -> Result<(), StoreError> {
    let record = MasterRecord { id: MASTER, name: name.to_owned(), active: true, last_active: at };
    txn.put(Table::Master.id(MASTER.0), &record);
    // A new process has no connections yet.
    change_all(txn, Table::Worker, |worker: &mut StoredWorker| {
        if worker.record.connected {
            worker.record.connected = false;
            worker.record.since = Some(at);
        }
    })
}

pub(super) fn master_stopped(txn: &mut Txn<'_>, at: Timestamp) -> Result<(), StoreError> {
    txn.update::<MasterRecord>(Table::Master.id(MASTER.0), |master| {
        master.active = false;
        master.last_active = at;
    })
}

/// Any fact is a sign of life.
pub(super) fn master_seen(txn: &mut Txn<'_>, at: Timestamp) -> Result<(), StoreError> {
    let key = Table::Master.id(MASTER.0);
    let Some(mut master) = txn.record::<MasterRecord>(&key)? else { return Ok(()) };
    // The same whichever facts before this one are left: a rebuild lacks those of removed builds.
    let seen = whole(at, SEEN_EVERY);
    if seen > master.last_active {
        master.last_active = seen;
        txn.put(key, &master);
    }
    Ok(())
}

/// The last moment up to `at` that is a multiple of `step`.
fn whole(at: Timestamp, step: Span) -> Timestamp {
    let step = i64::try_from(step.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millis(at.as_millis() - at.as_millis().rem_euclid(step))
}

pub(super) fn adopt_builders(
    txn: &mut Txn<'_>,
    names: &NameChanges<BuilderId>,
    about: &BTreeMap<BuilderId, BuilderAbout>,
) -> Result<(), StoreError> {
    for (name, id) in &names.added {
        adopt(txn, (Table::Builder, Table::BuilderNamed), (name, id.0), |record: &mut BuilderRecord| {
            record.id = *id;
            record.name.clone_from(name);
            record.active = true;
        })?;
    }
    for id in &names.removed {
        txn.update(Table::Builder.id(id.0), |record: &mut BuilderRecord| record.active = false)?;
    }
    for (id, about) in about {
        let project = about.project.as_ref().map(|name| projects::numbered(txn, name)).transpose()?.flatten();
        txn.update(Table::Builder.id(id.0), |record: &mut BuilderRecord| {
            record.tags.clone_from(&about.tags);
            record.description.clone_from(&about.description);
            record.workers.clone_from(&about.workers);
            record.project = project;
        })?;
    }
    Ok(())
}

pub(super) fn adopt_workers(txn: &mut Txn<'_>, names: &NameChanges<WorkerId>) -> Result<(), StoreError> {
    for (name, id) in &names.added {
        adopt(txn, (Table::Worker, Table::WorkerNamed), (name, id.0), |worker: &mut StoredWorker| {
            worker.record.id = *id;
            worker.record.name.clone_from(name);
            worker.record.active = true;
        })?;
    }
    for id in &names.removed {
        change_worker(txn, *id, |worker| worker.record.active = false)?;
    }
    Ok(())
}

pub(super) fn adopt_schedulers(txn: &mut Txn<'_>, names: &NameChanges<SchedulerId>) -> Result<(), StoreError> {
    for (name, id) in &names.added {
        adopt(txn, (Table::Scheduler, Table::SchedulerNamed), (name, id.0), |record: &mut SchedulerRecord| {
            if record.name.is_empty() {
                record.enabled = true;
            }
            record.id = *id;
            record.name.clone_from(name);
            record.active = true;
        })?;
    }
    for id in &names.removed {
        txn.update(Table::Scheduler.id(id.0), |record: &mut SchedulerRecord| record.active = false)?;
    }
    Ok(())
}

pub(super) fn adopt_change_sources(txn: &mut Txn<'_>, names: &NameChanges<ChangeSourceId>) -> Result<(), StoreError> {
    for (name, id) in &names.added {
        adopt(
            txn,
            (Table::ChangeSource, Table::ChangeSourceNamed),
            (name, id.0),
            |record: &mut ChangeSourceRecord| {
                record.id = *id;
                record.name.clone_from(name);
                record.active = true;
            },
        )?;
    }
    for id in &names.removed {
        txn.update(Table::ChangeSource.id(id.0), |record: &mut ChangeSourceRecord| record.active = false)?;
    }
    Ok(())
}

/// Brings a name into force: `change` gets its record, a new one if it was never there.
fn adopt<T: Serialize + DeserializeOwned + Default>(
    txn: &mut Txn<'_>,
    (table, named): (Table, Table),
    (name, id): (&str, u64),
    change: impl FnOnce(&mut T),
) -> Result<(), StoreError> {
    let mut record = txn.record::<T>(&table.id(id))?.unwrap_or_default();
    change(&mut record);
    txn.put(table.id(id), &record);
    txn.put_number(named.name(name), id);
    Ok(())
}

fn change_all<T: Serialize + DeserializeOwned + PartialEq + Clone>(
    txn: &mut Txn<'_>,
    table: Table,
    change: impl Fn(&mut T),
) -> Result<(), StoreError> {
    for id in txn.ids(&table.all(), Direction::Ascending, usize::MAX)? {
        let Some(before) = txn.record::<T>(&table.id(id))? else { continue };
        let mut after = before.clone();
        change(&mut after);
        if after != before {
            txn.put(table.id(id), &after);
        }
    }
    Ok(())
}

/// The name of a change source; empty if there is none of this id.
pub(super) fn source_name(txn: &Txn<'_>, id: ChangeSourceId) -> Result<String, StoreError> {
    let record = txn.record::<ChangeSourceRecord>(&Table::ChangeSource.id(id.0))?;
    Ok(record.map(|record| record.name).unwrap_or_default())
}

/// What a function belongs to, by its name.
pub(super) fn owner(txn: &Txn<'_>, of: FunctionOwner) -> Result<AlertSubject, StoreError> {
    Ok(match of {
        FunctionOwner::Scheduler(id) => AlertSubject::Scheduler(scheduler_name(txn, id)?),
        FunctionOwner::Builder(id) => {
            let record = txn.record::<BuilderRecord>(&Table::Builder.id(id.0))?;
            AlertSubject::Builder(record.map(|record| record.name).unwrap_or_default())
        }
    })
}

/// The name of a scheduler; empty if there is none of this id.
pub(super) fn scheduler_name(txn: &Txn<'_>, id: SchedulerId) -> Result<String, StoreError> {
    let record = txn.record::<SchedulerRecord>(&Table::Scheduler.id(id.0))?;
    Ok(record.map(|record| record.name).unwrap_or_default())
}

pub(super) fn source_polled(txn: &mut Txn<'_>, at: Timestamp, source: ChangeSourceId) -> Result<(), StoreError> {
    txn.update(Table::ChangeSource.id(source.0), |record: &mut ChangeSourceRecord| {
        record.polled = Some(at);
        record.error = None;
    })
}

pub(super) fn source_failed(txn: &mut Txn<'_>, source: ChangeSourceId, error: &str) -> Result<(), StoreError> {
    txn.update(Table::ChangeSource.id(source.0), |record: &mut ChangeSourceRecord| {
        record.error = Some(error.to_owned());
    })
}

pub(super) fn scheduler_enabled(txn: &mut Txn<'_>, scheduler: SchedulerId, enabled: bool) -> Result<(), StoreError> {
    txn.update(Table::Scheduler.id(scheduler.0), |record: &mut SchedulerRecord| record.enabled = enabled)
}

fn change_worker(
    txn: &mut Txn<'_>,
    worker: WorkerId,
    change: impl FnOnce(&mut StoredWorker),
) -> Result<(), StoreError> {
    txn.update(Table::Worker.id(worker.0), change)
}

pub(super) fn worker_connected(
    txn: &mut Txn<'_>,
    at: Timestamp,
    worker: WorkerId,
    epoch: u64,
    info: &BTreeMap<String, String>,
) -> Result<(), StoreError> {
    change_worker(txn, worker, |stored| {
        stored.epoch = epoch;
        stored.record.connected = true;
        stored.record.since = Some(at);
        stored.record.info.clone_from(info);
    })
}

pub(super) fn worker_lost(txn: &mut Txn<'_>, at: Timestamp, worker: WorkerId, epoch: u64) -> Result<(), StoreError> {
    change_worker(txn, worker, |stored| {
        if epoch >= stored.epoch && stored.record.connected {
            stored.record.connected = false;
            stored.record.since = Some(at);
        }
    })
}

pub(super) fn worker_paused(
    txn: &mut Txn<'_>,
    worker: WorkerId,
    paused: bool,
    reason: Option<&String>,
) -> Result<(), StoreError> {
    change_worker(txn, worker, |stored| {
        stored.record.paused = paused;
        stored.record.pause_reason = reason.cloned();
    })
}

pub(super) fn worker_graceful(txn: &mut Txn<'_>, worker: WorkerId, graceful: bool) -> Result<(), StoreError> {
    change_worker(txn, worker, |stored| stored.record.graceful = graceful)
}
