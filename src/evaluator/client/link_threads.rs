//! Orders to a child and replies from it, each within a bound of time. Where pipes cannot be polled two threads read and
//! write, and end with the child.

use std::io::{self, Read as _, Write as _};
use std::process::{ChildStderr, ChildStdin, ChildStdout};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::frame::{self, FrameError};
use super::super::limits::LAST_WORDS_MAX;

/// Why an exchange came to nothing.
#[derive(Debug)]
pub(super) enum LinkError {
    /// The child is gone.
    Closed,
    /// It did not answer in time.
    Late,
    /// What it said, or should hear, is not a message.
    Garbled(FrameError),
}

/// Both directions. At most one order and its reply are in the queues.
#[derive(Debug)]
pub(super) struct Link {
    to: Sender<Vec<u8>>,
    from: Receiver<Vec<u8>>,
}

impl Link {
    /// Over a child's pipes.
    pub fn new(mut to: ChildStdin, mut from: ChildStdout) -> io::Result<Self> {
        let (orders, waiting) = channel::<Vec<u8>>();
        let (heard, replies) = channel();
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        thread("evaluator's stdin").spawn(move || {
            while let Ok(bytes) = waiting.recv() {
                if to.write_all(&bytes).and_then(|()| to.flush()).is_err() {
                    return;
                }
            }
        })?;
        thread("evaluator's stdout").spawn(move || {
            while let Some(bytes) = message(&mut from) {
                if heard.send(bytes).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { to: orders, from: replies })
    }

    /// Whether the child's end is closed, as far as it is known.
    pub fn is_closed(&self) -> bool {
        !matches!(self.from.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty))
    }

    /// Sends one message.
    pub fn send<T: Serialize>(&mut self, message: &T, _until: Instant) -> Result<(), LinkError> {
        let bytes = frame::encode(message).map_err(LinkError::Garbled)?;
        self.to.send(bytes).map_err(|_| LinkError::Closed)
    }

    /// Waits for the next message.
    pub fn receive<T: DeserializeOwned>(&mut self, until: Instant) -> Result<T, LinkError> {
        let rest = until.saturating_duration_since(Instant::now());
        match self.from.recv_timeout(rest) {
            Ok(bytes) => frame::decode(&bytes).map_err(LinkError::Garbled),
            Err(RecvTimeoutError::Timeout) => Err(LinkError::Late),
            Err(RecvTimeoutError::Disconnected) => Err(LinkError::Closed),
        }
    }
}

fn message(from: &mut ChildStdout) -> Option<Vec<u8>> {
    let mut head = [0; 4];
    from.read_exact(&mut head).ok()?;
    let length = frame::length(head).ok()?;
    let mut bytes = Vec::new();
    from.take(length as u64).read_to_end(&mut bytes).ok()?;
    (bytes.len() == length).then_some(bytes)
}

/// Where a child complains.
#[derive(Debug)]
pub(super) struct Errors(ChildStderr);

impl Errors {
    pub fn new(from: ChildStderr) -> io::Result<Self> {
        Ok(Self(from))
    }

    /// The beginning of what a child that is dead now said.
    pub fn read(&mut self) -> String {
        let mut said = Vec::new();
        // What was read until it failed is what there is.
        let _ = (&mut self.0).take(LAST_WORDS_MAX as u64).read_to_end(&mut said);
        String::from_utf8_lossy(&said).into_owned()
    }
}

/// A moment so far from now.
pub(super) fn within(length: Duration) -> Instant {
    Instant::now() + length
}
