//! Orderly ends, and connections that come and go.

use starwright::testing::master::{OrderError, Refusal, ShuttingDown};
use starwright::testing::model::{Event, Order, Outcome};

use super::history::CONFIG;
use super::house::House;
use super::worker::ScriptedWorker;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orderly_end_leaves_commands_alone_and_the_next_master_takes_them_up() {
    let house = House::new(CONFIG);
    let (worker, mut commands) = ScriptedWorker::new("w1");
    let mut running = house.start().await;
    let connection = worker.connect(running.handle(), "secret");
    let build = running.force("linux").await;
    let compile = commands.recv().await.unwrap();
    let handle = running.handle().clone();
    running.master.stop().await;
    connection.await.unwrap();
    assert_eq!(
        handle.order(Order::Poll { source: None }, super::house::ann()).await,
        Err(OrderError::ShuttingDown(ShuttingDown))
    );
    drop(handle);

    let mut running = house.start().await;
    worker.connect(running.handle(), "secret");
    worker.end(&compile.id, 0);
    let test = commands.recv().await.unwrap();
    worker.end(&test.id, 0);
    assert_eq!(running.ended(build).await.0, Outcome::Success);
    assert_eq!(worker.starts(), [1, 1]);
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_comes_back_goes_on_where_it_was() {
    let house = House::new(CONFIG);
    let (worker, mut commands) = ScriptedWorker::new("w1");
    let mut running = house.start().await;
    let first = worker.connect(running.handle(), "secret");
    let build = running.force("linux").await;
    let compile = commands.recv().await.unwrap();
    first.abort();

    worker.print(&compile.id, "alone\n");
    worker.connect(running.handle(), "secret");
    worker.end(&compile.id, 0);
    let test = commands.recv().await.unwrap();
    worker.end(&test.id, 0);
    assert_eq!(running.ended(build).await.0, Outcome::Success);
    assert_eq!(running.stdout(build, "compile"), ["alone"]);
    assert_eq!(worker.starts(), [1, 1]);
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_worker_of_the_same_name_is_sent_away_and_remembered() {
    let house = House::new(CONFIG);
    let mut running = house.start().await;
    let (worker, _commands) = ScriptedWorker::new("w1");
    worker.connect(running.handle(), "secret");
    running.fact("connection", |event| matches!(event, Event::WorkerConnected { .. }).then_some(())).await;

    let (namesake, _commands) = worker.namesake();
    namesake.connect(running.handle(), "secret").await.unwrap();
    let refused = running.handle().refused_workers();
    assert!(
        refused.iter().any(|refused| refused.name == "w1" && refused.why.contains("share the name")),
        "{refused:?}"
    );
    assert_eq!(running.handle().admit_worker(Some("Basic dzE6eA=="), None).err(), Some(Refusal::Unauthorized));
    running.master.stop().await;
}
