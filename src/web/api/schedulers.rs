//! `schedulers`, force schedulers among them.

use super::ask::{Answered, Ask};
use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Kind, Resource, Type, View, is, may};
use super::masters::{MASTER, embedded};
use crate::model::{MasterRecord, SchedulerRecord};

pub static SCHEDULER: Kind = Kind {
    name: "scheduler",
    plural: "schedulers",
    fields: &[
        is("schedulerid", Type::Int),
        is("name", Type::Text),
        may("master", Type::Inner(&MASTER)),
        is("enabled", Type::Bool),
    ],
    paged: false,
};

/// A scheduler and the master that runs it.
#[derive(Clone, Debug)]
pub struct SchedulerRow {
    record: SchedulerRecord,
    master: Option<MasterRecord>,
}

impl Resource for SchedulerRow {
    const KIND: &'static Kind = &SCHEDULER;

    fn cell<'a>(&'a self, field: &str, _: &'a View) -> Cell<'a> {
        match field {
            "schedulerid" => Cell::number(self.record.id.0),
            "name" => Cell::from(self.record.name.as_str()),
            "master" => embedded(self.master.as_ref()),
            "enabled" => self.record.enabled.into(),
            _ => Cell::Null,
        }
    }
}

pub fn list(ask: &mut Ask<'_>) -> Answered {
    let rows = rows(ask)?;
    ask.list(rows)
}

pub fn one(ask: &mut Ask<'_>) -> Answered {
    let id = ask.number("schedulerid")?;
    let row = rows(ask)?.into_iter().find(|row| row.record.id.0 == id);
    ask.one(row)
}

fn rows(ask: &Ask<'_>) -> Result<Vec<SchedulerRow>, ApiError> {
    if !ask.is_our_master()? {
        return Ok(Vec::new());
    }
    let (master, narrowed) = (ask.our_master()?, ask.has("masterid"));
    let rows = ask.store.schedulers()?.into_iter().filter(|record| record.active || !narrowed);
    Ok(rows.map(|record| SchedulerRow { master: master.clone().filter(|_| record.active), record }).collect())
}
