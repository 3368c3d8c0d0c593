//! What a command gets, and what is heard of it.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use starwright::testing::model::{EnvValue, OUTPUT_HEAD_MAX};
use starwright::testing::protocol::{CommandArgs, EnvEntry, LogFileArg, ProgramArg, ReportedEnd, ShellArgs};

use super::scripted::{Scene, run, secret, shell, until};

#[tokio::test]
async fn a_command_tells_its_streams_and_its_end() {
    let mut scene = Scene::new().await;
    let heard = scene.peer.run("c-1", shell(&scene.build, "echo out; echo err >&2; pwd; exit 3")).await;
    assert_eq!(heard.stdout(), format!("out\n{}\n", scene.build.display()));
    assert_eq!(heard.stderr(), "err\n");
    let header = heard.header();
    assert!(header.starts_with("echo out; echo err >&2; pwd; exit 3\n in "), "{header}");
    assert!(header.contains("exit code 3 after "), "{header}");
    assert_eq!((heard.report().end, heard.report().code), (ReportedEnd::Exited, Some(3)));
    assert_eq!((heard.report().stdout.len(), heard.ends), (0, 1));
    let worker = &scene.worker;
    until(|| worker.spooled() == 0).await;
}

#[tokio::test]
async fn words_are_executed_as_they_are() {
    let mut scene = Scene::new().await;
    let words = ["printf", "%s|", "a b", "", "$HOME", "it's"].map(str::to_owned).to_vec();
    let args = ShellArgs { command: ProgramArg::Argv(words), ..shell(&scene.build, "") };
    assert_eq!(scene.peer.run("c-1", args).await.stdout(), "a b||$HOME|it's|");
}

#[tokio::test]
async fn a_missing_program_and_an_impossible_directory_are_named() {
    let mut scene = Scene::new().await;
    let words = vec!["no-such-program".to_owned()];
    let args = ShellArgs { command: ProgramArg::Argv(words), ..shell(&scene.build, "") };
    let heard = scene.peer.run("c-1", args).await;
    assert_eq!(heard.report().end, ReportedEnd::NotStarted);
    assert!(heard.report().why.contains("no program `no-such-program` in PATH"), "{}", heard.report().why);
    assert!(heard.header().contains("no-such-program"));
    let directory = scene.worker.log.join("below-a-file");
    let heard = scene.peer.run("c-2", shell(&directory, "true")).await;
    assert_eq!(heard.report().end, ReportedEnd::Broken);
    assert!(heard.report().why.contains("below-a-file"), "{}", heard.report().why);
}

#[tokio::test]
async fn the_environment_is_the_workers_with_changes() {
    let mut scene = Scene::new().await;
    let line = "echo $A,$B,${HOME-none},$FROM_WORKER,$PWD; env | grep STARWRIGHT";
    let env = BTreeMap::from([
        ("A".to_owned(), EnvEntry::Set("<${FROM_WORKER}>".to_owned())),
        ("B".to_owned(), EnvEntry::Join(vec!["/x".to_owned(), "/y".to_owned()])),
        ("HOME".to_owned(), EnvEntry::Unset),
    ]);
    let args = ShellArgs { env: env.clone(), ..shell(&scene.build, line) };
    let build = scene.build.display().to_string();
    let spool = scene.worker.dir.join("spool/c-c-1").display().to_string();
    let want = format!("<yes>,/x:/y,none,yes,{build}\nSTARWRIGHT_COMMAND={spool}\n");
    assert_eq!(scene.peer.run("c-1", args).await.stdout(), want);
    let args = ShellArgs { env, log_environ: true, ..shell(&scene.build, "echo \"$A\"") };
    let heard = scene.peer.run("c-2", args).await;
    assert_eq!(heard.stdout(), "<yes>\n");
    assert!(heard.header().contains("\n  B=/x:/y\n"), "{}", heard.header());
}

#[tokio::test]
async fn standard_input_is_written_and_closed_or_empty() {
    let mut scene = Scene::new().await;
    let text = "line\n".repeat(100_000);
    let args = ShellArgs { initial_stdin: Some(text.clone()), ..shell(&scene.build, "cat") };
    assert_eq!(scene.peer.run("c-1", args).await.stdout(), text);
    assert_eq!(scene.peer.run("c-2", shell(&scene.build, "cat; echo end")).await.stdout(), "end\n");
}

#[tokio::test]
async fn every_byte_arrives_whatever_it_is() {
    let mut scene = Scene::new().await;
    let line = r"printf 'a\377\000b\r\nc\033[31m\rd\n'; printf 'no end'";
    let heard = scene.peer.run("c-1", shell(&scene.build, line)).await;
    assert_eq!(heard.bytes("stdio", 'o'), b"a\xff\0b\r\nc\x1b[31m\rd\nno end");
}

#[tokio::test]
async fn ten_megabytes_arrive_whole() {
    let mut scene = Scene::new().await;
    let line = "i=0; while [ $i -lt 160 ]; do head -c 65536 /dev/urandom; echo; i=$((i+1)); done | tee copy; \
                sha256sum < copy > sum";
    let heard = scene.peer.run("c-1", shell(&scene.build, line)).await;
    let sum = std::fs::read_to_string(scene.build.join("sum")).unwrap();
    let mut hash = String::new();
    for byte in Sha256::digest(heard.bytes("stdio", 'o')) {
        hash.push_str(&format!("{byte:02x}"));
    }
    assert_eq!(heard.bytes("stdio", 'o').len(), 160 * 65_537);
    assert_eq!(sum.split(' ').next(), Some(hash.as_str()));
}

#[tokio::test]
async fn a_huge_line_arrives_whole_in_pieces() {
    let mut scene = Scene::new().await;
    let line = "head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end";
    let heard = scene.peer.run("c-1", shell(&scene.build, line)).await;
    assert_eq!(heard.stdout(), "x".repeat(3_000_000) + "\nend\n");
    assert!(heard.next > 10, "it came in {} parts", heard.next);
}

#[tokio::test]
async fn unwanted_streams_are_not_logged_but_their_heads_are_kept() {
    let mut scene = Scene::new().await;
    let mut args = run(&scene.build, "head -c 100000 /dev/zero | tr '\\0' x; echo no >&2");
    (args.spec.want_output, args.spec.log_stdout) = (true, false);
    let heard = scene.peer.run_spec("c-1", args).await;
    assert_eq!((heard.stdout(), heard.stderr()), (String::new(), "no\n".to_owned()));
    let report = heard.report();
    assert_eq!(report.stdout, vec![b'x'; OUTPUT_HEAD_MAX]);
    assert_eq!((&report.stderr[..], report.cut), (&b"no\n"[..], true));
}

#[tokio::test]
async fn log_files_are_followed() {
    let mut scene = Scene::new().await;
    std::fs::create_dir_all(&scene.build).unwrap();
    std::fs::write(scene.build.join("old.log"), "before\n").unwrap();
    let line = "echo one > new.log; echo after >> old.log; until [ -e go ]; do :; done; \
                mv new.log new.log.1; echo two > new.log; printf rest >> new.log";
    let file = |name: &str, follow| LogFileArg { filename: name.to_owned(), follow };
    let logfiles =
        BTreeMap::from([("new".to_owned(), file("new.log", false)), ("old".to_owned(), file("old.log", true))]);
    let args = ShellArgs { logfiles, ..shell(&scene.build, line) };
    scene.peer.start("c-1", CommandArgs::Shell(Box::new(args))).await.unwrap();
    scene.peer.said("c-1", "one\n").await;
    std::fs::write(scene.build.join("go"), "").unwrap();
    let heard = scene.peer.end("c-1").await;
    assert_eq!(heard.stream("new", 'o'), "one\ntwo\nrest");
    assert_eq!(heard.stream("old", 'o'), "after\n");
}

#[tokio::test]
async fn a_terminal_is_one() {
    let mut scene = Scene::new().await;
    let line =
        "test -t 0 && test -t 1 && test -t 2 && echo terminal; stty size; ps -o sid= -p $$ | tr -d ' ' ; echo $$";
    let args = ShellArgs { use_pty: true, ..shell(&scene.build, line) };
    let heard = scene.peer.run("c-1", args).await;
    let text = heard.stdout();
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert_eq!(lines[..2], ["terminal", "24 80"], "{text}");
    assert_eq!(lines[2], lines[3], "it leads a session");
    assert_eq!(heard.report().code, Some(0));
}

#[tokio::test]
async fn secrets_are_neither_shown_nor_stored() {
    let mut scene = Scene::new().await;
    let mut args = run(&scene.build, "echo $TOKEN; cat; echo with hunter''2222; until [ -e go ]; do :; done");
    args.spec.env.insert("TOKEN".to_owned(), EnvValue::Set(secret("token")));
    args.spec.stdin = Some(secret("typed"));
    args.spec.want_output = true;
    args.masks = vec![("token".to_owned(), "hunter2222".to_owned()), ("typed".to_owned(), "topsecret".to_owned())];
    args.secrets = args.masks.iter().cloned().collect();
    scene.peer.start("c-1", CommandArgs::Run(Box::new(args))).await.unwrap();
    scene.peer.said("c-1", "with <token>").await;
    let stored = files_below(&scene.worker.dir);
    assert!(stored.len() > 3);
    for path in stored {
        let bytes = std::fs::read(&path).unwrap();
        for secret in ["hunter2222", "topsecret"] {
            assert!(
                !bytes.windows(secret.len()).any(|part| part == secret.as_bytes()),
                "{secret} in {}",
                path.display()
            );
        }
    }
    std::fs::write(scene.build.join("go"), "").unwrap();
    let heard = scene.peer.end("c-1").await;
    assert_eq!(heard.stdout(), "<token>\n<typed>with <token>\n");
    assert_eq!(&heard.report().stdout[..], b"<token>\n<typed>with <token>\n");
}

fn files_below(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[tokio::test]
async fn forty_commands_run_at_once() {
    let mut scene = Scene::new().await;
    for n in 0..40 {
        let line = format!("touch started.{n}; until [ -e go ]; do sleep 0.05; done; echo {n}");
        scene.peer.shell(&format!("c-{n}"), &scene.build, &line).await;
    }
    let build = scene.build.clone();
    until(|| (0..40).all(|n| build.join(format!("started.{n}")).exists())).await;
    std::fs::write(scene.build.join("go"), "").unwrap();
    for n in 0..40 {
        assert_eq!(scene.peer.end(&format!("c-{n}")).await.stdout(), format!("{n}\n"));
    }
}

#[tokio::test]
async fn a_master_that_does_not_answer_holds_the_command_up_and_not_the_disk() {
    let mut scene = Scene::new().await;
    scene.peer.answering = false;
    let line = "yes 'a line of output that is long enough' | head -c 90000000; echo done > done";
    scene.peer.shell("c-1", &scene.build, line).await;
    // The window of the connection is 8 MiB: no more comes unanswered.
    let size = |heard: &super::scripted::Heard| heard.bytes("stdio", 'o').len();
    while scene.peer.heard.get("c-1").is_none_or(|heard| size(heard) < 7 << 20) {
        assert!(scene.peer.hear().await);
    }
    let out = scene.worker.dir.join("spool/c-c-1.out");
    until(|| out.metadata().unwrap().len() > 64 << 20).await;
    assert!(!scene.build.join("done").exists());
    assert!(out.metadata().unwrap().len() < 66 << 20);
    scene.peer.answering = true;
    scene.peer.answer_all().await;
    let heard = scene.peer.end("c-1").await;
    assert_eq!(size(&heard), 90_000_000);
    assert!(scene.build.join("done").exists());
}

/// Runs a command that prints the number of the process beside it; that number.
async fn runner_of(scene: &mut Scene, id: &str, line: &str, secrets: &[(&str, &str)]) -> String {
    let mut args = run(&scene.build, &format!("echo $PPID; {line}"));
    args.masks = secrets.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let heard = scene.peer.run_spec(id, args).await;
    let worker = &scene.worker;
    until(|| worker.spooled() == 0).await;
    heard.stdout().lines().next().unwrap().to_owned()
}

#[tokio::test]
async fn commands_one_after_the_other_share_the_process_beside_them() {
    let mut scene = Scene::new().await;
    let mut runners = std::collections::BTreeSet::new();
    for n in 0..20 {
        runners.insert(runner_of(&mut scene, &format!("c-{n}"), "cat", &[]).await);
    }
    assert!(runners.len() <= 3, "a runner for each command: {runners:?}");
}

#[tokio::test]
async fn what_a_command_leaves_behind_is_not_shared() {
    let mut scene = Scene::new().await;
    let keeps = runner_of(&mut scene, "left", "sleep 1000 >/dev/null 2>&1 & echo $! > left", &[]).await;
    let knows = runner_of(&mut scene, "secret", "true", &[("token", "hunter2222")]).await;
    for n in 0..6 {
        let runner = runner_of(&mut scene, &format!("c-{n}"), "true", &[]).await;
        assert_ne!(runner, keeps, "a process of an earlier command would be below this one's runner");
        assert_ne!(runner, knows, "a secret of an earlier command may be in its memory");
    }
    let left = std::fs::read_to_string(scene.build.join("left")).unwrap();
    assert!(super::scripted::lives(left.trim()), "a process that a command left behind lives on");
    assert!(std::process::Command::new("kill").arg(left.trim()).status().unwrap().success());
}
