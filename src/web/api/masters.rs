//! `masters`. There is one.

use super::ask::{Answered, Ask};
use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Column, Kind, Resource, Type, fields, is};
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

pub fn list(ask: &mut Ask<'_>) -> Answered {
    let masters = ask.store.masters()?;
    ask.list(masters)
}

pub fn one(ask: &mut Ask<'_>) -> Answered {
    let id = ask.number("masterid")?;
    let master = ask.store.masters()?.into_iter().find(|master| master.id.0 == id);
    ask.one(master)
}

/// The masters that run a builder.
pub fn of_builder(ask: &mut Ask<'_>) -> Answered {
    let runs = ask.builder()?.is_some_and(|builder| builder.active);
    let masters = if runs { ask.store.masters()? } else { Vec::new() };
    ask.list(masters.into_iter().filter(|master| master.id == THE_MASTER).collect())
}

pub fn one_of_builder(ask: &mut Ask<'_>) -> Answered {
    if ask.builder()?.is_some_and(|builder| builder.active) { one(ask) } else { Err(ask.missing()) }
}

impl Ask<'_> {
    /// Whether the path leaves out masters or names ours.
    pub fn is_our_master(&self) -> Result<bool, ApiError> {
        Ok(!self.has("masterid") || self.number("masterid")? == THE_MASTER.0)
    }

    /// Our master, as it appears in what it runs.
    pub fn our_master(&self) -> Result<Option<MasterRecord>, ApiError> {
        Ok(self.store.masters()?.into_iter().find(|master| master.id == THE_MASTER))
    }
}
