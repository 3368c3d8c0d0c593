//! `/deliveries`: reports that wait to be delivered, and those that did not arrive as they were meant.

use std::collections::BTreeMap;

use askama::Template;
use warp::http::StatusCode;

use super::page::{PageContext, PageFrame, PageResult, page};
use super::show::Moment;
use crate::model::{Action, BuilderId, DeliveryRecord, Object, Report, ReportSubject};
use crate::store::StoreError;
use crate::web::history::VisibleHistory;

/// Waiting reports on the page; further ones are counted.
const SHOWN: usize = 200;

/// A report in a list.
#[derive(Clone, Debug)]
struct DeliveryRow {
    id: u64,
    notifier: String,
    /// What it is about: `linux: end, failure`.
    about: String,
    href: Option<String>,
    made: Moment,
    tries: u64,
    /// Why it did not arrive, or not as it was meant.
    why: String,
}

/// A report that did not arrive as it was meant.
#[derive(Clone, Debug)]
struct UndeliveredRow {
    row: DeliveryRow,
    at: Moment,
    /// Nobody got it.
    given_up: bool,
    /// It can be sent again, by this visitor.
    may_resend: bool,
}

/// A report that waits.
#[derive(Clone, Debug)]
struct WaitingRow {
    row: DeliveryRow,
    retry: Option<Moment>,
    /// This visitor can send it now, or give it up.
    may_change: bool,
}

#[derive(Template)]
#[template(path = "deliveries.html")]
struct Deliveries {
    frame: PageFrame,
    undelivered: Vec<UndeliveredRow>,
    waiting: Vec<WaitingRow>,
    more: usize,
    hides_some: bool,
}

/// The page.
pub fn list(context: &PageContext<'_>) -> PageResult {
    let names: BTreeMap<BuilderId, String> =
        context.store.builders()?.into_iter().map(|builder| (builder.id, builder.name)).collect();
    let all = context.store.outbox()?;
    let more = all.len().saturating_sub(SHOWN);
    let waiting = all.into_iter().take(SHOWN).map(|waiting| WaitingRow {
        retry: waiting.retry.map(|retry| context.moment(retry)),
        may_change: may_resend(context, &names, &waiting.report),
        row: row(context, &names, &waiting.report, waiting.tries, waiting.error.unwrap_or_default()),
    });
    let undelivered = context.store.undelivered()?.into_iter().map(|record| UndeliveredRow {
        at: context.moment(record.at),
        given_up: record.given_up,
        may_resend: is_resendable(&context.store, &record) && may_resend(context, &names, &record.report),
        row: row(context, &names, &record.report, record.tries, record.why),
    });
    let view = Deliveries {
        frame: context.frame("Deliveries", "", "/events"),
        undelivered: undelivered.collect(),
        waiting: waiting.collect(),
        more,
        hides_some: context.store.hides_some(),
    };
    Ok(page(context.request, StatusCode::OK, &view))
}

/// Whether a report can be sent again: one that was given up, and that does not tell of a beginning which is over.
pub fn is_resendable(store: &VisibleHistory<'_>, record: &DeliveryRecord) -> bool {
    record.given_up
        && match &record.report.subject {
            ReportSubject::Start { build, .. } => {
                is_open(store.build(*build).map(|found| found.map(|build| build.completed.is_none())))
            }
            ReportSubject::Request { request, outcome: None, .. } => {
                is_open(store.request(*request).map(|found| found.map(|request| request.claimed.is_none())))
            }
            ReportSubject::Request { outcome: Some(_), .. }
            | ReportSubject::Build { .. }
            | ReportSubject::Set { .. } => true,
        }
}

fn is_open(found: Result<Option<bool>, StoreError>) -> bool {
    found.ok().flatten().unwrap_or(false)
}

fn may_resend(context: &PageContext<'_>, names: &BTreeMap<BuilderId, String>, report: &Report) -> bool {
    let builder = report.subject.builder().and_then(|builder| names.get(&builder));
    let object = builder.map_or(Object::Installation, Object::builder);
    context.permit(Action::Resend, &object).allowed
}

fn row(
    context: &PageContext<'_>,
    names: &BTreeMap<BuilderId, String>,
    report: &Report,
    tries: u64,
    why: String,
) -> DeliveryRow {
    let subject = &report.subject;
    let name = subject.builder().and_then(|builder| names.get(&builder)).map_or("buildset", String::as_str);
    let outcome = subject.outcome().map(|outcome| format!(", {}", outcome.word())).unwrap_or_default();
    let href = match subject {
        ReportSubject::Build { build, .. } | ReportSubject::Start { build, .. } => Some(format!("/builds/{build}")),
        ReportSubject::Request { request, .. } => Some(format!("/requests/{request}")),
        ReportSubject::Set { .. } => None,
    };
    DeliveryRow {
        id: report.id.0,
        notifier: report.notifier.clone(),
        about: format!("{name}: {}{outcome}", subject.word()),
        href,
        made: context.moment(report.made),
        tries,
        why,
    }
}
