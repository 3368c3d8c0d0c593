//! Stopping: by the master, by limits, whole trees, and what will not go.

use starwright::testing::model::StopLevel;
use starwright::testing::protocol::{CommandArgs, ReportedEnd, ShellArgs};

use super::scripted::{Scene, lives, shell, until};

/// Starts children of every kind, writes their numbers to `pids`, and waits for ever.
const FAMILY: &str = "sleep 1000 & echo $! >> pids; \
    setsid sh -c 'echo $$ >> pids; sleep 1001 & echo $! >> pids; wait' & \
    setsid -f sh -c 'echo $$ >> pids; exec sleep 1002'; \
    (trap '' TERM; sleep 1003 & echo $! >> pids; wait) & \
    until [ $(wc -l < pids) = 5 ]; do :; done; echo ready; wait";

fn family(scene: &Scene) -> Vec<String> {
    let text = std::fs::read_to_string(scene.build.join("pids")).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn kill_takes_the_whole_tree() {
    let mut scene = Scene::new().await;
    scene.peer.shell("c-1", &scene.build, FAMILY).await;
    scene.peer.said("c-1", "ready").await;
    let family = family(&scene);
    assert!(family.len() == 5 && family.iter().all(|pid| lives(pid)));
    scene.peer.interrupt("c-1", StopLevel::Kill).await;
    let heard = scene.peer.end("c-1").await;
    assert_eq!((heard.report().end, heard.report().signal), (ReportedEnd::Interrupted, Some(9)));
    assert_eq!(heard.report().why, "enough");
    for pid in family {
        assert!(!lives(&pid), "{pid} survived");
    }
}

#[tokio::test]
async fn interrupt_is_polite_and_takes_the_whole_tree_after_the_grace() {
    let mut scene = Scene::new().await;
    let args = ShellArgs { sigterm_time: Some(0.5), ..shell(&scene.build, FAMILY) };
    scene.peer.start("c-1", CommandArgs::Shell(Box::new(args))).await.unwrap();
    scene.peer.said("c-1", "ready").await;
    let family = family(&scene);
    scene.peer.interrupt("c-1", StopLevel::Interrupt).await;
    let heard = scene.peer.end("c-1").await;
    assert_eq!((heard.report().end, heard.report().signal), (ReportedEnd::Interrupted, Some(15)));
    assert!(heard.header().contains("stopped: enough\nsending TERM"), "{}", heard.header());
    assert!(heard.header().contains("killing"), "one ignores TERM: {}", heard.header());
    for pid in family {
        assert!(!lives(&pid), "{pid} survived");
    }
}

#[tokio::test]
async fn output_after_a_polite_stop_arrives_and_the_code_too() {
    let mut scene = Scene::new().await;
    let line = "trap 'echo cleaning; exit 7' TERM; echo ready; while :; do sleep 0.05; done";
    scene.peer.shell("c-1", &scene.build, line).await;
    scene.peer.said("c-1", "ready").await;
    scene.peer.interrupt("c-1", StopLevel::Interrupt).await;
    let heard = scene.peer.end("c-1").await;
    assert_eq!(heard.stdout(), "ready\ncleaning\n");
    assert_eq!((heard.report().end, heard.report().code), (ReportedEnd::Interrupted, Some(7)));
}

#[tokio::test]
async fn a_second_harder_stop_counts() {
    let mut scene = Scene::new().await;
    let args = ShellArgs {
        sigterm_time: Some(1000.0),
        ..shell(&scene.build, "trap '' TERM; echo ready; while :; do sleep 0.05; done")
    };
    scene.peer.start("c-1", CommandArgs::Shell(Box::new(args))).await.unwrap();
    scene.peer.said("c-1", "ready").await;
    scene.peer.interrupt("c-1", StopLevel::Interrupt).await;
    scene.peer.headed("c-1", "sending TERM").await;
    scene.peer.interrupt("c-1", StopLevel::Kill).await;
    assert_eq!(scene.peer.end("c-1").await.report().end, ReportedEnd::Interrupted);
    scene.peer.interrupt("c-1", StopLevel::Kill).await;
    scene.peer.interrupt("unknown", StopLevel::Kill).await;
}

#[tokio::test]
async fn silence_ends_a_command_and_output_keeps_it() {
    let mut scene = Scene::new().await;
    let line = "for i in 1 2 3 4 5 6; do sleep 0.2; echo $i; done; sleep 1000";
    let args = ShellArgs { timeout: Some(0.8), ..shell(&scene.build, line) };
    let heard = scene.peer.run("c-1", args).await;
    assert_eq!(heard.report().end, ReportedEnd::IdleTimeout);
    assert_eq!(heard.report().why, "no output for 800ms");
    assert_eq!(heard.stdout(), "1\n2\n3\n4\n5\n6\n");
}

#[tokio::test]
async fn a_command_has_its_time_and_its_lines() {
    let mut scene = Scene::new().await;
    let args = ShellArgs { max_time: Some(0.5), ..shell(&scene.build, "while :; do echo x; sleep 0.05; done") };
    let heard = scene.peer.run("c-1", args).await;
    assert_eq!(
        (heard.report().end, heard.report().why.as_str()),
        (ReportedEnd::TotalTimeout, "ran for more than 500ms")
    );
    let args = ShellArgs { max_lines: Some(3), ..shell(&scene.build, "printf '1\\n2\\r3\\r\\n'; exit 0") };
    assert_eq!(scene.peer.run("c-2", args).await.report().end, ReportedEnd::Exited);
    let args = ShellArgs { max_lines: Some(3), ..shell(&scene.build, "seq 4; sleep 1000") };
    assert_eq!(scene.peer.run("c-3", args).await.report().end, ReportedEnd::TooManyLines);
}

#[tokio::test]
async fn a_signal_of_the_commands_own_is_told() {
    let mut scene = Scene::new().await;
    let heard = scene.peer.run("c-1", shell(&scene.build, "kill -SEGV $$")).await;
    assert_eq!((heard.report().end, heard.report().signal, heard.report().code), (ReportedEnd::Killed, Some(11), None));
    assert!(heard.header().contains("killed by signal 11 (SEGV)"), "{}", heard.header());
}

#[tokio::test]
async fn what_a_command_leaves_behind_holds_it_only_for_a_while() {
    let mut scene = Scene::new().await;
    let heard = scene.peer.run("c-1", shell(&scene.build, "sleep 1000 & echo $!; exit 4")).await;
    assert_eq!((heard.report().end, heard.report().code), (ReportedEnd::Exited, Some(4)));
    assert!(heard.header().contains("hold its output open"), "{}", heard.header());
    assert!(!lives(&heard.stdout()));
}

#[tokio::test]
async fn a_daemon_without_our_pipes_may_stay() {
    let mut scene = Scene::new().await;
    let line = "sleep 1001 >/dev/null 2>&1 & echo $!";
    let heard = scene.peer.run("c-1", shell(&scene.build, line)).await;
    assert_eq!(heard.report().code, Some(0));
    let pid = heard.stdout();
    assert!(lives(&pid));
    std::process::Command::new("kill").args(["-9", pid.trim()]).status().unwrap();
    until(|| !lives(&pid)).await;
}

#[tokio::test]
async fn a_terminals_tree_is_killed_too() {
    let mut scene = Scene::new().await;
    let args = ShellArgs { use_pty: true, ..shell(&scene.build, FAMILY) };
    scene.peer.start("c-1", CommandArgs::Shell(Box::new(args))).await.unwrap();
    scene.peer.said("c-1", "ready").await;
    let family = family(&scene);
    scene.peer.interrupt("c-1", StopLevel::Kill).await;
    assert_eq!(scene.peer.end("c-1").await.report().end, ReportedEnd::Interrupted);
    for pid in family {
        assert!(!lives(&pid), "{pid} survived");
    }
}
