//! The way of an answer's bytes from a reading thread to the connection: small answers go as one piece with
//! their length, large ones piece by piece, so that memory stays flat whatever the size of the table.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use warp::http::StatusCode;

use super::error::ApiError;

/// Up to here an answer goes as one piece: some 4,000 builds.
const PIECE_BYTES: usize = 1 << 20;
/// Pieces that may wait for a slow client.
pub const PIECES_WAITING: usize = 4;
/// A client that takes nothing for so long has gone.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(30);

/// Long answers under way at the same time; each holds a thread for as long as its client takes.
pub const LONG_MAX: usize = 8;

/// How an answer begins.
#[derive(Debug)]
pub enum Begin {
    /// All of it.
    Whole(StatusCode, &'static str, Vec<u8>),
    /// More follows.
    First(&'static str),
}

/// The reader was cut off; the connection is, too, so that nobody takes half an answer for a whole one.
#[derive(Debug, thiserror::Error)]
#[error("the answer was cut off")]
pub struct CutOff;

/// The end that the reading thread writes to.
pub struct Output {
    begin: Option<oneshot::Sender<Begin>>,
    pieces: mpsc::Sender<Result<Bytes, CutOff>>,
    kind: &'static str,
    runtime: Handle,
    leave: Leave,
}

/// Leave to work on an answer: one of many while it may be short, one of few once it is long.
pub struct Leave {
    pub short: Option<OwnedSemaphorePermit>,
    pub long: Arc<Semaphore>,
}

impl Leave {
    /// For looking something up, which makes no long answer.
    pub fn none() -> Self {
        Self { short: None, long: Arc::new(Semaphore::new(0)) }
    }

    /// Trades the one for the other.
    fn lengthen(&mut self) -> Result<(), ApiError> {
        let long = Arc::clone(&self.long).try_acquire_owned();
        self.short = Some(long.map_err(|_| ApiError::busy("too many long answers under way; give a limit"))?);
        Ok(())
    }
}

impl Output {
    /// The two ends.
    pub fn new(
        kind: &'static str,
        leave: Leave,
    ) -> (Self, oneshot::Receiver<Begin>, mpsc::Receiver<Result<Bytes, CutOff>>) {
        let (begin, began) = oneshot::channel();
        let (pieces, coming) = mpsc::channel(PIECES_WAITING);
        (Self { begin: Some(begin), pieces, kind, runtime: Handle::current(), leave }, began, coming)
    }

    /// Passes on what has gathered, if it is much.
    pub fn offer(&mut self, gathered: &mut String) -> Result<(), ApiError> {
        if gathered.len() < PIECE_BYTES {
            return Ok(());
        }
        self.push(std::mem::take(gathered))
    }

    /// Passes on the last piece.
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

    /// Whether anybody still waits for the answer.
    pub fn is_wanted(&self) -> bool {
        !self.pieces.is_closed()
    }

    fn push(&mut self, piece: String) -> Result<(), ApiError> {
        if self.begin.is_some() {
            self.leave.lengthen()?;
        }
        if let Some(begin) = self.begin.take() {
            drop(begin.send(Begin::First(self.kind)));
        }
        let sending = tokio::time::timeout(CLIENT_TIMEOUT, self.pieces.send(Ok(piece.into())));
        match self.runtime.block_on(sending) {
            Ok(Ok(())) => Ok(()),
            _ => Err(ApiError::busy("the client has gone")),
        }
    }
}
