//! A worker for tests: speaks the wire of our own worker over any socket, and does what the test says.
//!
//! It keeps its commands over connections and masters, as the real one does with its spool, so a test can
//! count how often each command was started and what was sent twice.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use starwright::testing::master::{Frame, Handle, Socket};
use starwright::testing::model::{CommandId, Program, Text};
use starwright::testing::protocol::{
    Caps, CommandArgs, CommandReport, LogChunk, MasterMessage, MasterRequest, Message, MsgPack, ReportedEnd,
    ResumeAnswer, ResumedState, StdStream, Update, WorkerInfo, WorkerMessage, WorkerRequest,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// A worker process with its spool; lives as long as the test wants, over any number of connections.
#[derive(Clone)]
pub struct ScriptedWorker {
    name: String,
    instance: String,
    spool: Arc<Mutex<BTreeMap<CommandId, Spooled>>>,
    /// Counts changes of the spool, so that the connection sends what is new.
    changes: watch::Sender<u64>,
    arrivals: mpsc::UnboundedSender<Command>,
}

/// A command as it arrived.
#[derive(Clone, Debug)]
pub struct Command {
    pub id: CommandId,
    pub line: String,
}

#[derive(Clone, Debug, Default)]
struct Spooled {
    starts: u64,
    parts: Vec<String>,
    code: Option<i64>,
    interrupted: bool,
}

/// Commands in order of their arrival.
pub type Arrivals = mpsc::UnboundedReceiver<Command>;

impl ScriptedWorker {
    pub fn new(name: &str) -> (Self, Arrivals) {
        let (arrivals, commands) = mpsc::unbounded_channel();
        let worker = Self {
            name: name.to_owned(),
            instance: format!("spool of {name}"),
            spool: Arc::default(),
            changes: watch::Sender::new(0),
            arrivals,
        };
        (worker, commands)
    }

    /// Another worker process, elsewhere, with the same name.
    pub fn namesake(&self) -> (Self, Arrivals) {
        let (mut worker, commands) = Self::new(&self.name);
        worker.instance = format!("another {}", self.instance);
        (worker, commands)
    }

    /// Connects to a master within this process; ends when the connection does.
    pub fn connect(&self, master: &Handle, password: &str) -> JoinHandle<()> {
        use base64::Engine as _;
        let proof = base64::prelude::BASE64_STANDARD.encode(format!("{}:{password}", self.name));
        let seat = master.admit_worker(Some(&format!("Basic {proof}")), None).expect("the worker is admitted");
        let (ours, theirs) = Socket::pair();
        let master = master.clone();
        tokio::spawn(async move { master.serve_worker(seat, theirs).await });
        let worker = self.clone();
        tokio::spawn(async move { worker.converse(ours).await })
    }

    /// The command prints these lines.
    pub fn print(&self, command: &CommandId, text: &str) {
        self.change(command, |spooled| spooled.parts.push(text.to_owned()));
    }

    /// The command ends with this code.
    pub fn end(&self, command: &CommandId, code: i64) {
        self.change(command, |spooled| spooled.code = Some(code));
    }

    /// How often each command was started.
    pub fn starts(&self) -> Vec<u64> {
        self.spool.lock().unwrap().values().map(|spooled| spooled.starts).collect()
    }

    fn change(&self, command: &CommandId, change: impl FnOnce(&mut Spooled)) {
        change(self.spool.lock().unwrap().get_mut(command).expect("a command that was started"));
        self.changes.send_modify(|count| *count += 1);
    }

    async fn converse(&self, mut socket: Socket) {
        let mut changes = self.changes.subscribe();
        // What this connection has sent: parts by command, and ends.
        let mut sent: BTreeMap<CommandId, (usize, bool)> = BTreeMap::new();
        let mut seq = 0_u64;
        loop {
            for request in self.news(&mut sent) {
                let frame = WorkerMessage::Request { seq: seq.into(), request };
                seq += 1;
                if socket.outgoing.send(Frame::Binary(frame.encode().into())).await.is_err() {
                    return;
                }
            }
            let frame = tokio::select! {
                frame = socket.incoming.next() => frame,
                _ = changes.changed() => continue,
            };
            let reply = match frame {
                Some(Ok(Frame::Binary(bytes))) => match MasterMessage::decode(&bytes).expect("a whole message") {
                    Message::Request { seq, request } => {
                        let answer = Ok(self.answer(request, &mut sent));
                        Frame::Binary(WorkerMessage::Response { seq, answer }.encode().into())
                    }
                    Message::Response { .. } | Message::Ignored { .. } => continue,
                },
                Some(Ok(Frame::Ping(content))) => Frame::Pong(content),
                Some(Ok(Frame::Text(_) | Frame::Pong(_))) => continue,
                Some(Ok(Frame::Close) | Err(_)) | None => return,
            };
            if socket.outgoing.send(reply).await.is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: MasterRequest, sent: &mut BTreeMap<CommandId, (usize, bool)>) -> MsgPack {
        match request {
            MasterRequest::GetWorkerInfo { .. } => self.info().write(),
            MasterRequest::StartCommand { command, name, args, .. } => {
                let first = {
                    let mut spool = self.spool.lock().unwrap();
                    let spooled = spool.entry(command.clone()).or_default();
                    let first = spooled.starts == 0;
                    spooled.starts = 1;
                    first
                };
                sent.entry(command.clone()).or_default();
                if first {
                    self.arrive(command, CommandArgs::read(&name, &args).expect("right arguments"));
                }
                MsgPack::Nil
            }
            MasterRequest::Resume { commands } => {
                let spool = self.spool.lock().unwrap();
                let mut answer = ResumeAnswer::default();
                for (command, next) in commands {
                    let state = match spool.get(&command) {
                        Some(spooled) if spooled.code.is_some() => ResumedState::Finished,
                        Some(_) => ResumedState::Running,
                        None => ResumedState::Unknown,
                    };
                    if state != ResumedState::Unknown {
                        sent.insert(command.clone(), (usize::try_from(next).unwrap(), false));
                    }
                    answer.commands.insert(command, state);
                }
                answer.write()
            }
            MasterRequest::InterruptCommand { command, .. } => {
                let mut spool = self.spool.lock().unwrap();
                if let Some(spooled) = spool.get_mut(&command).filter(|spooled| spooled.code.is_none()) {
                    spooled.interrupted = true;
                    spooled.code = Some(-1);
                }
                MsgPack::Nil
            }
            _ => MsgPack::Nil,
        }
    }

    /// Shell commands go to the test; file commands just succeed.
    fn arrive(&self, id: CommandId, args: CommandArgs) {
        match args {
            CommandArgs::Run(args) => {
                let line = match args.spec.program {
                    Program::Shell(line) => line.masked(),
                    Program::Argv(words) => words.iter().map(Text::masked).collect::<Vec<_>>().join(" "),
                };
                // A test that does not look at arrivals any more has ended.
                let _ = self.arrivals.send(Command { id, line });
            }
            _ => self.end(&id, 0),
        }
    }

    /// What the spool holds beyond what this connection has sent.
    fn news(&self, sent: &mut BTreeMap<CommandId, (usize, bool)>) -> Vec<WorkerRequest> {
        let spool = self.spool.lock().unwrap();
        let mut news = Vec::new();
        for (command, (parts, ended)) in sent.iter_mut() {
            let Some(spooled) = spool.get(command) else { continue };
            for text in spooled.parts.iter().skip(*parts) {
                let n = Some(*parts as u64);
                let updates = vec![Update::Chunk(chunk(text))];
                news.push(WorkerRequest::Update { command: command.clone(), n, updates });
                *parts += 1;
            }
            if let (Some(code), false) = (spooled.code, *ended) {
                let end = if spooled.interrupted { ReportedEnd::Interrupted } else { ReportedEnd::Exited };
                let report = CommandReport { code: Some(code), ..CommandReport::of(end, "") };
                news.push(WorkerRequest::Complete {
                    command: command.clone(),
                    n: Some(*parts as u64),
                    failure: None,
                    report: Some(Box::new(report)),
                });
                *ended = true;
            }
        }
        news
    }

    fn info(&self) -> WorkerInfo {
        WorkerInfo {
            system: "posix".to_owned(),
            basedir: "/srv/worker".to_owned(),
            version: "scripted".to_owned(),
            numcpus: 2,
            caps: Caps::OURS,
            instance: Some(self.instance.clone()),
            ..WorkerInfo::default()
        }
    }
}

fn chunk(text: &str) -> LogChunk {
    LogChunk {
        log: "stdio".to_owned(),
        stream: StdStream::Stdout,
        data: Bytes::from(text.to_owned()),
        times: vec![1_000; text.lines().count()],
    }
}
