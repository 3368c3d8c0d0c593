//! A small blocking HTTP client, so that tests see the bytes that a user's script would see.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value as Json;

/// No answer of a master on this machine takes this long; a hung test ends with it.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// Status and body of a request to `host:port`.
pub fn request(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    parse(&answer)
}

fn parse(answer: &[u8]) -> (u16, String) {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = &answer[end + 4..];
    let body =
        if head.to_ascii_lowercase().contains("transfer-encoding: chunked") { unchunk(body) } else { body.to_vec() };
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn unchunk(mut body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let length = usize::from_str_radix(String::from_utf8_lossy(&body[..end]).trim(), 16).unwrap();
        if length == 0 {
            break;
        }
        out.extend_from_slice(&body[end + 2..end + 2 + length]);
        body = &body[end + 4 + length..];
    }
    out
}

/// The items of a collection of `/api/v2/`, or none for 404.
pub fn items(address: &str, path: &str) -> Vec<Json> {
    let (status, body) = request(address, "GET", &format!("/api/v2/{path}"), &[("Accept", "application/json")], "");
    assert!(status == 200 || status == 404, "GET {path}: {status} {body}");
    let body: Json = serde_json::from_str(&body).unwrap();
    let lists = body.as_object().into_iter().flatten().filter(|(name, _)| *name != "meta");
    lists.filter_map(|(_, list)| list.as_array().cloned()).flatten().collect()
}

/// A control call; the whole answer.
pub fn control(address: &str, path: &str, method: &str, params: Json) -> Json {
    let call = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let headers = [("Content-Type", "application/json")];
    let (_, body) = request(address, "POST", &format!("/api/v2/{path}"), &headers, &call.to_string());
    serde_json::from_str(&body).unwrap()
}

/// Waits until `look` finds something; looks again whenever the master tells of an event.
///
/// # Panics
/// When the master stays silent, or tells of many events without what is looked for.
pub fn wait_for<T>(address: &str, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(format!("GET /events HTTP/1.1\r\nHost: {address}\r\nAccept: text/event-stream\r\n\r\n").as_bytes())
        .unwrap();
    let mut lines = BufReader::new(stream).lines();
    // The head of the answer has come: from here on no event is missed.
    let status = lines.next().unwrap().unwrap();
    assert!(status.contains("200"), "/events: {status}");
    for _ in 0..100_000 {
        if let Some(found) = look() {
            return found;
        }
        match lines.next() {
            Some(Ok(_)) => {}
            other => panic!("waiting for {what}: the event stream ended: {other:?}"),
        }
    }
    panic!("waiting for {what}: it never came");
}

/// Waits until somebody listens at an address. Nobody tells when to look.
///
/// # Panics
/// When nobody ever does.
pub fn wait_for_listener(address: &str) {
    let began = std::time::Instant::now();
    while TcpStream::connect(address).is_err() {
        assert!(began.elapsed() < PATIENCE, "nobody listens at {address}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
