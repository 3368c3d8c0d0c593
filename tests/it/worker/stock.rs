//! Our worker under a master that knows none of our additions.

use std::collections::BTreeMap;

use starwright::testing::protocol::{Caps, CommandArgs, LogFileArg, MasterRequest, ShellArgs, StdStream, Update};

use super::scripted::{Scene, lives, shell, until};

async fn scene() -> Scene {
    let mut scene = Scene::silent().await;
    assert_eq!(scene.peer.info(Caps::default()).await.instance, None);
    scene.peer.settings(Caps::default()).await;
    scene
}

fn code(updates: &[Update]) -> Option<i64> {
    updates.iter().find_map(|update| if let Update::Rc(code) = update { Some(*code) } else { None })
}

#[tokio::test]
async fn a_command_tells_lines_code_and_time() {
    let mut scene = scene().await;
    let line = r"printf 'a\r\nb\rc\377\n'; echo err >&2; echo log > l; printf end; exit 3";
    let logfiles = BTreeMap::from([("l".to_owned(), LogFileArg { filename: "l".to_owned(), follow: false })]);
    let heard = scene.peer.run("1", ShellArgs { logfiles, ..shell(&scene.build, line) }).await;
    assert_eq!(heard.stock(StdStream::Stdout), "a\nb\nc\u{fffd}\nend\n");
    assert_eq!(heard.stock(StdStream::Stderr), "err\n");
    assert!(heard.stock(StdStream::Header).contains("exit code 3"));
    assert!(
        heard
            .updates
            .iter()
            .any(|update| matches!(update, Update::Log { log, lines } if log == "l" && lines.text == "log\n"))
    );
    assert!(heard.updates.iter().any(|update| matches!(update, Update::Elapsed(_))));
    assert_eq!((code(&heard.updates), heard.completed, heard.report), (Some(3), Some(None), None));
}

#[tokio::test]
async fn a_command_may_come_before_anything_else() {
    let mut scene = Scene::silent().await;
    let heard = scene.peer.run("1", shell(&scene.build, "echo hello")).await;
    assert_eq!((heard.stock(StdStream::Stdout).as_str(), code(&heard.updates)), ("hello\n", Some(0)));
}

#[tokio::test]
async fn time_outs_and_interrupts_are_told_in_the_protocols_words() {
    let mut scene = scene().await;
    let heard = scene.peer.run("1", ShellArgs { timeout: Some(0.3), ..shell(&scene.build, "sleep 1000") }).await;
    assert!(heard.updates.contains(&Update::FailureReason("timeout_without_output".to_owned())));
    assert_eq!(code(&heard.updates), Some(-1));
    scene.peer.stock_shell("2", &scene.build, "echo ready; sleep 1000").await;
    while !scene.peer.heard.get("2").is_some_and(|heard| heard.stock(StdStream::Stdout).contains("ready")) {
        assert!(scene.peer.hear().await);
    }
    let (command, why) = (starwright::testing::model::CommandId("2".to_owned()), "enough".to_owned());
    scene.peer.ask(MasterRequest::InterruptCommand { command, why, builder: None, level: None }).await.unwrap();
    assert_eq!(code(&scene.peer.end("2").await.updates), Some(-1));
}

#[tokio::test]
async fn file_commands_tell_their_numbers() {
    let mut scene = scene().await;
    let path = scene.worker.dir.display().to_string();
    scene.peer.start("1", CommandArgs::List { path: path.clone() }).await.unwrap();
    let heard = scene.peer.end("1").await;
    assert!(
        heard
            .updates
            .iter()
            .any(|update| matches!(update, Update::Files(names) if names.contains(&"spool".to_owned())))
    );
    scene.peer.start("2", CommandArgs::Stat { path: format!("{path}/missing") }).await.unwrap();
    let heard = scene.peer.end("2").await;
    assert_eq!(code(&heard.updates), Some(2));
    assert!(heard.stock(StdStream::Header).starts_with("stat: "));
}

#[tokio::test]
async fn a_command_of_a_lost_connection_runs_on_unheard_and_can_be_stopped() {
    let mut scene = scene().await;
    for id in ["1", "2"] {
        let line = format!("echo $$ > pid.{id}; until [ -e go.{id} ]; do yes | head -c 1000000; sleep 0.01; done");
        scene.peer.stock_shell(id, &scene.build, &line).await;
    }
    let build = scene.build.clone();
    let pid = |id: &str| std::fs::read_to_string(build.join(format!("pid.{id}"))).unwrap_or_default();
    until(|| pid("1").ends_with('\n') && pid("2").ends_with('\n')).await;
    let Scene { master, worker, peer, .. } = scene;
    peer.cut();
    let mut peer = master.accept().await;
    peer.settings(Caps::default()).await;
    let (command, why) = (starwright::testing::model::CommandId("1".to_owned()), String::new());
    peer.ask(MasterRequest::InterruptCommand { command, why, builder: None, level: None }).await.unwrap();
    until(|| !lives(&pid("1"))).await;
    assert!(lives(&pid("2")));
    std::fs::write(build.join("go.2"), "").unwrap();
    until(|| worker.spooled() == 0).await;
    assert!(peer.heard.is_empty());
}
