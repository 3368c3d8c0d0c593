//! Live reload: atomic, beside running builds, refused with a reason.

use std::path::PathBuf;

use starwright::testing::master::Reply;
use starwright::testing::model::{Event, Outcome};

use super::history::CONFIG;
use super::house::{House, reload};
use super::worker::ScriptedWorker;
use crate::support::git_source::make_executable;
use crate::support::starwright::PROGRAM;

const TWO_BUILDERS: &str = r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")

worker("w1", password = "secret", slots = 2)
builder("linux", workers = ["w1"], steps = [sh("something else", name = "compile")])
builder("added", workers = ["w1"], steps = [sh("new", name = "new")])
force("by-hand", builders = ["linux", "added"])
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_build_keeps_the_configuration_that_it_began_with() {
    let house = House::new(CONFIG);
    let mut running = house.start().await;
    let (worker, mut commands) = ScriptedWorker::new("w1");
    worker.connect(running.handle(), "secret");
    let build = running.force("linux").await;
    let compile = commands.recv().await.unwrap();

    house.write("master.star", TWO_BUILDERS);
    let reply = running.order(reload()).await;
    let Reply::Adopted { changes, .. } = reply else { panic!("{reply:?}") };
    assert!(
        changes
            .iter()
            .any(|change| change.name() == Some("added")
                && change.how() == starwright::testing::model::Difference::Added),
        "{changes:?}"
    );
    assert!(running.handle().plan().builders.contains_key("added"));

    worker.end(&compile.id, 0);
    let test = commands.recv().await.unwrap();
    assert_eq!(test.line, "make test", "the second step is of the old configuration");
    worker.end(&test.id, 0);
    assert_eq!(running.ended(build).await.0, Outcome::Success);

    running.force("added").await;
    assert_eq!(commands.recv().await.unwrap().line, "new");
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_faulty_configuration_changes_nothing_and_says_why() {
    let house = House::new(CONFIG);
    let running = house.start().await;
    let before = running.handle().plan();
    house.write("master.star", &CONFIG.replace("workers = [\"w1\"]", "workers = [\"w11\"]"));
    let reply = running.order(reload()).await;
    let Reply::Refused(report) = reply else { panic!("{reply:?}") };
    assert!(report.contains("master.star:6") && report.contains("w1"), "{report}");
    assert_eq!(running.handle().plan().digest, before.digest);
    let (_, message) = running.handle().store().plan_refused().unwrap().expect("the refusal is recorded");
    assert_eq!(message, report);

    house.write("master.star", CONFIG);
    assert_eq!(running.order(reload()).await, Reply::Done);
    assert_eq!(running.handle().store().plan_refused().unwrap(), None);
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_configuration_is_not_adopted_twice() {
    let house = House::new(CONFIG);
    let running = house.start().await;
    assert_eq!(running.order(reload()).await, Reply::Done);
    assert_eq!(running.handle().store().plans_adopted(10).unwrap().len(), 1);
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_file_is_part_of_the_configuration() {
    let config = r#"
load("@stdlib//steps.star", "sh")
load("lib/targets.star", "TARGETS")

worker("w1", password = "secret")
[builder(name, workers = ["w1"], steps = [sh("make")]) for name in TARGETS]
"#;
    let house = House::new(config);
    std::fs::create_dir(house.path("lib")).unwrap();
    house.write("lib/targets.star", "TARGETS = data(\"targets.toml\")[\"targets\"]\n");
    house.write("lib/targets.toml", "targets = [\"linux\"]\n");
    let running = house.start().await;
    assert!(running.handle().plan().builders.contains_key("linux"));

    house.write("lib/targets.toml", "targets = [\"linux\", \"windows\"]\n");
    let reply = running.order(reload()).await;
    assert!(matches!(reply, Reply::Adopted { .. }), "{reply:?}");
    assert!(running.handle().plan().builders.contains_key("windows"));

    house.write("lib/targets.toml", "targets = [\"linux\",\n= 1]\n");
    let Reply::Refused(report) = running.order(reload()).await else { panic!("it is refused") };
    assert!(report.contains("`targets.toml` is no valid TOML") && report.contains("in line 2"), "{report}");
    std::fs::remove_file(house.path("lib/targets.toml")).unwrap();
    let Reply::Refused(report) = running.order(reload()).await else { panic!("it is refused") };
    assert!(report.contains("failed to read `lib/targets.toml`"), "{report}");

    // A start without the configuration's directory knows what was read.
    let digest = running.handle().plan().digest.clone();
    running.master.stop().await;
    let running = house.start().await;
    assert_eq!(running.handle().plan().digest, digest);
    assert!(running.handle().plan().builders.contains_key("windows"));
    running.master.stop().await;
}

/// A program that counts how often it is started, which is once for each load.
fn counting(house: &House) -> PathBuf {
    let (program, loads) = (house.path("counting"), house.path("loads"));
    house.write("counting", &format!("#!/bin/sh\necho load >>'{}'\nexec '{PROGRAM}' \"$@\"\n", loads.display()));
    make_executable(&program);
    program
}

fn loads(house: &House) -> usize {
    std::fs::read_to_string(house.path("loads")).unwrap_or_default().lines().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_is_evaluated_once_and_again_when_its_texts_changed() {
    let house = House::new(CONFIG);
    let program = counting(&house);
    let running = house
        .start_with(|options| {
            options.watch = true;
            options.launcher.program = Some(program);
        })
        .await;
    assert_eq!(running.order(reload()).await, Reply::Done);
    house.write("master.star", CONFIG);
    assert_eq!(running.order(reload()).await, Reply::Done);
    assert_eq!(loads(&house), 1, "the start, the watch that begins, and a file that is saved unchanged");

    house.write("master.star", TWO_BUILDERS);
    // Whether we or the watch come first, the load that follows the change answers both.
    running.order(reload()).await;
    assert!(running.handle().plan().builders.contains_key("added"));
    assert_eq!(running.order(reload()).await, Reply::Done);
    assert_eq!(loads(&house), 2);
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saving_a_file_is_enough() {
    let house = House::new(CONFIG);
    let mut running = house.start_watching().await;
    house.write("master.star", TWO_BUILDERS);
    let cause = running
        .fact("adoption of the new plan", |event| match event {
            Event::PlanAdopted { why, builders, .. } if builders.added.contains_key("added") => Some(why.clone()),
            _ => None,
        })
        .await;
    assert!(!cause.is_empty());

    house.write("master.star", "builder(");
    running.fact("refusal", |event| matches!(event, Event::PlanRefused { .. }).then_some(())).await;
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_loaded_is_watched_too() {
    let config = "load(\"lib/names.star\", \"NAME\")\n".to_owned() + &CONFIG.replace("\"linux\"", "NAME");
    let house = House::new(&config);
    house.write("lib/names.star", "NAME = \"linux\"\n");
    let mut running = house.start_watching().await;
    house.write("lib/names.star", "NAME = \"renamed\"\n");
    running
        .fact("adoption of the new plan", |event| match event {
            Event::PlanAdopted { builders, .. } if builders.added.contains_key("renamed") => Some(()),
            _ => None,
        })
        .await;
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_first_configuration_that_is_wrong_does_not_start() {
    let house = House::new("builder(name)");
    let error = house.try_start().await.err().expect("a refusal");
    assert!(error.report().is_some_and(|report| report.contains("master.star:1")), "{error}");

    // With a right one the same directory starts.
    house.write("master.star", CONFIG);
    house.start().await.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_that_became_wrong_does_not_keep_a_master_from_starting() {
    let house = House::new(CONFIG);
    house.start().await.master.stop().await;
    house.write("master.star", "builder(name)");
    let running = house.start().await;
    assert!(running.handle().plan().builders.contains_key("linux"));
    assert!(running.handle().store().plan_refused().unwrap().is_some());
    running.master.stop().await;
}
