//! A link's surroundings: a master that remembers, and a worker that does as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use futures_util::{Sink, SinkExt as _, StreamExt as _};
use starwright::testing::base::{Clock as _, Span, SystemClock, Timestamp};
use starwright::testing::engine::{CommandEnded, CommandOrder, Input, ResumedCommand, Work};
use starwright::testing::master::link::{
    self, ArtifactRoom, Durable, Limits, LinkHandle, LinkHost, LinkOrder, LogPlace,
};
use starwright::testing::master::{Frame, ShuttingDown, Socket};
use starwright::testing::model::{
    Artifact, BuildId, CommandId, CommandResult, CommandSpec, ConfigDigest, DownloadSpec, LogId, OnLost, Outcome,
    Program, SecretsPlan, StepId, Text,
};
use starwright::testing::protocol::{
    Answer, Caps, MasterMessage, MasterRequest, Message, MsgPack, Seq, WorkerInfo, WorkerMessage, WorkerRequest,
};
use starwright::testing::secrets::Secrets;
use starwright::testing::store::{ArtifactStore, LogPart, LogStore, Store};
use tokio::sync::watch;

/// Far longer than anything takes; only a test that fails waits for it.
pub const PATIENCE: Duration = Duration::from_mins(1);

pub const STDIO: LogId = LogId(1);
pub const SIDE: LogId = LogId(2);
/// A log whose file is damaged.
pub const UNREADABLE: LogId = LogId(3);

/// A part as it came to the logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub log: LogId,
    pub source: String,
    pub n: u64,
    pub part: LogPart,
}

/// Remembers parts and inputs; its disk can be held.
pub struct FakeHost {
    seen: watch::Sender<Seen>,
    held: watch::Sender<bool>,
    secrets: Mutex<PathBuf>,
    /// What it keeps of artifacts, and how many bytes one upload may have.
    artifacts: (Store, tempfile::TempDir),
    room: Mutex<u64>,
}

#[derive(Clone, Default)]
pub struct Seen {
    pub inputs: Vec<Input>,
    pub parts: Vec<Kept>,
    next: BTreeMap<(LogId, String), u64>,
}

impl FakeHost {
    pub fn new() -> Arc<Self> {
        let (seen, held) = (watch::Sender::default(), watch::Sender::new(false));
        let dir = tempfile::tempdir().unwrap();
        let artifacts = (Store::in_memory(dir.path()).unwrap(), dir);
        Arc::new(Self { seen, held, secrets: Mutex::default(), artifacts, room: Mutex::new(1 << 30) })
    }

    /// From now on nothing becomes durable.
    pub fn hold(&self) {
        self.held.send_replace(true);
    }

    pub fn release(&self) {
        self.held.send_replace(false);
    }

    /// Where the files of secrets are.
    pub fn secrets_in(&self, directory: PathBuf) {
        *self.secrets.lock().unwrap() = directory;
    }

    /// What it has of artifacts.
    pub fn contents(&self) -> Arc<dyn ArtifactStore> {
        Arc::new(self.artifacts.0.artifact_contents().unwrap())
    }

    /// From now on an upload may have so many bytes.
    pub fn leave_room(&self, bytes: u64) {
        *self.room.lock().unwrap() = bytes;
    }

    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until what was seen says so.
    pub async fn until<T>(&self, mut find: impl FnMut(&Seen) -> Option<T>) -> T {
        let mut seen = self.seen.subscribe();
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Some(found) = find(&seen.borrow_and_update()) {
                    return found;
                }
                seen.changed().await.unwrap();
            }
        });
        let Ok(found) = found.await else { panic!("it did not happen; inputs: {:#?}", self.seen().inputs) };
        found
    }

    /// The end of a command.
    pub async fn ended(&self, id: &str) -> CommandResult {
        self.until(|seen| {
            seen.inputs.iter().find_map(|input| match input {
                Input::CommandEnded(CommandEnded { command, result, .. }) if command.0 == id => Some(result.clone()),
                _ => None,
            })
        })
        .await
    }

    pub async fn resumed(&self) -> Vec<ResumedCommand> {
        self.resumed_again(1).await
    }

    /// What the so-manieth resume came to.
    pub async fn resumed_again(&self, count: usize) -> Vec<ResumedCommand> {
        self.until(|seen| {
            let mut resumed = seen.inputs.iter().filter_map(|input| match input {
                Input::Resumed { commands, .. } => Some(commands.clone()),
                _ => None,
            });
            resumed.nth(count - 1)
        })
        .await
    }

    /// Why the worker was lost.
    pub async fn lost(&self) -> String {
        self.until(|seen| {
            seen.inputs.iter().find_map(|input| match input {
                Input::WorkerLost { why, .. } => Some(why.clone()),
                _ => None,
            })
        })
        .await
    }
}

impl Seen {
    /// All that a command wrote to a log, in these streams.
    pub fn text(&self, source: &str, log: LogId, streams: &str) -> String {
        let parts = self.parts.iter().filter(|kept| kept.source == source && kept.log == log);
        let bytes: Vec<u8> =
            parts.filter(|kept| streams.contains(kept.part.stream)).flat_map(|kept| kept.part.text.to_vec()).collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub fn kinds(&self) -> Vec<&'static str> {
        self.inputs
            .iter()
            .map(|input| match input {
                Input::WorkerConnected { .. } => "connected",
                Input::Resumed { .. } => "resumed",
                Input::CommandEnded(_) => "ended",
                Input::WorkerLost { .. } => "lost",
                _ => "other",
            })
            .collect()
    }
}

impl LinkHost for FakeHost {
    fn logs(&self) -> Arc<dyn LogStore> {
        unreachable!("this master keeps its logs itself")
    }

    fn input(&self, input: Input) -> BoxFuture<'_, Result<(), ShuttingDown>> {
        Box::pin(async move {
            self.seen.send_modify(|seen| seen.inputs.push(input));
            Ok(())
        })
    }

    fn artifacts(&self) -> Result<Arc<dyn ArtifactStore>, String> {
        Ok(self.contents())
    }

    fn artifact_room(&self, _build: BuildId, _builder: &str) -> Result<ArtifactRoom, String> {
        let bytes = *self.room.lock().unwrap();
        Ok(ArtifactRoom { bytes, limit: format!("{bytes} bytes are left") })
    }

    /// The newest upload of this name.
    fn find_artifact(&self, _build: BuildId, wanted: &DownloadSpec) -> Result<Artifact, String> {
        let seen = self.seen();
        let results = seen.inputs.iter().rev().filter_map(|input| match input {
            Input::CommandEnded(ended) => Some(&ended.result),
            _ => None,
        });
        let found = results.flat_map(CommandResult::artifacts).find(|artifact| artifact.name == wanted.name);
        found.cloned().ok_or_else(|| format!("this build has no artifact `{}`", wanted.name))
    }

    fn now(&self) -> Timestamp {
        SystemClock.now()
    }

    fn builder_dirs(&self, _worker: &str) -> BTreeSet<String> {
        ["wanted".to_owned()].into()
    }

    fn secrets(&self, _plan: &ConfigDigest) -> Secrets {
        let directory = self.secrets.lock().unwrap().clone();
        Secrets::new(&SecretsPlan::default(), &directory)
    }

    fn append<'a>(
        &'a self,
        place: LogPlace,
        source: &'a str,
        n: u64,
        part: LogPart,
    ) -> BoxFuture<'a, Result<Durable, String>> {
        Box::pin(async move {
            // As at the real logs, the order is that of asking; being durable comes later.
            let mut result = Ok(());
            self.seen.send_modify(|seen| {
                let next = seen.next.entry((place.log, source.to_owned())).or_default();
                match n.cmp(next) {
                    std::cmp::Ordering::Less => {}
                    std::cmp::Ordering::Equal => {
                        *next += 1;
                        seen.parts.push(Kept { log: place.log, source: source.to_owned(), n, part });
                    }
                    std::cmp::Ordering::Greater => result = Err(format!("part {n} came, {next} was expected")),
                }
            });
            let mut held = self.held.subscribe();
            let durable: Durable = Box::pin(async move {
                held.wait_for(|held| !held).await.unwrap();
                Ok(())
            });
            result.map(|()| durable)
        })
    }

    fn next_part(&self, place: LogPlace, command: &CommandId) -> Result<u64, String> {
        if place.log == UNREADABLE {
            return Err("its segment is damaged".to_owned());
        }
        Ok(self.seen.borrow().next.get(&(place.log, command.0.clone())).copied().unwrap_or(0))
    }
}

/// A live link, and how it ends.
pub struct Served {
    pub handle: LinkHandle,
    pub end: tokio::task::JoinHandle<String>,
}

impl Served {
    pub async fn end(self) -> String {
        tokio::time::timeout(PATIENCE, self.end).await.expect("a link ends within a bound").unwrap()
    }
}

/// Serves a socket as worker `w1` with this epoch.
pub async fn serve(host: &Arc<FakeHost>, epoch: u64, socket: Socket, limits: Limits) -> Result<Served, String> {
    let newcomer = link::greet(socket, limits).await?;
    let (handle, orders) = link::link("w1", epoch, &newcomer);
    let host: Arc<dyn LinkHost> = Arc::clone(host) as _;
    let end = tokio::spawn(link::serve(host, newcomer, orders));
    Ok(Served { handle, end })
}

/// Two ends of a connection; few frames fit between them, so that a side that does not read is noticed.
pub fn pair() -> (Socket, Socket) {
    let (left_out, right_in) = one_way();
    let (right_out, left_in) = one_way();
    (
        Socket { incoming: left_in, outgoing: left_out, peer: None },
        Socket { incoming: right_in, outgoing: right_out, peer: None },
    )
}

type Outgoing = Pin<Box<dyn Sink<Frame, Error = String> + Send>>;
type Incoming = BoxStream<'static, Result<Frame, String>>;

fn one_way() -> (Outgoing, Incoming) {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Frame>(4);
    let outgoing = futures_util::sink::unfold(sender, |sender, frame: Frame| async move {
        sender.send(frame).await.map_err(|_| "the other end is gone".to_owned())?;
        Ok::<_, String>(sender)
    });
    let incoming = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|frame| (Ok(frame), receiver))
    });
    (Box::pin(outgoing), incoming.boxed())
}

/// The worker's end of a connection.
pub struct FakeWorker {
    pub socket: Socket,
    next_seq: u64,
    /// Answers that came while something else was waited for.
    answers: BTreeMap<u64, Answer>,
}

impl FakeWorker {
    pub fn new(socket: Socket) -> Self {
        Self { socket, next_seq: 0, answers: BTreeMap::new() }
    }

    pub async fn raw(&mut self, frame: Frame) {
        self.socket.outgoing.send(frame).await.unwrap();
    }

    pub async fn bytes(&mut self, bytes: Vec<u8>) {
        self.raw(Frame::Binary(bytes.into())).await;
    }

    /// Sends a request; its number.
    pub async fn ask(&mut self, request: WorkerRequest) -> u64 {
        let number = self.next_seq;
        self.next_seq += 1;
        self.bytes(WorkerMessage::Request { seq: Seq::from(number), request }.encode()).await;
        number
    }

    pub async fn respond(&mut self, seq: Seq, answer: Answer) {
        self.bytes(WorkerMessage::Response { seq, answer }.encode()).await;
    }

    async fn next_frame(&mut self) -> Option<Frame> {
        let frame = tokio::time::timeout(PATIENCE, self.socket.incoming.next()).await;
        frame.expect("the master says something").map(Result::unwrap)
    }

    /// The next message that is no ping; none at the end.
    pub async fn next(&mut self) -> Option<MasterMessage> {
        loop {
            match self.next_frame().await? {
                Frame::Binary(bytes) => return Some(MasterMessage::decode(&bytes).unwrap()),
                Frame::Ping(content) => self.raw(Frame::Pong(content)).await,
                Frame::Text(_) | Frame::Pong(_) => {}
                Frame::Close => return None,
            }
        }
    }

    /// The master's next request; answers that come before are kept.
    pub async fn request(&mut self) -> (Seq, MasterRequest) {
        loop {
            match self.next().await.expect("the master asks something") {
                Message::Request { seq, request } => return (seq, request),
                Message::Response { seq, answer } => drop(self.answers.insert(seq.number().unwrap(), answer)),
                Message::Ignored { why } => panic!("{why}"),
            }
        }
    }

    /// Whether the answer to a request was read already.
    pub fn was_answered(&self, number: u64) -> bool {
        self.answers.contains_key(&number)
    }

    /// The master's answer to a request of ours.
    pub async fn answer(&mut self, number: u64) -> Answer {
        loop {
            if let Some(answer) = self.answers.remove(&number) {
                return answer;
            }
            match self.next().await.expect("the master answers") {
                Message::Response { seq, answer } => drop(self.answers.insert(seq.number().unwrap(), answer)),
                other => panic!("instead of answer {number}: {other:?}"),
            }
        }
    }

    /// Tells its facts and takes the settings; says what the settings confirm.
    pub async fn introduce(&mut self, info: &WorkerInfo) -> Caps {
        let (seq, request) = self.request().await;
        assert_eq!(request, MasterRequest::GetWorkerInfo { offer: Caps::OURS });
        self.respond(seq, Ok(info.write())).await;
        let (seq, request) = self.request().await;
        let MasterRequest::SetWorkerSettings(settings) = request else { panic!("{request:?}") };
        self.respond(seq, Ok(MsgPack::Nil)).await;
        if !settings.caps.resume {
            // What the `start` of a stock worker waits for.
            let (seq, request) = self.request().await;
            assert_eq!(request, MasterRequest::Print { message: "attached".to_owned() });
            self.respond(seq, Ok(MsgPack::Nil)).await;
        }
        settings.caps
    }

    /// Takes a command; its name and arguments.
    pub async fn start(&mut self) -> (CommandId, String, starwright::testing::protocol::Args) {
        let (seq, request) = self.request().await;
        let MasterRequest::StartCommand { command, name, args, .. } = request else { panic!("{request:?}") };
        self.respond(seq, Ok(MsgPack::Nil)).await;
        (command, name, args)
    }
}

/// Facts of a stock worker.
pub fn stock() -> WorkerInfo {
    WorkerInfo {
        system: "posix".to_owned(),
        basedir: "/srv/w".to_owned(),
        version: "4.3.0".to_owned(),
        numcpus: 2,
        ..WorkerInfo::default()
    }
}

/// Facts of one of our workers.
pub fn ours(instance: &str) -> WorkerInfo {
    WorkerInfo { caps: Caps::OURS, instance: Some(instance.to_owned()), ..stock() }
}

/// A connected worker with these facts.
pub async fn connect(host: &Arc<FakeHost>, epoch: u64, info: &WorkerInfo, limits: Limits) -> (Served, FakeWorker) {
    let (master, worker) = pair();
    let mut worker = FakeWorker::new(worker);
    let (served, _) = tokio::join!(serve(host, epoch, master, limits), worker.introduce(info));
    let expected = usize::try_from(epoch).unwrap();
    host.until(|seen| (seen.kinds().iter().filter(|kind| **kind == "connected").count() >= expected).then_some(()))
        .await;
    (served.unwrap(), worker)
}

/// A command of the shell with everything at its usual value.
pub fn spec(line: &str) -> CommandSpec {
    CommandSpec {
        program: Program::Shell(Text::plain(line)),
        workdir: "build".to_owned(),
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
        grace: Span::from_seconds(5),
        on_lost: OnLost::RetryBuild,
        output: Box::default(),
    }
}

pub fn order(id: &str, work: Work) -> CommandOrder {
    CommandOrder {
        worker: "w1".to_owned(),
        epoch: 1,
        command: CommandId(id.to_owned()),
        build: BuildId(1),
        builder: "linux".to_owned(),
        step: StepId(1),
        dir: "linux".to_owned(),
        work,
        logs: BTreeMap::from([("stdio".to_owned(), STDIO), ("side".to_owned(), SIDE)]),
        env: BTreeMap::new(),
        plan: ConfigDigest::default(),
    }
}

pub fn run(id: &str, line: &str) -> CommandOrder {
    order(id, Work::Run(spec(line)))
}

pub fn dispatch(order: CommandOrder) -> LinkOrder {
    LinkOrder::Dispatch(Box::new(order))
}
