//! Configurations, functions and processes that misbehave, and a master that goes on.

use std::path::Path;

use starwright::testing::master::Reply;
use starwright::testing::model::{Event, Order, Outcome};

use super::house::House;
use super::worker::ScriptedWorker;

/// Takes longer than any test waits, in steps that the interpreter does not count.
const LOOPING: &str = "for i in range(1000000):\n        regex.match('a' * 200 + str(i), 'b')";
const HANGING: &str = "x = int('9' * 9000000)\n";

fn configuration(body: &str) -> String {
    format!(
        "def f(ctx):\n    {body}\nworker(\"w1\", password = \"secret\")\nbuilder(\"bad\", workers = [\"w1\"], steps = [step(\"s\", run = f)])\nbuilder(\"good\", workers = [\"w1\"], steps = [step(\"s\", run = lambda ctx: None)])\n"
    )
}

/// The evaluator processes of one house: they run a program that is linked into it.
fn processes(house: &Path) -> Vec<i32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let runs = |pid: &i32| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe.starts_with(house));
    numbers.filter(runs).collect()
}

/// Waits until something is so; the test's own bound ends it if it never is.
async fn until(what: impl Fn() -> bool) {
    while !what() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_that_hangs_is_superseded_by_the_repaired_file() {
    let house = House::new(&configuration("pass"));
    let mut master = house.start_watching().await;
    let before = processes(&house.path("")).len();
    house.write("master.star", HANGING);
    until(|| processes(&house.path("")).len() > before).await;
    let handle = master.handle().clone();
    let first = tokio::spawn(async move { handle.order(super::house::reload(), super::house::ann()).await });
    // Nothing else waits for it.
    master.order(Order::PauseWorker { worker: "w1".to_owned(), paused: true, reason: None }).await;
    house.write("master.star", &configuration("return 'warnings'"));
    let digest = master
        .fact("the second configuration", |event| match event {
            Event::PlanAdopted { digest, why, .. } if why != "start" => Some(digest.clone()),
            _ => None,
        })
        .await;
    assert_eq!(master.handle().plan().digest, digest);
    // Somebody who asked meanwhile hears of the newer one.
    let reload = first.await.unwrap().unwrap();
    assert!(matches!(reload, Reply::Adopted { .. } | Reply::Done), "{reload:?}");
    master.master.stop().await;
    until(|| processes(&house.path("")).is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn evaluators_that_are_killed_are_replaced_and_builds_go_on() {
    let house = House::new(&configuration("pass"));
    let mut master = house.start().await;
    let (worker, _commands) = ScriptedWorker::new("w1");
    worker.connect(master.handle(), "secret");
    for round in 0..3 {
        for pid in processes(&house.path("")) {
            std::process::Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
        }
        let build = master.force("good").await;
        let (outcome, state) = master.ended(build).await;
        assert_eq!(outcome, Outcome::Success, "round {round}: {state}");
    }
    master.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_loops_ends_its_own_build_and_no_other() {
    let house = House::new(&configuration(LOOPING));
    let short = std::time::Duration::from_millis(200);
    let mut master = house.start_with(|options| options.launcher.limits.turn = short).await;
    let (worker, _commands) = ScriptedWorker::new("w1");
    worker.connect(master.handle(), "secret");
    let bad = master.force("bad").await;
    let (outcome, _) = master.ended(bad).await;
    assert_eq!(outcome, Outcome::Exception);
    let losses = master.handle().store().recover().unwrap().facts;
    let losses = losses.iter().filter(|fact| matches!(fact.event, Event::EvaluationLost { .. })).count();
    assert_eq!(losses, 3);
    let good = master.force("good").await;
    assert_eq!(master.ended(good).await.0, Outcome::Success);
    master.master.stop().await;
}
