//! `schedulers`, force schedulers among them.

use super::ask::{Answered, Ask};
use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Column, Kind, Resource, Type, fields, is, may};
use super::masters::MASTER;
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

pub fn list(ask: &mut Ask<'_>) -> Answered {
    let query = ask.query::<SchedulerRow>()?;
    let records = match query.bounds().texts("name") {
        Some(names) => named(names, |name| ask.store.scheduler_named(name), |scheduler| scheduler.id)?,
        None => ask.store.schedulers()?,
    };
    let rows = rows(ask, records)?;
    ask.many(&query, Rows::list(rows, &query))
}

pub fn one(ask: &mut Ask<'_>) -> Answered {
    let record = ask.store.scheduler(SchedulerId(ask.number("schedulerid")?))?;
    let rows = rows(ask, record.into_iter().collect())?;
    ask.one(rows.into_iter().next())
}

fn rows(ask: &Ask<'_>, records: Vec<SchedulerRecord>) -> Result<Vec<SchedulerRow>, ApiError> {
    if !ask.is_our_master()? {
        return Ok(Vec::new());
    }
    let (master, narrowed) = (ask.our_master()?, ask.has("masterid"));
    let rows = records.into_iter().filter(|record| record.active || !narrowed);
    Ok(rows.map(|record| SchedulerRow { master: master.clone().filter(|_| record.active), record }).collect())
}
