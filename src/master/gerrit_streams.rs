//! Listens to the events of Gerrit servers, and has the sources of a project polled when something happened there.
//!
//! One stream a server, whatever number of sources it has. A stream that ends is begun again after a pause that doubles, and
//! an alert says why meanwhile. Nothing is lost by that: polls at intervals find what no event told of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::inbox::Inbox;
use super::plan_in_force::PlanInForce;
use super::{Alerts, MasterError, ShuttingDown};
use crate::engine::Input;
use crate::model::{Actor, AlertSubject, ChangeSourceKind, GerritPlan, GerritServer, Order, Plan, normal_address};
use crate::vcs::{GerritEvent, listen_to_gerrit};

/// The first pause before a stream is begun again; it doubles.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest one.
const PAUSE_MAX: Duration = Duration::from_mins(5);
/// A stream that lasted so long works: its alert is cleared, and the next pause is short again.
const STEADY: Duration = Duration::from_secs(30);
/// Events of a server that wait to become polls. Further ones are dropped: every source of theirs is polled anyway.
const EVENTS_MAX: usize = 1_000;
/// The kind of the alert of a stream that does not work.
const STREAM: &str = "stream";
/// Whom polls are told to be ordered by.
const DIALECT: &str = "gerrit";

/// What a stream works with.
#[derive(Clone, Debug)]
struct Tools {
    plan: PlanInForce,
    inbox: Inbox,
    alerts: Alerts,
}

/// Runs as long as the master.
pub(super) async fn run(plan: PlanInForce, inbox: Inbox, alerts: Alerts) -> Result<(), MasterError> {
    let mut plans = plan.watch();
    let tools = Tools { plan, inbox, alerts };
    let mut streams: BTreeMap<GerritServer, DropGuard> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    loop {
        let wanted = servers(&plans.borrow_and_update());
        streams.retain(|server, _| wanted.contains(server));
        for server in wanted {
            streams.entry(server.clone()).or_insert_with(|| {
                let stop = CancellationToken::new();
                let stream = stop.child_token().run_until_cancelled_owned(stream(server, tools.clone()));
                tasks.spawn(async {
                    let _stopped = stream.await;
                });
                stop.drop_guard()
            });
        }
        tokio::select! {
            // The other end is in `tools`.
            _ = plans.changed() => {}
            Some(ended) = tasks.join_next() => {
                if let Err(lost) = ended && lost.is_panic() {
                    std::panic::resume_unwind(lost.into_panic());
                }
            }
        }
    }
}

/// The servers whose events a configuration wants.
fn servers(plan: &Plan) -> BTreeSet<GerritServer> {
    sources(plan).filter(|(_, gerrit)| gerrit.stream).map(|(_, gerrit)| gerrit.server.clone()).collect()
}

fn sources(plan: &Plan) -> impl Iterator<Item = (&str, &GerritPlan)> {
    plan.change_sources.values().filter_map(|source| match &source.kind {
        ChangeSourceKind::Gerrit(gerrit) => Some((source.name.as_str(), &**gerrit)),
        _ => None,
    })
}

/// Listens to one server, again and again.
async fn stream(server: GerritServer, tools: Tools) {
    let mut failures = 0;
    loop {
        // What happened while nobody listened.
        let plan = tools.plan.get();
        let all = sources(&plan).filter(|(_, gerrit)| gerrit.server == server).map(|(name, _)| name.to_owned());
        if tools.poll(all.collect()).await.is_err() {
            return;
        }
        let began = Instant::now();
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let why = tokio::select! {
            why = listen_to_gerrit(&server, |event| drop(sender.try_send(event))) => why,
            () = tools.carry_out(&server, events) => return,
        };
        failures = if began.elapsed() >= STEADY { 1 } else { failures + 1 };
        tools.raise(&server, &why);
        sleep(pause_after(failures)).await;
    }
}

fn pause_after(failures: u32) -> Duration {
    PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(PAUSE_MAX)
}

impl Tools {
    /// Has sources polled as events come. Returns when the master ends.
    async fn carry_out(&self, server: &GerritServer, mut events: mpsc::Receiver<GerritEvent>) {
        let steady = sleep(STEADY);
        tokio::pin!(steady);
        let mut is_steady = false;
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                () = &mut steady, if !is_steady => {
                    is_steady = true;
                    self.clear(server);
                    continue;
                }
            };
            let Some(event) = event else { return std::future::pending().await };
            if self.poll(concerned(&self.plan.get(), server, &event)).await.is_err() {
                return;
            }
        }
    }

    async fn poll(&self, sources: BTreeSet<String>) -> Result<(), ShuttingDown> {
        for source in sources {
            let by = Actor::Hook { dialect: DIALECT.to_owned() };
            let order = Order::Poll { source: Some(source) };
            self.inbox.tell(Input::Ordered { order, by, ticket: None }).await?;
        }
        Ok(())
    }

    fn raise(&self, server: &GerritServer, why: &str) {
        let text = format!("events of `{}` do not come, so changes are found at intervals only: {why}", server.host);
        let hint = "it is tried again; stream = False stops that";
        for name in self.listeners(server) {
            self.alerts.raise(AlertSubject::Source(name), STREAM, text.clone(), Some(hint.to_owned()));
        }
    }

    fn clear(&self, server: &GerritServer) {
        for name in self.listeners(server) {
            self.alerts.clear(&AlertSubject::Source(name), STREAM);
        }
    }

    fn listeners(&self, server: &GerritServer) -> Vec<String> {
        let plan = self.plan.get();
        let of =
            |(name, gerrit): (&str, &GerritPlan)| (gerrit.stream && gerrit.server == *server).then(|| name.to_owned());
        sources(&plan).filter_map(of).collect()
    }
}

/// The sources that an event of a server concerns: those of the project's changes under review, or all that look at its
/// branches.
fn concerned(plan: &Plan, server: &GerritServer, event: &GerritEvent) -> BTreeSet<String> {
    let (GerritEvent::Review { project } | GerritEvent::Ref { project }) = event;
    let reviews = sources(plan).filter(|(_, gerrit)| gerrit.server == *server && gerrit.project == *project);
    let (names, addresses): (BTreeSet<String>, BTreeSet<String>) =
        reviews.map(|(name, gerrit)| (name.to_owned(), normal_address(&gerrit.repository))).unzip();
    match event {
        GerritEvent::Review { .. } => names,
        GerritEvent::Ref { .. } => {
            let looks = |source: &&crate::model::ChangeSourcePlan| {
                matches!(source.kind, ChangeSourceKind::Git(_))
                    && addresses.contains(&normal_address(source.kind.repository()))
            };
            plan.change_sources.values().filter(looks).map(|source| source.name.clone()).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_five_minutes() {
        let seconds: Vec<u64> = (1..=10).map(|failures| pause_after(failures).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert_eq!(pause_after(u32::MAX), PAUSE_MAX);
    }
}
