//! `/api/v2`: history, state and control as JSON, compatible with Buildbot's API (docs/reference/rest-api-v2.md).
//!
//! One file per resource. Beside them: the query language ([`query`]), reading large tables ([`rows`]), writing answers
//! ([`read_request`], [`output`]) and control by JSON-RPC ([`rpc`]).

mod absent;
mod builders;
mod buildrequests;
mod builds;
mod buildsets;
mod cell;
mod changes;
mod changesources;
mod error;
mod force;
mod forceschedulers;
mod kind;
mod logs;
mod masters;
mod names;
mod output;
mod projects;
mod properties;
mod query;
mod read_request;
mod results;
mod root;
mod route;
mod rows;
mod rpc;
mod schedulers;
mod sourcestamps;
mod steps;
mod table;
mod view;
mod workers;

pub use builds::with_change as builds_with;
pub use cell::{Cell, to_json};
pub use force::{ForceCallError, force_order};
pub use forceschedulers::{REASON, default_text};
pub use table::paths;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use warp::http::{Method, StatusCode, header};
use warp::reply::Response;

use self::cell::Layout;
use self::error::ApiError;
use self::output::{Begin, CutOff, Output, ReadPermit};
use self::read_request::ReadRequest;
use self::route::{Found, Read};
use super::history::VisibleHistory;
use super::origin::{self, Origin};
use super::request::{Request, decode};
use super::respond;
use super::shared::Shared;
use crate::model::Identity;

/// The methods that pages of other origins may use.
const METHODS: [&str; 3] = ["GET", "POST", "HEAD"];

/// Answers a request below `/api/v2`; `path` is what follows, still encoded.
pub async fn answer(shared: &Arc<Shared>, request: Request, path: &str) -> Response {
    let origin = origin::judge(&request, &shared.control.url(), &shared.control.plan().web.allowed_origins);
    let request_was_preflight = request.method == Method::OPTIONS;
    let mut response = match (&origin, &request.method) {
        (Origin::Foreign, &Method::POST) => rpc::foreign(),
        (Origin::Foreign, _) => refuse(&ApiError::bad("invalid origin")),
        (Origin::Allowed(_), &Method::OPTIONS) => preflight(&request),
        (_, &Method::GET | &Method::HEAD) => read(shared, &request, path).await,
        (_, &Method::POST) => rpc::answer(shared, &request, &decode(path), table::find(path)).await,
        _ => refuse(&ApiError::bad("invalid HTTP method")),
    };
    // A preflight that is refused allows nothing.
    let refused = request_was_preflight && response.status() != StatusCode::OK;
    if let (Origin::Allowed(origin), false) = (&origin, refused) {
        origin::allow(&mut response, origin);
    }
    response
}

/// Whether a path below `/api/` belongs to this API. All of its paths take calls, and an error repeats the id of the
/// call.
pub fn takes_body(path: &str) -> bool {
    matches!(path.split('/').next(), Some("v2" | "latest"))
}

/// The answer to a call from a page whose origin is not allowed.
pub fn foreign() -> Response {
    rpc::foreign()
}

/// `/api`: the addresses of the versions.
pub fn versions(shared: &Shared) -> Response {
    let v2 = format!("{}api/v2", shared.control.url());
    let inner = Cell::Object(vec![("v2".into(), v2.into())]);
    let text = to_json(&Cell::Object(vec![("api_versions".into(), inner)]));
    respond::body(StatusCode::OK, "application/json", text)
}

fn preflight(request: &Request) -> Response {
    match request.header(header::ACCESS_CONTROL_REQUEST_METHOD) {
        Some(method) if METHODS.contains(&method) => respond::body(StatusCode::OK, respond::TEXT, Bytes::new()),
        _ => refuse(&ApiError::bad("invalid method")),
    }
}

fn refuse(error: &ApiError) -> Response {
    respond::body(error.status, respond::TEXT, error.json())
}

async fn read(shared: &Arc<Shared>, request: &Request, path: &str) -> Response {
    let Some(found) = table::find(path) else { return refuse(&ApiError::path(&decode(path))) };
    let Ok(permit) = Arc::clone(&shared.readers).acquire_owned().await else {
        return refuse(&ApiError::busy("the master is shutting down"));
    };
    let job = Job {
        shared: Arc::clone(shared),
        found,
        path: decode(path),
        pairs: request.query_pairs(),
        identity: request.identity.clone(),
        layout: layout(request),
        permit: ReadPermit { short: Some(permit), long: Arc::clone(&shared.long_answers) },
    };
    match job.found.0.read {
        Read::Rows(endpoint) => rows(request, job, endpoint).await,
        Read::Raw => raw(job, false).await,
        Read::RawInline => raw(job, true).await,
        Read::Value(endpoint) => value(job, endpoint).await,
    }
}

/// A read request on its way to a thread that may block.
struct Job {
    shared: Arc<Shared>,
    found: Found,
    path: String,
    pairs: Vec<(String, String)>,
    identity: Identity,
    layout: Layout,
    permit: ReadPermit,
}

impl Job {
    /// The writing end, with the permit to use it, and the reading ends.
    fn output(
        &mut self,
        kind: &'static str,
    ) -> (Output, oneshot::Receiver<Begin>, mpsc::Receiver<Result<Bytes, CutOff>>) {
        Output::new(kind, std::mem::replace(&mut self.permit, ReadPermit::none()))
    }

    fn with_request<T>(&self, output: &mut Output, work: impl FnOnce(&mut ReadRequest<'_>) -> T) -> T {
        let history = VisibleHistory::new(&*self.shared.control, &self.identity);
        work(&mut ReadRequest {
            store: &history,
            plan: self.shared.control.plan(),
            path: &self.path,
            params: &self.found.1,
            pairs: &self.pairs,
            layout: self.layout,
            output,
        })
    }
}

async fn rows(
    request: &Request,
    mut job: Job,
    endpoint: fn(&mut ReadRequest<'_>) -> read_request::ReadResult,
) -> Response {
    let kind = if job.layout == Layout::Compact { respond::JSON } else { respond::TEXT };
    let (mut output, began, pieces) = job.output(kind);
    tokio::task::spawn_blocking(move || match job.with_request(&mut output, endpoint) {
        Ok(answer) => output.end(StatusCode::OK, answer.kind, answer.text),
        Err(error) => output.fail(&error),
    });
    send(request, began, pieces).await
}

async fn send(
    request: &Request,
    began: oneshot::Receiver<Begin>,
    pieces: mpsc::Receiver<Result<Bytes, CutOff>>,
) -> Response {
    match began.await {
        Ok(Begin::Whole(status, kind, body)) => respond::compressed(request, status, kind, body),
        Ok(Begin::First(kind)) => {
            let pieces = futures_util::stream::unfold(pieces, |mut pieces| async move {
                pieces.recv().await.map(|piece| (piece, pieces))
            });
            respond::stream(kind, super::sync_stream::SyncStream::new(pieces))
        }
        Err(_) => refuse(&ApiError { status: StatusCode::INTERNAL_SERVER_ERROR, text: "the response was lost".into() }),
    }
}

async fn raw(mut job: Job, inline: bool) -> Response {
    let (mut output, _began, _pieces) = job.output(respond::TEXT);
    let found =
        tokio::task::spawn_blocking(move || job.with_request(&mut output, |read| logs::raw(read, inline))).await;
    match found {
        Ok(Ok(log)) => log.respond(),
        Ok(Err(error)) => refuse(&error),
        Err(_) => refuse(&ApiError { status: StatusCode::INTERNAL_SERVER_ERROR, text: "the response was lost".into() }),
    }
}

async fn value(mut job: Job, endpoint: fn(&ReadRequest<'_>) -> Result<Response, ApiError>) -> Response {
    let (mut output, _began, _pieces) = job.output(respond::TEXT);
    let found = tokio::task::spawn_blocking(move || job.with_request(&mut output, |read| endpoint(read))).await;
    match found {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => refuse(&error),
        Err(_) => refuse(&ApiError { status: StatusCode::INTERNAL_SERVER_ERROR, text: "the response was lost".into() }),
    }
}

fn layout(request: &Request) -> Layout {
    let json = request.header(header::ACCEPT).is_some_and(|accept| accept.contains("application/json"));
    if json { Layout::Compact } else { Layout::Pretty }
}
