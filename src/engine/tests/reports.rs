//! Reports: who is told, why, and until when it is tried.

use std::collections::BTreeSet;

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
    let subject = world.delivered[2].subject.clone();
    let ReportSubject::Build { previous, outcome, .. } = subject else { panic!("{subject:?}") };
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

/// A build of this revision, so that its reports are about a target of their own.
fn build_revision(world: &mut World, revision: usize) {
    let stamps = vec![StampSpec { revision: Some(format!("r{revision}")), ..StampSpec::default() }];
    world.force_with(ForceOrder { builders: vec!["linux".into()], stamps, ..ForceOrder::default() });
    world.end("make", 0);
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
    for revision in 0..20 {
        build_revision(&mut world, revision);
    }
    assert_eq!(world.letters.len(), 4);
    world.post(Ok(()));
    assert_eq!(world.letters.len(), 4, "one that arrived makes room for the next");
    while !world.letters.is_empty() {
        world.post(Ok(()));
    }
    assert_eq!(world.delivered.len(), 20);
}

#[test]
fn a_server_that_took_nothing_is_left_alone_and_then_tried_with_one_report() {
    let mut world = world(mailing(&[NotifyOn::Always]));
    world.hold_letters = true;
    for revision in 0..10 {
        build_revision(&mut world, revision);
    }
    for _ in 0..4 {
        world.post(Err(("down", false)));
    }
    assert!(world.letters.is_empty());
    // Those that were under way together count as one failure.
    world.advance("29s");
    assert!(world.letters.is_empty());
    world.advance("1s");
    assert_eq!(world.letters.len(), 1, "one report to see whether it is back");
    world.post(Ok(()));
    assert_eq!(world.letters.len(), 4);
    while !world.letters.is_empty() {
        world.post(Ok(()));
    }
    assert_eq!(world.delivered.len(), 10);
}

#[test]
fn a_server_that_is_away_does_not_delay_the_others() {
    let other = |plan: &mut crate::model::NotifierPlan| {
        let crate::model::NotifierKind::Mail(mail) = &mut plan.kind else { panic!("it is a mail") };
        mail.host = "elsewhere".to_owned();
    };
    let mut world = world(mailing(&[NotifyOn::Always]).mail("other", &[NotifyOn::Always]).change_mail("other", other));
    world.hold_letters = true;
    for revision in 0..10 {
        build_revision(&mut world, revision);
    }
    let to = |world: &World| world.letters.iter().filter(|letter| letter.notifier == "other").count();
    assert_eq!((to(&world), world.letters.len()), (4, 8), "neither takes the room of the other");
    // The first one hangs; the other takes all.
    for _ in 0..10 {
        let at = world.letters.iter().position(|letter| letter.notifier == "other").unwrap();
        let letter = world.letters.remove(at).unwrap();
        world.letters.push_front(letter);
        world.post(Ok(()));
    }
    assert_eq!((to(&world), world.letters.len()), (0, 4));
}

#[test]
fn starts_are_told_before_ends_and_requests_before_both() {
    let mut world = world(mailing(&[NotifyOn::Pending, NotifyOn::Start, NotifyOn::Failure, NotifyOn::Set]));
    build(&mut world, 1);
    let told: Vec<_> = world.delivered.iter().map(|report| report.subject.word()).collect();
    assert_eq!(told, ["pending", "start", "end", "set"]);
    let targets: BTreeSet<_> = world.delivered[..3].iter().map(|report| report.target.clone()).collect();
    assert_eq!(targets.len(), 1, "they are about the same");
}

#[test]
fn a_request_that_ends_without_a_build_is_told_again() {
    let mut world = world(mailing(&[NotifyOn::Pending]));
    world.force("linux");
    world.force("linux");
    let waiting = *world.engine.state().requests().iter().find(|(_, request)| request.build.is_none()).unwrap().0;
    world.order(Order::CancelRequest { request: waiting, why: "enough".into() });
    let outcomes: Vec<_> = world.delivered.iter().map(|report| report.subject.outcome()).collect();
    assert_eq!(outcomes, [None, None, Some(Outcome::Cancelled)]);
}

/// A notifier of one target: what is undelivered when a later one comes is needless.
fn latest_only() -> World {
    let on = [NotifyOn::Start, NotifyOn::Always];
    let mut world = world(mailing(&on).change_mail("mail", |mail| mail.latest_only = true));
    world.hold_letters = true;
    world
}

#[test]
fn reports_about_one_target_leave_one_after_the_other() {
    let mut world = world(mailing(&[NotifyOn::Start, NotifyOn::Always]));
    world.hold_letters = true;
    build(&mut world, 0);
    assert_eq!(world.letters.len(), 1, "the end waits for the start");
    world.post(Err(("down", false)));
    world.advance("30s");
    assert_eq!(world.letters[0].subject.word(), "start");
    world.post(Ok(()));
    assert_eq!(world.letters[0].subject.word(), "end");
}

#[test]
fn a_start_that_was_given_up_lets_the_end_go() {
    let mut world = world(mailing(&[NotifyOn::Start, NotifyOn::Always]));
    world.hold_letters = true;
    build(&mut world, 0);
    world.post(Err(("no such thing", true)));
    assert_eq!(world.letters[0].subject.word(), "end");
}

#[test]
fn only_the_newest_of_a_target_is_delivered_where_that_is_wanted() {
    let mut world = latest_only();
    build(&mut world, 0);
    assert_eq!(world.letters.len(), 1);
    world.post(Err(("down", false)));
    let superseded = |event: &Event| matches!(event, Event::ReportSuperseded { .. });
    assert_eq!(world.events().filter(|event| superseded(event)).count(), 1);
    world.advance("30s");
    let words: Vec<_> = world.letters.iter().map(|letter| letter.subject.word()).collect();
    assert_eq!(words, ["end"]);
    world.post(Ok(()));
    assert!(world.letters.is_empty() && world.engine.state().outbox().is_empty());
}

#[test]
fn a_server_may_ask_for_a_longer_pause() {
    let mut world = world(mailing(&[NotifyOn::Always]));
    world.hold_letters = true;
    build(&mut world, 0);
    let report = world.letters.pop_front().unwrap().id;
    let pause = Some(crate::base::Span::from_minutes(50));
    world.input(crate::engine::Input::ReportFailed { report, error: "too many".into(), final_: false, pause });
    world.advance("49m");
    assert!(world.letters.is_empty());
    world.advance("1m");
    assert_eq!(world.letters.len(), 1);
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

/// A report that was given up, and the report that it was.
fn given_up(world: &mut World) -> crate::model::Report {
    world.hold_letters = true;
    build(world, 0);
    let report = world.letters[0].clone();
    world.post(Err(("no such address", true)));
    report
}

fn resend(world: &mut World, report: &crate::model::Report) -> crate::engine::Reply {
    world.order(Order::Resend { report: report.id, of: Some(Box::new(report.clone())) })
}

#[test]
fn what_was_given_up_can_be_sent_again_as_the_configuration_now_says() {
    let mut world = world(mailing(&[NotifyOn::Always]));
    let report = given_up(&mut world);
    world.adopt(mailing(&[NotifyOn::Always, NotifyOn::Failure]));
    assert_eq!(resend(&mut world, &report), crate::engine::Reply::Done);
    assert_eq!(resend(&mut world, &report), crate::engine::Reply::Done, "it is on its way");
    assert_eq!(world.letters.len(), 1);
    let again = &world.letters[0];
    assert_eq!((again.again, &again.subject), (Some(report.id), &report.subject));
    assert_ne!(again.plan, report.plan);
}

#[test]
fn what_nobody_speaks_of_any_more_or_is_out_of_date_is_not_sent_again() {
    let on = [NotifyOn::Start];
    let mut world = world(mailing(&on).change_mail("mail", |mail| mail.latest_only = true));
    let report = given_up(&mut world);
    let refused = |reply: &crate::engine::Reply| matches!(reply, crate::engine::Reply::Refused(_));
    assert!(refused(&resend(&mut world, &report)), "the build has ended");
    world.adopt(plan().builder("linux", ["w1"]));
    assert!(refused(&resend(&mut world, &report)), "the notifier is gone");
    let unknown = world.order(Order::Resend { report: report.id, of: None });
    assert!(matches!(unknown, crate::engine::Reply::Unknown(_)));
}

#[test]
fn a_report_that_waits_goes_at_once_if_somebody_wants_it() {
    let mut world = world(mailing(&[NotifyOn::Always]));
    world.hold_letters = true;
    build(&mut world, 0);
    let report = world.letters[0].id;
    world.post(Err(("the server is away", false)));
    assert!(world.letters.is_empty(), "it rests");
    assert_eq!(world.order(Order::DeliverNow { report }), crate::engine::Reply::Done);
    assert_eq!(world.letters.iter().map(|letter| letter.id).collect::<Vec<_>>(), [report]);
    world.post(Ok(()));
    let gone = world.order(Order::DeliverNow { report });
    assert!(matches!(gone, crate::engine::Reply::Unknown(_)), "{gone:?}");
}

#[test]
fn a_report_that_waits_can_be_given_up_and_makes_way_for_the_next() {
    let mut world = world(mailing(&[NotifyOn::Start, NotifyOn::Always]));
    world.hold_letters = true;
    build(&mut world, 0);
    let first = world.letters[0].id;
    world.post(Err(("the server is away", false)));
    assert_eq!(world.order(Order::GiveUpReport { report: first }), crate::engine::Reply::Done);
    let dropped = world.facts.iter().any(|fact| matches!(&fact.event, Event::ReportDropped { report, why } if *report == first && why.contains("given up by")));
    assert!(dropped);
    world.advance("20m");
    assert_eq!(world.letters.len(), 1, "the end is told now");
    assert_ne!(world.letters[0].id, first);
    let again = world.order(Order::GiveUpReport { report: first });
    assert!(matches!(again, crate::engine::Reply::Unknown(_)), "{again:?}");
}

#[test]
fn an_hour_without_its_server_costs_no_report_and_no_order() {
    let mut world = world(mailing(&[NotifyOn::Start, NotifyOn::Always]));
    world.hold_letters = true;
    let mut tries = 0;
    for _ in 0..60 {
        build(&mut world, 0);
        while !world.letters.is_empty() {
            world.post(Err(("status 503", false)));
            tries += 1;
        }
        world.advance("1m");
    }
    assert!(tries < 30, "it is left alone meanwhile: {tries}");
    for _ in 0..60 {
        while !world.letters.is_empty() {
            world.post(Ok(()));
        }
        world.advance("1m");
    }
    let ids: Vec<u64> = world.delivered.iter().map(|report| report.id.0).collect();
    let once: BTreeSet<u64> = ids.iter().copied().collect();
    assert_eq!((ids.len(), once.len()), (120, 120), "a start and an end of each build");
    assert!(ids.is_sorted(), "they are about one target: {ids:?}");
}
