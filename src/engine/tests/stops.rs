//! Stopping always ends.

use super::plans::{plan, span, step};
use super::script::{Item, child, run};
use super::world::World;
use crate::engine::StopLevel;
use crate::model::{Actor, Cause, CommandEnd, Event, Outcome, StopReason, Via};

fn world(steps: Vec<super::plans::StepBuilder>) -> World {
    let mut world = World::new(plan().builder_with("linux", ["w1"], steps));
    world.connect("w1");
    for line in ["make", "clean"] {
        world.hold(line);
    }
    world
}

fn levels(world: &mut World) -> Vec<StopLevel> {
    world.worker("w1").interrupted.iter().map(|(_, level)| *level).collect()
}

#[test]
fn a_stopped_build_ends_when_its_command_does() {
    let mut world = world(vec![step("make"), step("test")]);
    world.force("linux");
    world.stop("linux/1");
    world.expect_running("linux/1", "w1");
    assert_eq!(levels(&mut world), [StopLevel::Interrupt]);
    world.end_with("make", CommandEnd::Interrupted("enough".into()));
    world.expect_ended("linux/1", Outcome::Cancelled);
    assert_eq!(world.steps("linux/1"), ["make: cancelled (cancelled)"]);
    assert_eq!(world.build("linux/1").state, "cancelled by ann in `make`: enough");
}

#[test]
fn a_stop_that_does_not_help_gets_stronger_and_ends_in_any_case() {
    let mut world = world(vec![step("make")]);
    world.force("linux");
    world.stop("linux/1");
    world.advance("39s");
    assert_eq!(levels(&mut world), [StopLevel::Interrupt], "its own grace of 10 s and 30 s more");
    world.advance("1s");
    assert_eq!(levels(&mut world), [StopLevel::Interrupt, StopLevel::Kill]);
    world.advance("30s");
    world.expect_ended("linux/1", Outcome::Cancelled);
}

#[test]
fn a_command_given_up_is_forgotten_when_the_worker_returns() {
    let mut world = World::new(plan().builder("linux", ["w1"]));
    world.connect_stock("w1");
    world.hold("make");
    world.force("linux");
    world.stop("linux/1");
    world.advance("2m");
    world.expect_ended("linux/1", Outcome::Cancelled);
    world.lose("w1");
    world.connect_stock("w1");
    assert_eq!(world.worker("w1").forgotten.len(), 1);
    assert!(world.running_commands().is_empty());
}

#[test]
fn a_build_whose_worker_is_away_stops_at_once() {
    let mut world = world(vec![step("make")]);
    world.force("linux");
    world.lose("w1");
    world.stop("linux/1");
    world.expect_ended("linux/1", Outcome::Cancelled);
    world.connect("w1");
    assert!(world.running_commands().is_empty(), "the worker drops what nobody asks about");
}

#[test]
fn a_worker_lost_while_a_build_stops_ends_it() {
    let mut world = world(vec![step("make")]);
    world.force("linux");
    world.stop("linux/1");
    world.lose("w1");
    world.expect_ended("linux/1", Outcome::Cancelled);
}

#[test]
fn steps_that_always_run_run_after_a_stop_and_a_second_stop_ends_them() {
    let mut world = world(vec![step("make"), step("test"), step("clean").always(), step("more").always()]);
    world.force("linux");
    world.stop("linux/1");
    world.end_with("make", CommandEnd::Interrupted("enough".into()));
    assert_eq!(world.running_commands(), ["clean"]);
    world.stop("linux/1");
    world.end_with("clean", CommandEnd::Interrupted("enough".into()));
    world.expect_ended("linux/1", Outcome::Cancelled);
    assert_eq!(world.steps("linux/1"), ["make: cancelled (cancelled)", "clean: cancelled (cancelled)"]);
}

#[test]
fn a_waiting_build_stops_at_once() {
    let mut world = world(vec![step("nap").does([Item::Wait(span("1h"))])]);
    world.force("linux");
    world.stop("linux/1");
    world.expect_ended("linux/1", Outcome::Cancelled);
    assert_eq!(world.engine.deadline(), None);
}

#[test]
fn a_build_that_waits_for_a_lock_stops_at_once() {
    let locked = |name: &str| step(name).locks(vec![super::plans::exclusive("db")]);
    let plan = plan().lock("db", 1).builder_with("a", ["w1"], vec![locked("make")]);
    let mut world = World::new(plan.builder_with("b", ["w2"], vec![locked("other")]));
    world.connect("w1");
    world.connect("w2");
    world.hold("make");
    world.force("a");
    world.force("b");
    world.stop("b/1");
    world.expect_ended("b/1", Outcome::Cancelled);
    world.end("make", 0);
    world.expect_ended("a/1", Outcome::Success);
}

#[test]
fn a_build_that_is_being_evaluated_stops_at_once() {
    let mut world = world(vec![step("make")]);
    world.hold_scripts = true;
    world.force("linux");
    world.stop("linux/1");
    world.expect_ended("linux/1", Outcome::Cancelled);
    world.evaluate_next();
    assert!(world.running_commands().is_empty(), "what the script wanted is not news any more");
}

#[test]
fn a_build_that_pauses_before_a_retry_stops_at_once() {
    let mut world = world(vec![step("fail").retries(3, "5m")]);
    world.force("linux");
    world.stop("linux/1");
    world.expect_ended("linux/1", Outcome::Cancelled);
    assert_eq!(world.steps("linux/1").len(), 1);
}

#[test]
fn child_steps_of_a_stopped_build_are_cancelled() {
    let mut world = world(vec![step("all").does([child("inner", [run("make")])])]);
    world.force("linux");
    world.stop("linux/1");
    world.end_with("make", CommandEnd::Interrupted("enough".into()));
    assert_eq!(world.steps("linux/1"), ["all: cancelled (cancelled)", "> inner: cancelled (cancelled)"]);
}

#[test]
fn a_command_that_succeeds_while_it_is_stopped_does_not_save_the_build() {
    let mut world = world(vec![step("make")]);
    world.force("linux");
    world.stop("linux/1");
    world.end("make", 0);
    world.expect_ended("linux/1", Outcome::Cancelled);
}

#[test]
fn stopping_what_ended_changes_nothing() {
    let mut world = world(vec![step("test")]);
    world.force("linux");
    let facts = world.facts.len();
    world.stop("linux/1");
    assert_eq!(world.facts.len(), facts);
}

#[test]
fn who_stopped_a_build_is_recorded() {
    let mut world = world(vec![step("make")]);
    world.force("linux");
    world.stop("linux/1");
    let stopping = world.facts.iter().find_map(|fact| match &fact.event {
        Event::BuildStopping { why, reason, .. } => Some((why.as_str(), *reason, &fact.cause)),
        _ => None,
    });
    let ann = Cause::Order(Actor::person("ann", Via::Page));
    assert_eq!(stopping, Some(("enough", StopReason::Ordered, &ann)));
}
