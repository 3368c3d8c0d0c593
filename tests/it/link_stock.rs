//! The master's end of a connection with a stock worker, played by a script: what recordings do not show.

use std::time::Duration;

use bytes::Bytes;
use starwright::testing::base::Span;
use starwright::testing::engine::{Input, ResumeState, StopLevel, Work};
use starwright::testing::master::Frame;
use starwright::testing::master::link::{self, Limits, LinkOrder, Verdict};
use starwright::testing::model::{
    CommandEnd, CommandId, EnvValue, FileCommand, LogFileSpec, Outcome, Piece, Program, Text,
};
use starwright::testing::protocol::{
    CommandArgs, EnvEntry, Lines, MasterRequest, MsgPack, ProgramArg, Seq, ShellArgs, StdStream, Update, WorkerInfo,
    WorkerMessage, WorkerRequest,
};

use crate::support::link::{FakeHost, FakeWorker, STDIO, connect, dispatch, order, pair, run, serve, spec, stock};

fn id(id: &str) -> CommandId {
    CommandId(id.to_owned())
}

fn told(command: &str, updates: Vec<Update>) -> WorkerRequest {
    WorkerRequest::Update { command: id(command), n: None, updates }
}

fn lines(stream: StdStream, text: &str) -> Update {
    Update::Stream { stream, lines: Lines { text: text.to_owned(), times: vec![1_000.5] } }
}

fn complete(command: &str) -> WorkerRequest {
    WorkerRequest::Complete { command: id(command), n: None, failure: None, report: None }
}

async fn shell_args(worker: &mut FakeWorker) -> ShellArgs {
    let (_, name, args) = worker.start().await;
    match CommandArgs::read(&name, &args) {
        Ok(CommandArgs::Shell(shell)) => *shell,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_worker_gets_settings_that_lose_no_text_and_no_additions() {
    let host = FakeHost::new();
    let (master, worker) = pair();
    let mut worker = FakeWorker::new(worker);
    let served = tokio::spawn({
        let host = host.clone();
        async move { serve(&host, 1, master, Limits::default()).await }
    });
    let (seq, _) = worker.request().await;
    worker.respond(seq, Ok(stock().write())).await;
    let (seq, request) = worker.request().await;
    let MasterRequest::SetWorkerSettings(settings) = request else { panic!("{request:?}") };
    assert!(settings.max_line_length > 65_536 && settings.buffer_timeout < 1.0 && !settings.caps.resume);
    assert!(settings.newline_re.starts_with(r"\r\n|\r(?=.)"));
    worker.respond(seq, Ok(MsgPack::Nil)).await;
    drop(served.await.unwrap().unwrap());
}

#[tokio::test]
async fn a_command_comes_with_every_key_and_absolute_paths() {
    let host = FakeHost::new();
    let (served, mut worker) = connect(&host, 1, &stock(), Limits::default()).await;
    let mut spec = spec("make");
    spec.program = Program::Argv(vec![Text::plain("make"), Text::plain("all of it")]);
    spec.idle_timeout = Some(Span::from_minutes(20));
    spec.grace = Span::from_seconds(10);
    let set = |value: &str| EnvValue::Set(Text::plain(value));
    spec.env.insert("A".to_owned(), set("command"));
    spec.env.insert("PATH".to_owned(), EnvValue::Join(vec![Text::plain("/x"), Text::plain("${PATH}")]));
    spec.env.insert("PYTHONPATH".to_owned(), EnvValue::Unset);
    spec.env.insert("GONE".to_owned(), EnvValue::Unset);
    spec.log_files.insert("side".to_owned(), LogFileSpec { path: "out.txt".to_owned(), follow: true });
    let mut order = order("c", Work::Run(spec));
    order.env.insert("A".to_owned(), set("builder"));
    order.env.insert("B".to_owned(), set("builder"));
    served.handle.send(dispatch(order));
    let (_, _, args) = worker.start().await;
    let keys: Vec<&str> = args.0.as_map().unwrap().iter().map(|(key, _)| key.as_str().unwrap()).collect();
    assert_eq!(
        keys,
        [
            "workdir",
            "env",
            "want_stdout",
            "want_stderr",
            "logfiles",
            "timeout",
            "maxTime",
            "max_lines",
            "sigtermTime",
            "usePTY",
            "logEnviron",
            "initial_stdin",
            "interruptSignal",
            "command"
        ]
    );
    let Ok(CommandArgs::Shell(shell)) = CommandArgs::read("shell", &args) else { panic!() };
    assert_eq!(shell.command, ProgramArg::Argv(vec!["make".to_owned(), "all of it".to_owned()]));
    assert_eq!(shell.workdir, "/srv/w/linux/build");
    assert_eq!((shell.timeout, shell.sigterm_time), (Some(1200.0), Some(10.0)));
    assert!(!shell.use_pty && !shell.log_environ && shell.logfiles["side"].follow);
    let env: Vec<(&str, EnvEntry)> = shell.env.iter().map(|(name, entry)| (name.as_str(), entry.clone())).collect();
    let expected = [
        ("A", EnvEntry::Set("command".to_owned())),
        ("B", EnvEntry::Set("builder".to_owned())),
        ("GONE", EnvEntry::Unset),
        ("PATH", EnvEntry::Join(vec!["/x".to_owned(), "${PATH}".to_owned()])),
    ];
    assert!(env == expected, "{:?}", shell.env.keys());
}

#[tokio::test]
async fn the_base_directory_is_no_place_for_a_command() {
    let host = FakeHost::new();
    let (served, mut worker) = connect(&host, 1, &stock(), Limits::default()).await;
    let mut misplaced = spec("rm -rf .");
    misplaced.workdir = "..".to_owned();
    served.handle.send(dispatch(order("c", Work::Run(misplaced))));
    let CommandEnd::Broken(why) = host.ended("c").await.end else { panic!() };
    assert!(why.contains("`/srv/w`"), "{why}");
    served.handle.send(dispatch(order("d", Work::File(FileCommand::Remove(vec!["..".to_owned()])))));
    assert!(matches!(host.ended("d").await.end, CommandEnd::Broken(_)));
    // Nothing is removed without asking the worker, which would fail at it.
    served.handle.send(dispatch(order("e", Work::File(FileCommand::Remove(Vec::new())))));
    assert_eq!(host.ended("e").await.end, CommandEnd::Exited(0));
    served.handle.send(dispatch(run("f", "make")));
    assert_eq!(worker.start().await.0, id("f"));
}

#[tokio::test]
async fn windows_workers_get_their_own_paths_and_names() {
    let host = FakeHost::new();
    let info = WorkerInfo { system: "nt".to_owned(), basedir: "C:\\bb".to_owned(), ..stock() };
    let (served, mut worker) = connect(&host, 1, &info, Limits::default()).await;
    let mut spec = spec("nmake");
    spec.env.insert("Path".to_owned(), EnvValue::Set(Text::plain("x")));
    served.handle.send(dispatch(order("c", Work::Run(spec))));
    let shell = shell_args(&mut worker).await;
    assert_eq!(shell.workdir, "C:\\bb\\linux\\build");
    assert_eq!(shell.env.keys().collect::<Vec<_>>(), ["PATH"]);
}

#[tokio::test]
async fn secrets_do_not_show_in_output_headers_failures_or_results() {
    let host = FakeHost::new();
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("secrets")).unwrap();
    std::fs::write(directory.path().join("secrets/token"), "it's s3cret\n").unwrap();
    host.secrets_in(directory.path().to_owned());
    let (served, mut worker) = connect(&host, 1, &stock(), Limits::default()).await;
    let mut spec = spec("");
    spec.want_output = true;
    spec.program = Program::Shell(Text(vec![Piece::Plain("login ".to_owned()), Piece::Secret("token".to_owned())]));
    served.handle.send(dispatch(order("c", Work::Run(spec))));
    assert_eq!(shell_args(&mut worker).await.command, ProgramArg::Line("login it's s3cret".to_owned()));
    // A command that knows no secret prints one that an earlier command was given.
    served.handle.send(dispatch(run("d", "cat ~/.netrc")));
    shell_args(&mut worker).await;
    let header = "login it's s3cret\n argv: b\"login it's s3cret\"\n 'login it'\\''s s3cret'\n";
    for command in ["c", "d"] {
        let stdout = lines(StdStream::Stdout, "token is aXQncyBzM2NyZXQ= or it's s3cret\n");
        worker.ask(told(command, vec![lines(StdStream::Header, header), stdout, Update::Rc(1)])).await;
        let failure = Some("[Failure instance: Traceback: <class 'X'>: it's s3cret\nit's s3cret]".to_owned());
        worker.ask(WorkerRequest::Complete { command: id(command), n: None, failure, report: None }).await;
        let result = host.ended(command).await;
        let shown = format!("{result:?} {}", host.seen().text(command, STDIO, "oeh"));
        assert!(!shown.contains("s3cret") && !shown.contains("aXQncyBzM2NyZXQ"), "{shown}");
        assert!(shown.contains("login <token>") && shown.contains("token is <token>= or <token>"), "{shown}");
        assert_eq!(result.end, CommandEnd::Broken("<class 'X'>: <token>".to_owned()));
    }
}

#[tokio::test]
async fn leftovers_of_earlier_connections_are_interrupted_and_gone() {
    let host = FakeHost::new();
    let (served, mut worker) = connect(&host, 1, &stock(), Limits::default()).await;
    served.handle.send(LinkOrder::Forget { commands: vec![id("old-1")] });
    served.handle.send(LinkOrder::Resume { commands: vec![run("old-2", "make")] });
    for expected in ["old-1", "old-2"] {
        let (seq, request) = worker.request().await;
        let MasterRequest::InterruptCommand { command, level: None, .. } = request else { panic!("{request:?}") };
        assert_eq!(command, id(expected));
        worker.respond(seq, Ok(MsgPack::Nil)).await;
    }
    let resumed = host.resumed().await;
    assert_eq!((resumed.len(), resumed[0].state), (1, ResumeState::Lost));
    // What the old command still says is of no interest, but no harm.
    let number = worker.ask(told("old-2", vec![Update::Rc(0)])).await;
    assert_eq!(worker.answer(number).await, Err("command old-2 is not known here".to_owned()));
}

#[tokio::test]
async fn a_command_that_the_worker_refuses_is_broken() {
    let host = FakeHost::new();
    let (served, mut worker) = connect(&host, 1, &stock(), Limits::default()).await;
    served.handle.send(dispatch(run("c", "make")));
    let (seq, _) = worker.request().await;
    worker.respond(seq, Err("(command c): unrecognized WorkerCommand 'shell'\nmore".to_owned())).await;
    let result = host.ended("c").await;
    assert_eq!(result.end, CommandEnd::Broken("(command c): unrecognized WorkerCommand 'shell'".to_owned()));
    assert_eq!(result.outcome, Outcome::Exception);
}

#[tokio::test]
async fn output_before_the_start_is_answered_counts_and_a_second_order_changes_nothing() {
    let host = FakeHost::new();
    let (served, mut worker) = connect(&host, 1, &stock(), Limits::default()).await;
    served.handle.send(dispatch(run("c", "make")));
    served.handle.send(dispatch(run("c", "make")));
    let (seq, _) = worker.request().await;
    worker.ask(told("c", vec![lines(StdStream::Stdout, "early\n"), Update::Rc(0)])).await;
    worker.ask(complete("c")).await;
    worker.respond(seq, Ok(MsgPack::Nil)).await;
    assert_eq!(host.ended("c").await.outcome, Outcome::Success);
    assert_eq!(host.seen().text("c", STDIO, "o"), "early\n");
    // The next request is another one.
    served.handle.send(LinkOrder::Interrupt { command: id("c"), level: StopLevel::Kill, why: String::new() });
    assert!(matches!(worker.request().await.1, MasterRequest::InterruptCommand { .. }));
}

#[tokio::test]
async fn odd_messages_are_refused_or_ignored_and_the_connection_lives_on() {
    let host = FakeHost::new();
    let (served, mut worker) = connect(&host, 1, &stock(), Limits::default()).await;
    served.handle.send(dispatch(run("c", "make")));
    worker.start().await;
    worker.raw(Frame::Text("hello".to_owned())).await;
    worker.raw(Frame::Ping(Bytes::from_static(b"x"))).await;
    worker.respond(Seq::from(999), Ok(MsgPack::Nil)).await;
    worker.bytes(b"\x81\xa1a\x01".to_vec()).await;
    for odd in [
        WorkerRequest::Unknown { op: "own.hello".to_owned() },
        WorkerRequest::ReadFile { command: id("c"), offset: None, length: 5 },
        told("never", Vec::new()),
        complete("never"),
    ] {
        let number = worker.ask(odd).await;
        assert!(worker.answer(number).await.is_err());
    }
    let later = Update::Unknown { name: "x_later".to_owned(), value: MsgPack::Nil };
    let number = worker.ask(told("c", vec![later, Update::Rc(0)])).await;
    assert!(worker.answer(number).await.is_ok());
    worker.ask(complete("c")).await;
    assert_eq!(host.ended("c").await.end, CommandEnd::Exited(0));
}

#[tokio::test]
async fn what_is_no_message_ends_the_connection_with_a_reason() {
    for (bytes, why) in [
        (&b"\xc0"[..], "message is not a map but nil"),
        (b"\x81\x01\x02", "map key at byte 1 is not a string"),
        (b"\xc1", "byte 0xc1 at 0 is not MessagePack"),
        (b"\x80\x80", "message has 1 bytes after its value"),
    ] {
        let host = FakeHost::new();
        let (served, mut worker) = connect(&host, 1, &stock(), Limits::default()).await;
        worker.bytes(bytes.to_vec()).await;
        assert_eq!(served.end().await, format!("it sent a malformed message: {why}"));
        assert!(host.lost().await.contains(why));
        assert_eq!(worker.next().await, None);
    }
}

#[tokio::test]
async fn a_worker_that_cannot_tell_its_facts_works_with_relative_paths() {
    let host = FakeHost::new();
    let (master, worker) = pair();
    let mut worker = FakeWorker::new(worker);
    let short = Limits { info: Duration::from_millis(20), ..Limits::default() };
    let served = serve(&host, 1, master, short).await.unwrap();
    let (late, _) = worker.request().await;
    let info = host.until(|seen| match seen.inputs.first() {
        Some(Input::WorkerConnected { info, resumes: false, .. }) => Some(info.clone()),
        _ => None,
    });
    assert!(info.await["warning"].contains("UTF-8"));
    let (seq, _) = worker.request().await;
    worker.respond(seq, Ok(MsgPack::Nil)).await;
    let (seq, request) = worker.request().await;
    assert!(matches!(request, MasterRequest::Print { .. }), "{request:?}");
    worker.respond(seq, Ok(MsgPack::Nil)).await;
    // Too late to matter.
    worker.respond(late, Ok(stock().write())).await;
    served.handle.send(dispatch(run("c", "make")));
    assert_eq!(shell_args(&mut worker).await.workdir, "linux/build");
}

#[tokio::test]
async fn a_worker_without_a_sign_of_life_is_given_up() {
    let host = FakeHost::new();
    let short = Limits { ping: Duration::from_millis(5), silence: Duration::from_millis(30), ..Limits::default() };
    let (served, _worker) = connect(&host, 1, &stock(), short).await;
    assert_eq!(served.end().await, "no sign of life for 30ms");
}

#[tokio::test]
async fn a_worker_is_pinged() {
    let host = FakeHost::new();
    let short = Limits { ping: Duration::from_millis(5), ..Limits::default() };
    let (_served, mut worker) = connect(&host, 1, &stock(), short).await;
    let frame = futures_util::StreamExt::next(&mut worker.socket.incoming).await;
    assert!(matches!(frame, Some(Ok(Frame::Ping(_)))), "{frame:?}");
}

#[tokio::test]
async fn an_answer_to_shutdown_ends_the_link() {
    let host = FakeHost::new();
    let (served, mut worker) = connect(&host, 1, &stock(), Limits::default()).await;
    served.handle.send(LinkOrder::ShutDown);
    let (seq, request) = worker.request().await;
    assert_eq!(request, MasterRequest::Shutdown);
    worker.respond(seq, Ok(MsgPack::Nil)).await;
    assert_eq!(served.end().await, "it was told to end");
}

#[tokio::test]
async fn a_killed_worker_is_told_to_end_and_cut_off_whether_it_does_or_not() {
    let host = FakeHost::new();
    let (served, mut worker) = connect(&host, 1, &stock(), Limits::default()).await;
    served.handle.kill("enough");
    let (seq, request) = worker.request().await;
    assert_eq!(request, MasterRequest::Shutdown);
    worker.respond(seq, Ok(MsgPack::Nil)).await;
    assert_eq!(served.end().await, "it was killed: enough");

    let limits = Limits { goodbye: Duration::from_millis(20), ..Limits::default() };
    let (served, mut deaf) = connect(&host, 2, &stock(), limits).await;
    served.handle.kill("again");
    assert_eq!(deaf.request().await.1, MasterRequest::Shutdown);
    assert_eq!(served.end().await, "it was killed: again");
}

#[tokio::test]
async fn an_option_that_an_old_worker_ignores_is_a_warning_in_the_log() {
    let host = FakeHost::new();
    let worker_commands = [("shell".to_owned(), "3.2".to_owned())].into();
    let (served, mut worker) = connect(&host, 1, &WorkerInfo { worker_commands, ..stock() }, Limits::default()).await;
    let mut limited = spec("make");
    limited.lines_max = Some(500);
    served.handle.send(dispatch(order("c", Work::Run(limited))));
    worker.start().await;
    worker.ask(told("c", vec![Update::Rc(0)])).await;
    worker.ask(complete("c")).await;
    host.ended("c").await;
    let header = host.seen().text("c/header", STDIO, "h");
    assert_eq!(header.matches("too old to stop after 500 lines").count(), 1, "{header}");
}

#[tokio::test]
async fn texts_of_a_worker_that_end_in_a_state_are_bounded() {
    let host = FakeHost::new();
    let (served, mut worker) = connect(&host, 1, &stock(), Limits::default()).await;
    served.handle.send(dispatch(order("c", Work::Run(spec("make")))));
    worker.start().await;
    let reason = Update::FailureReason("x".repeat(1 << 20));
    worker.ask(told("c", vec![Update::Rc(-1), reason])).await;
    worker.ask(complete("c")).await;
    let CommandEnd::Broken(why) = host.ended("c").await.end else { panic!() };
    assert!(why.len() < 5_000, "{} bytes", why.len());
}

#[tokio::test]
async fn a_newcomer_that_is_sent_away_is_told_why() {
    let (mut master, worker) = pair();
    master.peer = None;
    let mut worker = FakeWorker::new(worker);
    let tell = async {
        let (seq, _) = worker.request().await;
        worker.respond(seq, Ok(stock().write())).await;
        worker.request().await.1
    };
    let refuse = async { link::greet(master, Limits::default()).await.unwrap().refuse("the name is taken").await };
    let ((), request) = tokio::join!(refuse, tell);
    assert_eq!(request, MasterRequest::Print { message: "this worker is refused: the name is taken".to_owned() });
}

#[tokio::test]
async fn a_connection_that_ends_before_its_facts_is_no_newcomer() {
    let (master, worker) = pair();
    drop(worker);
    assert!(link::greet(master, Limits::default()).await.is_err());
    let (master, worker) = pair();
    let mut worker = FakeWorker::new(worker);
    worker.raw(Frame::Binary(Bytes::from_static(b"\xc0"))).await;
    assert_eq!(link::greet(master, Limits::default()).await.unwrap_err(), "message is not a map but nil");
}

#[tokio::test]
async fn requests_before_the_facts_are_refused() {
    let (master, worker) = pair();
    let mut worker = FakeWorker::new(worker);
    let early = worker.ask(told("old", Vec::new())).await;
    let play = async {
        let (seq, _) = worker.request().await;
        assert!(worker.answer(early).await.is_err());
        worker.bytes(WorkerMessage::Response { seq, answer: Ok(stock().write()) }.encode()).await;
    };
    let (newcomer, ()) = tokio::join!(link::greet(master, Limits::default()), play);
    assert_eq!(newcomer.unwrap().identity().basedir, "/srv/w");
}

#[tokio::test]
async fn stock_workers_are_told_apart_by_directory_and_address() {
    let host = FakeHost::new();
    let (served, mut worker) = connect(&host, 1, &stock(), Limits::default()).await;
    let same = greeted(&stock(), None).await;
    assert!(matches!(link::arbitrate(&served.handle, &same).await, Verdict::Replace { .. }));
    for other in [
        greeted(&WorkerInfo { basedir: "/srv/other".to_owned(), ..stock() }, None).await,
        greeted(&stock(), Some("192.0.2.7:4000".parse().unwrap())).await,
    ] {
        let verdict = tokio::select! {
            verdict = link::arbitrate(&served.handle, &other) => verdict,
            // Answers pings; nothing else comes.
            message = worker.next() => panic!("{message:?}"),
        };
        assert!(matches!(verdict, Verdict::Refuse { .. }), "{verdict:?}");
    }
}

async fn greeted(info: &WorkerInfo, peer: Option<std::net::SocketAddr>) -> link::Newcomer {
    let (mut master, worker) = pair();
    master.peer = peer;
    let mut worker = FakeWorker::new(worker);
    let tell = async {
        let (seq, _) = worker.request().await;
        worker.respond(seq, Ok(info.write())).await;
    };
    tokio::join!(link::greet(master, Limits::default()), tell).0.unwrap()
}
