//! `/pending`: waiting requests; `/requests/N`: one request, and its builds.

use askama::Template;
use warp::http::StatusCode;

use super::alerts::{self, AlertList};
use super::page::{BuildRow, PageContext, PageError, PageFrame, PageResult, Permit, page};
use super::show::{Moment, State, builder_href, grouped, short_revision};
use crate::model::{Action, AlertSubject, BuilderRecord, Object, RequestId, RequestRecord, SourceStamp};
use crate::store::Scan;

/// Requests on one page.
const SHOWN: usize = 50;
/// Commands shown that connect a worker; further ones look the same.
const CONNECT_MAX: usize = 3;

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
    pub may_cancel: bool,
    /// Why it waits, one reason a line.
    pub why: Vec<String>,
}

#[derive(Template)]
#[template(path = "pending.html")]
struct Pending {
    frame: PageFrame,
    requests: Vec<RequestRow>,
    oldest: bool,
    newer: Option<u64>,
}

#[derive(Template)]
#[template(path = "request.html")]
struct OneRequest {
    frame: PageFrame,
    row: RequestRow,
    state: State,
    alerts: AlertList,
    waits: bool,
    /// How to connect its workers that never were, a command each.
    connect: Vec<String>,
    open: bool,
    may_cancel: Permit,
    buildset: u64,
    scheduler: String,
    ended: Option<Moment>,
    collapsed_into: Option<u64>,
    builds: Vec<BuildRow>,
}

/// What a list shows of a request.
pub fn request_row(
    context: &PageContext<'_>,
    request: &RequestRecord,
    builder: &BuilderRecord,
) -> Result<RequestRow, PageError> {
    let set = context.store.buildset(request.buildset)?;
    Ok(RequestRow {
        number: request.id.0,
        href: format!("/requests/{}", request.id),
        builder: builder.name.clone(),
        builder_href: builder_href(builder),
        reason: set.as_ref().map(|set| set.reason.clone()).unwrap_or_default(),
        source: set.map(|set| sources(&set.stamps)).unwrap_or_default(),
        priority: request.priority,
        submitted: context.moment(request.submitted),
        may_cancel: context.permit(Action::Cancel, &Object::owned(&*builder.name, &request.properties)).allowed,
        why: Vec::new(),
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

pub fn list(context: &PageContext<'_>) -> PageResult {
    let after = context.number("after")?;
    let names = context.names()?;
    let mut requests = context.store.requests_waiting(Scan { after, descending: false, limit: SHOWN + 1 })?;
    let newer = (requests.len() > SHOWN).then(|| requests[SHOWN - 1].id.0);
    requests.truncate(SHOWN);
    let mut why = context.why_waits(requests.iter().map(|request| request.id).collect());
    let rows = requests.iter().map(|request| {
        let row = request_row(context, request, &names.builder(request.builder))?;
        Ok(RequestRow { why: why.remove(&request.id).unwrap_or_default(), ..row })
    });
    let mut frame = context.frame("Waiting requests", "pending", "/events");
    frame.moves = true;
    let view = Pending { requests: rows.collect::<Result<_, PageError>>()?, oldest: after.is_none(), newer, frame };
    Ok(page(context.request, StatusCode::OK, &view))
}

/// How to connect the workers of a builder that never were here.
fn missing_workers(context: &PageContext<'_>, builder: &BuilderRecord) -> Vec<String> {
    let Some(plan) = context.plan.builders.get(&builder.name) else { return Vec::new() };
    let known = context.store.workers().unwrap_or_default();
    let never = |name: &&String| known.iter().any(|worker| worker.name == **name && worker.since.is_none());
    let url = context.control.url();
    let address = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).trim_end_matches('/');
    let command = |name: &String| match context.plan.workers.get(name).map(|worker| &worker.password) {
        Some(Some(_)) => format!("starwright worker --master {address} --name {name} --password-file FILE --dir DIR"),
        _ => format!("starwright up   # starts the local worker `{name}` beside the master"),
    };
    plan.workers.iter().filter(never).take(CONNECT_MAX).map(command).collect()
}

pub fn one(context: &PageContext<'_>, number: &str) -> PageResult {
    let missing = || PageError::missing(format!("There is no build request {number}."));
    let id = number.parse().map(RequestId).map_err(|_| missing())?;
    let request = context.store.request(id)?.ok_or_else(missing)?;
    let names = context.names()?;
    let builder = names.builder(request.builder);
    // A collapsed request has no builds of its own; those of the other one do its work.
    let builds = context.store.builds_of_request(request.collapsed_into.unwrap_or(id))?;
    let mut row = request_row(context, &request, &builder)?;
    let waits = request.completed.is_none() && request.claimed.is_none();
    if waits {
        row.why = context.why_waits(vec![id]).remove(&id).unwrap_or_default();
    }
    let open = request.completed.is_none();
    let set = context.store.buildset(request.buildset)?;
    let scheduler = set.map(|set| context.store.maker_of(&set)).transpose()?.unwrap_or_default();
    let mut concerned = vec![AlertSubject::Request(id)];
    concerned.extend(waits.then(|| AlertSubject::Builder(builder.name.clone())));
    let mut frame = context.frame(format!("Request {}", grouped(id.0)), "pending", "/events");
    frame.moves = open;
    let view = OneRequest {
        frame,
        state: if waits { State::WAITING } else { State::of(request.outcome) },
        alerts: alerts::about(context, &concerned),
        connect: if waits { missing_workers(context, &builder) } else { Vec::new() },
        waits,
        open,
        may_cancel: context.permit(Action::Cancel, &Object::owned(&*builder.name, &request.properties)),
        buildset: request.buildset.0,
        scheduler,
        ended: request.completed.map(|at| context.moment(at)),
        collapsed_into: request.collapsed_into.map(|into| into.0),
        builds: builds
            .iter()
            .rev()
            .map(|build| context.row(build, &names.builder(build.builder), names.worker(build.worker)))
            .collect(),
        row,
    };
    Ok(page(context.request, StatusCode::OK, &view))
}
