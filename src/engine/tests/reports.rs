//! Reports: who is told, why, and until when it is tried.

use super::plans::{PlanBuilder, plan, step};
use super::world::World;
use crate::engine::state::BRANCHES_MAX;
use crate::model::{Event, ForceOrder, NotifyOn, Order, Outcome, ReportReason, ReportSubject, StampSpec};

fn mailing(on: &[NotifyOn]) -> PlanBuilder {
    plan().builder("linux", ["w1"]).mail("mail", on)
}

fn world(plan: PlanBuilder) -> World {
    let mut world = World::new(plan);
    world.connect("w1");
    world.hold("make");
    world
}

/// A build of `linux` whose command ends with this code.
fn build(world: &mut World, code: i64) {
    world.force("linux");
    world.end("make", code);
}

fn reasons(world: &World) -> Vec<ReportReason> {
    world.delivered.iter().map(|report| report.reason).collect()
}

#[test]
fn turns_are_told_before_outcomes() {
    let mut world = world(mailing(&[NotifyOn::Failure, NotifyOn::Problem, NotifyOn::Recovery]));
    for code in [0, 1, 1, 0, 0] {
        build(&mut world, code);
    }
    assert_eq!(reasons(&world), [ReportReason::Problem, ReportReason::Failure, ReportReason::Recovery]);
    let ReportSubject::Build { previous, outcome, .. } = world.delivered[2].subject.clone();
    assert_eq!((previous, outcome), (Some(Outcome::Failure), Outcome::Success));
}

#[test]
fn a_notifier_sends_one_report_for_a_build() {
    let all = [NotifyOn::Always, NotifyOn::Failure, NotifyOn::Change, NotifyOn::Problem];
    let mut world = world(mailing(&all).mail("second", &[NotifyOn::Failure]));
    build(&mut world, 1);
    let told: Vec<_> = world.delivered.iter().map(|report| (report.notifier.as_str(), report.reason)).collect();
    assert_eq!(told, [("mail", ReportReason::Problem), ("second", ReportReason::Failure)]);
}

#[test]
fn cancelled_and_retried_builds_do_not_count_as_the_one_before() {
    let mut world = world(mailing(&[NotifyOn::Recovery, NotifyOn::Cancelled]));
    build(&mut world, 1);
    world.force("linux");
    world.stop("linux/2");
    world.end_with("make", crate::model::CommandEnd::Interrupted("enough".into()));
    world.force("linux");
    world.order(Order::KillWorker { worker: "w1".into(), why: "on fire".into() });
    world.expect_ended("linux/3", Outcome::Retry);
    world.connect("w1");
    world.end("make", 0);
    assert_eq!(reasons(&world), [ReportReason::Cancelled, ReportReason::Recovery]);
}

/// A build of `linux` from this branch, whose command ends with this code.
fn build_branch(world: &mut World, branch: &str, code: i64) {
    let stamps = vec![StampSpec { branch: Some(branch.into()), ..StampSpec::default() }];
    world.force_with(ForceOrder { builders: vec!["linux".into()], stamps, ..ForceOrder::default() });
    world.end("make", code);
}

#[test]
fn a_build_is_compared_with_the_last_one_of_its_branch() {
    let mut world = world(mailing(&[NotifyOn::Problem, NotifyOn::Recovery, NotifyOn::Change]));
    for (branch, code) in [("main", 1), ("topic", 0), ("main", 1), ("topic", 1), ("topic", 0), ("main", 0)] {
        build_branch(&mut world, branch, code);
    }
    let told = [ReportReason::Problem, ReportReason::Problem, ReportReason::Recovery, ReportReason::Recovery];
    assert_eq!(reasons(&world), told);
}

#[test]
fn the_branch_that_was_built_longest_ago_is_forgotten_first() {
    let mut world = world(mailing(&[NotifyOn::Problem, NotifyOn::Recovery]));
    build_branch(&mut world, "old", 1);
    build_branch(&mut world, "main", 1);
    for number in 2..BRANCHES_MAX {
        build_branch(&mut world, &format!("topic-{number}"), 0);
    }
    build_branch(&mut world, "main", 1);
    build_branch(&mut world, "one more", 0);
    build_branch(&mut world, "old", 0);
    build_branch(&mut world, "main", 0);
    assert_eq!(reasons(&world), [ReportReason::Problem, ReportReason::Problem, ReportReason::Recovery]);
}

/// Two steps, `make` and `lint`, of which the first is skipped if that is wanted.
fn skipping(make: bool) -> PlanBuilder {
    let steps = vec![step("make").do_if(Ok(!make)), step("lint")];
    plan().builder_with("linux", ["w1"], steps).mail("mail", &[NotifyOn::Recovery, NotifyOn::Change])
}

#[test]
fn a_build_that_skips_what_was_broken_is_no_recovery() {
    let mut world = world(skipping(false));
    build(&mut world, 1);
    world.adopt(skipping(true));
    world.force("linux");
    world.expect_ended("linux/2", Outcome::Success);
    assert_eq!(reasons(&world), []);
    world.adopt(skipping(false));
    build(&mut world, 0);
    assert_eq!(reasons(&world), [ReportReason::Recovery]);
}

#[test]
fn a_step_that_did_not_run_since_it_broke_is_still_broken() {
    let mut world = world(skipping(false));
    world.hold("lint");
    world.force("linux");
    world.end("make", 0);
    world.end("lint", 1);
    build(&mut world, 1);
    world.adopt(plan().builder_with("linux", ["w1"], vec![step("make"), step("lint").do_if(Ok(false))]));
    build(&mut world, 0);
    world.adopt(skipping(false));
    world.force("linux");
    world.end("make", 0);
    world.end("lint", 0);
    assert_eq!(reasons(&world), [ReportReason::Recovery], "only once `lint` ran");
}

#[test]
fn a_notifier_can_be_for_some_builders_tags_or_branches_only() {
    let plan = plan()
        .builder("linux", ["w1"])
        .builder_with("docs", ["w1"], vec![step("docs")])
        .change_builder("docs", |builder, _| builder.tags = vec!["slow".into()])
        .mail("linux", &[NotifyOn::Always])
        .change_mail("linux", |mail| mail.builders = Some(vec!["linux".into()]))
        .mail("slow", &[NotifyOn::Always])
        .change_mail("slow", |mail| mail.tags = vec!["slow".into()])
        .mail("release", &[NotifyOn::Always])
        .change_mail("release", |mail| mail.branches = Some(vec![Some("release".into())]));
    let mut world = world(plan);
    build(&mut world, 0);
    world.force("docs");
    let told: Vec<_> = world.delivered.iter().map(|report| report.notifier.as_str()).collect();
    assert_eq!(told, ["linux", "slow"]);
}

#[test]
fn a_mail_server_that_is_down_loses_and_doubles_nothing() {
    let mut world = world(mailing(&[NotifyOn::Always]));
    world.hold_letters = true;
    build(&mut world, 1);
    for pause in ["30s", "1m", "2m", "4m", "8m", "15m", "15m"] {
        world.post(Err(("connection refused", false)));
        assert!(world.letters.is_empty());
        world.advance(pause);
        assert_eq!(world.letters.len(), 1, "after {pause}");
    }
    world.post(Ok(()));
    world.advance("24h");
    assert_eq!((world.delivered.len(), world.letters.len()), (1, 0));
}

#[test]
fn a_report_that_cannot_be_delivered_is_dropped() {
    let mut world = world(mailing(&[NotifyOn::Always]));
    world.hold_letters = true;
    build(&mut world, 0);
    world.post(Err(("no such mailbox", true)));
    world.advance("24h");
    assert!(world.letters.is_empty());
    assert!(world.events().any(|event| matches!(event, Event::ReportDropped { why, .. } if why == "no such mailbox")));
}

#[test]
fn a_report_is_given_up_after_a_week() {
    let mut world = world(mailing(&[NotifyOn::Always]));
    world.hold_letters = true;
    build(&mut world, 0);
    world.advance("167h");
    world.post(Err(("down", false)));
    world.advance("2h");
    world.post(Err(("down", false)));
    world.advance("24h");
    assert!(world.letters.is_empty());
}

#[test]
fn few_deliveries_are_under_way_at_once() {
    let mut world = world(mailing(&[NotifyOn::Always]));
    world.hold_letters = true;
    for _ in 0..20 {
        build(&mut world, 0);
    }
    assert_eq!(world.letters.len(), 8);
    world.post(Err(("down", false)));
    assert_eq!(world.letters.len(), 8, "one that failed makes room for the next");
    while !world.letters.is_empty() {
        world.post(Ok(()));
    }
    world.advance("30s");
    world.post(Ok(()));
    assert_eq!(world.delivered.len(), 20);
}

#[test]
fn undelivered_reports_are_handed_out_again_after_a_restart() {
    let mut world = world(mailing(&[NotifyOn::Always]));
    world.hold_letters = true;
    build(&mut world, 0);
    let before = world.letters[0].clone();
    world.restart();
    assert_eq!(world.letters.pop_front(), Some(before), "the same report, so that it is recognised");
}

#[test]
fn a_report_keeps_the_configuration_that_makes_its_text() {
    let mut world = world(mailing(&[NotifyOn::Always]));
    world.hold_letters = true;
    build(&mut world, 0);
    let pinned = world.letters[0].plan.clone();
    world.adopt(plan().builder("linux", ["w1"]));
    assert!(world.engine.plans_needed().contains(&pinned));
    world.post(Ok(()));
    assert!(!world.engine.plans_needed().contains(&pinned));
}
