//! `workers`.

use std::collections::BTreeMap;

use super::ask::{Answered, Ask};
use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Kind, Resource, Type, View, is, may};
use super::masters::{MASTER, THE_MASTER};
use crate::model::{BuilderRecord, WorkerRecord};

static CONFIGURED_ON: Kind = Kind {
    name: "configured_on",
    plural: "configured_on",
    fields: &[is("builderid", Type::Int), is("masterid", Type::Int)],
    paged: false,
};

pub static WORKER: Kind = Kind {
    name: "worker",
    plural: "workers",
    fields: &[
        is("workerid", Type::Int),
        is("name", Type::Ident),
        is("connected_to", Type::Inners(&MASTER)),
        is("configured_on", Type::Inners(&CONFIGURED_ON)),
        is("workerinfo", Type::Json),
        is("paused", Type::Bool),
        may("pause_reason", Type::Text),
        is("graceful", Type::Bool),
    ],
    paged: false,
};

/// What a worker's environment may hold is nobody's business.
const PRIVATE: &str = "environ";
/// Keys of `workerinfo` that clients expect to be there.
const USUAL: [&str; 4] = ["access_uri", "admin", "host", "version"];

/// A worker and the builders that it may build.
#[derive(Clone, Debug)]
pub struct WorkerRow {
    record: WorkerRecord,
    builders: Vec<u64>,
}

impl Resource for WorkerRow {
    const KIND: &'static Kind = &WORKER;

    fn cell<'a>(&'a self, field: &str, _: &'a View) -> Cell<'a> {
        let record = &self.record;
        let on_master = |builder: Option<u64>| {
            let mut items = vec![("masterid".into(), Cell::number(THE_MASTER.0))];
            items.extend(builder.map(|builder| ("builderid".into(), Cell::number(builder))));
            Cell::object(items)
        };
        match field {
            "workerid" => Cell::number(record.id.0),
            "name" => Cell::from(record.name.as_str()),
            "connected_to" => Cell::List(if record.connected { vec![on_master(None)] } else { Vec::new() }),
            "configured_on" => Cell::List(self.builders.iter().map(|builder| on_master(Some(*builder))).collect()),
            "workerinfo" => info(record),
            "paused" => record.paused.into(),
            "pause_reason" => Cell::text(record.pause_reason.as_deref()),
            "graceful" => record.graceful.into(),
            _ => Cell::Null,
        }
    }
}

fn info(record: &WorkerRecord) -> Cell<'_> {
    if record.info.is_empty() {
        return Cell::Object(Vec::new());
    }
    let mut items: BTreeMap<&str, Cell<'_>> = USUAL.iter().map(|key| (*key, Cell::Null)).collect();
    let told = record.info.iter().filter(|(key, _)| !key.starts_with(PRIVATE));
    items.extend(told.map(|(key, value)| (key.as_str(), Cell::from(value.as_str()))));
    Cell::Object(items.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

pub fn list(ask: &mut Ask<'_>) -> Answered {
    let rows = ask.worker_rows()?;
    ask.list(rows)
}

pub fn one(ask: &mut Ask<'_>) -> Answered {
    let wanted = ask.worker()?;
    let rows = ask.worker_rows()?;
    ask.one(wanted.and_then(|wanted| rows.into_iter().find(|row| row.record.id == wanted.id)))
}

impl Ask<'_> {
    /// The worker that the path names by id or name.
    pub fn worker(&self) -> Result<Option<WorkerRecord>, ApiError> {
        let workers = self.store.workers()?;
        if self.has("workerid") {
            let id = self.number("workerid")?;
            Ok(workers.into_iter().find(|worker| worker.id.0 == id))
        } else {
            let name = self.text("name");
            Ok(workers.into_iter().find(|worker| worker.name == name))
        }
    }

    /// The workers that the path's master and builder leave, narrowed to them.
    fn worker_rows(&self) -> Result<Vec<WorkerRow>, ApiError> {
        if !self.is_our_master()? {
            return Ok(Vec::new());
        }
        let narrowed = self.has("builderid") || self.has("buildername");
        let builders = if narrowed { self.builder()?.into_iter().collect() } else { self.store.builders()? };
        let can_build = can_build(&builders);
        let rows = self.store.workers()?.into_iter().map(|record| {
            let builders = can_build.get(record.name.as_str()).cloned().unwrap_or_default();
            WorkerRow { record, builders }
        });
        Ok(rows.filter(|row| !narrowed || !row.builders.is_empty()).collect())
    }
}

/// Builder ids by the names of workers.
fn can_build(builders: &[BuilderRecord]) -> BTreeMap<&str, Vec<u64>> {
    let mut can_build: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for builder in builders.iter().filter(|builder| builder.active) {
        for worker in &builder.workers {
            can_build.entry(worker).or_default().push(builder.id.0);
        }
    }
    can_build
}
