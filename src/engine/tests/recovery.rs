//! The master dies, and the next one goes on.

use super::plans::{plan, span, step};
use super::script::{Item, child, run};
use super::world::World;
use crate::engine::{CommandEnded, Effect, Engine, Input, Reply, RestoreError};
use crate::model::{CommandEnd, CommandResult, Event, Order, Outcome};

/// A build of two commands, the first of which runs.
fn world() -> World {
    let mut world = World::new(plan().builder_with("linux", ["w1"], vec![step("one"), step("two")]));
    world.connect("w1");
    world.hold("one");
    world.hold("two");
    world.force("linux");
    world
}

fn ended(world: &mut World) -> Input {
    let (command, order) = world.worker("w1").running.pop_first().unwrap();
    let result = CommandResult::of(CommandEnd::Exited(0), &[(0, Outcome::Success)].into());
    Input::CommandEnded(CommandEnded { worker: "w1".into(), epoch: order.epoch, command, result })
}

fn commands(world: &World) -> usize {
    world.events().filter(|event| matches!(event, Event::Asked { command: Some(_), .. })).count()
}

#[test]
fn a_build_goes_on_after_a_restart_and_nothing_runs_twice() {
    let mut world = world();
    world.restart();
    world.connect("w1");
    assert_eq!(world.running_commands(), ["one"]);
    world.end("one", 0);
    world.restart();
    world.connect("w1");
    world.end("two", 0);
    world.expect_ended("linux/1", Outcome::Success);
    assert_eq!(commands(&world), 2);
}

#[test]
fn a_command_that_ended_while_the_master_was_down_is_taken_up() {
    let mut world = world();
    world.worker("w1").epoch = None;
    world.end("one", 0);
    world.restart();
    world.connect("w1");
    assert_eq!(world.running_commands(), ["two"]);
}

#[test]
fn a_crash_between_commit_and_dispatch_sends_the_command_afterwards() {
    let mut world = World::new(plan().builder_with("linux", ["w1"], vec![step("one")]));
    world.connect("w1");
    world.hold("one");
    world.hold_scripts = true;
    world.force("linux");
    let (build, job) = world.jobs.pop_front().unwrap();
    let asks = vec![(
        crate::model::Key(vec![1]),
        crate::model::Ask::Run(match run("one") {
            Item::Run(spec) => *spec,
            _ => unreachable!(),
        }),
    )];
    let outcome = crate::model::EvalOutcome::Suspended { asks };
    world.crash_after_commit(Input::Evaluated { build, turn: job.turn, outcome });
    world.hold_scripts = false;
    assert!(world.running_commands().is_empty());
    world.connect("w1");
    assert_eq!(world.running_commands(), ["one"]);
    world.input(Input::Woke);
    while !world.jobs.is_empty() {
        world.evaluate_next();
    }
    world.end("one", 0);
    world.expect_ended("linux/1", Outcome::Success);
    assert_eq!(commands(&world), 1);
}

#[test]
fn a_crash_after_an_answer_is_durable_does_not_lose_it() {
    let mut world = world();
    let input = ended(&mut world);
    world.crash_after_commit(input);
    world.connect("w1");
    world.end("two", 0);
    world.expect_ended("linux/1", Outcome::Success);
}

#[test]
fn a_crash_before_an_answer_is_durable_hears_it_again() {
    let mut world = world();
    world.worker("w1").epoch = None;
    world.end("one", 0);
    world.restart();
    world.connect("w1");
    world.end("two", 0);
    world.expect_ended("linux/1", Outcome::Success);
}

#[test]
fn log_lines_of_a_crashed_turn_are_written_afterwards_and_once() {
    let steps = vec![step("note").does([run("one"), Item::Log("notes".into(), "hello".into())])];
    let mut world = World::new(plan().builder_with("linux", ["w1"], steps));
    world.connect("w1");
    world.hold("one");
    world.hold_scripts = true;
    world.force("linux");
    world.evaluate_next();
    world.end("one", 0);
    let (build, job) = world.jobs.pop_front().unwrap();
    let log = crate::model::Ask::WriteLog { step: None, log: "notes".into(), html: false, text: "hello".into() };
    let outcome = crate::model::EvalOutcome::Done {
        asks: vec![(crate::model::Key(vec![2]), log)],
        outcome: Outcome::Success,
        summary: None,
    };
    world.crash_after_commit(Input::Evaluated { build, turn: job.turn, outcome });
    world.expect_ended("linux/1", Outcome::Success);
    assert_eq!(world.log("linux/1", "notes"), "hello\n");
    assert_eq!(world.closed_logs.len(), 2);
}

#[test]
fn a_worker_gets_its_grace_anew_after_a_restart() {
    let mut world = world();
    world.lose("w1");
    world.advance("9m");
    world.restart();
    world.advance("9m");
    world.expect_running("linux/1", "w1");
    world.advance("1m");
    world.expect_ended("linux/1", Outcome::Retry);
}

#[test]
fn waits_and_pauses_go_on_over_a_restart() {
    let steps = vec![step("nap").does([Item::Wait(span("10m"))]), step("fail").retries(1, "8m")];
    let mut world = World::new(plan().builder_with("linux", ["w1"], steps));
    world.connect("w1");
    world.force("linux");
    world.advance("4m");
    world.restart();
    world.connect("w1");
    world.advance("6m");
    assert_eq!(world.steps("linux/1").len(), 2);
    world.restart();
    world.connect("w1");
    world.advance("8m");
    world.expect_ended("linux/1", Outcome::Failure);
    assert_eq!(world.steps("linux/1").len(), 3);
}

#[test]
fn a_stop_is_not_forgotten_by_a_restart() {
    let mut world = world();
    world.stop("linux/1");
    world.restart();
    world.expect_ended("linux/1", Outcome::Cancelled);
    world.connect("w1");
    assert!(world.running_commands().is_empty());
}

#[test]
fn held_locks_are_still_held_after_a_restart() {
    let locked = |name: &str| vec![step(name).locks(vec![super::plans::exclusive("db")])];
    let mut world = World::new(plan().lock("db", 1).builder_with("a", ["w1"], locked("one")).builder_with(
        "b",
        ["w2"],
        locked("two"),
    ));
    for name in ["w1", "w2"] {
        world.connect(name);
    }
    world.hold("one");
    world.hold("two");
    world.force("a");
    world.force("b");
    world.restart();
    world.connect("w2");
    assert_eq!(world.running_commands(), ["one"]);
    world.connect("w1");
    world.end("one", 0);
    assert_eq!(world.running_commands(), ["two"]);
}

#[test]
fn parallel_branches_go_on_where_they_were() {
    let mut world = World::new(plan().builder_with(
        "linux",
        ["w1"],
        vec![step("all").does([Item::Parallel(vec![
            vec![child("left", [run("one"), run("more")])],
            vec![child("right", [run("two")])],
        ])])],
    ));
    world.connect("w1");
    for line in ["one", "two", "more"] {
        world.hold(line);
    }
    world.force("linux");
    world.end("one", 0);
    world.restart();
    world.connect("w1");
    assert_eq!(world.running_commands(), ["two", "more"]);
    world.end("more", 0);
    world.end("two", 0);
    world.expect_ended("linux/1", Outcome::Success);
    assert_eq!(world.steps("linux/1"), ["all: all", "> left: left", "> right: right"]);
}

/// Simulator, seed 2597: the first command that was told of ended the build, and what was told of the other was dropped, so
/// that it counted as running for good.
#[test]
fn a_worker_that_forgot_two_commands_of_one_build_keeps_the_directory_of_neither() {
    let mut world = World::new(plan().builder_with(
        "linux",
        ["w1"],
        vec![step("both").does([Item::Parallel(vec![vec![run("one")], vec![run("two")]])])],
    ));
    world.connect("w1");
    world.hold("one");
    world.hold("two");
    world.force("linux");
    world.lose("w1");
    world.connect_as("w1", true, "a new spool of w1");
    world.expect_ended("linux/1", Outcome::Retry);
    assert_eq!(world.running_commands(), ["one", "two"], "the build runs again, in the same directory");
}

#[test]
fn a_restart_records_that_nobody_is_connected() {
    let mut world = world();
    world.restart();
    let lost = world.events().rev().find_map(|event| match event {
        Event::WorkerLost { worker, give_up, .. } => Some((*worker, give_up.is_some())),
        _ => None,
    });
    assert_eq!(lost, Some((crate::model::WorkerId(1), true)));
}

#[test]
fn an_idle_engine_wants_nothing() {
    let mut world = World::new(plan().builder("linux", ["w1"]));
    world.connect("w1");
    assert_eq!(world.engine.deadline(), None);
    let turn = world.engine.handle(world.now, Input::Woke, &super::script::Functions::default());
    assert!(turn.facts.is_empty() && turn.effects.is_empty());
}

#[test]
fn a_damaged_or_newer_snapshot_is_refused() {
    let mut none = |_: &_| Err("none".to_owned());
    assert!(matches!(Engine::restore(Some(b"rubbish"), &[], &mut none), Err(RestoreError::Snapshot(_))));
    let newer = rmp_serde::to_vec_named(&std::collections::BTreeMap::from([("version", 99)])).unwrap();
    assert!(matches!(Engine::restore(Some(&newer), &[], &mut none), Err(RestoreError::Newer { found: 99 })));
}

#[test]
fn facts_that_do_not_fit_are_refused() {
    let world = world();
    let mut none = |_: &_| Err("none".to_owned());
    let gap = &world.facts[1..];
    let Err(RestoreError::Illegal(illegal)) = Engine::restore(None, gap, &mut none) else { panic!() };
    assert_eq!((illegal.seq, illegal.why.as_str()), (2, "it should be fact 1"));
}

#[test]
fn a_configuration_that_cannot_be_loaded_any_more_costs_only_the_builds_that_pin_it() {
    let mut world = world();
    let old = world.engine.plan().unwrap().digest.clone();
    world.adopt(plan().builder_with("linux", ["w1"], vec![step("one")]).builder("other", ["w1"]));
    world.plans.remove(&old);
    world.restart();
    world.expect_ended("linux/1", Outcome::Exception);
    let told = |event: &Event| matches!(event, Event::BuildEnded { state, .. } if state.contains("any more: gone"));
    assert!(world.events().any(told));
    world.connect("w1");
    world.force("other");
    assert!(world.builds().contains_key("other/1"));
}

#[test]
fn the_next_configuration_comes_into_force_if_the_last_one_cannot_be_loaded_any_more() {
    let mut world = world();
    world.plans.clear();
    world.restart();
    assert_eq!(world.engine.plan(), None);
    world.adopt(plan().builder_with("linux", ["w1"], vec![step("one")]).builder("other", ["w1"]));
    world.expect_ended("linux/1", Outcome::Exception);
    world.connect("w1");
    world.force("other");
    assert!(world.builds().contains_key("other/1"));
}

#[test]
fn a_build_that_is_ended_by_hand_ends_as_exception_with_the_reason() {
    let mut world = world();
    let build = *world.engine.state().builds().keys().next().unwrap();
    let reply = world.order(Order::EndBuild { build, why: "it is stuck".into() });
    assert_eq!(reply, Reply::Done);
    world.expect_ended("linux/1", Outcome::Exception);
    let told = |event: &Event| matches!(event, Event::BuildEnded { state, .. } if state.contains("it is stuck"));
    assert!(world.events().any(told));
    let reply = world.order(Order::EndBuild { build, why: "again".into() });
    assert!(matches!(reply, Reply::Unknown(_)), "{reply:?}");
}

#[test]
fn effects_of_a_restart_are_those_that_should_be_under_way() {
    let mut world = world();
    let snapshot = world.engine.snapshot();
    let plan = world.engine.plan().unwrap().clone();
    let mut plans = |_: &_| Ok(plan.clone());
    let mut engine = Engine::restore(Some(&snapshot), &[], &mut plans).unwrap();
    let started = Input::Started { name: "master".into(), installation: "inst".into() };
    let turn = engine.handle(world.now, started, &super::script::Functions::default());
    assert!(matches!(turn.effects.as_slice(), [Effect::Evaluate { .. }]), "{:?}", turn.effects);
    world.restart();
}
