//! Workers come through the same port: a request to upgrade to a WebSocket, with their name and password
//! (worker protocol, section 2). This file turns such a request into a [`Socket`] and hands it to the master.
//!
//! Invariants: a refusal is a bare status, quick and cheap; the answer 101 carries neither a subprotocol nor
//! extensions, because either makes a stock worker hang up.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use warp::filters::path::FullPath;
use warp::filters::ws::{Message, WebSocket, Ws};
use warp::http::{StatusCode, header};
use warp::reply::Response;
use warp::{Filter, Rejection, Reply};

use super::connection::Peer;
use super::respond::bare;
use super::site::Site;
use crate::master::{Frame, Refusal, Seat, Socket};

/// A worker sends a file's block as one message, and the master chooses the block's size far below this; more
/// is an attack or a bug.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// What to do with a request to upgrade.
enum Verdict {
    Welcome(Seat),
    Refused(StatusCode),
}

/// Answers the requests of workers; passes all others on.
pub fn filter(site: Arc<Site>) -> impl Filter<Extract = (Response,), Error = Rejection> + Clone {
    let judge = Arc::clone(&site);
    warp::header::exact_ignore_case("upgrade", "websocket")
        .and(warp::path::full())
        .and(warp::header::optional::<String>(header::AUTHORIZATION.as_str()))
        .and(warp::ext::optional::<Peer>())
        .and_then(move |path: FullPath, authorization: Option<String>, peer: Option<Peer>| {
            let verdict = judge_upgrade(&judge, path.as_str(), authorization.as_deref(), peer.as_ref());
            async move { verdict.map(|verdict| (verdict, peer)).ok_or_else(warp::reject::not_found) }
        })
        .untuple_one()
        .and(warp::ws().map(Some).or(warp::any().map(|| None)).unify())
        .map(move |verdict, peer: Option<Peer>, ws: Option<Ws>| match (verdict, ws) {
            (Verdict::Refused(status), _) => bare(status),
            (Verdict::Welcome(_), None) => bare(StatusCode::BAD_REQUEST),
            (Verdict::Welcome(seat), Some(ws)) => welcome(Arc::clone(&site), seat, peer, ws),
        })
}

/// None: it is no worker.
fn judge_upgrade(site: &Site, path: &str, authorization: Option<&str>, peer: Option<&Peer>) -> Option<Verdict> {
    // A browser that opens a WebSocket elsewhere sends no authorization.
    if authorization.is_none() && path != "/" {
        return None;
    }
    Some(match site.control.admit_worker(authorization, peer.map(|peer| peer.addr)) {
        Ok(seat) => Verdict::Welcome(seat),
        Err(Refusal::Unauthorized) => Verdict::Refused(StatusCode::UNAUTHORIZED),
        Err(Refusal::Malformed(_)) => Verdict::Refused(StatusCode::BAD_REQUEST),
    })
}

fn welcome(site: Arc<Site>, seat: Seat, peer: Option<Peer>, ws: Ws) -> Response {
    if let Some(peer) = &peer {
        peer.acknowledge_quickly();
    }
    // The token keeps the end of the server waiting for this worker's task.
    let token = site.workers.token();
    ws.max_message_size(MESSAGE_BYTES_MAX)
        .max_frame_size(MESSAGE_BYTES_MAX)
        .on_upgrade(move |socket| async move {
            let _token = token;
            let socket = adapt(socket, peer.map(|peer| peer.addr));
            tokio::select! {
                () = site.control.serve_worker(seat, socket) => {}
                () = site.cut.cancelled() => {}
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
