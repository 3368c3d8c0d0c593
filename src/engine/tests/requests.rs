//! Requests: who waits, who goes first, what becomes one, what people can do about it.

use std::collections::BTreeMap;

use super::plans::{PlanBuilder, branch, dependent, force, param, plan, step};
use super::world::World;
use crate::engine::Reply;
use crate::model::{
    CollapsePolicy, Event, ForceOrder, ForceParamKind, Order, Outcome, Policy, Question, RequestId, StampSpec, Value,
};

/// A world with builder `linux` whose command `make` runs until told, and a worker.
fn busy(policy: CollapsePolicy) -> World {
    let mut world =
        World::new(plan().collapse(policy).builder("linux", ["w1"]).scheduler(branch("main", &["linux"], "0s")));
    world.connect("w1");
    world.hold("make");
    world.force("linux");
    world.expect_running("linux/1", "w1");
    world
}

fn request_of(world: &World, build: &str) -> RequestId {
    let id = world.build(build).id;
    let found = world.events().find_map(|event| match event {
        Event::BuildStarted { build, requests, .. } if *build == id => Some(requests[0]),
        _ => None,
    });
    found.unwrap()
}

fn with_priority(world: &mut World, priority: i64) -> RequestId {
    world.force_with(ForceOrder {
        builders: vec!["linux".into()],
        priority: Some(priority.into()),
        ..ForceOrder::default()
    })
}

#[test]
fn requests_wait_while_no_worker_is_free() {
    let mut world = World::new(plan().builder("linux", ["w1"]));
    world.force("linux");
    world.expect_none("linux/1");
    world.connect("w1");
    world.expect_ended("linux/1", Outcome::Success);
}

#[test]
fn the_newest_request_does_the_work_of_older_ones() {
    let mut world = busy(CollapsePolicy::SameSource);
    let first = world.change("main", &["a.c"]);
    world.advance("1m");
    let second = world.change("main", &["b.c"]);
    world.end("make", 0);
    world.expect_running("linux/2", "w1");
    let sets = world.buildsets("main");
    assert_eq!(world.request_outcome(sets[0].requests[0]), Some(Outcome::Skipped));
    assert_eq!(world.buildset_outcome(sets[0].id), Some(Outcome::Skipped));
    assert_eq!(request_of(&world, "linux/2"), sets[1].requests[0]);
    let changes = world.events().rev().find_map(|event| match event {
        Event::BuildStarted { changes, .. } => Some(changes.clone()),
        _ => None,
    });
    assert_eq!(changes, Some(vec![first, second]), "blame of the swallowed request stays");
}

#[test]
fn a_collapsed_request_keeps_its_place_in_the_queue() {
    let mut world =
        World::new(plan().builder("linux", ["w1"]).builder("docs", ["w1"]).scheduler(branch("main", &["linux"], "0s")));
    world.connect("w1");
    world.hold("make");
    world.force("linux");
    world.change("main", &["a.c"]);
    world.advance("1m");
    world.force("docs");
    world.advance("1m");
    world.change("main", &["b.c"]);
    world.end("make", 0);
    world.expect_running("linux/2", "w1");
    world.expect_none("docs/1");
}

#[test]
fn requests_for_other_branches_or_with_other_values_stay_apart() {
    let mut world = busy(CollapsePolicy::SameSource);
    let ask = |branch: &str, level: i64| ForceOrder {
        builders: vec!["linux".into()],
        stamps: vec![StampSpec { branch: Some(branch.into()), ..StampSpec::default() }],
        params: BTreeMap::from([("level".to_owned(), Value::Int(level))]),
        ..ForceOrder::default()
    };
    let one = world.force_with(ask("a", 1));
    let two = world.force_with(ask("b", 1));
    let three = world.force_with(ask("a", 2));
    let four = world.force_by("eve", ask("a", 2));
    let outcomes = [one, two, three, four].map(|request| world.request_outcome(request));
    assert_eq!(outcomes, [None, None, Some(Outcome::Skipped), None], "who asked makes no difference");
}

#[test]
fn collapsing_can_be_switched_off() {
    let mut world = busy(CollapsePolicy::Never);
    world.change("main", &["a.c"]);
    world.change("main", &["b.c"]);
    for _ in 0..3 {
        world.end("make", 0);
    }
    assert_eq!(world.builds().len(), 3);
}

#[test]
fn a_builder_can_decide_what_collapses() {
    let mut plan = plan().builder("linux", ["w1"]);
    let function = plan.function(|question| match question {
        Question::Collapse { first, second, .. } => {
            Ok(Value::Bool(first.properties.get("ticket") == second.properties.get("ticket")))
        }
        other => panic!("{other:?}"),
    });
    let plan = plan.change_builder("linux", |builder, _| builder.collapse = Some(CollapsePolicy::Function(function)));
    let mut world = World::new(plan);
    let ask = |ticket: i64| ForceOrder {
        builders: vec!["linux".into()],
        params: BTreeMap::from([("ticket".to_owned(), Value::Int(ticket))]),
        ..ForceOrder::default()
    };
    let requests = [1, 2, 1, 1].map(|ticket| world.force_with(ask(ticket)));
    let skipped = requests.map(|request| world.request_outcome(request).is_some());
    assert_eq!(skipped, [true, false, true, false]);
}

#[test]
fn higher_priority_goes_first_then_the_longest_waiting() {
    let mut world = busy(CollapsePolicy::Never);
    let order: Vec<RequestId> = [0, 5, 5, -1].into_iter().map(|priority| with_priority(&mut world, priority)).collect();
    for _ in 0..4 {
        world.end("make", 0);
    }
    let built: Vec<RequestId> = (2..=5).map(|number| request_of(&world, &format!("linux/{number}"))).collect();
    assert_eq!(built, [order[1], order[2], order[0], order[3]]);
}

#[test]
fn a_priority_can_be_changed_while_waiting() {
    let mut world = busy(CollapsePolicy::Never);
    let first = with_priority(&mut world, 0);
    let second = with_priority(&mut world, 0);
    let reply = world.order(Order::SetPriority { request: second, priority: 1 });
    assert_eq!(reply, Reply::Done);
    world.end("make", 0);
    assert_eq!(request_of(&world, "linux/2"), second);
    world.end("make", 0);
    assert_eq!(request_of(&world, "linux/3"), first);
    let unknown = world.order(Order::SetPriority { request: RequestId(99), priority: 1 });
    assert!(matches!(unknown, Reply::Unknown(_)));
}

#[test]
fn priorities_are_compared_across_builders() {
    let mut world = World::new(
        plan()
            .builder("linux", ["w1"])
            .builder("docs", ["w1"])
            .change_builder("docs", |builder, _| builder.priority = Some(Policy::Fixed(3))),
    );
    world.hold("make");
    world.force("linux");
    world.force("docs");
    world.connect("w1");
    world.expect_running("docs/1", "w1");
    world.expect_none("linux/1");
}

#[test]
fn a_priority_function_sees_the_properties() {
    let mut plan = plan().builder("linux", ["w1"]).collapse(CollapsePolicy::Never);
    let function = plan.function(|question| match question {
        Question::Priority { properties, .. } => Ok(properties.get("urgent").cloned().unwrap_or(Value::Int(0))),
        other => panic!("{other:?}"),
    });
    let mut world =
        World::new(plan.change_builder("linux", |builder, _| builder.priority = Some(Policy::Function(function))));
    world.force("linux");
    let params = BTreeMap::from([("urgent".to_owned(), Value::Int(9))]);
    let urgent = world.force_with(ForceOrder { builders: vec!["linux".into()], params, ..ForceOrder::default() });
    world.hold("make");
    world.connect("w1");
    assert_eq!(request_of(&world, "linux/1"), urgent);
}

#[test]
fn a_cancelled_request_never_runs() {
    let mut world = busy(CollapsePolicy::Never);
    let request = world.force("linux");
    world.cancel(request);
    assert_eq!(world.request_outcome(request), Some(Outcome::Cancelled));
    world.end("make", 0);
    assert_eq!(world.builds().len(), 1);
    world.cancel(request);
}

#[test]
fn cancelling_a_running_request_stops_its_build() {
    let mut world = busy(CollapsePolicy::Never);
    let request = request_of(&world, "linux/1");
    world.cancel(request);
    world.end_with("make", crate::model::CommandEnd::Interrupted("no".into()));
    world.expect_ended("linux/1", Outcome::Cancelled);
    assert_eq!(world.request_outcome(request), Some(Outcome::Cancelled));
}

#[test]
fn a_buildset_ends_with_the_worst_outcome_of_its_requests() {
    let mut world = World::new(
        plan()
            .builder("good", ["w1"])
            .builder_with("soso", ["w1"], vec![step("warn")])
            .builder_with("bad", ["w1"], vec![step("fail")])
            .scheduler(branch("two", &["good", "soso"], "0s"))
            .scheduler(branch("three", &["good", "soso", "bad"], "1m")),
    );
    world.connect("w1");
    world.change("main", &[]);
    world.advance("1m");
    let outcome = |name: &str| world.buildset_outcome(world.buildsets(name)[0].id);
    assert_eq!(outcome("two"), Some(Outcome::Warnings));
    assert_eq!(outcome("three"), Some(Outcome::Failure));
}

#[test]
fn a_build_can_be_done_again() {
    let mut world = World::new(plan().builder("linux", ["w1"]).scheduler(branch("main", &["linux"], "0s")));
    world.connect("w1");
    world.change("main", &["a.c"]);
    let original = world.buildset_of_build(world.build("linux/1").id);
    let Reply::Buildset { requests, .. } = world.rebuild("linux/1") else { panic!() };
    world.expect_ended("linux/2", Outcome::Success);
    let again = world.buildset_of(*requests.values().next().unwrap());
    assert_eq!((world.maker_of(&again).as_str(), again.reason.as_str()), ("rebuild", "rebuilt by ann"));
    assert_eq!(again.rebuilt, Some(world.build("linux/1").id));
    assert_eq!((again.stamps, again.properties), (original.stamps, original.properties));
    world.rebuild("linux/2");
    let third = world.buildset_of_build(world.build("linux/3").id);
    assert_eq!(third.rebuilt, Some(world.build("linux/1").id), "the first of the chain is named");
}

#[test]
fn a_force_form_checks_all_fields_at_once() {
    let params = vec![
        param("level", ForceParamKind::Int, false),
        param("why", ForceParamKind::Text, true),
        param("tick", ForceParamKind::Bool, false),
    ];
    let mut world = World::new(plan().builder("linux", ["w1"]).scheduler(force("by-hand", &["linux"], params)));
    world.connect("w1");
    let ask = |params: &[(&str, Value)]| ForceOrder {
        scheduler: Some("by-hand".into()),
        params: params.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        reason: "to see".into(),
        ..ForceOrder::default()
    };
    let bad = ask(&[("level", "high".into())]);
    let Reply::Invalid(errors) = world.order(Order::Force(bad)) else { panic!() };
    assert_eq!(errors.keys().collect::<Vec<_>>(), ["level", "why"]);
    assert_eq!(errors["why"], "'why' needs to be specified");
    let unknown = ask(&[("why", "x".into()), ("levle", 1.into())]);
    let Reply::Invalid(errors) = world.order(Order::Force(unknown)) else { panic!() };
    assert_eq!(errors["levle"], "the form has no field `levle`; did you mean `level`?");
    let request = world.force_with(ask(&[("level", "7".into()), ("why", "x".into())]));
    let set = world.buildset_of(request);
    assert_eq!(set.reason, "forced by ann: to see");
    let property = |name: &str| set.properties.0.get(name).map(|p| (p.value.to_string(), p.source.as_str()));
    assert_eq!(property("level"), Some(("7".into(), "Force Build Form")));
    assert_eq!(property("owner"), Some(("ann".into(), "Force Build Form")));
    assert_eq!(property("scheduler"), Some(("by-hand".into(), "Scheduler")));
}

#[test]
fn a_force_that_makes_no_sense_is_refused_with_what_would_do() {
    let mut world = World::new(plan().builder("linux", ["w1"]).builder("docs", ["w1"]).scheduler(force(
        "by-hand",
        &["linux"],
        vec![],
    )));
    let mut refusal = |scheduler: Option<&str>, builders: &[&str]| {
        let ask = ForceOrder {
            scheduler: scheduler.map(str::to_owned),
            builders: builders.iter().map(|&name| name.to_owned()).collect(),
            ..ForceOrder::default()
        };
        match world.order(Order::Force(ask)) {
            Reply::Refused(text) | Reply::Unknown(text) => text,
            other => panic!("{other:?}"),
        }
    };
    assert!(refusal(None, &["linx"]).contains("did you mean `linux`"));
    assert!(refusal(Some("by-hands"), &["linux"]).contains("did you mean `by-hand`"));
    assert!(refusal(Some("by-hand"), &["docs"]).contains("`linux`"));
    assert!(refusal(None, &[]).contains("name the builders"));
}

#[test]
fn without_a_force_scheduler_a_builder_is_forced_directly() {
    let mut world = World::new(plan().builder("linux", ["w1"]).scheduler(branch("main", &["linux"], "0s")));
    world.connect("w1");
    let params = BTreeMap::from([("level".to_owned(), Value::Int(3))]);
    let stamps = vec![StampSpec { revision: Some("abc".into()), ..StampSpec::default() }];
    let ask = ForceOrder { builders: vec!["linux".into()], params, stamps, ..ForceOrder::default() };
    let request = world.force_with(ask);
    assert_eq!(world.buildset_of(request).stamps[0].spec.revision.as_deref(), Some("abc"));
    assert_eq!(world.property("linux/1", "level"), Some(Value::Int(3)));
}

/// A force scheduler with these codebases, over `both`, whose steps use `app` and `lib`, and `other`, of which nothing
/// is known.
fn two_codebases(codebases: &[&str]) -> PlanBuilder {
    let uses = ["app", "lib"].map(str::to_owned);
    plan()
        .builder("both", ["w1"])
        .builder("other", ["w1"])
        .change_builder("both", |builder, _| builder.codebases = uses.into())
        .scheduler(force("by-hand", &["both", "other"], Vec::new()).codebases(codebases))
}

fn with_source(builders: &[&str], stamp: StampSpec) -> ForceOrder {
    ForceOrder {
        scheduler: Some("by-hand".into()),
        builders: builders.iter().map(|&name| name.into()).collect(),
        stamps: vec![stamp],
        ..ForceOrder::default()
    }
}

#[test]
fn a_source_that_no_step_uses_is_refused() {
    let branch =
        |codebase: &str| StampSpec { codebase: codebase.into(), branch: Some("nosuch".into()), ..StampSpec::default() };
    let errors = |plan: PlanBuilder, ask: ForceOrder| -> Vec<(String, String)> {
        match World::new(plan).order(Order::Force(ask)) {
            Reply::Invalid(errors) => errors.into_iter().collect(),
            Reply::Buildset { .. } => Vec::new(),
            other => panic!("{other:?}"),
        }
    };
    let unnamed = || two_codebases(&[""]);
    let told = "the branch would have no effect: no step of `both` uses the codebase ``, but `app`, `lib`; write \
                `codebases = {\"app\": {}, \"lib\": {}}` in force scheduler `by-hand`, and give `app_branch` or \
                `lib_branch`";
    assert_eq!(errors(unnamed(), with_source(&["both"], branch(""))), [("branch".to_owned(), told.to_owned())]);
    let revision = StampSpec { revision: Some("12345678".into()), ..StampSpec::default() };
    let of_revision = errors(unnamed(), with_source(&["both"], revision));
    assert!(of_revision[0].1.contains("`lib_revision`"), "{of_revision:?}");
    assert_eq!(errors(unnamed(), with_source(&["both"], StampSpec::default())), [], "nothing was asked for");
    assert_eq!(errors(unnamed(), with_source(&["other"], branch(""))), [], "its codebases are not known");
    assert_eq!(errors(unnamed(), with_source(&[], branch(""))), [], "one of them may use it");
    let followed = unnamed().scheduler(dependent("then", &["other"], "by-hand"));
    assert_eq!(errors(followed, with_source(&["both"], branch(""))), [], "the next builds get it too");

    let declared = || two_codebases(&["app", "lib", "docs"]);
    assert_eq!(errors(declared(), with_source(&["both"], branch("lib"))), []);
    let told = "the branch would have no effect: no step of `both` uses the codebase `docs`; give `app_branch` or \
                `lib_branch` instead";
    assert_eq!(
        errors(declared(), with_source(&["both"], branch("docs"))),
        [("docs_branch".to_owned(), told.to_owned())]
    );
}
