//! What differs between two configurations, in words.
//!
//! Places in files do not count, and functions count only as far as there is one or not: a function's number says
//! nothing about its text. When nothing else differs, what differs is the scripts.

use std::collections::BTreeMap;

use super::watch::is_replaced;
use crate::model::{
    BuilderPlan, ChangeSourcePlan, CollapsePolicy, FnId, ImportantFiles, LockPlan, MasterPlan, NotifierKind,
    NotifierPlan, Plan, PlanChange, Policy, SchedulerKind, SchedulerPlan, StepPlan, WorkerPlan,
};

/// All differences, by kind and name.
pub(super) fn compare(old: &Plan, new: &Plan) -> Vec<PlanChange> {
    let mut changes = Vec::new();
    compare_maps(&mut changes, "builder", &old.builders, &new.builders, same_builder, |_, _| false);
    compare_maps(&mut changes, "worker", &old.workers, &new.workers, same_worker, |_, _| false);
    compare_maps(&mut changes, "scheduler", &old.schedulers, &new.schedulers, same_scheduler, is_other_scheduler);
    compare_maps(&mut changes, "change source", &old.change_sources, &new.change_sources, same_source, is_other_source);
    compare_maps(&mut changes, "notifier", &old.notifiers, &new.notifiers, same_notifier, |_, _| false);
    compare_maps(&mut changes, "lock", &old.locks, &new.locks, same_lock, |_, _| false);
    for (name, differs) in [
        ("master", !same_master(&old.master, &new.master)),
        ("web", old.web != new.web),
        ("database", old.database != new.database),
        ("secrets", old.secrets != new.secrets),
        ("properties", old.properties != new.properties),
    ] {
        if differs {
            changes.push(change("settings", name, "changed"));
        }
    }
    if changes.is_empty() && old.digest != new.digest {
        changes.push(change("scripts", "", "changed"));
    }
    changes
}

fn change(kind: &str, name: &str, what: &str) -> PlanChange {
    PlanChange { kind: kind.to_owned(), name: name.to_owned(), what: what.to_owned() }
}

/// Differences of one kind of thing. `same` compares what counts, without copying anything; `other` tells whether the new
/// one only shares the name: then nothing of the old one's state fits it.
fn compare_maps<T>(
    changes: &mut Vec<PlanChange>,
    kind: &str,
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
    same: impl Fn(&T, &T) -> bool,
    other: impl Fn(&T, &T) -> bool,
) {
    for (name, item) in new {
        match old.get(name) {
            None => changes.push(change(kind, name, "added")),
            Some(before) if other(before, item) => changes.push(change(kind, name, "replaced")),
            Some(before) if !same(before, item) => changes.push(change(kind, name, "changed")),
            Some(_) => {}
        }
    }
    changes.extend(old.keys().filter(|name| !new.contains_key(*name)).map(|name| change(kind, name, "removed")));
}

/// A scheduler of another kind does not take over queues and moments.
fn is_other_scheduler(old: &SchedulerPlan, new: &SchedulerPlan) -> bool {
    std::mem::discriminant(&old.kind) != std::mem::discriminant(&new.kind)
}

/// What was seen of another repository says nothing about this one.
fn is_other_source(old: &ChangeSourcePlan, new: &ChangeSourcePlan) -> bool {
    is_replaced(&old.kind, &new.kind)
}

// The patterns below name every field, so that a new one shows here and cannot be forgotten.

fn same_builder(old: &BuilderPlan, new: &BuilderPlan) -> bool {
    let BuilderPlan {
        name,
        description,
        tags,
        workers,
        slots,
        slots_per_worker,
        locks,
        properties,
        env,
        dir,
        steps,
        collapse,
        priority,
        next_build,
        next_worker,
        can_start,
        on_lost,
        place: _,
    } = old;
    *name == new.name
        && *description == new.description
        && *tags == new.tags
        && *workers == new.workers
        && *slots == new.slots
        && *slots_per_worker == new.slots_per_worker
        && *locks == new.locks
        && *properties == new.properties
        && *env == new.env
        && *dir == new.dir
        && steps.len() == new.steps.len()
        && steps.iter().zip(&new.steps).all(|(old, new)| same_step(old, new))
        && same_option(collapse.as_ref(), new.collapse.as_ref(), same_collapse)
        && same_option(priority.as_ref(), new.priority.as_ref(), same_policy)
        && next_build.is_some() == new.next_build.is_some()
        && next_worker.is_some() == new.next_worker.is_some()
        && can_start.is_some() == new.can_start.is_some()
        && *on_lost == new.on_lost
}

fn same_step(old: &StepPlan, new: &StepPlan) -> bool {
    let StepPlan {
        name,
        body: _,
        do_if,
        hide_if,
        halt_on_failure,
        flunk_on_failure,
        flunk_on_warnings,
        warn_on_failure,
        warn_on_warnings,
        always_run,
        retries,
        retry_delay,
        locks,
        place: _,
    } = old;
    *name == new.name
        && do_if.is_some() == new.do_if.is_some()
        && hide_if.is_some() == new.hide_if.is_some()
        && *halt_on_failure == new.halt_on_failure
        && *flunk_on_failure == new.flunk_on_failure
        && *flunk_on_warnings == new.flunk_on_warnings
        && *warn_on_failure == new.warn_on_failure
        && *warn_on_warnings == new.warn_on_warnings
        && *always_run == new.always_run
        && *retries == new.retries
        && *retry_delay == new.retry_delay
        && *locks == new.locks
}

fn same_worker(old: &WorkerPlan, new: &WorkerPlan) -> bool {
    let WorkerPlan { name, password, tags, slots, locks, properties, place: _ } = old;
    *name == new.name
        && *password == new.password
        && *tags == new.tags
        && *slots == new.slots
        && *locks == new.locks
        && *properties == new.properties
}

fn same_lock(old: &LockPlan, new: &LockPlan) -> bool {
    let LockPlan { name, scope, count, count_for, place: _ } = old;
    *name == new.name && *scope == new.scope && *count == new.count && *count_for == new.count_for
}

fn same_source(old: &ChangeSourcePlan, new: &ChangeSourcePlan) -> bool {
    let ChangeSourcePlan { name, project, codebase, category, every, timeout, changes_max, kind, place: _ } = old;
    *name == new.name
        && *project == new.project
        && *codebase == new.codebase
        && *category == new.category
        && *every == new.every
        && *timeout == new.timeout
        && *changes_max == new.changes_max
        && *kind == new.kind
}

fn same_notifier(old: &NotifierPlan, new: &NotifierPlan) -> bool {
    let NotifierPlan { name, on, builders, tags, branches, kind, place: _ } = old;
    *name == new.name
        && *on == new.on
        && *builders == new.builders
        && *tags == new.tags
        && *branches == new.branches
        && same_notifier_kind(kind, &new.kind)
}

fn same_notifier_kind(old: &NotifierKind, new: &NotifierKind) -> bool {
    let essence = |kind: &NotifierKind| {
        let mut kind = kind.clone();
        functions_of(&mut kind).into_iter().for_each(|function| *function = function.map(|_| FnId(0)));
        kind
    };
    essence(old) == essence(new)
}

/// The user functions of a notifier; one line a kind.
fn functions_of(kind: &mut NotifierKind) -> Vec<&mut Option<FnId>> {
    match kind {
        NotifierKind::Mail(mail) => vec![&mut mail.subject, &mut mail.body, &mut mail.html],
        #[cfg(test)]
        NotifierKind::Paper(paper) => vec![&mut paper.line],
    }
}

fn same_scheduler(old: &SchedulerPlan, new: &SchedulerPlan) -> bool {
    let SchedulerPlan { name, builders, properties, properties_fn, codebases, priority, reason, kind, place: _ } = old;
    *name == new.name
        && *builders == new.builders
        && *properties == new.properties
        && properties_fn.is_some() == new.properties_fn.is_some()
        && *codebases == new.codebases
        && same_option(priority.as_ref(), new.priority.as_ref(), same_policy)
        && *reason == new.reason
        && essence(kind) == essence(&new.kind)
}

/// What counts of a scheduler's kind: whether there are functions, and not which.
fn essence(kind: &SchedulerKind) -> SchedulerKind {
    let mut kind = kind.clone();
    match &mut kind {
        SchedulerKind::Branch { filter, important, .. }
        | SchedulerKind::AnyBranch { filter, important, .. }
        | SchedulerKind::Periodic { filter, important, .. }
        | SchedulerKind::Nightly { filter, important, .. } => {
            filter.function = filter.function.map(|_| FnId(0));
            if let Some(ImportantFiles::Function(function)) = important {
                *function = FnId(0);
            }
        }
        SchedulerKind::Dependent { .. } | SchedulerKind::Triggerable | SchedulerKind::Force { .. } => {}
    }
    kind
}

fn same_master(old: &MasterPlan, new: &MasterPlan) -> bool {
    let MasterPlan { title, title_url, url, reconnect_grace, collapse } = old;
    *title == new.title
        && *title_url == new.title_url
        && *url == new.url
        && *reconnect_grace == new.reconnect_grace
        && same_collapse(collapse, &new.collapse)
}

fn same_option<T>(old: Option<&T>, new: Option<&T>, same: impl Fn(&T, &T) -> bool) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => same(old, new),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn same_policy<T: PartialEq>(old: &Policy<T>, new: &Policy<T>) -> bool {
    match (old, new) {
        (Policy::Fixed(old), Policy::Fixed(new)) => old == new,
        (Policy::Function(_), Policy::Function(_)) => true,
        (Policy::Fixed(_), Policy::Function(_)) | (Policy::Function(_), Policy::Fixed(_)) => false,
    }
}

fn same_collapse(old: &CollapsePolicy, new: &CollapsePolicy) -> bool {
    std::mem::discriminant(old) == std::mem::discriminant(new)
}
