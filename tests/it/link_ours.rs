//! The master's end of a connection with one of our own workers, played by a script.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use starwright::testing::engine::{Input, ResumeState, StopLevel, Work};
use starwright::testing::master::link::{self, Limits, LinkOrder, Verdict};
use starwright::testing::model::{CommandEnd, CommandId, CommandSpec, EnvValue, FileCommand, Outcome, Piece, Text};
use starwright::testing::protocol::{
    CommandArgs, CommandReport, LogChunk, MasterRequest, ReportedEnd, ResumeAnswer, ResumedState, StdStream, Update,
    WorkerRequest,
};

use crate::support::link::{
    FakeHost, FakeWorker, SIDE, STDIO, Served, UNREADABLE, connect, dispatch, order, ours, pair, run, serve, spec,
    stock,
};

fn id(id: &str) -> CommandId {
    CommandId(id.to_owned())
}

fn chunk(command: &str, n: u64, log: &str, text: &str) -> WorkerRequest {
    let chunk = LogChunk {
        log: log.to_owned(),
        stream: StdStream::Stdout,
        data: Bytes::copy_from_slice(text.as_bytes()),
        times: vec![1_000],
    };
    WorkerRequest::Update { command: id(command), n: Some(n), updates: vec![Update::Chunk(chunk)] }
}

fn complete(command: &str, n: u64, report: CommandReport) -> WorkerRequest {
    WorkerRequest::Complete { command: id(command), n: Some(n), failure: None, report: Some(Box::new(report)) }
}

fn exited(code: i64) -> CommandReport {
    CommandReport { code: Some(code), elapsed_ms: 5, ..CommandReport::of(ReportedEnd::Exited, "") }
}

/// Takes the question what is wanted, and answers with these states.
async fn resume(worker: &mut FakeWorker, states: &[(&str, ResumedState)]) -> BTreeMap<CommandId, u64> {
    let (seq, request) = worker.request().await;
    let MasterRequest::Resume { commands } = request else { panic!("{request:?}") };
    let states = states.iter().map(|(command, state)| (id(command), *state)).collect();
    worker.respond(seq, Ok(ResumeAnswer { commands: states }.write())).await;
    commands
}

/// A worker of ours that runs one command.
async fn running(host: &Arc<FakeHost>, command: &str) -> (Served, FakeWorker) {
    let (served, mut worker) = connect(host, 1, &ours("spool-1"), Limits::default()).await;
    // The order waits until the worker knows what is wanted of it.
    served.handle.send(dispatch(run(command, "make")));
    served.handle.send(LinkOrder::Resume { commands: Vec::new() });
    assert!(resume(&mut worker, &[]).await.is_empty());
    assert_eq!(worker.start().await.0, id(command));
    host.resumed().await;
    (served, worker)
}

#[tokio::test]
async fn a_worker_of_ours_is_announced_with_its_instance() {
    let host = FakeHost::new();
    let (_served, _worker) = connect(&host, 1, &ours("spool-1"), Limits::default()).await;
    let seen = host.seen();
    let [Input::WorkerConnected { worker, epoch: 1, instance, resumes: true, info }] = seen.inputs.as_slice() else {
        panic!("{:?}", seen.inputs)
    };
    assert_eq!((worker.as_str(), instance.as_str()), ("w1", "spool-1"));
    assert_eq!((info["system"].as_str(), info["numcpus"].as_str()), ("posix", "2"));
}

#[tokio::test]
async fn output_and_end_are_answered_once_they_are_durable() {
    let host = FakeHost::new();
    let (served, mut worker) = running(&host, "c").await;
    host.hold();
    let first = worker.ask(chunk("c", 0, "stdio", "one\n")).await;
    let last = worker.ask(complete("c", 1, exited(3))).await;
    // The engine hears of the end at once: what follows from it is durable only together with the output before it.
    let result = host.ended("c").await;
    // Whatever else is asked is answered, so the two would have been by now.
    let other = worker.ask(WorkerRequest::Unknown { op: "x_later".to_owned() }).await;
    assert!(worker.answer(other).await.is_err());
    assert!(!worker.was_answered(first) && !worker.was_answered(last));
    host.release();
    assert!(worker.answer(first).await.is_ok());
    assert!(worker.answer(last).await.is_ok());
    assert_eq!((result.end, result.outcome), (CommandEnd::Exited(3), Outcome::Failure));
    assert_eq!(host.seen().text("c", STDIO, "o"), "one\n");
    drop(served);
}

#[tokio::test]
async fn output_goes_on_after_a_reconnect_without_loss_or_doubling() {
    let host = FakeHost::new();
    let (served, mut worker) = running(&host, "c").await;
    for (n, log) in ["stdio", "side", "stdio", "side", "side"].into_iter().enumerate() {
        let n = u64::try_from(n).unwrap();
        let asked = worker.ask(chunk("c", n, log, &format!("{n}\n"))).await;
        worker.answer(asked).await.unwrap();
    }
    drop(worker);
    served.end().await;

    let (served, mut worker) = connect(&host, 2, &ours("spool-1"), Limits::default()).await;
    served.handle.send(LinkOrder::Resume { commands: vec![run("c", "make"), run("gone", "make")] });
    let wanted = resume(&mut worker, &[("c", ResumedState::Running), ("gone", ResumedState::Unknown)]).await;
    assert_eq!(wanted, BTreeMap::from([(id("c"), 5), (id("gone"), 0)]));
    let states = host.resumed_again(2).await;
    assert_eq!(
        states.iter().map(|resumed| resumed.state).collect::<Vec<_>>(),
        [ResumeState::Known, ResumeState::NeverSeen]
    );

    // A part that is there already, one that is not, a log nobody knows.
    for (n, log) in [(4, "side"), (5, "side"), (6, "stdio"), (7, "other")] {
        let asked = worker.ask(chunk("c", n, log, &format!("{n}\n"))).await;
        worker.answer(asked).await.unwrap();
    }
    let asked = worker.ask(complete("c", 8, exited(0))).await;
    worker.answer(asked).await.unwrap();
    assert_eq!(host.ended("c").await.outcome, Outcome::Success);
    let seen = host.seen();
    assert_eq!(seen.text("c", STDIO, "o"), "0\n2\n6\n7\n");
    assert_eq!(seen.text("c", SIDE, "o"), "1\n3\n4\n5\n");
    assert_eq!(seen.kinds(), ["connected", "resumed", "lost", "connected", "resumed", "ended"]);
}

#[tokio::test]
async fn an_end_that_comes_before_its_resume_is_recorded_waits_for_it() {
    let host = FakeHost::new();
    let (served, mut worker) = connect(&host, 1, &ours("spool-1"), Limits::default()).await;
    served.handle.send(LinkOrder::Resume { commands: vec![run("c", "make")] });
    let (seq, _) = worker.request().await;
    // Too early, but no reason to fail.
    let last = worker.ask(complete("c", 0, exited(0))).await;
    let other = worker.ask(WorkerRequest::Unknown { op: "x_later".to_owned() }).await;
    assert!(worker.answer(other).await.is_err());
    assert_eq!(host.seen().kinds(), ["connected"]);
    let states = BTreeMap::from([(id("c"), ResumedState::Finished)]);
    worker.respond(seq, Ok(ResumeAnswer { commands: states }.write())).await;
    worker.answer(last).await.unwrap();
    assert_eq!(host.seen().kinds(), ["connected", "resumed", "ended"]);
}

#[tokio::test]
async fn a_worker_that_cannot_resume_after_all_has_lost_everything() {
    let host = FakeHost::new();
    let (served, mut worker) = connect(&host, 1, &ours("spool-1"), Limits::default()).await;
    served.handle.send(LinkOrder::Resume { commands: vec![run("c", "make")] });
    let (seq, _) = worker.request().await;
    worker.respond(seq, Err("the disk is gone".to_owned())).await;
    assert_eq!(host.resumed().await[0].state, ResumeState::Lost);
}

#[tokio::test]
async fn a_command_whose_logs_cannot_be_read_is_lost_alone() {
    let host = FakeHost::new();
    let (served, mut worker) = connect(&host, 1, &ours("spool-1"), Limits::default()).await;
    let mut damaged = run("damaged", "make");
    damaged.logs.insert("stdio".to_owned(), UNREADABLE);
    served.handle.send(LinkOrder::Resume { commands: vec![damaged, run("c", "make")] });
    let wanted = resume(&mut worker, &[("c", ResumedState::Running)]).await;
    assert_eq!(wanted, BTreeMap::from([(id("c"), 0)]));
    let states: Vec<ResumeState> = host.resumed().await.iter().map(|resumed| resumed.state).collect();
    assert_eq!(states, [ResumeState::Lost, ResumeState::Known]);
}

#[tokio::test]
async fn a_gap_in_the_output_ends_the_connection() {
    let host = FakeHost::new();
    let (served, mut worker) = running(&host, "c").await;
    worker.ask(chunk("c", 1, "stdio", "late\n")).await;
    assert_eq!(served.end().await, "it sent part 1 of command c, where part 0 was expected");
    assert_eq!(host.seen().kinds(), ["connected", "resumed", "lost"]);
}

#[tokio::test]
async fn an_end_that_counts_more_parts_than_came_ends_the_connection() {
    let host = FakeHost::new();
    let (served, mut worker) = running(&host, "c").await;
    worker.ask(complete("c", 2, exited(0))).await;
    assert!(served.end().await.contains("part 2"));
    assert_eq!(host.seen().kinds(), ["connected", "resumed", "lost"]);
}

#[tokio::test]
async fn an_end_that_arrived_counts_though_the_connection_broke() {
    let host = FakeHost::new();
    let (served, mut worker) = running(&host, "c").await;
    host.hold();
    worker.ask(chunk("c", 0, "stdio", "one\n")).await;
    worker.ask(complete("c", 1, exited(0))).await;
    drop(worker);
    host.release();
    served.end().await;
    assert_eq!(host.seen().kinds(), ["connected", "resumed", "ended", "lost"]);
}

#[tokio::test]
async fn while_the_disk_is_slow_the_socket_is_not_read() {
    const BLOCK: usize = 1 << 20;
    const BLOCKS: u64 = 40;
    let host = FakeHost::new();
    let (served, mut worker) = running(&host, "c").await;
    host.hold();
    let line = "x".repeat(BLOCK - 1) + "\n";
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let sender = tokio::spawn(async move {
        for n in 0..BLOCKS {
            worker.ask(chunk("c", n, "stdio", &line)).await;
            counter.fetch_add(1, Ordering::Relaxed);
        }
        let last = worker.ask(complete("c", BLOCKS, exited(0))).await;
        worker.answer(last).await
    });
    // All of this runs on one thread: after so many turns nobody can go on any more.
    for _ in 0..10_000 {
        tokio::task::yield_now().await;
    }
    // Sixteen are taken, a few fit into the connection.
    assert!((16..24).contains(&sent.load(Ordering::Relaxed)), "{sent:?}");
    host.release();
    sender.await.unwrap().unwrap();
    assert_eq!(host.seen().parts.len(), usize::try_from(BLOCKS).unwrap());
    drop(served);
}

#[tokio::test]
async fn secrets_are_revealed_to_the_worker_alone() {
    let host = FakeHost::new();
    let directory = tempfile::tempdir().unwrap();
    std::fs::create_dir(directory.path().join("secrets")).unwrap();
    std::fs::write(directory.path().join("secrets/token"), "s3cret\n").unwrap();
    host.secrets_in(directory.path().to_owned());
    let (served, mut worker) = connect(&host, 1, &ours("spool-1"), Limits::default()).await;

    let secret = |name: &str| Text(vec![Piece::Secret(name.to_owned())]);
    let mut spec = spec("deploy");
    spec.env.insert("TOKEN".to_owned(), EnvValue::Set(secret("token")));
    spec.env.insert("CI".to_owned(), EnvValue::Set(Text::plain("true")));
    served.handle.send(LinkOrder::Resume { commands: Vec::new() });
    served.handle.send(dispatch(order("c", Work::Run(spec.clone()))));
    resume(&mut worker, &[]).await;
    let (_, name, args) = worker.start().await;
    let Ok(CommandArgs::Run(sent)) = CommandArgs::read(&name, &args) else { panic!() };
    assert_eq!(sent.secrets, BTreeMap::from([("token".to_owned(), "s3cret".to_owned())]));
    assert_eq!(sent.masks, [("token".to_owned(), "s3cret".to_owned())]);
    // The specification arrives as it is, with its place on the worker.
    assert_eq!(sent.spec, CommandSpec { workdir: "/srv/w/linux/build".to_owned(), ..spec.clone() });
    let header = host.until(|seen| Some(seen.text("c/header", STDIO, "h")).filter(|text| !text.is_empty())).await;
    assert_eq!(header, " with environment\n  CI=true\n  TOKEN=<token>\n");

    // Later commands of this worker are watched for it, too.
    served.handle.send(dispatch(run("d", "cat token")));
    let (_, name, args) = worker.start().await;
    let Ok(CommandArgs::Run(sent)) = CommandArgs::read(&name, &args) else { panic!() };
    assert_eq!((sent.secrets.len(), sent.masks.len()), (0, 1));

    spec.stdin = Some(secret("nobody"));
    served.handle.send(dispatch(order("e", Work::Run(spec))));
    let CommandEnd::Broken(why) = host.ended("e").await.end else { panic!() };
    assert!(why.contains("`nobody`") && !why.contains("s3cret"), "{why}");
}

#[tokio::test]
async fn stops_have_levels_and_reasons() {
    let host = FakeHost::new();
    let (served, mut worker) = running(&host, "c").await;
    for on_wire in [StopLevel::Interrupt, StopLevel::Kill] {
        let level = on_wire;
        served.handle.send(LinkOrder::Interrupt { command: id("c"), level, why: "ann stopped it".to_owned() });
        let (_, request) = worker.request().await;
        let MasterRequest::InterruptCommand { command, level, why, .. } = request else { panic!("{request:?}") };
        assert_eq!((command, level, why.as_str()), (id("c"), Some(on_wire), "ann stopped it"));
    }
    worker.ask(complete("c", 0, CommandReport::of(ReportedEnd::Interrupted, "by the master"))).await;
    assert_eq!(host.ended("c").await.end, CommandEnd::Interrupted("ann stopped it".to_owned()));
}

#[tokio::test]
async fn every_reported_end_has_its_meaning() {
    let host = FakeHost::new();
    let (served, mut worker) = connect(&host, 1, &ours("spool-1"), Limits::default()).await;
    served.handle.send(LinkOrder::Resume { commands: Vec::new() });
    resume(&mut worker, &[]).await;
    let ends = [
        (CommandReport { signal: Some(9), ..CommandReport::of(ReportedEnd::Killed, "") }, CommandEnd::Killed(Some(9))),
        (CommandReport::of(ReportedEnd::IdleTimeout, ""), CommandEnd::IdleTimeout),
        (CommandReport::of(ReportedEnd::TotalTimeout, ""), CommandEnd::TotalTimeout),
        (CommandReport::of(ReportedEnd::TooManyLines, ""), CommandEnd::TooManyLines),
        (CommandReport::of(ReportedEnd::Broken, "no shell"), CommandEnd::Broken("no shell".to_owned())),
        (CommandReport::of(ReportedEnd::Lost, "runner died"), CommandEnd::Lost("runner died".to_owned())),
    ];
    for (n, (report, end)) in ends.into_iter().enumerate() {
        let command = format!("c{n}");
        served.handle.send(dispatch(run(&command, "make")));
        worker.start().await;
        worker.ask(complete(&command, 0, report)).await;
        assert_eq!(host.ended(&command).await.end, end);
    }
}

#[tokio::test]
async fn a_file_commands_answer_comes_with_its_end() {
    let host = FakeHost::new();
    let (served, mut worker) = running(&host, "c").await;
    served.handle.send(dispatch(order("f", Work::File(FileCommand::Glob("*.tar".to_owned())))));
    let (_, name, args) = worker.start().await;
    assert_eq!(CommandArgs::read(&name, &args), Ok(CommandArgs::Glob { path: "/srv/w/linux/*.tar".to_owned() }));
    let report = CommandReport { files: vec!["/srv/w/linux/a.tar".to_owned()], ..exited(0) };
    worker.ask(complete("f", 0, report)).await;
    let result = host.ended("f").await;
    assert_eq!((result.files.len(), result.outcome), (1, Outcome::Success));

    served.handle.send(dispatch(order("g", Work::File(FileCommand::List("nowhere".to_owned())))));
    worker.start().await;
    worker.ask(complete("g", 0, CommandReport { why: "no such directory".to_owned(), ..exited(2) })).await;
    let result = host.ended("g").await;
    assert_eq!((result.end, result.stderr.as_deref()), (CommandEnd::Exited(2), Some("no such directory")));
}

#[tokio::test]
async fn wanted_output_comes_with_the_end() {
    let host = FakeHost::new();
    let (served, mut worker) = connect(&host, 1, &ours("spool-1"), Limits::default()).await;
    let mut wanting = spec("git rev-parse HEAD");
    (wanting.want_output, wanting.log_stdout) = (true, false);
    served.handle.send(LinkOrder::Resume { commands: Vec::new() });
    served.handle.send(dispatch(order("c", Work::Run(wanting))));
    resume(&mut worker, &[]).await;
    let (_, name, args) = worker.start().await;
    let Ok(CommandArgs::Run(sent)) = CommandArgs::read(&name, &args) else { panic!() };
    assert!(sent.spec.want_output && !sent.spec.log_stdout);
    let report = CommandReport { stdout: Bytes::from_static(b"abc\xff\n"), ..exited(0) };
    worker.ask(complete("c", 0, report)).await;
    let result = host.ended("c").await;
    assert_eq!((result.stdout.as_deref(), result.stderr.as_deref()), (Some("abc\u{fffd}\n"), Some("")));
}

#[tokio::test]
async fn a_link_that_is_cut_ends_at_once_and_says_why() {
    let host = FakeHost::new();
    let (served, mut worker) = running(&host, "c").await;
    served.handle.disconnect("a newer connection took over");
    served.handle.disconnect("a second reason");
    assert_eq!(worker.next().await, None);
    assert_eq!(served.end().await, "a newer connection took over");
    assert_eq!(host.lost().await, "a newer connection took over");
}

#[tokio::test]
async fn a_cut_link_ends_though_neither_disk_nor_worker_move() {
    let host = FakeHost::new();
    let short = Limits { drain: Duration::from_millis(50), goodbye: Duration::from_millis(50), ..Limits::default() };
    let (served, mut worker) = connect(&host, 1, &ours("spool-1"), short).await;
    served.handle.send(LinkOrder::Resume { commands: Vec::new() });
    served.handle.send(dispatch(run("c", "make")));
    resume(&mut worker, &[]).await;
    worker.start().await;
    host.hold();
    worker.ask(chunk("c", 0, "stdio", "one\n")).await;
    served.handle.disconnect("given up");
    assert_eq!(served.end().await, "given up");
}

#[tokio::test]
async fn the_same_worker_that_comes_back_takes_over() {
    let host = FakeHost::new();
    let (served, _worker) = running(&host, "c").await;
    let newcomer = greeted(&ours("spool-1")).await;
    assert!(matches!(link::arbitrate(&served.handle, &newcomer).await, Verdict::Replace { .. }));
}

#[tokio::test]
async fn a_second_worker_of_the_name_is_refused_while_the_first_answers() {
    let host = FakeHost::new();
    let (served, mut worker) = running(&host, "c").await;
    let newcomer = greeted(&ours("spool-2")).await;
    let (verdict, _) = tokio::join!(link::arbitrate(&served.handle, &newcomer), async {
        // Answers pings until it is told something else, which does not happen.
        tokio::time::timeout(Duration::from_secs(1), worker.next()).await
    });
    let Verdict::Refuse { why } = verdict else { panic!("{verdict:?}") };
    assert_eq!(
        why,
        "two workers share the name `w1`: the one in `/srv/w` is connected, the one in `/srv/w` was refused"
    );
    newcomer.refuse("the test wants it").await;
}

#[tokio::test]
async fn a_copy_of_a_workers_directory_is_another_worker() {
    let host = FakeHost::new();
    let (served, mut worker) = running(&host, "c").await;
    let copy = starwright::testing::protocol::WorkerInfo { basedir: "/srv/copy".to_owned(), ..ours("spool-1") };
    let newcomer = greeted(&copy).await;
    let (verdict, _) = tokio::join!(link::arbitrate(&served.handle, &newcomer), async {
        tokio::time::timeout(Duration::from_secs(1), worker.next()).await
    });
    let Verdict::Refuse { why } = verdict else { panic!("{verdict:?}") };
    assert!(why.ends_with("the one in `/srv/copy` was refused; one's directory is a copy of the other's"), "{why}");
}

#[tokio::test]
async fn a_second_worker_of_the_name_takes_over_from_one_that_does_not_answer() {
    let host = FakeHost::new();
    let (served, _silent) = running(&host, "c").await;
    let newcomer = greeted_within(&stock(), Duration::from_millis(50)).await;
    assert!(matches!(link::arbitrate(&served.handle, &newcomer).await, Verdict::Replace { .. }));
}

async fn greeted(info: &starwright::testing::protocol::WorkerInfo) -> link::Newcomer {
    greeted_within(info, Limits::default().probe).await
}

async fn greeted_within(info: &starwright::testing::protocol::WorkerInfo, probe: Duration) -> link::Newcomer {
    let (master, worker) = pair();
    let mut worker = FakeWorker::new(worker);
    let limits = Limits { probe, ..Limits::default() };
    let tell = async {
        let (seq, _) = worker.request().await;
        worker.respond(seq, Ok(info.write())).await;
    };
    tokio::join!(link::greet(master, limits), tell).0.unwrap()
}

#[tokio::test]
async fn an_overdue_answer_to_resume_ends_the_connection() {
    let host = FakeHost::new();
    let short = Limits { answer: Duration::from_millis(20), ..Limits::default() };
    let (master, worker) = pair();
    let mut worker = FakeWorker::new(worker);
    let info = ours("spool-1");
    let (served, _) = tokio::join!(serve(&host, 1, master, short), worker.introduce(&info));
    let served = served.unwrap();
    served.handle.send(LinkOrder::Resume { commands: Vec::new() });
    worker.request().await;
    assert_eq!(served.end().await, "it left a request unanswered for 20ms");
}
