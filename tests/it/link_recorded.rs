//! The master's end of a connection with a stock worker: every recorded session is played again, the worker's part
//! word by word, and the ends of all commands are compared with a table (tests/golden/link-ends.txt).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use starwright::testing::engine::{StopLevel, Work};
use starwright::testing::master::link::{Limits, LinkOrder};
use starwright::testing::model::{CommandId, CommandResult, FileCommand};
use starwright::testing::protocol::{
    CommandArgs, Lines, MasterMessage, MasterRequest, Message, ProgramArg, Seq, Update, WorkerMessage, WorkerRequest,
};

use crate::support::link::{FakeHost, FakeWorker, SIDE, STDIO, Served, connect, dispatch, order, spec, stock};
use crate::support::wire_fixtures::{self, Direction, Recorded};

/// A recorded session, played.
struct Play {
    served: Served,
    worker: FakeWorker,
    /// Numbers of the recorded master's starts, by those of ours.
    starts: BTreeMap<u64, Seq>,
    /// Commands that were started, in order.
    started: Vec<CommandId>,
    /// What each told, by stream: output and log files.
    told: BTreeMap<CommandId, (String, String)>,
    completed: BTreeSet<CommandId>,
}

/// The order that makes our master send such a command; transfers are not ordered by this version.
fn ordered(command: CommandArgs) -> Option<Work> {
    let file = |command| Some(Work::File(command));
    match command {
        CommandArgs::Shell(shell) => {
            let line = match &shell.command {
                ProgramArg::Line(line) => line.clone(),
                ProgramArg::Argv(words) => words.join(" "),
            };
            let mut spec = spec(&line);
            spec.want_output = true;
            Some(Work::Run(spec))
        }
        CommandArgs::MakeDirs { paths } => file(FileCommand::MakeDirs(paths)),
        CommandArgs::RemoveDirs { .. } | CommandArgs::RemoveFile { .. } => {
            file(FileCommand::Remove(vec!["old".to_owned()]))
        }
        CommandArgs::Copy { .. } => file(FileCommand::Copy { from: "a".to_owned(), to: "b".to_owned() }),
        CommandArgs::Stat { path } => file(FileCommand::Stat(path)),
        CommandArgs::List { path } => file(FileCommand::List(path)),
        CommandArgs::Glob { path } => file(FileCommand::Glob(path)),
        // Ours alone, so in no recording.
        CommandArgs::Run(_) => None,
        CommandArgs::UploadFile { .. } | CommandArgs::UploadDirectory { .. } | CommandArgs::DownloadFile { .. } => None,
    }
}

impl Play {
    async fn master_said(&mut self, recorded: &Recorded) {
        let Ok(Message::Request { seq, request }) = MasterMessage::decode(&recorded.bytes) else { return };
        match request {
            MasterRequest::StartCommand { command, name, args, .. } => {
                let Ok(recorded) = CommandArgs::read(&name, &args) else { return };
                // All log files are one log here.
                let logs: Vec<String> = match &recorded {
                    CommandArgs::Shell(shell) => shell.logfiles.keys().cloned().collect(),
                    _ => Vec::new(),
                };
                let Some(work) = ordered(recorded) else { return };
                if self.started.contains(&command) {
                    return;
                }
                let mut order = order(&command.0, work);
                order.logs.extend(logs.into_iter().map(|name| (name, SIDE)));
                self.served.handle.send(dispatch(order));
                let (ours, request) = self.worker.request().await;
                assert!(matches!(request, MasterRequest::StartCommand { .. }), "{request:?}");
                self.starts.insert(seq.number().unwrap(), ours);
                self.started.push(command);
            }
            MasterRequest::InterruptCommand { command, why, .. } if self.started.contains(&command) => {
                self.served.handle.send(LinkOrder::Interrupt { command, level: StopLevel::Interrupt, why });
                self.worker.request().await;
            }
            _ => {}
        }
    }

    async fn worker_said(&mut self, recorded: &Recorded) {
        match WorkerMessage::decode(&recorded.bytes).unwrap() {
            Message::Response { seq, answer } => {
                if let Some(ours) = seq.number().and_then(|number| self.starts.remove(&number)) {
                    self.worker.respond(ours, answer).await;
                }
            }
            Message::Request { request, .. } => {
                let Some(command) = request.command().cloned() else { return };
                if !self.started.contains(&command) || !wanted(&request) || self.completed.contains(&command) {
                    return;
                }
                if let WorkerRequest::Update { updates, .. } = &request {
                    self.heard(&command, updates);
                }
                if let WorkerRequest::Complete { failure, .. } = &request {
                    let told = self.told.entry(command.clone()).or_default();
                    told.0.extend(failure.iter().flat_map(|failure| [failure.trim_end(), "\n"]));
                    self.completed.insert(command);
                }
                let number = self.worker.ask(request).await;
                self.worker.answer(number).await.unwrap();
            }
            Message::Ignored { .. } => {}
        }
    }

    fn heard(&mut self, command: &CommandId, updates: &[Update]) {
        let (streams, logs) = self.told.entry(command.clone()).or_default();
        for update in updates {
            match update {
                Update::Stream { lines: Lines { text, .. }, .. } => streams.push_str(text),
                Update::Log { lines: Lines { text, .. }, .. } => logs.push_str(text),
                _ => {}
            }
        }
    }
}

const fn wanted(request: &WorkerRequest) -> bool {
    matches!(request, WorkerRequest::Update { .. } | WorkerRequest::Complete { .. })
}

fn row(id: &CommandId, result: &CommandResult) -> String {
    let mut row = format!("{id}: {} {:?}", result.outcome, result.end);
    if let Some(stderr) = result.stderr.as_deref().filter(|text| !text.is_empty()) {
        let line = stderr.lines().next().unwrap_or_default();
        write!(row, " stderr={:?}", line.chars().take(60).collect::<String>()).unwrap();
    }
    if !result.files.is_empty() {
        write!(row, " files={}", result.files.len()).unwrap();
    }
    if let Some(stat) = &result.stat {
        write!(row, " stat={}", stat.len()).unwrap();
    }
    row
}

/// Plays one session; a line for each command.
async fn play(name: &str) -> Vec<String> {
    let host = FakeHost::new();
    let (served, worker) = connect(&host, 1, &stock(), Limits::default()).await;
    let mut play = Play {
        served,
        worker,
        starts: BTreeMap::new(),
        started: Vec::new(),
        told: BTreeMap::new(),
        completed: BTreeSet::new(),
    };
    for recorded in
        wire_fixtures::messages(name).iter().filter(|recorded| recorded.value.is_some() && !recorded.trimmed)
    {
        match recorded.direction {
            Direction::ToWorker => play.master_said(recorded).await,
            Direction::ToMaster => play.worker_said(recorded).await,
        }
    }
    // What did not end on the wire is cut off; what the worker refused has ended.
    play.served.handle.disconnect("the play is over");
    play.served.end().await;
    let seen = host.seen();
    for (id, (streams, logs)) in &play.told {
        assert_eq!(&seen.text(&id.0, STDIO, "oeh"), streams, "{name}: output of {id}");
        assert_eq!(&seen.text(&id.0, SIDE, "o"), logs, "{name}: log files of {id}");
    }
    let ends: BTreeMap<&CommandId, &CommandResult> = seen
        .inputs
        .iter()
        .filter_map(|input| match input {
            starwright::testing::engine::Input::CommandEnded(ended) => Some((&ended.command, &ended.result)),
            _ => None,
        })
        .collect();
    let rows = play.started.iter().map(|id| ends.get(id).map_or_else(|| format!("{id}: cut off"), |end| row(id, end)));
    rows.collect()
}

#[tokio::test]
async fn every_recorded_command_ends_as_the_table_says() {
    let mut table = String::new();
    for name in wire_fixtures::names() {
        let rows = play(&name).await;
        if !rows.is_empty() {
            writeln!(table, "{name}\n  {}", rows.join("\n  ")).unwrap();
        }
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/link-ends.txt");
    if std::env::var_os("STARWRIGHT_BLESS").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    assert_eq!(table, std::fs::read_to_string(&path).unwrap(), "STARWRIGHT_BLESS=1 writes the table anew");
}
