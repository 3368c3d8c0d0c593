//! One evaluation of a build script: what goes in, what comes out. A pure function of the job.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Ask, BuildId, Change, ConfigDigest, EvalPart, Journal, Key, Outcome, Properties, Readings, SourceStamp, Want,
};

/// What a script can read: recorded facts, fixed while one step is in progress.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildContext {
    /// The build.
    pub build: BuildId,
    /// Its number.
    pub number: u64,
    /// Its builder's name.
    pub builder: String,
    /// Its worker.
    pub worker: WorkerFacts,
    /// Properties when the step began.
    pub properties: Properties,
    /// One per codebase.
    pub stamps: Vec<SourceStamp>,
    /// The changes that are new in it, oldest first.
    pub changes: Vec<Arc<Change>>,
    /// Why it runs.
    pub reason: String,
    /// Steps that ended already, in order.
    pub steps: Vec<StepSummary>,
    /// The worst outcome so far, by the steps' flags.
    pub outcome: Outcome,
    /// The address of the web pages, ends with `/`.
    pub url: String,
}

/// What a script may know of its worker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerFacts {
    /// Name.
    pub name: String,
    /// Tags.
    pub tags: Vec<String>,
    /// `posix` or `nt`.
    pub system: String,
    /// Number of CPUs.
    pub cpus: u64,
    /// Directory of this builder on the worker, absolute, in the worker's syntax.
    pub builder_dir: String,
    /// What else it told (`admin`, `host`, `version`, `os_id`, …).
    pub info: BTreeMap<String, String>,
}

/// A step that ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSummary {
    /// Name.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Its line for people.
    pub summary: String,
}

/// An order to evaluate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvalJob {
    /// Counts the evaluations of one build; an outcome that is not the newest is ignored.
    pub turn: u64,
    /// The configuration that the build pins.
    pub plan: ConfigDigest,
    /// Index into the builder's steps.
    pub step: usize,
    /// What to evaluate.
    pub part: EvalPart,
    /// What it can read.
    pub context: Arc<BuildContext>,
    /// What was asked and answered in this step so far.
    pub journal: Arc<Journal>,
    /// Outcome of the step, for [`EvalPart::HideIf`].
    pub step_outcome: Option<Outcome>,
    /// Texts that the journal refers to, as far as they are read. The engine orders without; who evaluates adds them.
    pub readings: Arc<Readings>,
}

/// What an evaluation came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EvalOutcome {
    /// It waits for answers. `asks` are those not yet in the journal, in script order (maybe none,
    /// when it waits for answers to recorded ones).
    Suspended { asks: Vec<(Key, Ask)> },
    /// The step ended. `asks` are immediate ones not yet in the journal.
    Done {
        asks: Vec<(Key, Ask)>,
        /// How the step ended.
        outcome: Outcome,
        /// One line; none for the usual words.
        summary: Option<String>,
    },
    /// The answer of a `do_if` or `hide_if`.
    Decided(bool),
    /// The script failed, or asked for something else than what is recorded: the error for people,
    /// with the place in the configuration.
    Failed {
        asks: Vec<(Key, Ask)>,
        /// First line: what went wrong; then the excerpt.
        message: String,
    },
    /// It needs texts that the job does not hold. Who evaluates reads them and evaluates again; the engine never hears it.
    Wants(Vec<Want>),
    /// The process that evaluated died, or outlasted its deadline: it was killed. What it asked for is not known.
    Lost { message: String },
}
