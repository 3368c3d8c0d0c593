//! Locks: who holds them, who waits, who is next.

use super::plans::{PlanBuilder, counting, exclusive, plan, step};
use super::script::{Item, run, trigger};
use super::world::World;
use crate::model::{CollapsePolicy, Event, LockAccess, Outcome};

/// A builder whose step of the same name takes these locks and whose command runs until told.
fn locker(plan: PlanBuilder, name: &str, locks: Vec<LockAccess>) -> PlanBuilder {
    plan.builder_with(name, ["w1"], vec![step(name).locks(locks)])
}

/// A world with a roomy worker, in which all these commands run until told.
fn world(plan: PlanBuilder, held: &[&str]) -> World {
    let mut world = World::new(plan.collapse(CollapsePolicy::Never).worker("w1", 20));
    world.connect("w1");
    for line in held {
        world.hold(line);
    }
    world
}

fn force_all(world: &mut World, builders: &[&str]) {
    for builder in builders {
        world.force(builder);
    }
}

#[test]
fn an_exclusive_lock_has_one_holder_and_goes_to_the_longest_waiter() {
    let plan =
        ["a", "b", "c"].into_iter().fold(plan().lock("db", 1), |plan, name| locker(plan, name, vec![exclusive("db")]));
    let mut world = world(plan, &["a", "b", "c"]);
    force_all(&mut world, &["a", "b", "c"]);
    assert_eq!(world.running_commands(), ["a"]);
    world.end("a", 0);
    assert_eq!(world.running_commands(), ["b"]);
    world.end("b", 0);
    assert_eq!(world.running_commands(), ["c"]);
    world.end("c", 0);
    world.expect_ended("c/1", Outcome::Success);
}

#[test]
fn a_counting_lock_is_shared_up_to_its_count() {
    let plan = ["a", "b", "c"].into_iter().fold(plan().lock("db", 3), |plan, name| {
        locker(plan, name, vec![counting("db", if name == "b" { 2 } else { 1 })])
    });
    let mut world = world(plan, &["a", "b", "c"]);
    force_all(&mut world, &["a", "b", "c"]);
    assert_eq!(world.running_commands(), ["a", "b"]);
    world.end("a", 0);
    assert_eq!(world.running_commands(), ["b", "c"]);
}

#[test]
fn nobody_overtakes_an_earlier_asker_with_whom_it_could_not_share() {
    let plan = plan().lock("db", 2);
    let plan = locker(plan, "small", vec![counting("db", 1)]);
    let plan = locker(plan, "big", vec![exclusive("db")]);
    let plan = locker(plan, "late", vec![counting("db", 1)]);
    let mut world = world(plan, &["small", "big", "late"]);
    force_all(&mut world, &["small", "big", "late"]);
    assert_eq!(world.running_commands(), ["small"], "there is room for `late`, but `big` asked first");
    world.end("small", 0);
    assert_eq!(world.running_commands(), ["big"]);
    world.end("big", 0);
    assert_eq!(world.running_commands(), ["late"]);
}

#[test]
fn who_asks_for_other_locks_passes() {
    let plan = plan().lock("db", 1).lock("net", 1);
    let plan = locker(plan, "holder", vec![exclusive("db")]);
    let plan = locker(plan, "both", vec![exclusive("db"), exclusive("net")]);
    let plan = locker(plan, "other", vec![exclusive("net")]);
    let mut world = world(plan, &["holder", "both", "other"]);
    force_all(&mut world, &["holder", "both", "other"]);
    assert_eq!(world.running_commands(), ["holder"], "`both` asked for `net` before `other`");
    world.stop("both/1");
    assert_eq!(world.running_commands(), ["holder", "other"], "a waiter that goes makes room");
}

#[test]
fn a_worker_lock_counts_on_each_worker() {
    let plan = plan().worker_lock("cpu", 1).collapse(CollapsePolicy::Never).with(|plan| {
        plan.locks.get_mut("cpu").unwrap().count_for.insert("w2".into(), 2);
    });
    let plan = plan
        .builder_with("a", ["w1", "w2"], vec![step("a").locks(vec![counting("cpu", 1)])])
        .per_worker("a", 2)
        .worker("w1", 2)
        .worker("w2", 2);
    let mut world = World::new(plan);
    world.connect("w1");
    world.connect("w2");
    world.hold("a");
    force_all(&mut world, &["a", "a", "a", "a"]);
    assert_eq!(world.running(), 4);
    assert_eq!(world.worker("w1").running.len(), 1);
    assert_eq!(world.worker("w2").running.len(), 2);
}

#[test]
fn a_build_whose_locks_are_taken_does_not_occupy_a_slot() {
    let plan = plan()
        .lock("db", 1)
        .builder_with("one", ["w1"], vec![step("one")])
        .builder_with("two", ["w1"], vec![step("two")])
        .builder_with("free", ["w1"], vec![step("free")])
        .change_builder("one", |builder, _| builder.locks = vec![exclusive("db")])
        .change_builder("two", |builder, _| builder.locks = vec![exclusive("db")])
        .worker("w1", 3);
    let mut world = World::new(plan);
    world.connect("w1");
    for line in ["one", "two", "free"] {
        world.hold(line);
    }
    force_all(&mut world, &["one", "two", "free"]);
    world.expect_none("two/1");
    world.expect_running("free/1", "w1");
    world.advance("5m");
    world.end("one", 0);
    world.expect_running("two/1", "w1");
    let waited = world.events().find_map(|event| match event {
        Event::LocksWaited { waited, .. } => Some(*waited),
        _ => None,
    });
    assert_eq!(waited, Some(super::plans::span("5m")));
}

#[test]
fn builders_that_wait_for_a_lock_take_turns() {
    let plan = ["a", "b"].into_iter().fold(plan().lock("db", 1).worker("w1", 5), |plan, name| {
        plan.builder_with(name, ["w1"], vec![step(name)]).change_builder(name, |builder, _| {
            builder.locks = vec![exclusive("db")];
            builder.slots_per_worker = 5;
        })
    });
    let mut world = world(plan, &["a", "b"]);
    force_all(&mut world, &["a", "a", "a", "b", "b"]);
    let mut order = vec![];
    while let Some(line) = world.running_commands().pop() {
        order.push(line.clone());
        world.end(&line, 0);
    }
    assert_eq!(order, ["a", "a", "b", "a", "b"], "a builder that took a lock asks anew, behind the others");
}

#[test]
fn steps_and_builders_share_one_queue() {
    let plan = plan().lock("db", 1);
    let plan = locker(plan, "first", vec![exclusive("db")]);
    let plan = plan.builder_with("whole", ["w1"], vec![step("whole")]);
    let plan = plan.change_builder("whole", |builder, _| builder.locks = vec![exclusive("db")]);
    let plan = locker(plan, "last", vec![exclusive("db")]);
    let mut world = world(plan, &["first", "whole", "last"]);
    force_all(&mut world, &["first", "whole", "last"]);
    world.expect_none("whole/1");
    world.end("first", 0);
    assert_eq!(world.running_commands(), ["whole"], "it asked before `last`");
    world.end("whole", 0);
    assert_eq!(world.running_commands(), ["last"]);
}

#[test]
fn locks_of_a_worker_are_taken_by_its_builds() {
    let plan = plan()
        .lock("licence", 1)
        .collapse(CollapsePolicy::Never)
        .builder("linux", ["w1", "w2"])
        .change_worker("w1", |worker| worker.locks = vec![exclusive("licence")])
        .change_worker("w2", |worker| worker.locks = vec![exclusive("licence")]);
    let mut world = World::new(plan);
    world.connect("w1");
    world.connect("w2");
    world.hold("make");
    force_all(&mut world, &["linux", "linux"]);
    assert_eq!(world.running(), 1);
    world.end("make", 0);
    world.expect_running("linux/2", "w2");
}

#[test]
fn locks_come_back_when_a_build_is_stopped_or_its_worker_is_lost() {
    let plan = ["a", "b", "c"].into_iter().fold(plan().lock("db", 1).grace("5m"), |plan, name| {
        plan.builder_with(name, [&*format!("w-{name}")], vec![step(name).locks(vec![exclusive("db")])])
    });
    let mut world = World::new(plan);
    for name in ["a", "b", "c"] {
        world.hold(name);
        world.connect(&format!("w-{name}"));
        world.force(name);
    }
    world.stop("a/1");
    world.end_with("a", crate::model::CommandEnd::Interrupted("enough".into()));
    assert_eq!(world.running_commands(), ["b"]);
    world.lose("w-b");
    world.advance("5m");
    world.expect_ended("b/1", Outcome::Retry);
    assert!(world.running_commands().contains(&"c".to_owned()));
}

#[test]
fn locks_of_one_step_are_free_for_the_next_attempt_of_others() {
    let plan =
        plan().lock("db", 1).builder_with("a", ["w1"], vec![step("a").locks(vec![exclusive("db")]).retries(1, "1m")]);
    let plan = locker(plan, "b", vec![exclusive("db")]);
    let mut world = world(plan, &["a", "b"]);
    force_all(&mut world, &["a", "b"]);
    world.end("a", 1);
    assert_eq!(world.running_commands(), ["b"], "the pause before a retry holds nothing");
    world.advance("1m");
    assert_eq!(world.running_commands(), ["b"]);
    world.end("b", 0);
    assert_eq!(world.running_commands(), ["a"]);
}

#[test]
fn child_steps_wait_for_their_locks_inside_the_build() {
    let locked =
        |name: &str| vec![Item::Child { name: name.into(), locks: vec![exclusive("db")], items: vec![run(name)] }];
    let plan = plan().lock("db", 1).builder_with(
        "both",
        ["w1"],
        vec![step("all").does([Item::Parallel(vec![locked("x"), locked("y")])])],
    );
    let mut world = world(plan, &["x", "y"]);
    world.force("both");
    assert_eq!(world.running_commands(), ["x"]);
    world.end("x", 0);
    assert_eq!(world.running_commands(), ["y"]);
    world.end("y", 0);
    world.expect_ended("both/1", Outcome::Success);
}

#[test]
fn what_a_build_holds_is_no_hindrance_to_its_own_steps_and_awaited_builds() {
    let plan = plan()
        .lock("db", 1)
        .builder_with(
            "parent",
            ["w1"],
            vec![step("inner").locks(vec![exclusive("db")]), step("call").does([trigger(&["child"], true)])],
        )
        .change_builder("parent", |builder, _| builder.locks = vec![exclusive("db")])
        .builder_with("child", ["w1"], vec![step("work").locks(vec![exclusive("db")])])
        .scheduler(super::plans::triggerable("child", &["child"]));
    let mut world = world(plan, &[]);
    world.force("parent");
    world.expect_ended("child/1", Outcome::Success);
    world.expect_ended("parent/1", Outcome::Success);
}

#[test]
fn who_waits_for_the_askers_own_build_lets_it_pass() {
    let plan = plan()
        .lock("site", 1)
        .lock("db", 1)
        .builder_with("holder", ["w1"], vec![step("first"), step("second").locks(vec![exclusive("db")])])
        .change_builder("holder", |builder, _| builder.locks = vec![exclusive("site")])
        .builder_with("greedy", ["w1"], vec![step("greedy").locks(vec![exclusive("site"), exclusive("db")])]);
    let mut world = world(plan, &["first", "second", "greedy"]);
    force_all(&mut world, &["holder", "greedy"]);
    world.end("first", 0);
    assert_eq!(world.running_commands(), ["second"], "`greedy` asked for `db` before, but can only go on after");
    world.end("second", 0);
    assert_eq!(world.running_commands(), ["greedy"]);
}

#[test]
fn a_wait_that_could_never_end_is_refused_with_the_reason() {
    let inner = |name: &str, lock: &str| Item::Child {
        name: name.into(),
        locks: vec![exclusive(lock)],
        items: vec![run(name)],
    };
    let plan = plan()
        .lock("db", 1)
        .lock("net", 1)
        .builder_with("a", ["w1"], vec![step("a").does([run("a1"), inner("a2", "net")]).locks(vec![exclusive("db")])])
        .builder_with("b", ["w1"], vec![step("b").does([run("b1"), inner("b2", "db")]).locks(vec![exclusive("net")])]);
    let mut world = world(plan, &["a1", "b1", "a2", "b2"]);
    force_all(&mut world, &["a", "b"]);
    world.end("a1", 0);
    world.end("b1", 0);
    world.expect_ended("b/1", Outcome::Exception);
    assert!(world.log("b/1", "error").contains("build 1 of `a` holds one"), "{}", world.log("b/1", "error"));
    world.end("a2", 0);
    world.expect_ended("a/1", Outcome::Success);
}

#[test]
fn a_lock_that_left_the_configuration_still_binds_builds_that_pin_it() {
    let old = || locker(plan().lock("db", 1), "a", vec![exclusive("db")]);
    let mut world = world(old(), &["a"]);
    force_all(&mut world, &["a", "a"]);
    let mut without = old().worker("w1", 20).collapse(CollapsePolicy::Never);
    without.plan.locks.clear();
    std::sync::Arc::make_mut(&mut without.plan.builders.get_mut("a").unwrap().steps[0]).locks.clear();
    world.adopt(without);
    assert_eq!(world.running_commands(), ["a"], "the second one pins the old configuration");
    world.end("a", 0);
    assert_eq!(world.running_commands(), ["a"]);
}

#[test]
fn a_build_that_a_holder_of_its_lock_waits_for_does_not_stand_in_line() {
    let plan = plan()
        .lock("db", 1)
        .builder_with("parent", ["p1"], vec![step("prepare"), step("call").does([trigger(&["child"], true)])])
        .builder("child", ["w1"])
        .change_builder("parent", |plan, _| plan.locks = vec![exclusive("db")])
        .change_builder("child", |plan, _| plan.locks = vec![exclusive("db")])
        .scheduler(super::plans::triggerable("child", &["child"]));
    let mut world = World::new(plan);
    world.connect("p1");
    world.connect("w1");
    world.hold("prepare");
    world.force("parent");
    let by_hand = world.force("child");
    world.end("prepare", 0);
    world.expect_ended("parent/1", Outcome::Success);
    assert_eq!(world.request_outcome(by_hand), Some(Outcome::Success));
    let order: Vec<String> = world.buildsets("child").into_iter().map(|set| world.maker_of(set)).collect();
    assert_eq!(order, ["child"]);
}

#[test]
fn a_running_build_does_not_wait_behind_one_that_cannot_start_before_it_has_gone_on() {
    let plan = plan()
        .lock("k", 1)
        .lock("z", 1)
        .builder_with("parent", ["p1"], vec![step("prepare"), step("call").does([trigger(&["kids"], true)])])
        .builder_with("kid", ["w1"], vec![step("begin"), step("work").locks(vec![exclusive("z")])])
        .builder("first", ["w2"])
        .change_builder("parent", |plan, _| plan.locks = vec![exclusive("k")])
        .change_builder("first", |plan, _| plan.locks = vec![exclusive("k"), exclusive("z")])
        .scheduler(super::plans::triggerable("kids", &["kid"]));
    let mut world = World::new(plan);
    for worker in ["p1", "w1", "w2"] {
        world.connect(worker);
    }
    world.hold("prepare");
    world.hold("begin");
    world.force("parent");
    world.force("kid");
    world.force("first");
    world.end("prepare", 0);
    // The parent's own kid waits for the slot of the one that runs, `first` for the parent's lock, and has asked for `z`.
    world.end("begin", 0);
    world.expect_ended("kid/1", Outcome::Success);
    world.end("begin", 0);
    world.expect_ended("parent/1", Outcome::Success);
    world.expect_ended("first/1", Outcome::Success);
}

#[test]
fn steps_that_come_to_wait_for_each_other_by_a_reload_do_not_wait_for_ever() {
    let builders = |plan: PlanBuilder| {
        let wants = || vec![exclusive("l"), exclusive("m")];
        plan.lock("m", 1)
            .builder_with("holder", ["w3"], vec![step("holds").locks(vec![exclusive("m")])])
            .builder_with("a", ["w1"], vec![step("a").locks(wants())])
            .builder_with("b", ["w2"], vec![step("b").locks(wants())])
            .change_builder("a", |plan, _| plan.locks = vec![counting("l", 1)])
            .change_builder("b", |plan, _| plan.locks = vec![counting("l", 1)])
    };
    let mut world = World::new(builders(plan().worker_lock("l", 2)));
    for worker in ["w1", "w2", "w3"] {
        world.connect(worker);
    }
    world.hold("holds");
    force_all(&mut world, &["holder", "a", "b"]);
    assert_eq!(world.running_commands(), ["holds"]);
    // On one worker each, both had enough of `l`; together they have not.
    world.adopt(builders(plan().lock("l", 2)));
    world.expect_ended("b/1", Outcome::Exception);
    assert!(world.build("b/1").state.contains("take them in one order"), "{:?}", world.build("b/1"));
    world.end("holds", 0);
    world.expect_ended("a/1", Outcome::Success);
}
