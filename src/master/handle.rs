//! Talks to a running master: asks, looks, and brings workers in.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::broadcast;

use super::admission::{Admission, same_text};
use super::inbox::Inbox;
use super::options::Options;
use super::order_bounds;
use super::plan_in_force::PlanInForce;
use super::reload::Reloads;
use super::tasks::Tasks;
use super::workers::Workers;
use super::{
    Alerts, ForceAsk, Gone, HookAccess, HookError, How, Intake, MasterError, Refusal, RefusedWorker, Reload, Reply,
    Seat, Socket, Telling,
};
use crate::base::chain;
use crate::engine::{Input, RebuildAsk};
use crate::model::{BuildId, BuildsetRecord, Fact, HookPlan, NewChange, Plan, RequestId};
use crate::secrets::Secrets;
use crate::store::{Store, StoreError};
use crate::vcs;

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

/// Asking.
impl Handle {
    /// Why these requests wait: one reason a line. Those that do not wait are left out.
    pub async fn why_waits(&self, requests: Vec<RequestId>) -> Result<BTreeMap<RequestId, Vec<String>>, Gone> {
        self.shared.inbox.why(requests).await
    }

    /// Starts builds by hand.
    pub async fn force(&self, ask: ForceAsk) -> Result<Reply, Gone> {
        let wrong = order_bounds::force(&ask);
        if !wrong.is_empty() {
            return Ok(Reply::Invalid(wrong));
        }
        self.ask(|ticket| Input::ForceAsked { ask, ticket }).await
    }

    /// Starts a build that ended once more.
    pub async fn rebuild(&self, build: BuildId, owner: String) -> Result<Reply, Gone> {
        match self.rebuild_ask(build, owner) {
            Ok(Some(ask)) => self.ask(|ticket| Input::RebuildAsked { ask, ticket }).await,
            Ok(None) => Ok(Reply::Unknown(format!("there is no build {build}"))),
            Err(error) => Ok(Reply::Refused(format!("build {build} cannot be read: {}", chain(&error)))),
        }
    }

    /// Stops a build.
    pub async fn stop(&self, build: BuildId, why: String, by: String) -> Result<Reply, Gone> {
        if let Some(refused) = order_bounds::reason(&why).map(Reply::Refused) {
            return Ok(refused);
        }
        self.ask(move |ticket| Input::StopAsked { build, why, by, ticket }).await
    }

    /// Cancels a request; if its build runs, that is stopped.
    pub async fn cancel(&self, request: RequestId, why: String, by: String) -> Result<Reply, Gone> {
        if let Some(refused) = order_bounds::reason(&why).map(Reply::Refused) {
            return Ok(refused);
        }
        self.ask(move |ticket| Input::CancelAsked { request, why, by, ticket }).await
    }

    /// Changes the priority of a request.
    pub async fn set_priority(&self, request: RequestId, priority: i64) -> Result<Reply, Gone> {
        self.ask(move |ticket| Input::PriorityAsked { request, priority, ticket }).await
    }

    /// Switches a scheduler on or off.
    pub async fn enable_scheduler(&self, name: String, enabled: bool) -> Result<Reply, Gone> {
        self.ask(move |ticket| Input::EnableAsked { scheduler: name, enabled, ticket }).await
    }

    /// Pauses or unpauses a worker.
    pub async fn pause_worker(&self, name: String, paused: bool, reason: Option<String>) -> Result<Reply, Gone> {
        if let Some(refused) = order_bounds::reason(reason.as_deref().unwrap_or_default()).map(Reply::Refused) {
            return Ok(refused);
        }
        self.ask(move |ticket| Input::PauseAsked { worker: name, paused, reason, ticket }).await
    }

    /// Lets a worker finish its builds and go.
    pub async fn stop_worker(&self, name: String) -> Result<Reply, Gone> {
        self.ask(move |ticket| Input::GracefulAsked { worker: name, ticket }).await
    }

    /// Ends a worker at once.
    pub async fn kill_worker(&self, name: String, why: String) -> Result<Reply, Gone> {
        if let Some(refused) = order_bounds::reason(&why).map(Reply::Refused) {
            return Ok(refused);
        }
        self.ask(move |ticket| Input::KillAsked { worker: name, why, ticket }).await
    }

    /// Changes from `sendchange` and hooks, of a bounded size; durable when it returns.
    pub async fn add_changes(&self, changes: Vec<NewChange>, by: Telling) -> Result<Reply, Gone> {
        if let Some(refusal) = refused_delivery(by.delivery.as_deref()) {
            return Ok(Reply::Refused(refusal));
        }
        let changes = match changes.into_iter().map(vcs::bounded).collect::<Result<_, _>>() {
            Ok(changes) => changes,
            Err(why) => return Ok(Reply::Refused(why)),
        };
        self.ask(move |ticket| Input::ChangesSeen { changes, by, ticket }).await
    }

    /// Poll now; none for all sources.
    pub async fn poll(&self, source: Option<String>) -> Result<Reply, Gone> {
        self.ask(move |ticket| Input::PollAsked { source, ticket }).await
    }

    /// Loads the configuration anew; returns when it is in force, refused, or found unchanged.
    pub async fn reload(&self, cause: String) -> Result<Reload, Gone> {
        self.shared.reloads.request(order_bounds::cause(&cause)).await
    }

    async fn ask(
        &self,
        ask: impl FnOnce(Option<crate::engine::Ticket>) -> Input + Send + 'static,
    ) -> Result<Reply, Gone> {
        self.shared.inbox.ask(|ticket| ask(Some(ticket))).await
    }

    fn rebuild_ask(&self, id: BuildId, owner: String) -> Result<Option<RebuildAsk>, StoreError> {
        let store = self.store();
        let Some(build) = store.build(id)? else { return Ok(None) };
        let Some(request) = store.request(build.request)? else { return Ok(None) };
        let buildset = store.buildset(request.buildset)?;
        // A build may have changes of several requests: the new one has them, too.
        Ok(buildset.map(|buildset| {
            let buildset = BuildsetRecord { changes: build.changes, ..buildset };
            RebuildAsk { build: id, builder: build.builder, buildset, owner }
        }))
    }
}

/// Change hooks.
impl Handle {
    /// Whether a change hook may be called: it is declared, and its password, if it has one, is right.
    pub fn may_hook(&self, dialect: &str, credentials: Option<(&str, &str)>, peer: Option<SocketAddr>) -> HookAccess {
        let plan = self.plan();
        let Some(HookPlan { user, password }) = plan.web.hooks.get(dialect) else { return HookAccess::Denied };
        let Some(password) = password else { return HookAccess::Open };
        self.shared.admission.with_tries(&format!("change_hook {dialect}"), peer, || {
            let password = match Secrets::new(&plan.secrets, &self.shared.options.base()).reveal(password) {
                Ok((password, _used)) => password,
                Err(error) => {
                    tracing::warn!(%dialect, "a change hook was refused: {}", error.message);
                    return false;
                }
            };
            credentials.is_some_and(|(name, given)| {
                let right_name = user.as_deref().is_none_or(|user| same_text(user, name));
                same_text(&password, given) && right_name
            })
        })
    }

    /// Takes the request of a change hook; what became of its changes, which is durable when it returns.
    /// Whether the hook is open was asked before ([`Self::may_hook`]).
    pub async fn hook(&self, dialect: &str, params: BTreeMap<String, Vec<String>>) -> Result<Vec<Intake>, HookError> {
        let changes = match dialect {
            "base" => vcs::base_hook(&params)?,
            other => {
                return Err(HookError {
                    status: 400,
                    message: format!("the dialect specified, '{other}', is not known"),
                });
            }
        };
        let delivery = params.get("delivery").and_then(|values| values.first()).filter(|name| !name.is_empty());
        let by = Telling { how: How::Hook, delivery: delivery.cloned() };
        match self.add_changes(changes, by).await {
            Ok(Reply::Changes(intake)) => Ok(intake),
            Ok(Reply::Refused(message) | Reply::Unknown(message)) => Err(HookError { status: 400, message }),
            Ok(_) => Ok(Vec::new()),
            Err(gone) => Err(HookError { status: 500, message: gone.to_string() }),
        }
    }
}

/// Workers.
impl Handle {
    /// Checks a worker's `Authorization` header. Cheap when refused; remembers what was refused for the pages.
    pub fn admit_worker(&self, authorization: Option<&str>, peer: Option<SocketAddr>) -> Result<Seat, Refusal> {
        self.shared.admission.admit(authorization, peer).map(|worker| Seat { worker })
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
    pub async fn serve_worker(&self, seat: Seat, socket: Socket) {
        self.shared.workers.serve(seat, socket).await;
    }

    /// The password of a local worker, drawn anew at each start.
    pub fn local_password(&self, worker: &str) -> Option<String> {
        self.shared.admission.local_password(worker)
    }
}

/// Names of deliveries are remembered by their digest, so that the length only has to be bearable in a fact.
const DELIVERY_CHARS_MAX: usize = 200;

/// Why a delivery cannot have this name.
fn refused_delivery(name: Option<&str>) -> Option<String> {
    let name = name?;
    (name.is_empty() || name.chars().count() > DELIVERY_CHARS_MAX)
        .then(|| format!("the name of a delivery has 1 to {DELIVERY_CHARS_MAX} characters"))
}
