//! Collects from the store what a report can tell.

use crate::base::Timestamp;
use crate::model::{
    BuildId, BuildRecord, BuildsetId, BuildsetRecord, Change, ChangeId, LogKind, LogRecord, Plan, Report,
    ReportSubject, RequestId, StepRecord,
};
use crate::notify::{self, BuildFacts, Excerpt, ReportFacts, RequestFacts, SetBuild, SetFacts};
use crate::store::{History, StoreError};

/// Guilty steps whose logs are quoted; a build where everything fails needs no longer mail.
const EXCERPTS_MAX: usize = 5;
/// Characters of a quoted line; the rest of a longer one (minified code, base64) tells nobody anything.
const LINE_CHARS_MAX: usize = 500;

/// Builds of a buildset that are told of; more nobody reads.
const SET_BUILDS_MAX: usize = 200;

/// Why the facts are not to be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum CollectError {
    /// What it is about was removed meanwhile.
    #[error("{0} is not in the store any more")]
    Removed(String),
    /// The store cannot be read.
    #[error("read {what}")]
    Store {
        what: String,
        #[source]
        source: StoreError,
    },
}

impl CollectError {
    /// Whether trying again cannot help.
    pub const fn is_lasting(&self) -> bool {
        match self {
            Self::Removed(_) => true,
            Self::Store { .. } => false,
        }
    }
}

/// Where the facts come from, beside the store.
struct Around<'a> {
    store: &'a dyn History,
    plan: &'a Plan,
    url: String,
    log_lines: u64,
    now: Timestamp,
}

/// Everything about what the report is about. Blocks for the time of a few reads.
pub(super) fn collect(
    store: &dyn History,
    report: Report,
    plan: &Plan,
    url: &str,
    log_lines: u64,
    now: Timestamp,
) -> Result<ReportFacts, CollectError> {
    let url = plan.master.url.clone().unwrap_or_else(|| url.to_owned());
    let around = Around { store, plan, url, log_lines, now };
    let (what, found) = match report.subject {
        ReportSubject::Build { build, .. } | ReportSubject::Start { build, .. } => {
            let facts = of_build(&around, build, report).map(|facts| facts.map(Box::new).map(ReportFacts::Build));
            (format!("build {build}"), facts)
        }
        ReportSubject::Request { request, .. } => {
            let facts = of_request(&around, request, report);
            (format!("request {request}"), facts.map(|facts| facts.map(Box::new).map(ReportFacts::Request)))
        }
        ReportSubject::Set { buildset, .. } => {
            let facts = of_set(&around, buildset, report).map(|facts| facts.map(Box::new).map(ReportFacts::Set));
            (format!("buildset {buildset}"), facts)
        }
    };
    match found {
        Ok(Some(facts)) => Ok(facts),
        Ok(None) => Err(CollectError::Removed(what)),
        Err(source) => Err(CollectError::Store { what, source }),
    }
}

fn of_build(around: &Around<'_>, id: BuildId, report: Report) -> Result<Option<BuildFacts>, StoreError> {
    let store = around.store;
    let Around { plan, url, log_lines, now, .. } = around;
    let Some(mut build) = store.build(id)? else { return Ok(None) };
    let mut steps = store.steps(id)?;
    if matches!(report.subject, ReportSubject::Start { .. }) {
        // It may have gone on, or ended, before the news of its start leaves.
        (build.completed, build.outcome) = (None, None);
        steps.clear();
    }
    let buildset = buildset(store, &build)?;
    Ok(Some(BuildFacts {
        installation: store.installation(),
        title: plan.master.title.clone(),
        url: url.clone(),
        builder: store.builder(build.builder)?.unwrap_or_default(),
        worker: worker_name(store, &build)?,
        scheduler: scheduler(store, buildset.as_ref())?,
        buildset,
        changes: changes(store, &build.changes)?,
        excerpts: excerpts(store, &notify::guilty_steps(&build, &steps), *log_lines)?,
        previous: None,
        report,
        build,
        steps,
        now: *now,
    }))
}

fn of_request(around: &Around<'_>, id: RequestId, report: Report) -> Result<Option<RequestFacts>, StoreError> {
    let store = around.store;
    let Around { plan, url, now, .. } = around;
    let Some(request) = store.request(id)? else { return Ok(None) };
    let buildset = store.buildset(request.buildset)?;
    let ids = buildset.as_ref().map(|buildset| buildset.changes.clone()).unwrap_or_default();
    Ok(Some(RequestFacts {
        installation: store.installation(),
        title: plan.master.title.clone(),
        url: url.clone(),
        builder: store.builder(request.builder)?.unwrap_or_default(),
        scheduler: scheduler(store, buildset.as_ref())?,
        changes: changes(store, &ids)?,
        report,
        request,
        buildset,
        now: *now,
    }))
}

fn of_set(around: &Around<'_>, id: BuildsetId, report: Report) -> Result<Option<SetFacts>, StoreError> {
    let store = around.store;
    let Around { plan, url, now, .. } = around;
    let Some(buildset) = store.buildset(id)? else { return Ok(None) };
    let mut builds = Vec::new();
    for request in buildset.requests.iter().take(SET_BUILDS_MAX) {
        let Some(request) = store.request(*request)? else { continue };
        let last = store.builds_of_request(request.id)?.into_iter().max_by_key(|build| build.id);
        builds.push(SetBuild {
            builder: store.builder(request.builder)?.unwrap_or_default(),
            build: last.map(|build| (build.id, build.number)),
            outcome: request.outcome,
        });
    }
    Ok(Some(SetFacts {
        installation: store.installation(),
        title: plan.master.title.clone(),
        url: url.clone(),
        scheduler: scheduler(store, Some(&buildset))?,
        changes: changes(store, &buildset.changes)?,
        builds,
        report,
        buildset,
        now: *now,
    }))
}

fn scheduler(store: &dyn History, buildset: Option<&BuildsetRecord>) -> Result<String, StoreError> {
    Ok(buildset.map(|set| store.maker_of(set)).transpose()?.unwrap_or_default())
}

fn worker_name(store: &dyn History, build: &BuildRecord) -> Result<String, StoreError> {
    let worker = store.workers()?.into_iter().find(|worker| worker.id == build.worker);
    Ok(worker.map(|worker| worker.name).unwrap_or_default())
}

fn buildset(store: &dyn History, build: &BuildRecord) -> Result<Option<BuildsetRecord>, StoreError> {
    store.request(build.request)?.map_or(Ok(None), |request| store.buildset(request.buildset))
}

fn changes(store: &dyn History, ids: &[ChangeId]) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    for id in ids {
        changes.extend(store.change(*id)?);
    }
    Ok(changes)
}

/// The last lines of these steps' logs.
fn excerpts(store: &dyn History, steps: &[&StepRecord], lines: u64) -> Result<Vec<Excerpt>, StoreError> {
    let mut excerpts = Vec::new();
    for step in steps {
        let logs = store.logs_of_step(step.id)?;
        for log in logs.iter().filter(|log| log.kind == LogKind::Stdio || log.name == "stdio") {
            if excerpts.len() < EXCERPTS_MAX {
                excerpts.extend(excerpt(store, step, log, lines)?);
            }
        }
    }
    Ok(excerpts)
}

fn excerpt(store: &dyn History, step: &StepRecord, log: &LogRecord, lines: u64) -> Result<Option<Excerpt>, StoreError> {
    let total = store.logs().lines(log.build, log.id)?;
    let tail = store.logs().tail(log.build, log.id, lines)?;
    if tail.is_empty() {
        return Ok(None);
    }
    let before = total.saturating_sub(tail.len() as u64);
    let lines = tail.iter().map(|line| shortened(&String::from_utf8_lossy(&line.text))).collect();
    Ok(Some(Excerpt { step: step.name.clone(), log: log.name.clone(), lines, before }))
}

fn shortened(line: &str) -> String {
    match line.char_indices().nth(LINE_CHARS_MAX) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line.to_owned(),
    }
}
