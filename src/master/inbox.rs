//! The way to the engine task: one bounded queue for everything that is observed or asked.
//!
//! When the queue is full, tellers wait. Nobody that the engine task waits for may tell: the store and the log
//! writer never do.

use std::collections::BTreeMap;

use tokio::sync::{mpsc, oneshot};

use super::ShuttingDown;
use crate::engine::{Input, Reply, StuckQueue, Ticket};
use crate::model::RequestId;

/// Inputs that wait for the engine task. It takes some 100,000 a second, so this is a few milliseconds' worth:
/// enough for a burst, short enough that a worker or caller notices a slow disk.
pub(super) const INBOX_MAX: usize = 1024;

/// What the engine task receives.
pub(super) enum Message {
    /// Something was observed; `durable` is told when the facts that follow from it are on disk.
    Tell { input: Input, durable: Option<oneshot::Sender<()>> },
    /// Something is asked. The closure runs on the engine task, right before the engine gets its input.
    Ask { ask: Box<dyn FnOnce(Ticket) -> Input + Send>, reply: oneshot::Sender<Reply> },
    /// Why do these requests wait?
    Why { requests: Vec<RequestId>, reply: oneshot::Sender<BTreeMap<RequestId, Vec<String>>> },
    /// Which queues wait for what does not come by itself?
    Stuck { reply: oneshot::Sender<Vec<StuckQueue>> },
    /// End in order.
    Stop,
}

/// Where inputs go; cheap to clone.
#[derive(Clone, Debug)]
pub struct Inbox {
    sender: mpsc::Sender<Message>,
}

impl Inbox {
    /// An inbox and the end that the engine task keeps.
    pub(super) fn new() -> (Self, mpsc::Receiver<Message>) {
        let (sender, receiver) = mpsc::channel(INBOX_MAX);
        (Self { sender }, receiver)
    }

    /// Hands an observation over; what follows from it may not be durable yet when this returns.
    pub async fn tell(&self, input: Input) -> Result<(), ShuttingDown> {
        self.send(Message::Tell { input, durable: None }).await
    }

    /// Hands an observation over and returns when everything that follows from it at once is durable.
    pub async fn tell_durably(&self, input: Input) -> Result<(), ShuttingDown> {
        let (sender, durable) = oneshot::channel();
        self.send(Message::Tell { input, durable: Some(sender) }).await?;
        durable.await.map_err(|_| ShuttingDown)
    }

    /// Why these requests wait, in words.
    pub(super) async fn why(&self, requests: Vec<RequestId>) -> Result<BTreeMap<RequestId, Vec<String>>, ShuttingDown> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Why { requests, reply }).await?;
        answer.await.map_err(|_| ShuttingDown)
    }

    /// Queues that wait for what does not come by itself.
    pub(super) async fn stuck(&self) -> Result<Vec<StuckQueue>, ShuttingDown> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Stuck { reply }).await?;
        answer.await.map_err(|_| ShuttingDown)
    }

    /// Asks for something; the answer's facts are durable when it is there.
    pub(super) async fn ask(&self, ask: impl FnOnce(Ticket) -> Input + Send + 'static) -> Result<Reply, ShuttingDown> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Ask { ask: Box::new(ask), reply }).await?;
        answer.await.map_err(|_| ShuttingDown)
    }

    /// Tells the engine task to end in order.
    pub(super) async fn stop(&self) -> Result<(), ShuttingDown> {
        self.send(Message::Stop).await
    }

    async fn send(&self, message: Message) -> Result<(), ShuttingDown> {
        self.sender.send(message).await.map_err(|_| ShuttingDown)
    }
}
