//! A master that does what a test says, and a worker process for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use starwright::testing::base::Span;
use starwright::testing::model::{CommandId, CommandSpec, OnLost, Outcome, Program, StopLevel, Text};
use starwright::testing::protocol::{
    Answer, Caps, CommandArgs, CommandReport, MasterMessage, MasterRequest, Message, MsgPack, ProgramArg, ResumeAnswer,
    ResumedState, RunArgs, Seq, Settings, ShellArgs, StdStream, Update, WorkerInfo, WorkerMessage, WorkerRequest,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use crate::support::starwright::PROGRAM;

/// Nothing on this machine takes this long; a hung test ends with it.
pub const PATIENCE: Duration = Duration::from_mins(1);

pub const NAME: &str = "w1";
pub const PASSWORD: &str = "pass:word";

/// Listens for workers.
pub struct Master {
    listener: TcpListener,
    pub address: String,
}

/// A connection of a worker.
pub struct Peer {
    socket: WebSocketStream<TcpStream>,
    since: Instant,
    number: u64,
    answers: BTreeMap<u64, Answer>,
    /// What was heard of each command.
    pub heard: BTreeMap<String, Heard>,
    /// Whether updates and ends are answered at once.
    pub answering: bool,
    /// Requests that were not answered.
    pub unanswered: Vec<Seq>,
}

/// What was heard of one command.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Parts by number.
    pub next: u64,
    /// By log and stream.
    pub text: BTreeMap<(String, char), Vec<u8>>,
    pub times: usize,
    pub report: Option<CommandReport>,
    /// How often its end was told.
    pub ends: u32,
    /// For a stock master.
    pub updates: Vec<Update>,
    #[expect(clippy::option_option, reason = "whether it completed, and with which failure")]
    pub completed: Option<Option<String>>,
}

/// The worker's process; killed when dropped.
pub struct Worker {
    child: Child,
    pub dir: PathBuf,
    pub log: PathBuf,
}

impl Master {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self { listener, address }
    }

    /// Waits for a connection with the right password; refuses others.
    pub async fn accept(&self) -> Peer {
        loop {
            if let Ok(peer) = self.try_accept().await {
                return peer;
            }
        }
    }

    /// Takes one connection: the worker's, or the name and password that were refused.
    pub async fn try_accept(&self) -> Result<Peer, String> {
        let (stream, _) = patience(self.listener.accept()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut login = String::new();
        #[expect(clippy::result_large_err, reason = "the library's signature")]
        let check = |request: &Request, response: Response| {
            let header = request.headers()["authorization"].to_str().unwrap().strip_prefix("Basic ").unwrap();
            login = String::from_utf8(STANDARD.decode(header).unwrap()).unwrap();
            if login == format!("{NAME}:{PASSWORD}") {
                return Ok(response);
            }
            let mut refusal = ErrorResponse::new(None);
            *refusal.status_mut() = tokio_tungstenite::tungstenite::http::StatusCode::UNAUTHORIZED;
            Err(refusal)
        };
        let accepted = tokio_tungstenite::accept_hdr_async(stream, check).await;
        accepted.map(Peer::new).map_err(|_| login)
    }
}

impl Peer {
    fn new(socket: WebSocketStream<TcpStream>) -> Self {
        Self {
            socket,
            since: Instant::now(),
            number: 0,
            answers: BTreeMap::new(),
            heard: BTreeMap::new(),
            answering: true,
            unanswered: Vec::new(),
        }
    }

    /// What a master with `resume` says first; `wanted` are the commands that it waits for.
    pub async fn hello(&mut self, wanted: &[(&str, u64)]) -> (WorkerInfo, BTreeMap<String, ResumedState>) {
        let info = self.info(Caps::OURS).await;
        assert!(info.caps.resume);
        self.settings(Caps::OURS).await;
        let commands = wanted.iter().map(|(id, next)| (CommandId((*id).to_owned()), *next)).collect();
        for (id, next) in wanted {
            self.heard.entry((*id).to_owned()).or_default().next = *next;
        }
        let answer = ResumeAnswer::read(&self.ask(MasterRequest::Resume { commands }).await.unwrap());
        (info, answer.commands.into_iter().map(|(id, state)| (id.0, state)).collect())
    }

    pub async fn info(&mut self, offer: Caps) -> WorkerInfo {
        WorkerInfo::read(&self.ask(MasterRequest::GetWorkerInfo { offer }).await.unwrap())
    }

    pub async fn settings(&mut self, caps: Caps) {
        let settings = Settings {
            newline_re: r"\r\n|\r(?=.)".to_owned(),
            max_line_length: 262_144,
            buffer_timeout: 0.3,
            buffer_size: 65_536,
            caps,
        };
        self.ask(MasterRequest::SetWorkerSettings(settings)).await.unwrap();
    }

    /// Starts a command.
    pub async fn start(&mut self, id: &str, args: CommandArgs) -> Answer {
        self.ask(start(id, &args)).await
    }

    /// Starts a line of shell in a directory.
    pub async fn shell(&mut self, id: &str, directory: &Path, line: &str) {
        self.start(id, CommandArgs::Run(Box::new(run(directory, line)))).await.unwrap();
    }

    /// The same in the words of a stock master.
    pub async fn stock_shell(&mut self, id: &str, directory: &Path, line: &str) {
        self.start(id, CommandArgs::Shell(Box::new(shell(directory, line)))).await.unwrap();
    }

    /// Runs a command of a stock master to its end.
    pub async fn run(&mut self, id: &str, args: ShellArgs) -> Heard {
        self.start(id, CommandArgs::Shell(Box::new(args))).await.unwrap();
        self.end(id).await
    }

    /// The same for a command of one of our masters.
    pub async fn run_spec(&mut self, id: &str, args: RunArgs) -> Heard {
        self.start(id, CommandArgs::Run(Box::new(args))).await.unwrap();
        self.end(id).await
    }

    pub async fn interrupt(&mut self, id: &str, level: StopLevel) {
        let (command, why) = (CommandId(id.to_owned()), "enough".to_owned());
        self.ask(MasterRequest::InterruptCommand { command, why, builder: None, level: Some(level) }).await.unwrap();
    }

    /// Sends a request and waits for its answer; what comes before that is heard as usual.
    pub async fn ask(&mut self, request: MasterRequest) -> Answer {
        let number = self.send(request).await;
        loop {
            if let Some(answer) = self.answers.remove(&number) {
                return answer;
            }
            assert!(self.hear().await, "the worker is gone");
        }
    }

    /// Sends a request.
    pub async fn send(&mut self, request: MasterRequest) -> u64 {
        let number = self.number;
        self.number += 1;
        let message = MasterMessage::Request { seq: Seq::from(number), request };
        self.socket.send(Frame::binary(message.encode())).await.unwrap();
        number
    }

    /// Waits until a command has ended.
    pub async fn end(&mut self, id: &str) -> Heard {
        loop {
            if let Some(heard) = self.heard.get(id).filter(|heard| heard.completed.is_some()) {
                return heard.clone();
            }
            assert!(self.hear().await, "the worker is gone");
        }
    }

    /// Waits until a command (and not the worker about it) has said this.
    pub async fn said(&mut self, id: &str, text: &str) {
        while !self.heard.get(id).is_some_and(|heard| heard.all().contains(text)) {
            assert!(self.hear().await, "the worker is gone; heard {:?}", self.heard.get(id));
        }
    }

    /// Waits until the worker has said this about a command.
    pub async fn headed(&mut self, id: &str, text: &str) {
        while !self.heard.get(id).is_some_and(|heard| heard.header().contains(text)) {
            assert!(self.hear().await, "the worker is gone; heard {:?}", self.heard.get(id));
        }
    }

    /// Hears one message. False when the connection is over.
    pub async fn hear(&mut self) -> bool {
        let left = PATIENCE.checked_sub(self.since.elapsed()).expect("it takes too long");
        let frame = match tokio::time::timeout(left, self.socket.next()).await.expect("it takes too long") {
            Some(Ok(Frame::Binary(bytes))) => bytes,
            Some(Ok(Frame::Close(_)) | Err(_)) | None => return false,
            Some(Ok(_)) => return true,
        };
        match WorkerMessage::decode(&frame).unwrap() {
            Message::Response { seq, answer } => {
                self.answers.insert(seq.number().unwrap(), answer);
            }
            Message::Request { seq, request } => {
                self.take(request);
                self.unanswered.push(seq);
                if self.answering {
                    self.answer_all().await;
                }
            }
            Message::Ignored { why } => panic!("{why}"),
        }
        true
    }

    /// Answers what was heard so far.
    pub async fn answer_all(&mut self) {
        for seq in std::mem::take(&mut self.unanswered) {
            let message = MasterMessage::Response { seq, answer: Ok(MsgPack::Nil) };
            // A worker that was killed meanwhile shows at the next reading.
            let _ = self.socket.send(Frame::binary(message.encode())).await;
        }
    }

    fn take(&mut self, request: WorkerRequest) {
        let heard = self.heard.entry(request.command().unwrap().0.clone()).or_default();
        assert!(heard.completed.is_none(), "a message after the end: {request:?}");
        match request {
            WorkerRequest::Update { n: Some(n), updates, .. } => {
                assert_eq!(n, heard.next, "parts come in order, without gaps");
                heard.next += 1;
                let [Update::Chunk(chunk)] = updates.as_slice() else { panic!("{updates:?}") };
                let lines = chunk.data.split_inclusive(|byte| *byte == b'\n').count();
                assert_eq!(chunk.times.len(), lines, "one time per line");
                heard.times += lines;
                heard.text.entry((chunk.log.clone(), chunk.stream.letter())).or_default().extend(&chunk.data);
            }
            WorkerRequest::Update { n: None, updates, .. } => heard.updates.extend(updates),
            WorkerRequest::Complete { n, failure, report, .. } => {
                heard.ends += 1;
                if let Some(n) = n {
                    assert_eq!(n, heard.next, "the end counts the parts");
                }
                heard.report = report.map(|report| *report);
                heard.completed = Some(failure);
            }
            other => panic!("{other:?}"),
        }
    }

    /// Cuts the connection.
    pub fn cut(self) {
        drop(self);
    }
}

impl Heard {
    /// What the command itself wrote, to all streams and logs, in one text.
    pub fn all(&self) -> String {
        let own = self.text.iter().filter(|((_, stream), _)| *stream != 'h').map(|(_, text)| text);
        own.map(|text| String::from_utf8_lossy(text)).collect::<Vec<_>>().concat()
    }

    pub fn stdout(&self) -> String {
        self.stream("stdio", 'o')
    }

    pub fn stderr(&self) -> String {
        self.stream("stdio", 'e')
    }

    pub fn header(&self) -> String {
        self.stream("stdio", 'h')
    }

    pub fn stream(&self, log: &str, stream: char) -> String {
        String::from_utf8(self.bytes(log, stream)).unwrap()
    }

    pub fn bytes(&self, log: &str, stream: char) -> Vec<u8> {
        self.text.get(&(log.to_owned(), stream)).cloned().unwrap_or_default()
    }

    pub fn report(&self) -> &CommandReport {
        self.report.as_ref().unwrap()
    }

    /// The text of a stream of a stock master.
    pub fn stock(&self, wanted: StdStream) -> String {
        let text = |update: &Update| match update {
            Update::Stream { stream, lines } if *stream == wanted => lines.text.clone(),
            _ => String::new(),
        };
        self.updates.iter().map(text).collect()
    }
}

impl Worker {
    /// Starts one in a directory.
    pub fn start(dir: &Path, master: &str) -> Self {
        Self::start_as(dir, master, PASSWORD)
    }

    pub fn start_as(dir: &Path, master: &str, password: &str) -> Self {
        std::fs::create_dir_all(dir).unwrap();
        let place = dir.parent().unwrap();
        let secret = place.join("password");
        std::fs::write(&secret, password).unwrap();
        let log = place.join("worker.log");
        let file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let child = Command::new(PROGRAM)
            .args(["worker", "--master", master, "--name", NAME, "--password-file"])
            .arg(&secret)
            .arg("--dir")
            .arg(dir)
            .env("FROM_WORKER", "yes")
            .env_remove("PYTHONPATH")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, dir: dir.canonicalize().unwrap(), log }
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it ends by itself.
    pub fn wait(mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it logged.
    pub fn logged(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// The files of commands in its spool.
    pub fn spooled(&self) -> usize {
        let names = std::fs::read_dir(self.dir.join("spool")).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("c-")).count()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// The frame of the order in a command's file.
pub fn order(path: &Path) -> Vec<u8> {
    let bytes = std::fs::read(path).unwrap_or_default();
    bytes[..order_bytes(&bytes)].to_vec()
}

/// Who claimed the start of a command, and how many bytes of its ending are there.
pub fn claim(path: &Path) -> (String, usize) {
    let bytes = std::fs::read(path).unwrap_or_default();
    let rest = &bytes[order_bytes(&bytes)..];
    let line = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    (String::from_utf8_lossy(&rest[..line]).into_owned(), rest.len().saturating_sub(line + 1))
}

/// Whether a command's ending is in the spool.
pub fn has_ended(path: &Path) -> bool {
    claim(path).1 > 0
}

/// A frame has a head of eight bytes, the first four of which are the length of the rest.
fn order_bytes(bytes: &[u8]) -> usize {
    let length = bytes.first_chunk::<4>().map_or(0, |length| 8 + u32::from_le_bytes(*length) as usize);
    length.min(bytes.len())
}

/// Kills what a failed test leaves running.
struct Sweeper(PathBuf);

impl Drop for Sweeper {
    fn drop(&mut self) {
        let paths = std::fs::read_dir(&self.0).into_iter().flatten().flatten().map(|entry| entry.path());
        let is_order = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("c-") && !name.contains('.')
        };
        for path in paths.filter(|path| is_order(path) && !has_ended(path)) {
            let _gone = Command::new("kill").args(["-9", &claim(&path).0]).stderr(Stdio::null()).status();
            let _all_gone = starwright::testing::base::process::tree::kill_marked(
                &format!("STARWRIGHT_COMMAND={}", path.display()),
                1000,
            );
        }
    }
}

/// A scratch directory, a master, a worker, and their first connection.
pub struct Scene {
    pub master: Master,
    pub worker: Worker,
    pub peer: Peer,
    /// A directory for commands.
    pub build: PathBuf,
    pub place: Place,
}

/// The scratch directory of a scene.
pub struct Place {
    _sweeper: Sweeper,
    _directory: tempfile::TempDir,
}

impl Scene {
    pub async fn new() -> Self {
        let mut scene = Self::silent().await;
        scene.peer.hello(&[]).await;
        scene
    }

    /// The master has said nothing yet.
    pub async fn silent() -> Self {
        let place = tempfile::tempdir().unwrap();
        let master = Master::start().await;
        let worker = Worker::start(&place.path().join("w"), &master.address);
        let peer = master.accept().await;
        let build = worker.dir.join("b/build");
        let place = Place { _sweeper: Sweeper(worker.dir.join("spool")), _directory: place };
        Self { master, worker, peer, build, place }
    }

    /// Kills the worker and starts another in its directory; returns the new connection.
    pub async fn replace_worker(&mut self) {
        let dir = self.worker.dir.clone();
        let new = Worker { child: placeholder(), dir: dir.clone(), log: self.worker.log.clone() };
        std::mem::replace(&mut self.worker, new).kill();
        self.worker = Worker::start(&dir, &self.master.address);
        let heard = std::mem::take(&mut self.peer.heard);
        self.peer = self.master.accept().await;
        self.peer.heard = heard;
    }
}

/// Stands in for a worker for a moment.
fn placeholder() -> Child {
    Command::new("true").spawn().unwrap()
}

pub fn shell(directory: &Path, line: &str) -> ShellArgs {
    let args = ShellArgs::new(ProgramArg::Line(line.to_owned()), directory.display().to_string());
    ShellArgs { log_environ: false, sigterm_time: Some(10.0), ..args }
}

/// The same as one of our masters sends it.
pub fn run(directory: &Path, line: &str) -> RunArgs {
    RunArgs::new(CommandSpec {
        program: Program::Shell(Text::plain(line)),
        workdir: directory.display().to_string(),
        env: BTreeMap::new(),
        idle_timeout: None,
        total_timeout: None,
        lines_max: None,
        log: "stdio".to_owned(),
        log_files: BTreeMap::new(),
        stdin: None,
        exit_codes: BTreeMap::from([(0, Outcome::Success)]),
        want_output: false,
        log_stdout: true,
        log_stderr: true,
        pty: false,
        grace: Span::from_seconds(10),
        on_lost: OnLost::RetryBuild,
        output: Box::default(),
    })
}

/// A text that is a secret of this name.
pub fn secret(name: &str) -> Text {
    Text(vec![starwright::testing::model::Piece::Secret(name.to_owned())])
}

pub fn start(id: &str, args: &CommandArgs) -> MasterRequest {
    let (command, name) = (CommandId(id.to_owned()), args.name().to_owned());
    MasterRequest::StartCommand { command, name, builder: None, args: args.write() }
}

/// Fails the test when it takes too long.
pub async fn patience<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

/// Waits until something is so; for facts that come from other processes without a word.
pub async fn until(mut so: impl FnMut() -> bool) {
    patience(async {
        while !so() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Whether a process lives (zombies do not).
pub fn lives(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()))
        .is_ok_and(|stat| !stat[stat.rfind(')').unwrap()..].starts_with(") Z"))
}
