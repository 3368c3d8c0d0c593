//! `buildrequests`.

use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Column, Kind, Resource, Type, fields, is, may};
use super::masters::THE_MASTER;
use super::query::Query;
use super::read_request::{ReadRequest, ReadResult};
use super::rows::{Index, Rows, scan};
use super::view::View;
use crate::base::Timestamp;
use crate::model::{BuilderId, BuildsetId, RequestId, RequestRecord};
use crate::web::history::VisibleHistory;

const COLUMNS: &[Column<RequestRecord>] = &[
    is("buildrequestid", Type::Int, |request, _| Cell::number(request.id.0)),
    is("buildsetid", Type::Int, |request, _| Cell::number(request.buildset.0)),
    is("builderid", Type::Int, |request, _| Cell::number(request.builder.0)),
    is("priority", Type::Int, |request, _| request.priority.into()),
    is("claimed", Type::Bool, |request, _| claimed(request).is_some().into()),
    may("claimed_at", Type::Time, |request, _| Cell::time(claimed(request))),
    may("claimed_by_masterid", Type::Int, |request, _| {
        claimed(request).map_or(Cell::Null, |_| Cell::number(THE_MASTER.0))
    }),
    is("complete", Type::Bool, |request, _| request.completed.is_some().into()),
    may("results", Type::Int, |request, _| Cell::outcome_or_none_yet(request.outcome)),
    is("submitted_at", Type::Time, |request, _| request.submitted.into()),
    may("complete_at", Type::Time, |request, _| Cell::time(request.completed)),
    is("waited_for", Type::Bool, |request, _| request.waited_for.into()),
    may("properties", Type::Props, |request, view| match view {
        View::Plain => Cell::Null,
        view => Cell::viewed_properties(&request.properties, view),
    }),
];

pub static BUILD_REQUEST: Kind = Kind {
    name: "buildrequest",
    plural: "buildrequests",
    fields: &fields::<_, { COLUMNS.len() }>(COLUMNS),
    paged: true,
};

/// Ids are given out in the order of time.
const INDEX: Index<'static> = Index { key: "buildrequestid", alike: &["submitted_at"], descending: false };

/// When it was claimed. One that was cancelled while it waited was claimed for that.
fn claimed(request: &RequestRecord) -> Option<Timestamp> {
    request.claimed.or(request.completed)
}

impl Resource for RequestRecord {
    const KIND: &'static Kind = &BUILD_REQUEST;
    const COLUMNS: &'static [Column<Self>] = COLUMNS;
}

pub fn list(read: &mut ReadRequest<'_>) -> ReadResult {
    let query = read.query::<RequestRecord>()?;
    let rows = choose(read.store, &query)?;
    read.many(&query, rows)
}

pub fn one(read: &mut ReadRequest<'_>) -> ReadResult {
    let request = read.request()?;
    read.one(request)
}

pub fn of_builder(read: &mut ReadRequest<'_>) -> ReadResult {
    let query = read.query::<RequestRecord>()?;
    let rows = match read.builder()? {
        Some(builder) => by_builder(read.store, &query, builder.id)?,
        None => Rows::none(),
    };
    read.many(&query, rows)
}

impl ReadRequest<'_> {
    /// The request that the path names.
    pub fn request(&self) -> Result<Option<RequestRecord>, ApiError> {
        Ok(self.store.request(RequestId(self.number("buildrequestid")?))?)
    }
}

fn choose<'a>(store: &'a VisibleHistory<'a>, query: &Query) -> Result<Rows<'a, RequestRecord>, ApiError> {
    let bounds = query.bounds();
    if let Some(ids) = bounds.numbers("buildrequestid") {
        return points(store, query, ids.into_iter().map(RequestId));
    }
    if let Some(sets) = bounds.numbers("buildsetid") {
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
    match bounds.numbers("builderid").as_deref() {
        Some([builder]) => by_builder(store, query, BuilderId(*builder)),
        _ => Ok(scan(query, &INDEX, |request: &RequestRecord| request.id.0, move |part| store.requests(part))),
    }
}

fn by_builder<'a>(
    store: &'a VisibleHistory<'a>,
    query: &Query,
    builder: BuilderId,
) -> Result<Rows<'a, RequestRecord>, ApiError> {
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
    query.bounds().truth("claimed") == Some(false)
}

fn points<'a>(
    store: &VisibleHistory<'_>,
    query: &Query,
    ids: impl Iterator<Item = RequestId>,
) -> Result<Rows<'a, RequestRecord>, ApiError> {
    let found: Vec<Option<RequestRecord>> = ids.map(|id| store.request(id)).collect::<Result<_, _>>()?;
    let waits = waits(query);
    let rows = found.into_iter().flatten().filter(|r| !waits || (r.claimed.is_none() && r.completed.is_none()));
    Ok(Rows::list(rows.collect(), query))
}
