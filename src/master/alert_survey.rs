//! Alerts that follow from how things stand, with no fact to tell of them: secrets without a value, workers that
//! nobody starts, workers that were refused, builders whose workers are all away, branches that a repository does not
//! have.
//!
//! Blocks for the time of a few reads; changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use super::admission::Admission;
use super::alert_workers::{WorkerStanding, away, refused, unstarted};
use super::missing_branches::MissingBranches;
use super::plan_in_force::PlanInForce;
use crate::base::{Clock, Timestamp};
use crate::model::{Alert, AlertSubject, BuilderId, Plan};
use crate::secrets::Secrets;
use crate::store::{History, Scan, StoreError};

/// Waiting requests that are looked at, oldest first: those that wait in vain are among them.
const WAITING_MAX: usize = 500;
/// So many subjects have alerts of their own; more are told together.
const SINGLE_MAX: usize = 10;
/// Names in an alert about many.
const NAMED_MAX: usize = 20;

/// Looks at what no fact tells; cheap to clone.
#[derive(Clone)]
pub(super) struct Survey {
    pub history: Arc<dyn History>,
    pub plan: PlanInForce,
    pub admission: Arc<Admission>,
    pub missing_branches: MissingBranches,
    /// The directory of the configuration, where secrets are looked for.
    pub base: PathBuf,
    /// Whether somebody starts the workers without a password.
    pub local_workers: bool,
    pub clock: Arc<dyn Clock>,
    /// When this master started.
    pub started: Timestamp,
}

impl Survey {
    /// What needs a person now.
    pub fn look(&self) -> Result<Vec<Alert>, StoreError> {
        let (plan, now) = (self.plan.get(), self.clock.now());
        let mut alerts = secrets(&plan, &Secrets::new(&plan.secrets, &self.base), now);
        let records = self.history.workers()?;
        let standing = WorkerStanding {
            plan: &plan,
            workers: records.iter().map(|worker| (worker.name.as_str(), worker)).collect(),
            waiting: self.waiting()?,
            local_workers: self.local_workers,
            started: self.started,
            now,
        };
        alerts.extend(together(unstarted(&standing), "workers that nothing starts", now));
        alerts.extend(away(&standing));
        alerts.extend(self.missing_branches.alerts(&plan, now));
        Ok(alerts)
    }

    /// Workers that were refused; the log has told of them.
    pub fn refused(&self) -> Result<Vec<Alert>, StoreError> {
        let records = self.history.workers()?;
        let workers = records.iter().map(|worker| (worker.name.as_str(), worker)).collect();
        Ok(refused(&self.admission.refused(), &workers, self.clock.now()))
    }

    /// Since when the oldest request of each builder waits.
    fn waiting(&self) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        let requests = self.history.requests_waiting(Scan { after: None, descending: false, limit: WAITING_MAX })?;
        let mut oldest: BTreeMap<BuilderId, Timestamp> = BTreeMap::new();
        for request in requests {
            oldest.entry(request.builder).or_insert(request.submitted);
        }
        let named = oldest.into_iter().map(|(builder, since)| Ok((self.history.builder(builder)?, since)));
        let named: Vec<_> = named.collect::<Result<_, StoreError>>()?;
        Ok(named.into_iter().filter_map(|(builder, since)| Some((builder?.name, since))).collect())
    }
}

/// Secrets that the configuration names and that have no value, or one that cannot be hidden.
fn secrets(plan: &Plan, secrets: &Secrets, now: Timestamp) -> Vec<Alert> {
    let names: BTreeSet<&String> = plan.secrets.names.iter().collect();
    let faults = names.into_iter().filter_map(|name| Some((name, secrets.fault(name)?)));
    let alerts = faults.map(|(name, fault)| {
        let hint = "what uses it fails until it has a value; no reload is needed";
        Alert {
            subject: AlertSubject::Secret(name.clone()),
            kind: "value".to_owned(),
            text: fault.message,
            hint: Some(hint.to_owned()),
            first: now,
            last: now,
        }
    });
    together(alerts.collect(), "secrets without a proper value", now)
}

/// Many alerts of one kind as one, which names some of them.
fn together(alerts: Vec<Alert>, what: &str, now: Timestamp) -> Vec<Alert> {
    if alerts.len() <= SINGLE_MAX {
        return alerts;
    }
    let names: Vec<String> = alerts.iter().filter_map(|alert| alert.subject.name()).take(NAMED_MAX).collect();
    let more = match alerts.len() - names.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let first = alerts.first().map(|alert| format!("the first: {}", alert.text));
    vec![Alert {
        subject: AlertSubject::Configuration,
        kind: what.to_owned(),
        text: format!("{} {what}: {}{more}", alerts.len(), names.join(", ")),
        hint: first,
        first: now,
        last: now,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SecretsPlan;

    fn found(names: &[&str], files: &[(&str, &str)]) -> Vec<Alert> {
        let base = tempfile::tempdir().unwrap();
        std::fs::create_dir(base.path().join("secrets")).unwrap();
        for (name, value) in files {
            std::fs::write(base.path().join("secrets").join(name), value).unwrap();
        }
        let names = names.iter().map(|&name| name.to_owned()).collect();
        let plan = Plan { secrets: SecretsPlan { names, ..SecretsPlan::default() }, ..Plan::default() };
        secrets(&plan, &Secrets::new(&plan.secrets, base.path()), Timestamp::from_millis(7))
    }

    #[test]
    fn a_secret_without_a_value_and_one_that_cannot_be_hidden_are_told() {
        let alerts = found(&["gone", "good", "pin"], &[("good", "correct horse\n"), ("pin", "123\n")]);
        let texts: Vec<&str> = alerts.iter().map(|alert| alert.text.as_str()).collect();
        assert!(texts[0].starts_with("secret `gone` is missing: there is no file"), "{texts:?}");
        assert_eq!(texts[1], "secret `pin` is shorter than 4 characters, so it is not hidden where output repeats it");
        assert_eq!(alerts.len(), 2);
    }

    #[test]
    fn many_secrets_are_one_alert() {
        let names: Vec<String> = (0..187).map(|number| format!("worker-{number:03}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let [alert] = &*found(&names, &[]) else { panic!("one alert") };
        assert!(alert.text.starts_with("187 secrets without a proper value: worker-000, "), "{}", alert.text);
        assert!(alert.text.ends_with("worker-019 and 167 more"), "{}", alert.text);
    }
}
