//! What follows a crash of the master: builds go on where they were.

use starwright::testing::model::{Event, Outcome};

use super::history::CONFIG;
use super::house::House;
use super::worker::ScriptedWorker;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_goes_on_after_a_crash_and_no_command_is_started_twice() {
    let house = House::new(CONFIG);
    let (worker, mut commands) = ScriptedWorker::new("w1");
    let mut running = house.start().await;
    let connection = worker.connect(running.handle(), "secret");
    let build = running.force("linux").await;
    let compile = commands.recv().await.unwrap();
    worker.print(&compile.id, "before\n");
    running.master.abandon().await;
    connection.await.unwrap();

    worker.print(&compile.id, "while nobody listened\n");
    let mut running = house.start().await;
    worker.connect(running.handle(), "secret");
    worker.print(&compile.id, "after\n");
    worker.end(&compile.id, 0);
    let test = commands.recv().await.unwrap();
    worker.end(&test.id, 0);
    assert_eq!(running.ended(build).await.0, Outcome::Success);
    assert_eq!(running.stdout(build, "compile"), ["before", "while nobody listened", "after"]);
    assert_eq!(worker.starts(), [1, 1]);
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_nobody_heard_is_told_to_the_next_master() {
    let house = House::new(CONFIG);
    let (worker, mut commands) = ScriptedWorker::new("w1");
    let mut running = house.start().await;
    let connection = worker.connect(running.handle(), "secret");
    let build = running.force("linux").await;
    let compile = commands.recv().await.unwrap();
    running.master.abandon().await;
    connection.await.unwrap();
    worker.end(&compile.id, 3);

    let mut running = house.start().await;
    worker.connect(running.handle(), "secret");
    assert_eq!(running.ended(build).await.0, Outcome::Failure);
    assert_eq!(worker.starts(), [1]);
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_build_goes_on_with_the_configuration_that_it_began_with_after_a_crash() {
    let house = House::new(CONFIG);
    let (worker, mut commands) = ScriptedWorker::new("w1");
    let mut running = house.start().await;
    let connection = worker.connect(running.handle(), "secret");
    let build = running.force("linux").await;
    let compile = commands.recv().await.unwrap();
    running.master.abandon().await;
    connection.await.unwrap();

    house.write("master.star", &CONFIG.replace("make test", "something else"));
    let mut running = house.start().await;
    worker.connect(running.handle(), "secret");
    worker.end(&compile.id, 0);
    let test = commands.recv().await.unwrap();
    assert_eq!(test.line, "make test");
    worker.end(&test.id, 0);
    assert_eq!(running.ended(build).await.0, Outcome::Success);
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_request_waits_on_after_a_crash() {
    let house = House::new(CONFIG);
    let running = house.start().await;
    running.order(super::house::force("linux")).await;
    running.master.abandon().await;

    let mut running = house.start().await;
    let (worker, mut commands) = ScriptedWorker::new("w1");
    worker.connect(running.handle(), "secret");
    commands.recv().await.unwrap();
    running.fact("start of the build", |event| matches!(event, Event::BuildStarted { .. }).then_some(())).await;
    running.master.stop().await;
}
