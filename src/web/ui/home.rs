//! `/`: every builder with its latest builds, running builds, waiting requests, and recent changes.

use askama::Template;
use warp::http::StatusCode;

use super::alerts::{self, AlertList};
use super::changes::{ChangeRow, change_row};
use super::page::{BuildRow, Names, PageError, PageFrame, PageResult, Visit, page};
use super::show::{Icon, Moment, State, build_href, builder_href, count, first_line};
use crate::model::{BuildRecord, BuilderRecord};
use crate::store::Scan;

/// Builders on one page: each costs the reading of its last builds.
const BUILDERS: usize = 100;
/// Last builds shown of each builder.
const LAST: usize = 8;
/// Running builds shown one by one.
const RUNNING: usize = 20;
/// Changes shown.
const CHANGES: usize = 8;
/// Waiting requests that are counted by builder; beyond, the total alone says enough.
const WAITING: usize = 500;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    frame: PageFrame,
    refused: Option<Refused>,
    alerts: AlertList,
    summary: String,
    builders: Vec<BuilderLine>,
    running: Vec<BuildRow>,
    more_running: usize,
    changes: Vec<ChangeRow>,
    filter: String,
    tag: String,
    tags: Vec<String>,
    shown: String,
    next: Option<String>,
}

/// A configuration that was refused.
struct Refused {
    at: Moment,
    report: String,
}

struct BuilderLine {
    name: String,
    href: String,
    description: String,
    tags: Vec<String>,
    latest: Option<Latest>,
    last: Vec<Mark>,
    running: usize,
    waiting: usize,
}

struct Latest {
    href: String,
    number: u64,
    state: State,
    text: String,
    started: Moment,
}

/// One of the last builds.
struct Mark {
    href: String,
    word: &'static str,
    icon: Icon,
    title: String,
}

pub fn home(visit: &Visit<'_>) -> PageResult {
    let names = visit.names()?;
    let running = visit.store.builds_running()?;
    let waiting = visit.store.requests_waiting(Scan { after: None, descending: false, limit: WAITING })?;
    let filter = visit.request.query_value("q").unwrap_or_default();
    let tag = visit.request.query_value("tag").unwrap_or_default();
    let first = usize::try_from(visit.number("from")?.unwrap_or(0)).unwrap_or(usize::MAX);
    let wanted = wanted(&names, &filter, &tag);
    let lines: Vec<BuilderLine> = wanted
        .iter()
        .skip(first)
        .take(BUILDERS)
        .map(|builder| {
            let runs = running.iter().filter(|build| build.builder == builder.id).count();
            let waits = waiting.iter().filter(|request| request.builder == builder.id).count();
            line(visit, builder, runs, waits)
        })
        .collect::<Result<_, _>>()?;
    let next = (wanted.len() > first.saturating_add(BUILDERS))
        .then(|| format!("?q={}&tag={}&from={}", encoded(&filter), encoded(&tag), first + BUILDERS));
    let waits = if waiting.len() == WAITING { format!("{WAITING} or more") } else { waiting.len().to_string() };
    let mut frame = visit.frame("Builders", "builders", "/events");
    frame.moves = !running.is_empty() || !waiting.is_empty();
    let view = Home {
        refused: refused(visit)?,
        alerts: alerts::all(visit),
        summary: format!("{} running, {waits} waiting", running.len()),
        shown: if wanted.len() > lines.len() {
            format!("{} of {}", lines.len(), count(wanted.len() as u64, "builder"))
        } else {
            count(wanted.len() as u64, "builder")
        },
        builders: lines,
        running: running.iter().rev().take(RUNNING).map(|build| running_row(visit, &names, build)).collect(),
        more_running: running.len().saturating_sub(RUNNING),
        changes: recent(visit)?,
        tags: tags(&names),
        filter,
        tag,
        next,
        frame,
    };
    Ok(page(visit.request, StatusCode::OK, &view))
}

fn wanted<'a>(names: &'a Names, filter: &str, tag: &str) -> Vec<&'a BuilderRecord> {
    let part = filter.trim().to_lowercase();
    let mut wanted: Vec<&BuilderRecord> = names
        .builders
        .values()
        .filter(|builder| builder.active)
        .filter(|builder| part.is_empty() || builder.name.to_lowercase().contains(&part))
        .filter(|builder| tag.is_empty() || builder.tags.iter().any(|own| own == tag))
        .collect();
    wanted.sort_by(|left, right| left.name.cmp(&right.name));
    wanted
}

fn tags(names: &Names) -> Vec<String> {
    let active = names.builders.values().filter(|builder| builder.active);
    let mut tags: Vec<String> = active.flat_map(|builder| builder.tags.clone()).collect();
    tags.sort_unstable();
    tags.dedup();
    tags
}

fn line(visit: &Visit<'_>, builder: &BuilderRecord, running: usize, waiting: usize) -> Result<BuilderLine, PageError> {
    let last = visit.store.builds_of_builder(builder.id, Scan { after: None, descending: true, limit: LAST })?;
    Ok(BuilderLine {
        name: builder.name.clone(),
        href: builder_href(builder),
        description: first_line(builder.description.as_deref().unwrap_or_default(), 120),
        tags: builder.tags.clone(),
        latest: last.first().map(|build| Latest {
            href: build_href(builder, build.number),
            number: build.number,
            state: State::of(build.outcome),
            text: build.state.clone(),
            started: visit.moment(build.started),
        }),
        // Oldest first: time runs from left to right.
        last: last.iter().rev().map(|build| mark(builder, build)).collect(),
        running,
        waiting,
    })
}

fn mark(builder: &BuilderRecord, build: &BuildRecord) -> Mark {
    let state = State::of(build.outcome);
    Mark {
        href: build_href(builder, build.number),
        word: state.word,
        icon: Icon(state.word),
        title: format!("#{}: {}", build.number, build.state),
    }
}

fn running_row(visit: &Visit<'_>, names: &Names, build: &BuildRecord) -> BuildRow {
    visit.row(build, &names.builder(build.builder), names.worker(build.worker))
}

fn recent(visit: &Visit<'_>) -> Result<Vec<ChangeRow>, PageError> {
    let changes = visit.store.changes(Scan { after: None, descending: true, limit: CHANGES })?;
    Ok(changes.iter().map(|change| change_row(visit, change)).collect())
}

fn refused(visit: &Visit<'_>) -> Result<Option<Refused>, PageError> {
    let refused = visit.store.plan_refused()?;
    Ok(refused.map(|(at, report)| Refused { at: visit.moment(at), report }))
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
