//! A real browser, driven over its DevTools protocol: headless Chromium with a profile of its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::http::PATIENCE;

/// What it prints once it listens; the address follows.
const LISTENS: &str = "DevTools listening on ";

/// A running browser with one tab; killed when dropped.
pub struct Browser {
    process: Child,
    runtime: Runtime,
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    session: String,
    last_id: u64,
    /// Errors that the page reported since it was opened: exceptions, refused scripts and styles, missing files.
    complaints: Vec<String>,
    _profile: TempDir,
}

impl Browser {
    /// Starts one. It reaches nothing but what the tests open.
    pub fn start() -> Self {
        let profile = TempDir::new().unwrap();
        let mut process = Command::new("chromium")
            .args(["--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"])
            .args(["--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0"])
            // The browser's own sandbox needs rights that a container's root does not have; it opens our pages only.
            .args(["--no-sandbox", "--disable-dev-shm-usage"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("chromium is one of the tools that `make tools` installs");
        let address = BufReader::new(process.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix(LISTENS).map(str::to_owned))
            .expect("chromium says where it listens");

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let (socket, _) = runtime.block_on(tokio_tungstenite::connect_async(address)).unwrap();
        let mut browser = Self {
            process,
            runtime,
            socket,
            session: String::new(),
            last_id: 0,
            complaints: Vec::new(),
            _profile: profile,
        };
        let tab = browser.call("Target.createTarget", &json!({"url": "about:blank"}));
        let attached = browser.call("Target.attachToTarget", &json!({"targetId": tab["targetId"], "flatten": true}));
        attached["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        for domain in ["Page", "Log", "Runtime"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    /// Gives the window a size in CSS pixels.
    pub fn resize(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Opens a page and waits until it has loaded. Returns the page's complaints.
    pub fn open(&mut self, url: &str) -> Vec<String> {
        self.complaints.clear();
        let answer = self.call("Page.navigate", &json!({"url": url}));
        assert!(answer.get("errorText").is_none(), "{url}: {answer}");
        self.until(|message| message["method"] == "Page.loadEventFired");
        // A later answer: what the page complained about while it loaded has come before it.
        self.evaluate("0");
        std::mem::take(&mut self.complaints)
    }

    /// Evaluates an expression in the page; of a promise, what it comes to.
    pub fn evaluate(&mut self, expression: &str) -> Json {
        let answer = self
            .call("Runtime.evaluate", &json!({"expression": expression, "returnByValue": true, "awaitPromise": true}));
        assert!(answer.get("exceptionDetails").is_none(), "{expression}: {answer}");
        answer["result"]["value"].clone()
    }

    fn call(&mut self, method: &str, params: &Json) -> Json {
        self.last_id += 1;
        let id = self.last_id;
        let mut message = json!({"id": id, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let text = Message::text(message.to_string());
        self.runtime.block_on(self.socket.send(text)).unwrap();
        let answer = self.until(|message| message["id"] == id);
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].clone()
    }

    /// Reads messages until one fits; keeps the complaints among the others.
    fn until(&mut self, fits: impl Fn(&Json) -> bool) -> Json {
        loop {
            let next = async { tokio::time::timeout(PATIENCE, self.socket.next()).await };
            let message = self.runtime.block_on(next).expect("the browser answers").unwrap().unwrap();
            let Message::Text(text) = message else { continue };
            let message: Json = serde_json::from_str(&text).unwrap();
            if fits(&message) {
                return message;
            }
            let entry = &message["params"]["entry"];
            match message["method"].as_str() {
                Some("Runtime.exceptionThrown") => self.complaints.push(message["params"].to_string()),
                Some("Log.entryAdded") if entry["level"] == "error" => self.complaints.push(entry.to_string()),
                _ => {}
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended by itself
        let _ = self.process.wait();
    }
}
