//! A worker's upgraded connection, whatever carries it: a WebSocket, or two ends in one process.
//!
//! Knows neither HTTP nor the messages inside the frames.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Sink, StreamExt as _};

/// A frame of a worker's WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// One message.
    Binary(Bytes),
    /// Never sent by a worker in its right mind.
    Text(String),
    /// Asks for a [`Frame::Pong`] with the same content.
    Ping(Bytes),
    /// Answers a [`Frame::Ping`].
    Pong(Bytes),
    /// No more frames follow.
    Close,
}

/// An upgraded connection, whatever carries it.
pub struct Socket {
    /// Frames from the other side; an error or the end means that the connection is gone.
    pub incoming: BoxStream<'static, Result<Frame, String>>,
    /// Frames to the other side.
    pub outgoing: Pin<Box<dyn Sink<Frame, Error = String> + Send>>,
    /// Who is there, where that means something.
    pub peer: Option<SocketAddr>,
}

/// Frames that fit between the two ends of [`Socket::pair`]; a full side makes the sender wait, as TCP does.
const PAIR_FRAMES_MAX: usize = 64;

impl Socket {
    /// Two ends of one connection inside this process: what one sends the other receives, in order.
    #[must_use]
    pub fn pair() -> (Self, Self) {
        let (left_out, right_in) = one_way();
        let (right_out, left_in) = one_way();
        (
            Self { incoming: left_in, outgoing: left_out, peer: None },
            Self { incoming: right_in, outgoing: right_out, peer: None },
        )
    }
}

type Outgoing = Pin<Box<dyn Sink<Frame, Error = String> + Send>>;
type Incoming = BoxStream<'static, Result<Frame, String>>;

/// One direction of a pair.
fn one_way() -> (Outgoing, Incoming) {
    let (sender, receiver) = tokio::sync::mpsc::channel::<Frame>(PAIR_FRAMES_MAX);
    let outgoing = futures_util::sink::unfold(sender, |sender, frame: Frame| async move {
        sender.send(frame).await.map_err(|_| "the other end is gone".to_owned())?;
        Ok::<_, String>(sender)
    });
    let incoming = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|frame| (Ok(frame), receiver))
    });
    (Box::pin(outgoing), incoming.boxed())
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket").field("peer", &self.peer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::SinkExt as _;

    use super::*;

    #[tokio::test]
    async fn what_one_end_sends_the_other_receives_in_order() {
        let (mut left, mut right) = Socket::pair();
        left.outgoing.send(Frame::Text("a".into())).await.unwrap();
        left.outgoing.send(Frame::Close).await.unwrap();
        assert_eq!(right.incoming.next().await, Some(Ok(Frame::Text("a".into()))));
        assert_eq!(right.incoming.next().await, Some(Ok(Frame::Close)));
    }

    #[tokio::test]
    async fn an_end_that_is_dropped_ends_the_other() {
        let (left, mut right) = Socket::pair();
        drop(left);
        assert_eq!(right.incoming.next().await, None);
        assert!(right.outgoing.send(Frame::Close).await.is_err());
    }
}
