//! Requests and steps say why they wait.

use super::plans::{PlanBuilder, exclusive, plan, step, triggerable};
use super::script::{Item, run, trigger};
use super::world::World;
use crate::model::{CollapsePolicy, Event, Order};

fn world(plan: PlanBuilder) -> World {
    let mut world = World::new(plan.collapse(CollapsePolicy::Never));
    world.hold("make");
    world
}

#[test]
fn a_request_names_each_worker_and_what_is_with_it() {
    let mut world = world(plan().builder("linux", ["w1", "w2"]).builder("other", ["w1"]));
    let request = world.force("linux");
    assert_eq!(world.why(request), ["worker `w1`: never connected", "worker `w2`: never connected"]);
    world.connect("w2");
    assert!(world.why(request).is_empty(), "it runs");
    world.connect("w1");
    world.force("other");
    let request = world.force("linux");
    assert_eq!(
        world.why(request),
        [
            "worker `w1`: 1 of 1 slots are taken: build 1 of `other`",
            "worker `w2`: build 1 of `linux` runs there, and no more of them may (`slots_per_worker`)",
        ]
    );
    world.order(Order::PauseWorker { worker: "w1".into(), paused: true, reason: None });
    world.lose("w2");
    assert_eq!(world.why(request), ["worker `w1`: is paused", "worker `w2`: is not connected"]);
    let behind = world.force("linux");
    assert_eq!(world.why(behind)[0], "one other request of its builder is before it");
}

#[test]
fn a_request_names_the_slots_of_its_builder_and_a_directory_in_use() {
    let plan = plan().builder("linux", ["w1", "w2"]).worker("w1", 2);
    let mut world = world(plan.change_builder("linux", |plan, _| plan.slots = Some(1)));
    world.connect("w1");
    world.force("linux");
    let request = world.force("linux");
    assert_eq!(world.why(request)[0], "builder `linux` runs as many builds as its `slots` allow: build 1 of `linux`");
    world.stop("linux/1");
    world.advance("5m");
    let why = world.why(request);
    assert_eq!(why[0], "worker `w1`: a command of build 1, which is over, may still run in the directory `linux`");
}

#[test]
fn a_request_and_a_step_name_the_lock_and_its_holder() {
    let plan = plan()
        .lock("db", 1)
        .builder_with("a", ["w1"], vec![step("make").locks(vec![exclusive("db")])])
        .builder_with("b", ["w1"], vec![step("make").locks(vec![exclusive("db")])])
        .builder("c", ["w1"])
        .worker("w1", 3)
        .change_builder("c", |plan, _| plan.locks = vec![exclusive("db")]);
    let mut world = world(plan);
    world.connect("w1");
    world.force("a");
    world.force("b");
    let request = world.force("c");
    assert_eq!(world.why(request), ["worker `w1`: lock `db` is held by step `make` of build 1 of `a`"]);
    let state = world.events().find_map(|event| match event {
        Event::LocksAwaited { state, .. } => Some(state.clone()),
        _ => None,
    });
    assert_eq!(state.unwrap(), "waits: lock `db` is held by step `make` of build 1 of `a`");
}

#[test]
fn a_triggered_request_names_the_build_whose_slot_it_could_have() {
    let both = Item::Parallel(vec![vec![trigger(&["kids"], true)], vec![run("make")]]);
    let plan = plan()
        .builder_with("parent", ["w1"], vec![step("both").does([both])])
        .builder("kid", ["w1"])
        .scheduler(triggerable("kids", &["kid"]));
    let mut world = world(plan);
    world.connect("w1");
    world.force("parent");
    let why = world.why(crate::model::RequestId(2));
    assert_eq!(why, ["worker `w1`: build 1 of `parent`, which waits for it, lends its slot as soon as it only waits"]);
}

#[test]
fn a_request_of_a_removed_builder_says_so_and_so_does_the_reload() {
    let base = || plan().builder("busy", ["w1"]);
    let mut world = world(base().builder("gone", ["w1"]));
    world.connect("w1");
    world.force("busy");
    let request = world.force("gone");
    let changes = world.adopt(base());
    assert!(changes.contains(&"builder gone removed, and one request waits for its return".to_owned()), "{changes:?}");
    assert!(world.why(request)[0].starts_with("builder `gone` is not configured any more"));
}

#[test]
fn a_queue_that_nobody_can_serve_is_told() {
    let base = || plan().builder("busy", ["w1"]);
    let mut world = world(base().builder("linux", ["w2"]));
    world.connect("w1");
    world.force("linux");
    world.advance("9m");
    assert_eq!(world.stuck(), Vec::<String>::new());
    world.advance("1m");
    assert_eq!(world.stuck(), ["linux: one request waits, but no worker that could build it ever connected: `w2`"]);
    world.adopt(base());
    assert_eq!(world.stuck(), ["linux: one request waits, but the builder is not configured any more"]);
}
