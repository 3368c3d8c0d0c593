//! `/deliveries`: reports that wait to be delivered, and those that did not arrive as they were meant.

use std::collections::BTreeMap;

use askama::Template;
use warp::http::StatusCode;

use super::page::{PageContext, PageFrame, PageResult, page};
use super::show::Moment;
use crate::model::{BuilderId, Report, ReportSubject};

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
    /// Nobody got it, so that it can be sent again.
    given_up: bool,
}

/// A report that waits.
#[derive(Clone, Debug)]
struct WaitingRow {
    row: DeliveryRow,
    retry: Option<Moment>,
}

#[derive(Template)]
#[template(path = "deliveries.html")]
struct Deliveries {
    frame: PageFrame,
    undelivered: Vec<UndeliveredRow>,
    waiting: Vec<WaitingRow>,
    more: usize,
}

/// The page.
pub fn list(context: &PageContext<'_>) -> PageResult {
    let names: BTreeMap<BuilderId, String> =
        context.store.builders()?.into_iter().map(|builder| (builder.id, builder.name)).collect();
    let all = context.store.outbox()?;
    let more = all.len().saturating_sub(SHOWN);
    let waiting = all.into_iter().take(SHOWN).map(|waiting| WaitingRow {
        retry: waiting.retry.map(|retry| context.moment(retry)),
        row: row(context, &names, &waiting.report, waiting.tries, waiting.error.unwrap_or_default()),
    });
    let undelivered = context.store.undelivered()?.into_iter().map(|record| UndeliveredRow {
        at: context.moment(record.at),
        given_up: record.given_up,
        row: row(context, &names, &record.report, record.tries, record.why),
    });
    let view = Deliveries {
        frame: context.frame("Deliveries", "", "/events"),
        undelivered: undelivered.collect(),
        waiting: waiting.collect(),
        more,
    };
    Ok(page(context.request, StatusCode::OK, &view))
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
