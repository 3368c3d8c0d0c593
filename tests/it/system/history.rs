//! From a change to a build, its logs and its history.

use starwright::testing::master::Reply;
use starwright::testing::model::{Event, Intake, NewChange, Order, Outcome};

use super::house::House;
use super::worker::ScriptedWorker;

pub const CONFIG: &str = r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "on_change", "force")

worker("w1", password = "secret")
builder("linux", workers = ["w1"], steps = [
    sh("make", name = "compile"),
    sh("make test", name = "test"),
])
on_change("main", branches = ["main"], quiet = "0s", builders = ["linux"])
force("by-hand", builders = ["linux"])
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_becomes_a_build_with_logs_and_history() {
    let house = House::new(CONFIG);
    let mut running = house.start().await;
    let (worker, mut commands) = ScriptedWorker::new("w1");
    worker.connect(running.handle(), "secret");

    let change = NewChange {
        author: "Ada <ada@example.org>".to_owned(),
        branch: Some("main".to_owned()),
        revision: Some("abc".to_owned()),
        ..NewChange::default()
    };
    let reply =
        running.order(Order::AddChanges { changes: vec![change], delivery: None, intake: Intake::Report }).await;
    assert!(matches!(&reply, Reply::Changes(ids) if ids.len() == 1), "{reply:?}");

    let compile = commands.recv().await.unwrap();
    assert_eq!(compile.line, "make");
    worker.print(&compile.id, "compiling\n");
    worker.print(&compile.id, "compiled\n");
    worker.end(&compile.id, 0);
    let test = commands.recv().await.unwrap();
    assert_eq!(test.line, "make test");
    worker.print(&test.id, "tested\n");
    worker.end(&test.id, 0);

    let build = running
        .fact("start of the build", |event| match event {
            Event::BuildStarted { build, .. } => Some(*build),
            _ => None,
        })
        .await;
    assert_eq!(running.ended(build).await.0, Outcome::Success);
    assert_eq!(running.stdout(build, "compile"), ["compiling", "compiled"]);
    assert_eq!(running.stdout(build, "test"), ["tested"]);
    let record = running.handle().store().build(build).unwrap().unwrap();
    assert_eq!((record.number, record.outcome, record.changes.len()), (1, Some(Outcome::Success), 1));
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_command_fails_the_build_and_halts_it() {
    let house = House::new(CONFIG);
    let mut running = house.start().await;
    let (worker, mut commands) = ScriptedWorker::new("w1");
    worker.connect(running.handle(), "secret");
    let build = running.force("linux").await;
    let compile = commands.recv().await.unwrap();
    worker.end(&compile.id, 2);
    assert_eq!(running.ended(build).await.0, Outcome::Failure);
    assert_eq!(worker.starts(), [1]);
    running.master.stop().await;
}
