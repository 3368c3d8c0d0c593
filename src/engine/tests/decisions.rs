//! User functions that give no answer: nothing is skipped, nothing starts that should not, and somebody is told.

use std::sync::{Arc, Mutex};

use super::plans::{PlanBuilder, any_branch, dependent, force, periodic, plan, step, triggerable};
use super::script::trigger;
use super::world::World;
use crate::engine::{Input, Reply};
use crate::model::{
    Actor, Cause, CollapsePolicy, Decision, EvalOutcome, Event, FnId, ForceOrder, FunctionKind, Intake, NewChange,
    Order, Outcome, Policy, Undecided, Value, Via,
};

/// A function whose answer can be changed, and that counts how often it was asked.
#[derive(Clone)]
struct Switch(Arc<Mutex<(Decision, usize)>>);

impl Switch {
    fn new(answer: Decision) -> Self {
        Self(Arc::new(Mutex::new((answer, 0))))
    }

    fn set(&self, answer: Decision) {
        self.0.lock().unwrap().0 = answer;
    }

    fn asked(&self) -> usize {
        self.0.lock().unwrap().1
    }

    fn function(&self, plan: &mut PlanBuilder) -> FnId {
        let switch = Arc::clone(&self.0);
        plan.function(move |_| {
            let mut switch = switch.lock().unwrap();
            switch.1 += 1;
            switch.0.clone()
        })
    }
}

fn failed(message: &str) -> Decision {
    Err(Undecided::Failed { message: message.into() })
}

fn lost(message: &str) -> Decision {
    Err(Undecided::Lost { message: message.into() })
}

fn yes() -> Decision {
    Ok(Value::Bool(true))
}

fn facts(world: &World, kind: impl Fn(&Event) -> bool) -> usize {
    world.events().filter(|event| kind(event)).count()
}

fn filtered(switch: &Switch) -> PlanBuilder {
    let mut plan = plan().builder("linux", ["w1"]).collapse(CollapsePolicy::Never);
    let function = switch.function(&mut plan);
    plan.scheduler(any_branch("any", &["linux"], "0s").filter(|filter| filter.function = Some(function)))
}

fn world(plan: PlanBuilder) -> World {
    let mut world = World::new(plan);
    world.connect("w1");
    world
}

#[test]
fn an_undecided_change_waits_and_is_asked_about_again() {
    let switch = Switch::new(failed("no attribute `x`"));
    let mut world = world(filtered(&switch));
    let change = world.change("main", &[]);
    assert!(world.builds().is_empty());
    assert_eq!(world.script_failures(), ["`filter` of scheduler `any`: no attribute `x`"]);
    world.advance("9s");
    assert_eq!(switch.asked(), 1);
    world.advance("1s");
    assert_eq!(switch.asked(), 2, "asked again after ten seconds");
    world.advance("19s");
    assert_eq!(switch.asked(), 2, "and then later and later");
    switch.set(yes());
    world.advance("1s");
    assert_eq!(world.buildsets("any")[0].changes, [change]);
    world.advance("2h");
    assert_eq!(world.builds().len(), 1, "once");
}

#[test]
fn an_undecided_change_survives_a_restart() {
    let switch = Switch::new(failed("oh"));
    let mut world = world(filtered(&switch));
    let change = world.change("main", &[]);
    world.restart();
    switch.set(yes());
    world.connect("w1");
    world.advance("10s");
    assert_eq!(world.buildsets("any")[0].changes, [change]);
}

#[test]
fn an_undecided_change_that_is_declined_leaves() {
    let switch = Switch::new(failed("oh"));
    let mut world = world(filtered(&switch));
    world.change("main", &[]);
    switch.set(Ok(Value::Bool(false)));
    world.advance("10s");
    assert_eq!(facts(&world, |event| matches!(event, Event::ChangeDeclined { .. })), 1);
    switch.set(yes());
    world.advance("5h");
    assert!(world.builds().is_empty());
}

#[test]
fn another_configuration_is_asked_at_once() {
    let switch = Switch::new(failed("oh"));
    let mut world = world(filtered(&switch));
    world.change("main", &[]);
    let better = Switch::new(yes());
    world.adopt(filtered(&better).builder("new", ["w1"]));
    assert_eq!(world.builds().len(), 1);
    assert_eq!(switch.asked(), 1);
}

#[test]
fn a_scheduler_that_leaves_takes_its_undecided_changes_along() {
    let switch = Switch::new(failed("oh"));
    let mut world = world(filtered(&switch));
    world.change("main", &[]);
    world.adopt(plan().builder("linux", ["w1"]));
    world.advance("5h");
    assert_eq!(switch.asked(), 1);
    switch.set(yes());
    world.adopt(filtered(&switch));
    assert!(world.builds().is_empty());
}

#[test]
fn undecided_changes_of_one_scheduler_are_bounded() {
    let switch = Switch::new(failed("oh"));
    let mut world = World::new(filtered(&switch));
    let max = crate::engine::state::PENDING_MAX;
    world.order(Order::AddChanges {
        changes: vec![NewChange::default(); max + 3],
        delivery: None,
        intake: Intake::Report,
    });
    assert_eq!(
        facts(&world, |event| matches!(event, Event::ChangeDeclined { .. })),
        3,
        "the oldest leave, and it is told"
    );
    assert_eq!(world.engine.state().schedulers()["any"].pending.len(), max);
}

#[test]
fn importance_that_is_undecided_starts_nothing_and_skips_nothing() {
    let switch = Switch::new(failed("oh"));
    let mut plan = plan().builder("linux", ["w1"]);
    let function = switch.function(&mut plan);
    let scheduler = any_branch("any", &["linux"], "0s").important(function);
    let mut world = world(plan.scheduler(scheduler));
    world.change("main", &[]);
    assert!(world.builds().is_empty());
    switch.set(yes());
    world.advance("10s");
    assert_eq!(world.builds().len(), 1);
}

#[test]
fn a_change_that_was_decided_late_does_not_pass_for_the_newest() {
    let mut plan = plan().builder("linux", ["w1"]);
    let ready = Switch::new(failed("oh"));
    let state = Arc::clone(&ready.0);
    let function = plan.function(move |question| match question {
        crate::model::Question::Filter(change) if change.id.0 == 1 => state.lock().unwrap().0.clone(),
        _ => yes(),
    });
    let scheduler = any_branch("any", &["linux"], "1m").filter(|filter| filter.function = Some(function));
    let mut world = world(plan.scheduler(scheduler));
    let first = world.change("main", &[]);
    let second = world.change("main", &[]);
    ready.set(yes());
    world.advance("10m");
    let sets = world.buildsets("any");
    assert_eq!(sets[0].changes, [first, second]);
    assert!(sets[0].stamps[0].spec.revision.is_some());
    let newest = world.events().rev().find_map(|event| match event {
        Event::ChangeArrived { change } => change.data.revision.clone(),
        _ => None,
    });
    assert_eq!(sets[0].stamps[0].spec.revision, newest);
}

#[test]
fn where_can_start_fails_nothing_starts_and_others_are_tried() {
    let mut plan = plan().builder("linux", ["w1", "w2"]);
    let function = plan.function(|question| match question {
        crate::model::Question::CanStart { worker, .. } if worker.name == "w1" => failed("no attribute `nmae`"),
        _ => yes(),
    });
    let mut world = World::new(plan.change_builder("linux", |builder, _| builder.can_start = Some(function)));
    world.connect("w1");
    world.force("linux");
    assert!(world.builds().is_empty());
    assert_eq!(world.script_failures(), ["`can_start` of builder `linux`: no attribute `nmae`"]);
    world.connect("w2");
    world.expect_ended("linux/1", Outcome::Success);
    assert_eq!(world.build("linux/1").worker, "w2");
}

#[test]
fn can_start_is_asked_again_after_a_while() {
    let switch = Switch::new(lost("it ran too long"));
    let mut plan = plan().builder("linux", ["w1"]);
    let function = switch.function(&mut plan);
    let mut world = world(plan.change_builder("linux", |builder, _| builder.can_start = Some(function)));
    world.force("linux");
    switch.set(yes());
    world.advance("10s");
    world.expect_ended("linux/1", Outcome::Success);
}

#[test]
fn a_priority_or_collapse_that_is_undecided_is_none() {
    let switch = Switch::new(failed("oh"));
    let mut plan = plan().builder("linux", ["w1"]);
    let function = switch.function(&mut plan);
    let mut world = World::new(plan.change_builder("linux", |builder, _| {
        builder.priority = Some(Policy::Function(function));
        builder.collapse = Some(CollapsePolicy::Function(function));
    }));
    let requests = [world.force("linux"), world.force("linux")];
    world.connect("w1");
    assert_eq!(requests.map(|request| world.request_outcome(request)), [Some(Outcome::Success); 2]);
    assert_eq!(world.builds().len(), 2);
    assert_eq!(world.script_failures().len(), 2, "each function once");
}

#[test]
fn a_scheduler_without_properties_makes_its_buildset_later() {
    let switch = Switch::new(failed("oh"));
    let mut plan = plan().builder("linux", ["w1"]);
    let function = switch.function(&mut plan);
    let scheduler = any_branch("any", &["linux"], "1m").with(|plan| plan.properties_fn = Some(function));
    let mut world = world(plan.scheduler(scheduler));
    let first = world.change("main", &[]);
    world.advance("2m");
    let second = world.change("main", &[]);
    world.restart();
    world.connect("w1");
    world.advance("1h");
    assert!(world.builds().is_empty());
    switch.set(Ok(Value::Map([("a".to_owned(), Value::Int(1))].into())));
    world.advance("1h");
    let sets = world.buildsets("any");
    assert_eq!((sets.len(), &sets[0].changes), (1, &vec![first, second]));
    assert_eq!(world.property("linux/1", "a"), Some(Value::Int(1)));
}

#[test]
fn a_timed_scheduler_without_properties_does_not_let_its_moment_pass() {
    let switch = Switch::new(failed("oh"));
    let mut plan = plan().builder("linux", ["w1"]);
    let function = switch.function(&mut plan);
    let scheduler = periodic("often", &["linux"], "5h").with(|plan| plan.properties_fn = Some(function));
    let mut world = world(plan.scheduler(scheduler));
    world.advance("1m");
    assert!(world.builds().is_empty());
    switch.set(Ok(Value::Null));
    world.advance("1h");
    assert_eq!(world.builds().len(), 1);
    world.advance("5h");
    assert_eq!(world.builds().len(), 2);
}

#[test]
fn a_dependent_scheduler_without_properties_owes_its_buildsets() {
    let switch = Switch::new(failed("oh"));
    let mut plan = plan().builder("linux", ["w1"]).builder("docs", ["w1"]);
    let function = switch.function(&mut plan);
    let after = dependent("after", &["docs"], "any").with(|plan| plan.properties_fn = Some(function));
    let mut world = world(plan.scheduler(any_branch("any", &["linux"], "0s")).scheduler(after));
    let first = world.change("main", &[]);
    let second = world.change("main", &[]);
    world.expect_ended("linux/2", Outcome::Success);
    world.expect_none("docs/1");
    world.restart();
    world.connect("w1");
    switch.set(Ok(Value::Null));
    world.advance("1m");
    let changes: Vec<_> = world.buildsets("after").iter().map(|set| set.changes.clone()).collect();
    assert_eq!(changes, [vec![first], vec![second]]);
    world.advance("5h");
    assert_eq!(world.buildsets("after").len(), 2);
}

#[test]
fn somebody_who_forces_is_told_why_not() {
    let switch = Switch::new(failed("no `x`"));
    let mut plan = plan().builder("linux", ["w1"]);
    let function = switch.function(&mut plan);
    let scheduler = force("by-hand", &["linux"], vec![]).with(|plan| plan.properties_fn = Some(function));
    let mut world = world(plan.scheduler(scheduler));
    let ask = ForceOrder { scheduler: Some("by-hand".into()), ..ForceOrder::default() };
    let reply = world.order(Order::Force(ask));
    let Reply::Refused(why) = reply else { panic!("{reply:?}") };
    assert!(why.contains("`properties` of scheduler `by-hand`: no `x`"), "{why}");
}

fn triggering(switch: &Switch) -> World {
    let steps = vec![step("go").does([trigger(&["kids"], true)])];
    let mut plan = plan().builder_with("parent", ["w1"], steps).builder("child", ["w2"]);
    let function = switch.function(&mut plan);
    let kids = triggerable("kids", &["child"]).with(|plan| plan.properties_fn = Some(function));
    let mut world = world(plan.scheduler(kids));
    world.connect("w2");
    world
}

#[test]
fn a_trigger_waits_for_properties() {
    let switch = Switch::new(failed("oh"));
    let mut world = triggering(&switch);
    world.force("parent");
    world.expect_running("parent/1", "w1");
    world.restart();
    world.connect("w1");
    world.connect("w2");
    switch.set(Ok(Value::Null));
    world.advance("1m");
    world.expect_ended("child/1", Outcome::Success);
    world.expect_ended("parent/1", Outcome::Success);
}

#[test]
fn a_trigger_does_not_wait_for_properties_for_ever() {
    let mut world = triggering(&Switch::new(failed("oh")));
    world.force("parent");
    world.advance("8h");
    world.expect_ended("parent/1", Outcome::Exception);
    world.expect_none("child/1");
    assert_eq!(facts(&world, |event| matches!(event, Event::TriggerRefused { .. })), 1);
}

#[test]
fn a_failure_is_told_once_and_its_end_after_a_while() {
    let switch = Switch::new(failed("a"));
    let mut world = world(filtered(&switch));
    world.change("main", &[]);
    world.advance("50s");
    assert_eq!(world.script_failures().len(), 1);
    switch.set(failed("b"));
    world.advance("1h");
    assert_eq!(world.script_failures().len(), 2, "another text is told");
    switch.set(yes());
    world.advance("2h");
    let recovered =
        |event: &Event| matches!(event, Event::ScriptRecovered { function } if function.kind == FunctionKind::Filter);
    assert_eq!(facts(&world, recovered), 1);
    switch.set(failed("b"));
    world.change("main", &[]);
    assert_eq!(world.script_failures().len(), 3);
}

#[test]
fn a_function_that_fails_for_some_questions_does_not_recover_in_between() {
    let mut plan = plan().builder("linux", ["w1", "w2"]);
    let function = plan.function(|question| match question {
        crate::model::Question::CanStart { worker, .. } if worker.name == "w1" => failed("oh"),
        _ => yes(),
    });
    let mut world = World::new(plan.change_builder("linux", |builder, _| builder.can_start = Some(function)));
    world.connect("w1");
    world.connect("w2");
    for _ in 0..20 {
        world.force("linux");
        world.advance("1s");
    }
    assert_eq!(world.builds().len(), 20);
    assert_eq!(world.script_failures().len(), 1);
    assert_eq!(facts(&world, |event| matches!(event, Event::ScriptRecovered { .. })), 0);
}

#[test]
fn a_function_that_costs_three_processes_is_suspended_until_the_next_configuration() {
    let switch = Switch::new(lost("it was killed"));
    let mut world = world(filtered(&switch));
    world.change("main", &[]);
    world.advance("1h");
    world.change("main", &[]);
    world.restart();
    world.connect("w1");
    world.change("main", &[]);
    world.advance("5h");
    assert_eq!(switch.asked(), 3);
    assert_eq!(facts(&world, |event| matches!(event, Event::ScriptSuspended { .. })), 1);
    switch.set(yes());
    world.advance("5h");
    assert!(world.builds().is_empty());
    // Loading the same once more, other than at a start, ends the suspension.
    let (plan, functions) = filtered(&switch).build();
    let _ = functions;
    for _ in 0..2 {
        let plan = Arc::clone(&plan);
        world.ask(|ticket| Input::PlanLoaded { plan, why: "reload".into(), cause: Cause::Configuration, ticket });
    }
    assert_eq!(world.builds().len(), 3, "nothing was skipped");
}

#[test]
fn what_is_postponed_goes_on_at_once() {
    let switch = Switch::new(Err(Undecided::Postponed));
    let mut world = world(filtered(&switch));
    world.change("main", &[]);
    let (due, _) = world.engine.deadline().unwrap();
    assert!(due.since(world.now).as_millis() <= 1);
    world.advance("5ms");
    assert!(switch.asked() > 3);
    assert_eq!(facts(&world, |event| matches!(event, Event::ChangeUndecided { .. })), 1, "without a fact each time");
    switch.set(yes());
    world.advance("1ms");
    assert_eq!(world.builds().len(), 1);
    assert!(world.script_failures().is_empty());
}

#[test]
fn a_pass_comes_further_than_the_one_before() {
    // Three questions a pass: without the answers of the passes before, the tenth worker would never be asked about.
    let budget = Arc::new(Mutex::new(0));
    let mut plan = plan().builder("linux", ["w0", "w1", "w2", "w3", "w4", "w5", "w6", "w7", "w8", "w9"]);
    let left = Arc::clone(&budget);
    let function = plan.function(move |question| {
        let mut left = left.lock().unwrap();
        if *left == 0 {
            return Err(Undecided::Postponed);
        }
        *left -= 1;
        match question {
            crate::model::Question::CanStart { worker, .. } => Ok(Value::Bool(worker.name == "w9")),
            _ => Ok(Value::Int(0)),
        }
    });
    let mut world = World::new(plan.change_builder("linux", |builder, _| builder.can_start = Some(function)));
    for worker in 0..10 {
        world.connect(&format!("w{worker}"));
    }
    world.force("linux");
    for _ in 0..4 {
        assert!(world.builds().is_empty());
        *budget.lock().unwrap() = 3;
        world.advance("1ms");
    }
    world.expect_ended("linux/1", Outcome::Success);
}

#[test]
fn somebody_who_forces_waits_for_what_is_postponed() {
    let switch = Switch::new(Err(Undecided::Postponed));
    let mut plan = plan().builder("linux", ["w1"]);
    let function = switch.function(&mut plan);
    let mut world =
        world(plan.change_builder("linux", |builder, _| builder.priority = Some(Policy::Function(function))));
    let ticket = Some(crate::engine::Ticket(77));
    let ask = ForceOrder { builders: vec!["linux".into()], ..ForceOrder::default() };
    world.input(Input::Ordered { order: Order::Force(ask), by: Actor::person("ann", Via::Page), ticket });
    switch.set(Ok(Value::Int(5)));
    world.advance("1ms");
    world.expect_ended("linux/1", Outcome::Success);
}

fn lose_evaluation(world: &mut World) {
    let (build, job) = world.jobs.pop_front().expect("an evaluation was ordered");
    let outcome = EvalOutcome::Lost { message: "it was killed after 10 s".into() };
    world.input(Input::Evaluated { build, turn: job.turn, outcome });
}

#[test]
fn a_build_whose_evaluation_is_lost_three_times_is_an_exception() {
    let mut world = world(plan().builder("linux", ["w1"]).builder("docs", ["w1"]));
    world.hold_scripts = true;
    world.force("linux");
    lose_evaluation(&mut world);
    assert!(world.jobs.is_empty(), "after a pause");
    world.advance("1s");
    lose_evaluation(&mut world);
    world.restart();
    world.connect("w1");
    lose_evaluation(&mut world);
    world.expect_ended("linux/1", Outcome::Exception);
    assert!(world.log("linux/1", "error").contains("it was killed after 10 s"));
    assert!(world.log("linux/1", "error").contains("3 processes"));
    let at = world.events().find_map(|event| match event {
        Event::EvaluationLost { name, losses: 3, .. } => Some(name.clone()),
        _ => None,
    });
    assert_eq!(at.as_deref(), Some("make"));
}

#[test]
fn a_build_whose_evaluation_is_lost_once_goes_on() {
    let mut world = world(plan().builder("linux", ["w1"]));
    world.hold_scripts = true;
    world.force("linux");
    lose_evaluation(&mut world);
    world.hold_scripts = false;
    world.advance("1s");
    world.expect_ended("linux/1", Outcome::Success);
}
