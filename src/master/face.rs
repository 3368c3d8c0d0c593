//! Signatures that the other rooms use; bodies follow.
#![allow(clippy::missing_errors_doc, unused_variables, clippy::todo, clippy::unused_async)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::{ForceAsk, HookError, Reply};
use crate::model::*;
use crate::store::Store;

/// The master has ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the master is shutting down")]
pub struct Gone;

/// How to run a master.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// The state folder.
    pub data: PathBuf,
    /// The address in links, if the configuration names none (ends with `/`).
    pub url: String,
    /// Watch the configuration's files.
    pub watch: bool,
    /// Whether local workers (those without password) are expected.
    pub local_workers: bool,
}

/// Why a master did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("placeholder")]
    Placeholder,
}

impl StartError {
    /// The report for people, when the configuration was refused.
    pub fn report(&self) -> Option<&str> {
        todo!()
    }
}

/// Talks to a running master; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {}

/// What a reload came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reload {
    /// Nothing differs.
    Unchanged,
    /// In force now.
    Adopted { digest: ConfigDigest, changes: Vec<PlanChange> },
    /// Refused; the report for people. The old one stays.
    Refused { report: String },
}

/// Why a worker may not connect (worker protocol, section 2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Unknown name or wrong password: 401.
    Unauthorized,
    /// Malformed: 400.
    Malformed(String),
}

/// A frame of a worker's WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    Binary(bytes::Bytes),
    Text(String),
    Ping(bytes::Bytes),
    Pong(bytes::Bytes),
    Close,
}

/// An upgraded connection, whatever carries it.
pub struct Socket {
    pub incoming: futures_util::stream::BoxStream<'static, Result<Frame, String>>,
    pub outgoing: std::pin::Pin<Box<dyn futures_util::Sink<Frame, Error = String> + Send>>,
    pub peer: Option<SocketAddr>,
}

/// A worker that proved who it is and waits for its upgraded connection.
#[derive(Debug)]
pub struct Seat {
    pub worker: String,
}

impl Handle {
    pub fn store(&self) -> &Store {
        todo!()
    }
    /// The configuration in force.
    pub fn plan(&self) -> Arc<Plan> {
        todo!()
    }
    /// Facts as they become durable. A slow reader loses the oldest and is told so (lagged).
    pub fn subscribe(&self) -> tokio::sync::broadcast::Receiver<Arc<Fact>> {
        todo!()
    }
    /// The address of the pages, ends with `/`.
    pub fn url(&self) -> String {
        todo!()
    }

    pub async fn force(&self, ask: ForceAsk) -> Result<Reply, Gone> {
        todo!()
    }
    pub async fn rebuild(&self, build: BuildId, owner: String) -> Result<Reply, Gone> {
        todo!()
    }
    pub async fn stop(&self, build: BuildId, why: String, by: String) -> Result<Reply, Gone> {
        todo!()
    }
    pub async fn cancel(&self, request: RequestId, why: String, by: String) -> Result<Reply, Gone> {
        todo!()
    }
    pub async fn set_priority(&self, request: RequestId, priority: i64) -> Result<Reply, Gone> {
        todo!()
    }
    pub async fn enable_scheduler(&self, name: String, enabled: bool) -> Result<Reply, Gone> {
        todo!()
    }
    pub async fn pause_worker(&self, name: String, paused: bool, reason: Option<String>) -> Result<Reply, Gone> {
        todo!()
    }
    pub async fn stop_worker(&self, name: String) -> Result<Reply, Gone> {
        todo!()
    }
    pub async fn kill_worker(&self, name: String, why: String) -> Result<Reply, Gone> {
        todo!()
    }
    /// Changes from `sendchange` and hooks; durable when it returns.
    pub async fn add_changes(&self, changes: Vec<NewChange>) -> Result<Reply, Gone> {
        todo!()
    }
    /// Poll now; none for all sources.
    pub async fn poll(&self, source: Option<String>) -> Result<Reply, Gone> {
        todo!()
    }
    pub async fn reload(&self, cause: String) -> Result<Reload, Gone> {
        todo!()
    }

    /// Whether the password of a change hook is right; a hook without one takes everybody.
    pub fn may_hook(&self, dialect: &str, credentials: Option<(&str, &str)>) -> bool {
        todo!()
    }
    /// Takes the request of a change hook; the number of changes, which are durable when it returns.
    /// A dialect that is not configured is refused like any other bad request.
    pub async fn hook(
        &self,
        dialect: &str,
        params: std::collections::BTreeMap<String, Vec<String>>,
    ) -> Result<usize, HookError> {
        todo!()
    }
    /// Checks a worker's `Authorization` header. Cheap when refused; remembers what was refused for the pages.
    pub fn admit_worker(&self, authorization: Option<&str>, peer: Option<SocketAddr>) -> Result<Seat, Refusal> {
        todo!()
    }
    /// Serves the worker until its connection ends.
    pub async fn serve_worker(&self, seat: Seat, socket: Socket) {
        todo!()
    }
    /// Returns only if the owner ended by itself (the disk is full, a fault): why.
    pub async fn failed(&self) -> String {
        todo!()
    }
    /// The password of a local worker, drawn anew at each start.
    pub fn local_password(&self, worker: &str) -> Option<String> {
        todo!()
    }
}

/// A running master: owns the tasks. `handle` talks to it; `stop` ends it in order within a bound.
#[derive(Debug)]
pub struct Master {
    pub handle: Handle,
}

impl Master {
    /// Opens the store, recovers, loads the configuration (a refused one is an error only if no earlier one is in force).
    pub async fn start(options: Options) -> Result<Self, StartError> {
        todo!()
    }
    /// Drains: open work stays recorded, workers keep their commands. Everything is durable when it returns.
    pub async fn stop(self) {
        todo!()
    }
}
