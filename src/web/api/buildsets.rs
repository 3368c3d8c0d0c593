//! `buildsets`.

use super::ask::{Answered, Ask};
use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Kind, Resource, Type, View, is, may};
use super::query::{Filter, Op, Query, Wanted};
use super::rows::{Index, Rows, scan};
use super::sourcestamps::{SOURCE_STAMP, embedded};
use crate::model::{BuildId, BuildsetId, BuildsetRecord};
use crate::store::Store;

pub static BUILDSET: Kind = Kind {
    name: "buildset",
    plural: "buildsets",
    fields: &[
        is("bsid", Type::Int),
        may("external_idstring", Type::Text),
        is("reason", Type::Text),
        may("rebuilt_buildid", Type::Int),
        is("submitted_at", Type::Time),
        is("complete", Type::Bool),
        may("complete_at", Type::Time),
        may("results", Type::Int),
        is("sourcestamps", Type::Inners(&SOURCE_STAMP)),
        may("parent_buildid", Type::Int),
        may("parent_relationship", Type::Text),
    ],
    paged: true,
};

impl Resource for BuildsetRecord {
    const KIND: &'static Kind = &BUILDSET;

    fn cell<'a>(&'a self, field: &str, _: &'a View) -> Cell<'a> {
        match field {
            "bsid" => Cell::number(self.id.0),
            "external_idstring" => Cell::text(self.external_id.as_deref()),
            "reason" => Cell::from(self.reason.as_str()),
            "rebuilt_buildid" => self.rebuilt.map_or(Cell::Null, |build| Cell::number(build.0)),
            "submitted_at" => self.submitted.into(),
            "complete" => self.completed.is_some().into(),
            "complete_at" => Cell::time(self.completed),
            "results" => Cell::outcome_or_none_yet(self.outcome),
            "sourcestamps" => Cell::List(self.stamps.iter().map(embedded).collect()),
            "parent_buildid" => self.parent.map_or(Cell::Null, |build| Cell::number(build.0)),
            "parent_relationship" => Cell::text(self.parent.map(|_| "Triggered from")),
            _ => Cell::Null,
        }
    }
}

pub fn list(ask: &mut Ask<'_>) -> Answered {
    let query = ask.query::<BuildsetRecord>()?;
    let rows = choose(ask.store, &query)?;
    ask.many(&query, rows)
}

pub fn one(ask: &mut Ask<'_>) -> Answered {
    let set = ask.buildset()?;
    ask.one(set)
}

impl Ask<'_> {
    /// The buildset that the path names.
    pub fn buildset(&self) -> Result<Option<BuildsetRecord>, ApiError> {
        Ok(self.store.buildset(BuildsetId(self.number("bsid")?))?)
    }
}

fn choose<'a>(store: &'a Store, query: &Query) -> Result<Rows<'a, BuildsetRecord>, ApiError> {
    if let Some(ids) = query.bound_numbers("bsid") {
        let sets: Vec<Option<BuildsetRecord>> =
            ids.into_iter().map(|id| store.buildset(BuildsetId(id))).collect::<Result<_, _>>()?;
        return Ok(Rows::list(sets.into_iter().flatten().collect(), query));
    }
    let mut narrowed = query.clone();
    if let Some(low) = later_than(store, query)? {
        narrowed.filters.push(Filter { field: "bsid", op: Op::Ge, values: vec![Wanted::Int(low)] });
    }
    let index = Index { key: "bsid", alike: &["submitted_at"], descending: false };
    Ok(scan(&narrowed, &index, |set: &BuildsetRecord| set.id.0, move |part| store.buildsets(part)))
}

/// Buildsets that rebuild a build, or that it triggered, are younger than its own; so the table need not be
/// read from its beginning.
fn later_than(store: &Store, query: &Query) -> Result<Option<i64>, ApiError> {
    let bound = query.bound_numbers("rebuilt_buildid").or_else(|| query.bound_numbers("parent_buildid"));
    let Some(oldest) = bound.and_then(|builds| builds.first().copied()) else { return Ok(None) };
    let Some(build) = store.build(BuildId(oldest))? else { return Ok(None) };
    let request = store.request(build.request)?;
    Ok(request.and_then(|request| i64::try_from(request.buildset.0).ok()))
}
