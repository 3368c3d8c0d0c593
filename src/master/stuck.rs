//! Tells of requests that wait for what does not come by itself: a worker that never connected, a builder that is gone.

use super::alerts::LoggedBy;
use super::inbox::Inbox;
use super::plan_in_force::PlanInForce;
use super::{Alerts, MasterError};
use crate::engine::StuckQueue;
use crate::model::{Alert, AlertSubject};
use std::time::Duration;

/// How often to look; what is told has lasted for minutes.
const EVERY: Duration = Duration::from_secs(30);
/// The alerts that are replaced with each look.
const GROUP: &str = "stuck requests";

/// Runs as long as the master.
pub(super) async fn run(inbox: Inbox, alerts: Alerts, plan: PlanInForce, url: String) -> Result<(), MasterError> {
    loop {
        let Ok(stuck) = inbox.stuck().await else { return std::future::pending().await };
        let url = plan.get().master.url.clone().unwrap_or_else(|| url.clone());
        alerts.replace(GROUP, stuck.into_iter().map(|queue| alert(queue, &url)).collect(), LoggedBy::Alerts);
        tokio::time::sleep(EVERY).await;
    }
}

fn alert(queue: StuckQueue, url: &str) -> Alert {
    let address = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/');
    let hint = match queue.connect {
        Some(worker) => format!(
            "connect it: `starwright worker --master {address} --name {worker} --password-file FILE --dir DIR` (`starwright up` starts a worker without a password itself)"
        ),
        None => "configure the builder again, or cancel its requests".to_owned(),
    };
    Alert {
        subject: AlertSubject::Builder(queue.builder),
        kind: "waiting".to_owned(),
        text: queue.text,
        hint: Some(hint),
        first: queue.since,
        last: queue.now,
    }
}
