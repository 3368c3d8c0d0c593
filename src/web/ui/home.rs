//! `/`: every builder with its latest builds, running builds, waiting requests, and recent changes; `/projects/NAME`: the same of
//! one project.

use askama::Template;
use warp::http::StatusCode;

use super::alerts::{self, AlertList};
use super::changes::{ChangeRow, change_row};
use super::page::{BuildRow, Names, PageContext, PageError, PageFrame, PageResult, Permit, page};
use super::show::{Icon, Link, Moment, State, build_href, builder_href, codebase_href, count, first_line, safe_href};
use crate::model::{Action, BuildRecord, BuilderRecord, CodebaseRecord, Object, ProjectRecord};
use crate::store::Scan;
use crate::web::request::encode;

/// Builders on one page: each costs the reading of its last builds.
const BUILDERS: usize = 100;
/// Last builds shown of each builder.
const LAST: usize = 8;
/// Running builds shown one by one.
const RUNNING: usize = 20;
/// Changes shown.
const CHANGES: usize = 8;
/// The newest changes, among which those of a project are looked for.
const CHANGES_LOOKED: usize = 500;
/// Waiting requests that are counted by builder; beyond, the total alone says enough.
const WAITING: usize = 500;

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    frame: PageFrame,
    title: String,
    /// The path of this page.
    path: String,
    project: Option<ProjectHead>,
    projects: Vec<Link>,
    refused: Option<Refused>,
    may_reload: Permit,
    hides_some: bool,
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

/// What is told of a project.
struct ProjectHead {
    description: String,
    codebases: Vec<Link>,
    links: Vec<(String, String)>,
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

pub fn home(context: &PageContext<'_>) -> PageResult {
    show(context, None)
}

/// The page of a project.
pub fn project(context: &PageContext<'_>, name: &str) -> PageResult {
    let missing = || PageError::missing(format!("There is no project called “{name}”."));
    let project = context.store.project_named(name)?.ok_or_else(missing)?;
    show(context, Some(&project))
}

/// The builders and what they do, of one project or of all.
fn show(context: &PageContext<'_>, project: Option<&ProjectRecord>) -> PageResult {
    let mut names = context.names()?;
    let mut running = context.store.builds_running()?;
    if let Some(project) = project {
        names.builders.retain(|_, builder| builder.project == Some(project.id));
        running.retain(|build| names.builders.contains_key(&build.builder));
    }
    let waiting = context.store.requests_waiting(Scan { after: None, descending: false, limit: WAITING })?;
    let filter = context.request.query_value("q").unwrap_or_default();
    let tag = context.request.query_value("tag").unwrap_or_default();
    let first = usize::try_from(context.number("from")?.unwrap_or(0)).unwrap_or(usize::MAX);
    let wanted = wanted(&names, &filter, &tag);
    let lines: Vec<BuilderLine> = wanted
        .iter()
        .skip(first)
        .take(BUILDERS)
        .map(|builder| {
            let runs = running.iter().filter(|build| build.builder == builder.id).count();
            let waits = waiting.iter().filter(|request| request.builder == builder.id).count();
            line(context, builder, runs, waits)
        })
        .collect::<Result<_, _>>()?;
    let next = (wanted.len() > first.saturating_add(BUILDERS))
        .then(|| format!("?q={}&tag={}&from={}", encoded(&filter), encoded(&tag), first + BUILDERS));
    let waits = if waiting.len() == WAITING { format!("{WAITING} or more") } else { waiting.len().to_string() };
    let title = project.map_or_else(|| "Builders".to_owned(), project_title);
    let path = project.map_or_else(|| "/".to_owned(), project_href);
    let mut frame = context.frame(title.clone(), "builders", "/events");
    frame.moves = !running.is_empty() || !waiting.is_empty();
    let view = Home {
        title,
        path,
        project: project.map(|project| head(context, project)).transpose()?,
        projects: if project.is_none() { projects(context)? } else { Vec::new() },
        refused: if project.is_none() { refused(context)? } else { None },
        may_reload: context.permit(Action::Reload, &Object::Installation),
        hides_some: context.store.hides_some(),
        alerts: if project.is_none() { alerts::all(context) } else { AlertList::none() },
        summary: format!("{} running, {waits} waiting", running.len()),
        shown: if wanted.len() > lines.len() {
            format!("{} of {}", lines.len(), count(wanted.len() as u64, "builder"))
        } else {
            count(wanted.len() as u64, "builder")
        },
        builders: lines,
        running: running.iter().rev().take(RUNNING).map(|build| running_row(context, &names, build)).collect(),
        more_running: running.len().saturating_sub(RUNNING),
        changes: recent(context, project)?,
        tags: tags(&names),
        filter,
        tag,
        next,
        frame,
    };
    Ok(page(context.request, StatusCode::OK, &view))
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

fn line(
    context: &PageContext<'_>,
    builder: &BuilderRecord,
    running: usize,
    waiting: usize,
) -> Result<BuilderLine, PageError> {
    let last = context.store.builds_of_builder(builder.id, Scan { after: None, descending: true, limit: LAST })?;
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
            started: context.moment(build.started),
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

fn running_row(context: &PageContext<'_>, names: &Names, build: &BuildRecord) -> BuildRow {
    context.row(build, &names.builder(build.builder), names.worker(build.worker))
}

/// The newest changes; those of a project among the newest of all.
fn recent(context: &PageContext<'_>, project: Option<&ProjectRecord>) -> Result<Vec<ChangeRow>, PageError> {
    let limit = if project.is_some() { CHANGES_LOOKED } else { CHANGES };
    let mut changes = context.store.changes(Scan { after: None, descending: true, limit })?;
    changes.retain(|change| project.is_none_or(|project| change.data.project == project.name));
    Ok(changes.iter().take(CHANGES).map(|change| change_row(context, change)).collect())
}

/// The projects in force.
fn projects(context: &PageContext<'_>) -> Result<Vec<Link>, PageError> {
    let projects = context.store.projects()?;
    let active = projects.iter().filter(|project| project.active);
    Ok(active.map(|project| Link::new(project_href(project), project_title(project))).collect())
}

fn head(context: &PageContext<'_>, project: &ProjectRecord) -> Result<ProjectHead, PageError> {
    let links = project.about.links.iter().filter(|(_, url)| safe_href(url).is_some()).cloned();
    let codebases = context.store.codebases()?.into_iter();
    let own = codebases.filter(|codebase| codebase.active && codebase.project == Some(project.id));
    let link = |codebase: CodebaseRecord| {
        let title = codebase.about.about.title.unwrap_or_else(|| codebase.name.clone());
        Link::new(codebase_href(&codebase.name), title)
    };
    Ok(ProjectHead {
        description: project.about.description.clone().unwrap_or_default(),
        codebases: own.map(link).collect(),
        links: links.collect(),
    })
}

/// The name of a project for people.
pub fn project_title(project: &ProjectRecord) -> String {
    project.about.title.clone().unwrap_or_else(|| project.name.clone())
}

/// The page of a project.
pub fn project_href(project: &ProjectRecord) -> String {
    format!("/projects/{}", encode(&project.name))
}

fn refused(context: &PageContext<'_>) -> Result<Option<Refused>, PageError> {
    let refused = context.store.plan_refused()?;
    Ok(refused.map(|(at, report)| Refused { at: context.moment(at), report }))
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
