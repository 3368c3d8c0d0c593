//! A real SMTP server (aiosmtpd) that keeps the mails it takes.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value as Json;

use super::python::python_with;

/// The certificate of the encrypted servers: self-signed, for 127.0.0.1.
pub const CERTIFICATE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/smtp/certificate.pem");
pub const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/smtp/key.pem");
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/smtp.py");

/// A running server; killed when dropped.
pub struct SmtpServer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    pub port: u16,
}

impl SmtpServer {
    /// A server that takes every mail, without encryption or login.
    pub fn plain() -> Self {
        Self::with(&[])
    }

    /// A server at a port of the test's choice, that nobody else has.
    pub fn at(port: u16) -> Self {
        Self::with(&["--port", &port.to_string()])
    }

    /// A server that wants STARTTLS (`starttls`) or speaks TLS from the first byte (`tls`).
    pub fn encrypted(tls: &str) -> Self {
        Self::with(&["--tls", tls, "--certificate", CERTIFICATE, "--key", KEY])
    }

    /// A server that wants a login.
    pub fn with_login(user: &str, password: &str) -> Self {
        Self::with(&["--user", user, "--password", password])
    }

    /// A server that takes ASCII addresses only.
    pub fn old() -> Self {
        Self::with(&["--old"])
    }

    /// A server that takes no more than every server must: lines of 998 bytes, 100 recipients.
    pub fn strict() -> Self {
        Self::with(&["--recipients", "100"])
    }

    /// A server with fixed answers, each `WHAT=ANSWER`; WHAT is `MAIL`, `DATA` or a recipient.
    pub fn answering(answers: &[&str]) -> Self {
        let options: Vec<&str> = answers.iter().flat_map(|answer| ["--answer", answer]).collect();
        Self::with(&options)
    }

    fn with(options: &[&str]) -> Self {
        let python = python_with(&["aiosmtpd==1.4.6"]);
        let mut child = Command::new(python)
            .arg(Path::new(SCRIPT))
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first: Json = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let port = first["port"].as_u64().unwrap().try_into().unwrap();
        Self { child, lines, port }
    }

    /// The next mail that it took; waits for it.
    pub fn mail(&mut self) -> Json {
        serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap()
    }

    /// Ends it; the mails that nobody asked for.
    pub fn stop(mut self) -> Vec<Json> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.by_ref().map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect()
    }
}

impl Drop for SmtpServer {
    fn drop(&mut self) {
        let _already_gone = self.child.kill();
        let _already_reaped = self.child.wait();
    }
}
