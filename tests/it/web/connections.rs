//! Connections: workers' upgrades, live events, bad clients, an orderly end.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use starwright::testing::model::{Event, HookPlan, Outcome};
use starwright::testing::web::{BodyLimits, ConnectionTimeouts, SeatLimits, WebLimits};
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
fn a_refused_worker_gets_a_status_and_a_reason() {
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
    write!(stream, "GET /events?build={} HTTP/1.1\r\nHost: localhost\r\n\r\n", running.build).unwrap();
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
    write!(other, "GET /events?builder=3 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut lines = BufReader::new(other).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == ": hello"));
    filled
        .world
        .fact(Event::BuildState { build: starwright::testing::model::BuildId(running.build), state: "x".to_owned() });
    let data = lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned)).unwrap();
    assert!(data.contains("\"builder\":3"), "a fact that names the build only finds its builder: {data}");
}

#[test]
fn a_reader_that_comes_back_or_lags_is_told_that_it_missed_something() {
    let filled = filled();
    let served = Served::new(filled.world.master());
    let mut stream = served.connect();
    write!(stream, "GET /events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: 3\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "event: lagged"));
    assert_eq!(served.page("/events?bulid=1").status, 400);
    assert_eq!(served.form("/events", "").status, 405);
}

#[test]
fn the_end_is_orderly_with_streams_and_workers_open() {
    let mut served = Served::new(filled().world.master());
    let mut stream = served.connect();
    write!(stream, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut events = BufReader::new(stream).lines().map(Result::unwrap);
    assert!(events.any(|line| line == ": hello"));
    let mut idle = served.connect();
    write!(idle, "GET /api/v2/masters HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
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
    let head_text = "POST /api/v2/builds/1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
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

/// What a raw text is answered with, until the server hangs up.
fn raw(served: &Served, text: &str) -> String {
    let mut stream = served.connect();
    stream.write_all(text.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    // A server that hangs up on bytes that it did not read resets the connection.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn hosts_of_others_are_refused_with_the_line_to_add() {
    let served = Served::new(filled().world.master());
    let ask =
        |target: &str, host: &str| raw(&served, &format!("GET {target} HTTP/1.1\r\n{host}Connection: close\r\n\r\n"));
    for path in ["/", "/api/v2/builds", "/events", "/api/starwright/v1/plan", "/assets/style.css", "/change_hook/base"]
    {
        let answer = ask(path, "Host: evil.example:8010\r\n");
        assert!(answer.starts_with("HTTP/1.1 421 "), "{path}: {answer}");
        assert!(answer.contains("web(hosts = [\"evil.example\"])"), "{answer}");
    }
    assert!(ask("http://evil.example/", "Host: evil.example\r\n").starts_with("HTTP/1.1 421 "));
    assert!(ask("http://localhost/", "Host: evil.example\r\n").starts_with("HTTP/1.1 400 "));
    assert!(ask("http://127.0.0.1/", "Host: 127.0.0.1\r\n").starts_with("HTTP/1.1 200 "));
    assert!(ask("/", "").starts_with("HTTP/1.1 400 "));
    for host in ["localhost", "127.0.0.1:1", "[::1]:8010", "CI.example.org."] {
        assert!(ask("/", &format!("Host: {host}\r\n")).starts_with("HTTP/1.1 200 "), "{host}");
    }
    assert!(raw(&served, "GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200 "), "no browser speaks it");
    let worker = handshake(&served, "/", "Authorization: Basic dzE6cGFzcw==\r\nX: y\r\n");
    assert!(worker.contains(" 101 "));
}

#[test]
fn a_worker_comes_under_any_name_and_a_page_does_not() {
    let served = Served::new(World::empty().master());
    let upgrade = |more: &str| {
        let mut stream = served.connect();
        let request = format!(
            "GET / HTTP/1.1\r\nHost: build-master\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{more}\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        head(&mut stream)
    };
    assert!(upgrade("Authorization: Basic dzE6cGFzcw==\r\n").contains(" 101 "));
    assert!(upgrade("Authorization: Basic dzE6cGFzcw==\r\nOrigin: http://build-master\r\n").contains(" 403 "));
}

#[test]
fn odd_heads_are_refused_and_none_of_them_panics() {
    let served = Served::new(World::empty().master());
    let host = "Host: localhost\r\nConnection: close\r\n\r\n";
    for (line, status) in [
        ("CONNECT localhost:80 HTTP/1.1", "405"),
        ("CONNECT / HTTP/1.1", "40"),
        ("GET localhost:80 HTTP/1.1", "400"),
        ("POST localhost HTTP/1.1", "400"),
        ("OPTIONS * HTTP/1.1", "405"),
        ("GET * HTTP/1.1", "404"),
        ("GET ?x HTTP/1.1", "40"),
        ("GET /% HTTP/1.1", "404"),
        ("GET /%ff%fe/%00 HTTP/1.1", "404"),
        ("GET /builders/%2e%2e%2f HTTP/1.1", "404"),
        ("GET /api/v2/%zz?%zz=%&&= HTTP/1.1", "404"),
        ("TRACE / HTTP/1.1", "405"),
        ("PRI * HTTP/1.1", "40"),
        ("GET http:// HTTP/1.1", "400"),
        ("GET http://[/ HTTP/1.1", "400"),
        ("G\u{fc}T / HTTP/1.1", "400"),
    ] {
        let answer = raw(&served, &format!("{line}\r\n{host}"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{line}: {answer}");
    }
}

#[test]
fn what_needs_no_body_is_answered_without_one() {
    let mut world = World::empty();
    world.plan.web.hooks.insert("base".to_owned(), HookPlan::default());
    let served = Served::new(world.master());
    for (line, status) in [
        ("GET /api/starwright/v1/health", 200),
        ("HEAD /", 200),
        ("GET /change_hook/base", 405),
        ("POST /change_hook/nosuch", 404),
        ("POST /", 405),
        ("POST /events", 405),
        ("POST /nosuch/page", 405),
        ("POST /api/starwright/v1/plan", 405),
        ("PUT /builders/1/force/f", 405),
    ] {
        for length in ["Content-Length: 900000", "Transfer-Encoding: chunked"] {
            let mut stream = served.connect();
            write!(stream, "{line} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{length}\r\n\r\n")
                .unwrap();
            let head = head(&mut stream);
            assert!(head.starts_with(&format!("http/1.1 {status} ")), "{line}: {head}");
        }
    }
}

/// Limits that a test need not wait for.
fn impatient() -> WebLimits {
    let short = Duration::from_millis(50);
    let timeouts = ConnectionTimeouts { head: short, idle: short, look: short, ..ConnectionTimeouts::default() };
    WebLimits { timeouts, ..WebLimits::default() }
}

#[test]
fn a_connection_without_a_request_ends_in_every_version_of_http() {
    let served = Served::within(impatient(), World::empty().master());
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    let ping = [&[0, 0, 8, 6, 0, 0, 0, 0, 0][..], &[0; 8]].concat();
    for sent in [
        &b""[..],
        b"G",
        b"PRI * HT",
        preface,
        &[&preface[..], &settings].concat(),
        &[&preface[..], &settings, &ping].concat(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n",
        b"\r\n\r\n",
    ] {
        let mut stream = served.connect();
        stream.write_all(sent).unwrap();
        let mut rest = Vec::new();
        // Reset or closed: what counts is that it is over.
        let over = stream.read_to_end(&mut rest);
        assert!(!matches!(&over, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{sent:?}");
    }
    assert_eq!(served.master.silent().len(), 1, "an address is told of once");
}

#[test]
fn a_connection_of_http_2_that_asks_for_nothing_more_ends() {
    let served = Served::within(impatient(), World::empty().master());
    let mut stream = served.connect();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // The fields GET, http and / of the static table, and `:authority` with a value of its own.
    let fields = [&[0x82, 0x86, 0x84, 0x41, 9][..], b"localhost"].concat();
    let headers = [&[0, 0, u8::try_from(fields.len()).unwrap(), 1, 5, 0, 0, 0, 1], &fields[..]].concat();
    stream.write_all(&[&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &settings, &headers].concat()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("<html"), "it was answered before");
}

#[test]
fn more_silent_connections_than_seats_lock_nobody_out() {
    let seats = SeatLimits { newcomers: 16, newcomers_each: 16, guests: 4, workers: 4 };
    let served = Served::within(WebLimits { seats, ..WebLimits::default() }, World::empty().master());
    let silent: Vec<TcpStream> = (0..100).map(|_| served.connect()).collect();
    assert_eq!(served.ask("GET", "/api/v2", &[], "").status, 200);
    assert!(handshake(&served, "/", "Authorization: Basic dzE6cGFzcw==\r\n").contains(" 101 "));
    // Guests that keep their connection make room as well, and take no worker's seat.
    let mut idle: Vec<TcpStream> = Vec::new();
    for _ in 0..10 {
        let mut stream = served.connect();
        write!(stream, "GET /api/v2 HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        assert!(head(&mut stream).contains(" 200 "));
        idle.push(stream);
    }
    assert!(handshake(&served, "/", "Authorization: Basic dzE6cGFzcw==\r\n").contains(" 101 "));
    drop((silent, idle));
}

#[test]
fn bodies_are_bounded_together_whatever_they_come_by() {
    let bodies = BodyLimits { total: 100_000, address: 100_000, wait: Duration::ZERO, ..BodyLimits::default() };
    let served = Served::within(WebLimits { bodies, ..WebLimits::default() }, World::empty().master());
    let hold = || {
        let mut stream = served.connect();
        let head = "POST /api/v2/builds/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90001\r\n\r\n";
        stream.write_all(&[head.as_bytes(), &vec![b'x'; 90_000]].concat()).unwrap();
        stream
    };
    // Either may be read first; the other one finds no room.
    let both = [hold(), hold()];
    let (sender, answers) = std::sync::mpsc::channel();
    for stream in &both {
        let (sender, mut stream) = (sender.clone(), stream.try_clone().unwrap());
        // The one that has room is not answered: its read ends, with nothing, when the test does.
        std::thread::spawn(move || {
            let mut status = [0; 12];
            if stream.read_exact(&mut status).is_ok() {
                // The test took the first answer and went on.
                let _ = sender.send(String::from_utf8_lossy(&status).into_owned());
            }
        });
    }
    assert_eq!(answers.recv().unwrap(), "HTTP/1.1 503");
    for stream in &both {
        // The refused one is closed already.
        let _ = stream.shutdown(std::net::Shutdown::Both);
    }
}
