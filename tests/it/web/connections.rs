//! Connections: workers' upgrades, live events, bad clients, an orderly end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

use futures_util::{SinkExt, StreamExt};
use starwright::model::{Event, Outcome};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::filled::filled;
use super::served::Served;
use super::world::World;

/// What a stock worker sends; `authorization` is its whole header line.
fn handshake(served: &Served, path: &str, authorization: &str) -> String {
    let mut stream = served.connect();
    let request = format!(
        "GET {path} HTTP/1.1\r\nUser-Agent: AutobahnPython/26.10.2\r\nHost: {}\r\nUpgrade: WebSocket\r\n\
         Connection: Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n{authorization}\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
        served.address
    );
    stream.write_all(request.as_bytes()).unwrap();
    head(&mut stream)
}

fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&bytes));
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).unwrap().to_ascii_lowercase()
}

#[test]
fn a_stock_worker_is_upgraded_without_subprotocol_and_extensions() {
    let served = Served::new(World::empty().master());
    for path in ["/", "/any/other?path"] {
        let head = handshake(&served, path, "Authorization: Basic dzE6cGFzcw==\r\n");
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        assert!(!head.contains("sec-websocket-protocol") && !head.contains("sec-websocket-extensions"), "{head}");
    }
}

#[test]
fn a_refused_worker_gets_a_bare_status() {
    let served = Served::new(World::empty().master());
    for (path, authorization, status) in [
        ("/", "", 401),
        ("/", "Authorization: Basic dzE6d3Jvbmc=\r\n", 401),
        ("/x", "Authorization: Basic dzE6d3Jvbmc=\r\n", 401),
        ("/", "Authorization: Digest x\r\n", 400),
        // A browser's WebSocket is no worker.
        ("/ws", "", 404),
    ] {
        let head = handshake(&served, path, authorization);
        assert!(head.starts_with(&format!("http/1.1 {status} ")), "{path} {authorization}: {head}");
        assert!(head.contains("content-length: 0"), "{head}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn frames_pass_between_worker_and_master_whole() {
    let served = Served::new(World::empty().master());
    let mut request = format!("ws://{}/", served.address).into_client_request().unwrap();
    request.headers_mut().insert("authorization", "Basic dzE6cGFzcw==".parse().unwrap());
    runtime().block_on(async {
        let config = WebSocketConfig::default().max_frame_size(None).max_message_size(None);
        let connecting = tokio_tungstenite::connect_async_with_config(request, Some(config), false);
        let (mut socket, _) = connecting.await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("w1 from 127.0.0.1"));
        // Larger than the usual limit of a frame (16 MiB).
        for length in [0, 1_000, 20 << 20] {
            let message = Message::binary(vec![7; length]);
            socket.send(message.clone()).await.unwrap();
            assert_eq!(socket.next().await.unwrap().unwrap(), message);
        }
        socket.send(Message::Ping("alive?".into())).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::Pong("alive?".into()));
        socket.close(None).await.unwrap();
        while let Some(Ok(_)) = socket.next().await {}
    });
}

#[test]
fn live_events_tell_of_what_they_were_asked_for() {
    let mut filled = filled();
    let served = Served::new(filled.world.master());
    let mut stream = served.connect();
    let running = filled.running.clone();
    write!(stream, "GET /events?build={} HTTP/1.1\r\nHost: x\r\n\r\n", running.build).unwrap();
    let head = head(&mut stream);
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == ": hello"));
    filled.world.end(&filled.good.clone(), Outcome::Success, "not asked for");
    filled.world.end(&running, Outcome::Success, "done");
    let data = lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned)).unwrap();
    let event: serde_json::Value = serde_json::from_str(&data).unwrap();
    assert_eq!(event["kind"], "build_ended");
    assert_eq!((&event["build"], &event["outcome"]), (&running.build.into(), &"success".into()));
    let mut other = served.connect();
    write!(other, "GET /events?builder=3 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut lines = BufReader::new(other).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == ": hello"));
    filled.world.fact(Event::BuildState { build: starwright::model::BuildId(running.build), state: "x".to_owned() });
    let data = lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned)).unwrap();
    assert!(data.contains("\"builder\":3"), "a fact that names the build only finds its builder: {data}");
}

#[test]
fn a_reader_that_comes_back_or_lags_is_told_that_it_missed_something() {
    let filled = filled();
    let served = Served::new(filled.world.master());
    let mut stream = served.connect();
    write!(stream, "GET /events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 3\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "event: lagged"));
    assert_eq!(served.page("/events?bulid=1").status, 400);
    assert_eq!(served.form("/events", "").status, 405);
}

#[test]
fn the_end_is_orderly_with_streams_and_workers_open() {
    let mut served = Served::new(filled().world.master());
    let mut stream = served.connect();
    write!(stream, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut events = BufReader::new(stream).lines().map(Result::unwrap);
    assert!(events.any(|line| line == ": hello"));
    let mut idle = served.connect();
    write!(idle, "GET /api/v2/masters HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    assert!(head(&mut idle).contains(" 200 "));
    assert!(handshake(&served, "/", "Authorization: Basic dzE6cGFzcw==\r\n").contains(" 101 "));
    served.stop();
    assert_eq!(events.find(|line| line == "event: fact"), None, "the stream has ended");
    assert!(TcpStream::connect(served.address).is_err(), "nobody listens any more");
}

#[test]
fn bodies_are_bounded() {
    let served = Served::new(World::empty().master());
    let mut stream = served.connect();
    let head_text = "POST /api/v2/builds/1 HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head_text.as_bytes()).unwrap();
    let chunk = [b"100000\r\n".as_slice(), &vec![b'x'; 1 << 20], b"\r\n"].concat();
    for _ in 0..17 {
        // The server may hang up in the middle.
        if stream.write_all(&chunk).is_err() {
            break;
        }
    }
    assert!(head(&mut stream).contains(" 413 "));
}
