//! `masters`. There is one.

use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Column, Kind, Resource, Type, fields, is};
use super::read_request::{ReadRequest, ReadResult};
use crate::model::{MasterId, MasterRecord};

const COLUMNS: &[Column<MasterRecord>] = &[
    is("masterid", Type::Int, |master, _| Cell::number(master.id.0)),
    is("name", Type::Text, |master, _| Cell::from(master.name.as_str())),
    is("active", Type::Bool, |master, _| master.active.into()),
    is("last_active", Type::Time, |master, _| master.last_active.into()),
];

pub static MASTER: Kind =
    Kind { name: "master", plural: "masters", fields: &fields::<_, { COLUMNS.len() }>(COLUMNS), paged: false };

/// The master that runs everything in this version.
pub const THE_MASTER: MasterId = MasterId(1);

impl Resource for MasterRecord {
    const KIND: &'static Kind = &MASTER;
    const COLUMNS: &'static [Column<Self>] = COLUMNS;
}

pub fn list(read: &mut ReadRequest<'_>) -> ReadResult {
    let masters = read.store.masters()?;
    read.list(masters)
}

pub fn one(read: &mut ReadRequest<'_>) -> ReadResult {
    let id = read.number("masterid")?;
    let master = read.store.masters()?.into_iter().find(|master| master.id.0 == id);
    read.one(master)
}

/// The masters that run a builder.
pub fn of_builder(read: &mut ReadRequest<'_>) -> ReadResult {
    let runs = read.builder()?.is_some_and(|builder| builder.active);
    let masters = if runs { read.store.masters()? } else { Vec::new() };
    read.list(masters.into_iter().filter(|master| master.id == THE_MASTER).collect())
}

pub fn one_of_builder(read: &mut ReadRequest<'_>) -> ReadResult {
    if read.builder()?.is_some_and(|builder| builder.active) { one(read) } else { Err(read.missing()) }
}

impl ReadRequest<'_> {
    /// Whether the path leaves out masters or names ours.
    pub fn is_our_master(&self) -> Result<bool, ApiError> {
        Ok(!self.has("masterid") || self.number("masterid")? == THE_MASTER.0)
    }

    /// Our master, as it appears in what it runs.
    pub fn our_master(&self) -> Result<Option<MasterRecord>, ApiError> {
        Ok(self.store.masters()?.into_iter().find(|master| master.id == THE_MASTER))
    }
}
