//! Everything but the sockets: which part answers which path, and what all parts share.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use super::control::Control;
use super::request::Request;
use super::respond;
use super::{api, hook, live, own, ui};
use crate::base::Clock;

/// Requests that read the store at the same time; the others wait in line. Reading takes microseconds, but a
/// thread each for a thousand clients would take gigabytes.
const READERS_MAX: usize = 32;

/// What all requests share.
pub struct Site {
    pub control: Arc<dyn Control>,
    pub clock: Arc<dyn Clock>,
    /// The paths of `/api/v2`.
    pub table: api::Table,
    pub readers: Arc<Semaphore>,
    pub long_answers: Arc<Semaphore>,
    /// Open streams of events.
    pub streams: Arc<Semaphore>,
    /// Tasks that serve workers.
    pub workers: TaskTracker,
    /// No new requests; streams end.
    pub stop: CancellationToken,
    /// What still runs is cut off.
    pub cut: CancellationToken,
}

impl Site {
    /// A site that serves until `stop`.
    pub fn new(control: Arc<dyn Control>, clock: Arc<dyn Clock>, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            control,
            clock,
            table: api::Table::new(),
            readers: Arc::new(Semaphore::new(READERS_MAX)),
            long_answers: Arc::new(Semaphore::new(api::LONG_MAX)),
            streams: Arc::new(Semaphore::new(live::STREAMS_MAX)),
            workers: TaskTracker::new(),
            stop,
            cut: CancellationToken::new(),
        })
    }

    /// Answers one request.
    pub async fn answer(self: &Arc<Self>, request: Request) -> Response {
        let path = one_slash(&request.path);
        let (first, rest) = path.split_once('/').map_or((path.as_str(), None), |(first, rest)| (first, Some(rest)));
        match (first, rest) {
            ("api", None) => api::versions(self),
            ("api", Some(rest)) => self.api(request, rest).await,
            ("change_hook", dialect) => hook::answer(self, &request, dialect.unwrap_or("base")).await,
            ("events", None) => live::answer(self, &request),
            ("ws" | "sse" | "metrics", _) => respond::bare(StatusCode::NOT_FOUND),
            _ => ui::answer(self, request, &path).await,
        }
    }

    async fn api(self: &Arc<Self>, request: Request, rest: &str) -> Response {
        match rest.split_once('/').map_or((rest, ""), |(version, path)| (version, path)) {
            ("v2" | "latest", path) => api::answer(self, request, path).await,
            ("starwright", path) => own::answer(self, &request, path).await,
            _ => respond::body(StatusCode::NOT_FOUND, respond::TEXT, "{\"error\":\"no such version of the API\"}"),
        }
    }

    /// Whether a request only reads.
    pub fn reads(request: &Request) -> bool {
        matches!(request.method, Method::GET | Method::HEAD)
    }
}

/// The path without the slash in front; clients that join addresses carelessly send double ones.
fn one_slash(path: &str) -> String {
    let mut clean = String::with_capacity(path.len());
    for c in path.trim_start_matches('/').chars() {
        if c != '/' || !clean.ends_with('/') {
            clean.push(c);
        }
    }
    clean
}
