//! Which worker gets which request.

use super::plans::{PlanBuilder, plan};
use super::world::World;
use crate::model::{CollapsePolicy, Order, Outcome, Question, Undecided, Value};

fn world(plan: PlanBuilder) -> World {
    let mut world = World::new(plan.collapse(CollapsePolicy::Never));
    world.hold("make");
    world
}

fn worker_of(world: &World, build: &str) -> String {
    world.build(build).worker
}

#[test]
fn a_worker_runs_as_many_builds_as_it_has_slots() {
    let mut world = world(plan().builder("linux", ["w1"]).per_worker("linux", 5).worker("w1", 2));
    world.connect("w1");
    for _ in 0..3 {
        world.force("linux");
    }
    assert_eq!(world.running(), 2);
    world.end("make", 0);
    assert_eq!(world.running(), 2);
    world.expect_running("linux/3", "w1");
}

#[test]
fn a_builder_runs_as_many_builds_as_it_has_slots() {
    let plan = plan().builder("linux", ["w1"]).worker("w1", 5).change_builder("linux", |b, _| b.slots = Some(1));
    let mut world = world(plan);
    world.connect("w1");
    world.force("linux");
    world.force("linux");
    assert_eq!(world.running(), 1);
    world.end("make", 0);
    world.expect_running("linux/2", "w1");
}

#[test]
fn the_least_loaded_then_the_longest_unused_worker_is_chosen() {
    let mut world = world(plan().builder("linux", ["w1", "w2", "w3"]).per_worker("linux", 2).worker("w3", 2));
    for worker in ["w1", "w2", "w3"] {
        world.connect(worker);
    }
    for _ in 0..4 {
        world.force("linux");
    }
    let workers = ["linux/1", "linux/2", "linux/3", "linux/4"].map(|build| worker_of(&world, build));
    assert_eq!(workers, ["w1", "w2", "w3", "w3"]);
    world.end("make", 0);
    world.end("make", 0);
    world.force("linux");
    assert_eq!(worker_of(&world, "linux/5"), "w1", "`w2` was used later");
}

#[test]
fn builders_go_to_their_own_workers_only() {
    let mut world = world(plan().builder("linux", ["w1"]).builder("mac", ["m1"]));
    world.connect("w1");
    world.force("mac");
    world.force("linux");
    world.expect_none("mac/1");
    world.expect_running("linux/1", "w1");
    world.connect("m1");
    world.expect_running("mac/1", "m1");
}

#[test]
fn a_paused_worker_gets_nothing_new_and_keeps_its_builds() {
    let mut world = world(plan().builder("linux", ["w1"]).worker("w1", 2));
    world.connect("w1");
    world.force("linux");
    let pause = |world: &mut World, paused| {
        let reason = Some("disk".to_owned());
        world.order(Order::PauseWorker { worker: "w1".into(), paused, reason });
    };
    pause(&mut world, true);
    world.force("linux");
    world.expect_none("linux/2");
    world.end("make", 0);
    world.expect_ended("linux/1", Outcome::Success);
    world.expect_none("linux/2");
    pause(&mut world, false);
    world.expect_running("linux/2", "w1");
}

#[test]
fn a_function_chooses_the_next_request() {
    let mut plan = plan().builder("linux", ["w1"]);
    let function = plan.function(|question| match question {
        Question::NextBuild { requests, .. } => Ok(Value::Int(requests.len() as i64 - 1)),
        other => panic!("{other:?}"),
    });
    let mut world = world(plan.change_builder("linux", |builder, _| builder.next_build = Some(function)));
    let requests: Vec<_> = (0..3).map(|_| world.force("linux")).collect();
    world.connect("w1");
    let set = world.buildset_of_build(world.build("linux/1").id);
    assert_eq!(set.requests, [requests[2]]);
}

#[test]
fn a_function_can_let_requests_wait() {
    let mut plan = plan().builder("linux", ["w1"]).builder("docs", ["w1"]);
    let function = plan.function(|_| Ok(Value::Null));
    let mut world = world(plan.change_builder("linux", |builder, _| builder.next_build = Some(function)));
    world.connect("w1");
    world.force("linux");
    world.force("docs");
    world.expect_none("linux/1");
    world.expect_running("docs/1", "w1");
}

#[test]
fn a_function_chooses_the_worker() {
    let mut plan = plan().builder("linux", ["w1", "w2"]);
    let function = plan.function(|question| match question {
        Question::NextWorker { workers, .. } => {
            Ok(workers.iter().position(|worker| worker.name == "w2").map_or(Value::Null, |at| Value::Int(at as i64)))
        }
        other => panic!("{other:?}"),
    });
    let mut world = world(plan.change_builder("linux", |builder, _| builder.next_worker = Some(function)));
    world.connect("w1");
    world.connect("w2");
    world.force("linux");
    world.force("linux");
    assert_eq!(world.running(), 1);
    world.expect_running("linux/1", "w2");
}

#[test]
fn a_function_refuses_a_worker_or_a_request() {
    let mut plan = plan().builder("linux", ["w1", "w2"]);
    let function = plan.function(|question| match question {
        Question::CanStart { worker, request, .. } => {
            Ok(Value::Bool(worker.name == "w2" && request.properties.get("level").is_some()))
        }
        other => panic!("{other:?}"),
    });
    let mut world = world(plan.change_builder("linux", |builder, _| builder.can_start = Some(function)));
    world.connect("w1");
    world.connect("w2");
    world.force("linux");
    assert_eq!(world.running(), 0);
    let params = [("level".to_owned(), Value::Int(1))].into();
    world.force_with(crate::model::ForceOrder { builders: vec!["linux".into()], params, ..Default::default() });
    world.expect_running("linux/1", "w2");
}

#[test]
fn a_choosing_function_that_fails_is_told_once_and_left_out() {
    let mut plan = plan().builder("linux", ["w1"]);
    let function = plan.function(|_| Err(Undecided::Failed { message: "oh".into() }));
    let mut world = world(plan.change_builder("linux", |builder, _| builder.next_build = Some(function)));
    world.connect("w1");
    world.force("linux");
    world.force("linux");
    world.end("make", 0);
    world.expect_running("linux/2", "w1");
    assert_eq!(world.script_failures(), ["`next_build` of builder `linux`: oh"]);
}

#[test]
fn a_long_queue_is_worked_off_in_order() {
    let mut world = world(plan().builder("a", ["w1"]).builder("b", ["w1"]));
    for round in 0..10 {
        world.force(if round % 3 == 0 { "b" } else { "a" });
    }
    world.connect("w1");
    let mut order = String::new();
    while world.running() > 0 {
        let running = world.builds().into_iter().find(|(_, view)| view.outcome.is_none()).unwrap().0;
        order.push_str(&running[..1]);
        world.end("make", 0);
    }
    assert_eq!(order, "baabaabaab");
}
