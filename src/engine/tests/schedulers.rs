//! Schedulers: which changes start builds, and when.

use super::plans::{any_branch, branch, dependent, nightly, periodic, plan};
use super::world::World;
use crate::model::{CollapsePolicy, Event, Matcher, NewChange, Order, Outcome, SchedulerKind, Undecided, Value};

fn builds_of(world: &World) -> usize {
    world.builds().len()
}

/// A world with builder `linux`, a connected worker, and this scheduler.
fn world(scheduler: super::plans::SchedulerBuilder) -> World {
    let mut world = World::new(plan().collapse(CollapsePolicy::Never).builder("linux", ["w1"]).scheduler(scheduler));
    world.connect("w1");
    world
}

#[test]
fn without_a_quiet_period_each_change_is_built_at_once() {
    let mut world = world(branch("main", &["linux"], "0s"));
    let first = world.change("main", &["a.c"]);
    let second = world.change("main", &["a.c"]);
    let changes: Vec<_> = world.buildsets("main").iter().map(|set| set.changes.clone()).collect();
    assert_eq!(changes, [[first], [second]]);
}

#[test]
fn quiet_period_restarts_on_new_change() {
    let mut world = world(branch("main", &["linux"], "5m"));
    let first = world.change("main", &["a.c"]);
    world.advance("4m");
    let second = world.change("main", &["b.c"]);
    world.advance("4m59s");
    assert_eq!(builds_of(&world), 0);
    world.advance("1s");
    assert_eq!(world.buildsets("main")[0].changes, [first, second]);
    let stamp = &world.buildsets("main")[0].stamps[0];
    assert_eq!(stamp.spec.branch.as_deref(), Some("main"));
    assert_eq!(builds_of(&world), 1);
}

#[test]
fn changes_of_other_branches_are_left_alone() {
    let mut world = world(branch("main", &["linux"], "0s"));
    world.change("topic", &["a.c"]);
    assert_eq!(builds_of(&world), 0);
}

#[test]
fn unimportant_changes_ride_along() {
    let mut world = world(branch("main", &["linux"], "5m").unimportant(&["**/*.md"], false));
    let docs = world.change("main", &["README.md"]);
    world.advance("1h");
    assert_eq!(builds_of(&world), 0);
    let code = world.change("main", &["a.c"]);
    world.advance("4m");
    let more = world.change("main", &["NEWS.md"]);
    world.advance("1m");
    assert_eq!(world.buildsets("main")[0].changes, [docs, code, more], "an unimportant one extends nothing");
}

#[test]
fn unimportant_changes_can_be_dropped() {
    let mut world = world(branch("main", &["linux"], "0s").unimportant(&["*.md"], true));
    world.change("main", &["README.md"]);
    let code = world.change("main", &["a.c"]);
    assert_eq!(world.buildsets("main")[0].changes, [code]);
}

#[test]
fn each_branch_has_its_own_quiet_period() {
    let mut world = world(any_branch("any", &["linux"], "5m"));
    world.change("one", &["a.c"]);
    world.advance("3m");
    world.change("two", &["a.c"]);
    world.advance("2m");
    assert_eq!(world.buildsets("any").len(), 1);
    assert_eq!(world.buildsets("any")[0].stamps[0].spec.branch.as_deref(), Some("one"));
    world.advance("3m");
    assert_eq!(world.buildsets("any")[1].stamps[0].spec.branch.as_deref(), Some("two"));
}

#[test]
fn a_filter_looks_at_every_attribute() {
    let mut world = world(any_branch("any", &["linux"], "0s").filter(|filter| {
        filter.project = Some(Matcher::OneOf(vec![Some("core".into())]));
        filter.repository = Some(Matcher::Regex("https://.*/core".into()));
        filter.category = Some(Matcher::NoneOf(vec![Some("bot".into())]));
        filter.files = vec!["src/**".into()];
    }));
    let good = NewChange {
        project: "core".into(),
        repository: "https://example.org/core.git".into(),
        files: vec!["src/a.c".into()],
        ..NewChange::default()
    };
    world.change_with(NewChange { project: "other".into(), ..good.clone() });
    world.change_with(NewChange { repository: "ssh://example.org/core.git".into(), ..good.clone() });
    world.change_with(NewChange { category: Some("bot".into()), ..good.clone() });
    world.change_with(NewChange { files: vec!["docs/a.md".into()], ..good.clone() });
    assert_eq!(builds_of(&world), 0);
    world.change_with(good);
    assert_eq!(builds_of(&world), 1);
}

#[test]
fn a_filter_function_decides() {
    let mut plan = plan().builder("linux", ["w1"]);
    let function = plan.function(|question| match question {
        crate::model::Question::Filter(change) => Ok(Value::Bool(change.data.author == "bob")),
        other => panic!("{other:?}"),
    });
    let scheduler = any_branch("any", &["linux"], "0s").filter(|filter| filter.function = Some(function));
    let mut world = World::new(plan.scheduler(scheduler));
    world.connect("w1");
    world.change_with(NewChange { author: "eve".into(), ..NewChange::default() });
    assert_eq!(builds_of(&world), 0);
    world.change_with(NewChange { author: "bob".into(), ..NewChange::default() });
    assert_eq!(builds_of(&world), 1);
}

#[test]
fn a_filter_function_that_fails_takes_nothing_and_says_so() {
    let mut plan = plan().builder("linux", ["w1"]);
    let function = plan.function(|_| Err(Undecided::Failed { message: "no attribute `x`".into() }));
    let scheduler = any_branch("any", &["linux"], "0s").filter(|filter| filter.function = Some(function));
    let mut world = World::new(plan.scheduler(scheduler));
    world.connect("w1");
    world.change("main", &[]);
    assert_eq!(builds_of(&world), 0);
    assert_eq!(world.script_failures(), ["`filter` of scheduler `any`: no attribute `x`"]);
}

#[test]
fn changes_of_one_line_follow_each_other_and_stamps_are_shared() {
    let mut world = world(branch("main", &["linux"], "0s"));
    world.change("main", &[]);
    world.change("topic", &[]);
    world.change("main", &[]);
    let changes: Vec<_> = (world.events())
        .filter_map(|event| match event {
            Event::ChangeArrived { change } => {
                Some((change.id.0, change.parent.map(|parent| parent.0), change.stamp.id))
            }
            _ => None,
        })
        .collect();
    assert_eq!(
        changes.iter().map(|(id, parent, _)| (*id, *parent)).collect::<Vec<_>>(),
        [(1, None), (2, None), (3, Some(1))]
    );
    let built: Vec<_> = world.buildsets("main").iter().map(|set| set.stamps[0].id).collect();
    assert_eq!(built, [changes[0].2, changes[2].2]);
}

#[test]
fn several_codebases_make_one_buildset() {
    let mut world = world(any_branch("any", &["linux"], "1m").codebases(&["core", "docs"]));
    let change = |codebase: &str, revision: &str| NewChange {
        codebase: codebase.into(),
        revision: Some(revision.into()),
        ..NewChange::default()
    };
    world.change_with(change("core", "c1"));
    world.change_with(change("games", "g1"));
    world.advance("1m");
    let set = world.buildsets("any")[0];
    let stamps: Vec<_> =
        set.stamps.iter().map(|stamp| (stamp.spec.codebase.as_str(), stamp.spec.revision.as_deref())).collect();
    assert_eq!(stamps, [("core", Some("c1")), ("docs", None)], "an unknown codebase is nobody's business");
}

#[test]
fn a_periodic_scheduler_starts_at_once_and_then_at_its_interval() {
    let mut world = world(periodic("often", &["linux"], "12h"));
    world.advance("1s");
    assert_eq!(builds_of(&world), 1);
    world.advance("12h");
    assert_eq!(builds_of(&world), 2);
    world.advance("24h");
    assert_eq!(builds_of(&world), 4);
}

#[test]
fn after_downtime_a_missed_moment_is_made_up_for_once() {
    let mut world = world(periodic("often", &["linux"], "1h"));
    world.advance("1s");
    world.now = world.now.plus(super::plans::span("10h"));
    world.restart();
    world.connect("w1");
    world.advance("1s");
    assert_eq!(builds_of(&world), 2);
    world.advance("59m");
    assert_eq!(builds_of(&world), 2);
    world.advance("1m");
    assert_eq!(builds_of(&world), 3);
}

#[test]
fn a_nightly_scheduler_follows_the_clock_of_its_zone_over_the_change_of_time() {
    let mut world = world(nightly("night", &["linux"], "30 2 * * *", false));
    let starts = |world: &World| -> Vec<String> {
        world.buildsets("night").iter().map(|set| set.submitted.to_string()).collect()
    };
    world.advance_to("2026-06-03T00:00:00Z");
    assert_eq!(starts(&world), ["2026-06-02T00:30:00.000Z"]);
    let mut world = super::schedulers::world(nightly("night", &["linux"], "30 2 * * *", false));
    world.advance_to("2026-10-24T12:00:00Z");
    let before = starts(&world).len();
    world.advance_to("2026-10-27T12:00:00Z");
    assert_eq!(
        starts(&world)[before..],
        ["2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z", "2026-10-27T01:30:00.000Z"]
    );
}

#[test]
fn only_if_changed_skips_nights_without_important_changes() {
    let mut world = world(nightly("night", &["linux"], "0 3 * * *", true).unimportant(&["*.md"], false));
    world.advance("24h");
    assert_eq!(builds_of(&world), 0);
    let docs = world.change("main", &["README.md"]);
    world.advance("24h");
    assert_eq!(builds_of(&world), 0);
    let code = world.change("main", &["a.c"]);
    world.advance("24h");
    assert_eq!(world.buildsets("night")[0].changes, [docs, code]);
    world.advance("24h");
    assert_eq!(builds_of(&world), 1);
    let skipped = world.events().filter(|event| matches!(event, Event::SchedulerTimed { skipped: true, .. })).count();
    assert_eq!(skipped, 3);
}

#[test]
fn a_dependent_scheduler_goes_on_with_the_same_sources_after_success() {
    let mut world = World::new(
        plan()
            .builder("linux", ["w1"])
            .builder("package", ["w1"])
            .builder_with("broken", ["w1"], vec![super::plans::step("fail")])
            .scheduler(branch("main", &["linux"], "0s"))
            .scheduler(dependent("then", &["package", "broken"], "main"))
            .scheduler(dependent("later", &["package"], "then")),
    );
    world.connect("w1");
    let change = world.change("main", &["a.c"]);
    world.expect_ended("package/1", Outcome::Success);
    let then = world.buildsets("then")[0];
    assert_eq!(then.changes, [change]);
    assert_eq!(then.stamps, world.buildsets("main")[0].stamps);
    world.expect_ended("broken/1", Outcome::Failure);
    assert!(world.buildsets("later").is_empty(), "the buildset as a whole failed");
}

#[test]
fn a_scheduler_switched_off_takes_nothing() {
    let mut world = world(branch("main", &["linux"], "5m"));
    world.change("main", &[]);
    let enable = |world: &mut World, enabled| world.order(Order::EnableScheduler { scheduler: "main".into(), enabled });
    enable(&mut world, false);
    world.change("main", &[]);
    world.advance("1h");
    enable(&mut world, true);
    world.advance("1h");
    assert_eq!(builds_of(&world), 0);
    world.change("main", &[]);
    world.advance("5m");
    assert_eq!(world.buildsets("main")[0].changes.len(), 1);
}

#[test]
fn a_timed_scheduler_switched_off_is_silent_and_makes_up_for_nothing() {
    let mut world = world(nightly("night", &["linux"], "0 3 * * *", false));
    let enable =
        |world: &mut World, enabled| world.order(Order::EnableScheduler { scheduler: "night".into(), enabled });
    enable(&mut world, false);
    world.advance("72h");
    enable(&mut world, true);
    world.advance("1s");
    assert_eq!(builds_of(&world), 0);
    world.advance("24h");
    assert_eq!(builds_of(&world), 1);
}

#[test]
fn properties_of_a_buildset_come_from_everywhere_and_later_ones_win() {
    let mut plan = plan().builder("linux", ["w1"]).with(|plan| {
        for name in ["a", "b", "c", "d"] {
            plan.properties.set(name, "global", "Global");
        }
    });
    let function = plan.function(|question| match question {
        crate::model::Question::Properties { properties, changes, .. } => {
            assert_eq!((properties.get("c").cloned(), changes.len()), (Some("scheduler".into()), 1));
            Ok(Value::Map([("d".to_owned(), "function".into())].into()))
        }
        other => panic!("{other:?}"),
    });
    let scheduler = any_branch("any", &["linux"], "0s").with(|plan| {
        plan.properties.set("c", "scheduler", "Scheduler");
        plan.properties_fn = Some(function);
    });
    let mut world = World::new(plan.scheduler(scheduler));
    world.connect("w1");
    let mut change = NewChange::default();
    change.properties.set("b", "change", "Change");
    change.properties.set("c", "change", "Change");
    world.change_with(change);
    let values = ["a", "b", "c", "d"].map(|name| world.property("linux/1", name).unwrap().to_string());
    assert_eq!(values, ["global", "change", "scheduler", "function"]);
}

#[test]
fn a_clock_that_goes_back_neither_panics_nor_silences_a_scheduler() {
    let mut world = world(periodic("often", &["linux"], "1h"));
    world.advance("1s");
    let right = world.now;
    world.set_clock(right.plus(super::plans::span("400d")));
    assert_eq!(builds_of(&world), 2);
    world.set_clock(right);
    world.advance("1h");
    assert_eq!(builds_of(&world), 3);
}

#[test]
fn a_quiet_period_survives_a_restart() {
    let mut world = world(branch("main", &["linux"], "5m"));
    let change = world.change("main", &["a.c"]);
    world.advance("3m");
    world.restart();
    world.connect("w1");
    world.advance("1m59s");
    assert_eq!(builds_of(&world), 0);
    world.advance("1s");
    assert_eq!(world.buildsets("main")[0].changes, [change]);
    let SchedulerKind::Branch { .. } = world.engine.plan().unwrap().schedulers["main"].kind else { unreachable!() };
}

fn pushed(repository: &str, branch: &str, file: &str) -> NewChange {
    NewChange {
        repository: repository.into(),
        branch: Some(branch.into()),
        files: vec![file.into()],
        ..NewChange::default()
    }
}

/// Repository and branch of each buildset.
fn built(world: &World, scheduler: &str) -> Vec<String> {
    let name = |set: &&crate::model::BuildsetRecord| {
        let stamp = |stamp: &crate::model::SourceStamp| {
            format!("{}:{}", stamp.spec.repository, stamp.spec.branch.as_deref().unwrap_or("-"))
        };
        set.stamps.iter().map(stamp).collect::<Vec<_>>().join("+")
    };
    world.buildsets(scheduler).iter().map(name).collect()
}

#[test]
fn repositories_and_branches_of_one_quiet_period_are_all_built() {
    let mut world = world(branch("main", &["linux"], "2s").filter(|filter| filter.branch = None));
    for (repository, branch) in [("r1", "main"), ("r2", "main"), ("r1", "dev"), ("r1", "main")] {
        world.change_with(pushed(repository, branch, "a.c"));
    }
    world.advance("2s");
    assert_eq!(built(&world, "main"), ["r1:dev", "r1:main", "r2:main"]);
    assert_eq!(world.buildsets("main")[1].changes.len(), 2, "of one branch, the newest of both");
}

#[test]
fn a_busy_repository_does_not_hold_up_the_others() {
    let mut world = world(branch("main", &["linux"], "2m"));
    world.change_with(pushed("quiet", "main", "a.c"));
    for _ in 0..4 {
        world.advance("1m");
        world.change_with(pushed("busy", "main", "a.c"));
    }
    assert_eq!(built(&world, "main"), ["quiet:main"]);
}

#[test]
fn an_unimportant_change_waits_for_an_important_one_of_its_own_branch() {
    let mut world =
        world(branch("main", &["linux"], "2s").filter(|filter| filter.branch = None).unimportant(&["*.md"], false));
    let docs = world.change_with(pushed("r", "dev", "a.md"));
    world.change_with(pushed("r", "main", "a.c"));
    world.advance("1h");
    assert_eq!(built(&world, "main"), ["r:main"]);
    let code = world.change_with(pushed("r", "dev", "a.c"));
    world.advance("2s");
    assert_eq!(world.buildsets("main")[1].changes, [docs, code]);
}

#[test]
fn each_branch_that_changed_is_built_in_the_night() {
    let nights = nightly("night", &["linux"], "0 3 * * *", true).unimportant(&["*.md"], false);
    let mut world = world(nights);
    for (repository, branch, file) in
        [("r1", "main", "a.c"), ("r1", "dev", "a.c"), ("r2", "main", "a.c"), ("r2", "docs", "a.md")]
    {
        world.change_with(pushed(repository, branch, file));
    }
    world.advance("24h");
    assert_eq!(built(&world, "night"), ["r1:main", "r1:dev", "r2:main"]);
    world.advance("24h");
    assert_eq!(built(&world, "night").len(), 3, "nothing new, and nothing but documents on one branch");
}

#[test]
fn codebases_of_one_quiet_period_are_built_together() {
    let two = branch("main", &["linux"], "2s").filter(|filter| filter.branch = None).codebases(&["app", "lib"]);
    let mut world = world(two);
    let of = |codebase: &str, branch: &str| NewChange { codebase: codebase.into(), ..pushed(codebase, branch, "a.c") };
    world.change_with(of("app", "main"));
    world.change_with(of("lib", "main"));
    world.change_with(of("app", "main"));
    world.advance("2s");
    assert_eq!(built(&world, "main"), ["app:main+lib:main"]);
    world.change_with(of("app", "dev"));
    world.change_with(of("app", "main"));
    world.change_with(of("lib", "dev"));
    world.advance("2s");
    assert_eq!(built(&world, "main")[1..], ["app:dev+lib:dev", "app:main+:-"]);
}

#[test]
fn a_dependent_build_has_the_changes_of_requests_that_became_one() {
    let mut world = World::new(
        plan()
            .builder_with("compile", ["w1"], vec![super::plans::step("compile")])
            .builder("package", ["w2"])
            .builder("ship", ["w2"])
            .scheduler(branch("main", &["compile"], "0s"))
            .scheduler(dependent("pack", &["package"], "main"))
            .scheduler(dependent("out", &["ship"], "pack")),
    );
    world.connect("w1");
    world.connect("w2");
    world.hold("compile");
    let first = world.change("main", &["a.c"]);
    let second = world.change("main", &["b.c"]);
    let third = world.change("main", &["c.c"]);
    world.end("compile", 0);
    world.end("compile", 0);
    for scheduler in ["pack", "out"] {
        let changes: Vec<_> = world.buildsets(scheduler).iter().map(|set| set.changes.clone()).collect();
        assert_eq!(changes, [vec![first], vec![second, third]], "{scheduler}");
    }
}
