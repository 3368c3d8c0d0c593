//! The accept loop: takes connections, hands requests to the [`Site`], ends in order.
//!
//! ```text
//!            ┌ connection ─ HTTP ─ warp filter ─┬ a worker's upgrade ─► master
//!  listener ─┤                                  └ everything else ────► Site::answer
//!            └ …  (one task each, all joined at the end)
//! ```
//!
//! Why not warp's own: it panics where binding fails, knows no peers, and waits for silent clients for ever.
//! Invariants: at most [`CONNECTIONS_MAX`] connections; [`serve`] returns within [`END_MAX`] of `stop`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warp::filters::BoxedFilter;
use warp::filters::path::FullPath;
use warp::http::{HeaderMap, Method, StatusCode};
use warp::reply::Response;
use warp::{Buf, Filter};

use super::connection::{Peer, Wire};
use super::control::Control;
use super::request::Request;
use super::respond::{self, bare};
use super::site::Site;
use super::worker_link;

/// Four times the thousand workers that we aim at, and room for browsers; each costs a file descriptor and some 20 KiB.
const CONNECTIONS_MAX: usize = 4_096;
/// A client that has not sent its request's head by then is broken or hostile. Also ends idle connections.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for a request's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// A change that names ten thousand files is below 1 MiB; a patch in a force form may be larger.
const BODY_BYTES_MAX: usize = 16 << 20;
/// Until an answer begins. Answers take milliseconds; one that takes so long waits for something that may not come soon, such
/// as room on the disk.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How long requests in progress may go on after `stop`.
const END_MAX: Duration = Duration::from_secs(5);
/// Pause when the system has no more file descriptors, so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How to serve.
#[derive(Clone, Debug)]
pub struct WebOptions {
    /// Where to listen.
    pub listen: SocketAddr,
}

/// Why we cannot listen.
#[derive(Debug, thiserror::Error)]
#[error("failed to listen on `{listen}`")]
pub struct BindError {
    listen: SocketAddr,
    source: std::io::Error,
}

impl BindError {
    /// What would do.
    pub fn hint(&self) -> Option<&'static str> {
        match self.source.kind() {
            std::io::ErrorKind::AddrInUse => Some("another process listens there; choose another port with `--listen`"),
            std::io::ErrorKind::PermissionDenied => Some("ports below 1024 need special rights; choose a higher one"),
            std::io::ErrorKind::AddrNotAvailable => Some("this machine does not have that address"),
            _ => None,
        }
    }
}

/// Takes the port; connections queue up from here on, and are served once [`serve`] runs.
pub async fn bind(options: &WebOptions) -> Result<TcpListener, BindError> {
    TcpListener::bind(options.listen).await.map_err(|source| BindError { listen: options.listen, source })
}

/// Serves the pages, the API and the workers until `stop`, then ends in order within a bound.
pub async fn serve(control: impl Control, listener: TcpListener, stop: CancellationToken) {
    let site = Site::new(Arc::new(control), Arc::new(crate::base::SystemClock), stop.clone());
    serve_site(site, listener, stop).await;
}

/// The same for a site that is there already.
pub(super) async fn serve_site(site: Arc<Site>, listener: TcpListener, stop: CancellationToken) {
    let filter = routes(&site);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        if let Some((stream, addr, permit)) = accepted {
            let serving = connection(stream, addr, filter.clone(), &graceful);
            let cut = site.cut.clone();
            connections.spawn(async move {
                let _permit = permit;
                tokio::select! {
                    () = serving => {}
                    () = cut.cancelled() => {}
                }
            });
        }
    }
    drop(listener);
    connections.close();
    site.workers.close();
    let in_order = async {
        graceful.shutdown().await;
        connections.wait().await;
    };
    if tokio::time::timeout(END_MAX, in_order).await.is_err() {
        tracing::debug!("some connections did not end in time and are cut off");
    }
    // Workers would stay for ever; they keep their commands, and come back.
    site.cut.cancel();
    connections.wait().await;
    site.workers.wait().await;
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    // While there is no room, the system's own queue holds newcomers.
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, addr)) => Some((stream, addr, permit)),
        Err(error) => {
            tracing::warn!(%error, "failed to accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

fn connection(
    stream: TcpStream,
    addr: SocketAddr,
    filter: BoxedFilter<(Response,)>,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    let peer = Peer::new(addr);
    let wire = Wire::new(stream, &peer);
    let service = tower::ServiceBuilder::new()
        .map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(peer.clone());
            request
        })
        .service(warp::service(filter));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    builder.http2().timer(TokioTimer::new());
    let serving =
        builder.serve_connection_with_upgrades(TokioIo::new(wire), TowerToHyperService::new(service)).into_owned();
    let watched = graceful.watch(serving);
    async move {
        if let Err(error) = watched.await {
            // Clients that hang up are everyday life.
            tracing::debug!(error = respond::error_text(error.as_ref()), peer = %addr, "connection ended early");
        }
    }
}

/// The one filter: first workers, then everything else through our own table.
fn routes(site: &Arc<Site>) -> BoxedFilter<(Response,)> {
    let answering = Arc::clone(site);
    let everything = warp::method()
        .and(warp::path::full())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<Peer>())
        .and(warp::body::stream())
        .then(move |method, path, query, headers, peer, body| {
            let head = Head { method, path, query, headers, peer };
            answer(Arc::clone(&answering), head, body)
        });
    worker_link::filter(Arc::clone(site)).or(everything).unify().boxed()
}

struct Head {
    method: Method,
    path: FullPath,
    query: String,
    headers: HeaderMap,
    peer: Option<Peer>,
}

async fn answer<S, B>(site: Arc<Site>, head: Head, body: S) -> Response
where
    S: Stream<Item = Result<B, warp::Error>>,
    B: Buf,
{
    let body = match tokio::time::timeout(BODY_TIMEOUT, read_body(body)).await {
        Ok(Ok(body)) => body,
        Ok(Err(status)) => return respond::finish(bare(status)),
        Err(_) => return respond::finish(bare(StatusCode::REQUEST_TIMEOUT)),
    };
    let request = Request {
        method: head.method,
        path: head.path.as_str().to_owned(),
        query: head.query,
        headers: head.headers,
        body,
        peer: head.peer.map(|peer| peer.addr),
    };
    respond::finish(in_time(ANSWER_MAX, site.answer(request)).await)
}

/// The answer, or in its place that there is none for now.
async fn in_time(limit: Duration, answer: impl Future<Output = Response>) -> Response {
    tokio::time::timeout(limit, answer).await.unwrap_or_else(|_| {
        let why = "the master is busy, or its disk is full (its log tells): there is no answer yet; what was asked may \
                   still be done";
        let text = serde_json::json!({ "error": why }).to_string();
        respond::body(StatusCode::SERVICE_UNAVAILABLE, respond::JSON, text)
    })
}

async fn read_body<B: Buf>(body: impl Stream<Item = Result<B, warp::Error>>) -> Result<Bytes, StatusCode> {
    let mut body = std::pin::pin!(body);
    let mut whole = Vec::new();
    while let Some(piece) = body.next().await {
        let mut piece = piece.map_err(|_| StatusCode::BAD_REQUEST)?;
        if whole.len() + piece.remaining() > BODY_BYTES_MAX {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        while piece.has_remaining() {
            let chunk = piece.chunk();
            whole.extend_from_slice(chunk);
            let taken = chunk.len();
            piece.advance(taken);
        }
    }
    Ok(whole.into())
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
