//! Asks a master that may die at any moment: an answer is whole, or it is an error.

use std::io::{self, Error, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value as Json, json};

/// A frozen master answers when it thaws; one that is silent for longer has not heard.
const PATIENCE: Duration = Duration::from_secs(30);

/// The items of a collection of `/api/v2/`.
pub fn items(address: &str, path: &str) -> io::Result<Vec<Json>> {
    let body = exchange(address, "GET", &format!("/api/v2/{path}"), "")?;
    let lists = body.as_object().into_iter().flatten().filter(|(name, _)| *name != "meta");
    Ok(lists.filter_map(|(_, list)| list.as_array().cloned()).flatten().collect())
}

/// Asks for a build; when this returns well the request is acknowledged.
pub fn force(address: &str, builder: &str, round: &str, job: &str) -> io::Result<()> {
    let params = json!({"builderNames": [builder], "round": round, "job": job});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "force", "params": params});
    let answer = exchange(address, "POST", "/api/v2/forceschedulers/by-hand", &call.to_string())?;
    assert!(answer["error"].is_null(), "force {job}: {answer}");
    Ok(())
}

fn exchange(address: &str, method: &str, path: &str, body: &str) -> io::Result<Json> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nAccept: application/json\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let (status, body) = parse(&answer).ok_or_else(|| Error::other("the answer was cut off"))?;
    match status {
        200 => serde_json::from_slice(&body).map_err(Error::other),
        // Ending, or not yet ready.
        503 => Err(Error::other("not now")),
        _ => panic!("{method} {path}: {status} {}", String::from_utf8_lossy(&body)),
    }
}

/// Status and body of a whole answer.
fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = &answer[end + 4..];
    if head.contains("transfer-encoding: chunked") {
        return Some((status, unchunk(body)?));
    }
    let length: usize = head.lines().find_map(|line| line.strip_prefix("content-length:"))?.trim().parse().ok()?;
    (body.len() == length).then(|| (status, body.to_vec()))
}

fn unchunk(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    loop {
        let end = body.windows(2).position(|two| two == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&body[..end]).ok()?.trim(), 16).ok()?;
        if length == 0 {
            return Some(out);
        }
        out.extend_from_slice(body.get(end + 2..end + 2 + length)?);
        body = body.get(end + 4 + length..)?;
    }
}
