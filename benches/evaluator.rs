//! What it costs that Starlark runs in another process: each figure beside the same work in this one.
#![allow(clippy::disallowed_macros, reason = "a benchmark tells its figures")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use starwright::testing::config::{Cancel, Sources, load_sources};
use starwright::testing::evaluator::{Abort, Launcher, Limits, Load, Mode, load};
use starwright::testing::model::{
    Answer, Ask, BuildContext, BuildId, CommandEnd, CommandResult, Entry, EvalJob, EvalOutcome, EvalPart, FnId,
    Journal, Outcome, Policy, Properties, Question, StepId, WorkerFacts,
};

const TEXT: &str = "
def f(ctx):
    for i in range(1000000):
        ctx.run('make ' + str(i))
def level(builder, properties):
    return properties.get('p', 7)
worker('w')
builder('b', workers = ['w'], steps = [step('s', run = f)], priority = level)
";
const ROUNDS: u32 = 1_000;

fn main() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master.star");
    std::fs::write(&path, TEXT).unwrap();
    let program = PathBuf::from(env!("CARGO_BIN_EXE_starwright"));
    let launcher = Launcher { program: Some(program), mode: Mode::default(), limits: Limits::default() };
    let Load::Loaded(loaded) = load(&launcher, &path, &Abort::default()) else { panic!("it loads") };
    let mut evaluator = loaded.template.evaluator().unwrap();
    let sources = Sources {
        main: "master.star".to_owned(),
        files: BTreeMap::from([("master.star".to_owned(), TEXT.to_owned())]),
    };
    let here = load_sources(sources).unwrap().scripts;

    // A script that has a hundred answers of 1 KiB; each round records one more and forgets it.
    let mut job = job(&loaded.plan.digest);
    for _ in 0..100 {
        let EvalOutcome::Suspended { asks } = here.evaluate(&job, &Cancel::default()) else { panic!("it waits") };
        record(Arc::make_mut(&mut job.journal), asks);
    }
    show("turn, 100 answers of 1 KiB, here", each(|| drop(here.evaluate(&job, &Cancel::default()))));
    let mut grows = job.clone();
    let took = each(|| {
        let EvalOutcome::Suspended { asks } = evaluator.turn(BuildId(1), &grows).unwrap() else { panic!("it waits") };
        if grows.journal.0.len() < 150 {
            record(Arc::make_mut(&mut grows.journal), asks);
        } else {
            grows = job.clone();
        }
    });
    show("turn, 100 to 150 answers of 1 KiB, round trip (bar: 0.3 ms)", took);

    let Some(Policy::Function(function)) = loaded.plan.builders["b"].priority else { panic!("it has a function") };
    let properties = Arc::new(Properties::default());
    let question = Question::Priority { builder: "b".to_owned(), properties };
    show("decision, here", each(|| drop(here.decide(function, &question))));
    let one = [(function, question.clone())];
    let budget = Duration::from_secs(10);
    show("decision, round trip (bar: 0.1 ms)", each(|| drop(evaluator.decide(&one, budget).unwrap())));
    let thousand: Vec<(FnId, Question)> = (0..1000).map(|_| (function, question.clone())).collect();
    let began = Instant::now();
    (0..20).for_each(|_| assert_eq!(evaluator.decide(&thousand, budget).unwrap().answers.len(), 1000));
    show("1,000 decisions in one message (bar: 20 ms)", began.elapsed() / 20);
    let began = Instant::now();
    (0..50).for_each(|_| drop(loaded.template.evaluator().unwrap()));
    show("a killed evaluator is replaced (bar: about 1 ms)", began.elapsed() / 50);
}

fn show(what: &str, took: Duration) {
    println!("{what:<70} {:>9.4} ms", took.as_secs_f64() * 1e3);
}

/// The mean of many rounds, after some to warm up.
fn each(mut work: impl FnMut()) -> Duration {
    (0..ROUNDS / 10).for_each(|_| work());
    let began = Instant::now();
    (0..ROUNDS).for_each(|_| work());
    began.elapsed() / ROUNDS
}

fn record(journal: &mut Journal, asks: Vec<(starwright::testing::model::Key, Ask)>) {
    for (key, ask) in asks {
        let Ask::Run(spec) = &ask else { panic!("it runs commands") };
        let mut result = CommandResult::of(CommandEnd::Exited(0), &spec.exit_codes);
        result.stdout = Some("x".repeat(1024));
        let answer = Some(Answer::Command(result));
        journal.0.insert(key, Entry { ask, answer, command: None, step: StepId(1) });
    }
}

fn job(digest: &starwright::testing::model::ConfigDigest) -> EvalJob {
    let context = BuildContext {
        build: BuildId(1),
        number: 1,
        builder: "b".to_owned(),
        worker: WorkerFacts::default(),
        properties: Properties::default(),
        stamps: Vec::new(),
        changes: Vec::new(),
        reason: String::new(),
        steps: Vec::new(),
        outcome: Outcome::Success,
        url: String::new(),
    };
    EvalJob {
        turn: 1,
        plan: digest.clone(),
        step: 0,
        part: EvalPart::Body,
        context: Arc::new(context),
        journal: Arc::default(),
        step_outcome: None,
        readings: Arc::default(),
    }
}
