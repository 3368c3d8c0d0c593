//! What the pages and the API need from a running master, in terms of the model.
//!
//! [`Control`] is the seam: [`Handle`] implements it, and tests replace it by a table of answers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio::sync::broadcast;

use crate::master::{
    AdmittedWorker, Alerts, Handle, HookAccess, HookAnswer, HookCall, HookError, OrderError, Refusal, RefusedWorker,
    Reply, ShuttingDown, Socket,
};
use crate::model::{Action, Caller, Denial, Fact, Identity, Object, Order, Plan, RequestId};
use crate::store::History;

/// A running master, as seen from the web.
pub trait Control: Send + Sync + 'static {
    /// What happened.
    fn store(&self) -> &dyn History;
    /// The configuration in force.
    fn plan(&self) -> Arc<Plan>;
    /// Facts as they become durable.
    fn subscribe(&self) -> broadcast::Receiver<Arc<Fact>>;
    /// The address of the pages, ends with `/`.
    fn url(&self) -> String;
    /// Has something done, if the one who wants it may; what follows from it is durable when the answer comes.
    fn order(&self, order: Order, by: Caller) -> BoxFuture<'_, Result<Reply, OrderError>>;
    /// Whether somebody may do something. The first answer for a user and thing may take some milliseconds: ask on a
    /// thread that may wait.
    fn may(&self, identity: &Identity, action: Action, object: &Object) -> Result<(), Box<Denial>>;
    /// Why these requests wait: one reason a line.
    fn why_waits(
        &self,
        requests: Vec<RequestId>,
    ) -> BoxFuture<'_, Result<BTreeMap<RequestId, Vec<String>>, ShuttingDown>>;
    /// Whether a change hook may be called with these credentials from this address.
    fn may_hook(&self, dialect: &str, credentials: Option<(&str, &str)>, peer: Option<SocketAddr>) -> HookAccess;
    /// Takes a call of a change hook; what became of its changes.
    fn hook<'a>(
        &'a self,
        hook: &'a str,
        call: HookCall,
        peer: Option<SocketAddr>,
    ) -> BoxFuture<'a, Result<HookAnswer, HookError>>;
    /// Checks a worker's `Authorization` header.
    fn admit_worker(&self, authorization: Option<&str>, peer: Option<SocketAddr>) -> Result<AdmittedWorker, Refusal>;
    /// Workers that were refused lately, the newest first.
    fn refused_workers(&self) -> Vec<RefusedWorker>;
    /// What needs a person: to list, and to raise what is seen here.
    fn alerts(&self) -> &Alerts;
    /// Somebody connected and said nothing.
    fn connection_was_silent(&self, peer: SocketAddr);
    /// Serves a worker until its connection ends.
    fn serve_worker(&self, seat: AdmittedWorker, socket: Socket) -> BoxFuture<'_, ()>;
}

impl Control for Handle {
    fn store(&self) -> &dyn History {
        Self::store(self)
    }

    fn plan(&self) -> Arc<Plan> {
        Self::plan(self)
    }

    fn subscribe(&self) -> broadcast::Receiver<Arc<Fact>> {
        Self::subscribe(self)
    }

    fn url(&self) -> String {
        Self::url(self)
    }

    fn order(&self, order: Order, by: Caller) -> BoxFuture<'_, Result<Reply, OrderError>> {
        Box::pin(Self::order(self, order, by))
    }

    fn may(&self, identity: &Identity, action: Action, object: &Object) -> Result<(), Box<Denial>> {
        Self::may(self, identity, action, object)
    }

    fn why_waits(
        &self,
        requests: Vec<RequestId>,
    ) -> BoxFuture<'_, Result<BTreeMap<RequestId, Vec<String>>, ShuttingDown>> {
        Box::pin(Self::why_waits(self, requests))
    }

    fn may_hook(&self, dialect: &str, credentials: Option<(&str, &str)>, peer: Option<SocketAddr>) -> HookAccess {
        Self::may_hook(self, dialect, credentials, peer)
    }

    fn hook<'a>(
        &'a self,
        hook: &'a str,
        call: HookCall,
        peer: Option<SocketAddr>,
    ) -> BoxFuture<'a, Result<HookAnswer, HookError>> {
        Box::pin(Self::hook(self, hook, call, peer))
    }

    fn admit_worker(&self, authorization: Option<&str>, peer: Option<SocketAddr>) -> Result<AdmittedWorker, Refusal> {
        Self::admit_worker(self, authorization, peer)
    }

    fn refused_workers(&self) -> Vec<RefusedWorker> {
        Self::refused_workers(self)
    }

    fn alerts(&self) -> &Alerts {
        Self::alerts(self)
    }

    fn connection_was_silent(&self, peer: SocketAddr) {
        Self::connection_was_silent(self, peer);
    }

    fn serve_worker(&self, seat: AdmittedWorker, socket: Socket) -> BoxFuture<'_, ()> {
        Box::pin(Self::serve_worker(self, seat, socket))
    }
}
