//! `builds`: by builder, worker, request, change or parent, and all of them. Chooses the index: the ordered list of the
//! store that finds the requested builds with the fewest reads.

use std::collections::BTreeSet;

use super::cell::Cell;
use super::error::ApiError;
use super::kind::{Column, Kind, Resource, Type, fields, is, may};
use super::masters::THE_MASTER;
use super::query::Query;
use super::read_request::{ReadRequest, ReadResult};
use super::rows::{Index, Rows, merge, scan};
use crate::model::{BuildId, BuildRecord, BuilderId, Change, ChangeId, RequestId, WorkerId};
use crate::store::{Scan, StoreError};
use crate::web::history::VisibleHistory;

const COLUMNS: &[Column<BuildRecord>] = &[
    is("buildid", Type::Int, |build, _| Cell::number(build.id.0)),
    is("number", Type::Int, |build, _| Cell::number(build.number)),
    is("builderid", Type::Int, |build, _| Cell::number(build.builder.0)),
    is("buildrequestid", Type::Int, |build, _| Cell::number(build.request.0)),
    is("workerid", Type::Int, |build, _| Cell::number(build.worker.0)),
    is("masterid", Type::Int, |_, _| Cell::number(THE_MASTER.0)),
    is("started_at", Type::Time, |build, _| build.started.into()),
    is("complete", Type::Bool, |build, _| build.completed.is_some().into()),
    may("complete_at", Type::Time, |build, _| Cell::time(build.completed)),
    is("locks_duration_s", Type::Int, |build, _| Cell::number(build.locks_wait_ms / 1000)),
    may("results", Type::Int, |build, _| Cell::outcome(build.outcome)),
    is("state_string", Type::Text, |build, _| Cell::from(build.state.as_str())),
    may("properties", Type::Props, |build, view| Cell::viewed_properties(&build.properties, view)),
];

pub static BUILD: Kind =
    Kind { name: "build", plural: "builds", fields: &fields::<_, { COLUMNS.len() }>(COLUMNS), paged: true };

/// At most this many lists are merged. With more, the requested builds are so common that reading all in order is
/// faster.
const MERGED_MAX: usize = 32;
/// Builds that are searched for those of one change. No index has them, and they follow soon after the change.
const LOOKED_MAX: usize = 20_000;

impl Resource for BuildRecord {
    const KIND: &'static Kind = &BUILD;
    const COLUMNS: &'static [Column<Self>] = COLUMNS;
}

pub fn list(read: &mut ReadRequest<'_>) -> ReadResult {
    let query = read.query::<BuildRecord>()?;
    let rows = choose(read.store, &query)?;
    read.many(&query, rows)
}

pub fn one(read: &mut ReadRequest<'_>) -> ReadResult {
    let build = read.build()?;
    read.one(build)
}

pub fn of_builder(read: &mut ReadRequest<'_>) -> ReadResult {
    let query = read.query::<BuildRecord>()?;
    let builder = read.builder()?;
    let rows = match builder {
        Some(builder) => by_builder(read.store, &query, builder.id)?,
        None => Rows::none(),
    };
    read.many(&query, rows)
}

pub fn of_worker(read: &mut ReadRequest<'_>) -> ReadResult {
    let query = read.query::<BuildRecord>()?;
    let rows = match read.worker()? {
        Some(worker) => by_worker(read.store, &query, worker.id),
        None => Rows::none(),
    };
    read.many(&query, rows)
}

pub fn of_request(read: &mut ReadRequest<'_>) -> ReadResult {
    let builds = read.store.builds_of_request(RequestId(read.number("buildrequestid")?))?;
    read.list(builds)
}

pub fn triggered(read: &mut ReadRequest<'_>) -> ReadResult {
    let builds = match read.parent_build()? {
        Some(build) => read.store.builds_triggered_by(build.id)?,
        None => Vec::new(),
    };
    read.list(builds)
}

pub fn of_change(read: &mut ReadRequest<'_>) -> ReadResult {
    let change = read.store.change(ChangeId(read.number("changeid")?))?;
    let builds = match change {
        Some(change) => with_change(read.store, &change)?,
        None => Vec::new(),
    };
    read.list(builds)
}

impl ReadRequest<'_> {
    /// The build that the path names, under any of the three prefixes.
    pub fn build(&self) -> Result<Option<BuildRecord>, ApiError> {
        self.names().build()
    }

    /// The same where a collection hangs below it. An unknown id is an empty collection; an unknown number is
    /// an error.
    pub fn parent_build(&self) -> Result<Option<BuildRecord>, ApiError> {
        match self.build()? {
            None if self.has("build_number") => Err(self.missing()),
            build => Ok(build),
        }
    }
}

fn choose<'a>(store: &'a VisibleHistory<'a>, query: &Query) -> Result<Rows<'a, BuildRecord>, ApiError> {
    let bounds = query.bounds();
    if let Some(ids) = bounds.numbers("buildid") {
        return points(query, ids.into_iter().map(|id| store.build(BuildId(id))));
    }
    if let Some(requests) = bounds.numbers("buildrequestid") {
        let mut builds = Vec::new();
        for request in requests {
            builds.extend(store.builds_of_request(RequestId(request))?);
        }
        return Ok(Rows::list(by_id(builds), query));
    }
    if bounds.truth("complete") == Some(false) {
        return Ok(Rows::list(by_id(store.builds_running()?), query));
    }
    let builders = bounds.numbers("builderid").filter(|builders| builders.len() <= MERGED_MAX);
    let workers = bounds.numbers("workerid").filter(|workers| workers.len() <= MERGED_MAX);
    match (builders, workers) {
        (Some(builders), _) => {
            let lists = builders
                .into_iter()
                .map(|id| by_builder(store, query, BuilderId(id)))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(merge(lists, query, "buildid", |build| build.id.0))
        }
        (None, Some(workers)) => {
            let lists = workers.into_iter().map(|id| by_worker(store, query, WorkerId(id))).collect();
            Ok(merge(lists, query, "buildid", |build| build.id.0))
        }
        (None, None) => {
            let index = Index { key: "buildid", alike: &["started_at"], descending: false };
            Ok(scan(query, &index, |build: &BuildRecord| build.id.0, move |part| store.builds(part)))
        }
    }
}

fn by_builder<'a>(
    store: &'a VisibleHistory<'a>,
    query: &Query,
    builder: BuilderId,
) -> Result<Rows<'a, BuildRecord>, ApiError> {
    if let Some(numbers) = query.bounds().numbers("number") {
        return points(query, numbers.into_iter().map(|number| store.build_by_number(builder, number)));
    }
    let index = Index { key: "number", alike: &["buildid", "started_at"], descending: false };
    Ok(scan(query, &index, |build: &BuildRecord| build.number, move |part| store.builds_of_builder(builder, part)))
}

fn by_worker<'a>(store: &'a VisibleHistory<'a>, query: &Query, worker: WorkerId) -> Rows<'a, BuildRecord> {
    let index = Index { key: "buildid", alike: &["started_at"], descending: false };
    scan(query, &index, |build: &BuildRecord| build.id.0, move |part| store.builds_of_worker(worker, part))
}

fn points<'a>(
    query: &Query,
    found: impl Iterator<Item = Result<Option<BuildRecord>, StoreError>>,
) -> Result<Rows<'a, BuildRecord>, ApiError> {
    let builds: Vec<Option<BuildRecord>> = found.collect::<Result<_, _>>()?;
    Ok(Rows::list(by_id(builds.into_iter().flatten().collect()), query))
}

fn by_id(mut builds: Vec<BuildRecord>) -> Vec<BuildRecord> {
    builds.sort_by_key(|build| build.id);
    builds.dedup_by_key(|build| build.id);
    builds
}

/// The builds for whose source a change stands: those that it is new in, and those of its source stamp.
///
/// At most those among the first [`LOOKED_MAX`] builds after its arrival.
pub fn with_change(store: &VisibleHistory<'_>, change: &Change) -> Result<Vec<BuildRecord>, StoreError> {
    let mut after = Some(last_before(store, change)?);
    let (mut found, mut looked, mut stamped) = (Vec::new(), 0, BTreeSet::new());
    loop {
        let slice = store.builds(Scan { after, descending: false, limit: 512 })?;
        let Some(last) = slice.last() else { break };
        after = Some(last.id.0);
        looked += slice.len();
        for build in slice {
            if build.changes.contains(&change.id) || has_stamp(store, &build, change, &mut stamped)? {
                found.push(build);
            }
        }
        if looked >= LOOKED_MAX {
            break;
        }
    }
    Ok(found)
}

/// Looks up a build's source stamps. A buildset has several builds as a rule, so those found are remembered.
fn has_stamp(
    store: &VisibleHistory<'_>,
    build: &BuildRecord,
    change: &Change,
    stamped: &mut BTreeSet<u64>,
) -> Result<bool, StoreError> {
    // Only a build that names no changes of its own (forced, rebuilt) needs the look.
    if !build.changes.is_empty() {
        return Ok(false);
    }
    let Some(request) = store.request(build.request)? else { return Ok(false) };
    if stamped.contains(&request.buildset.0) {
        return Ok(true);
    }
    let has = store.buildset(request.buildset)?.is_some_and(|set| set.stamps.iter().any(|s| s.id == change.stamp.id));
    if has {
        stamped.insert(request.buildset.0);
    }
    Ok(has)
}

/// The last build that started before the change arrived (0 if none did), found by halving: ids are in the
/// order of time.
fn last_before(store: &VisibleHistory<'_>, change: &Change) -> Result<u64, StoreError> {
    let newest = store.builds(Scan { after: None, descending: true, limit: 1 })?;
    let (mut low, mut high) = (0, newest.first().map_or(0, |build| build.id.0));
    while low < high {
        let middle = low + (high - low) / 2;
        let next = store.builds(Scan { after: Some(middle), descending: false, limit: 1 })?;
        match next.first() {
            Some(build) if build.started < change.arrived => low = build.id.0,
            _ => high = middle,
        }
    }
    Ok(low)
}
