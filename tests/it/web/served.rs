//! A served site, and a client that shows an answer's every byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use serde_json::Value as Json;
use starwright::testing::auth::Accounts;
use starwright::testing::base::SystemClock;
use starwright::testing::web;
use tokio_util::sync::CancellationToken;

use super::world::FakeMaster;
use crate::support::http::PATIENCE;

/// A site that is served until it is dropped.
pub struct Served {
    pub address: SocketAddr,
    pub master: FakeMaster,
    pub data: tempfile::TempDir,
    stop: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Served {
    /// Serves a master.
    pub fn new(master: FakeMaster) -> Self {
        Self::within(web::WebLimits::default(), master)
    }

    /// Serves a master within limits.
    pub fn within(limits: web::WebLimits, master: FakeMaster) -> Self {
        let data = tempfile::tempdir().unwrap();
        Self::with_accounts(limits, master, data)
    }

    /// The same, with users in a state directory.
    pub fn with_accounts(limits: web::WebLimits, master: FakeMaster, data: tempfile::TempDir) -> Self {
        let base = data.path().to_owned();
        let accounts = Accounts::open(data.path(), base, "http://localhost", Arc::new(SystemClock)).unwrap();
        let stop = CancellationToken::new();
        let (tell, told) = std::sync::mpsc::channel();
        let (serving, token) = (master.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let (clock, accounts) = (Arc::new(SystemClock), Arc::new(accounts));
                web::serve_within(limits, clock, serving, accounts, listener, token).await;
            });
        });
        Self { address: told.recv().unwrap(), master, data, stop, thread: Some(thread) }
    }

    /// Ends it in order.
    pub fn stop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// A connection with patience.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Any request.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut stream = self.connect();
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Answer::parse(&bytes)
    }

    /// A page.
    pub fn page(&self, path: &str) -> Answer {
        self.ask("GET", path, &[("Accept", "text/html")], "")
    }

    /// A path of the API, as a program reads it.
    pub fn api(&self, path: &str) -> Answer {
        self.ask("GET", &format!("/api/v2/{path}"), &[("Accept", "application/json")], "")
    }

    /// The JSON of a path of the API that must be there.
    pub fn json(&self, path: &str) -> Json {
        let answer = self.api(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// The items of a path of the API.
    pub fn items(&self, path: &str) -> Vec<Json> {
        let json = self.json(path);
        let (_, items) = json.as_object().unwrap().iter().find(|(key, _)| *key != "meta").unwrap();
        items.as_array().unwrap().clone()
    }

    /// A control call.
    pub fn call(&self, path: &str, method: &str, params: &Json) -> Answer {
        let call = serde_json::json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        self.post(path, &call.to_string())
    }

    /// A JSON text, posted to a path of the API.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.ask("POST", &format!("/api/v2/{path}"), &[("Content-Type", "application/json")], body)
    }

    /// A form.
    pub fn form(&self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, &[("Content-Type", "application/x-www-form-urlencoded")], body)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let mut answer = Self { status, headers, body: bytes[end + 4..].to_vec() };
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.body = unchunk(&answer.body);
        }
        answer
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
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
