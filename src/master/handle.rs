//! Talks to a running master: asks, looks, and brings workers in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::broadcast;

use super::admission::Admission;
use super::declared_place::with_project;
use super::disk_full::{AGAIN, while_there_is_room};
use super::hook_functions::HookFunctions;
use super::inbox::Inbox;
use super::options::Options;
use super::order_bounds;
use super::plan_in_force::PlanInForce;
use super::reload::Reloads;
use super::rights::Rights;
use super::tasks::Tasks;
use super::workers::Workers;
use super::{
    AdmittedWorker, Alerts, MasterError, OrderError, Refusal, RefusedWorker, Reload, Reply, ShuttingDown, Socket,
};
use crate::base::chain;
use crate::engine::Input;
use crate::model::{
    Action, Actor, BuildId, BuildsetRecord, BuiltOf, Caller, Cause, Denial, Fact, Identity, Object, Order, Plan,
    RequestId,
};
use crate::store::{Store, StoreError};
use crate::vcs;

/// The source of properties that a rebuild sets.
const REBUILD: &str = "Rebuild";

/// Talks to a running master; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
}

/// What all handles of a master share.
#[derive(Debug)]
pub(super) struct Shared {
    pub options: Options,
    pub store: Store,
    pub inbox: Inbox,
    pub plan: PlanInForce,
    pub facts: broadcast::Sender<Arc<Fact>>,
    pub reloads: Reloads,
    pub admission: Arc<Admission>,
    pub workers: Arc<Workers>,
    pub tasks: Tasks,
    pub alerts: Alerts,
    pub rights: Rights,
    pub hooks: HookFunctions,
}

/// Looking.
impl Handle {
    /// The history.
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// The configuration in force.
    pub fn plan(&self) -> Arc<Plan> {
        self.shared.plan.get()
    }

    /// Facts as they become durable. A slow reader loses the oldest and is told so (lagged).
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Fact>> {
        self.shared.facts.subscribe()
    }

    /// The address of the pages, ends with `/`.
    pub fn url(&self) -> String {
        self.plan().master.url.clone().unwrap_or_else(|| self.shared.options.url.clone())
    }

    /// What needs a person: to raise, to clear and to list.
    pub fn alerts(&self) -> &Alerts {
        &self.shared.alerts
    }

    /// Returns only if the master ended by itself (the disk is full, a fault): why.
    pub async fn failed(&self) -> Arc<MasterError> {
        self.shared.tasks.failed().await
    }
}

/// Rights.
impl Handle {
    /// Whether somebody may do something. Where the configuration has a function `rights`, the first answer for a user
    /// and thing may take some milliseconds: ask on a thread that may wait.
    ///
    /// # Errors
    /// Which right is missing, and who has it.
    pub fn may(&self, identity: &Identity, action: Action, object: &Object) -> Result<(), Box<Denial>> {
        self.shared.rights.may(identity, action, object)
    }
}

/// Asking.
impl Handle {
    /// Why these requests wait: one reason a line. Those that do not wait are left out.
    pub async fn why_waits(&self, requests: Vec<RequestId>) -> Result<BTreeMap<RequestId, Vec<String>>, ShuttingDown> {
        self.shared.inbox.why(requests).await
    }

    /// Has something done, if the one who wants it may; what follows from it is durable when the answer comes.
    ///
    /// # Errors
    /// When there is no reply: the master ends, or its disk is full.
    pub async fn order(&self, order: Order, by: impl Into<Caller>) -> Result<Reply, OrderError> {
        let Caller { identity, actor: by, address: _ } = by.into();
        let order = match self.authorize(order, identity).await {
            Ok(order) => order,
            Err(reply) => {
                tracing::info!(%by, "denied a request: {reply:?}");
                return Ok(reply);
            }
        };
        if let Some(refusal) = order_bounds::refusal(&order, &by) {
            return Ok(refusal);
        }
        let has_room = || !self.store().disk_is_full();
        while_there_is_room(AGAIN, has_room, self.carry_out(order, by)).await?.map_err(OrderError::from)
    }

    /// The order, if it may be given.
    async fn authorize(&self, order: Order, identity: Identity) -> Result<Order, Reply> {
        let shared = Arc::clone(&self.shared);
        let judge = move || {
            let judged = shared.rights.may_order(&shared.store, &identity, &order);
            (order, judged)
        };
        let (order, judged) = if self.shared.rights.may_wait() {
            let judged = tokio::task::spawn_blocking(judge).await;
            judged.map_err(|_| Reply::Denied("nobody can say who may do this".to_owned()))?
        } else {
            judge()
        };
        match judged {
            Ok(Ok(())) => Ok(order),
            Ok(Err(denial)) => Err(Reply::Denied(denial.to_string())),
            Err(error) => Err(Reply::Refused(format!("what this is about cannot be read: {}", chain(&error)))),
        }
    }

    async fn carry_out(&self, order: Order, by: Actor) -> Result<Reply, ShuttingDown> {
        let order = match order {
            Order::Reload { why } => return self.reload(&why, by).await,
            Order::Rebuild { build, of: _ } => match self.built_of(build, &by) {
                Ok(of) => Order::Rebuild { build, of: of.map(Box::new) },
                Err(error) => return Ok(Reply::Refused(format!("build {build} cannot be read: {}", chain(&error)))),
            },
            Order::Resend { report, of: _ } => match self.store().undelivered() {
                Ok(all) => {
                    let given_up = all.into_iter().find(|one| one.given_up && one.report.id == report);
                    Order::Resend { report, of: given_up.map(|one| Box::new(one.report)) }
                }
                Err(error) => return Ok(Reply::Refused(format!("report {report} cannot be read: {}", chain(&error)))),
            },
            Order::AddChanges { changes, delivery, intake } => {
                let plan = self.plan();
                let whole = |change| vcs::bounded(change).map(|change| with_project(&plan, change));
                match changes.into_iter().map(whole).collect::<Result<_, _>>() {
                    Ok(changes) => Order::AddChanges { changes, delivery, intake },
                    Err(why) => return Ok(Reply::Refused(why)),
                }
            }
            order => order,
        };
        self.shared.inbox.ask(move |ticket| Input::Ordered { order, by, ticket: Some(ticket) }).await
    }

    /// Loads the configuration anew; returns when it is in force, refused, or found unchanged.
    async fn reload(&self, why: &str, by: Actor) -> Result<Reply, ShuttingDown> {
        let reload = self.shared.reloads.request(order_bounds::cause(why), Cause::Order(by)).await?;
        Ok(match reload {
            Reload::Unchanged => Reply::Done,
            Reload::Adopted { digest, changes } => Reply::Adopted { digest, changes },
            Reload::Refused { report } => Reply::Refused(report),
        })
    }

    /// What a build was made of; none if there is no such build. Whoever rebuilds it becomes its owner.
    fn built_of(&self, id: BuildId, by: &Actor) -> Result<Option<BuiltOf>, StoreError> {
        let store = self.store();
        let Some(build) = store.build(id)? else { return Ok(None) };
        let Some(request) = store.request(build.request)? else { return Ok(None) };
        let buildset = store.buildset(request.buildset)?;
        // A build may have changes of several requests: the new one has them, too.
        Ok(buildset.map(|buildset| {
            let mut buildset = BuildsetRecord { changes: build.changes, ..buildset };
            buildset.properties.set("owner", by.name(), REBUILD);
            BuiltOf { builder: build.builder, buildset }
        }))
    }
}

/// Workers.
impl Handle {
    /// Checks a worker's `Authorization` header. Cheap when refused; remembers what was refused for the pages.
    pub fn admit_worker(
        &self,
        authorization: Option<&str>,
        peer: Option<SocketAddr>,
    ) -> Result<AdmittedWorker, Refusal> {
        self.shared.admission.admit(authorization, peer).map(|worker| AdmittedWorker { worker })
    }

    /// Workers that were refused lately, the newest first.
    pub fn refused_workers(&self) -> Vec<RefusedWorker> {
        self.shared.admission.refused()
    }

    /// Remembers for the pages that somebody connected and said nothing.
    pub fn connection_was_silent(&self, peer: SocketAddr) {
        self.shared.admission.silent(peer);
    }

    /// Serves the worker until its connection ends.
    pub async fn serve_worker(&self, seat: AdmittedWorker, socket: Socket) {
        self.shared.workers.serve(seat, socket).await;
    }

    /// The password of a local worker, drawn anew at each start.
    pub fn local_password(&self, worker: &str) -> Option<String> {
        self.shared.admission.local_password(worker)
    }
}
