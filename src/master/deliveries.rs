//! Delivery of reports: collects what a report tells from the store, renders it, hands it to the server.
//!
//! The outbox is the engine's: it orders each delivery and is told how it ended, so a server that is down
//! costs nothing but time. At the end of the master what is being sent is finished; what waits stays in
//! the outbox.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::configurations::Configurations;
use super::inbox::Inbox;
use super::keyed_queue::KeyedQueue;
use super::large_stack::on_large_stack;
use super::renders::Renders;
use super::{MasterError, report_facts};
use crate::base::Clock;
use crate::engine::{DELIVERIES_MAX, Input};
use crate::model::{Report, ReportId, Value};
use crate::notify::{Letter, channel};
use crate::secrets::Secrets;
use crate::store::Store;

/// Remarks that are recorded with a report: each recipient may give one.
const REMARKS_MAX: usize = 20;
/// How long one delivery may take, whatever its kind. Kinds have shorter limits for each of their steps; this one holds for
/// a receiver that keeps answering slowly.
const DELIVERY_TIMEOUT: Duration = Duration::from_mins(10);

/// Deliveries by report.
#[derive(Debug)]
pub(super) struct Deliveries {
    queue: KeyedQueue<ReportId, Report>,
    mailer: Mailer,
}

/// What a delivery needs.
#[derive(Clone, Debug)]
pub(super) struct Mailer {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
    pub configurations: Arc<Configurations>,
    pub renders: Arc<Renders>,
    /// The directory of the configuration, where secrets are looked for.
    pub base: PathBuf,
    /// The address of the pages if the configuration names none.
    pub url: String,
}

/// Why a report was not delivered.
#[derive(Debug)]
struct Failure {
    error: String,
    /// Trying again cannot help.
    final_: bool,
}

impl Deliveries {
    pub fn new(mailer: Mailer) -> Self {
        Self { queue: KeyedQueue::new(), mailer }
    }

    /// Orders a delivery; comes back as [`Input::ReportSent`] or [`Input::ReportFailed`].
    pub fn deliver(&self, report: Report) {
        self.queue.replace(report.id, report);
    }

    /// Carries out what is ordered.
    pub async fn run(self: Arc<Self>, inbox: Inbox, stop: CancellationToken) -> Result<(), MasterError> {
        let mailer = &self.mailer;
        self.queue
            .run(DELIVERIES_MAX, &stop, |id, report| {
                let inbox = inbox.clone();
                async move {
                    let input = match mailer.send(report).await {
                        Ok(remarks) => Input::ReportSent { report: id, remarks },
                        Err(Failure { error, final_ }) => Input::ReportFailed { report: id, error, final_ },
                    };
                    // When the engine task is gone the master ends, and the next one delivers again, recognisable as the
                    // same.
                    let _ = inbox.tell(input).await;
                    Ok(())
                }
            })
            .await
    }
}

impl Mailer {
    /// Remarks say what is wrong with a message that went out all the same.
    async fn send(&self, report: Report) -> Result<Vec<String>, Failure> {
        let (letter, password) = self.write(report).await?;
        let Ok(remarks) = tokio::time::timeout(DELIVERY_TIMEOUT, letter.deliver(password)).await else {
            let error = format!("the delivery took more than {} minutes", DELIVERY_TIMEOUT.as_secs() / 60);
            return Err(Failure { error, final_: false });
        };
        let remarks = remarks.map_err(|error| Failure { error: error.message, final_: error.final_ })?;
        Ok(remarks.into_iter().take(REMARKS_MAX).collect())
    }

    /// Collects and renders on a thread of its own, because both block.
    async fn write(&self, report: Report) -> Result<(Letter, Option<String>), Failure> {
        let mailer = self.clone();
        let written = on_large_stack("report", move || mailer.letter(report)).await;
        written.unwrap_or_else(|why| Err(Failure::passing(format!("the text could not be made: {why}"))))
    }

    /// What is said, with the password that its way takes.
    fn letter(&self, report: Report) -> Result<(Letter, Option<String>), Failure> {
        let whole = self.configurations.obtain(&report.plan).map_err(Failure::lasting)?;
        let Some(notifier) = whole.notifiers.get(&report.notifier) else {
            return Err(Failure::lasting(format!("notifier `{}` is not in its configuration", report.notifier)));
        };
        let (lines, now) = (channel::log_lines(&notifier.kind), self.clock.now());
        let facts = report_facts::collect(&self.store, report, &whole, &self.url, lines, now)
            .map_err(|error| Failure { final_: error.is_lasting(), error: crate::base::chain(&error) })?;
        let render = |function, value: &Value| self.renders.render(&whole.digest, function, value);
        let letter = channel::write(&notifier.kind, &facts, &render);
        let secrets = Secrets::new(&whole.secrets, &self.base);
        let password = channel::password(&notifier.kind).map(|text| secrets.reveal(text)).transpose();
        let password = password.map_err(|error| Failure::passing(error.message))?.map(|(password, _used)| password);
        Ok((letter, password))
    }
}

impl Failure {
    fn lasting(error: impl Into<String>) -> Self {
        Self { error: error.into(), final_: true }
    }

    fn passing(error: impl Into<String>) -> Self {
        Self { error: error.into(), final_: false }
    }
}
