//! Slots that are lent to builds which somebody waits for, and waits that cannot end.

use super::plans::{PlanBuilder, exclusive, plan, step, triggerable};
use super::script::{Item, run, trigger};
use super::world::World;
use crate::model::{Event, Outcome};

/// `parent` triggers `kids` and runs `after`; everything is on the one slot of `w1`, and each child's command is its name.
fn family(kids: &[&str]) -> PlanBuilder {
    let steps = vec![step("call").does([trigger(&["kids"], true)]), step("after")];
    let parent = plan().builder_with("parent", ["w1"], steps);
    let all = kids.iter().fold(parent, |plan, kid| plan.builder_with(kid, ["w1"], vec![step(kid)]));
    all.scheduler(triggerable("kids", kids))
}

fn world(plan: PlanBuilder, held: &[&str]) -> World {
    let mut world = World::new(plan);
    world.connect("w1");
    for line in held {
        world.hold(line);
    }
    world
}

/// What was told of triggers that wait for ever.
fn refusals(world: &World) -> Vec<String> {
    let refused = world.events().filter_map(|event| match event {
        Event::TriggerRefused { why, .. } => Some(why.clone()),
        _ => None,
    });
    refused.collect()
}

#[test]
fn a_build_that_waits_lends_its_slot_to_one_child_at_a_time() {
    let mut world = world(family(&["a", "b"]), &["a", "b", "after"]);
    world.force("parent");
    assert_eq!(world.running_commands(), ["a"]);
    world.end("a", 0);
    assert_eq!(world.running_commands(), ["b"]);
    world.end("b", 0);
    assert_eq!(world.running_commands(), ["after"]);
    world.end("after", 0);
    world.expect_ended("parent/1", Outcome::Success);
}

#[test]
fn others_do_not_get_a_lent_slot() {
    let mut world = world(family(&["a"]).builder_with("other", ["w1"], vec![step("other")]), &["a", "other"]);
    world.force("parent");
    world.force("other");
    assert_eq!(world.running_commands(), ["a"]);
    world.end("a", 0);
    world.expect_ended("parent/1", Outcome::Success);
    assert_eq!(world.running_commands(), ["other"]);
}

#[test]
fn a_child_passes_strangers_in_the_queue_of_its_builder() {
    let mut world = world(family(&["a"]), &["a", "after"]);
    world.force("parent");
    world.end("a", 0);
    world.force("a");
    world.force("parent");
    world.end("after", 0);
    // The stranger has the slot now, and then the second parent, whose child overtakes the next stranger.
    world.expect_running("a/2", "w1");
    world.end("a", 0);
    world.force("a");
    world.expect_running("a/3", "w1");
    assert!(world.events().any(|event| matches!(event, Event::BuildStarted { lender: Some(_), number: 3, .. })));
}

#[test]
fn a_slot_goes_on_to_grandchildren_and_survives_restarts() {
    let nested = plan()
        .builder_with("parent", ["w1"], vec![step("call").does([trigger(&["kids"], true), run("after")])])
        .builder_with("kid", ["w1"], vec![step("call").does([trigger(&["babies"], true), run("kid")])])
        .builder_with("baby", ["w1"], vec![step("baby")])
        .scheduler(triggerable("kids", &["kid"]))
        .scheduler(triggerable("babies", &["baby"]));
    let mut world = world(nested, &["baby", "kid", "after"]);
    world.force("parent");
    world.expect_running("baby/1", "w1");
    world.restart();
    world.connect("w1");
    assert_eq!(world.running_commands(), ["baby"]);
    for line in ["baby", "kid", "after"] {
        assert_eq!(world.running_commands(), [line]);
        world.end(line, 0);
    }
    world.expect_ended("parent/1", Outcome::Success);
}

#[test]
fn a_build_with_a_branch_at_work_lends_nothing() {
    let both = Item::Parallel(vec![vec![trigger(&["kids"], true)], vec![run("busy")]]);
    let plan = plan()
        .builder_with("parent", ["w1"], vec![step("both").does([both])])
        .builder_with("a", ["w1"], vec![step("a")])
        .scheduler(triggerable("kids", &["a"]));
    let mut world = world(plan, &["busy", "a"]);
    world.force("parent");
    assert_eq!(world.running_commands(), ["busy"]);
    world.end("busy", 0);
    assert_eq!(world.running_commands(), ["a"]);
}

#[test]
fn a_build_waits_for_its_slot_before_its_next_command() {
    // One child is elsewhere and ends first; the other one sits on the lent slot.
    let branches = vec![vec![trigger(&["far"], true), run("go on")], vec![trigger(&["near"], true)]];
    let plan = plan()
        .builder_with("parent", ["w1"], vec![step("both").does([Item::Parallel(branches)])])
        .builder_with("a", ["w1"], vec![step("a")])
        .builder_with("f", ["w2"], vec![step("f")])
        .scheduler(triggerable("near", &["a"]))
        .scheduler(triggerable("far", &["f"]));
    let mut world = world(plan, &["a", "f", "go on"]);
    world.connect("w2");
    world.force("parent");
    world.end("f", 0);
    assert_eq!(world.running_commands(), ["a"]);
    world.restart();
    world.connect("w1");
    world.connect("w2");
    assert_eq!(world.running_commands(), ["a"]);
    world.end("a", 0);
    assert_eq!(world.running_commands(), ["go on"]);
    world.end("go on", 0);
    world.expect_ended("parent/1", Outcome::Success);
}

#[test]
fn a_parent_that_is_stopped_needs_no_slot_to_end() {
    let mut world = world(family(&["a"]).builder_with("other", ["w1"], vec![step("other")]), &["a", "other"]);
    world.force("parent");
    world.force("other");
    world.stop("parent/1");
    world.expect_ended("parent/1", Outcome::Cancelled);
    world.expect_none("other/1");
    world.end_with("a", crate::model::CommandEnd::Interrupted("stop".into()));
    world.expect_ended("a/1", Outcome::Cancelled);
    world.expect_running("other/1", "w1");
}

#[test]
fn a_lost_worker_takes_the_whole_line_down() {
    let mut world = world(family(&["a"]), &["a"]);
    world.force("parent");
    world.lose("w1");
    world.advance("10m");
    world.expect_ended("parent/1", Outcome::Retry);
    world.expect_ended("a/1", Outcome::Cancelled);
    world.connect("w1");
    world.expect_running("a/2", "w1");
}

#[test]
fn a_child_of_the_same_builder_is_told_at_once_that_it_cannot_start() {
    let own = || vec![step("call").does([trigger(&["kids"], true)])];
    let plan = |slots| {
        let plan = plan().builder_with("b", ["w1"], own()).worker("w1", 2).per_worker("b", slots);
        plan.scheduler(triggerable("kids", &["b"]))
    };
    let mut one = world(plan(1), &[]);
    one.force("b");
    one.expect_ended("b/1", Outcome::Exception);
    let failures = refusals(&one);
    assert!(failures[0].contains("on worker `w1` its directory `b` belongs to build 1 of `b`"), "{failures:?}");
    // With another directory there is another child, which is told the same.
    let mut two = world(plan(2), &[]);
    two.force("b");
    two.expect_ended("b/2", Outcome::Exception);
}

#[test]
fn two_families_that_want_each_others_directories_do_not_wait_for_ever() {
    let call = |kids: &'static str| vec![step("gate"), step("call").does([trigger(&[kids], true)])];
    let plan = plan()
        .builder_with("a", ["w1"], call("b-s"))
        .builder_with("b", ["w1"], call("a-s"))
        .worker("w1", 2)
        .scheduler(triggerable("a-s", &["a"]))
        .scheduler(triggerable("b-s", &["b"]));
    let mut world = world(plan, &["gate"]);
    world.force("a");
    world.force("b");
    world.end("gate", 0);
    assert!(refusals(&world).is_empty());
    world.end("gate", 0);
    let failures = refusals(&world);
    assert!(failures[0].contains("belongs to build 1 of `a`, which waits itself"), "{failures:?}");
}

#[test]
fn a_child_that_needs_a_lock_of_another_branch_is_told() {
    let holder = Item::Child {
        name: "holder".into(),
        locks: vec![exclusive("db")],
        items: vec![trigger(&["far"], true), run("go on")],
    };
    let plan = plan()
        .lock("db", 1)
        .builder_with(
            "parent",
            ["w1"],
            vec![step("both").does([Item::Parallel(vec![vec![holder], vec![trigger(&["near"], true)]])])],
        )
        .builder_with("f", ["w2"], vec![step("f")])
        .builder_with("a", ["w1"], vec![step("a"), step("locked").locks(vec![exclusive("db")])])
        .scheduler(triggerable("near", &["a"]))
        .scheduler(triggerable("far", &["f"]));
    let mut world = world(plan, &["f", "a"]);
    world.connect("w2");
    world.force("parent");
    world.end("f", 0);
    world.end("a", 0);
    world.expect_ended("a/1", Outcome::Exception);
    let why = world.log("a/1", "error");
    assert!(why.contains("lock `db` is held by build 1 of `parent`"), "{why}");
}
