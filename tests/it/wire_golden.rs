//! What our worker and our master say to each other, as bytes: those of every released version must still be understood.
//!
//! `tests/golden/wire/v2/` has one message a file, as hexadecimal digits. `STARWRIGHT_BLESS=1` writes the messages of the *present*
//! version anew; those of older versions are never written again. A change of these bytes that the other side has to know of
//! needs a new `RESUME_VERSION` once there is a release, and the directory bears its number.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rmpv::Value;
use starwright::testing::base::Span;
use starwright::testing::master::link::{self, Limits};
use starwright::testing::model::{
    CommandId, CommandSpec, EnvValue, LogFileSpec, OnLost, Outcome, Piece, Program, Quote, StopLevel, Text,
};
use starwright::testing::protocol::{
    Caps, CommandArgs, CommandReport, ContentArg, LogChunk, MasterMessage, MasterRequest, Message, MsgPack,
    RESUME_VERSION, ReportedEnd, Request, ResumeAnswer, ResumedState, RunArgs, Seq, Settings, StdStream, Update,
    WorkerInfo, WorkerMessage, WorkerRequest,
};

use crate::support::link::{FakeWorker, pair};

/// The present version, which is blessed, and all that are read.
const VERSIONS: [&str; 1] = ["v2"];

fn golden(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/wire").join(version)
}

fn id() -> CommandId {
    CommandId("7-build-3".to_owned())
}

fn info() -> WorkerInfo {
    WorkerInfo {
        system: "posix".to_owned(),
        basedir: "/srv/worker".to_owned(),
        version: "0.1.0".to_owned(),
        numcpus: 8,
        environ: BTreeMap::from([("LANG".to_owned(), "C.UTF-8".to_owned())]),
        worker_commands: BTreeMap::from([("shell".to_owned(), "3.3".to_owned())]),
        delete_leftover_dirs: false,
        facts: BTreeMap::from([("admin".to_owned(), "Ada <ada@example.org>".to_owned())]),
        caps: Caps::OURS,
        instance: Some("0f8fad5b-d9cb-469f-a165-70867728950e".to_owned()),
    }
}

/// A command with everything that one can have.
fn command() -> RunArgs {
    let secret = |name: &str| Piece::Secret(name.to_owned());
    let words = vec![
        Text::plain("make"),
        Text(vec![Piece::Plain("TOKEN=".to_owned()), Piece::QuotedSecret("token".to_owned(), Quote::Single)]),
    ];
    let spec = CommandSpec {
        program: Program::Argv(words),
        workdir: "/srv/worker/linux/build".to_owned(),
        env: BTreeMap::from([
            ("TOKEN".to_owned(), EnvValue::Set(Text(vec![secret("token")]))),
            ("PATH".to_owned(), EnvValue::Join(["/opt/bin", "${PATH}"].map(Text::plain).to_vec())),
            ("DISPLAY".to_owned(), EnvValue::Unset),
        ]),
        idle_timeout: Some(Span::from_minutes(20)),
        total_timeout: Some(Span::from_minutes(120)),
        lines_max: Some(1000),
        log: "stdio".to_owned(),
        log_files: BTreeMap::from([(
            "tests".to_owned(),
            LogFileSpec { path: "out/tests.log".to_owned(), follow: true },
        )]),
        stdin: Some(Text::plain("yes\n")),
        exit_codes: BTreeMap::from([(0, Outcome::Success), (77, Outcome::Skipped)]),
        want_output: true,
        log_stdout: true,
        log_stderr: false,
        pty: true,
        grace: Span::from_seconds(5),
        on_lost: OnLost::RunAgain,
        output: Box::default(),
    };
    let mut args = RunArgs::new(spec);
    args.secrets = BTreeMap::from([("token".to_owned(), "hush".to_owned())]);
    args.masks = vec![("earlier".to_owned(), "quiet".to_owned()), ("token".to_owned(), "hush".to_owned())];
    args
}

/// What a master says, in the order of a connection.
fn of_the_master() -> Vec<(&'static str, MasterMessage)> {
    let command = CommandArgs::Run(Box::new(command()));
    let settings = Settings {
        newline_re: r"(\r\n|\r(?=.)|\033\[u|\033\[[0-9]+;[0-9]+[Hf]|\033\[2J|\x08+)".to_owned(),
        max_line_length: 262_144,
        buffer_timeout: 0.25,
        buffer_size: 65_536,
        caps: Caps::OURS,
    };
    let start = |args: &CommandArgs| MasterRequest::StartCommand {
        command: id(),
        name: args.name().to_owned(),
        builder: Some("linux".to_owned()),
        args: args.write(),
    };
    let path = || "/srv/worker/linux/dist".to_owned();
    let (blocksize, maxsize, offset) = (262_144, None, 524_288);
    let upload = CommandArgs::UploadFile { path: path(), blocksize, maxsize, keepstamp: false, offset };
    let upload_directory = CommandArgs::UploadDirectory { path: path(), blocksize, maxsize, compress: None, offset };
    let content = Some(ContentArg { digest: "ab".repeat(32), size: 1_000_000 });
    let download = CommandArgs::DownloadFile { path: path(), blocksize, maxsize, mode: Some(0o644), content };
    let requests = [
        ("10-who-are-you", MasterRequest::GetWorkerInfo { offer: Caps::OURS }),
        ("20-settings", MasterRequest::SetWorkerSettings(settings)),
        ("30-resume", MasterRequest::Resume { commands: BTreeMap::from([(id(), 17), (CommandId("8".to_owned()), 0)]) }),
        (
            "40-start",
            MasterRequest::StartCommand {
                command: id(),
                name: command.name().to_owned(),
                builder: Some("linux".to_owned()),
                args: command.write(),
            },
        ),
        (
            "50-interrupt",
            MasterRequest::InterruptCommand {
                command: id(),
                why: "stopped by Ada".to_owned(),
                builder: None,
                level: Some(StopLevel::Interrupt),
            },
        ),
        (
            "51-kill",
            MasterRequest::InterruptCommand {
                command: id(),
                why: "stopped by Ada".to_owned(),
                builder: None,
                level: Some(StopLevel::Kill),
            },
        ),
        ("52-upload", start(&upload)),
        ("53-upload-directory", start(&upload_directory)),
        ("54-download", start(&download)),
        ("60-keepalive", MasterRequest::Keepalive),
        ("61-print", MasterRequest::Print { message: "hello".to_owned() }),
        ("70-shutdown", MasterRequest::Shutdown),
    ];
    let mut messages: Vec<_> =
        requests.into_iter().zip(0..).map(|((name, request), seq)| (name, ask(seq, request))).collect();
    messages.push(("80-output-is-durable", Message::Response { seq: Seq::from(3), answer: Ok(MsgPack::Nil) }));
    messages
        .push(("81-cannot-keep", Message::Response { seq: Seq::from(4), answer: Err("the disk is full".to_owned()) }));
    messages
}

/// What a worker says.
fn of_the_worker() -> Vec<(&'static str, WorkerMessage)> {
    let commands = BTreeMap::from([
        (id(), ResumedState::Running),
        (CommandId("8".to_owned()), ResumedState::Unknown),
        (CommandId("9".to_owned()), ResumedState::Finished),
    ]);
    let states = ResumeAnswer { commands };
    let chunk = |log: &str, stream, data: &'static [u8], times: &[i64]| {
        Update::Chunk(LogChunk { log: log.to_owned(), stream, data: Bytes::from_static(data), times: times.to_vec() })
    };
    let update = |n, update| WorkerRequest::Update { command: id(), n: Some(n), updates: vec![update] };
    let complete = |n, report| WorkerRequest::Complete {
        command: id(),
        n: Some(n),
        failure: None,
        report: Some(Box::new(report)),
    };
    let exited = CommandReport {
        code: Some(2),
        stdout: Bytes::from_static(b"head of stdout"),
        stderr: Bytes::from_static(b"\xff\xfe"),
        cut: true,
        elapsed_ms: 61_234,
        ..CommandReport::of(ReportedEnd::Exited, "")
    };
    let killed = CommandReport { signal: Some(9), ..CommandReport::of(ReportedEnd::Killed, "out of memory") };
    let listed = CommandReport {
        code: Some(0),
        files: vec!["a".to_owned(), "b".to_owned()],
        stat: Some((1..=10).collect()),
        ..CommandReport::of(ReportedEnd::Exited, "")
    };
    let uploaded = CommandReport {
        code: Some(0),
        digest: Some("ab".repeat(32)),
        elapsed_ms: 1_500,
        ..CommandReport::of(ReportedEnd::Exited, "")
    };
    let mut messages = vec![
        ("10-who-i-am", Message::Response { seq: Seq::from(0), answer: Ok(info().write()) }),
        ("30-resumed", Message::Response { seq: Seq::from(2), answer: Ok(states.write()) }),
        ("40-started", Message::Response { seq: Seq::from(3), answer: Ok(MsgPack::Nil) }),
        ("41-refused", Message::Response { seq: Seq::from(3), answer: Err("no such directory".to_owned()) }),
    ];
    let requests = [
        (
            "50-stdout",
            update(0, chunk("stdio", StdStream::Stdout, b"one\ntwo\n", &[1_795_336_402_893, 1_795_336_402_894])),
        ),
        ("51-stderr", update(1, chunk("stdio", StdStream::Stderr, b"no utf-8: \xff\n", &[1_795_336_402_895]))),
        ("52-header", update(2, chunk("stdio", StdStream::Header, b"killed\n", &[1_795_336_402_896]))),
        ("53-log-file", update(3, chunk("tests", StdStream::Stdout, b"no newline at the end", &[1_795_336_402_897]))),
        ("60-exited", complete(4, exited)),
        ("61-killed", complete(4, killed)),
        ("62-lost", complete(4, CommandReport::of(ReportedEnd::Lost, "its runner died"))),
        ("63-listed", complete(0, listed)),
        ("64-uploaded", complete(0, uploaded)),
        (
            "70-block",
            WorkerRequest::UploadFileWrite {
                command: id(),
                offset: Some(262_144),
                data: Bytes::from_static(b"block\xff"),
            },
        ),
        (
            "71-block-of-a-directory",
            WorkerRequest::UploadDirectoryWrite { command: id(), offset: Some(0), data: Bytes::from_static(b"tar") },
        ),
        ("72-wants-a-block", WorkerRequest::ReadFile { command: id(), offset: Some(262_144), length: 65_536 }),
    ];
    messages.extend(requests.into_iter().zip(0..).map(|((name, request), seq)| (name, ask(seq, request))));
    messages
}

fn ask<R: Request>(seq: u64, request: R) -> Message<R> {
    Message::Request { seq: Seq::from(seq), request }
}

fn hex(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    // Lines that a page can show.
    digits.as_bytes().chunks(96).map(|line| format!("{}\n", String::from_utf8_lossy(line))).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

fn check<R: Request + Debug + PartialEq>(side: &str, messages: Vec<(&'static str, Message<R>)>) {
    if std::env::var_os("STARWRIGHT_BLESS").is_some() {
        let dir = golden(VERSIONS[VERSIONS.len() - 1]).join(side);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        for (name, message) in &messages {
            fs::write(dir.join(format!("{name}.hex")), hex(&message.encode())).unwrap();
        }
    }
    for version in VERSIONS {
        let mut found: Vec<PathBuf> =
            fs::read_dir(golden(version).join(side)).unwrap().map(|entry| entry.unwrap().path()).collect();
        found.sort();
        assert!(!found.is_empty());
        for path in found {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let Some((_, message)) = messages.iter().find(|(known, _)| *known == name) else {
                panic!("{}: nobody says what it means", path.display());
            };
            let bytes = unhex(&fs::read_to_string(&path).unwrap());
            let read = Message::<R>::decode(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(&read, message, "{}", path.display());
        }
    }
    let present = golden(VERSIONS[VERSIONS.len() - 1]).join(side);
    for (name, message) in &messages {
        let kept = fs::read_to_string(present.join(format!("{name}.hex"))).unwrap_or_default();
        assert_eq!(
            hex(&message.encode()),
            kept,
            "{side}/{name}: this version says it in other bytes; keep the old ones as a version of their own"
        );
    }
}

#[test]
fn what_masters_of_every_released_version_say_is_understood() {
    check("master", of_the_master());
}

#[test]
fn what_workers_of_every_released_version_say_is_understood() {
    check("worker", of_the_worker());
}

#[test]
fn what_is_inside_of_messages_is_understood() {
    let start = unhex(&fs::read_to_string(golden(VERSIONS[0]).join("master/40-start.hex")).unwrap());
    let Message::Request { request: MasterRequest::StartCommand { name, args, .. }, .. } =
        MasterMessage::decode(&start).unwrap()
    else {
        panic!("it starts a command")
    };
    let CommandArgs::Run(read) = CommandArgs::read(&name, &args).unwrap() else { panic!("it is a command to run") };
    assert!(*read == command(), "{read:?}");
    let told = unhex(&fs::read_to_string(golden(VERSIONS[0]).join("worker/10-who-i-am.hex")).unwrap());
    let Message::Response { answer: Ok(answer), .. } = WorkerMessage::decode(&told).unwrap() else { panic!() };
    assert_eq!(WorkerInfo::read(&answer), info());
    let resumed = unhex(&fs::read_to_string(golden(VERSIONS[0]).join("worker/30-resumed.hex")).unwrap());
    let Message::Response { answer: Ok(answer), .. } = WorkerMessage::decode(&resumed).unwrap() else { panic!() };
    let states = ResumeAnswer::read(&answer).commands;
    assert_eq!(
        states.values().copied().collect::<Vec<_>>(),
        [ResumedState::Running, ResumedState::Unknown, ResumedState::Finished]
    );
}

/// Without a common version nothing is sent, so this is a master or worker that lies about its version.
#[test]
fn a_specification_that_cannot_be_read_is_refused_in_words() {
    let args = CommandArgs::Run(Box::new(command())).write();
    let Value::Map(mut entries) = args.0 else { panic!() };
    for (key, value) in &mut entries {
        if key.as_str() == Some("spec") {
            *value = Value::Binary(b"\x81\xa7program\xc0".to_vec());
        }
    }
    let why =
        CommandArgs::read("x_run", &starwright::testing::protocol::Args(Value::Map(entries))).unwrap_err().to_string();
    assert!(why.starts_with("`spec` cannot be read: "), "{why}");
    assert!(why.ends_with("use the same version of starwright for the master and its workers"), "{why}");
}

#[test]
fn the_present_messages_bear_the_present_version() {
    assert_eq!(VERSIONS[VERSIONS.len() - 1], format!("v{RESUME_VERSION}"));
}

#[test]
fn a_newer_version_of_the_other_side_is_refused_in_words() {
    let version = |number: u64| Value::Map(vec![("resume".into(), Value::Map(vec![("v".into(), number.into())]))]);
    for (other, older) in [(RESUME_VERSION + 1, "master"), (RESUME_VERSION - 1, "worker")] {
        let told = WorkerInfo::read(&Value::Map(vec![("x_caps".into(), version(other))]));
        let why = told.caps.incompatibility("worker").unwrap();
        assert!(why.contains(&format!("version {other}")), "{why}");
        assert!(why.ends_with(&format!("update starwright on the {older}")), "{why}");
    }
    assert_eq!(WorkerInfo::read(&Value::Map(vec![("x_caps".into(), version(RESUME_VERSION))])).caps, Caps::OURS);
    assert_eq!(WorkerInfo::read(&Value::Map(Vec::new())).caps, Caps::default(), "a stock worker");
    // A newer master that still offers the present version is served; one that does not is refused.
    for (offered, is_refused) in [(vec![2, 3], false), (vec![3, 4], true), (vec![1], true)] {
        let versions = Value::Array(offered.into_iter().map(|number: u64| number.into()).collect());
        let offer = Value::Map(vec![("resume".into(), Value::Map(vec![("v".into(), versions)]))]);
        let bytes = encoded(&[
            ("op", "get_worker_info".into()),
            ("seq_number", 0.into()),
            ("x_caps", Value::Map(vec![("offer".into(), offer)])),
        ]);
        let Message::Request { request: MasterRequest::GetWorkerInfo { offer }, .. } =
            MasterMessage::decode(&bytes).unwrap()
        else {
            panic!()
        };
        assert_eq!(offer.incompatibility("master").is_some(), is_refused);
    }
}

#[tokio::test]
async fn a_worker_of_a_newer_version_is_told_apart_when_it_introduces_itself() {
    let (master, worker) = pair();
    let mut worker = FakeWorker::new(worker);
    let (newcomer, ()) = tokio::join!(link::greet(master, Limits::default()), async {
        let (seq, request) = worker.request().await;
        assert_eq!(request, MasterRequest::GetWorkerInfo { offer: Caps::OURS });
        let info = WorkerInfo { caps: Caps { resume: false, unsupported: Some(3) }, ..info() };
        worker.respond(seq, Ok(info.write())).await;
    });
    let why = newcomer.unwrap().incompatibility().unwrap();
    assert!(why.contains("the worker speaks version 3 of `resume`"), "{why}");
}

fn encoded(entries: &[(&str, Value)]) -> Vec<u8> {
    let map = Value::Map(entries.iter().map(|(key, value)| ((*key).into(), value.clone())).collect());
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &map).unwrap();
    bytes
}
