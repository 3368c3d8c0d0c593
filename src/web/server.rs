//! The accept loop: accepts connections, passes requests to [`dispatch`], and shuts down in order.
//!
//! ```text
//!            ┌ connection ─ HTTP ─ host check ─ warp filter ─┬ a worker's upgrade ─► master
//!  listener ─┤                                         └ everything else ────► dispatch::answer
//!            └ …  (one task each, all joined at the end)
//! ```
//!
//! Why not warp's own loop: it panics if binding fails, does not know peers, waits indefinitely for silent clients, and
//! panics at requests without a path. Invariants: no group of connections takes the seats of another ([`Seats`]), and
//! [`serve`] returns within [`END_MAX`] of `stop`.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::Stream;
use hyper::body::{Body, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;
use warp::filters::BoxedFilter;
use warp::filters::path::FullPath;
use warp::http::header::{self, HeaderValue};
use warp::http::{HeaderMap, Method, StatusCode};
use warp::reply::Response;
use warp::{Buf, Filter};

use super::bodies::BodyLimits;
use super::connection::{ClientConnection, ConnectionTimeouts, EndReason, TcpConnection, WatchedBody};
use super::control::Control;
use super::dispatch;
use super::host_check::{self, KnownHosts};
use super::identify;
use super::login_alerts::{self, LoginAlerts};
use super::request::Request;
use super::respond::{self, bare};
use super::seats::{SeatLimits, Seats};
use super::shared::Shared;
use super::worker_link;
use crate::auth::Accounts;
use crate::base::{Clock, SystemClock, process};

/// Between two requests of one connection of HTTP/1; the first has less time ([`ConnectionTimeouts`]).
const NEXT_HEAD_MAX: Duration = Duration::from_secs(30);
/// A head of a request: cookies and tokens fit ten times over.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Requests at the same time on one connection of HTTP/2: a browser has some dozens.
const STREAMS_MAX: u32 = 100;
/// What we take of a stream, and of a connection, before somebody reads it: that many seats may use it up.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;
/// A peer of HTTP/2 that is gone without a word is noticed after these two.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_ANSWER_MAX: Duration = Duration::from_secs(20);
/// Until an answer begins. Answers take milliseconds; one that takes so long waits for something that may not come
/// soon, such as room on the disk.
const ANSWER_MAX: Duration = Duration::from_mins(1);
/// How long requests in progress may take after `stop`.
const END_MAX: Duration = Duration::from_secs(5);
/// Pause when the system has no more file descriptors, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Addresses whose silent connections are reported in one hour.
const TOLD_MAX: usize = 100;
/// After this time the same address is reported again.
const TOLD_EVERY: Duration = Duration::from_hours(1);

/// What strangers may use. The defaults are for service; tests have shorter ones.
#[derive(Clone, Copy, Debug, Default)]
pub struct WebLimits {
    pub seats: SeatLimits,
    pub timeouts: ConnectionTimeouts,
    pub bodies: BodyLimits,
}

/// Serves the pages, the API and the workers until `stop`, then ends in order within a bound.
pub async fn serve(control: impl Control, accounts: Arc<Accounts>, listener: TcpListener, stop: CancellationToken) {
    let limits = WebLimits { seats: SeatLimits::within(process::open_files_max()), ..WebLimits::default() };
    serve_within(limits, Arc::new(SystemClock), control, accounts, listener, stop).await;
}

/// The same within other limits, by another clock.
pub async fn serve_within(
    limits: WebLimits,
    clock: Arc<dyn Clock>,
    control: impl Control,
    accounts: Arc<Accounts>,
    listener: TcpListener,
    stop: CancellationToken,
) {
    let shared = Shared::new(Arc::new(control), accounts, clock, limits.bodies, stop.clone());
    let server = Arc::new(Server {
        filter: routes(&shared),
        shared: Arc::clone(&shared),
        timeouts: limits.timeouts,
        told: Mutex::new((Instant::now(), BTreeSet::new())),
    });
    let seats = Seats::new(limits.seats);
    let graceful = GracefulShutdown::new();
    let connections = TaskTracker::new();
    let mut logins = LoginAlerts::default();
    logins.look(&shared);
    let mut looks = tokio::time::interval_at(Instant::now() + login_alerts::EVERY, login_alerts::EVERY);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener) => accepted,
            _ = looks.tick() => {
                logins.look(&shared);
                None
            }
        };
        if let Some((stream, addr)) = accepted {
            let exempt = host_check::is_trusted(&shared.control.plan().web, addr.ip());
            let peer = ClientConnection::new(addr, seats.enter((!exempt).then_some(addr.ip())));
            connections.spawn(connection(&server, stream, peer, &graceful));
        }
    }
    drop(listener);
    connections.close();
    shared.workers.close();
    let in_order = async {
        graceful.shutdown().await;
        connections.wait().await;
    };
    if tokio::time::timeout(END_MAX, in_order).await.is_err() {
        tracing::debug!("some connections did not close in time; closing them now");
    }
    // Workers would stay indefinitely. They keep their commands, and come back.
    shared.cut.cancel();
    connections.wait().await;
    shared.workers.wait().await;
}

/// What all connections share.
struct Server {
    shared: Arc<Shared>,
    filter: BoxedFilter<(Response,)>,
    timeouts: ConnectionTimeouts,
    /// Addresses that were reported, and since when.
    told: Mutex<(Instant, BTreeSet<IpAddr>)>,
}

async fn accept(listener: &TcpListener) -> Option<(TcpStream, SocketAddr)> {
    match listener.accept().await {
        Ok(accepted) => Some(accepted),
        Err(error) => {
            tracing::warn!(%error, "failed to accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

fn connection(
    server: &Arc<Server>,
    stream: TcpStream,
    peer: ClientConnection,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    let wire = TcpConnection::new(stream, &peer);
    let (serving, asking) = (Arc::clone(server), peer.clone());
    let service = hyper::service::service_fn(move |request| {
        let (server, peer) = (Arc::clone(&serving), asking.clone());
        async move { Ok::<_, Infallible>(server.request(&peer, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(NEXT_HEAD_MAX).max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_ANSWER_MAX);
    let http = graceful.watch(builder.serve_connection_with_upgrades(TokioIo::new(wire), service).into_owned());
    let server = Arc::clone(server);
    async move {
        tokio::select! {
            ended = http => if let Err(error) = ended {
                // Clients that hang up are everyday life.
                tracing::debug!(error = respond::error_text(error.as_ref()), peer = %peer.addr, "connection ended early");
            },
            ended = peer.ended(server.timeouts) => server.tell(&peer, ended),
            () = server.shared.cut.cancelled() => {}
        }
    }
}

impl Server {
    async fn request(
        &self,
        peer: &ClientConnection,
        request: hyper::Request<Incoming>,
    ) -> hyper::Response<WatchedBody<impl Body<Data = bytes::Bytes, Error: std::error::Error + Send + Sync> + use<>>>
    {
        let Some(progress) = peer.begin_request() else {
            let mut response = bare(StatusCode::SERVICE_UNAVAILABLE);
            respond::set(&mut response, header::CONNECTION, HeaderValue::from_static("close"));
            return response.map(WatchedBody::unseated);
        };
        let (mut parts, body) = request.into_parts();
        let (url, plan) = (self.shared.control.url(), self.shared.control.plan());
        if !host_check::is_trusted(&plan.web, peer.addr.ip()) {
            identify::strip(&mut parts.headers, &plan);
        }
        let response = match host_check::admit(&mut parts, KnownHosts { url: &url, web: &plan.web }, peer.addr) {
            Ok(from) => {
                parts.extensions.insert(peer.on_behalf_of(from));
                let Ok(response) =
                    warp::service(self.filter.clone()).call(hyper::Request::from_parts(parts, body)).await;
                response
            }
            Err(refused) => *refused,
        };
        response.map(|body| WatchedBody::new(body, progress))
    }

    /// Says why a connection was closed: for the first of an address, where somebody may wonder.
    fn tell(&self, peer: &ClientConnection, ended: EndReason) {
        let address = peer.addr;
        match ended {
            EndReason::Silent if self.is_news(address.ip()) => {
                tracing::warn!(
                    %address,
                    "closed a connection that sent nothing for {:?}; a worker created without \
                     `--protocol=msgpack_experimental_v7` behaves like that",
                    self.timeouts.head
                );
                self.shared.control.connection_was_silent(address);
            }
            EndReason::Unread if self.is_news(address.ip()) => {
                tracing::warn!(%address, "closed a connection whose client did not read its response for {:?}", self.timeouts.stall);
            }
            _ => tracing::debug!(%address, reason = ?ended, "closed a connection"),
        }
    }

    fn is_news(&self, address: IpAddr) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.0.elapsed() >= TOLD_EVERY {
            *told = (Instant::now(), BTreeSet::new());
        }
        told.1.len() < TOLD_MAX && told.1.insert(address)
    }
}

/// The one filter: first workers, then everything else through our own table.
fn routes(shared: &Arc<Shared>) -> BoxedFilter<(Response,)> {
    let answering = Arc::clone(shared);
    let everything = warp::method()
        .and(warp::path::full())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<ClientConnection>())
        .and(warp::body::stream())
        .then(move |method, path, query, headers, peer, body| {
            let head = Head { method, path, query, headers, peer };
            answer(Arc::clone(&answering), head, body)
        });
    worker_link::filter(Arc::clone(shared)).or(everything).unify().boxed()
}

struct Head {
    method: Method,
    path: FullPath,
    query: String,
    headers: HeaderMap,
    peer: Option<ClientConnection>,
}

async fn answer<S, B>(shared: Arc<Shared>, head: Head, body: S) -> Response
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    let mut request = Request {
        method: head.method,
        path: head.path.as_str().to_owned(),
        query: head.query,
        headers: head.headers,
        peer: head.peer.map(|peer| peer.addr),
        ..Request::default()
    };
    let url = shared.control.url();
    if let Err(refusal) = identify::identify(&shared, &mut request).await {
        return finish(*refusal, true, &url);
    }
    let is_private = !request.identity.is_anonymous();
    let answering = async {
        if let Some(refusal) = dispatch::turn_away(&shared, &request) {
            return refusal;
        }
        // Its share of the budget is held until the answer is there.
        let mut held = None;
        if dispatch::takes_body(&request) {
            let size = dispatch::body_size(&shared, &request);
            match shared.bodies.read(size, request.length(), shared.share_of(&request), body).await {
                Ok(body) => request.body = held.insert(body).bytes.clone(),
                Err(error) => return refuse_body(error),
            }
        }
        let response = in_time(ANSWER_MAX, Box::pin(dispatch::answer(&shared, request))).await;
        drop(held);
        response
    };
    finish(answering.await, is_private, &url)
}

fn finish(response: Response, is_private: bool, url: &str) -> Response {
    let mut response = respond::finish(response);
    identify::finish(&mut response, is_private, url);
    response
}

fn refuse_body(error: super::bodies::BodyError) -> Response {
    let (status, why) = error.answer();
    let mut response = respond::body(status, respond::TEXT, format!("{why}\n"));
    // What is left of it will not be read.
    respond::set(&mut response, header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer, or in its place that there is none for now.
async fn in_time(limit: Duration, answer: impl Future<Output = Response>) -> Response {
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| {
        let why = "the master is busy and did not respond in time; the request may still take effect (see the log of the \
                   master)";
        let text = serde_json::json!({ "error": why }).to_string();
        respond::body(StatusCode::SERVICE_UNAVAILABLE, respond::JSON, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_waits_for_an_answer_for_ever() {
        let late = in_time(Duration::from_millis(1), std::future::pending()).await;
        assert_eq!(late.status(), StatusCode::SERVICE_UNAVAILABLE);
        let prompt = in_time(ANSWER_MAX, async { bare(StatusCode::NO_CONTENT) }).await;
        assert_eq!(prompt.status(), StatusCode::NO_CONTENT);
    }
}
