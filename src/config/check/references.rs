//! Names that one declaration uses and another one makes: checked when all files are done.

use std::collections::BTreeSet;

use super::super::args::unknown_hint;
use super::super::collect::{Collector, Kind, Reference, Wanted};
use super::cycles::circle;
use crate::base::nearest;
use crate::model::{Plan, SchedulerKind};

/// Checks all names and resolves tags. `complete` is false when some file ended early: what it would
/// have declared is unknown, so nothing is said about missing names.
pub(in crate::config) fn finish_plan(collector: &Collector, complete: bool) -> Plan {
    let mut plan = collector.plan.take();
    if complete {
        for reference in collector.references.take() {
            check(collector, &plan, &reference);
        }
        note_circles(collector, &plan);
        super::directories::note_shared(collector, &plan);
    }
    resolve_workers(&mut plan);
    plan
}

fn check(collector: &Collector, plan: &Plan, reference: &Reference) {
    let name = reference.name.as_str();
    let known = known_names(plan, reference.wanted);
    if known.contains(name) {
        return note_wrong_kind(collector, plan, reference);
    }
    let what = match reference.wanted {
        Wanted::WorkerOrTag => "worker or tag",
        Wanted::Worker => Kind::Worker.word(),
        Wanted::Builder => Kind::Builder.word(),
        Wanted::BuilderTag => "builder with tag",
        Wanted::Scheduler | Wanted::Triggerable => Kind::Scheduler.word(),
        Wanted::Lock => Kind::Lock.word(),
    };
    let hint =
        if known.is_empty() { format!("no {what} is declared") } else { unknown_hint(name, known.iter().copied()) };
    collector.note(reference.spot.clone(), format!("{}: there is no {what} `{name}`", reference.by), Some(hint));
}

fn known_names(plan: &Plan, wanted: Wanted) -> BTreeSet<&str> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    match wanted {
        Wanted::WorkerOrTag => {
            names.extend(plan.workers.keys().map(String::as_str));
            names.extend(plan.workers.values().flat_map(|worker| worker.tags.iter().map(String::as_str)));
        }
        Wanted::Worker => names.extend(plan.workers.keys().map(String::as_str)),
        Wanted::Builder => names.extend(plan.builders.keys().map(String::as_str)),
        Wanted::BuilderTag => {
            names.extend(plan.builders.values().flat_map(|builder| builder.tags.iter().map(String::as_str)));
        }
        Wanted::Scheduler | Wanted::Triggerable => names.extend(plan.schedulers.keys().map(String::as_str)),
        Wanted::Lock => names.extend(plan.locks.keys().map(String::as_str)),
    }
    names
}

fn note_wrong_kind(collector: &Collector, plan: &Plan, reference: &Reference) {
    let scheduler = plan.schedulers.get(&reference.name);
    let triggerable = scheduler.is_some_and(|scheduler| scheduler.kind == SchedulerKind::Triggerable);
    if reference.wanted == Wanted::Triggerable && !triggerable {
        let names = plan.schedulers.values().filter(|other| other.kind == SchedulerKind::Triggerable);
        let names: Vec<&str> = names.map(|other| other.name.as_str()).collect();
        let hint = nearest(&reference.name, names.iter().copied())
            .map_or_else(|| "declare it with triggerable(...)".to_owned(), |name| format!("did you mean `{name}`?"));
        let message = format!("{}: scheduler `{}` cannot be triggered", reference.by, reference.name);
        collector.note(reference.spot.clone(), message, Some(hint));
    }
}

/// Schedulers that wait for each other would never start.
fn note_circles(collector: &Collector, plan: &Plan) {
    let upstream = |name: &str| match &plan.schedulers.get(name)?.kind {
        SchedulerKind::Dependent { upstream } => Some(upstream.as_str()),
        _ => None,
    };
    for names in circle(plan.schedulers.keys().map(String::as_str), upstream) {
        let message = format!("schedulers wait for each other in a circle: {}", names.join(" -> "));
        let hint = "one of them has to start by itself".to_owned();
        collector.note(collector.spot_of(Kind::Scheduler, names[0]), message, Some(hint));
    }
}

/// Names and tags of workers, in the order given, become names; each worker once.
fn resolve_workers(plan: &mut Plan) {
    let Plan { workers, builders, .. } = plan;
    for builder in builders.values_mut() {
        let mut resolved: Vec<String> = Vec::new();
        for asked in &builder.workers {
            let tagged = workers.values().filter(|worker| worker.tags.contains(asked));
            let names = match workers.get(asked) {
                Some(worker) => vec![worker.name.clone()],
                None => tagged.map(|worker| worker.name.clone()).collect(),
            };
            let fresh: Vec<String> = names.into_iter().filter(|name| !resolved.contains(name)).collect();
            resolved.extend(fresh);
        }
        builder.workers = resolved;
    }
}
