//! Collects from the store what a report about a build can tell.

use crate::base::Timestamp;
use crate::model::{
    BuildId, BuildRecord, BuildsetRecord, Change, LogKind, LogRecord, Outcome, Plan, Report, ReportSubject, StepRecord,
};
use crate::notify::{self, BuildFacts, Excerpt, ReportFacts};
use crate::store::{Store, StoreError};

/// Guilty steps whose logs are quoted; a build where everything fails needs no longer mail.
const EXCERPTS_MAX: usize = 5;
/// Characters of a quoted line; the rest of a longer one (minified code, base64) tells nobody anything.
const LINE_CHARS_MAX: usize = 500;

/// Why the facts are not to be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum CollectError {
    /// The build was removed meanwhile.
    #[error("build {0} is not in the store any more")]
    Removed(BuildId),
    /// The store cannot be read.
    #[error("read build {build}")]
    Store {
        build: BuildId,
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

/// Everything about what the report is about. Blocks for the time of a few reads.
pub(super) fn collect(
    store: &Store,
    report: Report,
    plan: &Plan,
    url: &str,
    log_lines: u64,
    now: Timestamp,
) -> Result<ReportFacts, CollectError> {
    match report.subject {
        ReportSubject::Build { build, previous, .. } => {
            let facts = of_build(store, (build, previous), plan, url, log_lines, report, now)?;
            Ok(ReportFacts::Build(Box::new(facts)))
        }
    }
}

fn of_build(
    store: &Store,
    (id, previous): (BuildId, Option<Outcome>),
    plan: &Plan,
    url: &str,
    log_lines: u64,
    report: Report,
    now: Timestamp,
) -> Result<BuildFacts, CollectError> {
    let failed = |source| CollectError::Store { build: id, source };
    let build = store.build(id).map_err(failed)?.ok_or(CollectError::Removed(id))?;
    let builder = store.builder(build.builder).map_err(failed)?.unwrap_or_default();
    let steps = store.steps(id).map_err(failed)?;
    let buildset = buildset(store, &build).map_err(failed)?;
    let scheduler = buildset.as_ref().map(|set| store.maker_of(set)).transpose().map_err(failed)?;
    Ok(BuildFacts {
        installation: store.installation(),
        title: plan.master.title.clone(),
        url: plan.master.url.clone().unwrap_or_else(|| url.to_owned()),
        builder,
        worker: worker_name(store, &build).map_err(failed)?,
        buildset,
        scheduler: scheduler.unwrap_or_default(),
        changes: changes(store, &build).map_err(failed)?,
        excerpts: excerpts(store, &notify::guilty_steps(&build, &steps), log_lines).map_err(failed)?,
        report,
        build,
        steps,
        previous,
        now,
    })
}

fn worker_name(store: &Store, build: &BuildRecord) -> Result<String, StoreError> {
    let worker = store.workers()?.into_iter().find(|worker| worker.id == build.worker);
    Ok(worker.map(|worker| worker.name).unwrap_or_default())
}

fn buildset(store: &Store, build: &BuildRecord) -> Result<Option<BuildsetRecord>, StoreError> {
    store.request(build.request)?.map_or(Ok(None), |request| store.buildset(request.buildset))
}

fn changes(store: &Store, build: &BuildRecord) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    for id in &build.changes {
        changes.extend(store.change(*id)?);
    }
    Ok(changes)
}

/// The last lines of these steps' logs.
fn excerpts(store: &Store, steps: &[&StepRecord], lines: u64) -> Result<Vec<Excerpt>, StoreError> {
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

fn excerpt(store: &Store, step: &StepRecord, log: &LogRecord, lines: u64) -> Result<Option<Excerpt>, StoreError> {
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
