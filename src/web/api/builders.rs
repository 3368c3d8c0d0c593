//! `builders`, including those that are no longer in the configuration, without a master.

use super::ask::{Answered, Ask};
use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Column, Kind, Resource, Type, fields, is, may};
use super::masters::THE_MASTER;
use super::rows::{Rows, named};
use crate::model::BuilderRecord;

const COLUMNS: &[Column<BuilderRecord>] = &[
    is("builderid", Type::Int, |builder, _| Cell::number(builder.id.0)),
    is("name", Type::Text, |builder, _| Cell::from(builder.name.as_str())),
    is("masterids", Type::Ints, |builder, _| {
        Cell::List(builder.active.then(|| Cell::number(THE_MASTER.0)).into_iter().collect())
    }),
    may("description", Type::Text, |builder, _| Cell::text(builder.description.as_deref())),
    // Descriptions are plain text, and projects are not built yet.
    may("description_format", Type::Text, |_, _| Cell::Null),
    may("description_html", Type::Text, |_, _| Cell::Null),
    may("projectid", Type::Int, |_, _| Cell::Null),
    is("tags", Type::Texts, |builder, _| Cell::List(builder.tags.iter().map(|tag| Cell::from(tag.as_str())).collect())),
];

pub static BUILDER: Kind =
    Kind { name: "builder", plural: "builders", fields: &fields::<_, { COLUMNS.len() }>(COLUMNS), paged: false };

impl Resource for BuilderRecord {
    const KIND: &'static Kind = &BUILDER;
    const COLUMNS: &'static [Column<Self>] = COLUMNS;
}

pub fn list(ask: &mut Ask<'_>) -> Answered {
    let query = ask.query::<BuilderRecord>()?;
    let builders = match query.bounds().texts("name") {
        Some(names) => named(names, |name| ask.store.builder_named(name), |builder| builder.id)?,
        None => ask.store.builders()?,
    };
    ask.many(&query, Rows::list(builders, &query))
}

pub fn one(ask: &mut Ask<'_>) -> Answered {
    let builder = ask.builder()?;
    ask.one(builder)
}

/// The builders that a master runs.
pub fn of_master(ask: &mut Ask<'_>) -> Answered {
    let mut builders = if ask.is_our_master()? { ask.store.builders()? } else { Vec::new() };
    builders.retain(|builder| builder.active);
    ask.list(builders)
}

pub fn one_of_master(ask: &mut Ask<'_>) -> Answered {
    let ours = ask.is_our_master()?;
    let builder = ask.builder()?.filter(|builder| ours && builder.active);
    ask.one(builder)
}

/// The builders that a worker may build.
pub fn of_worker(ask: &mut Ask<'_>) -> Answered {
    let worker = ask.worker()?;
    let mut builders = ask.store.builders()?;
    builders.retain(|b| b.active && worker.as_ref().is_some_and(|worker| b.workers.contains(&worker.name)));
    ask.list(builders)
}

impl Ask<'_> {
    /// The builder that the path names by id or name.
    pub fn builder(&self) -> Result<Option<BuilderRecord>, ApiError> {
        self.names().builder()
    }
}
