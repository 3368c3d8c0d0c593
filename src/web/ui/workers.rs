//! `/workers`: all workers, and what they are doing; `/workers/NAME`: one worker, with its builds.

use askama::Template;
use warp::http::StatusCode;

use super::alerts::{self, AlertList};
use super::page::{BuildRow, Names, PageContext, PageError, PageFrame, PageResult, Permit, page};
use super::show::{Link, Moment, State, build_href, builder_href, count, worker_href};
use crate::master::RefusedWorker;
use crate::model::{Action, AlertSubject, BuildRecord, Object, WorkerRecord};
use crate::store::Scan;

/// Builds on one page of a worker.
const SHOWN: usize = 25;

struct WorkerRow {
    name: String,
    href: String,
    states: Vec<State>,
    pause_reason: String,
    paused: bool,
    since: Option<Moment>,
    active: bool,
    about: String,
    running: Vec<Link>,
    builders: usize,
    may_pause: Permit,
}

#[derive(Template)]
#[template(path = "workers.html")]
#[expect(clippy::struct_field_names, reason = "the names are those of the template")]
struct Workers {
    frame: PageFrame,
    workers: Vec<WorkerRow>,
    refused: Vec<RefusedRow>,
    gone: Vec<WorkerRow>,
    hides_some: bool,
}

/// A connection that was refused.
struct RefusedRow {
    name: String,
    peer: String,
    why: String,
    at: Moment,
    times: String,
}

#[derive(Template)]
#[template(path = "worker.html")]
struct OneWorker {
    frame: PageFrame,
    row: WorkerRow,
    alerts: AlertList,
    graceful: bool,
    connected: bool,
    info: Vec<(String, String)>,
    builders: Vec<Link>,
    builds: Vec<BuildRow>,
    newest: bool,
    older: Option<u64>,
}

pub fn list(context: &PageContext<'_>) -> PageResult {
    let names = context.names()?;
    let running = context.store.builds_running()?;
    let mut records = context.store.workers()?;
    records.sort_by(|left, right| left.name.cmp(&right.name));
    let rows = records.iter().map(|worker| row(context, worker, &names, &running));
    let (workers, gone) = rows.partition(|row: &WorkerRow| row.active);
    let mut frame = context.frame("Workers", "workers", "/events");
    frame.moves = true;
    let refused = refused_workers(context).iter().map(|worker| refused(context, worker)).collect();
    Ok(page(
        context.request,
        StatusCode::OK,
        &Workers { frame, workers, refused, gone, hides_some: context.store.hides_some() },
    ))
}

pub fn one(context: &PageContext<'_>, named: &str) -> PageResult {
    let names = context.names()?;
    let worker = find(context, named).or_else(|missing| stranger(context, named).ok_or(missing))?;
    let before = context.number("before")?;
    let part = Scan { after: before, descending: true, limit: SHOWN + 1 };
    let mut builds = context.store.builds_of_worker(worker.id, part)?;
    let older = (builds.len() > SHOWN).then(|| builds[SHOWN - 1].id.0);
    builds.truncate(SHOWN);
    let running = context.store.builds_running()?;
    let builders = names.builders.values().filter(|builder| builder.active && builder.workers.contains(&worker.name));
    let mut frame = context.frame(&*worker.name, "workers", "/events");
    frame.moves = true;
    let view = OneWorker {
        frame,
        row: row(context, &worker, &names, &running),
        alerts: alerts::of(context, &AlertSubject::Worker(worker.name.clone())),
        graceful: worker.graceful,
        connected: worker.connected,
        info: info(&worker),
        builders: builders.map(|builder| Link::new(builder_href(builder), &*builder.name)).collect(),
        builds: builds
            .iter()
            .map(|build| context.row(build, &names.builder(build.builder), Some(&worker.name)))
            .collect(),
        newest: before.is_none(),
        older,
    };
    Ok(page(context.request, StatusCode::OK, &view))
}

/// The worker that a part of a path names.
pub fn find(context: &PageContext<'_>, named: &str) -> Result<WorkerRecord, PageError> {
    let found = context.store.workers()?.into_iter().find(|worker| worker.name == named);
    found.ok_or_else(|| PageError::missing(format!("There is no worker called “{named}”.")))
}

/// A worker that the configuration does not have, and that was refused: its page says why.
fn stranger(context: &PageContext<'_>, named: &str) -> Option<WorkerRecord> {
    let was_refused = refused_workers(context).iter().any(|worker| worker.name == named);
    was_refused.then(|| WorkerRecord { name: named.to_owned(), ..WorkerRecord::default() })
}

fn row(context: &PageContext<'_>, worker: &WorkerRecord, names: &Names, running: &[BuildRecord]) -> WorkerRow {
    let mut states = vec![if worker.connected { State::ONLINE } else { State::OFFLINE }];
    states.extend(worker.paused.then_some(State::PAUSED));
    states.extend(worker.graceful.then_some(State::LEAVING));
    let own = running.iter().filter(|build| build.worker == worker.id).map(|build| {
        let builder = names.builder(build.builder);
        Link::new(build_href(&builder, build.number), format!("{} #{}", builder.name, build.number))
    });
    let can = |workers: &[String]| workers.contains(&worker.name);
    WorkerRow {
        name: worker.name.clone(),
        href: worker_href(&worker.name),
        states,
        pause_reason: worker.pause_reason.clone().unwrap_or_default(),
        paused: worker.paused,
        since: worker.since.map(|since| context.moment(since)),
        active: worker.active,
        about: about(worker),
        running: own.collect(),
        builders: names.builders.values().filter(|builder| builder.active && can(&builder.workers)).count(),
        may_pause: context.permit(Action::Pause, &Object::worker(&worker.name)),
    }
}

/// Workers that were refused: not for visitors who may only see some of the installation.
fn refused_workers(context: &PageContext<'_>) -> Vec<RefusedWorker> {
    if context.store.reads_operation() { context.control.refused_workers() } else { Vec::new() }
}

fn refused(context: &PageContext<'_>, worker: &RefusedWorker) -> RefusedRow {
    RefusedRow {
        name: worker.name.clone(),
        peer: worker.peer.map(|peer| peer.ip().to_string()).unwrap_or_default(),
        why: worker.why.clone(),
        at: context.moment(worker.at),
        times: count(worker.count, "time"),
    }
}

fn about(worker: &WorkerRecord) -> String {
    let word = |key: &str| worker.info.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
    let parts: Vec<&str> = [word("host"), word("system"), word("version")].into_iter().flatten().collect();
    parts.join(" · ")
}

/// What the worker has reported about itself, except its environment, which may contain secrets.
fn info(worker: &WorkerRecord) -> Vec<(String, String)> {
    let open = worker.info.iter().filter(|(key, _)| !key.starts_with("environ"));
    open.map(|(key, value)| (key.clone(), value.trim().to_owned())).collect()
}
