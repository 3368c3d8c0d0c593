//! Evaluations that kill their process, or outlast it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use starwright::testing::evaluator::{Launcher, Limits};
use starwright::testing::model::{
    Ask, BuildId, Entry, EvalOutcome, FnId, Journal, Policy, Properties, Question, StepId, Value,
};

use super::bench::{MODES, SHORT, evaluator, job, launcher, try_load, with_builder};

/// Function bodies that no process survives, and what the loss says.
const DEADLY: [(&str, &str); 6] = [
    ("x = []\n    for _ in range(300000):\n        x = [x]\n    ctx.log('stdio', str(x))", "overflowed its stack"),
    ("('x' * 10000000).join(['a'] * 10000000)", "ran out of memory"),
    ("x = {i: i for i in range(100000)}\n    y = [dict(x) for _ in range(3000)]", "ran out of memory"),
    ("for i in range(1000000):\n        regex.match('a' * 200 + str(i), 'b')", "300 ms of processor time"),
    ("x = 'ab' * 5000000\n    for i in range(100000):\n        x.count('ba')", "300 ms of processor time"),
    ("x = 3\n    for _ in range(60):\n        x = x * x", "300 ms of processor time"),
];

fn short() -> Limits {
    Limits { turn: SHORT, decision: SHORT, ..Limits::default() }
}

#[test]
fn a_deadly_evaluation_is_lost_with_words_and_the_next_evaluator_works() {
    for mode in MODES {
        let launcher = Launcher { limits: short(), ..launcher(mode) };
        for (body, words) in DEADLY {
            let text =
                with_builder(&format!("def f(ctx):\n    if ctx.number == 1:\n        return None\n    {body}\n"));
            let loaded = try_load(&launcher, &text).unwrap_or_else(|refused| panic!("{refused}"));
            let mut first = loaded.template.evaluator().unwrap();
            let mut job = job(&loaded.plan.digest, Arc::default());
            Arc::make_mut(&mut job.context).number = 2;
            let Err(lost) = first.turn(BuildId(2), &job) else { panic!("{mode:?}: it survived {body}") };
            // Memory may take its time to fill: then the processor's limit comes first.
            let told = lost.message.contains(words) || lost.message.contains("of processor time");
            assert!(told && !lost.killed, "{mode:?}: {body}: {lost}");
            let mut second = loaded.template.evaluator().unwrap();
            Arc::make_mut(&mut job.context).number = 1;
            let done = second.turn(BuildId(1), &job).unwrap();
            assert!(matches!(done, EvalOutcome::Done { .. }));
        }
    }
}

#[test]
fn an_evaluator_killed_from_outside_says_so() {
    let launcher = launcher(starwright::testing::evaluator::Mode::Fork);
    let text =
        with_builder("def f(ctx):\n    for i in range(1000000):\n        regex.match('a' * 200 + str(i), 'b')\n");
    let loaded = try_load(&launcher, &text).unwrap_or_else(|refused| panic!("{refused}"));
    let mut victim = loaded.template.evaluator().unwrap();
    let kill_handle = victim.kill_handle().unwrap();
    let thread = std::thread::spawn(move || kill_handle.kill());
    let lost = victim.turn(BuildId(1), &job(&loaded.plan.digest, Arc::default())).unwrap_err();
    thread.join().unwrap();
    assert!(lost.killed, "{lost}");
    assert!(victim.is_dead());
    assert!(!loaded.template.is_alive());
    assert!(loaded.template.evaluator().is_err());
}

#[test]
fn both_modes_give_the_same_answers() {
    let text = with_builder(
        "def f(ctx):\n    a = ctx.run('one')\n    ctx.set_summary(a.stdout)\n    ctx.run('two')\n    fail('oh')\n",
    );
    let told = MODES.map(|mode| {
        let mut evaluator = evaluator(&launcher(mode), &text);
        let digest = evaluator.template().digest().clone();
        let mut job = job(&digest, Arc::default());
        let mut told = Vec::new();
        loop {
            let outcome = evaluator.turn(BuildId(1), &job).unwrap();
            told.push(format!("{outcome:?}"));
            let EvalOutcome::Suspended { asks } = outcome else { break told };
            let journal = Arc::make_mut(&mut job.journal);
            answer(journal, asks);
        }
    });
    assert!(told[0] == told[1], "the modes differ");
    assert_eq!(told[0].len(), 3);
    assert!(told[0][2].contains("master.star:5"), "{}", told[0][2]);
}

/// Records asks, and answers them.
pub fn answer(journal: &mut Journal, asks: Vec<(starwright::testing::model::Key, Ask)>) {
    for (key, ask) in asks {
        let answer = match &ask {
            Ask::Run(spec) => {
                let end = starwright::testing::model::CommandEnd::Exited(0);
                let mut result = starwright::testing::model::CommandResult::of(end, &spec.exit_codes);
                result.stdout = spec.want_output.then(|| "x".repeat(1024));
                Some(starwright::testing::model::Answer::Command(result))
            }
            _ => Some(starwright::testing::model::Answer::Done),
        };
        journal.0.insert(key, Entry { ask, answer, command: None, step: StepId(1) });
    }
}

#[test]
fn a_decision_that_loops_is_lost_within_its_time_and_others_are_answered() {
    let text = "
def level(builder, properties):
    if properties.get('bad', False):
        for i in range(90000):
            regex.match('a' * 200 + str(i), 'b')
    return properties.get('p', 7)
worker('w')
builder('b', workers = ['w'], steps = [step('s', run = lambda ctx: None)], priority = level)
";
    for mode in MODES {
        let loaded = try_load(&launcher(mode), text).unwrap_or_else(|refused| panic!("{refused}"));
        let Some(Policy::Function(function)) = loaded.plan.builders["b"].priority else { panic!() };
        let question = |bad: bool| {
            let mut properties = Properties::default();
            properties.set("bad", bad, "test");
            (function, Question::Priority { builder: "b".to_owned(), properties: properties.into() })
        };
        let mut evaluator = loaded.template.evaluator().unwrap();
        let many: Vec<(FnId, Question)> = (0..1000).map(|_| question(false)).collect();
        let answers = evaluator.decide(&many, Duration::from_secs(10)).unwrap().answers;
        assert_eq!(answers, vec![Ok(Value::Int(7)); 1000]);
        let few = evaluator.decide(&many, Duration::ZERO).unwrap().answers;
        assert!(few.len() < 1000, "the budget ends the batch");
        let lost = evaluator.decide(&[question(true)], Duration::from_secs(1)).unwrap_err();
        assert!(lost.message.contains("250 ms of processor time"), "{lost}");
        let mut next = loaded.template.evaluator().unwrap();
        assert_eq!(next.decide(&[question(false)], Duration::from_secs(1)).unwrap().answers, [Ok(Value::Int(7))]);
    }
}

#[test]
fn an_evaluator_sees_only_its_pipes_and_no_environment() {
    let launcher = launcher(starwright::testing::evaluator::Mode::Fork);
    let evaluator = evaluator(&launcher, &with_builder("def f(ctx):\n    pass\n"));
    let pid = evaluator.pid();
    let links = |name: &str| std::fs::read_dir(format!("/proc/{pid}/{name}")).unwrap().count();
    let began = Instant::now();
    // It closes what it had from its template right after the fork.
    while links("fd") != 3 && began.elapsed() < Duration::from_mins(1) {
        std::thread::yield_now();
    }
    assert_eq!(links("fd"), 3);
    assert!(std::fs::read(format!("/proc/{pid}/environ")).unwrap().is_empty());
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
}
