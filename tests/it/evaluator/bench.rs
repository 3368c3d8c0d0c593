//! A configuration in evaluator processes, in both modes.

use std::sync::Arc;
use std::time::Duration;

use starwright::testing::evaluator::{Abort, Evaluator, Launcher, Limits, Load, Loaded, Mode, Refused, load};
use starwright::testing::model::{
    BuildContext, BuildId, ConfigDigest, EvalJob, EvalPart, Journal, Outcome, Properties, WorkerFacts,
};
use tempfile::TempDir;

use crate::support::starwright::PROGRAM;

pub const MODES: [Mode; 2] = [Mode::Fork, Mode::Plain];

/// What tests need to end soon.
pub const SHORT: Duration = Duration::from_millis(300);

pub fn launcher(mode: Mode) -> Launcher {
    Launcher { program: Some(PROGRAM.into()), mode, limits: Limits::default() }
}

/// A worker, and a builder whose only step is the function `f` of this text.
pub fn with_builder(text: &str) -> String {
    format!("{text}\nworker(\"w\")\nbuilder(\"b\", workers = [\"w\"], steps = [step(\"s\", run = f)])\n")
}

/// Loads a text as `master.star`.
pub fn try_load(launcher: &Launcher, text: &str) -> Result<Loaded, Refused> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("master.star");
    std::fs::write(&path, text).unwrap();
    match load(launcher, &path, &Abort::default()) {
        Load::Loaded(loaded) => Ok(loaded),
        Load::Refused(refused) => Err(refused),
        Load::Aborted => unreachable!("nobody aborts"),
    }
}

pub fn evaluator(launcher: &Launcher, text: &str) -> Evaluator {
    let loaded = try_load(launcher, text).unwrap_or_else(|refused| panic!("{refused}"));
    loaded.template.evaluator().unwrap()
}

pub fn job(digest: &ConfigDigest, journal: Arc<Journal>) -> EvalJob {
    EvalJob {
        turn: 1,
        plan: digest.clone(),
        step: 0,
        part: EvalPart::Body,
        context: Arc::new(context()),
        journal,
        step_outcome: None,
        readings: Arc::default(),
    }
}

pub fn context() -> BuildContext {
    BuildContext {
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
    }
}
