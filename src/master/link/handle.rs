//! What the rest of the master holds of a live link: orders go in, nothing ever waits.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::greet::Newcomer;
use super::limits::ORDERS_MAX;
use crate::engine::{CommandOrder, StopLevel};
use crate::model::CommandId;

/// What a worker is to do. Each can be ordered again after a reconnect, so losing one with its connection is no harm.
#[derive(Clone, Debug)]
pub enum LinkOrder {
    /// Run a command. What becomes of it comes as `Input::CommandEnded`, also if it cannot even be sent.
    Dispatch(Box<CommandOrder>),
    /// Stop a command of this connection.
    Interrupt { command: CommandId, level: StopLevel, why: String },
    /// Say which of these commands the worker still has, and go on with them; comes back as `Input::Resumed`. One
    /// of our workers stops all others and takes no commands before, so it gets this after every
    /// `Input::WorkerConnected` that resumes, perhaps without a command. *Never seen* is only right for commands that
    /// were sent under the instance which the worker told this time. A stock worker has none of them.
    Resume { commands: Vec<CommandOrder> },
    /// Stop leftovers of an earlier connection.
    Forget { commands: Vec<CommandId> },
    /// End the worker's process.
    ShutDown,
}

/// Talks to a live link; cheap to clone.
#[derive(Clone, Debug)]
pub struct LinkHandle {
    shared: Arc<Shared>,
    orders: mpsc::Sender<LinkOrder>,
    probes: mpsc::Sender<oneshot::Sender<()>>,
}

/// The other end of a [`LinkHandle`], for [`super::serve`].
#[derive(Debug)]
pub struct LinkOrders {
    pub(super) shared: Arc<Shared>,
    pub(super) orders: mpsc::Receiver<LinkOrder>,
    pub(super) probes: mpsc::Receiver<oneshot::Sender<()>>,
}

/// What both ends know.
#[derive(Debug)]
pub(super) struct Shared {
    pub worker: String,
    pub epoch: u64,
    pub identity: Identity,
    cut: CancellationToken,
    kill: CancellationToken,
    why: Mutex<Option<String>>,
}

/// What tells a worker that came back from another one with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Of one of our workers: its spool.
    pub instance: Option<String>,
    /// As the worker told; empty if it told nothing.
    pub basedir: String,
    /// Where it called from; none within one process.
    pub address: Option<IpAddr>,
}

/// The two ends of a link of this worker and epoch.
#[must_use]
pub fn link(worker: &str, epoch: u64, newcomer: &Newcomer) -> (LinkHandle, LinkOrders) {
    let (orders_in, orders) = mpsc::channel(ORDERS_MAX);
    // One newcomer at a time is arbitrated; a second one sees "full" as "no answer".
    let (probes_in, probes) = mpsc::channel(1);
    let shared = Arc::new(Shared {
        worker: worker.to_owned(),
        epoch,
        identity: newcomer.identity(),
        cut: CancellationToken::new(),
        kill: CancellationToken::new(),
        why: Mutex::new(None),
    });
    let handle = LinkHandle { shared: Arc::clone(&shared), orders: orders_in, probes: probes_in };
    (handle, LinkOrders { shared, orders, probes })
}

impl LinkHandle {
    /// The worker's name.
    #[must_use]
    pub fn worker(&self) -> &str {
        &self.shared.worker
    }

    /// The connection's number.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.shared.epoch
    }

    /// Who is at the other end.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.shared.identity
    }

    /// Queues an order. To a link that has ended it is lost, as are those that it had not sent: the engine asks again
    /// when the worker is back. If the queue is full, the connection is cut.
    pub fn send(&self, order: LinkOrder) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.orders.try_send(order) {
            self.disconnect("it takes no orders");
        }
    }

    /// Ends the connection, at once and whatever waits in the queue. Commands go on without it.
    pub fn disconnect(&self, why: &str) {
        self.shared.disconnect(why);
    }

    /// Tells the worker's process to end, before all that waits in the queue; the connection ends with it, or soon.
    pub fn kill(&self, why: &str) {
        self.shared.kill(why);
    }

    /// Whether the worker shows a sign of life within this time.
    pub async fn answers(&self, within: Duration) -> bool {
        let (asked, answer) = oneshot::channel();
        self.probes.try_send(asked).is_ok() && matches!(tokio::time::timeout(within, answer).await, Ok(Ok(())))
    }
}

impl Shared {
    /// The first reason stays.
    fn disconnect(&self, why: &str) {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| why.to_owned());
        self.cut.cancel();
    }

    fn kill(&self, why: &str) {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| format!("it was killed: {why}"));
        self.kill.cancel();
    }

    /// Ends when the worker is to end; says why.
    pub(super) async fn is_killed(&self) -> String {
        self.kill.cancelled().await;
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }

    /// Ends when the connection is to be cut.
    pub(super) async fn is_cut(&self) -> String {
        self.cut.cancelled().await;
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }
}
