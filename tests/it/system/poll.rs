//! A real repository, polled: a commit becomes a build.

use starwright::testing::model::{Event, Order};

use super::house::House;
use super::worker::ScriptedWorker;
use crate::support::git::Repository;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_becomes_a_build_of_its_revision() {
    let house = House::new("");
    let repository = Repository::new(&house.path("repository"), &[("README", "first")]);
    let url = repository.path.display().to_string();
    house.write(
        "master.star",
        &format!(
            r#"
load("@stdlib//source.star", "git_poller")
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "on_change")

worker("w1", password = "secret")
git_poller("{url}", branches = ["main"], every = "1h")
builder("linux", workers = ["w1"], steps = [sh("make", name = "compile")])
on_change("main", branches = ["main"], quiet = "0s", builders = ["linux"])
"#
        ),
    );
    let mut running = house.start().await;
    let source = running.handle().plan().change_sources.keys().next().unwrap().clone();
    running.fact("first poll", |event| matches!(event, Event::SourcePolled { .. }).then_some(())).await;

    let revision = repository.commit("second", &[("README", "second")]);
    running.order(Order::Poll { source: Some(source) }).await;
    let (worker, mut commands) = ScriptedWorker::new("w1");
    worker.connect(running.handle(), "secret");
    commands.recv().await.unwrap();
    let build = running
        .fact("start of the build", |event| match event {
            Event::BuildStarted { build, .. } => Some(*build),
            _ => None,
        })
        .await;
    let store = running.handle().store();
    let change = store.change(store.build(build).unwrap().unwrap().changes[0]).unwrap().unwrap();
    assert_eq!(change.data.revision, Some(revision));
    assert_eq!(change.data.comments.trim(), "second");
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_that_is_not_there_is_reported_and_hurts_nobody() {
    let house = House::new("");
    let url = house.path("nowhere").display().to_string();
    house.write(
        "master.star",
        &format!("load(\"@stdlib//source.star\", \"git_poller\")\ngit_poller(\"{url}\", every = \"1h\")\n"),
    );
    let mut running = house.start().await;
    let error = running
        .fact("failed poll", |event| match event {
            Event::SourceFailed { error, failures: 1, .. } => Some(error.clone()),
            _ => None,
        })
        .await;
    assert!(error.contains("nowhere"), "{error}");
    running.master.stop().await;
}
