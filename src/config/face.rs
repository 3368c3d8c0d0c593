//! Signatures that the other rooms use; bodies follow.
#![allow(clippy::missing_errors_doc, unused_variables, clippy::todo)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::*;

/// The text of every file that a configuration consists of, library files included: enough to load it
/// again without the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sources {
    /// The first file's name.
    pub main: String,
    /// Text by name: `master.star`, `lib/x.star`, `@stdlib//steps.star`.
    pub files: BTreeMap<String, String>,
}

impl Sources {
    pub fn digest(&self) -> ConfigDigest {
        todo!()
    }
    pub fn to_bytes(&self) -> Vec<u8> {
        todo!()
    }
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        todo!()
    }
}

/// A configuration that is right.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub plan: Arc<Plan>,
    pub scripts: Arc<Scripts>,
    pub sources: Arc<Sources>,
    /// Files on disk that it consists of, to watch.
    pub watch: Vec<PathBuf>,
    /// Remarks that refuse nothing (lint).
    pub warnings: Vec<Problem>,
}

/// Something wrong in a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub place: Option<SourcePlace>,
    /// What is wrong, naming the thing.
    pub message: String,
    /// What would do.
    pub hint: Option<String>,
    /// The lines, with a marker below; ready to print.
    pub excerpt: String,
}

/// All problems of a configuration; `Display` is the report for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} problems", problems.len())]
pub struct Refused {
    pub problems: Vec<Problem>,
}

/// Loads a configuration from disk. Blocks; call it on a thread with a stack of [`STACK_BYTES`].
pub fn load(path: &Path) -> Result<Loaded, Refused> {
    todo!()
}
/// Loads one from its kept sources.
pub fn load_sources(sources: Sources) -> Result<Loaded, Refused> {
    todo!()
}

/// Stack that evaluating threads need (native recursion of the Starlark parser and printer).
pub const STACK_BYTES: usize = 16 << 20;

/// The functions of one configuration.
#[derive(Debug)]
pub struct Scripts {}

/// Stops evaluations from another thread.
#[derive(Clone, Debug, Default)]
pub struct Cancel(pub Arc<std::sync::atomic::AtomicBool>);

impl Scripts {
    /// One evaluation of a build script: a pure function of the job. Call on a thread with [`STACK_BYTES`].
    pub fn evaluate(&self, job: &EvalJob, cancel: &Cancel) -> EvalOutcome {
        todo!()
    }
    /// A short question, tightly bounded.
    pub fn decide(&self, function: FnId, question: &Question<'_>) -> Result<Value, ScriptError> {
        todo!()
    }
    /// Calls a template function with one value (a map) and returns the text that it gives.
    pub fn render(&self, function: FnId, facts: &Value) -> Result<String, ScriptError> {
        todo!()
    }
}

impl Problem {
    /// The problem for people, headed by `word` (`error`, `warning`).
    pub fn show(&self, word: &str) -> String {
        todo!()
    }
}

/// What a configuration holds, in a few words: `2 workers, 3 builders, 1 scheduler`.
pub fn summary(plan: &Plan) -> String {
    todo!()
}
