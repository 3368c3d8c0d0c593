//! `workers`.

use std::collections::BTreeMap;

use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Column, Kind, Resource, Type, fields, is, may, plain};
use super::masters::{MASTER, THE_MASTER};
use super::read_request::{ReadRequest, ReadResult};
use super::rows::{Rows, named};
use crate::model::{BuilderRecord, WorkerRecord};

static CONFIGURED_ON: Kind = Kind {
    name: "configured_on",
    plural: "configured_on",
    fields: &[plain("builderid", Type::Int), plain("masterid", Type::Int)],
    paged: false,
};

const COLUMNS: &[Column<WorkerRow>] = &[
    is("workerid", Type::Int, |row, _| Cell::number(row.record.id.0)),
    is("name", Type::Ident, |row, _| Cell::from(row.record.name.as_str())),
    is("connected_to", Type::Inners(&MASTER), |row, _| {
        Cell::List(row.record.connected.then(|| on_master(None)).into_iter().collect())
    }),
    is("configured_on", Type::Inners(&CONFIGURED_ON), |row, _| {
        Cell::List(row.builders.iter().map(|builder| on_master(Some(*builder))).collect())
    }),
    is("workerinfo", Type::Json, |row, _| info(&row.record)),
    is("paused", Type::Bool, |row, _| row.record.paused.into()),
    may("pause_reason", Type::Text, |row, _| Cell::text(row.record.pause_reason.as_deref())),
    is("graceful", Type::Bool, |row, _| row.record.graceful.into()),
];

pub static WORKER: Kind =
    Kind { name: "worker", plural: "workers", fields: &fields::<_, { COLUMNS.len() }>(COLUMNS), paged: false };

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
    const COLUMNS: &'static [Column<Self>] = COLUMNS;
}

/// Our master, beside a builder that it runs.
fn on_master(builder: Option<u64>) -> Cell<'static> {
    let mut items = vec![("masterid".into(), Cell::number(THE_MASTER.0))];
    items.extend(builder.map(|builder| ("builderid".into(), Cell::number(builder))));
    Cell::object(items)
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

pub fn list(read: &mut ReadRequest<'_>) -> ReadResult {
    let query = read.query::<WorkerRow>()?;
    let records = match query.bounds().texts("name") {
        Some(names) => named(names, |name| read.store.worker_named(name), |worker| worker.id)?,
        None => read.store.workers()?,
    };
    let rows = read.worker_rows(records, query.shows("configured_on"))?;
    read.many(&query, Rows::list(rows, &query))
}

pub fn one(read: &mut ReadRequest<'_>) -> ReadResult {
    let record = read.worker()?;
    let rows = read.worker_rows(record.into_iter().collect(), true)?;
    read.one(rows.into_iter().next())
}

impl ReadRequest<'_> {
    /// The worker that the path names by id or name.
    pub fn worker(&self) -> Result<Option<WorkerRecord>, ApiError> {
        self.names().worker()
    }

    /// Those of these workers that the path's master and builder leave, narrowed to them. All builders are looked at only
    /// if it shows which ones a worker may build.
    fn worker_rows(&self, records: Vec<WorkerRecord>, with_builders: bool) -> Result<Vec<WorkerRow>, ApiError> {
        if !self.is_our_master()? {
            return Ok(Vec::new());
        }
        let narrowed = self.has("builderid") || self.has("buildername");
        let builders = match (narrowed, with_builders) {
            (true, _) => self.builder()?.into_iter().collect(),
            (false, true) => self.store.builders()?,
            (false, false) => Vec::new(),
        };
        let can_build = can_build(&builders);
        let rows = records.into_iter().map(|record| {
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
