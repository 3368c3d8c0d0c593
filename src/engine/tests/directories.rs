//! A directory of a worker belongs to one build at a time.

use super::plans::{PlanBuilder, plan, span, step};
use super::script::{Item, run, run_with};
use super::world::World;
use crate::base::Timestamp;
use crate::model::{CollapsePolicy, Event, OnLost, Order, Outcome, Value};

/// Builder `linux` on a worker with room for three; `make` runs until told.
fn world(slots_per_worker: u64) -> World {
    held(base(slots_per_worker))
}

fn base(slots_per_worker: u64) -> PlanBuilder {
    let plan = plan().builder("linux", ["w1"]).worker("w1", 3).collapse(CollapsePolicy::Never);
    plan.per_worker("linux", slots_per_worker)
}

fn held(plan: PlanBuilder) -> World {
    let mut world = World::new(plan);
    world.hold("make");
    world.hold("slow");
    world
}

/// The directories that commands run in, by build.
fn dirs(world: &World) -> Vec<String> {
    let orders = world.workers.values().flat_map(|worker| worker.running.values());
    let mut dirs: Vec<String> = orders.map(|order| format!("{} in {}", order.build, order.dir)).collect();
    dirs.sort();
    dirs
}

/// Ends the command of this build.
fn end_of(world: &mut World, build: u64) {
    let orders = world.workers["w1"].running.values();
    let command = orders.filter(|order| order.build.0 == build).map(|order| order.command.clone()).next().unwrap();
    world.end_command(&command, 0);
}

#[test]
fn a_builder_runs_one_build_at_a_time_on_a_worker() {
    let mut world = world(1);
    world.connect("w1");
    world.force("linux");
    world.force("linux");
    assert_eq!(dirs(&world), ["1 in linux"]);
    world.end("make", 0);
    assert_eq!(dirs(&world), ["2 in linux"]);
}

#[test]
fn further_builds_of_a_worker_get_directories_of_their_own() {
    let mut world = world(3);
    world.connect("w1");
    for _ in 0..4 {
        world.force("linux");
    }
    assert_eq!(dirs(&world), ["1 in linux", "2 in linux.2", "3 in linux.3"]);
    assert_eq!(world.property("linux/2", "builddir"), Some(Value::Str("/srv/worker/linux.2".into())));
    end_of(&mut world, 2);
    assert_eq!(dirs(&world), ["1 in linux", "3 in linux.3", "4 in linux.2"], "the lowest that is free");
}

#[test]
fn a_directory_is_a_fact_that_outlives_the_master_and_the_configuration() {
    let mut world = world(3);
    world.connect("w1");
    world.force("linux");
    world.force("linux");
    end_of(&mut world, 1);
    world.adopt(base(1));
    world.restart();
    world.connect("w1");
    assert_eq!(dirs(&world), ["2 in linux.2"]);
    world.force("linux");
    assert_eq!(dirs(&world), ["2 in linux.2"], "one at a time now, wherever it runs");
    world.end("make", 0);
    assert_eq!(dirs(&world), ["3 in linux"]);
}

#[test]
fn a_builder_that_takes_over_a_directory_waits_for_it() {
    let mut world = world(1);
    world.connect("w1");
    world.force("linux");
    let renamed = |dir: &'static str| {
        plan().builder("unix", ["w1"]).worker("w1", 3).change_builder("unix", move |plan, _| plan.dir = dir.into())
    };
    world.adopt(renamed("Linux"));
    world.force("unix");
    world.expect_none("unix/1");
    world.adopt(renamed("linux/inside"));
    world.expect_none("unix/1");
    world.end("make", 0);
    assert_eq!(dirs(&world), ["2 in linux/inside"]);
}

#[test]
fn a_build_given_up_keeps_its_directory_until_its_worker_is_back() {
    let mut world = world(1);
    world.connect("w1");
    world.force("linux");
    world.stop("linux/1");
    world.lose("w1");
    world.advance("1h");
    world.expect_ended("linux/1", Outcome::Cancelled);
    world.force("linux");
    world.restart();
    // A stock worker is told to kill what is left, and cannot say when it has.
    world.connect_stock("w1");
    world.expect_none("linux/2");
    world.advance("9s");
    world.expect_none("linux/2");
    world.advance("1s");
    world.expect_running("linux/2", "w1");
}

#[test]
fn a_command_that_no_stop_ends_keeps_its_directory() {
    let mut world = world(1);
    world.connect("w1");
    world.force("linux");
    world.force("linux");
    world.stop("linux/1");
    world.advance("5m");
    world.expect_ended("linux/1", Outcome::Cancelled);
    world.expect_none("linux/2");
    world.restart();
    world.connect("w1");
    world.expect_running("linux/2", "w1");
}

#[test]
fn a_leftover_that_ends_frees_its_directory() {
    let mut world = world(1);
    world.connect("w1");
    world.force("linux");
    world.force("linux");
    world.stop("linux/1");
    world.advance("5m");
    world.expect_none("linux/2");
    end_of(&mut world, 1);
    assert!(world.events().any(|event| matches!(event, Event::LeftoverEnded { .. })));
    world.expect_running("linux/2", "w1");
}

#[test]
fn a_build_that_is_tried_again_waits_for_what_is_left_of_it() {
    // One of two commands is lost, and the build is tried again while the other one still runs.
    let retry = |spec: &mut crate::model::CommandSpec| spec.on_lost = OnLost::RetryBuild;
    let both = Item::Parallel(vec![vec![run_with("make", retry)], vec![run("slow")]]);
    let mut world = held(plan().builder_with("linux", ["w1"], vec![step("both").does([both])]));
    world.connect("w1");
    world.force("linux");
    world.end_with("make", crate::model::CommandEnd::Lost("the machine is odd".into()));
    world.expect_ended("linux/1", Outcome::Retry);
    world.expect_none("linux/2");
    assert_eq!(world.worker("w1").interrupted.len(), 1, "what is left is killed");
    world.end("slow", 0);
    world.expect_running("linux/2", "w1");
}

#[test]
fn a_killed_worker_keeps_nothing_once_it_resumed() {
    let mut world = world(1);
    world.connect("w1");
    world.force("linux");
    world.order(Order::KillWorker { worker: "w1".into(), why: "on fire".into() });
    world.connect("w1");
    assert_eq!(dirs(&world), ["2 in linux"]);
}

#[test]
fn a_directory_that_became_free_stays_free_when_the_clock_goes_back() {
    let mut world = world(1);
    world.connect("w1");
    world.force("linux");
    world.stop("linux/1");
    world.lose("w1");
    world.advance("1h");
    world.connect_stock("w1");
    world.advance("10s");
    let ended = |event: &&Event| matches!(event, Event::LeftoverEnded { heard: false, .. });
    assert_eq!(world.events().filter(ended).count(), 1);
    world.set_clock(Timestamp::from_millis(world.now.as_millis() - 8_000));
    world.force("linux");
    world.expect_running("linux/2", "w1");
    // The order to kill it may have been lost with the connection: it is told once more.
    world.stop("linux/2");
    world.lose("w1");
    world.advance("1h");
    world.force("linux");
    world.connect_stock("w1");
    world.advance("9s");
    world.expect_none("linux/3");
    world.advance("1s");
    world.expect_running("linux/3", "w1");
}

#[test]
fn a_command_asked_for_while_a_stock_worker_was_away_keeps_no_directory() {
    let later = vec![Item::Wait(span("1m")), run("slow")];
    let both = Item::Parallel(vec![vec![run("make")], later]);
    let mut world = held(plan().builder_with("linux", ["w1"], vec![step("both").does([both])]));
    world.connect_stock("w1");
    world.force("linux");
    world.lose("w1");
    world.advance("2m");
    world.connect_stock("w1");
    world.expect_ended("linux/1", Outcome::Retry);
    world.expect_none("linux/2");
    // `make` is killed by now; `slow` was never sent, and so does not end.
    world.advance("10s");
    world.expect_running("linux/2", "w1");
}
