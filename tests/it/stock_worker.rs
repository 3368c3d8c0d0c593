//! The unmodified `buildbot-worker` 4.3.0 from PyPI at the other end of a link: real processes, real files.

use std::collections::BTreeMap;
use std::fs;

use starwright::testing::base::Span;
use starwright::testing::engine::{Input, StopLevel, Work};
use starwright::testing::master::link::LinkOrder;
use starwright::testing::model::{
    CommandEnd, CommandId, CommandResult, CommandSpec, EnvValue, FileCommand, LogFileSpec, Outcome, Piece, Program,
    Text,
};

use crate::support::link::{SIDE, STDIO, dispatch, order, run, spec};
use crate::support::stock_worker::Stage;

impl Stage {
    async fn run(&self, id: &str, spec: CommandSpec) -> CommandResult {
        self.served.handle.send(dispatch(order(id, Work::Run(spec))));
        self.host.ended(id).await
    }

    async fn file(&self, id: &str, command: FileCommand) -> CommandResult {
        self.served.handle.send(dispatch(order(id, Work::File(command))));
        self.host.ended(id).await
    }
}

fn wanting(line: &str) -> CommandSpec {
    CommandSpec { want_output: true, ..spec(line) }
}

#[tokio::test]
async fn commands_run_and_tell_how_they_ended() {
    let stage = Stage::new().await;
    let info = stage.host.until(|seen| match seen.inputs.first() {
        Some(Input::WorkerConnected { info, resumes: false, instance, .. }) if instance.is_empty() => {
            Some(info.clone())
        }
        _ => None,
    });
    let info = info.await;
    assert_eq!((info["version"].as_str(), info["system"].as_str()), ("4.3.0", "posix"));
    assert_eq!(info["basedir"], stage.worker.base().display().to_string());
    assert_eq!(info["address"], "127.0.0.1");

    let result = stage.run("ok", wanting("echo out; echo err >&2; printf unfinished")).await;
    assert_eq!((result.end, result.outcome), (CommandEnd::Exited(0), Outcome::Success));
    assert_eq!((result.stdout.as_deref(), result.stderr.as_deref()), (Some("out\nunfinished\n"), Some("err\n")));
    assert!(!result.cut && result.elapsed > Span::ZERO);
    let seen = stage.host.seen();
    assert_eq!(seen.text("ok", STDIO, "o"), "out\nunfinished\n");
    assert_eq!(seen.text("ok", STDIO, "e"), "err\n");
    assert!(seen.text("ok", STDIO, "h").starts_with("echo out; echo err >&2; printf unfinished\n in dir "));

    let mut warned = spec("exit 3");
    warned.exit_codes = BTreeMap::from([(0, Outcome::Success), (3, Outcome::Warnings)]);
    let result = stage.run("warned", warned).await;
    assert_eq!((result.end, result.outcome), (CommandEnd::Exited(3), Outcome::Warnings));

    let result = stage.run("killed", spec("kill -SEGV $$")).await;
    assert_eq!((result.end, result.outcome), (CommandEnd::Killed(Some(11)), Outcome::Failure));

    let mut words = wanting("");
    words.program = Program::Argv(["printf", "%s|", "a b", "$HOME", "'"].map(Text::plain).to_vec());
    assert_eq!(stage.run("words", words).await.stdout.as_deref(), Some("a b|$HOME|'|\n"));

    let mut missing = wanting("");
    missing.program = Program::Argv(vec![Text::plain("no-such-program")]);
    let result = stage.run("missing", missing).await;
    assert_eq!(result.end, CommandEnd::NotStarted("there is no program `no-such-program`".to_owned()));
    assert!(result.stderr.unwrap().contains("No such file or directory"));

    let mut typed = wanting("cat");
    typed.stdin = Some(Text::plain("typed\n"));
    assert_eq!(stage.run("typed", typed).await.stdout.as_deref(), Some("typed\n"));

    let mut terminal = wanting("tty >/dev/null && echo terminal");
    terminal.pty = true;
    assert_eq!(stage.run("terminal", terminal).await.stdout.as_deref(), Some("terminal\n"));

    let mut impossible = spec("true");
    impossible.workdir = stage.worker.base().join("buildbot.tac/x").display().to_string();
    let CommandEnd::Broken(why) = stage.run("impossible", impossible).await.end else { panic!() };
    assert!(why.contains("Not a directory"), "{why}");
}

#[tokio::test]
async fn environments_are_merged_and_secrets_stay_hidden() {
    let stage = Stage::new().await;
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("secrets")).unwrap();
    fs::write(directory.path().join("secrets/token"), "s3cret-value\n").unwrap();
    stage.host.secrets_in(directory.path().to_owned());

    let mut spec = wanting("echo $PLAIN/$BUILDER/$JOINED/${HOME:-none}; env | grep TOKEN | base64 -w0; echo $TOKEN");
    let set = |text: &str| EnvValue::Set(Text::plain(text));
    spec.env.insert("PLAIN".to_owned(), set("<${LANG}>"));
    spec.env.insert("JOINED".to_owned(), EnvValue::Join(vec![Text::plain("/a"), Text::plain("/b")]));
    spec.env.insert("HOME".to_owned(), EnvValue::Unset);
    spec.env.insert("PYTHONPATH".to_owned(), EnvValue::Unset);
    spec.env.insert("TOKEN".to_owned(), EnvValue::Set(Text(vec![Piece::Secret("token".to_owned())])));
    let mut order = order("env", Work::Run(spec));
    order.env.insert("BUILDER".to_owned(), set("from builder"));
    order.env.insert("PLAIN".to_owned(), set("overridden"));
    stage.served.handle.send(dispatch(order));
    let result = stage.host.ended("env").await;
    let stdout = result.stdout.unwrap();
    let mut lines = stdout.lines();
    assert_eq!(lines.next(), Some("<C.UTF-8>/from builder//a:/b/none"));
    let hidden = lines.next().unwrap();
    assert!(hidden.contains("<token>") && hidden.ends_with("<token>"), "{hidden}");
    let seen = stage.host.seen();
    let everything: String = ["env", "env/header"].map(|source| seen.text(source, STDIO, "oeh")).concat();
    assert!(!everything.contains("s3cret"), "{everything}");
    assert!(seen.text("env/header", STDIO, "h").contains("  TOKEN=<token>\n"));
}

#[tokio::test]
async fn bytes_that_are_no_text_lose_no_line() {
    let stage = Stage::new().await;
    let line = r"printf 'a\377b\n\000c\n'; printf 'over\rwritten\r\n'; printf '\303\244'; sleep 0; printf '\303\n'";
    stage.run("bytes", spec(line)).await;
    assert_eq!(stage.output("bytes"), "a\u{fffd}b\n\0c\nover\nwritten\nä\u{fffd}\n");
}

#[tokio::test]
async fn large_output_arrives_whole_and_in_order() {
    let stage = Stage::new().await;
    let count = 100_000;
    let result = stage.run("large", wanting(&format!("seq 1 {count}; echo last >&2"))).await;
    assert_eq!(result.outcome, Outcome::Success);
    assert!(result.cut && result.stdout.unwrap().len() <= 64 << 10);
    let seen = stage.host.seen();
    let text = seen.text("large", STDIO, "o");
    assert!(text.lines().map(|line| line.parse::<u64>().unwrap()).eq(1..=count), "{} bytes", text.len());
    let lines = |text: &[u8]| String::from_utf8_lossy(text).lines().count();
    assert!(seen.parts.iter().all(|kept| kept.part.times.len() == lines(&kept.part.text)));
}

#[tokio::test]
async fn a_long_line_is_not_cut() {
    let stage = Stage::new().await;
    stage.run("long", spec("head -c 200000 /dev/zero | tr '\\0' x; echo; echo after")).await;
    assert_eq!(stage.output("long"), "x".repeat(200_000) + "\nafter\n");
}

#[tokio::test]
async fn limits_of_time_and_lines_stop_a_command() {
    let stage = Stage::new().await;
    let sleeping = |line: &str| CommandSpec { grace: Span::from_seconds(1), ..spec(line) };
    let idle = CommandSpec { idle_timeout: Some(Span::from_millis(300)), ..sleeping("echo begun; sleep 600") };
    let total = CommandSpec {
        total_timeout: Some(Span::from_millis(300)),
        ..sleeping("while :; do echo busy; sleep 0.05; done")
    };
    let lines = CommandSpec { lines_max: Some(10), ..sleeping("while :; do echo busy; sleep 0.01; done") };
    let (idle, total, lines) =
        tokio::join!(stage.run("idle", idle), stage.run("total", total), stage.run("lines", lines));
    assert_eq!((idle.end, idle.outcome), (CommandEnd::IdleTimeout, Outcome::Failure));
    assert_eq!(total.end, CommandEnd::TotalTimeout);
    assert_eq!(lines.end, CommandEnd::TooManyLines);
    assert_eq!(stage.output("idle"), "begun\n");
}

#[tokio::test]
async fn an_interrupted_command_may_say_goodbye() {
    let stage = Stage::new().await;
    let line = "trap 'echo goodbye; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    stage.served.handle.send(dispatch(run("polite", line)));
    stage.wrote("polite", "ready").await;
    let (command, why) = (CommandId("polite".to_owned()), "ann stopped it".to_owned());
    stage.served.handle.send(LinkOrder::Interrupt { command, level: StopLevel::Interrupt, why });
    let result = stage.host.ended("polite").await;
    assert_eq!(
        (result.end, result.outcome),
        (CommandEnd::Interrupted("ann stopped it".to_owned()), Outcome::Cancelled)
    );
    assert_eq!(stage.host.seen().text("polite", STDIO, "o"), "ready\ngoodbye\n");
}

#[tokio::test]
async fn a_command_that_ignores_the_polite_signal_is_killed() {
    let stage = Stage::new().await;
    let mut stubborn = spec("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    stubborn.grace = Span::from_millis(300);
    stage.served.handle.send(dispatch(order("stubborn", Work::Run(stubborn))));
    stage.wrote("stubborn", "ready").await;
    let (command, why) = (CommandId("stubborn".to_owned()), "stop".to_owned());
    stage.served.handle.send(LinkOrder::Interrupt { command, level: StopLevel::Interrupt, why });
    assert_eq!(stage.host.ended("stubborn").await.end, CommandEnd::Interrupted("stop".to_owned()));
}

#[tokio::test]
async fn several_commands_run_at_once_each_with_its_own_output() {
    let stage = Stage::new().await;
    let ids: Vec<String> = (0..8).map(|n| format!("p{n}")).collect();
    for id in &ids {
        stage.served.handle.send(dispatch(run(id, &format!("for i in 1 2 3 4 5; do echo {id}-$i; done"))));
    }
    for id in &ids {
        assert_eq!(stage.host.ended(id).await.outcome, Outcome::Success);
        let expected: Vec<String> = (1..=5).map(|i| format!("{id}-{i}")).collect();
        assert_eq!(stage.output(id).lines().collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn log_files_are_followed() {
    let stage = Stage::new().await;
    let mut spec = spec("echo one > side.txt; echo two >> side.txt; echo done");
    spec.log_files.insert("side".to_owned(), LogFileSpec { path: "side.txt".to_owned(), follow: false });
    assert_eq!(stage.run("files", spec).await.outcome, Outcome::Success);
    assert_eq!(stage.host.seen().text("files", SIDE, "o"), "one\ntwo\n");
}

#[tokio::test]
async fn file_commands_do_their_work() {
    let stage = Stage::new().await;
    let name = |name: &str| name.to_owned();
    let builder = stage.worker.base().join("linux");
    assert_eq!(stage.file("mk", FileCommand::MakeDirs(vec![name("a/b"), name("c")])).await.end, CommandEnd::Exited(0));
    assert!(builder.join("a/b").is_dir() && builder.join("c").is_dir());
    fs::write(builder.join("a/b/x.txt"), "12345").unwrap();

    let stat = stage.file("stat", FileCommand::Stat(name("a/b/x.txt"))).await.stat.unwrap();
    assert_eq!((stat.len(), stat[6]), (10, 5));
    assert_eq!(stage.file("ls", FileCommand::List(name("a"))).await.files, ["b"]);
    let found = stage.file("glob", FileCommand::Glob(name("**/*.txt"))).await.files;
    assert_eq!(found, [builder.join("a/b/x.txt").display().to_string()]);

    let copied = stage.file("cp", FileCommand::Copy { from: name("a"), to: name("d/e") }).await;
    assert_eq!(copied.outcome, Outcome::Success);
    assert_eq!(fs::read_to_string(builder.join("d/e/b/x.txt")).unwrap(), "12345");
    let removed = stage.file("rm", FileCommand::Remove(vec![name("a"), name("d/e/b/x.txt"), name("missing")])).await;
    assert_eq!(removed.outcome, Outcome::Success);
    assert!(!builder.join("a").exists() && builder.join("d/e/b").is_dir() && !builder.join("d/e/b/x.txt").exists());

    let result = stage.file("none", FileCommand::Stat(name("missing"))).await;
    assert_eq!((result.end, result.outcome), (CommandEnd::Exited(2), Outcome::Failure));
    assert!(result.stderr.unwrap().contains("No such file"));
}

#[tokio::test]
async fn a_cut_connection_leaves_an_orphan_that_the_next_one_stops() {
    let mut stage = Stage::new().await;
    let base = stage.worker.base();
    let line = "echo $$ > ../pid; echo ready; while :; do sleep 0.05; done";
    stage.served.handle.send(dispatch(run("orphan", line)));
    stage.wrote("orphan", "ready").await;
    stage.wire.cut();
    stage.host.lost().await;
    assert!(!stage.host.seen().kinds().contains(&"ended"));
    let pid = fs::read_to_string(base.join("linux/pid")).unwrap().trim().to_owned();
    let process = std::path::PathBuf::from(format!("/proc/{pid}"));
    assert!(process.exists());

    stage.again().await;
    stage.served.handle.send(LinkOrder::Forget { commands: vec![CommandId("orphan".to_owned())] });
    // The directory can be used again once the orphan is gone; the next command waits for that itself.
    let wait = format!("while kill -0 {pid} 2>/dev/null; do sleep 0.02; done; echo free");
    assert_eq!(stage.run("next", spec(&wait)).await.outcome, Outcome::Success);
    assert_eq!(stage.output("next"), "free\n");
    assert!(!process.exists());
}

#[tokio::test]
async fn a_worker_that_is_told_to_end_ends() {
    let stage = Stage::new().await;
    stage.served.handle.send(LinkOrder::ShutDown);
    assert_eq!(stage.served.end().await, "it was told to end");
}
