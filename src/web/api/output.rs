//! Moves the bytes of an answer from a reading thread to the connection. Small answers are sent as one piece with their
//! length, large ones piece by piece, so that memory use does not depend on the size of the table.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use warp::http::StatusCode;

use super::error::ApiError;

/// The largest answer that is sent as one piece: about 4,000 builds.
const PIECE_BYTES: usize = 1 << 20;
/// How many pieces may wait for a slow client.
pub const PIECES_WAITING: usize = 4;
/// A client that reads nothing for this long is considered gone.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// How an answer begins.
#[derive(Debug)]
pub enum Begin {
    /// All of it.
    Whole(StatusCode, &'static str, Vec<u8>),
    /// More follows.
    First(&'static str),
}

/// Reading failed halfway. The connection is closed, so that nobody takes half an answer for a complete one.
#[derive(Debug, thiserror::Error)]
#[error("the response was cut off")]
pub struct CutOff;

/// The end that the reading thread writes to.
pub struct Output {
    begin: Option<oneshot::Sender<Begin>>,
    pieces: mpsc::Sender<Result<Bytes, CutOff>>,
    kind: &'static str,
    runtime: Handle,
    permit: ReadPermit,
}

/// Permit to work on an answer: one of many while it may be short, one of few once it is long.
pub struct ReadPermit {
    pub short: Option<OwnedSemaphorePermit>,
    pub long: Arc<Semaphore>,
}

impl ReadPermit {
    /// For look-ups, whose answers are never long.
    pub fn none() -> Self {
        Self { short: None, long: Arc::new(Semaphore::new(0)) }
    }

    /// Exchanges the short permit for a long one.
    fn lengthen(&mut self) -> Result<(), ApiError> {
        let long = Arc::clone(&self.long).try_acquire_owned();
        self.short =
            Some(long.map_err(|_| ApiError::busy("too many long responses in progress; add a limit to the query"))?);
        Ok(())
    }
}

impl Output {
    /// The two ends.
    pub fn new(
        kind: &'static str,
        permit: ReadPermit,
    ) -> (Self, oneshot::Receiver<Begin>, mpsc::Receiver<Result<Bytes, CutOff>>) {
        let (begin, began) = oneshot::channel();
        let (pieces, coming) = mpsc::channel(PIECES_WAITING);
        (Self { begin: Some(begin), pieces, kind, runtime: Handle::current(), permit }, began, coming)
    }

    /// Sends what has accumulated, if it is enough.
    pub fn offer(&mut self, gathered: &mut String) -> Result<(), ApiError> {
        if gathered.len() < PIECE_BYTES {
            return Ok(());
        }
        self.push(std::mem::take(gathered))
    }

    /// Sends the last piece.
    pub fn end(mut self, status: StatusCode, kind: &'static str, last: String) {
        match self.begin.take() {
            // A client that is gone needs no answer.
            Some(begin) => drop(begin.send(Begin::Whole(status, kind, last.into_bytes()))),
            None => drop(self.push(last)),
        }
    }

    /// Gives up.
    pub fn fail(mut self, error: &ApiError) {
        match self.begin.take() {
            Some(begin) => {
                let body = error.json().into_bytes();
                drop(begin.send(Begin::Whole(error.status, crate::web::respond::TEXT, body)));
            }
            None => drop(self.pieces.try_send(Err(CutOff))),
        }
    }

    /// Whether the client is still waiting.
    pub fn is_wanted(&self) -> bool {
        !self.pieces.is_closed()
    }

    fn push(&mut self, piece: String) -> Result<(), ApiError> {
        if self.begin.is_some() {
            self.permit.lengthen()?;
        }
        if let Some(begin) = self.begin.take() {
            drop(begin.send(Begin::First(self.kind)));
        }
        let sending = tokio::time::timeout(CLIENT_TIMEOUT, self.pieces.send(Ok(piece.into())));
        match self.runtime.block_on(sending) {
            Ok(Ok(())) => Ok(()),
            _ => Err(ApiError::busy("the client has disconnected")),
        }
    }
}
