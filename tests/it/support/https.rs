//! A real HTTPS server (Python's) that asks clients for their certificates.

use std::io::{BufRead as _, BufReader, Lines};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value as Json;

use super::smtp::{CERTIFICATE, KEY};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/https.py");

/// A running server; killed when dropped.
pub struct HttpsServer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub port: u64,
}

impl HttpsServer {
    pub fn new() -> Self {
        let mut command = Command::new("python3");
        command.args([SCRIPT, CERTIFICATE, KEY]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first: Json = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        Self { child, lines, port: first["port"].as_u64().unwrap() }
    }

    /// The name in the certificate of the next client that it answered; waits for it.
    pub fn client(&mut self) -> Json {
        let line: Json = serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap();
        line["client"].clone()
    }
}

impl Drop for HttpsServer {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_reaped = self.child.wait();
    }
}
