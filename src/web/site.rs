//! Everything except sockets: which part answers which path, and what all parts share.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warp::http::{Method, StatusCode};
use warp::reply::Response;

use super::bodies::{Bodies, BodyLimits};
use super::control::Control;
use super::request::Request;
use super::respond;
use super::{api, hook, host_check, live, origin, starwright_api, ui};
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
    /// What arrives.
    pub bodies: Arc<Bodies>,
    /// Open streams of events.
    pub streams: Arc<Semaphore>,
    /// The same by address.
    streams_of: Mutex<BTreeMap<IpAddr, usize>>,
    /// Tasks that serve workers.
    pub workers: TaskTracker,
    /// No new requests; streams end.
    pub stop: CancellationToken,
    /// What still runs is cut off.
    pub cut: CancellationToken,
}

impl Site {
    /// A site that serves until `stop`.
    pub fn new(
        control: Arc<dyn Control>,
        clock: Arc<dyn Clock>,
        bodies: BodyLimits,
        stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            control,
            clock,
            table: api::Table::new(),
            readers: Arc::new(Semaphore::new(READERS_MAX)),
            long_answers: Arc::new(Semaphore::new(api::LONG_MAX)),
            bodies: Bodies::new(bodies),
            streams: Arc::new(Semaphore::new(live::STREAMS_MAX)),
            streams_of: Mutex::default(),
            workers: TaskTracker::new(),
            stop,
            cut: CancellationToken::new(),
        })
    }

    /// What a request's head alone decides: the refusal of everything that a foreign page sent to change something, and
    /// of calls of a hook that is not open to the caller. To be asked before [`Self::answer`].
    pub fn turn_away(self: &Arc<Self>, request: &Request) -> Option<Response> {
        let path = one_slash(&request.path);
        let (first, rest) = path.split_once('/').map_or((path.as_str(), ""), |(first, rest)| (first, rest));
        if first == "change_hook" {
            return hook::turn_away(self, request, rest);
        }
        if Self::reads(request) || request.method == Method::OPTIONS {
            return None;
        }
        let patterns: &[String] = if first == "api" { &self.control.plan().web.allowed_origins } else { &[] };
        if origin::may_change(request, &self.control.url(), patterns) {
            return None;
        }
        tracing::info!(path = %request.path, peer = ?request.peer, "a request of a foreign page was refused");
        Some(match (first, rest.split_once('/').map_or(rest, |(version, _)| version)) {
            ("api", "v2" | "latest") => api::foreign(),
            ("api", _) => starwright_api::foreign(),
            _ => ui::foreign(self, request),
        })
    }

    /// Whether to wait for a body. A request that only reads does not need one.
    pub fn takes_body(request: &Request) -> bool {
        let path = one_slash(&request.path);
        let (first, rest) = path.split_once('/').map_or((path.as_str(), ""), |(first, rest)| (first, rest));
        request.method == Method::POST
            && match first {
                "api" => api::takes_body(rest) || starwright_api::takes_body(rest),
                "change_hook" => true,
                _ => path == "reload" || (ui::takes_body(first) && !rest.is_empty()),
            }
    }

    /// Against whose share of the bodies a request counts; none for trusted proxies, which bring those of many.
    pub fn share_of(&self, request: &Request) -> Option<IpAddr> {
        let address = request.peer?.ip();
        (!host_check::is_trusted(&self.control.plan().web, address)).then_some(address)
    }

    /// Answers one request that was not turned away.
    pub async fn answer(self: &Arc<Self>, request: Request) -> Response {
        let path = one_slash(&request.path);
        let (first, rest) = path.split_once('/').map_or((path.as_str(), None), |(first, rest)| (first, Some(rest)));
        match (first, rest) {
            ("api", None) => api::versions(self),
            ("api", Some(rest)) => self.api(request, rest).await,
            ("change_hook", dialect) => hook::answer(self, &request, dialect.unwrap_or_default()).await,
            ("events", None) => live::answer(self, &request),
            ("ws" | "sse" | "metrics", _) => respond::bare(StatusCode::NOT_FOUND),
            _ => ui::answer(self, request, &path).await,
        }
    }

    async fn api(self: &Arc<Self>, request: Request, rest: &str) -> Response {
        match rest.split_once('/').map_or((rest, ""), |(version, path)| (version, path)) {
            ("v2" | "latest", path) => api::answer(self, request, path).await,
            ("starwright", path) => starwright_api::answer(self, &request, path).await,
            _ => respond::body(StatusCode::NOT_FOUND, respond::TEXT, "{\"error\":\"no such version of the API\"}"),
        }
    }

    /// How many streams of events each address has open.
    pub fn streams_of(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.streams_of.lock().unwrap_or_else(PoisonError::into_inner)
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
