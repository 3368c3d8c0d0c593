//! The connected workers: at most one live link of each name, and the way of orders to it.
//!
//! A new connection of a name is arbitrated against the one that is there (`docs/design/worker-link.md`,
//! "Epochs") and gets a number higher than all before. What a link observes goes to the engine task; orders for a
//! connection that is gone are dropped, because the engine hears of its end and asks again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio_util::task::TaskTracker;

use super::admission::{Admission, RefusalKind};
use super::configurations::Configurations;
use super::inbox::Inbox;
use super::link::{self, ArtifactRoom, Limits, LinkHandle, LinkHost, LinkOrder, Verdict};
use super::plan_in_force::PlanInForce;
use super::{ShuttingDown, Socket, artifact_room};
use crate::base::{Clock, Timestamp, chain};
use crate::engine::Input;
use crate::model::{Artifact, BuildId, ConfigDigest, DownloadSpec, SecretsPlan};
use crate::secrets::Secrets;
use crate::store::{ArtifactStore, History, LogStore};

/// What a link's end says when the master ends.
const CLOSING: &str = "the master is shutting down";
/// Time for links to drain when the master ends; a link's own bounds are shorter.
const CLOSE_BOUND: Duration = Duration::from_secs(15);

/// A worker that proved who it is and waits for its upgraded connection.
#[derive(Debug)]
pub struct AdmittedWorker {
    /// Its name.
    pub worker: String,
}

/// All links.
#[derive(Debug)]
pub(super) struct Workers {
    host: Arc<Host>,
    admission: Arc<Admission>,
    last_epoch: AtomicU64,
    links: Mutex<BTreeMap<String, LinkHandle>>,
    /// One newcomer of a name at a time is arbitrated.
    doors: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    served: TaskTracker,
}

/// The master, as a link sees it.
#[derive(Debug)]
pub(super) struct Host {
    pub logs: Arc<dyn LogStore>,
    pub history: Arc<dyn History>,
    pub inbox: Inbox,
    pub clock: Arc<dyn Clock>,
    pub configurations: Arc<Configurations>,
    pub plan: PlanInForce,
    /// The directory of the configuration, where secrets are looked for.
    pub base: PathBuf,
    /// The master ends: connections that end now are left, and no worker is lost by it.
    pub parting: AtomicBool,
}

impl Workers {
    /// No links yet; their numbers will be higher than `last_epoch`.
    pub fn new(host: Host, admission: Arc<Admission>, last_epoch: u64) -> Self {
        Self {
            host: Arc::new(host),
            admission,
            last_epoch: AtomicU64::new(last_epoch),
            links: Mutex::default(),
            doors: Mutex::default(),
            served: TaskTracker::new(),
        }
    }

    /// Serves a connection until it ends.
    pub async fn serve(&self, seat: AdmittedWorker, socket: Socket) {
        let _until_it_ends = self.served.token();
        if self.served.is_closed() {
            return;
        }
        let (worker, peer) = (seat.worker, socket.peer);
        let newcomer = match link::greet(socket, Limits::default()).await {
            Ok(newcomer) => newcomer,
            Err(why) => {
                self.admission.remember(&worker, peer, &format!("it left before it told who it is: {why}"));
                return;
            }
        };
        if let Some(why) = newcomer.incompatibility() {
            self.admission.remember_as(RefusalKind::Version, &worker, peer, &why);
            return newcomer.refuse(&why).await;
        }
        let door = Arc::clone(lock(&self.doors).entry(worker.clone()).or_default());
        let alone = door.lock().await;
        if let Some(present) = self.present(&worker) {
            match link::arbitrate(&present, &newcomer).await {
                Verdict::Replace { why } => present.disconnect(&why),
                Verdict::Refuse { why } => {
                    self.admission.remember_as(RefusalKind::Duplicate, &worker, peer, &why);
                    return newcomer.refuse(&why).await;
                }
            }
        }
        let epoch = self.last_epoch.fetch_add(1, Ordering::Relaxed) + 1;
        let (handle, orders) = link::link(&worker, epoch, &newcomer);
        lock(&self.links).insert(worker.clone(), handle.clone());
        drop(alone);
        if self.served.is_closed() {
            handle.disconnect(CLOSING);
        }
        let host: Arc<dyn LinkHost> = Arc::<Host>::clone(&self.host);
        let why = link::serve(host, newcomer, orders).await;
        tracing::debug!(%worker, epoch, "the connection of a worker is cleared away: {why}");
        self.forget_link(&worker, epoch);
    }

    /// Hands an order to a worker's connection, if it is still that one.
    pub fn send(&self, worker: &str, epoch: u64, order: LinkOrder) {
        if let Some(link) = self.link(worker, epoch) {
            link.send(order);
        }
    }

    /// Tells a worker to end and cuts its connection soon after, if it is still that one.
    pub fn kill(&self, worker: &str, epoch: u64, why: &str) {
        if let Some(link) = self.link(worker, epoch) {
            link.kill(why);
        }
    }

    /// Cuts a connection, if it is still that one. Its commands go on.
    pub fn disconnect(&self, worker: &str, epoch: u64, why: &str) {
        if let Some(link) = self.link(worker, epoch) {
            link.disconnect(why);
        }
    }

    /// Cuts all connections, lets no more in, and waits until what they heard is recorded. That they end is not: the
    /// master leaves, and the next one knows.
    pub async fn close(&self) {
        self.host.parting.store(true, Ordering::Release);
        self.served.close();
        lock(&self.links).values().for_each(|link| link.disconnect(CLOSING));
        if tokio::time::timeout(CLOSE_BOUND, self.served.wait()).await.is_err() {
            tracing::warn!("some worker connections did not close in time; workers send unacknowledged results again");
        }
    }

    fn present(&self, worker: &str) -> Option<LinkHandle> {
        lock(&self.links).get(worker).cloned()
    }

    fn link(&self, worker: &str, epoch: u64) -> Option<LinkHandle> {
        self.present(worker).filter(|link| link.epoch() == epoch)
    }

    fn forget_link(&self, worker: &str, epoch: u64) {
        let mut links = lock(&self.links);
        if links.get(worker).is_some_and(|link| link.epoch() == epoch) {
            links.remove(worker);
        }
    }
}

impl LinkHost for Host {
    fn builder_dirs(&self, worker: &str) -> BTreeSet<String> {
        let plan = self.plan.get();
        let builders = plan.builders.values().filter(|builder| builder.workers.iter().any(|name| name == worker));
        builders.map(|builder| builder.dir.clone()).collect()
    }

    fn logs(&self) -> Arc<dyn LogStore> {
        Arc::clone(&self.logs)
    }

    fn artifacts(&self) -> Result<Arc<dyn ArtifactStore>, String> {
        self.history.artifact_contents().map_err(|error| chain(&error))
    }

    fn artifact_room(&self, build: BuildId, builder: &str) -> Result<ArtifactRoom, String> {
        artifact_room::room(&*self.history, &self.plan.get(), build, builder)
    }

    fn find_artifact(&self, build: BuildId, wanted: &DownloadSpec) -> Result<Artifact, String> {
        artifact_room::find(&*self.history, build, wanted)
    }

    fn input(&self, input: Input) -> BoxFuture<'_, Result<(), ShuttingDown>> {
        if matches!(input, Input::WorkerLost { .. }) && self.parting.load(Ordering::Acquire) {
            return Box::pin(std::future::ready(Ok(())));
        }
        Box::pin(self.inbox.tell_durably(input))
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn secrets(&self, plan: &ConfigDigest) -> Secrets {
        let none = SecretsPlan::default();
        let plan = self.configurations.get(plan);
        Secrets::new(plan.as_ref().map_or(&none, |plan| &plan.secrets), &self.base)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
