//! Workers connect through the same port, with a request to upgrade to a WebSocket and their name and password
//! (docs/reference/worker-protocol.md#handshake). This file turns such a request into a [`Socket`] and hands it to the
//! master.
//!
//! Invariants: a refusal is a status and one line for the worker's log, and costs little. The answer 101 has neither a
//! subprotocol nor extensions, because either makes a stock worker disconnect.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use warp::filters::path::FullPath;
use warp::filters::ws::{Message, WebSocket, Ws};
use warp::http::{HeaderMap, StatusCode, header};
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

use super::connection::ClientConnection;
use super::host_check::is_workers;
use super::respond;
use super::shared::Shared;
use crate::master::{AdmittedWorker, Frame, Refusal, Socket};

/// A worker sends a block of a file as one message, and the master chooses a block size far below this. More is an
/// attack or a bug.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// What to do with a request to upgrade.
enum UpgradeAnswer {
    Welcome(AdmittedWorker),
    Refused(StatusCode, String),
}

/// Answers the requests of workers; passes all others on.
pub fn filter(shared: Arc<Shared>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone {
    let judge = Arc::clone(&shared);
    warp::path::full()
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<ClientConnection>())
        .and_then(move |path: FullPath, headers: HeaderMap, peer: Option<ClientConnection>| {
            let verdict = judge_upgrade(&judge, path.as_str(), &headers, peer.as_ref());
            async move { verdict.map(|verdict| (verdict, peer)).ok_or_else(warp::reject::not_found) }
        })
        .untuple_one()
        .and(warp::ws().map(Some).or(warp::any().map(|| None)).unify())
        .map(move |verdict, peer: Option<ClientConnection>, ws: Option<Ws>| match (verdict, ws) {
            (UpgradeAnswer::Refused(status, why), _) => refuse(status, why),
            (UpgradeAnswer::Welcome(_), None) => {
                refuse(StatusCode::BAD_REQUEST, "the WebSocket upgrade request is incomplete".to_owned())
            }
            (UpgradeAnswer::Welcome(seat), Some(ws)) => welcome(Arc::clone(&shared), seat, peer, ws),
        })
}

/// None if it is not a worker.
fn judge_upgrade(
    shared: &Shared,
    path: &str,
    headers: &HeaderMap,
    peer: Option<&ClientConnection>,
) -> Option<UpgradeAnswer> {
    if !is_workers(headers, path) {
        return None;
    }
    // No worker sends one; a page that does tries passwords with its visitor's browser.
    if headers.contains_key(header::ORIGIN) {
        return Some(UpgradeAnswer::Refused(StatusCode::FORBIDDEN, "web pages cannot connect as workers".to_owned()));
    }
    let authorization = headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap_or_default());
    Some(match shared.control.admit_worker(authorization, peer.map(|peer| peer.addr)) {
        Ok(seat) => UpgradeAnswer::Welcome(seat),
        Err(refusal) => {
            let status = match &refusal {
                Refusal::Unauthorized => StatusCode::UNAUTHORIZED,
                Refusal::Malformed(_) => StatusCode::BAD_REQUEST,
                Refusal::TooManyTries { .. } => StatusCode::TOO_MANY_REQUESTS,
            };
            UpgradeAnswer::Refused(status, refusal.to_string())
        }
    })
}

fn refuse(status: StatusCode, why: String) -> Response {
    respond::finish(respond::body(status, respond::TEXT, why + "\n"))
}

fn welcome(shared: Arc<Shared>, seat: AdmittedWorker, peer: Option<ClientConnection>, ws: Ws) -> Response {
    if let Some(peer) = &peer {
        peer.acknowledge_quickly();
        if !peer.become_worker() {
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "the master cannot accept more workers".to_owned());
        }
    }
    // The token keeps the end of the server waiting for this worker's task.
    let token = shared.workers.token();
    ws.max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .on_upgrade(move |socket| async move {
            let _token = token;
            // The peer holds the worker's seat as long as this lasts.
            let socket = adapt(socket, peer.as_ref().map(|peer| peer.addr));
            tokio::select! {
                () = shared.control.serve_worker(seat, socket) => {}
                () = shared.cut.cancelled() => {}
            }
        })
        .into_response()
}

fn adapt(socket: WebSocket, peer: Option<std::net::SocketAddr>) -> Socket {
    let (outgoing, incoming) = socket.split();
    Socket {
        incoming: incoming
            .map(|message| message.map(frame).map_err(|error| crate::web::respond::error_text(&error)))
            .boxed(),
        outgoing: Box::pin(
            outgoing
                .sink_map_err(|error| crate::web::respond::error_text(&error))
                .with(|frame: Frame| std::future::ready(Ok::<_, String>(message(frame)))),
        ),
        peer,
    }
}

fn frame(message: Message) -> Frame {
    if message.is_binary() {
        Frame::Binary(message.into_bytes())
    } else if let Ok(text) = message.to_str() {
        Frame::Text(text.to_owned())
    } else if message.is_ping() {
        Frame::Ping(message.into_bytes())
    } else if message.is_pong() {
        Frame::Pong(message.into_bytes())
    } else {
        Frame::Close
    }
}

fn message(frame: Frame) -> Message {
    match frame {
        Frame::Binary(bytes) => Message::binary(bytes),
        Frame::Text(text) => Message::text(text),
        Frame::Ping(bytes) => Message::ping(bytes),
        Frame::Pong(bytes) => Message::pong(bytes),
        Frame::Close => Message::close(),
    }
}
