//! `buildsets`.

use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Column, Kind, Resource, Type, fields, is, may};
use super::query::{Filter, FilterValue, Op, Query};
use super::read_request::{ReadRequest, ReadResult};
use super::rows::{Index, Rows, scan};
use super::sourcestamps::SOURCE_STAMP;
use crate::model::{BuildId, BuildsetId, BuildsetRecord};
use crate::web::history::VisibleHistory;

const COLUMNS: &[Column<BuildsetRecord>] = &[
    is("bsid", Type::Int, |set, _| Cell::number(set.id.0)),
    may("external_idstring", Type::Text, |set, _| Cell::text(set.external_id.as_deref())),
    is("reason", Type::Text, |set, _| Cell::from(set.reason.as_str())),
    may("rebuilt_buildid", Type::Int, |set, _| set.rebuilt.map_or(Cell::Null, |build| Cell::number(build.0))),
    is("submitted_at", Type::Time, |set, _| set.submitted.into()),
    is("complete", Type::Bool, |set, _| set.completed.is_some().into()),
    may("complete_at", Type::Time, |set, _| Cell::time(set.completed)),
    may("results", Type::Int, |set, _| Cell::outcome_or_none_yet(set.outcome)),
    is("sourcestamps", Type::Inners(&SOURCE_STAMP), |set, _| {
        Cell::List(set.stamps.iter().map(Resource::embedded).collect())
    }),
    may("parent_buildid", Type::Int, |set, _| set.parent.map_or(Cell::Null, |build| Cell::number(build.0))),
    may("parent_relationship", Type::Text, |set, _| Cell::text(set.parent.map(|_| "Triggered from"))),
];

pub static BUILDSET: Kind =
    Kind { name: "buildset", plural: "buildsets", fields: &fields::<_, { COLUMNS.len() }>(COLUMNS), paged: true };

impl Resource for BuildsetRecord {
    const KIND: &'static Kind = &BUILDSET;
    const COLUMNS: &'static [Column<Self>] = COLUMNS;
}

pub fn list(read: &mut ReadRequest<'_>) -> ReadResult {
    let query = read.query::<BuildsetRecord>()?;
    let rows = choose(read.store, &query)?;
    read.many(&query, rows)
}

pub fn one(read: &mut ReadRequest<'_>) -> ReadResult {
    let set = read.buildset()?;
    read.one(set)
}

impl ReadRequest<'_> {
    /// The buildset that the path names.
    pub fn buildset(&self) -> Result<Option<BuildsetRecord>, ApiError> {
        Ok(self.store.buildset(BuildsetId(self.number("bsid")?))?)
    }
}

fn choose<'a>(store: &'a VisibleHistory<'a>, query: &Query) -> Result<Rows<'a, BuildsetRecord>, ApiError> {
    if let Some(ids) = query.bounds().numbers("bsid") {
        let sets: Vec<Option<BuildsetRecord>> =
            ids.into_iter().map(|id| store.buildset(BuildsetId(id))).collect::<Result<_, _>>()?;
        return Ok(Rows::list(sets.into_iter().flatten().collect(), query));
    }
    let mut narrowed = query.clone();
    if let Some(low) = later_than(store, query)? {
        narrowed.filters.push(Filter { field: "bsid", op: Op::Ge, values: vec![FilterValue::Int(low)] });
    }
    let index = Index { key: "bsid", alike: &["submitted_at"], descending: false };
    Ok(scan(&narrowed, &index, |set: &BuildsetRecord| set.id.0, move |part| store.buildsets(part)))
}

/// Buildsets that rebuild a build, or that it triggered, are younger than its own; so the table need not be
/// read from its beginning.
fn later_than(store: &VisibleHistory<'_>, query: &Query) -> Result<Option<i64>, ApiError> {
    let bounds = query.bounds();
    let bound = bounds.numbers("rebuilt_buildid").or_else(|| bounds.numbers("parent_buildid"));
    let Some(oldest) = bound.and_then(|builds| builds.first().copied()) else { return Ok(None) };
    let Some(build) = store.build(BuildId(oldest))? else { return Ok(None) };
    let request = store.request(build.request)?;
    Ok(request.and_then(|request| i64::try_from(request.buildset.0).ok()))
}
