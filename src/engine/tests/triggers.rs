//! Builds that start builds.

use super::plans::{PlanBuilder, plan, step, triggerable};
use super::script::trigger;
use super::world::World;
use crate::engine::Reply;
use crate::model::{Answer, CommandEnd, Event, Order, Outcome, Triggered};

/// `parent` triggers `kids`, which are `good` and one more builder whose step runs this command.
fn family(command: &str, wait: bool) -> PlanBuilder {
    plan()
        .builder_with("parent", ["p1"], vec![step("call").does([trigger(&["kids"], wait)]), step("after")])
        .builder_with("good", ["w1"], vec![step("good")])
        .builder_with("other", ["w1"], vec![step(command)])
        .scheduler(triggerable("kids", &["good", "other"]))
}

fn world(plan: PlanBuilder) -> World {
    let mut world = World::new(plan);
    for worker in ["p1", "w1"] {
        world.connect(worker);
    }
    world.hold("slow");
    world
}

fn triggered(world: &World) -> Triggered {
    let found = world.events().find_map(|event| match event {
        Event::Answered { answer: Answer::Triggered(triggered), .. } => Some(triggered.clone()),
        _ => None,
    });
    found.unwrap()
}

#[test]
fn a_trigger_waits_for_its_builds_and_tells_how_they_ended() {
    let mut world = world(family("slow", true));
    world.force("parent");
    world.expect_running("parent/1", "p1");
    world.expect_ended("good/1", Outcome::Success);
    world.end("slow", 1);
    world.expect_ended("parent/1", Outcome::Failure);
    let answer = triggered(&world);
    let builds: Vec<_> =
        answer.builds.iter().map(|build| (build.builder.as_str(), build.number, build.outcome)).collect();
    assert_eq!(builds, [("good", Some(1), Outcome::Success), ("other", Some(1), Outcome::Failure)]);
    let set = world.buildsets("kids")[0];
    assert_eq!(set.parent, Some(world.build("parent/1").id));
    assert_eq!(set.stamps, world.buildset_of_build(world.build("parent/1").id).stamps);
}

#[test]
fn a_trigger_that_does_not_wait_goes_on_at_once() {
    let mut world = world(family("slow", false));
    world.force("parent");
    world.expect_ended("parent/1", Outcome::Success);
    world.expect_running("other/1", "w1");
    world.end("slow", 1);
}

#[test]
fn a_trigger_step_links_what_it_started() {
    let mut world = world(family("slow", true));
    world.force("parent");
    let links = |world: &World| -> Vec<String> {
        let links = world.events().filter_map(|event| match event {
            Event::StepLinked { name, url, .. } => Some(format!("{name} {url}")),
            _ => None,
        });
        links.collect()
    };
    assert_eq!(links(&world), ["kids #2 /requests/2", "kids #3 /requests/3"]);
    world.end("slow", 0);
    let all = links(&world);
    assert!(all[2].starts_with("success: good #1 /builders/") && all[2].ends_with("/builds/1"), "{all:?}");
    assert_eq!(all.len(), 4);
}

#[test]
fn triggered_requests_that_are_waited_for_are_never_collapsed() {
    let mut world = world(family("slow", true).worker("p1", 2).per_worker("parent", 2));
    world.force("parent");
    world.force("parent");
    assert_eq!(world.running(), 3, "two parents and one child");
    for _ in 0..2 {
        world.end("slow", 0);
    }
    world.expect_ended("parent/2", Outcome::Success);
    world.expect_ended("other/2", Outcome::Success);
}

#[test]
fn a_missing_scheduler_is_an_exception_and_starts_nothing() {
    let mut plan = family("slow", true).without_scheduler("kids");
    plan.plan.schedulers.clear();
    let mut world = world(plan);
    world.force("parent");
    world.expect_ended("parent/1", Outcome::Exception);
    let refused = world.events().find_map(|event| match event {
        Event::TriggerRefused { why, .. } => Some(why.clone()),
        _ => None,
    });
    assert_eq!(refused.as_deref(), Some("there is no scheduler `kids`"));
    world.expect_none("good/1");
}

#[test]
fn stopping_a_build_cancels_what_it_waits_for() {
    let mut world = world(family("slow", true).worker("w1", 1));
    world.force("other");
    world.force("parent");
    world.expect_running("other/1", "w1");
    world.stop("parent/1");
    world.expect_ended("parent/1", Outcome::Cancelled);
    let outcomes: Vec<_> =
        world.buildsets("kids")[0].requests.iter().map(|request| world.request_outcome(*request)).collect();
    assert_eq!(outcomes, [Some(Outcome::Cancelled), Some(Outcome::Cancelled)]);
    world.expect_running("other/1", "w1");
}

#[test]
fn stopping_a_build_stops_running_builds_that_it_waits_for() {
    let mut world = world(family("slow", true));
    world.force("parent");
    world.stop("parent/1");
    world.expect_ended("parent/1", Outcome::Cancelled);
    world.end_with("slow", CommandEnd::Interrupted("enough".into()));
    world.expect_ended("other/1", Outcome::Cancelled);
    assert!(world.engine.state().buildsets().is_empty());
}

#[test]
fn a_cancelled_child_is_told_to_its_parent() {
    let mut world = world(family("slow", true));
    world.force("parent");
    world.stop("other/1");
    world.end_with("slow", CommandEnd::Interrupted("enough".into()));
    world.expect_ended("parent/1", Outcome::Cancelled);
    assert_eq!(triggered(&world).outcome, Outcome::Cancelled);
}

#[test]
fn a_child_that_is_retried_is_still_waited_for() {
    let mut world = world(family("slow", true));
    world.force("parent");
    world.order(Order::KillWorker { worker: "w1".into(), why: "on fire".into() });
    world.expect_ended("other/1", Outcome::Retry);
    world.expect_running("parent/1", "p1");
    world.connect("w1");
    world.end("slow", 0);
    world.expect_ended("parent/1", Outcome::Success);
    assert_eq!(triggered(&world).builds[1].number, Some(2));
}

#[test]
fn a_trigger_survives_a_restart() {
    let mut world = world(family("slow", true));
    world.force("parent");
    world.restart();
    world.connect("p1");
    world.connect("w1");
    world.end("slow", 0);
    world.expect_ended("parent/1", Outcome::Success);
    assert_eq!(world.buildsets("kids").len(), 1, "it is not triggered twice");
}

#[test]
fn rebuilding_a_child_does_not_concern_the_parent() {
    let mut world = world(family("slow", true));
    world.force("parent");
    let Reply::Buildset { .. } = world.rebuild("good/1") else { panic!() };
    world.end("slow", 0);
    world.expect_ended("parent/1", Outcome::Success);
    assert_eq!(triggered(&world).builds.len(), 2);
}

#[test]
fn a_child_whose_builder_is_removed_is_not_waited_for() {
    let mut world = World::new(family("slow", true));
    world.connect("p1");
    world.force("parent");
    world.expect_running("parent/1", "p1");
    let alone =
        plan().builder_with("parent", ["p1"], vec![step("call").does([trigger(&["kids"], true)]), step("after")]);
    world.adopt(alone.builder_with("good", ["w1"], vec![step("good")]).scheduler(triggerable("kids", &["good"])));
    world.expect_running("parent/1", "p1");
    world.connect("w1");
    world.expect_ended("parent/1", Outcome::Cancelled);
    let builds = triggered(&world).builds;
    let told: Vec<_> = builds.iter().map(|build| (build.builder.as_str(), build.outcome)).collect();
    assert_eq!(told, [("good", Outcome::Success), ("other", Outcome::Cancelled)]);
}

#[test]
fn a_child_that_is_to_be_retried_without_its_builder_is_not_waited_for() {
    let mut world = world(family("slow", true));
    world.force("parent");
    let alone =
        plan().builder_with("parent", ["p1"], vec![step("call").does([trigger(&["kids"], true)]), step("after")]);
    world.adopt(alone.builder_with("good", ["w1"], vec![step("good")]).scheduler(triggerable("kids", &["good"])));
    world.expect_running("other/1", "w1");
    world.order(Order::KillWorker { worker: "w1".into(), why: "on fire".into() });
    world.expect_ended("other/1", Outcome::Retry);
    world.expect_ended("parent/1", Outcome::Cancelled);
}
