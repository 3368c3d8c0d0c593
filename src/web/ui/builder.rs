//! `/builders/NAME`: the builds of a builder, its waiting requests, and the forms that start it.

use askama::Template;
use warp::http::StatusCode;

use super::alerts::{self, AlertList};
use super::force::{Form, SubmittedForm, form};
use super::home::{project_href, project_title};
use super::page::{BuildRow, PageContext, PageError, PageFrame, PageResult, Permit, page};
use super::pending::{RequestRow, request_row};
use super::show::{Link, builder_href, worker_href};
use crate::model::{Action, AlertSubject, BuilderRecord, Object, RequestRecord};
use crate::store::Scan;

/// Builds on one page.
const SHOWN: usize = 25;
/// Waiting requests shown; the page of waiting ones has all.
const WAITING: usize = 10;
/// Newest requests looked through for those that wait.
const LOOKED: usize = 100;

#[derive(Template)]
#[template(path = "builder.html")]
struct Builder {
    frame: PageFrame,
    name: String,
    href: String,
    description: String,
    project: Option<Link>,
    tags: Vec<String>,
    active: bool,
    alerts: AlertList,
    workers: Vec<Link>,
    forms: Vec<Form>,
    may_force: Permit,
    builds: Vec<BuildRow>,
    waiting: Vec<RequestRow>,
    newest: bool,
    older: Option<u64>,
}

pub fn builder(context: &PageContext<'_>, named: &str) -> PageResult {
    let builder = context.builder(named)?;
    show(context, &builder, StatusCode::OK, None)
}

/// The page, with a form that was sent and refused.
pub fn show(
    context: &PageContext<'_>,
    builder: &BuilderRecord,
    status: StatusCode,
    typed: Option<&SubmittedForm>,
) -> PageResult {
    let before = context.number("before")?;
    let names = context.names()?;
    let part = Scan { after: before, descending: true, limit: SHOWN + 1 };
    let mut builds = context.store.builds_of_builder(builder.id, part)?;
    let older = (builds.len() > SHOWN).then(|| builds[SHOWN - 1].number);
    builds.truncate(SHOWN);
    let waiting = waiting(context, builder)?;
    let forms = forms(context, builder, typed)?;
    let may_force = if forms.is_empty() {
        Permit::silent()
    } else {
        context.permit(Action::Force, &Object::builder(&*builder.name))
    };
    let seen = |name: &&String| context.store.sees_worker(name);
    let worker = |name: &String| Link::new(worker_href(name), name);
    let mut frame = context.frame(&*builder.name, "builders", format!("/events?builder={}", builder.id));
    frame.moves = builds.iter().any(|build| build.completed.is_none()) || !waiting.is_empty();
    let view = Builder {
        frame,
        name: builder.name.clone(),
        href: builder_href(builder),
        description: builder.description.clone().unwrap_or_default(),
        project: project(context, builder)?,
        tags: builder.tags.clone(),
        active: builder.active,
        alerts: alerts::of(context, &AlertSubject::Builder(builder.name.clone())),
        workers: builder.workers.iter().filter(seen).map(worker).collect(),
        // What was typed is shown in any case, with what was wrong.
        forms: if may_force.allowed || typed.is_some() { forms } else { Vec::new() },
        may_force,
        builds: builds.iter().map(|build| context.row(build, builder, names.worker(build.worker))).collect(),
        waiting,
        newest: before.is_none(),
        older,
    };
    Ok(page(context.request, status, &view))
}

fn project(context: &PageContext<'_>, builder: &BuilderRecord) -> Result<Option<Link>, PageError> {
    let project = builder.project.map(|id| context.store.project(id)).transpose()?.flatten();
    Ok(project.map(|project| Link::new(project_href(&project), project_title(&project))))
}

fn forms(
    context: &PageContext<'_>,
    builder: &BuilderRecord,
    typed: Option<&SubmittedForm>,
) -> Result<Vec<Form>, PageError> {
    let mut forms = Vec::new();
    for plan in context.plan.schedulers.values().filter(|plan| plan.builders.contains(&builder.name)) {
        forms.extend(form(plan, builder, context.store.is_enabled(&plan.name)?, typed));
    }
    Ok(forms)
}

fn waiting(context: &PageContext<'_>, builder: &BuilderRecord) -> Result<Vec<RequestRow>, PageError> {
    let newest = Scan { after: None, descending: true, limit: LOOKED };
    let requests = context.store.requests_of_builder(builder.id, newest)?;
    let waits = |request: &&RequestRecord| {
        request.claimed.is_none() && request.completed.is_none() && request.collapsed_into.is_none()
    };
    requests.iter().filter(waits).take(WAITING).map(|request| request_row(context, request, builder)).collect()
}
