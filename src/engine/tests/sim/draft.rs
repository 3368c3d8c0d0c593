//! Random configurations: workers, builders with scripts, schedulers, locks, notifiers; and random changes of them.
//!
//! Schedulers depend on earlier ones only. Builders that trigger others and wait for them use other locks than those, and
//! in most drafts other workers; in some they share workers, so that slots are lent and builds wait for each other.

use super::super::plans::{
    PlanBuilder, SchedulerBuilder, StepBuilder, any_branch, branch, counting, dependent, exclusive, force, nightly,
    periodic, plan, step, triggerable,
};
use super::super::script::{Item, child, run_with, trigger};
use super::decisions::{answer, is_fickle};
use super::rng::Rng;
use crate::base::Span;
use crate::model::{
    CollapsePolicy, FileCommand, LockAccess, LogFileSpec, NotifyOn, OnLost, Outcome, Policy, UploadSpec, Value,
    WorkerPlan,
};

/// Branches of the one repository.
pub const BRANCHES: [&str; 3] = ["main", "next", "fix"];
/// What pollers look at.
pub const REPOSITORY: &str = "repo";

#[derive(Clone, Debug)]
pub struct WorkerDraft {
    pub name: String,
    pub slots: u64,
    pub locks: Vec<LockAccess>,
    /// Takes what others trigger and wait for.
    pub leaf: bool,
}

#[derive(Clone, Debug)]
pub struct LockDraft {
    pub name: String,
    pub on_worker: bool,
    pub count: u64,
    pub leaf: bool,
}

#[derive(Clone, Debug)]
pub struct StepDraft {
    pub name: String,
    pub items: Vec<Item>,
    pub always: bool,
    pub retries: u64,
    pub locks: Vec<LockAccess>,
    pub do_if: Option<bool>,
    pub hide_if: Option<bool>,
    pub halt: bool,
}

#[derive(Clone, Debug)]
pub struct BuilderDraft {
    pub name: String,
    /// None: made of its name.
    pub dir: Option<String>,
    pub leaf: bool,
    pub workers: Vec<String>,
    pub slots: Option<u64>,
    pub slots_per_worker: u64,
    pub locks: Vec<LockAccess>,
    pub priority: i64,
    pub collapse: Option<bool>,
    pub on_lost: OnLost,
    pub steps: Vec<StepDraft>,
}

#[derive(Clone, Debug)]
pub enum Timing {
    Branch { branch: String, quiet: i64 },
    AnyBranch { quiet: i64 },
    Periodic { every: i64 },
    Nightly { hour: i64, minute: i64, only_if_changed: bool },
    Dependent { upstream: String },
    Triggerable,
    Force,
}

#[derive(Clone, Debug)]
pub struct SchedulerDraft {
    pub name: String,
    pub builders: Vec<String>,
    pub timing: Timing,
    pub priority: Option<i64>,
}

/// A whole configuration, easy to change.
#[derive(Clone, Debug)]
pub struct Draft {
    pub workers: Vec<WorkerDraft>,
    pub locks: Vec<LockDraft>,
    pub builders: Vec<BuilderDraft>,
    pub schedulers: Vec<SchedulerDraft>,
    pub notifiers: Vec<(String, Vec<NotifyOn>, Option<Vec<String>>)>,
    pub poller: Option<i64>,
    pub collapse: bool,
    pub grace: i64,
    /// Counts changes that nobody sees, so that scripts differ.
    pub edition: u64,
    /// How much more often than usual locks are taken, in a hundred.
    pub crowded: u64,
    /// Builders that others trigger run on all workers, and trigger others themselves.
    pub family: bool,
}

fn seconds(seconds: i64) -> String {
    format!("{seconds}s")
}

/// A draft by chance.
pub fn draw(rng: &mut Rng) -> Draft {
    let leaves = rng.chance(60);
    let kin = leaves && rng.chance(30);
    let mut draft = Draft {
        workers: vec![],
        locks: draw_locks(rng),
        builders: vec![],
        schedulers: vec![],
        notifiers: vec![],
        poller: rng.chance(60).then(|| rng.range(20, 300)),
        collapse: rng.chance(70),
        grace: rng.range(20, 400),
        edition: 0,
        crowded: if rng.chance(35) { 45 } else { 0 },
        family: leaves && rng.chance(45),
    };
    for number in 0..=rng.range(1, 3) {
        draft.workers.push(draw_worker(rng, &draft.locks, format!("w{number}"), false));
    }
    let leaf_workers = if leaves { rng.range(1, 2) } else { 0 };
    for number in 0..leaf_workers {
        draft.workers.push(draw_worker(rng, &draft.locks, format!("x{number}"), true));
    }
    if draft.family {
        crowd_together(&mut draft.workers);
    }
    for number in 0..=rng.range(0, 3) {
        let triggers = leaves && (!kin || number == 0);
        let builder = draw_builder(rng, &draft, format!("b{number}"), false, triggers);
        draft.builders.push(builder);
    }
    if leaves {
        for number in 0..=rng.range(0, 1) {
            let nested = draft.family && number > 0;
            let builder = draw_builder(rng, &draft, format!("t{number}"), true, nested);
            draft.builders.push(builder);
        }
    }
    if draft.family {
        begin_with_a_trigger(&mut draft.builders);
    }
    if kin {
        share_a_lock(&mut draft);
    }
    draw_schedulers(rng, &mut draft);
    if !draft.family && draft.builders.len() % 2 == 1 {
        let_upstream_collapse(&mut draft);
    }
    draw_notifiers(rng, &mut draft);
    draft
}

/// A family has two workers with a slot each: who waits for its children takes the slot that they need.
fn crowd_together(workers: &mut Vec<WorkerDraft>) {
    workers.retain(|worker| ["w0", "x0"].contains(&worker.name.as_str()));
    workers.iter_mut().for_each(|worker| worker.slots = 1);
}

/// The parents of a family do little else than to wait for their children, and those for theirs.
fn begin_with_a_trigger(builders: &mut [BuilderDraft]) {
    for builder in builders.iter_mut().filter(|builder| builder.name != "t0") {
        let child = if builder.leaf { "trigger-t0" } else { "trigger-t1" };
        builder.steps[0].items.insert(0, trigger(&[child], true));
        builder.steps[0].do_if = None;
    }
}

/// What others depend on is slow, one at a time, and ends well: its requests collapse, and dependent builds follow.
fn let_upstream_collapse(draft: &mut Draft) {
    let builder = &mut draft.builders[0];
    (builder.slots, builder.collapse) = (Some(1), Some(true));
    builder.steps.truncate(1);
    builder.steps[0].items = vec![Item::Wait(Span::from_seconds(120))];
    for scheduler in draft.schedulers.iter_mut().filter(|scheduler| scheduler.name == "on-main") {
        scheduler.builders = vec![builder.name.clone()];
    }
}

/// A builder and the one that it triggers take the same lock, which nobody else takes.
fn share_a_lock(draft: &mut Draft) {
    draft.locks.push(LockDraft { name: "k".into(), on_worker: false, count: 1, leaf: true });
    for builder in draft.builders.iter_mut().filter(|builder| ["b0", "t0"].contains(&builder.name.as_str())) {
        builder.locks.push(exclusive("k"));
    }
}

fn draw_locks(rng: &mut Rng) -> Vec<LockDraft> {
    (0..rng.range(0, 5))
        .map(|number| {
            let leaf = number >= 3;
            let name = if leaf { format!("z{number}") } else { format!("l{number}") };
            LockDraft { name, on_worker: rng.chance(35), count: rng.below(3) + 1, leaf }
        })
        .collect()
}

fn draw_accesses(rng: &mut Rng, locks: &[LockDraft], leaf: bool, percent: u64) -> Vec<LockAccess> {
    let own: Vec<&LockDraft> = locks.iter().filter(|lock| lock.leaf == leaf).collect();
    let chosen = rng.some(&own, percent);
    chosen
        .into_iter()
        .map(
            |lock| {
                if rng.chance(45) { exclusive(&lock.name) } else { counting(&lock.name, rng.below(lock.count + 1) + 1) }
            },
        )
        .collect()
}

fn draw_worker(rng: &mut Rng, locks: &[LockDraft], name: String, leaf: bool) -> WorkerDraft {
    let locks = if rng.chance(15) { draw_accesses(rng, locks, leaf, 30) } else { vec![] };
    WorkerDraft { name, slots: rng.below(3) + 1, locks, leaf }
}

fn draw_builder(rng: &mut Rng, draft: &Draft, name: String, leaf: bool, triggers: bool) -> BuilderDraft {
    let all: Vec<String> =
        draft.workers.iter().filter(|w| draft.family || w.leaf == leaf).map(|w| w.name.clone()).collect();
    let mut workers = rng.some(&all, 60);
    if workers.is_empty() {
        workers.push(rng.pick(&all).clone());
    }
    let steps = (0..=rng.range(0, 3)).map(|number| draw_step(rng, draft, &name, number, leaf, triggers)).collect();
    BuilderDraft {
        dir: None,
        leaf,
        workers,
        slots: rng.chance(30).then(|| rng.below(2) + 1),
        slots_per_worker: if rng.chance(40) { rng.below(3) + 1 } else { 1 },
        locks: if rng.chance(40 + draft.crowded) { draw_accesses(rng, &draft.locks, leaf, 40) } else { vec![] },
        priority: if rng.chance(30) { rng.range(-2, 5) } else { 0 },
        collapse: rng.chance(30).then(|| rng.chance(50)),
        on_lost: draw_on_lost(rng),
        steps,
        name,
    }
}

fn draw_on_lost(rng: &mut Rng) -> OnLost {
    match rng.below(10) {
        0..6 => OnLost::RetryBuild,
        6..9 => OnLost::RunAgain,
        _ => OnLost::Fail,
    }
}

fn draw_step(rng: &mut Rng, draft: &Draft, builder: &str, number: i64, leaf: bool, triggers: bool) -> StepDraft {
    let name = format!("{builder}.{number}");
    let depth = 2;
    let items = draw_items(rng, draft, &name, leaf, triggers, depth);
    StepDraft {
        items,
        always: rng.chance(15),
        retries: if rng.chance(20) { rng.below(2) + 1 } else { 0 },
        locks: if rng.chance(25 + draft.crowded) { draw_accesses(rng, &draft.locks, leaf, 40) } else { vec![] },
        do_if: rng.chance(12).then(|| rng.chance(70)),
        hide_if: rng.chance(10).then(|| rng.chance(50)),
        halt: rng.chance(70),
        name,
    }
}

fn draw_items(rng: &mut Rng, draft: &Draft, name: &str, leaf: bool, triggers: bool, depth: u64) -> Vec<Item> {
    (0..=rng.below(3)).map(|at| draw_item(rng, draft, &format!("{name}.{at}"), leaf, triggers, depth)).collect()
}

fn draw_item(rng: &mut Rng, draft: &Draft, name: &str, leaf: bool, triggers: bool, depth: u64) -> Item {
    match rng.below(100) {
        0..42 => draw_command(rng, name),
        42..47 => Item::File(draw_file(rng, name)),
        47..54 => Item::Wait(Span::from_seconds(rng.below(240) + 1)),
        54..57 => Item::Now,
        57..63 => Item::Log("notes".into(), format!("{name} says {}", rng.below(100))),
        63..66 => Item::Set(format!("p{}", rng.below(3)), Value::Str(name.to_owned())),
        66..68 => Item::Summary(name.to_owned()),
        68..69 => Item::Url(name.to_owned(), format!("http://x/{name}")),
        69..78 if triggers => {
            let nested = draft.family && !leaf && rng.chance(50);
            trigger(&[if nested { "trigger-t1" } else { "trigger-t0" }], rng.chance(75))
        }
        78..88 if depth > 0 => {
            let branches = (0..=rng.below(3))
                .map(|branch| draw_items(rng, draft, &format!("{name}p{branch}"), leaf, triggers, depth - 1));
            Item::Parallel(branches.collect())
        }
        88..96 if depth > 0 => {
            let locks =
                if rng.chance(45 + draft.crowded) { draw_accesses(rng, &draft.locks, leaf, 40) } else { vec![] };
            Item::Child { name: name.to_owned(), locks, items: draw_items(rng, draft, name, leaf, triggers, depth - 1) }
        }
        96 if depth > 0 => child(name, [Item::OpenChild(format!("{name}o")), draw_command(rng, name)]),
        97 => Item::Break(format!("{name} broke")),
        98 => Item::End(*rng.pick(&[Outcome::Success, Outcome::Failure, Outcome::Warnings])),
        _ => draw_command(rng, name),
    }
}

fn draw_command(rng: &mut Rng, name: &str) -> Item {
    let (on_lost, files, grace) = (draw_on_lost(rng), rng.chance(20), rng.below(30));
    run_with(name, move |spec| {
        spec.on_lost = on_lost;
        spec.grace = Span::from_seconds(grace);
        if files {
            spec.log_files.insert("trace".into(), LogFileSpec { path: "trace".into(), follow: true });
        }
    })
}

fn draw_file(rng: &mut Rng, name: &str) -> FileCommand {
    if rng.chance(50) {
        return FileCommand::MakeDirs(vec![name.to_owned()]);
    }
    // By the name, so that what else is drawn stays as it was.
    match name.len() % 3 {
        0 => FileCommand::Stat(name.to_owned()),
        _ => FileCommand::Upload(UploadSpec {
            path: name.to_owned(),
            name: name.to_owned(),
            is_directory: false,
            bytes_max: None,
            mode: Some(0o644),
            modified: None,
        }),
    }
}

fn draw_schedulers(rng: &mut Rng, draft: &mut Draft) {
    let all: Vec<String> = draft.builders.iter().map(|builder| builder.name.clone()).collect();
    let mut add = |rng: &mut Rng, name: &str, timing: Timing| {
        let mut builders = rng.some(&all, 50);
        if builders.is_empty() {
            builders.push(rng.pick(&all).clone());
        }
        let priority = rng.chance(20).then(|| rng.range(-1, 4));
        draft.schedulers.push(SchedulerDraft { name: name.to_owned(), builders, timing, priority });
    };
    // A short one lets requests wait together, and collapse.
    let quiet = if all.len().is_multiple_of(2) { 30 } else { 1 };
    add(rng, "on-main", Timing::Branch { branch: "main".into(), quiet });
    if rng.chance(50) {
        let quiet = rng.range(0, 90);
        add(rng, "on-any", Timing::AnyBranch { quiet });
    }
    if rng.chance(40) {
        let every = rng.range(120, 1800);
        add(rng, "regular", Timing::Periodic { every });
    }
    if rng.chance(40) {
        let timing =
            Timing::Nightly { hour: rng.range(1, 3), minute: rng.range(0, 59), only_if_changed: rng.chance(30) };
        add(rng, "nightly", timing);
    }
    if rng.chance(50) {
        add(rng, "after", Timing::Dependent { upstream: "on-main".into() });
    }
    if rng.chance(25) {
        add(rng, "after-after", Timing::Dependent { upstream: "after".into() });
    }
    add(rng, "by-hand", Timing::Force);
    if all.iter().any(|name| name == "t0") {
        let leaves: Vec<String> =
            draft.builders.iter().filter(|builder| builder.leaf).map(|builder| builder.name.clone()).collect();
        // What is triggered by those that others trigger triggers nothing itself.
        let last = if draft.family { vec!["t0".to_owned()] } else { leaves.clone() };
        for (name, builders) in [("trigger-t0", last), ("trigger-t1", leaves)] {
            let (name, timing) = (name.to_owned(), Timing::Triggerable);
            draft.schedulers.push(SchedulerDraft { name, builders, timing, priority: None });
        }
    }
}

fn draw_notifiers(rng: &mut Rng, draft: &mut Draft) {
    use NotifyOn as On;
    let all =
        [On::Success, On::Failure, On::Warnings, On::Exception, On::Cancelled, On::Problem, On::Recovery, On::Change];
    for number in 0..rng.below(3) {
        let mut on = if rng.chance(30) { vec![On::Always] } else { rng.some(&all, 50) };
        // Without chance, so that a seed draws the same configuration as without them. The second one speaks of turns only:
        // a wrong one does not hide behind a report that is due anyway.
        if number == 1 {
            on.retain(|on| !matches!(on, On::Always | On::Success | On::Warnings));
            on.extend([On::Problem, On::Recovery, On::Pending, On::Start]);
        } else {
            on.extend([On::Start, On::Set]);
        }
        let builders = rng.chance(30).then(|| vec![rng.pick(&draft.builders).name.clone()]);
        draft.notifiers.push((format!("mail{number}"), on, builders));
    }
}

/// The same configuration, edited by somebody.
pub fn edit(rng: &mut Rng, draft: &Draft) -> Draft {
    let mut draft = draft.clone();
    for _ in 0..=rng.below(2) {
        edit_once(rng, &mut draft);
    }
    draft
}

fn edit_once(rng: &mut Rng, draft: &mut Draft) {
    let builder = rng.index(draft.builders.len());
    match rng.below(16) {
        0 if draft.builders.len() > 1 => remove_builder(draft, builder),
        1 if draft.workers.iter().filter(|worker| !worker.leaf).count() > 1 => {
            draft.workers.remove(0);
        }
        2 => {
            let at = rng.index(draft.workers.len());
            draft.workers[at].slots = rng.below(3) + 1;
        }
        3 if !draft.locks.is_empty() => {
            let at = rng.index(draft.locks.len());
            draft.locks[at].count = rng.below(3) + 1;
        }
        4 if !draft.locks.is_empty() => remove_lock(rng, draft),
        5 if !draft.locks.is_empty() => {
            let at = rng.index(draft.locks.len());
            draft.locks[at].on_worker = !draft.locks[at].on_worker;
        }
        6 => {
            let (name, leaf) = (draft.builders[builder].name.clone(), draft.builders[builder].leaf);
            let step = draw_step(rng, draft, &name, 9, leaf, false);
            draft.builders[builder].steps.push(step);
        }
        7 => {
            draft.builders[builder].steps.truncate(1);
        }
        8 => draft.builders[builder].slots = rng.chance(50).then(|| rng.below(2) + 1),
        9 => {
            let leaf = draft.builders[builder].leaf;
            draft.builders[builder].locks = draw_accesses(rng, &draft.locks.clone(), leaf, 40);
        }
        10 if draft.schedulers.len() > 1 => {
            let at = rng.index(draft.schedulers.len());
            draft.schedulers.remove(at);
        }
        11 => {
            let at = rng.index(draft.schedulers.len());
            let changed = &mut draft.schedulers[at];
            if let Timing::Branch { .. } | Timing::Periodic { .. } = changed.timing {
                changed.timing = Timing::AnyBranch { quiet: rng.range(0, 60) };
            }
        }
        12 => draft.grace = rng.range(20, 400),
        13 => draft.builders[builder].slots_per_worker = rng.below(3) + 1,
        14 => rename_builder(draft, builder),
        _ => draft.edition += 1,
    }
}

/// A builder gets another name, or its first one back, but keeps its directory.
fn rename_builder(draft: &mut Draft, at: usize) {
    let old = draft.builders[at].name.clone();
    let new = old.strip_suffix('r').map_or_else(|| format!("{old}r"), str::to_owned);
    let rename = |name: &mut String| {
        if *name == old {
            name.clone_from(&new);
        }
    };
    draft.builders[at].dir.get_or_insert_with(|| old.clone());
    rename(&mut draft.builders[at].name);
    draft.schedulers.iter_mut().flat_map(|scheduler| &mut scheduler.builders).for_each(rename);
    draft.notifiers.iter_mut().filter_map(|(_, _, builders)| builders.as_mut()).flatten().for_each(rename);
}

fn remove_builder(draft: &mut Draft, at: usize) {
    let gone = draft.builders.remove(at).name;
    for scheduler in &mut draft.schedulers {
        scheduler.builders.retain(|name| *name != gone);
    }
    for (_, _, builders) in &mut draft.notifiers {
        if let Some(builders) = builders {
            builders.retain(|name| *name != gone);
        }
    }
}

/// A lock gets another name everywhere.
fn remove_lock(rng: &mut Rng, draft: &mut Draft) {
    let at = rng.index(draft.locks.len());
    let (old, new) = (draft.locks[at].name.clone(), format!("{}r", draft.locks[at].name));
    draft.locks[at].name.clone_from(&new);
    let rename = |locks: &mut Vec<LockAccess>| {
        for access in locks.iter_mut().filter(|access| access.lock == old) {
            access.lock.clone_from(&new);
        }
    };
    for worker in &mut draft.workers {
        rename(&mut worker.locks);
    }
    for builder in &mut draft.builders {
        rename(&mut builder.locks);
        for step in &mut builder.steps {
            rename(&mut step.locks);
            rename_in(&mut step.items, &rename);
        }
    }
}

fn rename_in(items: &mut [Item], rename: &impl Fn(&mut Vec<LockAccess>)) {
    for item in items {
        match item {
            Item::Child { locks, items, .. } => {
                rename(locks);
                rename_in(items, rename);
            }
            Item::Parallel(branches) => branches.iter_mut().for_each(|items| rename_in(items, rename)),
            _ => {}
        }
    }
}

impl Draft {
    /// The configuration.
    pub fn plan(&self) -> PlanBuilder {
        let mut made = plan().grace(&seconds(self.grace));
        made = made.collapse(if self.collapse { CollapsePolicy::SameSource } else { CollapsePolicy::Never });
        made.plan.master.title = format!("edition {}", self.edition);
        for lock in &self.locks {
            made = if lock.on_worker {
                made.worker_lock(&lock.name, lock.count)
            } else {
                made.lock(&lock.name, lock.count)
            };
        }
        for worker in &self.workers {
            let plan = WorkerPlan {
                name: worker.name.clone(),
                slots: worker.slots,
                locks: worker.locks.clone(),
                ..WorkerPlan::default()
            };
            made.plan.workers.insert(worker.name.clone(), plan);
        }
        for builder in &self.builders {
            made = self.builder(made, builder);
            if is_fickle(self) && builder.locks.is_empty() && !builder.leaf {
                let function = made.function(answer);
                made = made.change_builder(&builder.name, |plan, _| plan.can_start = Some(function));
            }
        }
        for scheduler in &self.schedulers {
            let mut drafted = self.scheduler(scheduler);
            if is_fickle(self) && matches!(scheduler.timing, Timing::Branch { .. } | Timing::AnyBranch { .. }) {
                let function = made.function(answer);
                drafted = drafted.filter(|filter| filter.function = Some(function));
            }
            made = made.scheduler(drafted);
        }
        for (name, on, builders) in &self.notifiers {
            let builders = builders.clone();
            made = made.mail(name, on).change_mail(name, |plan| {
                plan.builders = builders;
                plan.latest_only = name.ends_with('1');
            });
        }
        if let Some(every) = self.poller {
            made = made.poller("poller", REPOSITORY, &seconds(every));
        }
        made
    }

    fn builder(&self, made: PlanBuilder, draft: &BuilderDraft) -> PlanBuilder {
        let there = |name: &&String| self.workers.iter().any(|worker| worker.name == **name);
        let workers: Vec<String> = draft.workers.iter().filter(there).cloned().collect();
        let steps = draft.steps.iter().map(StepDraft::step).collect();
        let draft = draft.clone();
        made.builder_with(&draft.name.clone(), [], steps).change_builder(&draft.name.clone(), move |plan, _| {
            plan.workers = workers;
            plan.slots = draft.slots;
            plan.slots_per_worker = draft.slots_per_worker;
            plan.dir = draft.dir.clone().unwrap_or_else(|| draft.name.clone());
            plan.locks = draft.locks;
            plan.priority = (draft.priority != 0).then_some(Policy::Fixed(draft.priority));
            plan.collapse =
                draft.collapse.map(|same| if same { CollapsePolicy::SameSource } else { CollapsePolicy::Never });
            plan.on_lost = draft.on_lost;
        })
    }

    #[expect(clippy::unused_self, reason = "reads like its neighbours")]
    fn scheduler(&self, draft: &SchedulerDraft) -> SchedulerBuilder {
        let names: Vec<&str> = draft.builders.iter().map(String::as_str).collect();
        let (name, priority) = (draft.name.as_str(), draft.priority);
        let made = match &draft.timing {
            Timing::Branch { branch: on, quiet } => branch(name, &names, &seconds(*quiet)).filter(|filter| {
                let only = vec![Some(on.clone())];
                filter.branch = Some(crate::model::Matcher::OneOf(only));
            }),
            Timing::AnyBranch { quiet } => any_branch(name, &names, &seconds(*quiet)),
            Timing::Periodic { every } => periodic(name, &names, &seconds(*every)),
            Timing::Nightly { hour, minute, only_if_changed } => {
                nightly(name, &names, &format!("{minute} {hour} * * *"), *only_if_changed)
            }
            Timing::Dependent { upstream } => dependent(name, &names, upstream),
            Timing::Triggerable => triggerable(name, &names),
            Timing::Force => force(name, &names, vec![]),
        };
        made.with(|plan| plan.priority = priority.map(Policy::Fixed))
    }
}

impl StepDraft {
    fn step(&self) -> StepBuilder {
        let (always, halt) = (self.always, self.halt);
        let mut made = step(&self.name).does(self.items.clone()).locks(self.locks.clone());
        if self.retries > 0 {
            made = made.retries(self.retries, "20s");
        }
        if let Some(truth) = self.do_if {
            made = made.do_if(Ok(truth));
        }
        if let Some(truth) = self.hide_if {
            made = made.hide_if(Ok(truth));
        }
        made.with(move |step| (step.always_run, step.halt_on_failure) = (always, halt))
    }
}
