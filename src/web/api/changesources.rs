//! `changesources`.

use super::ask::{Answered, Ask};
use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Kind, Resource, Type, View, is, may};
use super::masters::{MASTER, embedded};
use crate::model::{ChangeSourceRecord, MasterRecord};

pub static CHANGE_SOURCE: Kind = Kind {
    name: "changesource",
    plural: "changesources",
    fields: &[is("changesourceid", Type::Int), is("name", Type::Text), may("master", Type::Inner(&MASTER))],
    paged: false,
};

/// A change source and the master that runs it.
#[derive(Clone, Debug)]
pub struct ChangeSourceRow {
    record: ChangeSourceRecord,
    master: Option<MasterRecord>,
}

impl Resource for ChangeSourceRow {
    const KIND: &'static Kind = &CHANGE_SOURCE;

    fn cell<'a>(&'a self, field: &str, _: &'a View) -> Cell<'a> {
        match field {
            "changesourceid" => Cell::number(self.record.id.0),
            "name" => Cell::from(self.record.name.as_str()),
            "master" => embedded(self.master.as_ref()),
            _ => Cell::Null,
        }
    }
}

pub fn list(ask: &mut Ask<'_>) -> Answered {
    let rows = rows(ask)?;
    ask.list(rows)
}

pub fn one(ask: &mut Ask<'_>) -> Answered {
    let id = ask.number("changesourceid")?;
    let row = rows(ask)?.into_iter().find(|row| row.record.id.0 == id);
    ask.one(row)
}

fn rows(ask: &Ask<'_>) -> Result<Vec<ChangeSourceRow>, ApiError> {
    if !ask.is_our_master()? {
        return Ok(Vec::new());
    }
    let (master, narrowed) = (ask.our_master()?, ask.has("masterid"));
    let rows = ask.store.change_sources()?.into_iter().filter(|record| record.active || !narrowed);
    Ok(rows.map(|record| ChangeSourceRow { master: master.clone().filter(|_| record.active), record }).collect())
}
