//! The functions of one configuration, ready to be called from any thread.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use starlark::environment::FrozenModule;
use starlark::values::OwnedFrozenValue;

use super::evaluate;
use super::registry::functions;
use crate::model::{ConfigDigest, EvalJob, EvalOutcome, FnId, Plan, Question, ScriptError, Value};

/// The functions of one configuration.
pub struct Scripts {
    plan: Arc<Plan>,
    functions: Vec<OwnedFrozenValue>,
}

impl fmt::Debug for Scripts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scripts({} functions of {})", self.functions.len(), self.plan.digest)
    }
}

/// Stops evaluations from another thread.
#[derive(Clone, Debug, Default)]
pub struct Cancel(pub Arc<AtomicBool>);

impl Cancel {
    /// Makes the evaluations that hold it end soon.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was set.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Scripts {
    /// Gathers the functions that the modules' declarations registered.
    pub(super) fn gather(plan: Arc<Plan>, modules: &[FrozenModule]) -> Self {
        let mut all: Vec<_> = modules.iter().flat_map(functions).collect();
        all.sort_by_key(|(id, _)| *id);
        debug_assert!(all.iter().zip(0..).all(|((id, _), place)| *id == place), "ids count from 0 without gaps");
        Self { plan, functions: all.into_iter().map(|(_, function)| function).collect() }
    }

    /// The configuration's digest.
    #[must_use]
    pub fn digest(&self) -> &ConfigDigest {
        &self.plan.digest
    }

    pub(super) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    pub(super) fn function(&self, id: FnId) -> Option<&OwnedFrozenValue> {
        self.functions.get(usize::try_from(id.0).ok()?)
    }

    /// One evaluation of a build script: a pure function of the job. Call it on a thread with a stack of
    /// [`STACK_BYTES`](super::limits::STACK_BYTES).
    pub fn evaluate(&self, job: &EvalJob, cancel: &Cancel) -> EvalOutcome {
        evaluate::evaluate(self, job, cancel)
    }

    /// A short question, tightly bounded.
    ///
    /// # Errors
    /// When the function fails, exceeds its bounds, or answers with something else than asked for.
    pub fn decide(&self, function: FnId, question: &Question) -> Result<Value, ScriptError> {
        evaluate::decide(self, function, question)
    }

    /// Calls a function with one value (a map) and returns the plain data that it gives.
    ///
    /// # Errors
    /// When the function fails, exceeds its bounds, or returns something else than plain data.
    pub fn compute(&self, function: FnId, facts: &Value) -> Result<Value, ScriptError> {
        evaluate::compute(self, function, facts)
    }

    /// Calls a template function with one value (a map) and returns the text that it gives.
    ///
    /// # Errors
    /// When the function fails, exceeds its bounds, or returns something else than a text.
    pub fn render(&self, function: FnId, facts: &Value) -> Result<String, ScriptError> {
        evaluate::render(self, function, facts)
    }
}
