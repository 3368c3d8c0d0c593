//! Configurations for scenarios, said in a few words.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::script::{Functions, Item, digest_of, run};
use crate::base::Span;
use crate::model::{
    BranchChoice, BuilderPlan, ChangeFilter, ChangeSourceKind, ChangeSourcePlan, CodebasePlan, CollapsePolicy,
    Decision, ForceParam, ForceParamKind, GitPlan, ImportantFiles, LockAccess, LockMode, LockPlan, LockScope, MailPlan,
    MailTls, Matcher, NotifierKind, NotifierPlan, NotifyOn, Plan, Question, Recipients, SchedulerKind, SchedulerPlan,
    SourcePlace, StepPlan, Value, WorkerPlan,
};

/// A length of time, as users write it.
pub fn span(text: &str) -> Span {
    text.parse().unwrap()
}

/// A plan in the making. Workers that a builder names exist, with one slot.
#[derive(Clone)]
pub struct PlanBuilder {
    pub plan: Plan,
    pub functions: Functions,
}

/// An empty configuration.
pub fn plan() -> PlanBuilder {
    PlanBuilder { plan: Plan::default(), functions: Functions::default() }
}

/// A step that runs its own name as a command.
pub fn step(name: &str) -> StepBuilder {
    StepBuilder { name: name.into(), items: vec![run(name)], do_if: None, hide_if: None, change: Vec::new() }
}

type Change<T> = Box<dyn FnOnce(&mut T)>;

/// A step in the making.
pub struct StepBuilder {
    name: String,
    items: Vec<Item>,
    do_if: Option<Result<bool, String>>,
    hide_if: Option<Result<bool, String>>,
    change: Vec<Change<StepPlan>>,
}

impl StepBuilder {
    pub fn does(mut self, items: impl Into<Vec<Item>>) -> Self {
        self.items = items.into();
        self
    }

    pub fn do_if(mut self, truth: Result<bool, &str>) -> Self {
        self.do_if = Some(truth.map_err(str::to_owned));
        self
    }

    pub fn hide_if(mut self, truth: Result<bool, &str>) -> Self {
        self.hide_if = Some(truth.map_err(str::to_owned));
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut StepPlan) + 'static) -> Self {
        self.change.push(Box::new(change));
        self
    }

    pub fn always(self) -> Self {
        self.with(|step| step.always_run = true)
    }

    pub fn retries(self, times: u64, delay: &str) -> Self {
        let delay = span(delay);
        self.with(move |step| (step.retries, step.retry_delay) = (times, delay))
    }

    pub fn locks(self, locks: Vec<LockAccess>) -> Self {
        self.with(move |step| step.locks = locks)
    }

    fn plan(self, functions: &mut Functions) -> Arc<StepPlan> {
        let mut plan = StepPlan {
            name: self.name,
            body: functions.body(self.items),
            do_if: self.do_if.map(|truth| functions.truth(truth)),
            hide_if: self.hide_if.map(|truth| functions.truth(truth)),
            halt_on_failure: true,
            flunk_on_failure: true,
            flunk_on_warnings: false,
            warn_on_failure: false,
            warn_on_warnings: true,
            always_run: false,
            retries: 0,
            retry_delay: Span::from_seconds(10),
            locks: vec![],
            place: SourcePlace::default(),
        };
        for change in self.change {
            change(&mut plan);
        }
        Arc::new(plan)
    }
}

/// A lock, taken so often.
pub fn counting(lock: &str, count: u64) -> LockAccess {
    LockAccess { lock: lock.into(), mode: LockMode::Counting(count) }
}

/// A lock, taken alone.
pub fn exclusive(lock: &str) -> LockAccess {
    LockAccess { lock: lock.into(), mode: LockMode::Exclusive }
}

/// A scheduler in the making.
#[derive(Clone)]
pub struct SchedulerBuilder(pub SchedulerPlan);

fn scheduler(name: &str, builders: &[&str], kind: SchedulerKind) -> SchedulerBuilder {
    SchedulerBuilder(SchedulerPlan {
        name: name.into(),
        builders: builders.iter().map(|&name| name.to_owned()).collect(),
        properties: crate::model::Properties::default(),
        properties_fn: None,
        codebases: vec![CodebasePlan::default()],
        priority: None,
        reason: None,
        kind,
        place: SourcePlace::default(),
    })
}

fn on_branch(branch: &str) -> ChangeFilter {
    let branch = Some(Matcher::OneOf(vec![Some(branch.into())]));
    ChangeFilter { branch, ..ChangeFilter::default() }
}

/// A scheduler for branch `main`.
pub fn branch(name: &str, builders: &[&str], quiet: &str) -> SchedulerBuilder {
    let filter = on_branch("main");
    scheduler(
        name,
        builders,
        SchedulerKind::Branch { filter, quiet: span(quiet), important: None, only_important: false },
    )
}

/// A scheduler for every branch.
/// A change source.
pub fn source(name: &str, kind: ChangeSourceKind, every: &str) -> ChangeSourcePlan {
    ChangeSourcePlan {
        name: name.into(),
        project: String::new(),
        codebase: String::new(),
        category: None,
        every: span(every),
        timeout: span("1m"),
        changes_max: 100,
        kind,
        place: SourcePlace::default(),
    }
}

pub fn any_branch(name: &str, builders: &[&str], quiet: &str) -> SchedulerBuilder {
    let filter = ChangeFilter::default();
    let kind = SchedulerKind::AnyBranch { filter, quiet: span(quiet), important: None, only_important: false };
    scheduler(name, builders, kind)
}

pub fn periodic(name: &str, builders: &[&str], every: &str) -> SchedulerBuilder {
    let filter = ChangeFilter::default();
    let kind = SchedulerKind::Periodic { every: span(every), filter, important: None, only_if_changed: false };
    scheduler(name, builders, kind)
}

/// A scheduler by cron expression, in Berlin.
pub fn nightly(name: &str, builders: &[&str], cron: &str, only_if_changed: bool) -> SchedulerBuilder {
    let (cron, zone, filter) = (cron.into(), "Europe/Berlin".into(), ChangeFilter::default());
    scheduler(name, builders, SchedulerKind::Nightly { cron, zone, filter, important: None, only_if_changed })
}

pub fn dependent(name: &str, builders: &[&str], upstream: &str) -> SchedulerBuilder {
    scheduler(name, builders, SchedulerKind::Dependent { upstream: upstream.into() })
}

pub fn triggerable(name: &str, builders: &[&str]) -> SchedulerBuilder {
    scheduler(name, builders, SchedulerKind::Triggerable)
}

pub fn force(name: &str, builders: &[&str], params: Vec<ForceParam>) -> SchedulerBuilder {
    scheduler(name, builders, SchedulerKind::Force { label: name.into(), button: name.into(), params })
}

/// A parameter of a force scheduler.
pub fn param(name: &str, kind: ForceParamKind, required: bool) -> ForceParam {
    ForceParam {
        name: name.into(),
        label: name.into(),
        tooltip: String::new(),
        kind,
        default: Value::Str(String::new()),
        required,
        multiple: false,
        regex: None,
        length_max: None,
        hidden: false,
    }
}

impl SchedulerBuilder {
    pub fn with(mut self, change: impl FnOnce(&mut SchedulerPlan)) -> Self {
        change(&mut self.0);
        self
    }

    pub fn filter(self, change: impl FnOnce(&mut ChangeFilter)) -> Self {
        self.with(|plan| match &mut plan.kind {
            SchedulerKind::Branch { filter, .. }
            | SchedulerKind::AnyBranch { filter, .. }
            | SchedulerKind::Periodic { filter, .. }
            | SchedulerKind::Nightly { filter, .. } => change(filter),
            other => panic!("{other:?} has no filter"),
        })
    }

    /// This function says what is important.
    pub fn important(mut self, function: crate::model::FnId) -> Self {
        match &mut self.0.kind {
            SchedulerKind::Branch { important, .. }
            | SchedulerKind::AnyBranch { important, .. }
            | SchedulerKind::Periodic { important, .. }
            | SchedulerKind::Nightly { important, .. } => *important = Some(ImportantFiles::Function(function)),
            other => panic!("{other:?}"),
        }
        self
    }

    /// Changes in these files only are not important.
    pub fn unimportant(self, globs: &[&str], drop_them: bool) -> Self {
        let exclude = globs.iter().map(|&glob| glob.to_owned()).collect();
        self.with(|plan| match &mut plan.kind {
            SchedulerKind::Branch { important, only_important, .. }
            | SchedulerKind::AnyBranch { important, only_important, .. } => {
                *important = Some(ImportantFiles::Globs { include: vec![], exclude });
                *only_important = drop_them;
            }
            SchedulerKind::Periodic { important, .. } | SchedulerKind::Nightly { important, .. } => {
                *important = Some(ImportantFiles::Globs { include: vec![], exclude });
            }
            other => panic!("{other:?} has no important files"),
        })
    }

    pub fn codebases(self, names: &[&str]) -> Self {
        self.with(|plan| {
            plan.codebases = names
                .iter()
                .map(|&name| {
                    let stamp = crate::model::StampSpec { codebase: name.into(), ..Default::default() };
                    CodebasePlan { stamp }
                })
                .collect();
        })
    }
}

impl PlanBuilder {
    /// A builder with one step, `make`.
    pub fn builder<const N: usize>(self, name: &str, workers: [&str; N]) -> Self {
        self.builder_with(name, workers, vec![step("make")])
    }

    pub fn builder_with<const N: usize>(mut self, name: &str, workers: [&str; N], steps: Vec<StepBuilder>) -> Self {
        for worker in workers {
            if !self.plan.workers.contains_key(worker) {
                self = self.worker(worker, 1);
            }
        }
        let steps = steps.into_iter().map(|step| step.plan(&mut self.functions)).collect();
        let builder = BuilderPlan {
            name: name.into(),
            workers: workers.iter().map(|&worker| worker.to_owned()).collect(),
            dir: name.into(),
            steps,
            ..BuilderPlan::default()
        };
        self.plan.builders.insert(name.into(), builder);
        self
    }

    pub fn change_builder(mut self, name: &str, change: impl FnOnce(&mut BuilderPlan, &mut Functions)) -> Self {
        change(self.plan.builders.get_mut(name).unwrap(), &mut self.functions);
        self
    }

    /// A builder may run so many builds at once on one worker.
    pub fn per_worker(self, builder: &str, slots: u64) -> Self {
        self.change_builder(builder, |plan, _| plan.slots_per_worker = slots)
    }

    pub fn worker(mut self, name: &str, slots: u64) -> Self {
        let worker = WorkerPlan { name: name.into(), slots, ..WorkerPlan::default() };
        self.plan.workers.insert(name.into(), worker);
        self
    }

    pub fn change_worker(mut self, name: &str, change: impl FnOnce(&mut WorkerPlan)) -> Self {
        change(self.plan.workers.get_mut(name).unwrap());
        self
    }

    pub fn scheduler(mut self, scheduler: SchedulerBuilder) -> Self {
        self.plan.schedulers.insert(scheduler.0.name.clone(), scheduler.0);
        self
    }

    pub fn without_scheduler(mut self, name: &str) -> Self {
        self.plan.schedulers.remove(name).unwrap();
        self
    }

    pub fn lock(self, name: &str, count: u64) -> Self {
        self.lock_of(name, count, LockScope::Master)
    }

    pub fn worker_lock(self, name: &str, count: u64) -> Self {
        self.lock_of(name, count, LockScope::Worker)
    }

    fn lock_of(mut self, name: &str, count: u64, scope: LockScope) -> Self {
        let lock =
            LockPlan { name: name.into(), scope, count, count_for: BTreeMap::new(), place: SourcePlace::default() };
        self.plan.locks.insert(name.into(), lock);
        self
    }

    pub fn poller(self, name: &str, repository: &str, every: &str) -> Self {
        let git = GitPlan { repository: repository.into(), branches: BranchChoice::Default, tags: vec![] };
        self.source(name, ChangeSourceKind::Git(git), every)
    }

    pub fn source(mut self, name: &str, kind: ChangeSourceKind, every: &str) -> Self {
        self.plan.change_sources.insert(name.into(), source(name, kind, every));
        self
    }

    pub fn mail(mut self, name: &str, on: &[NotifyOn]) -> Self {
        let mail = MailPlan {
            host: "localhost".into(),
            port: 25,
            tls: MailTls::None,
            user: None,
            password: None,
            from: "ci@example.org".into(),
            recipients: Recipients::default(),
            headers: BTreeMap::new(),
            subject: None,
            body: None,
            html: None,
            log_lines: 10,
        };
        let notifier = NotifierPlan {
            name: name.into(),
            on: on.to_vec(),
            builders: None,
            tags: vec![],
            branches: None,
            latest_only: false,
            kind: NotifierKind::Mail(Box::new(mail)),
            place: SourcePlace::default(),
        };
        self.plan.notifiers.insert(name.into(), notifier);
        self
    }

    pub fn change_mail(mut self, name: &str, change: impl FnOnce(&mut NotifierPlan)) -> Self {
        change(self.plan.notifiers.get_mut(name).unwrap());
        self
    }

    pub fn collapse(mut self, policy: CollapsePolicy) -> Self {
        self.plan.master.collapse = policy;
        self
    }

    pub fn grace(mut self, grace: &str) -> Self {
        self.plan.master.reconnect_grace = span(grace);
        self
    }

    pub fn with(mut self, change: impl FnOnce(&mut Plan)) -> Self {
        change(&mut self.plan);
        self
    }

    /// Whatever is asked, this answers.
    pub fn function(&mut self, decide: impl Fn(&Question) -> Decision + Send + Sync + 'static) -> crate::model::FnId {
        self.functions.decision(decide)
    }

    /// The finished configuration; equal ones have equal digests.
    pub fn build(mut self) -> (Arc<Plan>, Functions) {
        self.plan.digest = crate::model::ConfigDigest::default();
        self.plan.digest = digest_of(&(&self.plan, self.functions.text()));
        (Arc::new(self.plan), self.functions)
    }
}
