//! `/builders/NAME/builds/N`: one build, with its steps, logs, sources and reason.

use std::collections::{BTreeMap, BTreeSet};

use askama::Template;
use warp::http::StatusCode;

use super::alerts::{self, AlertList};
use super::changes::{ChangeRow, change_row};
use super::lines::{LogRow, rows};
use super::page::{BuildRow, PageContext, PageError, PageFrame, PageResult, Permit, page};
use super::pending::sources;
use super::show::{Elapsed, Link, Moment, State, build_href, builder_href, count, safe_href, worker_href};
use super::tests::{SetRow, ValueRow};
use crate::model::{
    Action, AlertSubject, Artifact, ArtifactRecord, BuildId, BuildRecord, BuilderRecord, LogKind, LogRecord, Object,
    Outcome, StepId, StepRecord,
};
use crate::store::Scan;

/// Last lines of a running or failed step that show without a click.
const TAIL: u64 = 20;
/// Steps whose last lines show: a build with a hundred failed steps needs no hundred tails.
const TAILS: usize = 4;
/// Changes shown; a first build may have thousands.
const CHANGES: usize = 30;
/// Artifacts shown; a directory may have thousands of files. All of them are in the API.
const ARTIFACTS: usize = 200;

#[derive(Template)]
#[template(path = "build.html")]
struct Build {
    frame: PageFrame,
    builder: Link,
    builder_name: String,
    id: u64,
    number: u64,
    state: State,
    text: String,
    running: bool,
    reason: String,
    scheduler: String,
    started: Moment,
    elapsed: Elapsed,
    worker: Option<Link>,
    source: String,
    requests: Vec<Link>,
    parent: Option<Link>,
    locks_waited: Option<String>,
    plan: String,
    steps: Vec<StepRow>,
    hidden: Vec<StepRow>,
    changes: Vec<ChangeRow>,
    more_changes: usize,
    tests: Vec<SetRow>,
    values: Vec<ValueRow>,
    properties: Vec<PropertyRow>,
    triggered: Vec<BuildRow>,
    undelivered: Vec<Undelivered>,
    artifacts: Vec<ArtifactRow>,
    more_artifacts: usize,
    alerts: AlertList,
    previous: Option<Link>,
    next: Option<Link>,
    /// To stop it, or to build it again.
    permit: Permit,
}

/// A report on the build that did not arrive as it was meant.
struct Undelivered {
    notifier: String,
    given_up: bool,
    at: Moment,
    why: String,
}

/// A file that the build left behind.
struct ArtifactRow {
    link: Link,
    size: String,
    digest: String,
}

struct StepRow {
    number: u64,
    depth: usize,
    name: String,
    state: State,
    text: String,
    elapsed: Elapsed,
    links: Vec<Link>,
    /// Links that lead where a page must not.
    plain_links: Vec<(String, String)>,
    logs: Vec<LogLink>,
    tail: Vec<LogRow>,
    tail_of: String,
}

struct LogLink {
    name: String,
    href: String,
    lines: String,
    deleted: bool,
}

struct PropertyRow {
    name: String,
    value: String,
    source: String,
}

/// The build that a part of a path names.
pub fn find(context: &PageContext<'_>, builder: &BuilderRecord, number: &str) -> Result<BuildRecord, PageError> {
    let missing = || PageError::missing(format!("Builder “{}” has no build {number}.", builder.name));
    let number = number.parse().map_err(|_| missing())?;
    context.store.build_by_number(builder.id, number)?.ok_or_else(missing)
}

/// The address of the build with a global id.
pub fn place(context: &PageContext<'_>, id: &str) -> Result<String, PageError> {
    let missing = || PageError::missing(format!("There is no build with the id {id}."));
    let build = id.parse().map(BuildId).map_err(|_| missing())?;
    let build = context.store.build(build)?.ok_or_else(missing)?;
    Ok(build_href(&context.builder(&build.builder.to_string())?, build.number))
}

pub fn build(context: &PageContext<'_>, named: &str, number: &str) -> PageResult {
    let builder = context.builder(named)?;
    let build = find(context, &builder, number)?;
    let names = context.names()?;
    let request = context.store.request(build.request)?;
    let set = request.map(|request| context.store.buildset(request.buildset)).transpose()?.flatten();
    let running = build.completed.is_none();
    let (steps, hidden) = steps(context, &builder, &build)?;
    let changes = changes(context, &build)?;
    let (tests, values) = super::tests::of_build(context, &builder, &build)?;
    let triggered = context.store.builds_triggered_by(build.id)?;
    let artifacts = context.store.artifacts(build.id)?;
    let mut frame = context.frame(
        format!("{} #{}: {}", builder.name, build.number, State::of(build.outcome).word),
        "builders",
        format!("/events?build={}", build.id),
    );
    (frame.moves, frame.polls) = (running, running);
    let view = Build {
        frame,
        builder: Link::new(builder_href(&builder), &*builder.name),
        builder_name: builder.name.clone(),
        id: build.id.0,
        number: build.number,
        state: State::of(build.outcome),
        text: build.state.clone(),
        running,
        reason: set.as_ref().map(|set| set.reason.clone()).unwrap_or_default(),
        scheduler: set.as_ref().map(|set| context.store.maker_of(set)).transpose()?.unwrap_or_default(),
        started: context.moment(build.started),
        elapsed: Elapsed::between(Some(build.started), build.completed, context.now),
        worker: names.worker(build.worker).map(|name| Link::new(worker_href(name), name)),
        source: Some(super::page::source(&build))
            .filter(|source| !source.is_empty())
            .or_else(|| set.as_ref().map(|set| sources(&set.stamps)))
            .unwrap_or_default(),
        requests: build.requests.iter().map(|id| Link::new(format!("/requests/{id}"), id.to_string())).collect(),
        parent: set.and_then(|set| set.parent).map(|id| Link::new(format!("/builds/{id}"), format!("build {id}"))),
        locks_waited: (build.locks_wait_ms >= 1000)
            .then(|| crate::base::Span::from_millis(build.locks_wait_ms).to_string()),
        plan: build.plan.0.chars().take(12).collect(),
        steps,
        hidden,
        more_changes: build.changes.len().saturating_sub(CHANGES),
        changes,
        tests,
        values,
        properties: properties(&build),
        undelivered: undelivered(context, &build)?,
        more_artifacts: artifacts.len().saturating_sub(ARTIFACTS),
        artifacts: artifacts.into_iter().take(ARTIFACTS).map(|record| artifact_row(&builder, &build, record)).collect(),
        alerts: alerts::of(context, &AlertSubject::Build(build.id)),
        permit: context.permit(
            if running { Action::Stop } else { Action::Rebuild },
            &Object::owned(&*builder.name, &build.properties),
        ),
        triggered: triggered
            .iter()
            .map(|other| context.row(other, &names.builder(other.builder), names.worker(other.worker)))
            .collect(),
        previous: neighbour(context, &builder, &build, true)?,
        next: neighbour(context, &builder, &build, false)?,
    };
    Ok(page(context.request, StatusCode::OK, &view))
}

fn artifact_row(builder: &BuilderRecord, build: &BuildRecord, record: ArtifactRecord) -> ArtifactRow {
    let Artifact { name, size, digest, .. } = record.artifact;
    let path: Vec<String> = name.split('/').map(crate::web::request::encode).collect();
    let href = format!("{}/artifacts/{}", build_href(builder, build.number), path.join("/"));
    ArtifactRow { link: Link::new(href, name), size: bytes(size), digest: digest.0 }
}

/// Bytes for people.
fn bytes(count: u64) -> String {
    match count {
        0..1_024 => super::show::count(count, "byte"),
        1_024..0x10_0000 => format!("{} KiB", count >> 10),
        0x10_0000..0x4000_0000 => format!("{} MiB", count >> 20),
        _ => format!("{}.{} GiB", count >> 30, (count >> 20 & 1_023) * 10 / 1_024),
    }
}

/// Reports on this build that were given up, or not delivered as they were meant.
fn undelivered(context: &PageContext<'_>, build: &BuildRecord) -> Result<Vec<Undelivered>, PageError> {
    let mut records = context.store.undelivered()?;
    records.retain(|record| record.report.subject.build() == Some(build.id));
    let told = records.into_iter().map(|record| Undelivered {
        notifier: record.report.notifier,
        given_up: record.given_up,
        at: context.moment(record.at),
        why: record.why,
    });
    Ok(told.collect())
}

fn neighbour(
    context: &PageContext<'_>,
    builder: &BuilderRecord,
    build: &BuildRecord,
    descending: bool,
) -> Result<Option<Link>, PageError> {
    let part = Scan { after: Some(build.number), descending, limit: 1 };
    let other = context.store.builds_of_builder(builder.id, part)?.into_iter().next();
    Ok(other.map(|other| Link::new(build_href(builder, other.number), format!("#{}", other.number))))
}

/// The steps in their order, children below their parents; hidden ones apart.
fn steps(
    context: &PageContext<'_>,
    builder: &BuilderRecord,
    build: &BuildRecord,
) -> Result<(Vec<StepRow>, Vec<StepRow>), PageError> {
    let records = context.store.steps(build.id)?;
    let parents: BTreeSet<StepId> = records.iter().filter_map(|step| step.parent).collect();
    let mut tails = TAILS;
    let (mut shown, mut hidden) = (Vec::new(), Vec::new());
    for (depth, step) in in_order(&records) {
        let failed_or_runs = matches!(step.outcome, None | Some(Outcome::Failure | Outcome::Exception));
        let speaks = failed_or_runs && !parents.contains(&step.id);
        let mut row = step_row(context, builder, build, step, depth)?;
        if speaks && tails > 0 && add_tail(context, step, &mut row)? {
            tails -= 1;
        }
        if step.hidden { hidden.push(row) } else { shown.push(row) }
    }
    Ok((shown, hidden))
}

/// Steps with their depth; those whose parent is not there stand at the top.
fn in_order(records: &[StepRecord]) -> Vec<(usize, &StepRecord)> {
    let known: BTreeMap<StepId, &StepRecord> = records.iter().map(|step| (step.id, step)).collect();
    let mut children: BTreeMap<Option<StepId>, Vec<&StepRecord>> = BTreeMap::new();
    for step in records {
        let parent = step.parent.filter(|parent| known.contains_key(parent) && *parent != step.id);
        children.entry(parent).or_default().push(step);
    }
    let mut out = Vec::new();
    let mut open: Vec<(usize, &StepRecord)> = top(&children, None, 0);
    while let Some((depth, step)) = open.pop() {
        out.push((depth, step));
        open.extend(top(&children, Some(step.id), depth + 1));
    }
    out
}

fn top<'a>(
    children: &BTreeMap<Option<StepId>, Vec<&'a StepRecord>>,
    parent: Option<StepId>,
    depth: usize,
) -> Vec<(usize, &'a StepRecord)> {
    children.get(&parent).into_iter().flatten().rev().map(|step| (depth, *step)).collect()
}

fn step_row(
    context: &PageContext<'_>,
    builder: &BuilderRecord,
    build: &BuildRecord,
    step: &StepRecord,
    depth: usize,
) -> Result<StepRow, PageError> {
    let base = format!("{}/steps/{}/logs", build_href(builder, build.number), step.number);
    let (links, plain): (Vec<_>, Vec<_>) = step.urls.iter().partition(|url| safe_href(&url.url).is_some());
    Ok(StepRow {
        number: step.number,
        depth: depth.min(6),
        name: step.name.clone(),
        state: State::of(step.outcome),
        // Many steps say nothing but their name, which stands above.
        text: if step.state == step.name { String::new() } else { step.state.clone() },
        elapsed: Elapsed::between(step.started, step.completed, context.now),
        links: links.into_iter().map(|url| Link::new(&*url.url, &*url.name)).collect(),
        plain_links: plain.into_iter().map(|url| (url.name.clone(), url.url.clone())).collect(),
        logs: logs(context, step)?
            .into_iter()
            .map(|log| LogLink {
                href: format!("{base}/{}", crate::web::request::encode(&log.slug)),
                lines: count(log.lines, "line"),
                deleted: log.kind == LogKind::Deleted,
                name: log.name,
            })
            .collect(),
        tail: Vec::new(),
        tail_of: String::new(),
    })
}

/// The logs of a step, with the present number of their lines.
pub fn logs(context: &PageContext<'_>, step: &StepRecord) -> Result<Vec<LogRecord>, PageError> {
    let mut logs = context.store.logs_of_step(step.id)?;
    for log in &mut logs {
        if !log.complete
            && let Some(now) = context.store.log(log.id)?
        {
            *log = now;
        }
    }
    Ok(logs)
}

/// The end of the step's first log that has lines.
fn add_tail(context: &PageContext<'_>, step: &StepRecord, row: &mut StepRow) -> Result<bool, PageError> {
    let logs = logs(context, step)?;
    let Some(log) = logs.iter().find(|log| log.lines > 0 && matches!(log.kind, LogKind::Stdio | LogKind::Text)) else {
        return Ok(false);
    };
    let lines = context.store.logs().tail(log.build, log.id, TAIL)?;
    let first = log.lines.saturating_sub(lines.len() as u64);
    row.tail = rows(&lines, first, None);
    row.tail_of.clone_from(&log.name);
    Ok(true)
}

fn changes(context: &PageContext<'_>, build: &BuildRecord) -> Result<Vec<ChangeRow>, PageError> {
    let mut out = Vec::new();
    for id in build.changes.iter().rev().take(CHANGES) {
        out.extend(context.store.change_of(build, *id)?.map(|change| change_row(context, &change)));
    }
    Ok(out)
}

fn properties(build: &BuildRecord) -> Vec<PropertyRow> {
    let all = build.properties.0.iter();
    all.map(|(name, property)| PropertyRow {
        name: name.clone(),
        value: property.value.to_string(),
        source: property.source.clone(),
    })
    .collect()
}
