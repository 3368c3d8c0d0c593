//! One connection as commands see it: a bounded queue to the writer, a window of unacknowledged bytes, and the
//! acknowledgements of the master.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::model::CommandId;
use crate::protocol::{Answer, Seq, WorkerRequest};

/// Output that may be unacknowledged on a connection.
pub(super) const WINDOW_BYTES: usize = 8 * 1024 * 1024;

/// Messages that wait for the writer. Those with output are limited by the window as well.
const QUEUE: usize = 256;

/// How to report commands to the master of this connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// With our extension: parts byte for byte, acknowledged when durable.
    Ours,
    /// For a stock master: lines of text, cut at this many characters.
    Stock { line_max: usize },
}

/// A connection. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Link {
    out: mpsc::Sender<Outgoing>,
    window: Arc<Semaphore>,
    pub dialect: Dialect,
    refusal: Arc<Refusal>,
}

/// The master cannot take what we send, so the connection is useless.
#[derive(Debug, Default)]
struct Refusal {
    why: OnceLock<String>,
    told: Notify,
}

/// A message for the writer.
#[derive(Debug)]
pub(super) enum Outgoing {
    Request { request: WorkerRequest, receipt: Receipt },
    Response { seq: Seq, answer: Answer },
}

/// What to do with the response to a request.
#[derive(Debug)]
pub(super) struct Receipt {
    reader: Reader,
    /// Its share of the window, released with it.
    _window: Option<OwnedSemaphorePermit>,
}

/// Who reads a response.
#[derive(Debug)]
enum Reader {
    Acks(Arc<Acks>, Acked),
    /// A transfer, which wants the answer itself. Without one, the connection is gone.
    Transfer(oneshot::Sender<Answer>),
}

/// What a request reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acked {
    /// This part.
    Part(u64),
    /// The end.
    End,
}

/// The master's acknowledgements for one command on one connection.
#[derive(Debug, Default)]
pub(super) struct Acks {
    state: Mutex<AckState>,
    changed: Notify,
    /// A failure as a stock master's response changes nothing (docs/reference/worker-protocol.md#worker-requests).
    tolerant: bool,
}

/// The state of [`Acks`].
#[derive(Clone, Debug, Default)]
pub(super) struct AckState {
    /// All parts below this number are acknowledged.
    pub parts: u64,
    /// Later ones that were acknowledged out of order.
    early: BTreeSet<u64>,
    pub end: bool,
    /// Why the master cannot take it.
    pub refused: Option<String>,
}

/// Permit to send one message.
#[derive(Debug)]
pub(super) struct SendPermit {
    slot: mpsc::OwnedPermit<Outgoing>,
    window: Option<OwnedSemaphorePermit>,
}

/// The connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed;

impl Link {
    /// A connection, and the queue for its writer.
    pub fn new(dialect: Dialect) -> (Self, mpsc::Receiver<Outgoing>) {
        let (out, queue) = mpsc::channel(QUEUE);
        (Self { out, window: Arc::new(Semaphore::new(WINDOW_BYTES)), dialect, refusal: Arc::default() }, queue)
    }

    /// Waits for a permit to send this many bytes of output.
    pub async fn permit(self, bytes: usize) -> Result<SendPermit, Closed> {
        let share = u32::try_from(bytes.min(WINDOW_BYTES)).expect("the window is far below 4 GiB");
        let window = self.window.acquire_many_owned(share).await.map_err(|_| Closed)?;
        let slot = self.out.reserve_owned().await.map_err(|_| Closed)?;
        Ok(SendPermit { slot, window: Some(window) })
    }

    /// Answers a request of the master.
    pub async fn answer(&self, seq: Seq, answer: Answer) -> Result<(), Closed> {
        self.out.send(Outgoing::Response { seq, answer }).await.map_err(|_| Closed)
    }

    /// Reports to the owner of the connection that the master refused a message of a command. The message is sent again
    /// on the next connection, if the master still wants it.
    pub fn refused(&self, command: &CommandId, why: &str) {
        if self.refusal.why.set(format!("the master refused a message of command {command}: {why}")).is_ok() {
            self.refusal.told.notify_one();
        }
    }

    /// Waits until the master refuses a message.
    pub async fn refusal(&self) -> String {
        self.refusal.told.notified().await;
        self.refusal.why.get().cloned().unwrap_or_default()
    }

    /// The same connection with another dialect.
    pub fn with_dialect(&self, dialect: Dialect) -> Self {
        Self { dialect, ..self.clone() }
    }
}

impl SendPermit {
    /// Sends; the answer goes to `acks`.
    pub fn send(self, request: WorkerRequest, acks: &Arc<Acks>, what: Acked) {
        self.send_to(request, Reader::Acks(Arc::clone(acks), what));
    }

    /// Sends; the answer comes to the receiver.
    pub fn ask(self, request: WorkerRequest) -> oneshot::Receiver<Answer> {
        let (reader, answer) = oneshot::channel();
        self.send_to(request, Reader::Transfer(reader));
        answer
    }

    fn send_to(self, request: WorkerRequest, reader: Reader) {
        let receipt = Receipt { reader, _window: self.window };
        self.slot.send(Outgoing::Request { request, receipt });
    }
}

impl Receipt {
    /// Takes the response of the master.
    pub fn answered(self, answer: Answer) {
        match self.reader {
            Reader::Acks(acks, what) => acks.take(what, answer),
            // A transfer that was stopped wants no answers.
            Reader::Transfer(reader) => drop(reader.send(answer)),
        }
    }
}

impl Acks {
    /// For a command whose next part is this.
    pub fn from(next: u64, dialect: Dialect) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(AckState { parts: next, ..AckState::default() }),
            changed: Notify::new(),
            tolerant: dialect != Dialect::Ours,
        })
    }

    /// Wakes the owner.
    pub fn poke(&self) {
        self.changed.notify_one();
    }

    /// The present state.
    pub fn state(&self) -> AckState {
        self.lock().clone()
    }

    /// Waits until it has changed since the last wait.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Takes the response to a message.
    pub fn take(&self, what: Acked, answer: Answer) {
        let mut state = self.lock();
        match (what, answer) {
            (_, Err(why)) if !self.tolerant => state.refused = Some(why),
            (Acked::End, _) => state.end = true,
            (Acked::Part(n), _) => {
                state.early.insert(n);
                while state.early.first() == Some(&state.parts) {
                    state.early.pop_first();
                    state.parts += 1;
                }
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, AckState> {
        // Nothing in here can panic halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests without a response, by their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Unanswered(Arc<Mutex<BTreeMap<u64, Receipt>>>);

impl Unanswered {
    /// Remembers what to do with the response to this request.
    pub fn insert(&self, number: u64, receipt: Receipt) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(number, receipt);
    }

    /// Delivers a response. False if there was no such request.
    pub fn answer(&self, number: Option<u64>, answer: Answer) -> bool {
        let receipt = number.and_then(|number| self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&number));
        receipt.map(|receipt| receipt.answered(answer)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::CommandId;

    fn update(n: u64) -> WorkerRequest {
        WorkerRequest::Update { command: CommandId("1".to_owned()), n: Some(n), updates: Vec::new() }
    }

    #[tokio::test]
    async fn answers_count_in_order_and_give_room_back() {
        let (link, mut queue) = Link::new(Dialect::Ours);
        let (acks, unanswered) = (Acks::from(4, Dialect::Ours), Unanswered::default());
        for n in 4..7 {
            link.clone().permit(WINDOW_BYTES / 3).await.unwrap().send(update(n), &acks, Acked::Part(n));
            let Some(Outgoing::Request { receipt, .. }) = queue.recv().await else { panic!() };
            unanswered.insert(n, receipt);
        }
        let more = link.clone().permit(WINDOW_BYTES / 3);
        tokio::pin!(more);
        assert!(futures_util::poll!(&mut more).is_pending(), "the window is full");
        assert!(unanswered.answer(Some(5), Ok(crate::protocol::MsgPack::Nil)));
        assert_eq!(acks.state().parts, 4, "part 4 is missing");
        assert!(futures_util::poll!(&mut more).is_ready());
        assert!(unanswered.answer(Some(4), Ok(crate::protocol::MsgPack::Nil)));
        assert_eq!(acks.state().parts, 6);
        assert!(unanswered.answer(Some(6), Err("no".to_owned())));
        assert_eq!(acks.state().refused.as_deref(), Some("no"));
        assert!(!unanswered.answer(Some(6), Ok(crate::protocol::MsgPack::Nil)), "nobody waits for it twice");
    }
}
