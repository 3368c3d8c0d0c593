//! Has template functions of reports called, in a process that does nothing else.

use std::sync::{Arc, Mutex, PoisonError};

use super::configurations::Configurations;
use crate::evaluator::Evaluator;
use crate::model::{ConfigDigest, FnId, Value};

/// A process that was killed from outside is no fault of the template: it is called again, but not for ever.
const TRIES_MAX: usize = 3;

/// The process for reports: that of the configuration whose report was written last.
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
        let mut known = self.evaluator.lock().unwrap_or_else(PoisonError::into_inner);
        let mut why = String::new();
        for _ in 0..TRIES_MAX {
            let usable = |known: &Evaluator| known.template().digest() == plan && !known.is_dead();
            let mut evaluator = match known.take().filter(usable) {
                Some(evaluator) => evaluator,
                None => self.configurations.templates().obtain_now(plan)?.evaluator().map_err(|lost| lost.message)?,
            };
            match evaluator.render(function, facts) {
                Ok(text) => {
                    *known = Some(evaluator);
                    return text;
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
