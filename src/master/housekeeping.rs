//! Removes what the configuration's retention rules no longer keep, now and then and a little at a time.

use std::sync::Arc;
use std::time::Duration;

use super::plan_in_force::PlanInForce;
use super::{Alerts, MasterError};
use crate::base::{Clock, chain};
use crate::model::{AlertSubject, RetentionPlan};
use crate::store::{History, Journal, StoreError};

/// How often to look. Builds do not get old faster.
const EVERY: Duration = Duration::from_mins(1);
/// Slices of bounded work in one round; what is left waits for the next round, so that a first retention of a large
/// history does not slow builds down for hours.
const SLICES_MAX: usize = 50;

/// Runs as long as the master.
pub(super) async fn run(
    (journal, history): (Arc<dyn Journal>, Arc<dyn History>),
    plan: PlanInForce,
    clock: Arc<dyn Clock>,
    alerts: Alerts,
) -> Result<(), MasterError> {
    loop {
        tokio::time::sleep(EVERY).await;
        let rules = plan.get().database.retention.clone();
        if rules != RetentionPlan::default() {
            round(&journal, &rules, &*clock, &alerts).await;
        }
        sweep(&history, &*clock, &alerts).await;
    }
}

/// Removes contents of artifacts that no record names.
async fn sweep(history: &Arc<dyn History>, clock: &dyn Clock, alerts: &Alerts) {
    let (history, now) = (Arc::clone(history), clock.now());
    let swept = tokio::task::spawn_blocking(move || history.artifact_contents()?.sweep(now)).await;
    match swept.map_err(|error| error.to_string()).and_then(|swept| swept.map_err(|error: StoreError| chain(&error))) {
        Ok(removed) => {
            alerts.clear(&AlertSubject::Master, "artifacts");
            if removed > 0 {
                tracing::info!(files = removed, "removed contents of artifacts that nothing names");
            }
        }
        Err(why) => {
            let text = format!("failed to remove contents of artifacts: {why}");
            let hint = "it is tried again each minute; is the disk well?".to_owned();
            alerts.raise(AlertSubject::Master, "artifacts", text, Some(hint));
        }
    }
}

async fn round(journal: &Arc<dyn Journal>, rules: &RetentionPlan, clock: &dyn Clock, alerts: &Alerts) {
    let (mut removed, mut trouble) = (0, None);
    for _ in 0..SLICES_MAX {
        let (journal, rules, now) = (Arc::clone(journal), rules.clone(), clock.now());
        let slice = tokio::task::spawn_blocking(move || journal.retire(&rules, now)).await;
        match slice {
            Ok(Ok(0)) => break,
            Ok(Ok(builds)) => removed += builds,
            Ok(Err(error)) => {
                trouble = Some(chain(&error));
                break;
            }
            Err(error) => {
                trouble = Some(error.to_string());
                break;
            }
        }
    }
    match trouble {
        None => alerts.clear(&AlertSubject::Master, "retention"),
        Some(trouble) => {
            let text = format!("failed to remove old builds: {trouble}");
            let hint = "it is tried again each minute; is the disk well?".to_owned();
            alerts.raise(AlertSubject::Master, "retention", text, Some(hint));
        }
    }
    if removed > 0 {
        tracing::info!(builds = removed, "removed old builds");
    }
}
