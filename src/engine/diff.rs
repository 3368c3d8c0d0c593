//! What differs between two configurations, in words.
//!
//! Places in files do not count, and functions count only as far as there is one or not: a function's number says
//! nothing about its text. When nothing else differs, what differs is the scripts.

use std::collections::BTreeMap;

use crate::model::{
    BuilderPlan, ChangeSourceKind, ChangeSourcePlan, CollapsePolicy, FnId, ImportantFiles, LockPlan, MailPlan,
    NotifierKind, NotifierPlan, Plan, PlanChange, Policy, SchedulerKind, SchedulerPlan, SourcePlace, StepPlan,
    WorkerPlan,
};

/// All differences, by kind and name.
pub(super) fn compare(old: &Plan, new: &Plan) -> Vec<PlanChange> {
    let mut changes = Vec::new();
    compare_maps(&mut changes, "builder", &old.builders, &new.builders, builder, |_, _| false);
    compare_maps(&mut changes, "worker", &old.workers, &new.workers, worker, |_, _| false);
    compare_maps(&mut changes, "scheduler", &old.schedulers, &new.schedulers, scheduler, is_other_scheduler);
    compare_maps(&mut changes, "change source", &old.change_sources, &new.change_sources, source, is_other_source);
    compare_maps(&mut changes, "notifier", &old.notifiers, &new.notifiers, notifier, |_, _| false);
    compare_maps(&mut changes, "lock", &old.locks, &new.locks, lock, |_, _| false);
    for (name, differs) in [
        ("master", master(old) != master(new)),
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

/// Differences of one kind of thing. `essence` leaves only what counts; `other` tells whether the new one only shares
/// the name: then nothing of the old one's state fits it.
fn compare_maps<T: Clone + PartialEq>(
    changes: &mut Vec<PlanChange>,
    kind: &str,
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
    essence: impl Fn(T) -> T,
    other: impl Fn(&T, &T) -> bool,
) {
    for (name, item) in new {
        match old.get(name) {
            None => changes.push(change(kind, name, "added")),
            Some(before) if other(before, item) => changes.push(change(kind, name, "replaced")),
            Some(before) if essence(before.clone()) != essence(item.clone()) => {
                changes.push(change(kind, name, "changed"));
            }
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
    let ChangeSourceKind::Git { repository: before, .. } = &old.kind;
    let ChangeSourceKind::Git { repository: after, .. } = &new.kind;
    before != after
}

const SOME: FnId = FnId(0);

fn builder(mut plan: BuilderPlan) -> BuilderPlan {
    plan.place = SourcePlace::default();
    plan.collapse = plan.collapse.map(collapse);
    plan.priority = plan.priority.map(policy);
    for function in [&mut plan.next_build, &mut plan.next_worker, &mut plan.can_start] {
        *function = function.map(|_| SOME);
    }
    plan.steps = plan.steps.into_iter().map(step).collect();
    plan
}

fn step(mut plan: StepPlan) -> StepPlan {
    plan.place = SourcePlace::default();
    plan.body = SOME;
    plan.do_if = plan.do_if.map(|_| SOME);
    plan.hide_if = plan.hide_if.map(|_| SOME);
    plan
}

fn worker(mut plan: WorkerPlan) -> WorkerPlan {
    plan.place = SourcePlace::default();
    plan
}

fn lock(mut plan: LockPlan) -> LockPlan {
    plan.place = SourcePlace::default();
    plan
}

fn source(mut plan: ChangeSourcePlan) -> ChangeSourcePlan {
    plan.place = SourcePlace::default();
    plan
}

fn notifier(mut plan: NotifierPlan) -> NotifierPlan {
    plan.place = SourcePlace::default();
    let NotifierKind::Mail(mail) = &mut plan.kind;
    let MailPlan { subject, body, html, .. } = &mut **mail;
    for function in [subject, body, html] {
        *function = function.map(|_| SOME);
    }
    plan
}

fn scheduler(mut plan: SchedulerPlan) -> SchedulerPlan {
    plan.place = SourcePlace::default();
    plan.properties_fn = plan.properties_fn.map(|_| SOME);
    plan.priority = plan.priority.map(policy);
    match &mut plan.kind {
        SchedulerKind::Branch { filter, important, .. }
        | SchedulerKind::AnyBranch { filter, important, .. }
        | SchedulerKind::Periodic { filter, important, .. }
        | SchedulerKind::Nightly { filter, important, .. } => {
            filter.function = filter.function.map(|_| SOME);
            if let Some(ImportantFiles::Function(function)) = important {
                *function = SOME;
            }
        }
        SchedulerKind::Dependent { .. } | SchedulerKind::Triggerable | SchedulerKind::Force { .. } => {}
    }
    plan
}

fn master(plan: &Plan) -> crate::model::MasterPlan {
    let mut plan = plan.master.clone();
    plan.collapse = collapse(plan.collapse);
    plan
}

fn policy<T>(policy: Policy<T>) -> Policy<T> {
    match policy {
        Policy::Fixed(value) => Policy::Fixed(value),
        Policy::Function(_) => Policy::Function(SOME),
    }
}

fn collapse(policy: CollapsePolicy) -> CollapsePolicy {
    match policy {
        CollapsePolicy::Function(_) => CollapsePolicy::Function(SOME),
        CollapsePolicy::Never => CollapsePolicy::Never,
        CollapsePolicy::SameSource => CollapsePolicy::SameSource,
    }
}
