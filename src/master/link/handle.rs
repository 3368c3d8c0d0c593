//! The handle through which the rest of the master uses a live link. Giving it an order never waits.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::greet::Newcomer;
use super::identity::Identity;
use super::limits::ORDERS_MAX;
use crate::engine::CommandOrder;
use crate::model::{CommandId, StopLevel};

/// What a worker has to do. Every order can be repeated after a reconnect, so losing one with its connection does no
/// harm.
#[derive(Clone, Debug)]
pub enum LinkOrder {
    /// Run a command. Its end arrives as `Input::CommandEnded`, even if it cannot be sent.
    Dispatch(Box<CommandOrder>),
    /// Stop a command of this connection.
    Interrupt { command: CommandId, level: StopLevel, why: String },
    /// Find out which of these commands the worker still has, and resume them. The answer arrives as `Input::Resumed`.
    /// One of our workers stops all other commands, and takes no new ones before this order. So it gets this after
    /// every `Input::WorkerConnected` that resumes, possibly without commands. *Never seen* is only right for commands
    /// that were sent to the instance that the worker reports this time. A stock worker has none of them.
    Resume { commands: Vec<CommandOrder> },
    /// Stop leftovers of an earlier connection.
    Forget { commands: Vec<CommandId> },
    /// Shut down the worker process.
    ShutDown,
}

/// A handle to a live link; cheap to clone.
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

/// What both ends share.
#[derive(Debug)]
pub(super) struct Shared {
    pub worker: String,
    pub epoch: u64,
    pub identity: Identity,
    cut: CancellationToken,
    kill: CancellationToken,
    why: Mutex<Option<String>>,
}

/// The two ends of a link of this worker and epoch.
#[must_use]
pub fn link(worker: &str, epoch: u64, newcomer: &Newcomer) -> (LinkHandle, LinkOrders) {
    let (orders_in, orders) = mpsc::channel(ORDERS_MAX);
    // One newcomer is arbitrated at a time; for a second one, "full" means "no answer".
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

    /// Queues an order. If the link has ended, the order is lost, as are those that were not sent: the engine asks
    /// again when the worker is back. If the queue is full, the connection is cut.
    pub fn send(&self, order: LinkOrder) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.orders.try_send(order) {
            self.disconnect("it takes no orders");
        }
    }

    /// Ends the connection at once, whatever is in the queue. Commands continue without it.
    pub fn disconnect(&self, why: &str) {
        self.shared.disconnect(why);
    }

    /// Tells the worker process to shut down, ahead of the queue. The connection ends with it, or soon after.
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
    /// The first reason is kept.
    fn disconnect(&self, why: &str) {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| why.to_owned());
        self.cut.cancel();
    }

    fn kill(&self, why: &str) {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| format!("it was killed: {why}"));
        self.kill.cancel();
    }

    /// Resolves when the worker has to shut down, with the reason.
    pub(super) async fn is_killed(&self) -> String {
        self.kill.cancelled().await;
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }

    /// Resolves when the connection has to be cut.
    pub(super) async fn is_cut(&self) -> String {
        self.cut.cancelled().await;
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_default()
    }
}
