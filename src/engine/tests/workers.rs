//! Workers come, go and come back.

use super::plans::{PlanBuilder, plan, step};
use super::script::{Item, run, run_with};
use super::world::World;
use crate::engine::{Input, Reply};
use crate::model::{Event, FileCommand, OnLost, Order, Outcome};

/// A world with builder `linux` on one worker, whose command `make` runs until told.
fn world(plan: PlanBuilder) -> World {
    let mut world = World::new(plan);
    world.hold("make");
    world
}

fn commands_sent(world: &World) -> Vec<String> {
    let ids = world.events().filter_map(|event| match event {
        Event::Asked { command: Some(command), .. } | Event::CommandRestarted { command, .. } => {
            Some(command.0.clone())
        }
        _ => None,
    });
    ids.collect()
}

#[test]
fn build_of_a_lost_worker_runs_again_elsewhere() {
    let mut world = world(plan().builder("linux", ["w1", "w2"]));
    world.connect("w1");
    world.force("linux");
    world.expect_running("linux/1", "w1");

    world.lose("w1");
    world.connect("w2");
    world.advance("10m");

    world.expect_ended("linux/1", Outcome::Retry);
    world.expect_running("linux/2", "w2");
    assert!(world.build("linux/1").state.starts_with("will run again: worker w1 stayed away"));
}

#[test]
fn a_command_goes_on_while_its_worker_is_away() {
    let mut world = world(plan().builder_with("linux", ["w1"], vec![step("make"), step("test")]));
    world.connect("w1");
    world.force("linux");
    world.lose("w1");
    world.end("make", 0);
    world.advance("9m");
    world.connect("w1");
    world.expect_ended("linux/1", Outcome::Success);
    assert_eq!(commands_sent(&world).len(), 2, "nothing runs twice");
}

#[test]
fn a_command_that_never_arrived_is_sent_again_to_the_same_spool() {
    let mut world = world(plan().builder("linux", ["w1"]));
    world.connect("w1");
    world.force("linux");
    world.worker("w1").running.clear();
    world.lose("w1");
    world.connect("w1");
    assert_eq!(world.running_commands(), ["make"]);
    assert_eq!(commands_sent(&world), ["inst-1-1"], "under the same id");
    world.end("make", 0);
    world.expect_ended("linux/1", Outcome::Success);
}

#[test]
fn a_worker_without_its_memory_cannot_go_on() {
    let mut world = world(plan().builder("linux", ["w1"]));
    world.connect("w1");
    world.force("linux");
    world.lose("w1");
    world.connect_as("w1", true, "a new spool");
    world.expect_ended("linux/1", Outcome::Retry);
    world.expect_running("linux/2", "w1");
}

#[test]
fn a_command_asked_for_while_the_worker_is_away_is_sent_when_it_returns() {
    let mut world = world(plan().builder_with(
        "linux",
        ["w1"],
        vec![step("nap").does([Item::Wait(super::plans::span("1m")), run("make")])],
    ));
    world.connect("w1");
    world.force("linux");
    world.lose("w1");
    world.advance("2m");
    assert!(world.running_commands().is_empty());
    world.connect("w1");
    assert_eq!(world.running_commands(), ["make"]);
    world.end("make", 0);
    world.expect_ended("linux/1", Outcome::Success);
}

#[test]
fn a_stock_worker_that_comes_back_has_lost_its_commands() {
    let mut world = world(plan().builder("linux", ["w1"]));
    world.connect_stock("w1");
    world.force("linux");
    world.lose("w1");
    world.connect_stock("w1");
    world.expect_ended("linux/1", Outcome::Retry);
    assert_eq!(world.worker("w1").forgotten.len(), 1, "the leftover is stopped");
    world.expect_none("linux/2");
    world.advance("10s");
    world.expect_running("linux/2", "w1");
}

#[test]
fn a_lost_command_can_run_again_in_its_build() {
    let again = |spec: &mut crate::model::CommandSpec| spec.on_lost = OnLost::RunAgain;
    let mut world = world(plan().builder_with("linux", ["w1"], vec![step("make").does([run_with("make", again)])]));
    world.connect_stock("w1");
    world.force("linux");
    world.lose("w1");
    world.connect_stock("w1");
    assert_eq!(world.running_commands(), ["make"]);
    assert_eq!(commands_sent(&world), ["inst-1-1", "inst-1-2"], "under a new id");
    world.end("make", 0);
    world.expect_ended("linux/1", Outcome::Success);
}

#[test]
fn a_command_that_takes_its_worker_down_each_time_ends() {
    let again = |spec: &mut crate::model::CommandSpec| spec.on_lost = OnLost::RunAgain;
    let mut world = world(plan().builder_with("linux", ["w1"], vec![step("make").does([run_with("make", again)])]));
    world.connect_stock("w1");
    world.force("linux");
    for _ in 0..6 {
        world.lose("w1");
        world.connect_stock("w1");
    }
    world.expect_ended("linux/1", Outcome::Exception);
}

#[test]
fn a_lost_command_can_fail_its_step() {
    let fail = |spec: &mut crate::model::CommandSpec| spec.on_lost = OnLost::Fail;
    let steps = vec![step("make").does([run_with("make", fail)]), step("clean").always()];
    let mut world = world(plan().builder_with("linux", ["w1"], steps));
    world.connect_stock("w1");
    world.force("linux");
    world.lose("w1");
    world.connect_stock("w1");
    world.expect_ended("linux/1", Outcome::Exception);
    assert_eq!(world.steps("linux/1"), ["make: exception (exception)", "clean: clean"]);
}

#[test]
fn a_builder_says_what_happens_to_commands_that_say_nothing() {
    let plan = plan().builder("linux", ["w1"]).change_builder("linux", |builder, _| builder.on_lost = OnLost::Fail);
    let mut world = world(plan);
    world.connect("w1");
    world.force("linux");
    world.lose("w1");
    world.advance("10m");
    world.expect_ended("linux/1", Outcome::Exception);
}

#[test]
fn file_commands_are_simply_done_again() {
    let list = FileCommand::List("dist".into());
    let mut world = world(plan().builder_with("linux", ["w1"], vec![step("list").does([Item::File(list.clone())])]));
    let line = format!("{list:?}");
    world.hold(&line);
    world.connect_stock("w1");
    world.force("linux");
    world.lose("w1");
    world.connect_stock("w1");
    world.end(&line, 0);
    world.expect_ended("linux/1", Outcome::Success);
}

#[test]
fn a_new_connection_fences_the_old_one() {
    let mut world = world(plan().builder("linux", ["w1"]));
    world.connect("w1");
    world.force("linux");
    let old = world.worker("w1").epoch.unwrap();
    world.connect("w1");
    assert_eq!(world.disconnected, [("w1".to_owned(), old)]);
    world.input(Input::WorkerLost { worker: "w1".into(), epoch: old, why: "late news".into() });
    world.end("make", 0);
    world.expect_ended("linux/1", Outcome::Success);
}

#[test]
fn an_end_told_twice_counts_once() {
    let mut world = world(plan().builder_with("linux", ["w1"], vec![step("make"), step("make")]));
    world.connect("w1");
    world.force("linux");
    let order = world.worker("w1").running.values().next().unwrap().clone();
    let result = crate::model::CommandResult::of(crate::model::CommandEnd::Exited(0), &[(0, Outcome::Success)].into());
    let ended =
        crate::engine::CommandEnded { worker: "w1".into(), epoch: order.epoch, command: order.command.clone(), result };
    world.input(Input::CommandEnded(ended.clone()));
    let facts = world.facts.len();
    world.input(Input::CommandEnded(ended));
    assert_eq!(world.facts.len(), facts);
}

#[test]
fn a_worker_told_to_finish_finishes_and_goes() {
    let mut world = world(plan().builder("linux", ["w1"]).collapse(crate::model::CollapsePolicy::Never));
    world.connect("w1");
    world.force("linux");
    world.force("linux");
    let reply = world.order(Order::StopWorker { worker: "w1".into() });
    assert_eq!(reply, Reply::Done);
    assert!(!world.worker("w1").told_to_end);
    world.end("make", 0);
    world.expect_ended("linux/1", Outcome::Success);
    world.expect_none("linux/2");
    assert!(world.worker("w1").told_to_end);
    world.lose("w1");
    world.connect("w1");
    world.expect_running("linux/2", "w1");
}

#[test]
fn builds_of_a_killed_worker_run_elsewhere_at_once() {
    let mut world = world(plan().builder("linux", ["w1", "w2"]));
    world.connect("w1");
    world.force("linux");
    world.connect("w2");
    world.order(Order::KillWorker { worker: "w1".into(), why: "on fire".into() });
    world.expect_ended("linux/1", Outcome::Retry);
    world.expect_running("linux/2", "w2");
    assert_eq!(world.disconnected.len(), 1);
    let unknown = world.order(Order::KillWorker { worker: "w3".into(), why: String::new() });
    assert!(matches!(unknown, Reply::Unknown(text) if text.contains("did you mean")));
}

#[test]
fn a_worker_that_nobody_configured_is_sent_away() {
    let mut world = world(plan().builder("linux", ["w1"]));
    world.connect("stranger");
    assert_eq!(world.disconnected, [("stranger".to_owned(), 1)]);
}

#[test]
fn a_request_that_is_retried_again_and_again_rests_in_between() {
    let mut world = world(plan().builder("linux", ["w1"]));
    world.connect_stock("w1");
    world.force("linux");
    for _ in 0..2 {
        world.lose("w1");
        world.connect("w1");
        world.connect_as("w1", true, "a new spool");
    }
    world.expect_ended("linux/2", Outcome::Retry);
    world.expect_none("linux/3");
    world.advance("9s");
    world.expect_none("linux/3");
    world.advance("1s");
    world.expect_running("linux/3", "w1");
    world.end("make", 0);
    world.expect_ended("linux/3", Outcome::Success);
}

#[test]
fn a_worker_that_flaps_leaves_one_running_command() {
    let mut world = world(plan().builder("linux", ["w1"]));
    world.connect("w1");
    world.force("linux");
    for _ in 0..20 {
        world.lose("w1");
        world.advance("1m");
        world.connect("w1");
    }
    assert_eq!(world.running_commands(), ["make"]);
    world.end("make", 0);
    world.expect_ended("linux/1", Outcome::Success);
}
