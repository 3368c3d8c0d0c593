//! What differs between two configurations, and the ids of the names in them.
//!
//! Places in files do not count, and functions count only as far as there is one or not: a function's number says
//! nothing about its text. When nothing else differs, what differs is the scripts.

use std::collections::BTreeMap;

use super::state::State;
use super::watch::is_replaced;
use crate::model::{
    BuilderId, BuilderPlan, ChangeSourceId, ChangeSourcePlan, CollapsePolicy, DeclaredCodebase, Difference, FnId,
    ImportantFiles, LockPlan, LoginPlan, LoginsPlan, MasterPlan, NameChanges, NotifierKind, NotifierPlan, Plan,
    PlanChange, Policy, RightsPlan, SchedulerId, SchedulerKind, SchedulerPlan, Section, StepPlan, WebPlan, WorkerId,
    WorkerPlan,
};

/// What a configuration changes about which names are in force, and their ids.
pub(super) struct Names {
    pub builders: NameChanges<BuilderId>,
    pub workers: NameChanges<WorkerId>,
    pub schedulers: NameChanges<SchedulerId>,
    pub change_sources: NameChanges<ChangeSourceId>,
}

impl Names {
    /// Known names keep their ids, new ones get the next.
    pub fn of(plan: &Plan, state: &State) -> Self {
        let last = state.last();
        let builders = state.builder_ids().iter().map(|(name, id)| (name, (*id, state.builder(*id).active)));
        let workers = state.workers().iter().map(|(name, worker)| (name, (worker.id, worker.active)));
        let schedulers = state.schedulers().iter().map(|(name, scheduler)| (name, (scheduler.id, scheduler.active)));
        let sources = state.sources().iter().map(|(name, source)| (name, (source.id, source.active)));
        Self {
            builders: name_changes(&plan.builders, builders, (last.builder, BuilderId)),
            workers: name_changes(&plan.workers, workers, (last.worker, WorkerId)),
            schedulers: name_changes(&plan.schedulers, schedulers, (last.scheduler, SchedulerId)),
            change_sources: name_changes(&plan.change_sources, sources, (last.source, ChangeSourceId)),
        }
    }
}

/// What changes about the names of one kind. `known` are those of all times: their ids, and whether they are in force.
fn name_changes<'a, T, Id: Copy>(
    plan: &BTreeMap<String, T>,
    known: impl Iterator<Item = (&'a String, (Id, bool))>,
    (mut last, make): (u64, impl Fn(u64) -> Id),
) -> NameChanges<Id> {
    let known: BTreeMap<&String, (Id, bool)> = known.collect();
    let mut fresh = || {
        last += 1;
        make(last)
    };
    let added = plan.keys().filter_map(|name| match known.get(name) {
        Some((_, true)) => None,
        Some((id, false)) => Some((name.clone(), *id)),
        None => Some((name.clone(), fresh())),
    });
    let added = added.collect();
    sabotage!(RemovedNameStays => return NameChanges { added, removed: Vec::new() });
    let gone = known.iter().filter(|(name, (_, active))| *active && !plan.contains_key(**name));
    NameChanges { added, removed: gone.map(|(_, (id, _))| *id).collect() }
}

/// The ids of two configurations: new names, and those that the state has of earlier ones.
pub(super) struct Known<'a> {
    pub names: &'a Names,
    pub state: &'a State,
}

impl Known<'_> {
    pub fn builder(&self, name: &str) -> BuilderId {
        let known = self.state.builder_ids().get(name).or_else(|| self.names.builders.added.get(name));
        *known.expect("each builder gets its id when it is first adopted")
    }

    fn worker(&self, name: &str) -> WorkerId {
        let known = self.state.workers().get(name).map(|worker| worker.id);
        let known = known.or_else(|| self.names.workers.added.get(name).copied());
        known.expect("each worker gets its id when it is first adopted")
    }

    fn scheduler(&self, name: &str) -> SchedulerId {
        let known = self.state.schedulers().get(name).map(|scheduler| scheduler.id);
        let known = known.or_else(|| self.names.schedulers.added.get(name).copied());
        known.expect("each scheduler gets its id when it is first adopted")
    }

    fn source(&self, name: &str) -> ChangeSourceId {
        let known = self.state.sources().get(name).map(|source| source.id);
        let known = known.or_else(|| self.names.change_sources.added.get(name).copied());
        known.expect("each change source gets its id when it is first adopted")
    }
}

/// All differences, by kind and name.
pub(super) fn compare(old: &Plan, new: &Plan, known: &Known<'_>) -> Vec<PlanChange> {
    let mut changes = Vec::new();
    for (name, how) in differences(&old.builders, &new.builders, same_builder, |_, _| false) {
        changes.push(PlanChange::Builder { id: known.builder(&name), name, how, waiting: 0 });
    }
    for (name, how) in differences(&old.workers, &new.workers, same_worker, |_, _| false) {
        changes.push(PlanChange::Worker { id: known.worker(&name), name, how });
    }
    for (name, how) in differences(&old.schedulers, &new.schedulers, same_scheduler, is_other_scheduler) {
        changes.push(PlanChange::Scheduler { id: known.scheduler(&name), name, how });
    }
    for (name, how) in differences(&old.change_sources, &new.change_sources, same_source, is_other_source) {
        changes.push(PlanChange::ChangeSource { id: known.source(&name), name, how });
    }
    let notifiers = differences(&old.notifiers, &new.notifiers, same_notifier, |_, _| false);
    changes.extend(notifiers.into_iter().map(|(name, how)| PlanChange::Notifier { name, how }));
    let locks = differences(&old.locks, &new.locks, same_lock, |_, _| false);
    changes.extend(locks.into_iter().map(|(name, how)| PlanChange::Lock { name, how }));
    let projects = differences(&old.projects, &new.projects, |old, new| old.about == new.about, |_, _| false);
    changes.extend(projects.into_iter().map(|(name, how)| PlanChange::Project { name, how }));
    let codebases = differences(&old.codebases, &new.codebases, same_codebase, |_, _| false);
    changes.extend(codebases.into_iter().map(|(name, how)| PlanChange::Codebase { name, how }));
    for (section, differs) in [
        (Section::Master, !same_master(&old.master, &new.master)),
        (Section::Web, !same_web(&old.web, &new.web)),
        (Section::Rights, !same_rights(&old.rights, &new.rights) || !same_logins(&old.logins, &new.logins)),
        (Section::Database, old.database != new.database),
        (Section::Secrets, old.secrets != new.secrets),
        (Section::Properties, old.properties != new.properties),
    ] {
        if differs {
            changes.push(PlanChange::Settings(section));
        }
    }
    if changes.is_empty() && old.digest != new.digest {
        changes.push(PlanChange::Scripts);
    }
    changes
}

/// Differences of one kind of thing. `same` compares what counts, without copying anything; `other` tells whether the new
/// one only shares the name: then nothing of the old one's state fits it.
fn differences<T>(
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
    same: impl Fn(&T, &T) -> bool,
    other: impl Fn(&T, &T) -> bool,
) -> Vec<(String, Difference)> {
    let how = |name: &String, item: &T| match old.get(name) {
        None => Some(Difference::Added),
        Some(before) if other(before, item) => Some(Difference::Replaced),
        Some(before) if !same(before, item) => Some(Difference::Changed),
        Some(_) => None,
    };
    let here = new.iter().filter_map(|(name, item)| Some((name.clone(), how(name, item)?)));
    let gone = old.keys().filter(|name| !new.contains_key(*name)).map(|name| (name.clone(), Difference::Removed));
    here.chain(gone).collect()
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

fn same_codebase(old: &DeclaredCodebase, new: &DeclaredCodebase) -> bool {
    let DeclaredCodebase { name, project, repository, branch, about, place: _ } = old;
    (name, project, repository, branch, about) == (&new.name, &new.project, &new.repository, &new.branch, &new.about)
}

fn same_builder(old: &BuilderPlan, new: &BuilderPlan) -> bool {
    let BuilderPlan {
        name,
        project,
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
        codebases,
        collapse,
        priority,
        next_build,
        next_worker,
        can_start,
        on_lost,
        log_bytes_max,
        place: _,
    } = old;
    *name == new.name
        && *project == new.project
        && *description == new.description
        && *tags == new.tags
        && *workers == new.workers
        && *slots == new.slots
        && *slots_per_worker == new.slots_per_worker
        && *locks == new.locks
        && *properties == new.properties
        && *env == new.env
        && *dir == new.dir
        && *codebases == new.codebases
        && steps.len() == new.steps.len()
        && steps.iter().zip(&new.steps).all(|(old, new)| same_step(old, new))
        && same_option(collapse.as_ref(), new.collapse.as_ref(), same_collapse)
        && same_option(priority.as_ref(), new.priority.as_ref(), same_policy)
        && next_build.is_some() == new.next_build.is_some()
        && next_worker.is_some() == new.next_worker.is_some()
        && can_start.is_some() == new.can_start.is_some()
        && *on_lost == new.on_lost
        && *log_bytes_max == new.log_bytes_max
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
    let WorkerPlan { name, password, tags, slots, locks, properties, encoding, place: _ } = old;
    *name == new.name
        && *password == new.password
        && *tags == new.tags
        && *slots == new.slots
        && *locks == new.locks
        && *properties == new.properties
        && *encoding == new.encoding
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
    let NotifierPlan { name, on, builders, tags, branches, latest_only, kind, place: _ } = old;
    *name == new.name
        && *on == new.on
        && *builders == new.builders
        && *tags == new.tags
        && *branches == new.branches
        && *latest_only == new.latest_only
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
        NotifierKind::Http(http) => vec![&mut http.url_fn, &mut http.json, &mut http.body, &mut http.request],
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
        // Most are the same to the last number, and need no copies to compare.
        && (*kind == new.kind || essence(kind) == essence(&new.kind))
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
    let MasterPlan { title, title_url, url, reconnect_grace, collapse, log_bytes_max } = old;
    *title == new.title
        && *title_url == new.title_url
        && *url == new.url
        && *reconnect_grace == new.reconnect_grace
        && *log_bytes_max == new.log_bytes_max
        && same_collapse(collapse, &new.collapse)
}

fn same_logins(old: &LoginsPlan, new: &LoginsPlan) -> bool {
    let LoginsPlan { ways, sessions } = old;
    let same = |old: &LoginPlan, new: &LoginPlan| {
        let LoginPlan { name, kind, place: _ } = old;
        *name == new.name && *kind == new.kind
    };
    *sessions == new.sessions
        && ways.len() == new.ways.len()
        && ways.iter().zip(&new.ways).all(|(old, new)| same(old, new))
}

fn same_rights(old: &RightsPlan, new: &RightsPlan) -> bool {
    let RightsPlan { open, rules, roles, function } = old;
    *open == new.open && *rules == new.rules && *roles == new.roles && function.is_some() == new.function.is_some()
}

fn same_web(old: &WebPlan, new: &WebPlan) -> bool {
    let essence = |web: &WebPlan| {
        let mut web = web.clone();
        web.hooks.values_mut().for_each(|hook| hook.changes = hook.changes.map(|_| FnId(0)));
        web
    };
    essence(old) == essence(new)
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
