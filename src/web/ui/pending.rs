//! `/pending`: requests that wait; `/requests/N`: one request, and the builds that came of it.

use askama::Template;
use warp::http::StatusCode;

use super::alerts::{self, AlertList};
use super::page::{BuildRow, Frame, Paged, Trouble, Visit, page};
use super::show::{Moment, State, builder_href, grouped, short_revision};
use crate::model::{AlertSubject, BuilderRecord, RequestId, RequestRecord, SourceStamp};
use crate::store::Scan;

/// Requests on one page.
const SHOWN: usize = 50;

/// A request in a list.
#[derive(Clone, Debug)]
pub struct RequestRow {
    pub number: u64,
    pub href: String,
    pub builder: String,
    pub builder_href: String,
    pub reason: String,
    pub source: String,
    pub priority: i64,
    pub submitted: Moment,
}

#[derive(Template)]
#[template(path = "pending.html")]
struct Pending {
    frame: Frame,
    requests: Vec<RequestRow>,
    oldest: bool,
    newer: Option<u64>,
}

#[derive(Template)]
#[template(path = "request.html")]
struct OneRequest {
    frame: Frame,
    row: RequestRow,
    state: State,
    alerts: AlertList,
    waits: bool,
    open: bool,
    buildset: u64,
    scheduler: String,
    ended: Option<Moment>,
    collapsed_into: Option<u64>,
    builds: Vec<BuildRow>,
}

/// What a list shows of a request.
pub fn request_row(visit: &Visit<'_>, request: &RequestRecord, builder: &BuilderRecord) -> Result<RequestRow, Trouble> {
    let set = visit.store.buildset(request.buildset)?;
    Ok(RequestRow {
        number: request.id.0,
        href: format!("/requests/{}", request.id),
        builder: builder.name.clone(),
        builder_href: builder_href(builder),
        reason: set.as_ref().map(|set| set.reason.clone()).unwrap_or_default(),
        source: set.map(|set| sources(&set.stamps)).unwrap_or_default(),
        priority: request.priority,
        submitted: visit.moment(request.submitted),
    })
}

/// What source stamps name, in few words.
pub fn sources(stamps: &[SourceStamp]) -> String {
    let words = stamps.iter().filter_map(|stamp| {
        let spec = &stamp.spec;
        let parts = [
            Some(spec.codebase.as_str()),
            spec.branch.as_deref(),
            Some(spec.revision.as_deref().map_or("", short_revision)),
        ];
        let parts: Vec<&str> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    });
    words.collect::<Vec<_>>().join(", ")
}

pub fn list(visit: &Visit<'_>) -> Paged {
    let after = visit.number("after")?;
    let names = visit.names()?;
    let mut requests = visit.store.requests_waiting(Scan { after, descending: false, limit: SHOWN + 1 })?;
    let newer = (requests.len() > SHOWN).then(|| requests[SHOWN - 1].id.0);
    requests.truncate(SHOWN);
    let rows = requests.iter().map(|request| request_row(visit, request, &names.builder(request.builder)));
    let mut frame = visit.frame("Waiting requests", "pending", "/events");
    frame.moves = true;
    let view = Pending { requests: rows.collect::<Result<_, _>>()?, oldest: after.is_none(), newer, frame };
    Ok(page(visit.request, StatusCode::OK, &view))
}

pub fn one(visit: &Visit<'_>, number: &str) -> Paged {
    let missing = || Trouble::missing(format!("There is no build request {number}."));
    let id = number.parse().map(RequestId).map_err(|_| missing())?;
    let request = visit.store.request(id)?.ok_or_else(missing)?;
    let names = visit.names()?;
    let builder = names.builder(request.builder);
    // A collapsed request has no builds of its own; those of the other one do its work.
    let builds = visit.store.builds_of_request(request.collapsed_into.unwrap_or(id))?;
    let row = request_row(visit, &request, &builder)?;
    let open = request.completed.is_none();
    let scheduler = visit.store.buildset(request.buildset)?.map(|set| set.scheduler).unwrap_or_default();
    let mut concerned = vec![AlertSubject::Request(id)];
    concerned.extend((open && request.claimed.is_none()).then(|| AlertSubject::Builder(builder.name.clone())));
    let mut frame = visit.frame(format!("Request {}", grouped(id.0)), "pending", "/events");
    frame.moves = open;
    let view = OneRequest {
        frame,
        state: if open && request.claimed.is_none() { State::WAITING } else { State::of(request.outcome) },
        alerts: alerts::about(visit, &concerned),
        waits: open && request.claimed.is_none(),
        open,
        buildset: request.buildset.0,
        scheduler,
        ended: request.completed.map(|at| visit.moment(at)),
        collapsed_into: request.collapsed_into.map(|into| into.0),
        builds: builds
            .iter()
            .rev()
            .map(|build| visit.row(build, &names.builder(build.builder), names.worker(build.worker)))
            .collect(),
        row,
    };
    Ok(page(visit.request, StatusCode::OK, &view))
}
