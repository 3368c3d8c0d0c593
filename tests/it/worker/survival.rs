//! Commands that outlive their worker, their connection, and their master.

use std::collections::BTreeMap;

use starwright::testing::model::{EnvValue, StopLevel};
use starwright::testing::protocol::{Caps, CommandArgs, ReportedEnd, ResumedState};

use super::scripted::{Scene, Worker, claim, has_ended, lives, order, run, secret, start, until};

/// Counts its starts, prints numbered lines while `go` is missing, then more.
const COUNTER: &str = "echo start >> starts; i=0; \
    while [ ! -e go ]; do i=$((i+1)); echo line $i; echo $i > count; sleep 0.01; done; \
    for j in 1 2 3; do echo last $j; done; exit 5";

fn starts(scene: &Scene) -> usize {
    std::fs::read_to_string(scene.build.join("starts")).unwrap().lines().count()
}

fn expected(scene: &Scene) -> String {
    let count: u32 = std::fs::read_to_string(scene.build.join("count")).unwrap().trim().parse().unwrap();
    let lines: String = (1..=count).map(|n| format!("line {n}\n")).collect();
    lines + "last 1\nlast 2\nlast 3\n"
}

#[tokio::test]
async fn a_killed_worker_loses_nothing() {
    let mut scene = Scene::new().await;
    scene.peer.shell("c-1", &scene.build, COUNTER).await;
    scene.peer.said("c-1", "line 5\n").await;
    for _ in 0..3 {
        scene.replace_worker().await;
        let next = scene.peer.heard["c-1"].next;
        let (_, states) = scene.peer.hello(&[("c-1", next)]).await;
        assert_eq!(states, BTreeMap::from([("c-1".to_owned(), ResumedState::Running)]));
        let seen = scene.peer.heard["c-1"].stdout().lines().count();
        scene.peer.said("c-1", &format!("line {}\n", seen + 3)).await;
    }
    std::fs::write(scene.build.join("go"), "").unwrap();
    let heard = scene.peer.end("c-1").await;
    assert_eq!((heard.stdout(), heard.report().code), (expected(&scene), Some(5)));
    assert_eq!(starts(&scene), 1);
}

#[tokio::test]
async fn what_was_not_answered_is_sent_again_and_only_that() {
    let mut scene = Scene::new().await;
    scene.peer.shell("c-1", &scene.build, COUNTER).await;
    scene.peer.said("c-1", "line 5\n").await;
    let durable = scene.peer.heard["c-1"].clone();
    scene.peer.answering = false;
    scene.peer.said("c-1", "line 30\n").await;
    std::fs::write(scene.build.join("go"), "").unwrap();
    scene.peer.end("c-1").await;
    // The master forgets what it had not made durable.
    scene.replace_worker().await;
    scene.peer.heard.insert("c-1".to_owned(), durable.clone());
    let (_, states) = scene.peer.hello(&[("c-1", durable.next)]).await;
    assert_eq!(states["c-1"], ResumedState::Finished);
    let heard = scene.peer.end("c-1").await;
    assert_eq!(heard.stdout(), expected(&scene));
    let worker = &scene.worker;
    until(|| worker.spooled() == 0).await;
}

#[tokio::test]
async fn a_lost_connection_loses_nothing_and_keeps_the_instance() {
    let mut scene = Scene::silent().await;
    let (info, _) = scene.peer.hello(&[]).await;
    scene.peer.shell("c-1", &scene.build, COUNTER).await;
    scene.peer.said("c-1", "line 5\n").await;
    let heard = std::mem::take(&mut scene.peer.heard);
    let Scene { master, worker, peer, build, place } = scene;
    peer.cut();
    let peer = master.accept().await;
    let mut scene = Scene { master, worker, peer, build, place };
    let next = heard["c-1"].next;
    scene.peer.heard = heard;
    let (again, states) = scene.peer.hello(&[("c-1", next), ("c-2", 0)]).await;
    assert_eq!(again.instance, info.instance);
    assert_eq!((states["c-1"], states["c-2"]), (ResumedState::Running, ResumedState::Unknown));
    std::fs::write(scene.build.join("go"), "").unwrap();
    assert_eq!(scene.peer.end("c-1").await.stdout(), expected(&scene));
    scene.replace_worker().await;
    assert_eq!(scene.peer.hello(&[]).await.0.instance, info.instance);
}

#[tokio::test]
async fn a_connection_that_ends_before_the_master_told_who_it_is_changes_nothing() {
    let mut scene = Scene::new().await;
    scene.peer.shell("c-1", &scene.build, COUNTER).await;
    scene.peer.said("c-1", "line 5\n").await;
    let heard = std::mem::take(&mut scene.peer.heard);
    let Scene { master, worker, peer, build, place } = scene;
    peer.cut();
    // One that is lost at once, and one after the first question.
    master.accept().await.cut();
    let mut peer = master.accept().await;
    peer.info(Caps::OURS).await;
    std::fs::write(build.join("go"), "").unwrap();
    until(|| has_ended(&worker.dir.join("spool/c-c-1"))).await;
    peer.cut();
    let peer = master.accept().await;
    let mut scene = Scene { master, worker, peer, build, place };
    let next = heard["c-1"].next;
    scene.peer.heard = heard;
    let (_, states) = scene.peer.hello(&[("c-1", next)]).await;
    assert_eq!(states["c-1"], ResumedState::Finished);
    assert_eq!(scene.peer.end("c-1").await.stdout(), expected(&scene));
    assert_eq!(starts(&scene), 1);
}

#[tokio::test]
async fn a_command_ends_while_no_worker_runs() {
    let mut scene = Scene::new().await;
    scene.peer.shell("c-1", &scene.build, COUNTER).await;
    scene.peer.said("c-1", "line 5\n").await;
    let dir = scene.worker.dir.clone();
    let Scene { master, worker, peer, build, place } = scene;
    worker.kill();
    std::fs::write(build.join("go"), "").unwrap();
    until(|| has_ended(&dir.join("spool/c-c-1"))).await;
    let heard = peer.heard.clone();
    let worker = Worker::start(&dir, &master.address);
    let mut peer = master.accept().await;
    peer.heard = heard;
    let next = peer.heard["c-1"].next;
    let (_, states) = peer.hello(&[("c-1", next)]).await;
    assert_eq!(states["c-1"], ResumedState::Finished);
    let heard = peer.end("c-1").await;
    let scene = Scene { master, worker, peer, build, place };
    assert_eq!((heard.stdout(), starts(&scene)), (expected(&scene), 1));
}

#[tokio::test]
async fn a_doubled_start_changes_nothing() {
    let mut scene = Scene::new().await;
    let args = CommandArgs::Run(Box::new(run(&scene.build, COUNTER)));
    for _ in 0..3 {
        scene.peer.send(start("c-1", &args)).await;
    }
    scene.peer.said("c-1", "line 5\n").await;
    scene.replace_worker().await;
    let next = scene.peer.heard["c-1"].next;
    scene.peer.hello(&[("c-1", next)]).await;
    scene.peer.start("c-1", args).await.unwrap();
    std::fs::write(scene.build.join("go"), "").unwrap();
    let heard = scene.peer.end("c-1").await;
    assert_eq!((heard.stdout(), starts(&scene), heard.ends), (expected(&scene), 1, 1));
}

#[tokio::test]
async fn a_killed_runner_makes_a_lost_command_and_leaves_no_process() {
    let mut scene = Scene::new().await;
    let line = "setsid -f sh -c 'echo $$ > escaped; exec sleep 1000'; echo $$; until [ -e escaped ]; do :; done; echo ready; sleep 1001";
    scene.peer.shell("c-1", &scene.build, line).await;
    scene.peer.said("c-1", "ready").await;
    let escaped = std::fs::read_to_string(scene.build.join("escaped")).unwrap();
    let leader = scene.peer.heard["c-1"].stdout().lines().next().unwrap().to_owned();
    kill_runner(&scene, "c-1");
    let heard = scene.peer.end("c-1").await;
    assert_eq!((heard.report().end, heard.report().why.as_str()), (ReportedEnd::Lost, "its runner was killed"));
    assert!(!lives(&escaped) && !lives(&leader));
    // The same when the worker did not see it.
    scene.peer.shell("c-2", &scene.build, "echo ready; sleep 1000").await;
    scene.peer.said("c-2", "ready").await;
    let next = scene.peer.heard["c-2"].next;
    let runner = runner_of(&scene, "c-2");
    let dir = scene.worker.dir.clone();
    let Scene { master, worker, mut peer, build: _, place: _place } = scene;
    worker.kill();
    std::process::Command::new("kill").args(["-9", &runner]).status().unwrap();
    until(|| !lives(&runner)).await;
    let heard = std::mem::take(&mut peer.heard);
    let _worker = Worker::start(&dir, &master.address);
    let mut peer = master.accept().await;
    peer.heard = heard;
    peer.hello(&[("c-2", next)]).await;
    assert_eq!(peer.end("c-2").await.report().end, ReportedEnd::Lost);
}

fn runner_of(scene: &Scene, id: &str) -> String {
    claim(&scene.worker.dir.join(format!("spool/c-{id}"))).0
}

fn kill_runner(scene: &Scene, id: &str) {
    std::process::Command::new("kill").args(["-9", &runner_of(scene, id)]).status().unwrap();
}

#[tokio::test]
async fn an_order_whose_runner_never_started_is_started_by_the_next_worker() {
    let mut scene = Scene::new().await;
    scene.peer.shell("c-1", &scene.build, COUNTER).await;
    scene.peer.said("c-1", "line 5\n").await;
    let order = order(&scene.worker.dir.join("spool/c-c-1"));
    std::fs::write(scene.build.join("go"), "").unwrap();
    scene.peer.end("c-1").await;
    // What a worker leaves that is killed right after it accepted the command.
    let dir = scene.worker.dir.clone();
    let Scene { master, worker, peer, build, place } = scene;
    until(|| worker.spooled() == 0).await;
    worker.kill();
    drop(peer);
    std::fs::remove_file(build.join("starts")).unwrap();
    std::fs::write(dir.join("spool/c-c-1"), order).unwrap();
    let worker = Worker::start(&dir, &master.address);
    let mut peer = master.accept().await;
    let (_, states) = peer.hello(&[("c-1", 0)]).await;
    assert_ne!(states["c-1"], ResumedState::Unknown);
    let heard = peer.end("c-1").await;
    assert_eq!((heard.stdout().as_str(), heard.report().code), ("last 1\nlast 2\nlast 3\n", Some(5)));
    let scene = Scene { master, worker, peer, build, place };
    assert_eq!(starts(&scene), 1);
}

#[tokio::test]
async fn an_order_that_lacks_its_secrets_is_lost_and_not_started() {
    let mut scene = Scene::new().await;
    let mut args = run(&scene.build, COUNTER);
    args.spec.env.insert("TOKEN".to_owned(), EnvValue::Set(secret("token")));
    args.secrets.insert("token".to_owned(), "hunter2222".to_owned());
    scene.peer.start("c-1", CommandArgs::Run(Box::new(args))).await.unwrap();
    scene.peer.said("c-1", "line 5\n").await;
    let order = order(&scene.worker.dir.join("spool/c-c-1"));
    std::fs::write(scene.build.join("go"), "").unwrap();
    scene.peer.end("c-1").await;
    let dir = scene.worker.dir.clone();
    let Scene { master, worker, peer: _, build, place: _place } = scene;
    until(|| worker.spooled() == 0).await;
    worker.kill();
    std::fs::remove_file(build.join("starts")).unwrap();
    std::fs::write(dir.join("spool/c-c-1"), order).unwrap();
    let _worker = Worker::start(&dir, &master.address);
    let mut peer = master.accept().await;
    peer.hello(&[("c-1", 0)]).await;
    let heard = peer.end("c-1").await;
    assert_eq!(heard.report().end, ReportedEnd::Lost);
    assert!(heard.report().why.contains("secrets"), "{}", heard.report().why);
    assert!(!build.join("starts").exists());
}

#[tokio::test]
async fn commands_that_nobody_waits_for_are_killed_and_removed() {
    let mut scene = Scene::new().await;
    scene.peer.shell("c-1", &scene.build, "echo $$; trap '' TERM; while :; do sleep 0.05; done").await;
    scene.peer.said("c-1", "\n").await;
    let pid = scene.peer.heard["c-1"].stdout();
    assert!(lives(&pid));
    scene.replace_worker().await;
    scene.peer.hello(&[]).await;
    let worker = &scene.worker;
    until(|| worker.spooled() == 0).await;
    assert!(!lives(&pid));
}

#[tokio::test]
async fn stopping_works_on_a_command_of_an_earlier_worker() {
    let mut scene = Scene::new().await;
    scene.peer.shell("c-1", &scene.build, "echo ready; sleep 1000").await;
    scene.peer.said("c-1", "ready").await;
    scene.replace_worker().await;
    let next = scene.peer.heard["c-1"].next;
    scene.peer.hello(&[("c-1", next)]).await;
    scene.peer.interrupt("c-1", StopLevel::Interrupt).await;
    assert_eq!(scene.peer.end("c-1").await.report().end, ReportedEnd::Interrupted);
}

#[tokio::test]
async fn output_below_what_was_noted_as_acknowledged_cannot_be_had_again() {
    let mut scene = Scene::new().await;
    let line = "yes 'a line of output that is long enough' | head -c 3000000; echo line 30; sleep 1000";
    scene.peer.shell("c-1", &scene.build, line).await;
    scene.peer.said("c-1", "line 30\n").await;
    assert!(scene.peer.heard["c-1"].next > 1);
    let acked = scene.worker.dir.join("spool/c-c-1.acked");
    until(|| acked.exists()).await;
    scene.replace_worker().await;
    scene.peer.heard.clear();
    scene.peer.hello(&[("c-1", 0)]).await;
    let heard = scene.peer.end("c-1").await;
    assert_eq!(heard.report().end, ReportedEnd::Lost);
    assert!(heard.report().why.contains("from part 0 on again"), "{}", heard.report().why);
}

/// A worker that was killed while `c-1` and `c-2` ran, and that starts again after `damage` was done to its spool.
async fn after_damage(damage: impl FnOnce(&std::path::Path)) -> Scene {
    let mut scene = Scene::new().await;
    scene.peer.shell("c-1", &scene.build, COUNTER).await;
    scene.peer.said("c-1", "line 5\n").await;
    let other = scene.worker.dir.join("b/other");
    scene.peer.shell("c-2", &other, "echo ready; until [ -e go ]; do sleep 0.01; done; echo whole").await;
    scene.peer.said("c-2", "ready\n").await;
    let dir = scene.worker.dir.clone();
    let Scene { master, worker, peer, build, place } = scene;
    worker.kill();
    damage(&dir.join("spool"));
    let heard = peer.heard.clone();
    let worker = Worker::start(&dir, &master.address);
    let mut peer = master.accept().await;
    peer.heard = heard;
    let (one, two) = (peer.heard["c-1"].next, peer.heard["c-2"].next);
    let (_, states) = peer.hello(&[("c-1", one), ("c-2", two)]).await;
    assert!(!states.values().any(|state| *state == ResumedState::Unknown), "it would be started again");
    std::fs::write(other.join("go"), "").unwrap();
    Scene { master, worker, peer, build, place }
}

/// The command beside the damaged one ends on the same connection, and nothing stays in the spool.
async fn the_other_is_whole(scene: &mut Scene) {
    let heard = scene.peer.end("c-2").await;
    assert_eq!((heard.stdout().as_str(), heard.report().code), ("ready\nwhole\n", Some(0)));
    let worker = &scene.worker;
    until(|| worker.spooled() == 0).await;
    assert_eq!(starts(scene), 1);
}

#[tokio::test]
async fn damaged_output_costs_its_command_and_no_connection() {
    let mut scene = after_damage(|spool| {
        let path = spool.join("c-c-1.out");
        let length = std::fs::metadata(&path).unwrap().len();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &[0xff; 64], length).unwrap();
    })
    .await;
    let heard = scene.peer.end("c-1").await;
    assert_eq!(heard.report().end, ReportedEnd::Broken);
    assert!(heard.report().why.starts_with("the worker cannot read the command's output any more: part "));
    assert!(scene.worker.logged().contains("the output of a command cannot be read"));
    the_other_is_whole(&mut scene).await;
}

#[tokio::test]
async fn output_that_is_gone_costs_its_command_and_no_connection() {
    let mut scene = after_damage(|spool| std::fs::remove_file(spool.join("c-c-1.out")).unwrap()).await;
    std::fs::write(scene.build.join("go"), "").unwrap();
    let heard = scene.peer.end("c-1").await;
    assert_eq!(heard.report().end, ReportedEnd::Broken);
    assert!(heard.report().why.ends_with(" is missing"), "{}", heard.report().why);
    the_other_is_whole(&mut scene).await;
}

#[tokio::test]
async fn a_torn_order_of_a_running_command_does_not_start_it_again() {
    let mut scene = after_damage(|spool| {
        std::fs::File::options().write(true).open(spool.join("c-c-1")).unwrap().set_len(20).unwrap();
    })
    .await;
    let report = scene.peer.end("c-1").await.report().clone();
    assert_eq!((report.end, report.why.as_str()), (ReportedEnd::Lost, "its order in the worker's spool is damaged"));
    let before = std::fs::read_to_string(scene.build.join("count")).unwrap();
    the_other_is_whole(&mut scene).await;
    assert_eq!(std::fs::read_to_string(scene.build.join("count")).unwrap(), before, "its processes are killed");
}

#[tokio::test]
async fn what_is_not_ours_in_the_spool_stops_no_worker() {
    let mut scene = after_damage(|spool| {
        std::process::Command::new("mkfifo").arg(spool.join("c-fifo")).status().unwrap();
        std::fs::create_dir(spool.join("c-dir")).unwrap();
    })
    .await;
    std::fs::write(scene.build.join("go"), "").unwrap();
    let heard = scene.peer.end("c-1").await;
    assert_eq!((heard.stdout(), heard.report().code), (expected(&scene), Some(5)));
    assert_eq!(scene.worker.logged().matches("was set aside").count(), 2);
    the_other_is_whole(&mut scene).await;
}
