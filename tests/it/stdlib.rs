//! Runs `stdlib/tests/*_test.star`: their functions `test_…` as steps of a build that asks nothing, and
//! what they declare as a golden text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use starwright::testing::config::{self, Cancel, Loaded};
use starwright::testing::model::{
    BuildContext, BuildId, EvalJob, EvalOutcome, EvalPart, Journal, Outcome, Properties, WorkerFacts,
};

use crate::config_golden::assert_golden;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn test_files() -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(root().join("stdlib/tests")).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_stem().unwrap().to_str().unwrap().to_owned();
    entries.map(|path| (name(&path), std::fs::read_to_string(&path).unwrap())).collect()
}

/// The file with a builder that has a step for each of its tests.
fn load(name: &str, text: &str) -> Loaded {
    let tests = text.lines().filter_map(|line| line.strip_prefix("def test_")?.split('(').next());
    let steps: Vec<String> = tests.map(|test| format!("step(\"{test}\", run = lambda ctx: test_{test}())")).collect();
    let steps = if steps.is_empty() { "step(\"none\", run = lambda ctx: None)".to_owned() } else { steps.join(", ") };
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join(format!("{name}.star"));
    let text = format!("{text}\nworker(\"w\")\nbuilder(\"all\", workers = [\"w\"], steps = [{steps}])\n");
    std::fs::write(&file, text).unwrap();
    config::load(&file).unwrap_or_else(|refused| panic!("{refused}"))
}

fn job(loaded: &Loaded, step: usize) -> EvalJob {
    let context = BuildContext {
        build: BuildId(1),
        number: 1,
        builder: "all".to_owned(),
        worker: WorkerFacts::default(),
        properties: Properties::default(),
        stamps: Vec::new(),
        changes: Vec::new(),
        reason: String::new(),
        steps: Vec::new(),
        outcome: Outcome::Success,
        url: "http://localhost/".to_owned(),
    };
    EvalJob {
        turn: 1,
        plan: loaded.plan.digest.clone(),
        step,
        part: EvalPart::Body,
        context: Arc::new(context),
        journal: Arc::new(Journal::default()),
        step_outcome: None,
        readings: Arc::default(),
    }
}

#[test]
fn tests_of_the_library_pass() {
    let mut failures = Vec::new();
    for (name, text) in test_files() {
        let loaded = load(&name, &text);
        for (index, step) in loaded.plan.builders["all"].steps.iter().enumerate() {
            let outcome = loaded.scripts.evaluate(&job(&loaded, index), &Cancel::default());
            if !matches!(outcome, EvalOutcome::Done { outcome: Outcome::Success, .. }) {
                failures.push(format!("{name}: {}: {outcome:#?}", step.name));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_library_file_has_its_tests() {
    let tests = test_files();
    for entry in std::fs::read_dir(root().join("stdlib")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let wanted = format!("{}_test", path.file_stem().unwrap().to_str().unwrap());
            assert!(tests.contains_key(&wanted), "stdlib/tests/{wanted}.star is missing");
        }
    }
}

#[test]
fn declarations_of_the_library_say_what_they_should() {
    for name in ["schedulers_test", "notify_test"] {
        let loaded = load(name, &test_files()[name]);
        let text = format!("{:#?}\n{:#?}\n", loaded.plan.schedulers, loaded.plan.notifiers);
        assert_golden(&root().join(format!("tests/golden/config/{name}.plan.txt")), &text);
    }
}
