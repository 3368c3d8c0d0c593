//! `buildrequests`.

use super::ask::{Answered, Ask};
use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Kind, Resource, Type, View, is, may};
use super::masters::THE_MASTER;
use super::query::Query;
use super::rows::{Index, Rows, scan};
use crate::model::{BuilderId, BuildsetId, RequestId, RequestRecord};
use crate::store::Store;

pub static BUILD_REQUEST: Kind = Kind {
    name: "buildrequest",
    plural: "buildrequests",
    fields: &[
        is("buildrequestid", Type::Int),
        is("buildsetid", Type::Int),
        is("builderid", Type::Int),
        is("priority", Type::Int),
        is("claimed", Type::Bool),
        may("claimed_at", Type::Time),
        may("claimed_by_masterid", Type::Int),
        is("complete", Type::Bool),
        may("results", Type::Int),
        is("submitted_at", Type::Time),
        may("complete_at", Type::Time),
        is("waited_for", Type::Bool),
        may("properties", Type::Props),
    ],
    paged: true,
};

/// Ids are given out in the order of time.
const INDEX: Index<'static> = Index { key: "buildrequestid", alike: &["submitted_at"], descending: false };

impl Resource for RequestRecord {
    const KIND: &'static Kind = &BUILD_REQUEST;

    fn cell<'a>(&'a self, field: &str, view: &'a View) -> Cell<'a> {
        // One that was cancelled while it waited was claimed for that.
        let claimed = self.claimed.or(self.completed);
        match field {
            "buildrequestid" => Cell::number(self.id.0),
            "buildsetid" => Cell::number(self.buildset.0),
            "builderid" => Cell::number(self.builder.0),
            "priority" => self.priority.into(),
            "claimed" => claimed.is_some().into(),
            "claimed_at" => Cell::time(claimed),
            "claimed_by_masterid" => claimed.map_or(Cell::Null, |_| Cell::number(THE_MASTER.0)),
            "complete" => self.completed.is_some().into(),
            "results" => Cell::outcome_or_none_yet(self.outcome),
            "submitted_at" => self.submitted.into(),
            "complete_at" => Cell::time(self.completed),
            "waited_for" => self.waited_for.into(),
            "properties" if *view != View::Plain => Cell::viewed_properties(&self.properties, view),
            _ => Cell::Null,
        }
    }
}

pub fn list(ask: &mut Ask<'_>) -> Answered {
    let query = ask.query::<RequestRecord>()?;
    let rows = choose(ask.store, &query)?;
    ask.many(&query, rows)
}

pub fn one(ask: &mut Ask<'_>) -> Answered {
    let request = ask.request()?;
    ask.one(request)
}

pub fn of_builder(ask: &mut Ask<'_>) -> Answered {
    let query = ask.query::<RequestRecord>()?;
    let rows = match ask.builder()? {
        Some(builder) => by_builder(ask.store, &query, builder.id)?,
        None => Rows::none(),
    };
    ask.many(&query, rows)
}

impl Ask<'_> {
    /// The request that the path names.
    pub fn request(&self) -> Result<Option<RequestRecord>, ApiError> {
        Ok(self.store.request(RequestId(self.number("buildrequestid")?))?)
    }
}

fn choose<'a>(store: &'a Store, query: &Query) -> Result<Rows<'a, RequestRecord>, ApiError> {
    if let Some(ids) = query.bound_numbers("buildrequestid") {
        return points(store, query, ids.into_iter().map(RequestId));
    }
    if let Some(sets) = query.bound_numbers("buildsetid") {
        let mut ids = Vec::new();
        for set in sets {
            ids.extend(store.buildset(BuildsetId(set))?.into_iter().flat_map(|set| set.requests));
        }
        ids.sort_unstable();
        return points(store, query, ids.into_iter());
    }
    if waits(query) {
        return Ok(scan(
            query,
            &INDEX,
            |request: &RequestRecord| request.id.0,
            move |part| store.requests_waiting(part),
        ));
    }
    match query.bound_numbers("builderid").as_deref() {
        Some([builder]) => by_builder(store, query, BuilderId(*builder)),
        _ => Ok(scan(query, &INDEX, |request: &RequestRecord| request.id.0, move |part| store.requests(part))),
    }
}

fn by_builder<'a>(store: &'a Store, query: &Query, builder: BuilderId) -> Result<Rows<'a, RequestRecord>, ApiError> {
    if waits(query) {
        let rows =
            scan(query, &INDEX, |request: &RequestRecord| request.id.0, move |part| store.requests_waiting(part));
        let sorted = rows.sorted;
        let rows = rows.rows.filter(move |row| row.as_ref().map_or(true, |request| request.builder == builder));
        return Ok(Rows { rows: Box::new(rows), sorted });
    }
    Ok(scan(
        query,
        &INDEX,
        |request: &RequestRecord| request.id.0,
        move |part| store.requests_of_builder(builder, part),
    ))
}

/// `claimed=false` asks for those that wait: complete ones are left out, however they ended.
fn waits(query: &Query) -> bool {
    query.bound_bool("claimed") == Some(false)
}

fn points<'a>(
    store: &Store,
    query: &Query,
    ids: impl Iterator<Item = RequestId>,
) -> Result<Rows<'a, RequestRecord>, ApiError> {
    let found: Vec<Option<RequestRecord>> = ids.map(|id| store.request(id)).collect::<Result<_, _>>()?;
    let waits = waits(query);
    let rows = found.into_iter().flatten().filter(|r| !waits || (r.claimed.is_none() && r.completed.is_none()));
    Ok(Rows::list(rows.collect(), query))
}
