//! `/audit`: which orders were carried out, who gave them, and when.

use std::collections::VecDeque;

use askama::Template;
use warp::http::StatusCode;

use super::page::{PageContext, PageError, PageFrame, PageResult, page};
use super::show::{Moment, capital, count};
use crate::auth::{SecurityCount, SecurityEntry, SecurityEvent};
use crate::web::audit::{AuditLine, before};

/// Logins, counts and denials shown of each; the API has all that are kept.
const SHOWN: usize = 50;

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    frame: PageFrame,
    rows: Vec<Row>,
    newest: bool,
    older: Option<u64>,
    /// Beside the newest orders.
    security: Option<Security>,
}

/// Who came in, and who was kept out.
struct Security {
    entries: Vec<EntryRow>,
    counts: Vec<CountRow>,
    samples: Vec<EntryRow>,
}

struct EntryRow {
    at: Moment,
    what: &'static str,
    who: String,
    address: String,
    about: String,
}

struct CountRow {
    what: &'static str,
    who: String,
    about: String,
    times: String,
    last: Moment,
}

struct Row {
    line: AuditLine,
    at: Moment,
}

/// The page.
pub fn list(context: &PageContext<'_>) -> PageResult {
    if let Err(denial) = context.store.may_audit() {
        let status = if denial.anonymous { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
        return Err(PageError { status, text: denial.to_string() });
    }
    let last = context.number("before")?;
    let (lines, more) = before(&context.store, last)?;
    let older = lines.last().map(|line| line.seq).filter(|_| more);
    let rows = lines.into_iter().map(|line| Row { at: context.moment(line.at), line }).collect();
    let security = last.is_none().then(|| security(context));
    let frame = context.frame("Audit log", "audit", "/events");
    let view = Audit { frame, rows, newest: last.is_none(), older, security };
    Ok(page(context.request, StatusCode::OK, &view))
}

fn security(context: &PageContext<'_>) -> Security {
    let record = context.accounts.log().read();
    let rows =
        |entries: &VecDeque<SecurityEntry>| entries.iter().rev().take(SHOWN).map(|entry| row(context, entry)).collect();
    let count = |one: &SecurityCount| CountRow {
        what: words(one.what),
        who: capital(&one.who),
        about: one.about.clone(),
        times: count(one.times, "time"),
        last: context.moment(one.last),
    };
    let counts = record.most_frequent().into_iter().take(SHOWN).map(count).collect();
    Security { entries: rows(&record.entries), counts, samples: rows(&record.samples) }
}

fn row(context: &PageContext<'_>, entry: &SecurityEntry) -> EntryRow {
    EntryRow {
        at: context.moment(entry.at),
        what: words(entry.what),
        who: capital(&entry.who),
        address: entry.address.map(|address| address.to_string()).unwrap_or_default(),
        about: entry.about.clone(),
    }
}

const fn words(what: SecurityEvent) -> &'static str {
    match what {
        SecurityEvent::Login => "logged in",
        SecurityEvent::FailedLogin => "failed to log in",
        SecurityEvent::Logout => "logged out",
        SecurityEvent::UserAdded => "added a user",
        SecurityEvent::UserRemoved => "removed a user",
        SecurityEvent::PasswordSet => "set a password",
        SecurityEvent::TokenCreated => "created a token",
        SecurityEvent::TokenRevoked => "revoked a token",
        SecurityEvent::SessionEnded => "ended a login",
        SecurityEvent::Denied => "was denied",
    }
}
