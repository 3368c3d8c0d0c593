//! `schedulers`, force schedulers among them.

use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Column, Kind, Resource, Type, fields, is, may};
use super::masters::MASTER;
use super::read_request::{ReadRequest, ReadResult};
use super::rows::{Rows, named};
use crate::model::{MasterRecord, SchedulerId, SchedulerRecord};

const COLUMNS: &[Column<SchedulerRow>] = &[
    is("schedulerid", Type::Int, |row, _| Cell::number(row.record.id.0)),
    is("name", Type::Text, |row, _| Cell::from(row.record.name.as_str())),
    may("master", Type::Inner(&MASTER), |row, _| row.master.as_ref().map_or(Cell::Null, Resource::embedded)),
    is("enabled", Type::Bool, |row, _| row.record.enabled.into()),
];

pub static SCHEDULER: Kind =
    Kind { name: "scheduler", plural: "schedulers", fields: &fields::<_, { COLUMNS.len() }>(COLUMNS), paged: false };

/// A scheduler and the master that runs it.
#[derive(Clone, Debug)]
pub struct SchedulerRow {
    record: SchedulerRecord,
    master: Option<MasterRecord>,
}

impl Resource for SchedulerRow {
    const KIND: &'static Kind = &SCHEDULER;
    const COLUMNS: &'static [Column<Self>] = COLUMNS;
}

pub fn list(read: &mut ReadRequest<'_>) -> ReadResult {
    let query = read.query::<SchedulerRow>()?;
    let records = match query.bounds().texts("name") {
        Some(names) => named(names, |name| read.store.scheduler_named(name), |scheduler| scheduler.id)?,
        None => read.store.schedulers()?,
    };
    let rows = rows(read, records)?;
    read.many(&query, Rows::list(rows, &query))
}

pub fn one(read: &mut ReadRequest<'_>) -> ReadResult {
    let record = read.store.scheduler(SchedulerId(read.number("schedulerid")?))?;
    let rows = rows(read, record.into_iter().collect())?;
    read.one(rows.into_iter().next())
}

fn rows(read: &ReadRequest<'_>, records: Vec<SchedulerRecord>) -> Result<Vec<SchedulerRow>, ApiError> {
    if !read.is_our_master()? {
        return Ok(Vec::new());
    }
    let (master, narrowed) = (read.our_master()?, read.has("masterid"));
    let rows = records.into_iter().filter(|record| record.active || !narrowed);
    Ok(rows.map(|record| SchedulerRow { master: master.clone().filter(|_| record.active), record }).collect())
}
