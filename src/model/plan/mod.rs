//! The whole configuration as data. User functions are opaque ids ([`FnId`]) that only `config` can call.

mod artifacts;
mod gerrit;
mod hook;
mod logins;
mod notifier;
mod project;
mod rights;
mod scheduler;
mod source;
mod trees;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::artifacts::{ArtifactLimits, ArtifactRules};
pub use self::gerrit::{GerritPlan, GerritServer};
pub use self::hook::{HookDialect, HookPlan, HookSettings, PullEvent, PullRef};
pub use self::logins::{
    ForgeKind, ForgeLogin, HeaderLogin, LdapLogin, LoginKind, LoginPlan, LoginsPlan, OidcLogin, SessionsPlan,
};
#[cfg(test)]
pub use self::notifier::PaperPlan;
pub use self::notifier::{
    HTTP_REQUEST_KEYS, HttpLogin, HttpPlan, MailPlan, MailTls, NotifierKind, NotifierPlan, NotifyOn, Recipients,
};
pub use self::project::{About, DeclaredCodebase, ProjectPlan};
pub use self::rights::{DECLARE_RIGHTS, Only, RightsPlan, RolePlan, RulePlan};
pub use self::scheduler::{
    ChangeFilter, CodebasePlan, ForceParam, ForceParamKind, ImportantFiles, Matcher, SchedulerKind, SchedulerPlan,
    full_name,
};
#[cfg(test)]
pub use self::source::ListPlan;
pub use self::source::{ChangeSourceKind, ChangeSourcePlan, GitPlan, PullsPlan};
pub use self::trees::{BranchChoice, BzrPlan, HgPlan, SvnLayout, SvnPlan};
use super::{ConfigDigest, FnId, OnLost, Properties, Text};
use crate::base::Span;

/// A configuration, checked: every name that it mentions exists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its digest.
    pub digest: ConfigDigest,
    pub master: MasterPlan,
    pub web: WebPlan,
    /// Who may do what.
    #[serde(default)]
    pub rights: RightsPlan,
    /// How people log in.
    #[serde(default)]
    pub logins: LoginsPlan,
    pub database: DatabasePlan,
    pub secrets: SecretsPlan,
    pub workers: BTreeMap<String, WorkerPlan>,
    pub builders: BTreeMap<String, BuilderPlan>,
    pub schedulers: BTreeMap<String, SchedulerPlan>,
    pub change_sources: BTreeMap<String, ChangeSourcePlan>,
    pub notifiers: BTreeMap<String, NotifierPlan>,
    pub locks: BTreeMap<String, LockPlan>,
    #[serde(default)]
    pub projects: BTreeMap<String, ProjectPlan>,
    #[serde(default)]
    pub codebases: BTreeMap<String, DeclaredCodebase>,
    /// Properties of every build, source `Global`.
    pub properties: Properties,
}

/// Where something is declared: file relative to the configuration's directory, line and column from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourcePlace {
    pub file: Arc<str>,
    pub line: u32,
    pub column: u32,
}

/// `master(...)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MasterPlan {
    pub title: String,
    pub title_url: Option<String>,
    /// The address at which people reach the pages; ends with `/`. None: derived from where we listen.
    pub url: Option<String>,
    /// How long a lost worker may stay away before its builds end with `retry`.
    pub reconnect_grace: Span,
    /// How requests of the same builder are merged, unless the builder says otherwise.
    pub collapse: CollapsePolicy,
    /// Bytes of text that a log of a command keeps; none: as the store has it.
    #[serde(default)]
    pub log_bytes_max: Option<u64>,
}

impl Default for MasterPlan {
    fn default() -> Self {
        Self {
            title: "Starwright".to_owned(),
            title_url: None,
            url: None,
            reconnect_grace: Span::from_minutes(10),
            collapse: CollapsePolicy::SameSource,
            log_bytes_max: None,
        }
    }
}

/// `web(...)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebPlan {
    /// `HOST:PORT`; the command line's `--listen` wins. Default `127.0.0.1:8010`.
    pub listen: Option<String>,
    /// Shell patterns of origins that browsers may call the API from, beside our own.
    pub allowed_origins: Vec<String>,
    /// Names by which people reach us beside the host of `master(url = …)`; `*.example.org` for all below one.
    pub hosts: Vec<String>,
    /// Addresses and ranges (`10.0.0.0/8`) of proxies whose word on the client's address and host counts.
    pub trusted_proxies: Vec<String>,
    /// Change hooks by name: the last part of their address.
    pub hooks: BTreeMap<String, HookPlan>,
}

/// `database(...)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabasePlan {
    pub retention: RetentionPlan,
    #[serde(default)]
    pub artifacts: ArtifactLimits,
}

/// What to keep. A build goes when it is older than `days` or beyond the newest `builds` of its
/// builder; none means no such limit. The newest build of a builder always stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetentionPlan {
    pub days: Option<u64>,
    pub builds: Option<u64>,
    /// Logs go earlier than their builds.
    pub log_days: Option<u64>,
    /// So do artifacts.
    #[serde(default)]
    pub artifact_days: Option<u64>,
    /// What builders say of theirs, by name.
    #[serde(default)]
    pub artifacts_of: BTreeMap<String, ArtifactRules>,
}

/// `secrets(...)`: where the values of secrets are found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretsPlan {
    /// Directory with one file per secret, relative to the configuration's directory. Default `secrets`.
    pub dir: Option<String>,
    /// Prefix of environment variables of the master that hold secrets; `linux-1` with prefix
    /// `STARWRIGHT_SECRET_` is `STARWRIGHT_SECRET_LINUX_1`.
    pub env_prefix: Option<String>,
    /// Every secret that the configuration names.
    pub names: Vec<String>,
}

/// `worker(...)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerPlan {
    pub name: String,
    /// None: a local worker, which `starwright up` starts by itself and nobody else can be.
    pub password: Option<Text>,
    pub tags: Vec<String>,
    /// Builds at the same time; at least 1.
    pub slots: u64,
    /// Locks that each of its builds takes.
    pub locks: Vec<LockAccess>,
    pub properties: Properties,
    /// The encoding of what its commands print; none: UTF-8.
    #[serde(default)]
    pub encoding: Option<String>,
    pub place: SourcePlace,
}

/// A fixed value or a user function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy<T> {
    Fixed(T),
    Function(FnId),
}

/// How waiting requests of one builder are merged into one build.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CollapsePolicy {
    /// Each request gets a build.
    Never,
    /// Requests for the same codebases, repositories, projects and branches, whatever the revision,
    /// merge into the newest; those with a patch or differing properties of a force form do not.
    #[default]
    SameSource,
    /// A user function decides for each pair.
    Function(FnId),
}

/// `builder(...)`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuilderPlan {
    pub name: String,
    #[serde(default)]
    pub project: Option<String>,
    pub description: Option<String>,
    pub tags: Vec<String>,
    /// Names of workers that can build it, in order: the `workers` argument's names and tags, resolved.
    pub workers: Vec<String>,
    /// Builds of this builder at the same time; none for no limit.
    pub slots: Option<u64>,
    /// Locks that each build takes before its first step.
    pub locks: Vec<LockAccess>,
    pub properties: Properties,
    /// Environment of all its commands.
    pub env: BTreeMap<String, super::EnvValue>,
    /// Its directory on the worker, below the worker's base directory.
    pub dir: String,
    /// How many of its builds may run on one worker at a time, each in a directory of its own; 0 counts as 1.
    pub slots_per_worker: u64,
    /// Builders that were given the same step share it.
    pub steps: Vec<Arc<StepPlan>>,
    /// The codebases that its steps use. Empty if that is not known, as with steps that are functions, or if they use none.
    pub codebases: BTreeSet<String>,
    /// None: the master's.
    pub collapse: Option<CollapsePolicy>,
    /// Higher goes first; default 0.
    pub priority: Option<Policy<i64>>,
    pub next_build: Option<FnId>,
    pub next_worker: Option<FnId>,
    pub can_start: Option<FnId>,
    /// If the worker is lost for good.
    pub on_lost: OnLost,
    /// Bytes of text that a log of its commands keeps; none: the master's.
    #[serde(default)]
    pub log_bytes_max: Option<u64>,
    pub place: SourcePlace,
}

/// The longest pause before a step is tried again.
pub const RETRY_DELAY_MAX: Span = Span::from_minutes(10);

/// One element of `steps = [...]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of the field")]
pub struct StepPlan {
    pub name: String,
    /// The step's function; called with the build's `ctx`.
    pub body: FnId,
    /// Whether to run it; called with `ctx`.
    pub do_if: Option<FnId>,
    /// Whether pages leave it out; called with `ctx` and the outcome's word.
    pub hide_if: Option<FnId>,
    /// A failure ends the build (steps with `always_run` still run).
    pub halt_on_failure: bool,
    /// A failure makes the build a failure.
    pub flunk_on_failure: bool,
    /// Warnings make the build a failure.
    pub flunk_on_warnings: bool,
    /// A failure makes the build one with warnings.
    pub warn_on_failure: bool,
    /// Warnings make the build one with warnings.
    pub warn_on_warnings: bool,
    /// Runs even after a halting failure or a stop.
    pub always_run: bool,
    /// How often to try again after a failure; each attempt is a step of its own.
    pub retries: u64,
    /// Pause before a retry; doubles each time, up to ten minutes.
    pub retry_delay: Span,
    /// Locks to hold while it runs.
    pub locks: Vec<LockAccess>,
    pub place: SourcePlace,
}

/// What a lock is held on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LockScope {
    /// One for the whole installation.
    Master,
    /// One for each worker.
    Worker,
}

/// `lock(...)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockPlan {
    pub name: String,
    pub scope: LockScope,
    /// Units that counting holders share; at least 1.
    pub count: u64,
    /// Other counts for named workers.
    pub count_for: BTreeMap<String, u64>,
    pub place: SourcePlace,
}

/// How a lock is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum LockMode {
    /// So many units.
    Counting(u64),
    /// All of it, alone.
    Exclusive,
}

/// A lock to take.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LockAccess {
    pub lock: String,
    pub mode: LockMode,
}

impl BuilderPlan {
    /// The directories of its builds on one worker: its own, then `NAME.2`, `NAME.3` and so on.
    pub fn slot_dirs(&self) -> impl Iterator<Item = String> + '_ {
        let slots = self.slots_per_worker.max(1);
        (1..=slots).map(|slot| if slot == 1 { self.dir.clone() } else { format!("{}.{slot}", self.dir) })
    }

    /// Whether no step looks at the branch and revision of a codebase, as far as that is known.
    #[must_use]
    pub fn ignores(&self, codebase: &str) -> bool {
        !self.codebases.is_empty() && !self.codebases.contains(codebase)
    }
}

impl Plan {
    /// Makes one of what is equal, after a message was read: the names of files, and the steps that builders share.
    pub fn share(&mut self) {
        let mut files = BTreeSet::new();
        let mut places: Vec<&mut SourcePlace> = Vec::new();
        places.extend(self.workers.values_mut().map(|worker| &mut worker.place));
        places.extend(self.schedulers.values_mut().map(|scheduler| &mut scheduler.place));
        places.extend(self.change_sources.values_mut().map(|source| &mut source.place));
        places.extend(self.logins.ways.iter_mut().map(|login| &mut login.place));
        places.extend(self.notifiers.values_mut().map(|notifier| &mut notifier.place));
        places.extend(self.locks.values_mut().map(|lock| &mut lock.place));
        for builder in self.builders.values_mut() {
            // A step that is shared already was given its names by whoever shares it.
            places.extend(builder.steps.iter_mut().filter_map(Arc::get_mut).map(|step| &mut step.place));
            places.push(&mut builder.place);
        }
        for place in places {
            place.file = intern(&mut files, &place.file);
        }
        let steps = self.builders.values().map(|builder| builder.steps.len()).sum();
        let mut known: HashMap<FnId, Arc<StepPlan>> = HashMap::with_capacity(steps);
        for step in self.builders.values_mut().flat_map(|builder| &mut builder.steps) {
            let first = known.entry(step.body).or_insert_with(|| Arc::clone(step));
            if first == step {
                *step = Arc::clone(first);
            }
        }
    }

    /// Whether builds of other builders start with the sources of a scheduler's builds.
    #[must_use]
    pub fn has_dependents(&self, scheduler: &str) -> bool {
        self.schedulers.values().any(|other| other.kind.upstream() == Some(scheduler))
    }

    /// Schedulers that have dependents.
    #[must_use]
    pub fn upstreams(&self) -> BTreeSet<&str> {
        self.schedulers.values().filter_map(|scheduler| scheduler.kind.upstream()).collect()
    }

    /// Every directory that builders use on this worker, below its base directory. Whoever tidies up there spares
    /// these.
    #[must_use]
    pub fn dirs_on(&self, worker: &str) -> Vec<String> {
        let builders = self.builders.values().filter(|builder| builder.workers.iter().any(|name| name == worker));
        builders.flat_map(BuilderPlan::slot_dirs).collect()
    }
}

/// The one copy of a text.
pub fn intern(known: &mut BTreeSet<Arc<str>>, text: &str) -> Arc<str> {
    if let Some(known) = known.get(text) {
        return Arc::clone(known);
    }
    let text: Arc<str> = Arc::from(text);
    known.insert(Arc::clone(&text));
    text
}

/// What makes directories below a worker's base directory the same, on whatever system: neither case nor dots and
/// spaces at the end of a name count. One that begins with another one is inside of it.
#[must_use]
pub fn dir_key(dir: &str) -> Vec<String> {
    let parts = dir.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".");
    parts.map(|part| part.trim_end_matches(['.', ' ']).to_lowercase()).collect()
}

/// Whether two directories are one, or one is inside the other.
#[must_use]
pub fn dirs_clash(left: &str, right: &str) -> bool {
    let (left, right) = (dir_key(left), dir_key(right));
    left.starts_with(&right) || right.starts_with(&left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_steps_and_names_of_files_become_one() {
        let place = |line| SourcePlace { file: "master.star".into(), line, column: 1 };
        let step = |body| {
            Arc::new(StepPlan {
                name: "make".to_owned(),
                body: FnId(body),
                do_if: None,
                hide_if: None,
                halt_on_failure: true,
                flunk_on_failure: true,
                flunk_on_warnings: false,
                warn_on_failure: false,
                warn_on_warnings: true,
                always_run: false,
                retries: 0,
                retry_delay: Span::ZERO,
                locks: Vec::new(),
                place: place(3),
            })
        };
        let builder = || BuilderPlan { steps: vec![step(0), step(1)], place: place(5), ..BuilderPlan::default() };
        let read = || Plan {
            builders: BTreeMap::from([("a".to_owned(), builder()), ("b".to_owned(), builder())]),
            ..Plan::default()
        };
        let mut plan = read();
        plan.share();
        assert_eq!(plan, read());
        let (a, b) = (&plan.builders["a"], &plan.builders["b"]);
        assert!(Arc::ptr_eq(&a.steps[0], &b.steps[0]) && Arc::ptr_eq(&a.steps[1], &b.steps[1]));
        assert!(Arc::ptr_eq(&a.place.file, &b.place.file) && Arc::ptr_eq(&a.place.file, &a.steps[0].place.file));
    }
}
