//! A link, and a real worker of either kind at its other end.

use std::path::PathBuf;
use std::sync::Arc;

use starwright::testing::engine::{CommandOrder, Work};
use starwright::testing::master::link::{Limits, LinkOrder};
use starwright::testing::model::{CommandResult, FileCommand, Text, UploadSpec, WriteSpec};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::link::{FakeHost, Served, dispatch, order, serve};
use crate::support::stock_worker::{Stage, TcpStreamHandle, accept};
use crate::worker::scripted::Worker;

/// One of our workers, and the link that it has.
pub struct OurStage {
    pub host: Arc<FakeHost>,
    listener: TcpListener,
    pub dir: TempDir,
    pub worker: Option<Worker>,
    pub served: Served,
    pub wire: TcpStreamHandle,
    epoch: u64,
}

impl OurStage {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let host = FakeHost::new();
        let worker = start(&dir, &listener);
        let (served, wire) = connect(&listener, &host, 1, Vec::new()).await;
        Self { host, listener, dir, worker: Some(worker), served, wire, epoch: 1 }
    }

    /// Waits for the worker to come back; the master still wants these.
    pub async fn again(&mut self, wanted: Vec<CommandOrder>) {
        self.epoch += 1;
        let (served, wire) = connect(&self.listener, &self.host, self.epoch, wanted).await;
        self.served = served;
        self.wire = wire;
    }

    /// `kill -9`, and another process in its place.
    pub fn kill_and_start_worker(&mut self) {
        self.worker.take().unwrap().kill();
        self.worker = Some(start(&self.dir, &self.listener));
    }
}

fn start(dir: &TempDir, listener: &TcpListener) -> Worker {
    Worker::start(&dir.path().join("w"), &listener.local_addr().unwrap().to_string())
}

async fn connect(
    listener: &TcpListener,
    host: &Arc<FakeHost>,
    epoch: u64,
    wanted: Vec<CommandOrder>,
) -> (Served, TcpStreamHandle) {
    let (socket, wire) = accept(listener).await;
    let served = serve(host, epoch, socket, Limits::default()).await.unwrap();
    let count = usize::try_from(epoch).unwrap();
    host.until(|seen| (seen.kinds().iter().filter(|kind| **kind == "connected").count() >= count).then_some(())).await;
    served.handle.send(LinkOrder::Resume { commands: wanted });
    (served, wire)
}

/// What the tests of both kinds need.
pub trait Hand {
    fn host(&self) -> &Arc<FakeHost>;
    fn send(&self, order: CommandOrder);
    /// The directory of the builder on the worker.
    fn builder(&self) -> PathBuf;
}

impl Hand for OurStage {
    fn host(&self) -> &Arc<FakeHost> {
        &self.host
    }

    fn send(&self, order: CommandOrder) {
        self.served.handle.send(dispatch(order));
    }

    fn builder(&self) -> PathBuf {
        self.dir.path().join("w/linux")
    }
}

impl Hand for Stage {
    fn host(&self) -> &Arc<FakeHost> {
        &self.host
    }

    fn send(&self, order: CommandOrder) {
        self.served.handle.send(dispatch(order));
    }

    fn builder(&self) -> PathBuf {
        self.worker.base().join("linux")
    }
}

/// Does a file command.
pub async fn file(hand: &impl Hand, id: &str, command: FileCommand) -> CommandResult {
    hand.send(order(id, Work::File(command)));
    hand.host().ended(id).await
}

pub fn write(path: &str, content: Text, mode: Option<u32>) -> FileCommand {
    FileCommand::Write(WriteSpec { path: path.to_owned(), content, mode })
}

pub fn upload(path: &str, name: &str) -> UploadSpec {
    UploadSpec {
        path: path.to_owned(),
        name: name.to_owned(),
        is_directory: false,
        bytes_max: None,
        mode: Some(0o640),
        modified: Some(1_700_000_000),
    }
}
