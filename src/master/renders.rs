//! Has functions called that make something of plain data, in a process that does nothing else: the texts of reports, the
//! changes of hooks.

use std::sync::{Arc, Mutex, PoisonError};

use super::configurations::Configurations;
use crate::evaluator::{Evaluator, Lost};
use crate::model::{ConfigDigest, FnId, Value};

/// A process that was killed from outside is no fault of the template: it is called again, but not for ever.
const TRIES_MAX: usize = 3;

/// Such a process: that of the configuration whose function was called last.
#[derive(Debug)]
pub(super) struct Renders {
    configurations: Arc<Configurations>,
    evaluator: Mutex<Option<Evaluator>>,
}

impl Renders {
    pub fn new(configurations: Arc<Configurations>) -> Self {
        Self { configurations, evaluator: Mutex::default() }
    }

    /// The text that a function makes of a value, or why there is none. Blocks.
    pub fn render(&self, plan: &ConfigDigest, function: FnId, facts: &Value) -> Result<String, String> {
        self.call(plan, |evaluator| evaluator.render(function, facts))
    }

    /// The data that a function makes of a value, or why there is none. Blocks.
    pub fn compute(&self, plan: &ConfigDigest, function: FnId, facts: &Value) -> Result<Value, String> {
        self.call(plan, |evaluator| evaluator.compute(function, facts))
    }

    fn call<T>(
        &self,
        plan: &ConfigDigest,
        ask: impl Fn(&mut Evaluator) -> Result<Result<T, String>, Lost>,
    ) -> Result<T, String> {
        let mut known = self.evaluator.lock().unwrap_or_else(PoisonError::into_inner);
        let mut why = String::new();
        for _ in 0..TRIES_MAX {
            let usable = |known: &Evaluator| known.template().digest() == plan && !known.is_dead();
            let mut evaluator = match known.take().filter(usable) {
                Some(evaluator) => evaluator,
                None => self.configurations.templates().obtain_now(plan)?.evaluator().map_err(|lost| lost.message)?,
            };
            match ask(&mut evaluator) {
                Ok(made) => {
                    *known = Some(evaluator);
                    return made;
                }
                Err(lost) => {
                    why = lost.message;
                    if !lost.killed {
                        break;
                    }
                }
            }
        }
        Err(why)
    }
}
