//! Names that one declaration uses and another one makes: checked when all files are done.

use std::collections::{BTreeMap, BTreeSet};

use super::super::args::unknown_hint;
use super::super::collect::{Collector, Kind, Reference, ReferenceKind};
use super::cycles::circle;
use crate::base::nearest;
use crate::model::{Plan, SchedulerKind};

/// Hints that name the nearest name are made for so many wrong names: each is compared with all that there are.
const HINTS_MAX: usize = 100;

/// Checks all names and resolves tags. `complete` is false when some file ended early: what it would
/// have declared is unknown, so nothing is said about missing names.
pub(in crate::config) fn finish_plan(collector: &Collector, complete: bool) -> Plan {
    let mut plan = collector.take_plan();
    if complete {
        let mut names = Names::of(&plan);
        for reference in collector.references.take() {
            names.check(collector, &reference);
        }
        note_circles(collector, &plan);
        super::directories::note_shared(collector, &plan);
        super::rights::note_access(collector, &plan);
        super::rights::warn_unmatched(collector, &plan);
        super::unheard::warn_unheard(collector, &plan);
        super::unused_sources::warn_unused(collector, &plan);
    }
    resolve_workers(&mut plan);
    plan
}

/// The names that a plan declares. Each is looked up where it is declared; only tags need sets of their own.
struct Names<'p> {
    plan: &'p Plan,
    worker_tags: BTreeSet<&'p str>,
    builder_tags: BTreeSet<&'p str>,
    hints: usize,
    /// Names that were looked up or gone through, which tests count.
    #[cfg(test)]
    looked: std::cell::Cell<usize>,
}

impl<'p> Names<'p> {
    fn of(plan: &'p Plan) -> Self {
        let worker_tags = plan.workers.values().flat_map(|worker| worker.tags.iter().map(String::as_str));
        let builder_tags = plan.builders.values().flat_map(|builder| builder.tags.iter().map(String::as_str));
        Self {
            plan,
            worker_tags: worker_tags.collect(),
            builder_tags: builder_tags.collect(),
            hints: 0,
            #[cfg(test)]
            looked: std::cell::Cell::default(),
        }
    }

    fn check(&mut self, collector: &Collector, reference: &Reference) {
        if self.has(reference.wanted, &reference.name) {
            return note_wrong_kind(collector, self.plan, reference);
        }
        let what = match reference.wanted {
            ReferenceKind::WorkerOrTag => "worker or tag",
            ReferenceKind::Worker => Kind::Worker.word(),
            ReferenceKind::Builder => Kind::Builder.word(),
            ReferenceKind::BuilderTag => "builder with tag",
            ReferenceKind::Scheduler | ReferenceKind::Triggerable => Kind::Scheduler.word(),
            ReferenceKind::Lock => Kind::Lock.word(),
            ReferenceKind::Project => Kind::Project.word(),
        };
        let hint = self.hint(reference, what);
        let message = format!("{}: there is no {what} `{}`", reference.by, reference.name);
        collector.note(reference.site.clone(), message, hint);
    }

    fn has(&self, wanted: ReferenceKind, name: &str) -> bool {
        #[cfg(test)]
        self.looked.set(self.looked.get() + 1);
        let plan = self.plan;
        match wanted {
            ReferenceKind::WorkerOrTag => plan.workers.contains_key(name) || self.worker_tags.contains(name),
            ReferenceKind::Worker => plan.workers.contains_key(name),
            ReferenceKind::Builder => plan.builders.contains_key(name),
            ReferenceKind::BuilderTag => self.builder_tags.contains(name),
            ReferenceKind::Scheduler | ReferenceKind::Triggerable => plan.schedulers.contains_key(name),
            ReferenceKind::Lock => plan.locks.contains_key(name),
            ReferenceKind::Project => plan.projects.contains_key(name),
        }
    }

    fn hint(&mut self, reference: &Reference, what: &str) -> Option<String> {
        if self.hints == HINTS_MAX {
            return None;
        }
        self.hints += 1;
        let known = self.all(reference.wanted);
        #[cfg(test)]
        self.looked.set(self.looked.get() + known.len());
        let none = || format!("no {what} is declared");
        Some(if known.is_empty() { none() } else { unknown_hint(&reference.name, known.iter().copied()) })
    }

    /// All names, for a hint.
    fn all(&self, wanted: ReferenceKind) -> BTreeSet<&'p str> {
        fn keys<T>(map: &BTreeMap<String, T>) -> BTreeSet<&str> {
            map.keys().map(String::as_str).collect()
        }
        let plan = self.plan;
        match wanted {
            ReferenceKind::WorkerOrTag => &keys(&plan.workers) | &self.worker_tags,
            ReferenceKind::Worker => keys(&plan.workers),
            ReferenceKind::Builder => keys(&plan.builders),
            ReferenceKind::BuilderTag => self.builder_tags.clone(),
            ReferenceKind::Scheduler | ReferenceKind::Triggerable => keys(&plan.schedulers),
            ReferenceKind::Lock => keys(&plan.locks),
            ReferenceKind::Project => keys(&plan.projects),
        }
    }
}

fn note_wrong_kind(collector: &Collector, plan: &Plan, reference: &Reference) {
    if reference.wanted != ReferenceKind::Triggerable {
        return;
    }
    let scheduler = plan.schedulers.get(&reference.name);
    if scheduler.is_some_and(|scheduler| scheduler.kind == SchedulerKind::Triggerable) {
        return;
    }
    let names = plan.schedulers.values().filter(|other| other.kind == SchedulerKind::Triggerable);
    let hint = nearest(&reference.name, names.map(|other| other.name.as_str()))
        .map_or_else(|| "declare it with triggerable(...)".to_owned(), |name| format!("did you mean `{name}`?"));
    let message = format!("{}: scheduler `{}` cannot be triggered", reference.by, reference.name);
    collector.note(reference.site.clone(), message, Some(hint));
}

/// Schedulers that wait for each other would never start.
fn note_circles(collector: &Collector, plan: &Plan) {
    let upstream = |name: &str| plan.schedulers.get(name)?.kind.upstream();
    for names in circle(plan.schedulers.keys().map(String::as_str), upstream) {
        let message = format!("schedulers wait for each other in a circle: {}", names.join(" -> "));
        let hint = "one of them has to start by itself".to_owned();
        collector.note(collector.spot_of(Kind::Scheduler, names[0]), message, Some(hint));
    }
}

/// Names and tags of workers, in the order given, become names; each worker once.
fn resolve_workers(plan: &mut Plan) {
    let Plan { workers, builders, .. } = plan;
    let mut tagged: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for worker in workers.values() {
        for tag in &worker.tags {
            tagged.entry(tag).or_default().push(&worker.name);
        }
    }
    for builder in builders.values_mut() {
        let mut taken = BTreeSet::new();
        let mut resolved: Vec<String> = Vec::new();
        for asked in std::mem::take(&mut builder.workers) {
            let named = workers.get(&asked).map(|worker| vec![worker.name.as_str()]);
            let names = named.or_else(|| tagged.get(asked.as_str()).cloned()).unwrap_or_default();
            resolved.extend(names.into_iter().filter(|name| taken.insert(*name)).map(str::to_owned));
        }
        builder.workers = resolved;
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::place::CallSite;
    use super::*;
    use crate::model::{BuilderPlan, WorkerPlan};

    const NOWHERE: CallSite = CallSite { span: None, argument: None };

    /// How many names are looked at for so many builders, each of which names a worker's tag that there is (or is not).
    fn looked(builders: usize, right: bool) -> usize {
        let worker = WorkerPlan { name: "w".to_owned(), tags: vec!["linux".to_owned()], ..WorkerPlan::default() };
        let plan = Plan {
            workers: BTreeMap::from([("w".to_owned(), worker)]),
            builders: (0..builders).map(|i| (format!("b{i}"), BuilderPlan::default())).collect(),
            ..Plan::default()
        };
        let collector = Collector::default();
        let mut names = Names::of(&plan);
        for i in 0..builders {
            let name = if right { format!("b{i}") } else { format!("wrong {i}") };
            let wanted = [(ReferenceKind::Builder, name.as_str()), (ReferenceKind::WorkerOrTag, "linux")];
            for (wanted, name) in wanted {
                let by = "somebody".to_owned();
                names.check(&collector, &Reference { by, wanted, name: name.to_owned(), site: NOWHERE });
            }
        }
        assert_eq!(collector.problems.take().len(), if right { 0 } else { builders });
        names.looked.get()
    }

    #[test]
    fn twice_the_builders_take_twice_the_look_ups() {
        assert_eq!(looked(2_000, true), 2 * looked(1_000, true));
        assert!(looked(2_000, false) <= 2 * looked(1_000, false), "also when each of them names something wrong");
    }

    #[test]
    fn names_and_tags_become_workers_each_once() {
        let worker = |name: &str, tags: &[&str]| WorkerPlan {
            name: name.to_owned(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            ..WorkerPlan::default()
        };
        let workers = [worker("a", &["linux"]), worker("b", &["linux", "arm"]), worker("linux", &["mac"])];
        let asked = ["arm", "linux", "a", "mac"].map(str::to_owned).to_vec();
        let mut plan = Plan {
            workers: workers.into_iter().map(|worker| (worker.name.clone(), worker)).collect(),
            builders: BTreeMap::from([("x".to_owned(), BuilderPlan { workers: asked, ..BuilderPlan::default() })]),
            ..Plan::default()
        };
        resolve_workers(&mut plan);
        assert_eq!(plan.builders["x"].workers, ["b", "linux", "a"], "a worker's name wins over a tag");
    }
}
