//! A build goes through its steps.

use super::plans::{plan, span, step};
use super::script::{Item, child, run, run_with};
use super::world::World;
use crate::engine::{CommandEnded, Input};
use crate::model::{
    Ask, CommandEnd, CommandResult, EndStep, EvalOutcome, Event, FileCommand, Key, Note, Outcome, Value,
};

/// A world with one worker and a builder `linux` of these steps.
fn world(steps: Vec<super::plans::StepBuilder>) -> World {
    let mut world = World::new(plan().builder_with("linux", ["w1"], steps));
    world.connect("w1");
    world
}

#[test]
fn a_forced_build_runs_its_steps_in_order() {
    let mut world = world(vec![step("compile"), step("test")]);
    world.force("linux");
    world.expect_ended("linux/1", Outcome::Success);
    assert_eq!(world.steps("linux/1"), ["compile: compile", "test: test"]);
    assert_eq!(world.build("linux/1").state, "build successful");
}

#[test]
fn builds_are_numbered_per_builder() {
    let mut world = World::new(plan().builder("linux", ["w1"]).builder("docs", ["w1"]));
    world.connect("w1");
    world.force("linux");
    world.force("docs");
    world.force("linux");
    assert_eq!(world.builds().keys().collect::<Vec<_>>(), ["docs/1", "linux/1", "linux/2"]);
}

#[test]
fn a_build_without_steps_succeeds() {
    let mut world = world(vec![]);
    world.force("linux");
    world.expect_ended("linux/1", Outcome::Success);
}

#[test]
fn a_failure_halts_the_build_but_for_steps_that_always_run() {
    let mut world = world(vec![step("fail"), step("test"), step("clean").always()]);
    world.force("linux");
    world.expect_ended("linux/1", Outcome::Failure);
    assert_eq!(world.steps("linux/1"), ["fail: failed (failure)", "clean: clean"]);
    assert_eq!(world.build("linux/1").state, "failed in `fail`");
}

#[test]
fn a_failure_that_does_not_halt_lets_the_build_go_on() {
    let mut world = world(vec![step("fail").with(|step| step.halt_on_failure = false), step("test")]);
    world.force("linux");
    world.expect_ended("linux/1", Outcome::Failure);
    assert_eq!(world.steps("linux/1"), ["fail: failed (failure)", "test: test"]);
}

#[test]
fn flags_say_what_a_step_means_for_the_build() {
    let outcome = |command: &str, change: fn(&mut crate::model::StepPlan)| {
        let mut world = world(vec![step(command).with(change)]);
        world.force("linux");
        world.build("linux/1").outcome.unwrap()
    };
    assert_eq!(outcome("fail", |step| step.flunk_on_failure = false), Outcome::Success);
    assert_eq!(
        outcome("fail", |step| (step.flunk_on_failure, step.warn_on_failure) = (false, true)),
        Outcome::Warnings
    );
    assert_eq!(outcome("warn", |_| ()), Outcome::Warnings);
    assert_eq!(outcome("warn", |step| step.warn_on_warnings = false), Outcome::Success);
    assert_eq!(outcome("warn", |step| step.flunk_on_warnings = true), Outcome::Failure);
}

#[test]
fn a_condition_that_says_no_skips_the_step() {
    let mut world = world(vec![step("deploy").do_if(Ok(false)), step("test").do_if(Ok(true))]);
    world.force("linux");
    world.expect_ended("linux/1", Outcome::Success);
    assert_eq!(world.steps("linux/1"), ["deploy: skipped (skipped)", "test: test"]);
    assert!(world.running_commands().is_empty());
}

#[test]
fn a_condition_that_fails_ends_the_step_with_an_exception() {
    let mut world = world(vec![step("deploy").do_if(Err("no such branch\nat master.star:3"))]);
    world.force("linux");
    world.expect_ended("linux/1", Outcome::Exception);
    assert_eq!(world.steps("linux/1"), ["deploy: no such branch (exception)"]);
    assert_eq!(world.log("linux/1", "error"), "no such branch\nat master.star:3\n");
}

#[test]
fn a_step_can_be_hidden_also_when_it_is_skipped() {
    let mut world = world(vec![
        step("quiet").hide_if(Ok(true)),
        step("loud").hide_if(Ok(false)),
        step("skipped").do_if(Ok(false)).hide_if(Ok(true)),
        step("unsure").hide_if(Err("oh")),
    ]);
    world.force("linux");
    assert_eq!(
        world.steps("linux/1"),
        ["quiet: quiet hidden", "loud: loud", "skipped: skipped (skipped) hidden", "unsure: unsure"]
    );
    assert_eq!(world.script_failures(), ["`hide_if` of builder `linux`: oh"]);
}

#[test]
fn a_failing_step_is_tried_again_after_growing_pauses() {
    let mut world = world(vec![step("flaky").retries(2, "10s"), step("test")]);
    world.hold("flaky");
    world.force("linux");
    world.end("flaky", 1);
    world.advance("9s");
    assert!(world.running_commands().is_empty());
    world.advance("1s");
    world.end("flaky", 1);
    world.advance("19s");
    assert!(world.running_commands().is_empty());
    world.advance("1s");
    world.end("flaky", 0);
    world.expect_ended("linux/1", Outcome::Success);
    assert_eq!(
        world.steps("linux/1"),
        [
            "flaky: failed (failure)",
            "flaky (retry 1): failed (failure)",
            "flaky (retry 2): flaky (retry 2)",
            "test: test"
        ]
    );
}

#[test]
fn a_step_that_keeps_failing_fails_the_build_after_its_last_attempt() {
    let mut world = world(vec![step("fail").retries(1, "1s")]);
    world.force("linux");
    world.advance("1s");
    world.expect_ended("linux/1", Outcome::Failure);
    assert_eq!(world.steps("linux/1").len(), 2);
}

#[test]
fn steps_of_one_name_are_told_apart() {
    let mut world = world(vec![step("make"), step("make"), step("make")]);
    world.force("linux");
    assert_eq!(world.steps("linux/1"), ["make: make", "make_1: make_1", "make_2: make_2"]);
}

#[test]
fn a_script_that_breaks_ends_its_step_with_an_exception_and_halts() {
    let mut world = world(vec![
        step("decide").does([Item::Summary("deciding".into()), Item::Break("index out of range\nline 7".into())]),
        step("test"),
    ]);
    world.force("linux");
    world.expect_ended("linux/1", Outcome::Exception);
    assert_eq!(world.steps("linux/1"), ["decide: index out of range (exception)"]);
    assert_eq!(world.log("linux/1", "error"), "index out of range\nline 7\n");
}

#[test]
fn a_script_that_waits_for_nothing_is_told_so() {
    let mut world = world(vec![step("odd").does([run("make"), Item::Stuck])]);
    world.force("linux");
    world.expect_ended("linux/1", Outcome::Exception);
    assert!(world.log("linux/1", "error").contains("nothing that it waits for"));
}

#[test]
fn a_script_that_breaks_beside_a_running_command_stops_it_first() {
    let mut world = world(vec![
        step("both").does([Item::Parallel(vec![vec![run("slow")], vec![run("quick"), Item::Break("oh".into())]])]),
    ]);
    world.hold("slow");
    world.force("linux");
    world.expect_running("linux/1", "w1");
    assert_eq!(world.worker("w1").interrupted.len(), 1);
    world.end_with("slow", crate::model::CommandEnd::Interrupted("stop".into()));
    world.expect_ended("linux/1", Outcome::Exception);
}

#[test]
fn a_summary_is_the_line_of_its_step() {
    let mut world = world(vec![
        step("test").does([
            run("t"),
            Item::Url("report".into(), "http://ci/r".into()),
            Item::Summary("12 passed".into()),
        ]),
        step("lint").does([Item::Summary("3 remarks".into()), Item::End(Outcome::Warnings)]),
    ]);
    world.force("linux");
    assert_eq!(world.steps("linux/1"), ["test: 12 passed", "lint: 3 remarks (warnings)"]);
    assert_eq!(world.build("linux/1").state, "warnings in `lint`: 3 remarks");
}

#[test]
fn child_steps_are_numbered_in_order_of_their_begin() {
    let mut world = world(vec![
        step("all").does([child("first", [run("a"), child("inner", [run("b")])]), child("second", [run("c")])]),
    ]);
    world.force("linux");
    world.expect_ended("linux/1", Outcome::Success);
    assert_eq!(world.steps("linux/1"), ["all: all", "> first: first", "> inner: inner", "> second: second"]);
    let parents: Vec<_> = (world.events())
        .filter_map(|event| match event {
            Event::StepStarted { number, parent: Some(_), .. } => Some(*number),
            _ => None,
        })
        .collect();
    assert_eq!(parents, [2, 3, 4]);
}

#[test]
fn commands_belong_to_the_child_step_that_runs_them() {
    let mut world = world(vec![step("all").does([
        Item::Parallel(vec![vec![child("left", [run("l")])], vec![child("right", [run("r")])], vec![run("bare")]]),
        run("after"),
    ])]);
    world.force("linux");
    let mut steps = std::collections::BTreeMap::new();
    let mut commands = vec![];
    for event in world.events() {
        match event {
            Event::StepStarted { step, name, .. } => {
                steps.insert(*step, name.clone());
            }
            Event::Asked { step, ask: crate::model::Ask::Run(spec), .. } => {
                commands.push(format!("{} in {}", super::script::line_of(spec), steps[step]));
            }
            _ => {}
        }
    }
    assert_eq!(commands, ["l in left", "r in right", "bare in all", "after in all"]);
}

#[test]
fn parallel_branches_go_on_independently() {
    let mut world = world(vec![
        step("both").does([Item::Parallel(vec![vec![run("a1"), run("a2")], vec![run("b1"), run("b2")]]), run("after")]),
    ]);
    for line in ["a1", "a2", "b1", "b2"] {
        world.hold(line);
    }
    world.force("linux");
    assert_eq!(world.running_commands(), ["a1", "b1"]);
    world.end("b1", 0);
    assert_eq!(world.running_commands(), ["a1", "b2"]);
    world.end("b2", 0);
    world.end("a1", 0);
    world.end("a2", 0);
    world.expect_ended("linux/1", Outcome::Success);
}

#[test]
fn child_steps_left_open_are_ended_with_their_step() {
    let mut world = world(vec![
        step("fine").does([Item::OpenChild("lost".into()), run("a")]),
        step("broken").does([Item::OpenChild("torn".into()), Item::Break("oh".into())]),
    ]);
    world.force("linux");
    assert_eq!(
        world.steps("linux/1"),
        ["fine: fine", "> lost: lost", "broken: oh (exception)", "> torn: exception (exception)"]
    );
}

#[test]
fn answers_that_come_together_cause_one_evaluation() {
    let mut world = world(vec![step("both").does([Item::Parallel(vec![vec![run("a")], vec![run("b")]])])]);
    world.hold("a");
    world.hold("b");
    world.force("linux");
    assert_eq!(world.evaluations, 1);
    world.hold_scripts = true;
    world.end("a", 0);
    assert_eq!(world.jobs.len(), 1);
    world.end("b", 0);
    assert_eq!(world.jobs.len(), 1, "one evaluation of a build at a time");
    world.evaluate_next();
    assert_eq!(world.jobs.len(), 1, "the answer in between is looked at afterwards");
    world.evaluate_next();
    world.expect_ended("linux/1", Outcome::Success);
}

#[test]
fn a_wait_lasts_as_long_as_it_says() {
    let mut world = world(vec![step("nap").does([Item::Wait(span("5m")), run("after")])]);
    world.force("linux");
    world.advance("4m59s");
    world.expect_running("linux/1", "w1");
    world.advance("1s");
    world.expect_ended("linux/1", Outcome::Success);
}

#[test]
fn the_time_is_a_recorded_answer() {
    let mut world = world(vec![step("clock").does([Item::Now, run("slow"), Item::Now])]);
    world.hold("slow");
    world.force("linux");
    let began = world.now;
    world.advance("1h");
    world.end("slow", 0);
    let times: Vec<_> = (world.events())
        .filter_map(|event| match event {
            Event::Answered { answer: crate::model::Answer::Time(at), .. } => Some(*at),
            _ => None,
        })
        .collect();
    assert_eq!(times, [began, world.now]);
}

#[test]
fn a_property_set_by_a_script_is_seen_by_later_steps_only() {
    let mut world = world(vec![step("first").does([Item::Set("level".into(), 5.into()), run("a")]), step("second")]);
    world.hold_scripts = true;
    world.force("linux");
    let mut seen = vec![];
    while let Some((_, job)) = world.jobs.front() {
        seen.push(job.context.properties.get("level").cloned());
        world.evaluate_next();
    }
    assert_eq!(seen, [None, None, Some(Value::Int(5)), Some(Value::Int(5))]);
}

#[test]
fn a_build_knows_its_properties() {
    let mut world = World::new(
        plan()
            .builder("linux", ["w1"])
            .change_builder("linux", |builder, _| builder.properties.set("flavour", "debug", "x"))
            .change_worker("w1", |worker| worker.properties.set("disk", "ssd", "x"))
            .with(|plan| plan.properties.set("site", "here", "Global"))
            .scheduler(super::plans::branch("main", &["linux"], "0s")),
    );
    world.connect("w1");
    world.change("main", &["a.c"]);
    let text = |name: &str| world.property("linux/1", name).map(|value| value.to_string()).unwrap_or_default();
    let names = ["buildername", "buildnumber", "workername", "flavour", "disk", "site", "scheduler", "branch"];
    let values = ["linux", "1", "w1", "debug", "ssd", "here", "main", "main"];
    assert_eq!(names.map(text), values);
    assert_eq!(text("builddir"), "/srv/worker/linux");
    assert_eq!(text("owners"), r#"["bob"]"#);
    assert!(text("revision").starts_with('r'));
}

#[test]
fn logs_of_a_step_are_opened_once_and_closed_at_its_end() {
    let mut world = world(vec![step("all").does([
        run("a"),
        run_with("b", |spec| {
            spec.log_files.insert("test.log".into(), crate::model::LogFileSpec { path: "t".into(), follow: false });
        }),
        Item::Log("notes".into(), "one".into()),
        Item::Log("notes".into(), "two\n".into()),
    ])]);
    world.force("linux");
    let opened: Vec<_> = (world.events())
        .filter_map(|event| match event {
            Event::Asked { logs, .. } => Some(logs),
            _ => None,
        })
        .flatten()
        .map(|log| (log.name.as_str(), log.slug.as_str(), log.kind.letter()))
        .collect();
    assert_eq!(opened, [("stdio", "stdio", 's'), ("test.log", "test_log", 's'), ("notes", "notes", 't')]);
    assert_eq!(world.log("linux/1", "notes"), "one\ntwo\n");
    assert_eq!(world.closed_logs.len(), 3);
}

#[test]
fn every_command_has_an_id_of_its_own() {
    let mut world = world(vec![step("a"), step("b").does([run("x"), run("y")])]);
    world.force("linux");
    world.force("linux");
    let ids: Vec<_> = (world.events())
        .filter_map(|event| match event {
            Event::Asked { command: Some(command), .. } => Some(command.0.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(ids, ["inst-1-1", "inst-1-2", "inst-1-3", "inst-2-1", "inst-2-2", "inst-2-3"]);
}

#[test]
fn what_ended_leaves_the_state() {
    let mut world = World::new(
        plan()
            .builder("linux", ["w1"])
            .scheduler(super::plans::branch("main", &["linux"], "0s"))
            .mail("mail", &[crate::model::NotifyOn::Always]),
    );
    world.connect("w1");
    for round in 0..30 {
        world.change("main", &["a.c"]);
        world.expect_ended(&format!("linux/{}", round + 1), Outcome::Success);
    }
    let state = world.engine.state();
    assert_eq!(
        (state.builds().len(), state.requests().len(), state.buildsets().len(), state.outbox().len()),
        (0, 0, 0, 0)
    );
    assert_eq!(state.changes().held(), 1, "only the newest change stays");
    assert_eq!(world.delivered.len(), 30);
}

#[test]
fn a_child_step_that_a_failing_script_ends_keeps_its_log_until_its_command_has_stopped() {
    let both = Item::Parallel(vec![vec![run("slow")], vec![run("quick")]]);
    let mut world = world(vec![step("outer").does([child("inner", [both])])]);
    world.hold("slow");
    world.hold("quick");
    world.hold_scripts = true;
    world.force("linux");
    world.evaluate_next();
    let opened = world.events().find_map(|event| match event {
        Event::Asked { command: Some(_), logs, .. } => logs.first().map(|opened| opened.log),
        _ => None,
    });
    let log = opened.unwrap();
    world.end("quick", 0);
    let (build, job) = world.jobs.pop_front().unwrap();
    let end = EndStep { begun: Key(vec![1]), outcome: Outcome::Warnings, summary: Some("cut".into()), hidden: false };
    let asks = vec![(Key(vec![3]), Ask::EndStep(end))];
    let outcome = EvalOutcome::Failed { asks, message: "the script failed".into() };
    world.input(Input::Evaluated { build, turn: job.turn, outcome });
    assert!(!world.closed_logs.contains(&log), "its command still prints");
    world.end_with("slow", CommandEnd::Interrupted("over".into()));
    assert!(world.closed_logs.contains(&log));
    let steps = world.steps("linux/1");
    assert!(steps.contains(&"> inner: cut (warnings)".to_owned()), "{steps:?}");
}

#[test]
fn the_line_of_a_build_names_the_steps_that_count() {
    let mut world = world(vec![
        step("fail").with(|step| (step.halt_on_failure, step.flunk_on_failure) = (false, false)),
        step("outer").does([child("inner", [run("fail")])]).with(|step| step.halt_on_failure = false),
        step("fail").with(|step| step.halt_on_failure = false),
        step("fail").with(|step| step.halt_on_failure = false).hide_if(Ok(true)),
    ]);
    world.force("linux");
    world.expect_ended("linux/1", Outcome::Failure);
    assert_eq!(world.build("linux/1").state, "failed in `inner` (+ 1 more)");
}

#[test]
fn a_failure_that_does_not_count_does_not_show_in_the_line_of_its_build() {
    let mut world = world(vec![
        step("fail").with(|step| (step.halt_on_failure, step.flunk_on_failure) = (false, false)).hide_if(Ok(true)),
    ]);
    world.force("linux");
    world.expect_ended("linux/1", Outcome::Success);
    assert_eq!(world.build("linux/1").state, "build successful");
}

#[test]
fn a_hidden_step_is_named_where_it_alone_is_to_blame() {
    let mut world = world(vec![step("fail").hide_if(Ok(true))]);
    world.force("linux");
    assert_eq!(world.build("linux/1").state, "failed in `fail`");
}

#[test]
fn a_file_command_that_fails_leaves_a_log_that_says_why() {
    let copy = FileCommand::Copy { from: "a".into(), to: "b".into() };
    for (command, wanted) in [(copy, true), (FileCommand::Stat("a".into()), false)] {
        let mut world = world(vec![step("files").does([Item::File(command.clone())])]);
        world.hold(&format!("{command:?}"));
        world.force("linux");
        let order = world.worker("w1").running.values().next().unwrap().clone();
        let exit_codes = [(0, Outcome::Success)].into();
        let result = CommandResult {
            stderr: Some("copy: `a`: No such file or directory".into()),
            ..CommandResult::of(CommandEnd::Exited(2), &exit_codes)
        };
        let ended = CommandEnded { worker: "w1".into(), epoch: order.epoch, command: order.command.clone(), result };
        world.input(Input::CommandEnded(ended));
        let said = world.events().any(|event| match event {
            Event::StepNoted { note: Note::FileFailed(_), opened: Some(opened), text, .. } => {
                opened.name == "stdio" && text.contains("No such file")
            }
            _ => false,
        });
        assert_eq!(said, wanted, "{command:?}");
    }
}
