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
use crate::base::{Clock, Span};
use crate::engine::{DELIVERIES_MAX, Input};
use crate::model::{Report, ReportId, Text};
use crate::notify::{Credentials, Letter, Makers, Pause, channel};
use crate::secrets::{Redactor, Secrets};
use crate::store::History;

/// Remarks that are recorded with a report: each recipient may give one.
const REMARKS_MAX: usize = 20;
/// Parts of a secret address that are at least this long are tokens; shorter ones are ordinary words.
const ADDRESS_PART_MIN: usize = 16;
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
    pub history: Arc<dyn History>,
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
    /// How long its receiver wants to be left alone.
    pause: Option<Span>,
}

/// A letter, and what it takes to deliver it.
struct Written {
    letter: Letter,
    credentials: Credentials,
    /// Hides what was used of secrets: a server may repeat what it was sent.
    redactor: Redactor,
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
                        Err(Failure { error, final_, pause }) => {
                            Input::ReportFailed { report: id, error, final_, pause }
                        }
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
        let Written { letter, credentials, redactor } = self.write(report).await?;
        let Ok(remarks) = tokio::time::timeout(DELIVERY_TIMEOUT, letter.deliver(credentials)).await else {
            return Err(Failure::passing(format!(
                "the delivery took more than {} minutes",
                DELIVERY_TIMEOUT.as_secs() / 60
            )));
        };
        let hidden = |text: &str| redactor.redact_str(text).into_owned();
        let remarks = remarks.map_err(|error| Failure {
            error: hidden(&error.message),
            final_: error.final_,
            pause: error.pause.map(|pause| self.length(pause)),
        })?;
        Ok(remarks.iter().take(REMARKS_MAX).map(|remark| hidden(remark)).collect())
    }

    /// How long a pause is from now on.
    fn length(&self, pause: Pause) -> Span {
        match pause {
            Pause::For(length) => Span::from_millis(u64::try_from(length.as_millis()).unwrap_or(u64::MAX)),
            Pause::Until(moment) => moment.since(self.clock.now()),
        }
    }

    /// Collects and renders on a thread of its own, because both block.
    async fn write(&self, report: Report) -> Result<Written, Failure> {
        let mailer = self.clone();
        let written = on_large_stack("report", move || mailer.letter(report)).await;
        written.unwrap_or_else(|why| Err(Failure::passing(format!("the text could not be made: {why}"))))
    }

    /// What is said, with what its way takes.
    fn letter(&self, report: Report) -> Result<Written, Failure> {
        let whole = self.configurations.obtain(&report.plan).map_err(Failure::lasting)?;
        let Some(notifier) = whole.notifiers.get(&report.notifier) else {
            return Err(Failure::lasting(format!("notifier `{}` is not in its configuration", report.notifier)));
        };
        let (lines, now) = (channel::log_lines(&notifier.kind), self.clock.now());
        let facts = report_facts::collect(&*self.history, report, &whole, &self.url, lines, now)
            .map_err(|error| Failure { final_: error.is_lasting(), error: crate::base::chain(&error), pause: None })?;
        let makers = Makers {
            text: &|function, value| self.renders.render(&whole.digest, function, value),
            data: &|function, value| self.renders.compute(&whole.digest, function, value),
        };
        let letter = channel::write(&notifier.kind, &facts, &makers).map_err(Failure::lasting)?;
        let secrets = Secrets::new(&whole.secrets, &self.base);
        let mut used = Vec::new();
        let mut reveal = |text: &Text| {
            let (revealed, values) = secrets.reveal(text).map_err(|error| error.message)?;
            used.extend(values);
            Ok(revealed)
        };
        let credentials = channel::credentials(&notifier.kind, &self.base, &mut reveal).map_err(Failure::passing)?;
        Ok(Written { letter, credentials, redactor: Redactor::new(with_parts_of_addresses(used)) })
    }
}

/// Values of secrets, and the parts by which an address that is one could be used: servers like to repeat the path.
fn with_parts_of_addresses(values: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut all = values.clone();
    for (name, value) in &values {
        let Some((_, place)) = value.split_once("://").and_then(|(_, rest)| rest.split_once('/')) else { continue };
        let long = |part: &&str| part.len() >= ADDRESS_PART_MIN;
        let parts = place.split(['/', '?', '&', '=']).filter(long).chain((!place.is_empty()).then_some(place));
        all.extend(parts.map(|part| (name.clone(), part.to_owned())));
    }
    all
}

impl Failure {
    fn lasting(error: impl Into<String>) -> Self {
        Self { error: error.into(), final_: true, pause: None }
    }

    fn passing(error: impl Into<String>) -> Self {
        Self { error: error.into(), final_: false, pause: None }
    }
}
