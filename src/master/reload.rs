//! Live reload: loads the configuration anew, compares, and has the engine task swap it as one.
//!
//! ```text
//!   file watch ──┐
//!   SIGHUP ──────┼──► queue ──► reloader: texts as in force? ─► nothing
//!   API, CLI ────┘              (one at a time)  load ─► refused? ─► recorded, old one stays
//!                                                     else     ─► sources kept, engine task adopts
//! ```
//! The texts on disk are compared before anything is evaluated: a start, a touched file and a signal without a change cost
//! no evaluation beside the one that the start needs.
//!
//! One load runs, in a process of its own; everything that is asked for meanwhile is answered by the next, for which a
//! load that takes long is given up. Running builds never notice: they pin the configuration that they began with.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use super::configurations::Configurations;
use super::inbox::Inbox;
use super::large_stack::on_large_stack;
use super::plan_in_force::PlanInForce;
use super::{MasterError, Reach, ShuttingDown};
use crate::base::{chain, memory};
use crate::engine::{Input, Reply};
use crate::evaluator::{self, Abort, ConfigDirectory, Launcher, Load, Loaded, Problem, Refused, Sources};
use crate::model::{Cause, ConfigDigest, DECLARE_RIGHTS, PlanChange};
use crate::store::{History, Journal};

/// Asks for a reload that may wait; further ones wait to be let in.
const REQUESTS_MAX: usize = 64;

/// A load that takes longer than this is given up for a newer one, if that would read other texts; shorter ones end by
/// themselves before that helps.
const SUPERSEDE_AFTER: Duration = Duration::from_secs(1);
/// So many loads in a row are given up; then one runs to its end, however often it is asked for.
const SUPERSEDED_MAX: usize = 5;

/// The cause of the first load.
pub(super) const START: &str = "start";

/// What a reload came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reload {
    /// Nothing differs.
    Unchanged,
    /// In force now.
    Adopted {
        /// Its digest.
        digest: ConfigDigest,
        /// What differs from the one before.
        changes: Vec<PlanChange>,
    },
    /// Refused; the report for people. The old one stays.
    Refused {
        /// All problems, with their places.
        report: String,
    },
}

/// Somebody wants a reload.
#[derive(Debug)]
struct Request {
    why: String,
    cause: Cause,
    answer: oneshot::Sender<Reload>,
}

/// Why the configuration is loaded: of all who want it together.
struct ReloadReason {
    why: String,
    cause: Cause,
}

impl ReloadReason {
    /// All reasons; as the cause the first order, if somebody gave one.
    fn of(together: &[Request]) -> Self {
        let whys: BTreeSet<&str> = together.iter().map(|request| request.why.as_str()).collect();
        let mut causes = together.iter().map(|request| &request.cause);
        let cause = causes.find(|cause| matches!(cause, Cause::Order(_))).cloned().unwrap_or(Cause::Configuration);
        Self { why: whys.into_iter().collect::<Vec<_>>().join(", "), cause }
    }
}

/// Asks for reloads; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Reloads {
    sender: mpsc::Sender<Request>,
}

impl Reloads {
    /// The way to ask, and the queue to give to [`Reloader::run`].
    pub fn new() -> (Self, Requests) {
        let (sender, receiver) = mpsc::channel(REQUESTS_MAX);
        (Self { sender }, Requests(receiver))
    }

    /// Waits for a load that begins after this call.
    pub async fn request(&self, why: String, cause: Cause) -> Result<Reload, ShuttingDown> {
        let (answer, reload) = oneshot::channel();
        self.sender.send(Request { why, cause, answer }).await.map_err(|_| ShuttingDown)?;
        reload.await.map_err(|_| ShuttingDown)
    }
}

/// Loads configurations.
#[derive(Debug)]
pub(super) struct Reloader {
    /// The configuration file.
    pub path: PathBuf,
    pub journal: Arc<dyn Journal>,
    pub history: Arc<dyn History>,
    pub configurations: Arc<Configurations>,
    pub inbox: Inbox,
    pub plan: PlanInForce,
    pub reach: Reach,
    /// The files of the last configuration that was right, for the watcher.
    pub files: watch::Sender<Vec<PathBuf>>,
}

impl Reloader {
    /// Answers requests as long as the master runs. The start comes first and gets what was loaded for it; whoever asked
    /// meanwhile comes next.
    pub async fn run(self, mut requests: Requests, first: Load) -> Result<(), MasterError> {
        let mut waiting = Vec::new();
        let Some(start) = requests.start(&mut waiting).await else { return std::future::pending().await };
        let mut seen = LastLoaded::of(&first);
        let mut superseded = 0;
        if self.judge(first, ReloadReason::of(std::slice::from_ref(&start)), vec![start]).await.is_err() {
            return std::future::pending().await;
        }
        while requests.gather(&mut waiting).await {
            let mut together = std::mem::take(&mut waiting);
            let occasion = ReloadReason::of(&together);
            if let Some(files) = self.texts_in_force(seen.clone()).await {
                if self.confirm(files, occasion, together).await.is_err() {
                    break;
                }
                continue;
            }
            let load = self.load(&mut requests, &mut waiting, superseded < SUPERSEDED_MAX).await;
            if matches!(load, Load::Aborted) {
                superseded += 1;
                together.append(&mut waiting);
                waiting = together;
                continue;
            }
            superseded = 0;
            seen = LastLoaded::of(&load).or(seen);
            if self.judge(load, occasion, together).await.is_err() {
                break;
            }
        }
        // The engine task is gone: wait to be stopped with the rest.
        std::future::pending().await
    }

    /// If the texts on disk are those of the configuration in force: their files.
    async fn texts_in_force(&self, seen: Option<LastLoaded>) -> Option<Vec<PathBuf>> {
        let seen = seen.filter(|seen| seen.digest == self.plan.get().digest)?;
        let path = self.path.clone();
        let compared = tokio::task::spawn_blocking(move || {
            let directory = ConfigDirectory::of(&path).ok()?;
            directory.holds(&seen.sources).then(|| directory.watch(seen.sources.files.keys()))
        });
        // A comparison that failed says nothing; the load will.
        compared.await.ok().flatten()
    }

    /// Answers what is asked for while the texts are those in force. If others were refused before, they are right again.
    async fn confirm(
        &self,
        files: Vec<PathBuf>,
        occasion: ReloadReason,
        asked: Vec<Request>,
    ) -> Result<(), ShuttingDown> {
        let ReloadReason { why, cause } = occasion;
        self.files.send_replace(files);
        if self.refused_now().is_some() {
            let (plan, told) = (self.plan.get(), why.clone());
            self.inbox.ask(move |ticket| Input::PlanLoaded { plan, why: told, cause, ticket: Some(ticket) }).await?;
            tracing::info!(cause = %why, "the configuration is valid again and does not differ from the one in force");
        } else {
            tracing::debug!(cause = %why, "the configuration is unchanged");
        }
        answer(asked, &Reload::Unchanged);
        Ok(())
    }

    /// Loads. What is asked for meanwhile waits; if the load takes long it is given up for that, as far as it may be.
    async fn load(&self, requests: &mut Requests, newer: &mut Vec<Request>, may_give_up: bool) -> Load {
        let abort = AbortOnDrop::default();
        let mut long = tokio::time::Instant::now() + SUPERSEDE_AFTER;
        let mut load =
            std::pin::pin!(load(self.configurations.templates().launcher().clone(), self.path.clone(), &abort.0));
        loop {
            tokio::select! {
                load = &mut load => return load,
                Some(request) = requests.0.recv(), if newer.len() < REQUESTS_MAX => newer.push(request),
                () = tokio::time::sleep_until(long), if may_give_up && !newer.is_empty() => {
                    if !self.is_outdated(&abort.0).await {
                        long = tokio::time::Instant::now() + SUPERSEDE_AFTER;
                        continue;
                    }
                    tracing::info!("the files changed again, so a slow load of the configuration was restarted");
                    abort.0.abort();
                    return load.await;
                }
            }
        }
    }

    /// Whether a load that begins now would read other texts.
    async fn is_outdated(&self, load: &Abort) -> bool {
        let (load, path) = (load.clone(), self.path.clone());
        tokio::task::spawn_blocking(move || load.is_outdated(&path)).await.unwrap_or(true)
    }

    async fn judge(&self, load: Load, occasion: ReloadReason, asked: Vec<Request>) -> Result<(), ShuttingDown> {
        let reload = match load {
            Load::Loaded(loaded) => self.right(loaded, occasion).await,
            Load::Refused(refused) => self.refuse(refused.to_string(), occasion).await,
            Load::Aborted => self.refuse("the load was aborted".to_owned(), occasion).await,
        };
        let reload = reload?;
        answer(asked, &reload);
        if matches!(reload, Reload::Adopted { .. }) {
            // A failure costs memory and nothing else.
            let _ = tokio::task::spawn_blocking(memory::give_back).await;
        }
        Ok(())
    }

    async fn right(&self, loaded: Loaded, occasion: ReloadReason) -> Result<Reload, ShuttingDown> {
        self.files.send_replace(loaded.watch.clone());
        if !self.reach.fits(&loaded.plan.rights) {
            let what = "others can reach the master, and nothing says who may do what";
            let report = format!("error: {what}\nhint: {DECLARE_RIGHTS}\n");
            return self.refuse(report, occasion).await;
        }
        let same = loaded.plan.digest == self.plan.get().digest;
        if same && self.refused_now().is_none() {
            tracing::debug!(cause = %occasion.why, "the configuration is unchanged");
            return Ok(Reload::Unchanged);
        }
        self.remark(&loaded);
        if let Err(why) = self.keep_sources(&loaded).await {
            return self.refuse(format!("its sources cannot be saved: {why}"), occasion).await;
        }
        let configurations = Arc::clone(&self.configurations);
        let ReloadReason { why, cause } = occasion;
        let told = why.clone();
        let first = self.is_first();
        let reply = self
            .inbox
            .ask(move |ticket| {
                let plan = configurations.insert(&loaded);
                Input::PlanLoaded { plan, why: told, cause, ticket: Some(ticket) }
            })
            .await?;
        Ok(match reply {
            Reply::Adopted { changes, .. } if same && changes.is_empty() => {
                tracing::info!(cause = %why, "the configuration is valid again and does not differ from the one in force");
                Reload::Unchanged
            }
            Reply::Adopted { digest, changes } => {
                if first {
                    tracing::info!(cause = %why, %digest, "loaded the configuration");
                } else {
                    tracing::info!(cause = %why, %digest, "a new configuration is in force: {}", in_words(&changes));
                }
                Reload::Adopted { digest, changes }
            }
            other => Reload::Refused { report: format!("the engine rejected it: {other:?}") },
        })
    }

    /// Records the refusal, unless the same one stands already.
    async fn refuse(&self, report: String, occasion: ReloadReason) -> Result<Reload, ShuttingDown> {
        if self.refused_now().as_ref() != Some(&report) {
            // The alert that follows tells the log why.
            let ReloadReason { why, cause } = occasion;
            tracing::info!(cause = %why, "rejected the configuration");
            let message = report.clone();
            self.inbox.ask(move |ticket| Input::PlanRefused { why, cause, message, ticket: Some(ticket) }).await?;
        }
        Ok(Reload::Refused { report })
    }

    fn refused_now(&self) -> Option<String> {
        self.history.plan_refused().ok().flatten().map(|(_, message)| message)
    }

    async fn keep_sources(&self, loaded: &Loaded) -> Result<(), String> {
        let (journal, digest) = (Arc::clone(&self.journal), loaded.plan.digest.clone());
        let sources = Arc::clone(&loaded.sources);
        let kept = tokio::task::spawn_blocking(move || journal.keep_configuration(&digest, &sources.to_bytes())).await;
        kept.map_err(|error| error.to_string())?.map_err(|error| chain(&error))
    }

    fn remark(&self, loaded: &Loaded) {
        for warning in &loaded.warnings {
            tracing::warn!("{}", warning.line());
        }
        if !self.is_first() && self.plan.get().web.listen != loaded.plan.web.listen {
            tracing::warn!("`web(listen = …)` changed; the new address takes effect at the next start");
        }
    }

    /// Whether no configuration was ever in force.
    fn is_first(&self) -> bool {
        self.plan.get().digest == ConfigDigest::default()
    }
}

/// The last configuration that was loaded and right.
#[derive(Clone, Debug)]
struct LastLoaded {
    digest: ConfigDigest,
    sources: Arc<Sources>,
}

impl LastLoaded {
    fn of(load: &Load) -> Option<Self> {
        let Load::Loaded(loaded) = load else { return None };
        Some(Self { digest: loaded.plan.digest.clone(), sources: Arc::clone(&loaded.sources) })
    }
}

fn answer(asked: Vec<Request>, reload: &Reload) {
    for request in asked {
        // An asker that went away needs no answer.
        let _ = request.answer.send(reload.clone());
    }
}

/// The queue of requests.
#[derive(Debug)]
pub(super) struct Requests(mpsc::Receiver<Request>);

impl Requests {
    /// Waits for the request of the start; the others wait. None if it never comes. The others are few: the pages are not
    /// served before the start is over, and the watch asks once.
    async fn start(&mut self, waiting: &mut Vec<Request>) -> Option<Request> {
        loop {
            let request = self.0.recv().await?;
            if request.why == START {
                return Some(request);
            }
            waiting.push(request);
        }
    }

    /// Waits until somebody waits, and lets everybody in who does; false if nobody ever will.
    async fn gather(&mut self, waiting: &mut Vec<Request>) -> bool {
        if waiting.is_empty() {
            waiting.extend(self.0.recv().await);
        }
        while let Ok(more) = self.0.try_recv() {
            waiting.push(more);
        }
        !waiting.is_empty()
    }
}

/// Ends a load that nobody waits for any more.
#[derive(Default)]
struct AbortOnDrop(Abort);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Loads a configuration beside everything else.
async fn load(launcher: Launcher, path: PathBuf, abort: &Abort) -> Load {
    let abort = abort.clone();
    let loaded = on_large_stack("load", move || evaluator::load(&launcher, &path, &abort)).await;
    loaded.unwrap_or_else(|why| {
        let message = format!("the configuration could not be loaded, which is a bug: {why}");
        Load::Refused(Refused { problems: vec![Problem::placeless(message, None)] })
    })
}

/// The same for the start: whoever drops it ends it.
pub(super) async fn load_once(launcher: Launcher, path: PathBuf) -> Load {
    let abort = AbortOnDrop::default();
    load(launcher, path, &abort.0).await
}

fn in_words(changes: &[PlanChange]) -> String {
    if changes.is_empty() {
        return "only parts that are not listed here changed".to_owned();
    }
    changes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
