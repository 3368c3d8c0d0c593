//! Alerts about ways of logging in by which nobody can: a file of passwords that is missing, or of no use.

use std::collections::BTreeSet;
use std::time::Duration;

use super::shared::Shared;
use crate::model::AlertSubject;

/// How often to look; a file that was put right is noticed so soon.
pub const EVERY: Duration = Duration::from_secs(30);

/// Ways that have an alert now.
#[derive(Debug, Default)]
pub struct LoginAlerts {
    raised: BTreeSet<String>,
}

impl LoginAlerts {
    /// Looks at all ways of the configuration in force.
    pub fn look(&mut self, shared: &Shared) {
        let faults = shared.accounts.faults(&shared.control.plan());
        let alerts = shared.control.alerts();
        for over in self.raised.iter().filter(|way| !faults.contains_key(*way)) {
            alerts.clear(&AlertSubject::Configuration, &kind(over));
        }
        for (way, why) in &faults {
            let hint = "correct the file, or the path in the configuration; nobody can log in by it meanwhile";
            let text = format!("login `{way}`: {why}");
            alerts.raise(AlertSubject::Configuration, &kind(way), text, Some(hint.to_owned()));
        }
        self.raised = faults.into_keys().collect();
    }
}

fn kind(way: &str) -> String {
    format!("login {way}")
}
