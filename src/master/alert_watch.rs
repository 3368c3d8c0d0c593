//! Keeps the derived alerts true: those that follow from facts are read from the store whenever such a fact becomes
//! durable, those that follow from how things stand (secrets, workers) are looked for now and then.
//!
//! A reconciler: it compares what is with what is shown, so a restart and a lost message need no path of their own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};
use tokio_util::sync::CancellationToken;

use super::alert_survey::Survey;
use super::alerts::LoggedBy;
use super::{Alerts, MasterError};
use crate::base::chain;
use crate::model::{AlertSubject, Event, Fact};
use crate::store::{History, StoreError};

/// How often to look at what no fact tells.
const SURVEY_EVERY: Duration = Duration::from_secs(10);
/// Facts of one kind come in flocks: so long they are collected before the store is read.
const SETTLE: Duration = Duration::from_millis(100);

/// The group of alerts that follow from facts.
const FACTS: &str = "facts";
/// The group of alerts that follow from how things stand.
const SURVEY: &str = "survey";
/// The group of alerts about workers that were refused.
const REFUSED: &str = "refused";

/// What the task works with.
pub(super) struct Watch {
    pub alerts: Alerts,
    pub history: Arc<dyn History>,
    pub survey: Survey,
    pub facts: broadcast::Receiver<Arc<Fact>>,
    /// The configuration was loaded for the first time. Before that, what the records hold may be over already: a problem
    /// of a configuration that was corrected while no master ran.
    pub loaded: CancellationToken,
}

/// What has to be looked at.
#[derive(Clone, Copy, Default)]
struct Due {
    facts: bool,
    survey: bool,
}

impl Watch {
    /// Runs as long as the master.
    pub async fn run(mut self) -> Result<(), MasterError> {
        self.loaded.cancelled().await;
        let mut due = Due { facts: true, survey: true };
        loop {
            self.look(due).await;
            due = self.wait().await;
            tokio::time::sleep(SETTLE).await;
            while let Ok(fact) = self.facts.try_recv() {
                due = due.with(after(&fact.event));
            }
        }
    }

    /// Waits until something has to be looked at.
    async fn wait(&mut self) -> Due {
        let timer = tokio::time::sleep(SURVEY_EVERY);
        tokio::pin!(timer);
        loop {
            tokio::select! {
                fact = self.facts.recv() => match fact.map(|fact| after(&fact.event)) {
                    Ok(Due { facts: false, survey: false }) => {}
                    Ok(due) => return due,
                    // Whatever was missed, a look shows it.
                    Err(RecvError::Lagged(_)) => return Due { facts: true, survey: true },
                    Err(RecvError::Closed) => std::future::pending().await,
                },
                () = &mut timer => return Due { facts: false, survey: true },
            }
        }
    }

    async fn look(&self, due: Due) {
        let (history, survey, alerts) = (Arc::clone(&self.history), self.survey.clone(), self.alerts.clone());
        let looked = tokio::task::spawn_blocking(move || look(due, &*history, &survey, &alerts)).await;
        let trouble = match looked {
            Ok(Ok(())) => return self.alerts.clear(&AlertSubject::Master, "look"),
            Ok(Err(error)) => chain(&error),
            Err(error) => error.to_string(),
        };
        self.alerts.raise(AlertSubject::Master, "look", format!("alerts may be missing: {trouble}"), None);
    }
}

fn look(due: Due, history: &dyn History, survey: &Survey, alerts: &Alerts) -> Result<(), StoreError> {
    if due.facts {
        alerts.replace(FACTS, history.alerts()?, LoggedBy::Alerts);
    }
    if due.survey {
        alerts.replace(SURVEY, survey.look()?, LoggedBy::Alerts);
        alerts.replace(REFUSED, survey.refused()?, LoggedBy::Caller);
    }
    Ok(())
}

impl Due {
    const fn with(self, other: Self) -> Self {
        Self { facts: self.facts || other.facts, survey: self.survey || other.survey }
    }
}

/// What an event makes worth a look.
const fn after(event: &Event) -> Due {
    match event {
        Event::PlanAdopted { .. } | Event::SourcePolled { .. } => Due { facts: true, survey: true },
        Event::PlanRefused { .. }
        | Event::SourceFailed { .. }
        | Event::ScriptFailed { .. }
        | Event::ScriptSuspended { .. }
        | Event::ScriptRecovered { .. }
        | Event::ChangeDeclined { .. }
        | Event::BuildsetForgone { .. }
        | Event::EvaluationLost { .. }
        | Event::ReportRemarked { .. }
        | Event::ReportSent { .. }
        | Event::ReportFailed { .. }
        | Event::ReportDropped { .. }
        | Event::ReportSuperseded { .. } => Due { facts: true, survey: false },
        Event::WorkerConnected { .. } => Due { facts: false, survey: true },
        _ => Due { facts: false, survey: false },
    }
}
