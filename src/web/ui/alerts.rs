//! Alerts on pages: all of them at the top of the home page, and those of a subject on its own page.

use super::page::PageContext;
use super::show::{Moment, capital, count, worker_href};
use crate::model::{Alert, AlertSubject};
use crate::web::request::encode;

/// Alerts on the first page; the API has them all.
const SHOWN: usize = 50;

/// An alert in a list.
#[derive(Clone, Debug)]
pub struct AlertRow {
    /// What it is about: `source \`p\``.
    pub subject: String,
    /// Where there is more of it.
    pub href: Option<String>,
    pub text: String,
    pub hint: String,
    pub since: Moment,
}

/// Alerts under a heading that counts them.
#[derive(Clone, Debug)]
pub struct AlertList {
    pub title: String,
    pub rows: Vec<AlertRow>,
    /// How many are not shown.
    pub more: usize,
}

/// Every alert, but for that of the refused configuration, which the first page shows at length.
pub fn all(context: &PageContext<'_>) -> AlertList {
    let mut alerts = context.control.alerts().list();
    alerts.retain(|alert| alert.subject != AlertSubject::Configuration || alert.kind != "refused");
    let alerts: Vec<Alert> = alerts.into_iter().filter_map(|alert| context.store.visible_alert(alert)).collect();
    let rows = alerts.iter().take(SHOWN).map(|alert| row(context, alert)).collect();
    AlertList { title: title(alerts.len()), rows, more: alerts.len().saturating_sub(SHOWN) }
}

/// Those about one subject.
pub fn of(context: &PageContext<'_>, subject: &AlertSubject) -> AlertList {
    about(context, std::slice::from_ref(subject))
}

/// Those about any of these.
pub fn about(context: &PageContext<'_>, subjects: &[AlertSubject]) -> AlertList {
    let alerts = subjects.iter().flat_map(|subject| context.control.alerts().of(subject));
    let alerts: Vec<Alert> = alerts.filter_map(|alert| context.store.visible_alert(alert)).collect();
    AlertList { title: String::new(), rows: alerts.iter().map(|alert| row(context, alert)).collect(), more: 0 }
}

impl AlertList {
    /// No alerts.
    pub const fn none() -> Self {
        Self { title: String::new(), rows: Vec::new(), more: 0 }
    }
}

fn title(alerts: usize) -> String {
    count(alerts as u64, "alert")
}

fn row(context: &PageContext<'_>, alert: &Alert) -> AlertRow {
    AlertRow {
        subject: capital(&alert.subject.to_string()),
        href: href(&alert.subject),
        text: alert.text.clone(),
        hint: alert.hint.clone().unwrap_or_default(),
        since: context.moment(alert.first),
    }
}

fn href(subject: &AlertSubject) -> Option<String> {
    match subject {
        AlertSubject::Builder(name) => Some(format!("/builders/{}", encode(name))),
        AlertSubject::Build(id) => Some(format!("/builds/{id}")),
        AlertSubject::Request(id) => Some(format!("/requests/{id}")),
        AlertSubject::Worker(name) => Some(worker_href(name)),
        AlertSubject::Notifier(_) => Some("/deliveries".to_owned()),
        AlertSubject::Configuration
        | AlertSubject::Master
        | AlertSubject::Secret(_)
        | AlertSubject::Source(_)
        | AlertSubject::Hook(_)
        | AlertSubject::Scheduler(_)
        | AlertSubject::Network(_) => None,
    }
}
