//! Configurations come into force while work goes on.

use super::plans::{branch, nightly, periodic, plan, step};
use super::world::World;
use crate::engine::Input;
use crate::model::{BuilderId, Cause, Event, NameChanges, Outcome};

#[test]
fn differences_are_told_in_words() {
    let old = || plan().builder("linux", ["w1"]).lock("db", 1).poller("repo", "git:a", "5m");
    let mut world = World::new(old().scheduler(branch("main", &["linux"], "0s")).mail("mail", &[]));
    let changes = world.adopt(
        old()
            .builder("docs", ["w2"])
            .change_builder("linux", |builder, _| builder.slots = Some(2))
            .scheduler(nightly("main", &["linux"], "0 3 * * *", false))
            .lock("db", 2)
            .poller("repo", "git:a", "1m")
            .with(|plan| plan.master.title = "Ours".into()),
    );
    assert_eq!(
        changes,
        [
            "builder docs added",
            "builder linux changed",
            "worker w2 added",
            "scheduler main replaced",
            "change source repo changed",
            "notifier mail removed",
            "lock db changed",
            "settings master changed"
        ]
    );
}

#[test]
fn adopting_the_same_configuration_is_no_event() {
    let mut world = World::new(plan().builder("linux", ["w1"]));
    let facts = world.facts.len();
    assert!(world.adopt(plan().builder("linux", ["w1"])).is_empty());
    assert_eq!(world.facts.len(), facts);
}

#[test]
fn a_moved_line_is_no_difference_but_other_scripts_are() {
    let mut world = World::new(plan().builder("linux", ["w1"]));
    let moved = plan().builder("linux", ["w1"]).change_builder("linux", |builder, _| builder.place.line = 7);
    assert_eq!(world.adopt(moved), ["scripts  changed"]);
}

#[test]
fn ids_of_names_are_never_reused() {
    let mut world = World::new(plan().builder("a", ["w1"]).builder("b", ["w1"]));
    world.adopt(plan().builder("b", ["w1"]).builder("c", ["w1"]));
    world.adopt(plan().builder("a", ["w1"]).builder("d", ["w1"]));
    let changes = world.events().filter_map(|event| match event {
        Event::PlanAdopted { builders, .. } => Some(builders.clone()),
        _ => None,
    });
    let want = |added: &[(&str, u64)], removed: &[u64]| NameChanges {
        added: added.iter().map(|(name, id)| ((*name).to_owned(), BuilderId(*id))).collect(),
        removed: removed.iter().copied().map(BuilderId).collect(),
    };
    assert_eq!(
        changes.collect::<Vec<_>>(),
        [want(&[("a", 1), ("b", 2)], &[]), want(&[("c", 3)], &[1]), want(&[("a", 1), ("d", 4)], &[2, 3])]
    );
}

#[test]
fn the_fact_of_a_changed_line_carries_nothing_else() {
    let before = || plan().builder("a", ["w1"]).builder("b", ["w1"]).worker("w2", 1).poller("repo", "git:a", "5m");
    let mut world = World::new(before());
    world.adopt(before().change_builder("b", |builder, _| builder.tags = vec!["slow".to_owned()]));
    let Some(Event::PlanAdopted { changes, builders, workers, schedulers, change_sources, about, .. }) =
        world.events().last()
    else {
        panic!("{:?}", world.events().last())
    };
    assert_eq!(changes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["builder `b` changed"]);
    assert_eq!((builders, workers), (&NameChanges::default(), &NameChanges::default()));
    assert_eq!((schedulers, change_sources), (&NameChanges::default(), &NameChanges::default()));
    let about: Vec<_> = about.iter().map(|(id, about)| (id.0, about.tags.join(" "))).collect();
    assert_eq!(about, [(2, "slow".to_owned())]);
}

#[test]
fn running_builds_keep_the_configuration_they_began_with() {
    let mut world = World::new(plan().builder_with("linux", ["w1"], vec![step("make"), step("old")]));
    world.connect("w1");
    world.hold("make");
    world.force("linux");
    let pinned = world.engine.plan().unwrap().digest.clone();
    world.adopt(plan().builder_with("linux", ["w1"], vec![step("make"), step("new")]));
    assert!(world.engine.plans_needed().contains(&pinned));
    world.end("make", 0);
    world.expect_ended("linux/1", Outcome::Success);
    assert_eq!(world.steps("linux/1"), ["make: make", "old: old"]);
    world.force("linux");
    world.end("make", 0);
    assert_eq!(world.steps("linux/2"), ["make: make", "new: new"]);
    assert!(!world.engine.plans_needed().contains(&pinned));
}

#[test]
fn a_build_outlives_its_builder() {
    let mut world = World::new(plan().builder("linux", ["w1"]).builder("docs", ["w1"]));
    world.connect("w1");
    world.hold("make");
    world.force("linux");
    world.adopt(plan().builder("docs", ["w1"]));
    world.restart();
    world.connect("w1");
    world.end("make", 0);
    world.expect_ended("linux/1", Outcome::Success);
}

#[test]
fn requests_of_a_removed_builder_wait_for_its_return() {
    let both = || plan().builder("linux", ["w1"]).builder("docs", ["w1"]);
    let mut world = World::new(both());
    let stays = world.force("linux");
    let goes = world.force_with(crate::model::ForceOrder {
        builders: vec!["linux".into()],
        params: [("x".to_owned(), 1.into())].into(),
        ..Default::default()
    });
    world.adopt(plan().builder("docs", ["w1"]));
    world.connect("w1");
    world.expect_none("linux/1");
    world.cancel(goes);
    assert_eq!(world.request_outcome(goes), Some(Outcome::Cancelled));
    assert_eq!(world.request_outcome(stays), None);
    world.adopt(both());
    world.expect_ended("linux/1", Outcome::Success);
}

#[test]
fn a_quiet_period_goes_on_over_a_reload_unless_its_scheduler_goes() {
    let base = || plan().builder("linux", ["w1"]);
    let quiet = || base().scheduler(branch("main", &["linux"], "5m"));
    let mut world = World::new(quiet());
    world.change("main", &[]);
    world.adopt(quiet().builder("docs", ["w1"]));
    world.advance("5m");
    assert_eq!(world.buildsets("main").len(), 1);
    world.change("main", &[]);
    world.adopt(base());
    world.adopt(quiet());
    world.advance("1h");
    assert_eq!(world.buildsets("main").len(), 1, "what a removed scheduler had taken is gone");
}

#[test]
fn a_timed_scheduler_keeps_its_moment_over_a_reload() {
    let base = || plan().builder("linux", ["w1"]);
    let mut world = World::new(base().scheduler(periodic("often", &["linux"], "1h")));
    world.advance("1s");
    world.advance("30m");
    world.adopt(base().scheduler(periodic("often", &["linux"], "1h")).builder("docs", ["w1"]));
    world.advance("29m58s");
    assert_eq!(world.buildsets("often").len(), 1);
    world.advance("2s");
    assert_eq!(world.buildsets("often").len(), 2);
    world.adopt(base().scheduler(periodic("often", &["linux"], "3h")));
    world.advance("2h59m");
    assert_eq!(world.buildsets("often").len(), 2);
    world.advance("1m");
    assert_eq!(world.buildsets("often").len(), 3, "a new interval counts from the last build");
}

#[test]
fn a_removed_worker_finishes_and_is_cut_off() {
    let mut world = World::new(plan().builder("linux", ["w1", "w2"]));
    world.connect("w1");
    world.hold("make");
    world.force("linux");
    world.adopt(plan().builder("linux", ["w2"]));
    world.expect_running("linux/1", "w1");
    world.lose("w1");
    world.connect("w1");
    assert_eq!(world.running_commands(), ["make"], "it may come back for the build that it has");
    world.end("make", 0);
    world.expect_ended("linux/1", Outcome::Success);
    assert_eq!(world.disconnected.len(), 1);
    world.connect("w1");
    assert_eq!(world.disconnected.len(), 2);
}

#[test]
fn a_new_slot_or_worker_is_used_at_once() {
    let base = || plan().builder("linux", ["w1"]).per_worker("linux", 2).collapse(crate::model::CollapsePolicy::Never);
    let mut world = World::new(base());
    world.connect("w1");
    world.hold("make");
    for _ in 0..3 {
        world.force("linux");
    }
    assert_eq!(world.running(), 1);
    world.adopt(base().worker("w1", 2));
    assert_eq!(world.running(), 2);
}

#[test]
fn a_refused_configuration_changes_nothing_and_is_recorded() {
    let mut world = World::new(plan().builder("linux", ["w1"]));
    let before = world.engine.plan().cloned();
    world.input(Input::PlanRefused {
        why: "watch".into(),
        cause: Cause::Configuration,
        message: "line 3".into(),
        ticket: None,
    });
    assert_eq!(world.engine.plan().cloned(), before);
    assert!(matches!(world.events().last(), Some(Event::PlanRefused { .. })));
}

#[test]
fn patterns_that_do_not_compile_are_told_and_match_nothing() {
    let scheduler = branch("main", &["linux"], "0s").filter(|filter| {
        filter.branch = Some(crate::model::Matcher::Regex("(".into()));
    });
    let mut world = World::new(plan().builder("linux", ["w1"]).scheduler(scheduler));
    assert_eq!(world.script_failures().len(), 1);
    world.change("main", &[]);
    assert!(world.buildsets("main").is_empty());
}
