//! `changesources`.

use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Column, Kind, Resource, Type, fields, is, may};
use super::masters::MASTER;
use super::read_request::{ReadRequest, ReadResult};
use crate::model::{ChangeSourceRecord, MasterRecord};

const COLUMNS: &[Column<ChangeSourceRow>] = &[
    is("changesourceid", Type::Int, |row, _| Cell::number(row.record.id.0)),
    is("name", Type::Text, |row, _| Cell::from(row.record.name.as_str())),
    may("master", Type::Inner(&MASTER), |row, _| row.master.as_ref().map_or(Cell::Null, Resource::embedded)),
];

pub static CHANGE_SOURCE: Kind = Kind {
    name: "changesource",
    plural: "changesources",
    fields: &fields::<_, { COLUMNS.len() }>(COLUMNS),
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
    const COLUMNS: &'static [Column<Self>] = COLUMNS;
}

pub fn list(read: &mut ReadRequest<'_>) -> ReadResult {
    let rows = rows(read)?;
    read.list(rows)
}

pub fn one(read: &mut ReadRequest<'_>) -> ReadResult {
    let id = read.number("changesourceid")?;
    let row = rows(read)?.into_iter().find(|row| row.record.id.0 == id);
    read.one(row)
}

fn rows(read: &ReadRequest<'_>) -> Result<Vec<ChangeSourceRow>, ApiError> {
    if !read.is_our_master()? {
        return Ok(Vec::new());
    }
    let (master, narrowed) = (read.our_master()?, read.has("masterid"));
    let rows = read.store.change_sources()?.into_iter().filter(|record| record.active || !narrowed);
    Ok(rows.map(|record| ChangeSourceRow { master: master.clone().filter(|_| record.active), record }).collect())
}
