//! Starts a master and ends it in order.
//!
//! Start: store, configuration file, engine restored from snapshot and facts, tasks, `MasterStarted`, then the
//! configuration comes into force. End: what observes and delivers ends first, while the engine task still records
//! what it says; then the engine task, whose last facts, log lines and snapshot become durable; then the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::{broadcast, oneshot};
use tokio_util::sync::CancellationToken;

use super::admission::Admission;
use super::alert_survey::Survey;
use super::alert_watch::Watch;
use super::configurations::Configurations;
use super::decisions::Decisions;
use super::deliveries::{Deliveries, Mailer};
use super::effects::Effects;
use super::engine_task::{EngineTask, Parts};
use super::evaluators::Evaluators;
use super::handle::Shared;
use super::hook_functions::HookFunctions;
use super::inbox::Inbox;
use super::large_stack::{STACK_BYTES, on_large_stack};
use super::log_writes::LogWrites;
use super::missing_branches::MissingBranches;
use super::plan_in_force::PlanInForce;
use super::polls::Polls;
use super::reload::{Reloader, Reloads, START, load_once};
use super::renders::Renders;
use super::rights::Rights;
use super::tasks::Tasks;
use super::workers::{Host, Workers};
use super::{
    Alerts, Handle, MasterError, Options, Reload, ShuttingDown, StartError, gerrit_streams, housekeeping, stuck, watch,
};
use crate::base::files::keep_state_in;
use crate::base::{Clock, SystemClock, chain, host_name};
use crate::engine::{Engine, Input};
use crate::evaluator::{Launcher, Load};
use crate::model::{Cause, ConfigDigest};
use crate::store::{History, Journal, Lease, Store};

/// Facts that a subscriber may lag behind: some seconds of a busy installation.
const SUBSCRIBER_LAG_MAX: usize = 16_384;
/// Time for deliveries, connections and evaluations to end. What is cut off then is taken up by the next start.
const OUTER_BOUND: Duration = Duration::from_secs(10);
/// Time for the last facts and log lines to become durable.
const INNER_BOUND: Duration = Duration::from_secs(15);

/// A running master: owns the tasks. `handle` talks to it; `stop` ends it in order within a bound.
#[derive(Debug)]
pub struct Master {
    /// Talks to it.
    pub handle: Handle,
    /// What observes and delivers.
    outer: Tasks,
    /// The engine task and the log writer.
    inner: Tasks,
    log_writes: Arc<LogWrites>,
    engine_ended: oneshot::Receiver<()>,
    /// The configuration was loaded for the first time.
    loaded: CancellationToken,
}

/// What is there before any task.
struct Opened {
    options: Options,
    clock: Arc<dyn Clock>,
    store: Store,
    configurations: Arc<Configurations>,
    engine: Engine,
    /// The last fact of the snapshot that the engine was restored from.
    snapshot: u64,
}

impl Master {
    /// Opens the store, recovers, loads the configuration (a refused one is an error only if no earlier one is in
    /// force).
    pub async fn start(options: Options) -> Result<Self, StartError> {
        Self::start_at(options, Arc::new(SystemClock)).await
    }

    /// The same with a clock of the caller's: what the engine decides follows that one.
    pub async fn start_at(options: Options, clock: Arc<dyn Clock>) -> Result<Self, StartError> {
        Self::start_with(options, clock, None).await
    }

    /// The same with the configuration as [`load`] found it a moment ago.
    pub async fn start_loaded(options: Options, first: Option<Load>) -> Result<Self, StartError> {
        Self::start_with(options, Arc::new(SystemClock), first).await
    }

    async fn start_with(options: Options, clock: Arc<dyn Clock>, first: Option<Load>) -> Result<Self, StartError> {
        let store = open_store(&options).await?;
        let configurations = Arc::new(Configurations::new(Arc::new(store.clone()), options.launcher.clone()));
        // Loaded before the engine is restored: if it is the configuration in force, which is usual, it need not be
        // made again from the kept sources.
        let first = match first {
            Some(first) => first,
            None => load_once(options.launcher.clone(), options.config.clone()).await,
        };
        if let Load::Loaded(loaded) = &first {
            configurations.insert(loaded);
        }
        let (engine, snapshot) = recover(Arc::new(store.clone()), &configurations).await?;
        let opened = Opened { options, clock, store, configurations, engine, snapshot };
        let master = Self::assemble(opened, first)?;
        match master.begin().await {
            Ok(()) => Ok(master),
            Err(error) => {
                master.stop().await;
                Err(error)
            }
        }
    }

    /// Lets the workers go with what they run, within a bound: their connections end, and no new ones begin. Nothing of
    /// it counts as a worker that was lost. Part of [`Master::stop`]; who serves the connections does it before he ends
    /// them.
    pub async fn part_with_workers(&self) {
        self.handle.shared.workers.close().await;
    }

    /// Drains: open work stays recorded, workers keep their commands. Everything is durable when it returns.
    pub async fn stop(self) {
        self.part_with_workers().await;
        name_hanging(&self.outer.join(OUTER_BOUND).await);
        if self.handle.shared.inbox.stop().await.is_ok() {
            let drained = async {
                // An engine task that failed has said so.
                let _ = self.engine_ended.await;
                self.log_writes.drained().await;
            };
            if tokio::time::timeout(INNER_BOUND, drained).await.is_err() {
                tracing::error!(
                    "the last events could not be saved in time; the next start continues from the last saved state"
                );
            }
        }
        name_hanging(&self.inner.join(OUTER_BOUND).await);
        close_store(self.handle.shared.store.clone()).await;
    }

    /// Ends at once and records nothing more: to the state it is a crash. For a second signal, and for tests of what
    /// follows a crash.
    pub async fn abandon(self) {
        self.inner.join(OUTER_BOUND).await;
        self.handle.shared.workers.close().await;
        self.outer.join(OUTER_BOUND).await;
        close_store(self.handle.shared.store.clone()).await;
    }

    /// Makes the parts, joins them, starts the tasks. Nothing is recorded yet.
    fn assemble(opened: Opened, first: Load) -> Result<Self, StartError> {
        let Opened { options, clock, store, configurations, engine, snapshot } = opened;
        let (journal, history, lease) = doors(&store);
        let alerts = Alerts::new(Arc::clone(&clock));
        let missing_branches = MissingBranches::default();
        let outer = Tasks::new();
        let inner = outer.group();
        let (inbox, messages) = Inbox::new();
        let plan = PlanInForce::new(engine.plan().cloned().unwrap_or_default());
        configurations.templates().keep(&plan.get().digest);
        let facts = broadcast::Sender::new(SUBSCRIBER_LAG_MAX);
        let admission =
            Arc::new(Admission::new(plan.clone(), Arc::clone(&clock), options.base(), options.local_workers));
        let host = Host {
            logs: Arc::new(store.logs()),
            history: Arc::clone(&history),
            inbox: inbox.clone(),
            clock: Arc::clone(&clock),
            configurations: Arc::clone(&configurations),
            plan: plan.clone(),
            base: options.base(),
            parting: AtomicBool::new(false),
        };
        let workers = Arc::new(Workers::new(host, Arc::clone(&admission), engine.last_epoch()));
        let rights = Rights::new(plan.clone(), Arc::clone(&configurations), alerts.clone(), Arc::clone(&clock));
        let evaluators = Evaluators::new(Arc::clone(&configurations), Arc::clone(&history), inbox.clone(), &outer);
        let hooks = HookFunctions::new(Renders::new(Arc::clone(&configurations)), alerts.clone());
        let effects = Effects {
            deliveries: deliveries(&options, &history, &clock, &configurations),
            evaluators,
            polls: Arc::new(Polls::new(&options, Arc::clone(&clock), missing_branches.clone())),
            log_writes: Arc::new(LogWrites::new(store.logs(), alerts.clone())),
            clock: Arc::clone(&clock),
            workers: Arc::clone(&workers),
        };
        let log_writes = Arc::clone(&effects.log_writes);

        let stop = outer.stop_token();
        outer.spawn("polls", Arc::clone(&effects.polls).run(plan.clone(), inbox.clone(), stop.clone()));
        outer.spawn_last("deliveries", Arc::clone(&effects.deliveries).run(inbox.clone(), stop.clone()));
        let kept = (Arc::clone(&journal), Arc::clone(&history));
        outer.spawn("housekeeping", housekeeping::run(kept, plan.clone(), Arc::clone(&clock), alerts.clone()));
        let survey = Survey {
            history: Arc::clone(&history),
            plan: plan.clone(),
            admission: Arc::clone(&admission),
            missing_branches,
            base: options.base(),
            local_workers: options.local_workers,
            clock: Arc::clone(&clock),
            started: clock.now(),
        };
        let loaded = CancellationToken::new();
        let alert_watch = Watch {
            alerts: alerts.clone(),
            history: Arc::clone(&history),
            survey,
            facts: facts.subscribe(),
            loaded: loaded.clone(),
        };
        outer.spawn("alerts", alert_watch.run());
        let stuck = stuck::run(inbox.clone(), alerts.clone(), plan.clone(), options.url.clone());
        outer.spawn("stuck requests", stuck);
        outer.spawn("gerrit streams", gerrit_streams::run(plan.clone(), inbox.clone(), alerts.clone()));
        let (reloads, requests) = Reloads::new();
        let reloader = Reloader {
            path: options.config.clone(),
            journal: Arc::clone(&journal),
            history: Arc::clone(&history),
            configurations: Arc::clone(&configurations),
            inbox: inbox.clone(),
            plan: plan.clone(),
            reach: options.reach,
            files: tokio::sync::watch::Sender::new(Vec::new()),
        };
        if options.watch {
            let files = reloader.files.subscribe();
            outer.spawn("watch", watch::run(options.config.clone(), files, reloads.clone(), alerts.clone()));
        }
        outer.spawn("reloader", reloader.run(requests, first));

        inner.spawn_last("log writer", Arc::clone(&log_writes).run(inner.stop_token().clone()));
        let task = EngineTask::new(Parts {
            engine,
            snapshot,
            clock,
            inbox: messages,
            decisions: Decisions::new(Arc::clone(&configurations)),
            configurations,
            journal,
            lease,
            plan: plan.clone(),
            facts: facts.clone(),
            effects,
            alerts: alerts.clone(),
            stop: inner.stop_token().clone(),
        });
        let engine_ended = start_engine_task(task, &inner)?;

        let tasks = outer.clone();
        let shared =
            Shared { options, store, inbox, plan, facts, reloads, admission, workers, tasks, alerts, rights, hooks };
        Ok(Self { handle: Handle { shared: Arc::new(shared) }, outer, inner, log_writes, engine_ended, loaded })
    }

    /// The first inputs: what makes this master known, and its configuration.
    async fn begin(&self) -> Result<(), StartError> {
        let shared = &self.handle.shared;
        let name = format!("{}:{}", host_name(), shared.options.data.display());
        let started = Input::Started { name, installation: shared.store.installation() };
        let first = async {
            shared.inbox.tell_durably(started).await?;
            shared.reloads.request(START.to_owned(), Cause::Configuration).await
        };
        let first = first.await;
        self.loaded.cancel();
        match first {
            // The one in force may be none, or one that was only reached from this machine.
            Ok(Reload::Refused { report })
                if shared.plan.get().digest == ConfigDigest::default()
                    || !shared.options.reach.fits(&shared.plan.get().rights) =>
            {
                Err(StartError::Refused { path: shared.options.config.clone(), report })
            }
            Ok(Reload::Refused { .. } | Reload::Unchanged | Reload::Adopted { .. }) => Ok(()),
            Err(ShuttingDown) => Err(StartError::Ended(self.outer.failed().await)),
        }
    }
}

fn deliveries(
    options: &Options,
    history: &Arc<dyn History>,
    clock: &Arc<dyn Clock>,
    configurations: &Arc<Configurations>,
) -> Arc<Deliveries> {
    Arc::new(Deliveries::new(Mailer {
        history: Arc::clone(history),
        clock: Arc::clone(clock),
        configurations: Arc::clone(configurations),
        renders: Arc::new(Renders::new(Arc::clone(configurations))),
        base: options.base(),
        url: options.url.clone(),
    }))
}

/// What the parts of a master see of the store.
fn doors(store: &Store) -> (Arc<dyn Journal>, Arc<dyn History>, Arc<dyn Lease>) {
    let lease: Arc<dyn Lease> = Arc::new(store.clone());
    tracing::debug!(epoch = lease.epoch(), "holds the store");
    (Arc::new(store.clone()), Arc::new(store.clone()), lease)
}

async fn open_store(options: &Options) -> Result<Store, StartError> {
    let data = options.data.clone();
    let failed = |source| StartError::Directory { path: options.data.clone(), source };
    std::fs::create_dir_all(&data).map_err(failed)?;
    let opened = tokio::task::spawn_blocking(move || {
        let opened = Store::open(&data)?;
        // Only now, because the directory of a newer version, or of another process, is left as it is.
        Ok((opened, keep_state_in(&data, |path| is_of_builds(&data, path))))
    });
    let opened = opened.await.map_err(|error| StartError::Bug { what: "open the store", why: error.to_string() })?;
    let (store, kept) = opened.map_err(StartError::Store)?;
    kept.map_err(failed)?;
    Ok(store)
}

/// Whether a directory is one in which builds of a local worker work.
fn is_of_builds(data: &Path, path: &Path) -> bool {
    let below = path.strip_prefix(data.join("workers")).ok().map(|below| below.components().count());
    below == Some(2) && path.file_name().is_some_and(|name| name != "spool")
}

async fn close_store(store: Store) {
    match tokio::task::spawn_blocking(move || store.close()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(error = %chain(&error), "failed to close the store"),
        Err(error) => tracing::error!(%error, "failed to close the store"),
    }
}

/// Loads a configuration, for [`Master::start_loaded`].
pub async fn load(launcher: Launcher, config: PathBuf) -> Load {
    load_once(launcher, config).await
}

/// The engine, and the last fact of the snapshot that it was restored from.
async fn recover(journal: Arc<dyn Journal>, configurations: &Arc<Configurations>) -> Result<(Engine, u64), StartError> {
    let configurations = Arc::clone(configurations);
    let recovered = on_large_stack("recover", move || {
        let recovered = journal.recover().map_err(StartError::Store)?;
        let mut plans = |digest: &ConfigDigest| configurations.obtain(digest);
        let snapshot = recovered.snapshot.as_ref().map(|(_, bytes)| bytes.as_slice());
        let engine = Engine::restore(snapshot, &recovered.facts, &mut plans)?;
        Ok((engine, recovered.snapshot.map_or(0, |(seq, _)| seq)))
    });
    recovered.await.map_err(|why| StartError::Bug { what: "restore the open work", why })?
}

/// Threads beside the engine task, for what its lanes of evaluators cannot wait for: a lane has one such thing at a time, and
/// processes that end come on top.
const OWNER_THREADS_MAX: usize = 8;
/// At the end they have nothing left to do: evaluators were killed, and their ends are known.
const OWNER_THREADS_WITHIN: Duration = Duration::from_secs(1);

/// Starts the engine task's thread: its own runtime, and the stack that deeply nested values need.
fn start_engine_task(task: EngineTask, tasks: &Tasks) -> Result<oneshot::Receiver<()>, MasterError> {
    let (sender, ended) = oneshot::channel();
    tasks.thread("owner", STACK_BYTES, move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_stack_size(STACK_BYTES)
            .max_blocking_threads(OWNER_THREADS_MAX)
            .build();
        let runtime = runtime.map_err(|source| MasterError::Thread { name: "owner", source })?;
        let result = runtime.block_on(task.run());
        runtime.shutdown_timeout(OWNER_THREADS_WITHIN);
        // A master that was dropped does not wait for us.
        let _ = sender.send(());
        result
    })?;
    Ok(ended)
}

fn name_hanging(tasks: &[&'static str]) {
    for name in tasks {
        tracing::warn!(task = name, "this task did not end in time");
    }
}
