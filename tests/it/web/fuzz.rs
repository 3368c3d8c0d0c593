//! Requests without number, made up along the structure of real ones: whatever arrives, the server answers, and nothing in it
//! panics.
//!
//! `make fuzz` says how many: `STARWRIGHT_FUZZ_REQUESTS`, `STARWRIGHT_FUZZ_SEED`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use starwright::testing::web::{api_paths, own_api_paths, page_paths};

use super::filled::{ODD, filled};
use super::served::Served;
use crate::evaluator::programs::Chance;
use crate::support::http::PATIENCE;

/// Requests in the ordinary tests: some seconds' worth.
const REQUESTS: u64 = 4_000;
/// Bytes of an answer that are read.
const READ_MAX: u64 = 1 << 20;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number")))
}

#[test]
fn every_request_is_answered_and_none_breaks_anything() {
    let requests = number("STARWRIGHT_FUZZ_REQUESTS", REQUESTS);
    let seed = number("STARWRIGHT_FUZZ_SEED", 1);
    let mut filled = filled();
    filled.world.plan.web.hooks.insert("base".to_owned(), starwright::testing::model::HookPlan::default());
    let served = Served::new(filled.world.master());
    let paths = paths();
    let mut statuses = std::collections::BTreeMap::<u16, u64>::new();
    for round in 0..requests {
        let mut chance = Chance::new(seed.wrapping_mul(1_000_003).wrapping_add(round));
        let request = request(&mut chance, &paths, &served.address.to_string());
        let status = ask(&served, &request);
        let shown = || String::from_utf8_lossy(&request.bytes).into_owned();
        // 501 and 503 are answers; a panic is 500.
        assert_ne!(status, Some(500), "round {round} of seed {seed} broke something:\n{}", shown());
        *statuses.entry(status.unwrap_or(0)).or_default() += 1;
        if requests > REQUESTS && round % 50_000 == 0 {
            println!("{round} requests of {requests}");
        }
        drop(served.master.orders());
        drop(served.master.hooks());
    }
    println!("{statuses:?}");
    for status in [200, 400, 404, 405, 415] {
        assert!(statuses.contains_key(&status), "no request of so many was answered with {status}: {statuses:?}");
    }
    assert_eq!(served.page("/").status, 200, "it answers as before");
}

fn paths() -> Vec<String> {
    let pages = page_paths().map(str::to_owned);
    let own = own_api_paths().map(|path| format!("api/starwright/v1/{path}"));
    let api = api_paths().map(|path| format!("api/v2/{path}"));
    let others = [
        "change_hook/base",
        "change_hook/github",
        "change_hook",
        "api",
        "ws",
        "sse/listen",
        "metrics",
        "favicon.ico",
        "assets/starwright.css",
        "reload",
        "api/starwright/v1/reload",
        "api/starwright/v1/changes",
        "api/starwright/v1/poll",
        "builders/:builder/force/:scheduler",
        "builds/:build/stop",
        "builds/:build/rebuild",
        "requests/:request/cancel",
        "workers/:worker/pause",
        "login",
        "logout",
        "logout",
        "logout",
        "logout",
    ];
    pages.chain(own).chain(api).chain(others.map(str::to_owned)).collect()
}

/// The status of the answer; none if the server only hung up.
fn ask(served: &Served, request: &MadeUp) -> Option<u16> {
    let mut stream = TcpStream::connect(served.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    // The server may refuse what it has not read to its end.
    let _hung_up = stream.write_all(&request.bytes);
    if !request.whole {
        // It waits for the rest, which does not come.
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
    let mut answer = Vec::new();
    let _cut = stream.take(READ_MAX).read_to_end(&mut answer);
    let head = String::from_utf8_lossy(&answer[..answer.len().min(64)]).into_owned();
    head.split(' ').nth(1)?.parse().ok()
}

/// Something to send.
struct MadeUp {
    bytes: Vec<u8>,
    /// It has the body that it announces.
    whole: bool,
}

fn request(chance: &mut Chance, paths: &[String], host: &str) -> MadeUp {
    if chance.below(40) == 0 {
        return MadeUp { bytes: garbage(chance), whole: false };
    }
    let method =
        chance.pick(&["GET", "GET", "GET", "GET", "GET", "POST", "POST", "POST", "HEAD", "OPTIONS", "PUT", "get"]);
    let pattern = &paths[usize::try_from(chance.below(paths.len() as u64)).unwrap()];
    let mut path: Vec<String> = pattern.split('/').map(|element| element_of(chance, element)).collect();
    if chance.below(12) == 0 {
        let at = usize::try_from(chance.below(path.len() as u64 + 1)).unwrap();
        path.insert(at, odd(chance));
    }
    let mut target = format!("/{}", path.join("/"));
    for at in 0..chance.below(8).saturating_sub(4) {
        target += if at == 0 { "?" } else { "&" };
        target += &query(chance);
    }
    let mut head = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
    head += &match chance.below(30) {
        0 => format!("Host: {}\r\n", odd(chance)),
        1 => String::new(),
        _ => format!("Host: {host}\r\n"),
    };
    for _ in 0..chance.below(6).saturating_sub(2) {
        head += &header(chance);
    }
    let (mut body, mut whole) = (Vec::new(), true);
    if method == "POST" || chance.below(20) == 0 {
        let (kind, text) = self::body(chance);
        body = text;
        head += &format!("Content-Type: {kind}\r\n");
        match chance.below(20) {
            0 => {
                head += &format!("Content-Length: {}\r\n", chance.below(1 << 40));
                whole = false;
            }
            1 => {
                head += "Transfer-Encoding: chunked\r\n";
                whole = false;
            }
            _ => head += &format!("Content-Length: {}\r\n", body.len()),
        }
    }
    MadeUp { bytes: [head.as_bytes(), b"\r\n", &body].concat(), whole }
}

fn element_of(chance: &mut Chance, element: &str) -> String {
    if !element.contains(':') {
        return element.to_owned();
    }
    match chance.below(8) {
        0 => odd(chance),
        1 => chance.below(1 << 20).to_string(),
        2 => percent(ODD),
        3 => chance.pick(&["ok", "lonely", "w1", "w2", "stdio", "by-hand", "compile", "nightly"]).to_owned(),
        _ => (1 + chance.below(40)).to_string(),
    }
}

/// What nobody would write.
fn odd(chance: &mut Chance) -> String {
    match chance.below(12) {
        0 => "%00".to_owned(),
        1 => "..".to_owned(),
        2 => "%2e%2e%2fetc%2fpasswd".to_owned(),
        3 => "%ff%fe%".to_owned(),
        4 => "18446744073709551616".to_owned(),
        5 => "-1".to_owned(),
        6 => percent("\u{202e}\u{1f980}ẞ"),
        7 => "a".repeat(usize::try_from(1 + chance.below(9_000)).unwrap()),
        8 => "%0d%0aSet-Cookie:%20x".to_owned(),
        9 => String::new(),
        10 => "9223372036854775807".to_owned(),
        _ => percent("<script>\"'&"),
    }
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn query(chance: &mut Chance) -> String {
    let name = chance.pick(&[
        "field",
        "order",
        "limit",
        "offset",
        "property",
        "buildid",
        "buildid__gt",
        "complete",
        "results__eq",
        "builderid__contains",
        "state_string__ne",
        "before",
        "after",
        "from",
        "q",
        "tag",
        "builder",
        "build",
        "kind",
        "firstline",
        "number__le",
        "submitted_at__ge",
        "nonsense",
    ]);
    let value = match chance.below(6) {
        0 => odd(chance),
        1 => chance.pick(&["buildid", "-buildid", "number", "name", "*", "true", "off"]).to_owned(),
        2 => String::new(),
        _ => chance.below(50).to_string(),
    };
    format!("{name}={value}")
}

fn header(chance: &mut Chance) -> String {
    let name = chance.pick(&[
        "Accept",
        "Origin",
        "Sec-Fetch-Site",
        "Authorization",
        "Cookie",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "Forwarded",
        "Accept-Encoding",
        "Range",
        "If-None-Match",
        "Last-Event-ID",
        "Upgrade",
        "Expect",
        "User-Agent",
        "Access-Control-Request-Method",
        "Referer",
        "X-GitHub-Event",
        "X-Hub-Signature-256",
    ]);
    let value = match chance.below(5) {
        0 => odd(chance),
        1 => chance.pick(&["application/json", "text/html", "text/event-stream", "*/*;q=nan"]).to_owned(),
        2 => chance.pick(&["Basic dTpw", "Basic %%%", "Bearer x", "Basic", "Digest a=b"]).to_owned(),
        3 => chance.pick(&["cross-site", "same-origin", "null", "http://evil.example", "100-continue"]).to_owned(),
        _ => chance
            .pick(&["zstd", "gzip;q=0", "websocket", "bytes=5-1", "for=\"[::1\";host=x", "203.0.113.9"])
            .to_owned(),
    };
    // Line ends inside of a value would be another header.
    format!("{name}: {}\r\n", value.replace(['\r', '\n'], ""))
}

fn body(chance: &mut Chance) -> (&'static str, Vec<u8>) {
    match chance.below(8) {
        0 => ("application/json", odd(chance).into_bytes()),
        1 => ("application/json", "[".repeat(usize::try_from(1 + chance.below(20_000)).unwrap()).into_bytes()),
        2 | 3 => ("application/json", call(chance).into_bytes()),
        4 => ("application/x-www-form-urlencoded", form(chance).into_bytes()),
        5 => ("application/x-www-form-urlencoded", odd(chance).into_bytes()),
        6 => ("text/plain", b"x".to_vec()),
        _ => ("multipart/form-data; boundary=x", b"--x\r\n\r\n\r\n--x--".to_vec()),
    }
}

/// A JSON-RPC call, or nearly one.
fn call(chance: &mut Chance) -> String {
    let method = chance.pick(&["stop", "rebuild", "cancel", "set_priority", "enable", "force", "pause", "kill", "x"]);
    let id = value(chance, 0);
    let names = ["reason", "username", "priority", "enabled", "builderNames", "builderid", "branch", "version", "jobs"];
    let params: Vec<String> =
        (0..chance.below(5)).map(|_| format!("\"{}\": {}", chance.pick(&names), value(chance, 0))).collect();
    let version = chance.pick(&["\"2.0\"", "\"1.0\"", "2"]);
    format!("{{\"jsonrpc\": {version}, \"id\": {id}, \"method\": \"{method}\", \"params\": {{{}}}}}", params.join(", "))
}

fn value(chance: &mut Chance, depth: u64) -> String {
    match chance.below(if depth < 4 { 9 } else { 7 }) {
        0 => "null".to_owned(),
        1 => "true".to_owned(),
        2 => chance.below(100).to_string(),
        3 => "1e999".to_owned(),
        4 => "-9223372036854775809".to_owned(),
        5 => "\"\\u0000\\ud83e\\udd80\"".to_owned(),
        6 => format!("\"{}\"", chance.pick(&["ok", "lonely", "main", "refs/heads/x", "%(prop:x)s"])),
        7 => format!("[{}, {}]", value(chance, depth + 1), value(chance, depth + 1)),
        _ => format!("{{\"a\": {}}}", value(chance, depth + 1)),
    }
}

fn form(chance: &mut Chance) -> String {
    let names =
        ["branch", "revision", "files", "properties", "when", "author", "reason", "version", "jobs", "delivery"];
    let pairs: Vec<String> = (0..=chance.below(6))
        .map(|_| {
            let value = match chance.below(4) {
                0 => odd(chance),
                1 => percent(&value(chance, 0)),
                _ => chance.below(100).to_string(),
            };
            format!("{}={value}", chance.pick(&names))
        })
        .collect();
    pairs.join("&")
}

/// Bytes that are no request, or begin like one.
fn garbage(chance: &mut Chance) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..chance.below(400)).map(|_| u8::try_from(chance.below(256)).unwrap()).collect();
    if chance.below(2) == 0 {
        bytes = [b"GET / HTTP/1.1\r\n".as_slice(), &bytes].concat();
    }
    bytes
}
