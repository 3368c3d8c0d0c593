//! A real `buildbot-worker` 4.3.0 from PyPI, and the WebSocket that it connects to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _};
use starwright::testing::master::link::Limits;
use starwright::testing::master::{Frame, Socket};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;

use super::link::{FakeHost, Served, serve};
use super::python::python_with;

/// The versions whose traffic was recorded (tests/fixtures/worker-protocol).
pub const PACKAGES: [&str; 4] = ["buildbot-worker==4.3.0", "Twisted==26.10.0", "autobahn==26.10.2", "msgpack==1.2.4"];

/// A running worker; killed when dropped.
pub struct StockWorker {
    process: Option<Child>,
    program: PathBuf,
    /// Its base directory and home.
    pub directory: TempDir,
}

impl StockWorker {
    /// Makes a worker of this name and starts it; it connects to the port, again and again.
    pub fn start(port: u16, name: &str, password: &str) -> Self {
        let mut worker = Self::make(port, name, password, &[]);
        worker.run();
        worker
    }

    /// Makes a worker with further options.
    pub fn make(port: u16, name: &str, password: &str, options: &[&str]) -> Self {
        let python = python_with(&PACKAGES);
        let program = python.with_file_name("buildbot-worker");
        let directory = TempDir::new().unwrap();
        let base = directory.path().join("w");
        let made = sealed(&program, directory.path())
            // Tries again soon, as it does for a master that is away for the first time.
            .args(["create-worker", "--protocol=msgpack_experimental_v7", "--maxdelay=2"])
            .args(options)
            .arg(&base)
            .args([&format!("127.0.0.1:{port}"), name, password])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        Self { process: None, program, directory }
    }

    /// `start` or `stop`, as a person types it: in the background. What it ended with, and said.
    pub fn by_hand(&self, command: &str) -> std::process::Output {
        sealed(&self.program, self.directory.path()).arg(command).arg(self.base()).output().unwrap()
    }

    /// Whether its process has ended; none if it was never started here.
    pub fn has_ended(&mut self) -> Option<bool> {
        self.process.as_mut().map(|process| process.try_wait().unwrap().is_some())
    }

    /// Starts its process, unless it runs.
    pub fn run(&mut self) {
        if self.process.is_none() {
            let said =
                fs::OpenOptions::new().create(true).append(true).open(self.directory.path().join("said")).unwrap();
            let mut command = sealed(&self.program, self.directory.path());
            command.args(["start", "--nodaemon"]).arg(self.base()).stdout(said.try_clone().unwrap()).stderr(said);
            self.process = Some(command.spawn().unwrap());
        }
    }

    /// `kill -9`, and waits until it is gone. Its commands go on, and nobody hears of them any more.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It has ended or ends now.
            let _: std::io::Result<()> = process.kill();
            let _: std::io::Result<std::process::ExitStatus> = process.wait();
        }
        let _left_behind = fs::remove_file(self.base().join("twistd.pid"));
    }

    /// Where its files are.
    pub fn base(&self) -> PathBuf {
        self.directory.path().join("w")
    }

    /// The worker's own log, for a test that fails.
    pub fn said(&self) -> String {
        fs::read_to_string(self.directory.path().join("said")).unwrap_or_default()
    }
}

impl Drop for StockWorker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.said();
            let last = said.lines().count().saturating_sub(LAST_LINES);
            let last: Vec<&str> = said.lines().skip(last).collect();
            show(&last.join("\n"));
        }
        self.kill();
    }
}

/// So much of the worker's log explains most failures.
const LAST_LINES: usize = 40;

#[expect(clippy::disallowed_macros, reason = "shown with the output of the test that failed")]
fn show(last: &str) {
    eprintln!("the worker's last words:\n{last}");
}

/// Nothing of the machine's own set-up but the programs.
fn sealed(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", program.parent().unwrap().display());
    command.env_clear().env("PATH", path).env("HOME", home).env("LANG", "C.UTF-8").stdin(Stdio::null());
    command
}

/// Takes one WebSocket connection. Who calls is not asked here.
pub async fn accept(listener: &TcpListener) -> (Socket, TcpStreamHandle) {
    let (stream, peer) = listener.accept().await.unwrap();
    stream.set_nodelay(true).unwrap();
    // A second handle, to cut the connection as a broken cable would.
    let standard = stream.into_std().unwrap();
    let second = TcpStreamHandle(standard.try_clone().unwrap());
    let stream = TcpStream::from_std(standard).unwrap();
    let websocket = tokio_tungstenite::accept_async(stream).await.unwrap();
    let (sink, stream) = websocket.split();
    let outgoing = sink
        .with(|frame: Frame| async move {
            Ok::<_, tokio_tungstenite::tungstenite::Error>(match frame {
                Frame::Binary(bytes) => Message::Binary(bytes),
                Frame::Text(text) => Message::Text(text.into()),
                Frame::Ping(bytes) => Message::Ping(bytes),
                Frame::Pong(bytes) => Message::Pong(bytes),
                Frame::Close => Message::Close(None),
            })
        })
        .sink_map_err(|error| error.to_string());
    let incoming = stream.map_err(|error| error.to_string()).map_ok(|message| match message {
        Message::Binary(bytes) => Frame::Binary(bytes),
        Message::Text(text) => Frame::Text(text.to_string()),
        Message::Ping(bytes) => Frame::Ping(bytes),
        Message::Pong(bytes) => Frame::Pong(bytes),
        Message::Close(_) | Message::Frame(_) => Frame::Close,
    });
    (Socket { incoming: incoming.boxed(), outgoing: Box::pin(outgoing), peer: Some(peer) }, second)
}

/// The wire below a connection.
pub struct TcpStreamHandle(std::net::TcpStream);

impl TcpStreamHandle {
    /// Cuts it without a word.
    pub fn cut(&self) {
        self.0.shutdown(std::net::Shutdown::Both).unwrap();
    }
}

/// A master with one link, and a real worker at its other end.
pub struct Stage {
    pub host: Arc<FakeHost>,
    pub listener: TcpListener,
    pub worker: StockWorker,
    pub served: Served,
    pub wire: TcpStreamHandle,
    epoch: u64,
}

impl Stage {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let worker = tokio::task::spawn_blocking(move || StockWorker::start(port, "w1", "pass")).await.unwrap();
        let host = FakeHost::new();
        let (served, wire) = connect(&listener, &host, 1).await;
        Self { host, listener, worker, served, wire, epoch: 1 }
    }

    /// Waits for the worker to come back.
    pub async fn again(&mut self) {
        self.epoch += 1;
        let (served, wire) = connect(&self.listener, &self.host, self.epoch).await;
        self.served = served;
        self.wire = wire;
    }

    /// Lines that a command wrote to its log so far, without headers.
    pub fn output(&self, id: &str) -> String {
        self.host.seen().text(id, super::link::STDIO, "oe")
    }

    /// Waits until a command wrote this.
    pub async fn wrote(&self, id: &str, text: &str) {
        let wrote = |seen: &super::link::Seen| seen.text(id, super::link::STDIO, "oe").contains(text).then_some(());
        self.host.until(wrote).await;
    }
}

async fn connect(listener: &TcpListener, host: &Arc<FakeHost>, epoch: u64) -> (Served, TcpStreamHandle) {
    let (socket, wire) = accept(listener).await;
    let served = serve(host, epoch, socket, Limits::default()).await.unwrap();
    let count = usize::try_from(epoch).unwrap();
    host.until(|seen| (seen.kinds().iter().filter(|kind| **kind == "connected").count() >= count).then_some(())).await;
    (served, wire)
}
