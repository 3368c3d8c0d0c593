//! Removes what the configuration's retention rules no longer keep, now and then and a little at a time.

use std::time::Duration;

use super::MasterError;
use super::plan_in_force::PlanInForce;
use crate::base::{Clock as _, SystemClock, chain};
use crate::model::RetentionPlan;
use crate::store::Store;

/// How often to look. Builds do not get old faster.
const EVERY: Duration = Duration::from_mins(1);
/// Slices of bounded work in one round; what is left waits for the next round, so that a first retention of a large
/// history does not slow builds down for hours.
const SLICES_MAX: usize = 50;

/// Runs as long as the master.
pub(super) async fn run(store: Store, plan: PlanInForce) -> Result<(), MasterError> {
    loop {
        tokio::time::sleep(EVERY).await;
        let rules = plan.get().database.retention.clone();
        if rules != RetentionPlan::default() {
            round(&store, &rules).await;
        }
    }
}

async fn round(store: &Store, rules: &RetentionPlan) {
    let mut removed = 0;
    for _ in 0..SLICES_MAX {
        let (store, rules) = (store.clone(), rules.clone());
        let slice = tokio::task::spawn_blocking(move || store.retire(&rules, SystemClock.now())).await;
        match slice {
            Ok(Ok(0)) => break,
            Ok(Ok(builds)) => removed += builds,
            Ok(Err(error)) => {
                tracing::error!(error = %chain(&error), "failed to remove old builds; trying again later");
                break;
            }
            Err(error) => {
                tracing::error!(%error, "failed to remove old builds; trying again later");
                break;
            }
        }
    }
    if removed > 0 {
        tracing::info!(builds = removed, "removed builds by the retention rules");
    }
}
