//! The functions of the configuration that decide what becomes of the calls of hooks.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::Alerts;
use super::renders::Renders;
use crate::model::{AlertSubject, ConfigDigest, FnId, NewChange, Value};
use crate::vcs::{self, HookError};

/// Calls whose functions run or wait at a time: each holds its body, and the function one process for all.
const WAITING_MAX: usize = 32;
/// How long a call may wait for the others; forges give up after ten seconds to a minute.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// The kind of the alert of a function that fails.
const FUNCTION: &str = "function";

/// Calls them, in a process of their own.
#[derive(Debug)]
pub(super) struct HookFunctions {
    renders: Arc<Renders>,
    alerts: Alerts,
    /// Whoever has a permit may wait for the process.
    waiting: Semaphore,
}

impl HookFunctions {
    pub fn new(renders: Renders, alerts: Alerts) -> Self {
        Self { renders: Arc::new(renders), alerts, waiting: Semaphore::new(WAITING_MAX) }
    }

    /// What a function of a configuration makes of a call: changes, and apart those that are recorded in any case. Its failure
    /// raises an alert, which its next success clears.
    ///
    /// # Errors
    /// When the function fails, or there are too many calls.
    pub async fn changes(
        &self,
        hook: &str,
        (plan, function): (&ConfigDigest, FnId),
        facts: Value,
        demanded: bool,
    ) -> Result<(Vec<NewChange>, Vec<NewChange>), HookError> {
        let busy = || HookError { wait: Some(10), ..HookError::new(503, "too many calls at once; try again") };
        let permit = tokio::time::timeout(WAIT_MAX, self.waiting.acquire()).await;
        let _permit = permit.map_err(|_| busy())?.map_err(|_| busy())?;
        let (renders, digest) = (Arc::clone(&self.renders), plan.clone());
        let made = tokio::task::spawn_blocking(move || renders.compute(&digest, function, &facts)).await;
        let made = made.unwrap_or_else(|error| Err(error.to_string()));
        let subject = AlertSubject::Hook(hook.to_owned());
        match made.and_then(|value| split(&value, demanded)) {
            Ok(changes) => {
                self.alerts.clear(&subject, FUNCTION);
                Ok(changes)
            }
            Err(why) => {
                tracing::warn!(hook, "the function `changes` of a change hook failed: {why}");
                let text = format!("the function `changes` of the hook failed: {why}");
                let hint = "nothing of that call was recorded: correct the function, then have the forge send it again";
                self.alerts.raise(subject, FUNCTION, text, Some(hint.to_owned()));
                Err(HookError::new(500, "the function `changes` of this hook failed; the master's alerts say why"))
            }
        }
    }
}

/// The changes that a function returned, apart those that are recorded in any case.
fn split(value: &Value, demanded: bool) -> Result<(Vec<NewChange>, Vec<NewChange>), String> {
    let Value::List(records) = value else { return Err("it must return a list of changes".to_owned()) };
    let (mut changes, mut always) = (Vec::new(), Vec::new());
    for record in records {
        let (change, is_always) = vcs::change_of(record)?;
        let change = vcs::bounded(change)?;
        if demanded || is_always { always.push(change) } else { changes.push(change) }
    }
    Ok((changes, always))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_function_returns_a_list_of_changes() {
        let record = |always| {
            let fields = [("branch".to_owned(), Value::from("main")), ("always".to_owned(), Value::Bool(always))];
            Value::Map(fields.into())
        };
        let (changes, always) = split(&Value::List(vec![record(false), record(true)]), false).unwrap();
        assert_eq!((changes.len(), always.len()), (1, 1));
        assert_eq!(split(&Value::List(vec![record(false)]), true).unwrap().1.len(), 1);
        assert!(split(&Value::Null, false).unwrap_err().contains("list of changes"));
        assert!(split(&Value::List(vec![Value::Map(BTreeMap::new())]), false).unwrap_err().contains("says nothing"));
    }
}
