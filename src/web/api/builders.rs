//! `builders`, including those that are no longer in the configuration, without a master.

use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Column, Kind, Resource, Type, fields, is, may};
use super::masters::THE_MASTER;
use super::read_request::{ReadRequest, ReadResult};
use super::rows::{Rows, named};
use crate::model::BuilderRecord;

const COLUMNS: &[Column<BuilderRecord>] = &[
    is("builderid", Type::Int, |builder, _| Cell::number(builder.id.0)),
    is("name", Type::Text, |builder, _| Cell::from(builder.name.as_str())),
    is("masterids", Type::Ints, |builder, _| {
        Cell::List(builder.active.then(|| Cell::number(THE_MASTER.0)).into_iter().collect())
    }),
    may("description", Type::Text, |builder, _| Cell::text(builder.description.as_deref())),
    // Descriptions are plain text.
    may("description_format", Type::Text, |_, _| Cell::Null),
    may("description_html", Type::Text, |_, _| Cell::Null),
    may("projectid", Type::Int, |builder, _| builder.project.map_or(Cell::Null, |project| Cell::number(project.0))),
    is("tags", Type::Texts, |builder, _| Cell::List(builder.tags.iter().map(|tag| Cell::from(tag.as_str())).collect())),
];

pub static BUILDER: Kind =
    Kind { name: "builder", plural: "builders", fields: &fields::<_, { COLUMNS.len() }>(COLUMNS), paged: false };

impl Resource for BuilderRecord {
    const KIND: &'static Kind = &BUILDER;
    const COLUMNS: &'static [Column<Self>] = COLUMNS;
}

pub fn list(read: &mut ReadRequest<'_>) -> ReadResult {
    let query = read.query::<BuilderRecord>()?;
    let builders = match query.bounds().texts("name") {
        Some(names) => named(names, |name| read.store.builder_named(name), |builder| builder.id)?,
        None => read.store.builders()?,
    };
    read.many(&query, Rows::list(builders, &query))
}

pub fn one(read: &mut ReadRequest<'_>) -> ReadResult {
    let builder = read.builder()?;
    read.one(builder)
}

/// The builders that a master runs.
pub fn of_master(read: &mut ReadRequest<'_>) -> ReadResult {
    let mut builders = if read.is_our_master()? { read.store.builders()? } else { Vec::new() };
    builders.retain(|builder| builder.active);
    read.list(builders)
}

pub fn one_of_master(read: &mut ReadRequest<'_>) -> ReadResult {
    let ours = read.is_our_master()?;
    let builder = read.builder()?.filter(|builder| ours && builder.active);
    read.one(builder)
}

/// The builders that a worker may build.
pub fn of_worker(read: &mut ReadRequest<'_>) -> ReadResult {
    let worker = read.worker()?;
    let mut builders = read.store.builders()?;
    builders.retain(|b| b.active && worker.as_ref().is_some_and(|worker| b.workers.contains(&worker.name)));
    read.list(builders)
}

impl ReadRequest<'_> {
    /// The builder that the path names by id or name.
    pub fn builder(&self) -> Result<Option<BuilderRecord>, ApiError> {
        self.names().builder()
    }
}
