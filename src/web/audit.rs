//! The audit log in words, for its page and for the API.

use super::history::VisibleHistory;
use crate::base::Timestamp;
use crate::model::{Actor, AuditAct, AuditRecord, BuildId, BuilderId, LoginMethod, RequestId, Via};
use crate::store::{Scan, StoreError};

/// Entries of one page of the log.
pub const PAGE: usize = 100;
/// Entries that the export reads at a time.
const SLICE: usize = 1_000;
/// Builders that an entry names; a form may start hundreds.
const NAMED_MAX: usize = 5;

/// An order, in words.
#[derive(Clone, Debug)]
pub struct AuditLine {
    pub seq: u64,
    pub at: Timestamp,
    pub who: String,
    /// How they gave the order, and how they proved who they are.
    pub how: String,
    pub action: &'static str,
    pub text: String,
    /// The page of what it was about.
    pub href: Option<String>,
}

/// The newest entries before one, newest first, and whether there are older ones.
pub fn before(history: &VisibleHistory<'_>, seq: Option<u64>) -> Result<(Vec<AuditLine>, bool), StoreError> {
    let mut records = history.audited(Scan { after: seq, descending: true, limit: PAGE + 1 })?;
    let more = records.len() > PAGE;
    records.truncate(PAGE);
    let lines = records.iter().map(|record| line(history, record)).collect::<Result<_, _>>()?;
    Ok((lines, more))
}

/// All entries, oldest first.
pub fn all(history: &VisibleHistory<'_>, mut each: impl FnMut(AuditLine)) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let records = history.audited(Scan { after, descending: false, limit: SLICE })?;
        for record in &records {
            each(line(history, record)?);
        }
        match records.last() {
            Some(last) if records.len() == SLICE => after = Some(last.seq),
            Some(_) | None => return Ok(()),
        }
    }
}

fn line(history: &VisibleHistory<'_>, record: &AuditRecord) -> Result<AuditLine, StoreError> {
    let (text, href) = words(history, &record.act)?;
    Ok(AuditLine {
        seq: record.seq,
        at: record.at,
        who: who(&record.by),
        how: how(&record.by),
        action: record.act.word(),
        text,
        href,
    })
}

fn who(by: &Actor) -> String {
    match by {
        // Who can read the state directory may say any name.
        Actor::User { name, login: LoginMethod::Machine, .. } => format!("local administrator, as `{name}`"),
        by => by.to_string(),
    }
}

fn how(by: &Actor) -> String {
    let via = |via: &Via| match via {
        Via::Page => "page",
        Via::Api => "API",
        Via::CommandLine => "command line",
        Via::Signal => "signal",
    };
    match by {
        Actor::Person { via: Via::Signal, .. } => "signal".to_owned(),
        Actor::Person { via: way, .. } => format!("{}, not logged in", via(way)),
        Actor::User { via: way, login, .. } => match login {
            LoginMethod::None => via(way).to_owned(),
            LoginMethod::Machine => format!("{}, by the key in the state directory", via(way)),
            login => format!("{}, by {}", via(way), login.word()),
        },
        Actor::Token { .. } => "API, by token".to_owned(),
        Actor::Hook { .. } => "change hook".to_owned(),
    }
}

fn words(history: &VisibleHistory<'_>, act: &AuditAct) -> Result<(String, Option<String>), StoreError> {
    let plain = |text: String| Ok((text, None));
    match act {
        AuditAct::Forced { buildset, builders, reason } => {
            let mut names =
                builders.iter().take(NAMED_MAX).map(|id| builder(history, *id)).collect::<Result<Vec<_>, _>>()?;
            if builders.len() > NAMED_MAX {
                names.push(format!("and {} more", builders.len() - NAMED_MAX));
            }
            let request = history.buildset(*buildset)?.and_then(|set| set.requests.first().copied());
            let request =
                request.map(|request| history.request(request)).transpose()?.flatten().map(|request| request.id);
            let text = format!("requested builds of {}: {reason}", names.join(", "));
            Ok((text, request.map(|request| format!("/requests/{request}"))))
        }
        AuditAct::Rebuilt { build: of, buildset: _ } => {
            Ok((format!("requested {} again", build(history, *of)?), page(history, *of)?))
        }
        AuditAct::Stopped { build: of, why } => {
            Ok((format!("stopped {}: {why}", build(history, *of)?), page(history, *of)?))
        }
        AuditAct::Ended { build: of } => {
            Ok((format!("ended {} as an exception", build(history, *of)?), page(history, *of)?))
        }
        AuditAct::Cancelled { request } => {
            Ok((format!("cancelled request {request}"), page_of_request(history, *request)?))
        }
        AuditAct::Prioritised { request, priority } => {
            let text = format!("set the priority of request {request} to {priority}");
            Ok((text, page_of_request(history, *request)?))
        }
        AuditAct::Switched { scheduler, enabled } => {
            let name = history.scheduler(*scheduler)?.map_or_else(|| format!("#{scheduler}"), |found| found.name);
            plain(format!("switched scheduler `{name}` {}", if *enabled { "on" } else { "off" }))
        }
        AuditAct::Paused { worker: id, paused, reason } => {
            let why = reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            plain(format!("{} worker {}{why}", if *paused { "paused" } else { "unpaused" }, worker(history, *id)?))
        }
        AuditAct::Retired { worker: id, graceful: true } => {
            plain(format!("told worker {} to finish its builds and go", worker(history, *id)?))
        }
        AuditAct::Retired { worker: id, graceful: false } => plain(format!("kept worker {}", worker(history, *id)?)),
        AuditAct::Reloaded { digest } => plain(format!("loaded the configuration {digest}")),
        AuditAct::Rejected => plain("tried to load a configuration, which was rejected".to_owned()),
        AuditAct::Reported { change } => {
            let href = history.change(*change)?.map(|change| format!("/changes/{}", change.id));
            Ok((format!("reported change {change}"), href))
        }
        AuditAct::Resent { report } => plain(format!("sent report {report} again")),
        AuditAct::GivenUp { report } => plain(format!("gave up report {report}")),
        AuditAct::Announced { sources } => {
            plain(format!("reported a change that {sources} change source(s) will find"))
        }
    }
}

/// The page of a build, if the reader may see it.
fn page(history: &VisibleHistory<'_>, build: BuildId) -> Result<Option<String>, StoreError> {
    Ok(history.build(build)?.map(|build| format!("/builds/{}", build.id)))
}

fn page_of_request(history: &VisibleHistory<'_>, id: RequestId) -> Result<Option<String>, StoreError> {
    Ok(history.request(id)?.map(|request| format!("/requests/{}", request.id)))
}

fn build(history: &VisibleHistory<'_>, id: BuildId) -> Result<String, StoreError> {
    match history.build(id)? {
        Some(record) => Ok(format!("build {}/{}", builder(history, record.builder)?, record.number)),
        None => Ok(format!("build {id}")),
    }
}

fn builder(history: &VisibleHistory<'_>, id: BuilderId) -> Result<String, StoreError> {
    Ok(history.builder(id)?.map_or_else(|| format!("#{id}"), |record| record.name))
}

fn worker(history: &VisibleHistory<'_>, id: crate::model::WorkerId) -> Result<String, StoreError> {
    Ok(history.worker(id)?.map_or_else(|| format!("#{id}"), |record| format!("`{}`", record.name)))
}
