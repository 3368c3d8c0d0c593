//! Live reload: loads the configuration anew, compares, and has the owner swap it as one.
//!
//! ```text
//!   file watch ──┐
//!   SIGHUP ──────┼──► queue ──► reloader: load ─► refused?   ─► recorded, old one stays
//!   API, CLI ────┘              (one at a time)  unchanged? ─► nothing
//!                                                else       ─► sources kept, owner adopts
//! ```
//! One load runs; everything that is asked for meanwhile is answered by the next. Running builds never
//! notice: they pin the configuration that they began with.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::inbox::Inbox;
use super::large_stack::on_large_stack;
use super::plan_in_force::PlanInForce;
use super::programs::Programs;
use super::{Gone, MasterError};
use crate::base::chain;
use crate::config::{self, Loaded, Refused};
use crate::engine::{Input, Reply};
use crate::model::{ConfigDigest, PlanChange};
use crate::store::Store;

/// Asks for a reload that may wait; further ones wait to be let in.
const REQUESTS_MAX: usize = 64;

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
    cause: String,
    answer: oneshot::Sender<Reload>,
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
    pub async fn request(&self, cause: String) -> Result<Reload, Gone> {
        let (answer, reload) = oneshot::channel();
        self.sender.send(Request { cause, answer }).await.map_err(|_| Gone)?;
        reload.await.map_err(|_| Gone)
    }
}

/// A configuration that was loaded, right or refused; the text if the loader itself died.
pub(super) type Load = Result<Result<Loaded, Refused>, String>;

/// Loads configurations.
#[derive(Debug)]
pub(super) struct Reloader {
    /// The configuration file.
    pub path: PathBuf,
    pub store: Store,
    pub programs: Arc<Programs>,
    pub inbox: Inbox,
    pub plan: PlanInForce,
    /// The files of the last configuration that was right, for the watcher.
    pub files: watch::Sender<Vec<PathBuf>>,
}

impl Reloader {
    /// Answers requests as long as the master runs; the first one with what was loaded already.
    pub async fn run(self, mut requests: Requests, first: Load) -> Result<(), MasterError> {
        let mut loaded = Some(first);
        while let Some(first) = requests.0.recv().await {
            let mut together = vec![first];
            while let Ok(more) = requests.0.try_recv() {
                together.push(more);
            }
            let causes: BTreeSet<&str> = together.iter().map(|request| request.cause.as_str()).collect();
            let cause = causes.into_iter().collect::<Vec<_>>().join(", ");
            // What was loaded before the watch began answers nobody but the start: a change may have come between.
            let load = match loaded.take() {
                Some(load) if cause == START => load,
                Some(_) | None => self.load().await,
            };
            let Ok(reload) = self.judge(load, cause).await else { break };
            for request in together {
                // An asker that went away needs no answer.
                let _ = request.answer.send(reload.clone());
            }
        }
        // The owner is gone: wait to be stopped with the rest.
        std::future::pending().await
    }

    async fn load(&self) -> Load {
        let path = self.path.clone();
        on_large_stack("load", move || config::load(&path)).await
    }

    async fn judge(&self, load: Load, cause: String) -> Result<Reload, Gone> {
        match load {
            Ok(Ok(loaded)) => self.right(loaded, cause).await,
            Ok(Err(refused)) => self.refuse(refused.to_string(), cause).await,
            Err(why) => {
                self.refuse(format!("the configuration could not be evaluated, which is a bug: {why}"), cause).await
            }
        }
    }

    async fn right(&self, loaded: Loaded, cause: String) -> Result<Reload, Gone> {
        self.files.send_replace(loaded.watch.clone());
        let same = loaded.plan.digest == self.plan.get().digest;
        if same && self.refused_now().is_none() {
            tracing::debug!(%cause, "the configuration is unchanged");
            return Ok(Reload::Unchanged);
        }
        self.remark(&loaded);
        if let Err(why) = self.keep_sources(&loaded).await {
            return self.refuse(format!("its sources cannot be kept: {why}"), cause).await;
        }
        let programs = Arc::clone(&self.programs);
        let told = cause.clone();
        let first = self.is_first();
        let reply = self
            .inbox
            .ask(move |ticket| {
                let plan = Arc::clone(&programs.insert(loaded).plan);
                Input::PlanLoaded { plan, cause: told, ticket: Some(ticket) }
            })
            .await?;
        Ok(match reply {
            Reply::Adopted { changes, .. } if same && changes.is_empty() => Reload::Unchanged,
            Reply::Adopted { digest, changes } => {
                tracing::info!(%cause, %digest, "configuration in force: {}", if first { "the first".to_owned() } else { in_words(&changes) });
                Reload::Adopted { digest, changes }
            }
            other => Reload::Refused { report: format!("the engine did not take it: {other:?}") },
        })
    }

    /// Records the refusal, unless the same one stands already.
    async fn refuse(&self, report: String, cause: String) -> Result<Reload, Gone> {
        if self.refused_now().as_ref() != Some(&report) {
            tracing::warn!(%cause, "the configuration was refused, the one in force stays:\n{report}");
            let message = report.clone();
            self.inbox.ask(move |ticket| Input::PlanRefused { cause, message, ticket: Some(ticket) }).await?;
        }
        Ok(Reload::Refused { report })
    }

    fn refused_now(&self) -> Option<String> {
        self.store.plan_refused().ok().flatten().map(|(_, message)| message)
    }

    async fn keep_sources(&self, loaded: &Loaded) -> Result<(), String> {
        let (store, digest, sources) = (self.store.clone(), loaded.plan.digest.clone(), Arc::clone(&loaded.sources));
        let kept = tokio::task::spawn_blocking(move || store.put_config(&digest, &sources.to_bytes())).await;
        kept.map_err(|error| error.to_string())?.map_err(|error| chain(&error))
    }

    fn remark(&self, loaded: &Loaded) {
        for warning in &loaded.warnings {
            tracing::warn!("{}", warning.message);
        }
        if !self.is_first() && self.plan.get().web.listen != loaded.plan.web.listen {
            tracing::warn!("`web(listen = …)` changed: the new address counts from the next start on");
        }
    }

    /// Whether no configuration was ever in force.
    fn is_first(&self) -> bool {
        self.plan.get().digest == ConfigDigest::default()
    }
}

/// The queue of requests.
#[derive(Debug)]
pub(super) struct Requests(mpsc::Receiver<Request>);

fn in_words(changes: &[PlanChange]) -> String {
    if changes.is_empty() {
        return "nothing that is listed differs".to_owned();
    }
    let word = |change: &PlanChange| match change.name.as_str() {
        // What has no name is there once: the scripts.
        "" => format!("{} {}", change.kind, change.what),
        name => format!("{} `{name}` {}", change.kind, change.what),
    };
    changes.iter().map(word).collect::<Vec<_>>().join(", ")
}
