//! One TCP connection below HTTP: who is at the other end, and when it is closed.
//!
//! A stock worker's socket waits for our acknowledgement before it continues (docs/reference/worker-protocol.md#speed),
//! and the system delays the acknowledgement by about 40 ms. So once a connection is known to be a worker's, quick
//! acknowledgement is enabled after every read, because the system resets it each time.
//!
//! Invariant: a connection without a complete request head ends by [`ConnectionTimeouts::head`], an idle one by
//! [`ConnectionTimeouts::idle`], and one whose answers nobody reads by [`ConnectionTimeouts::stall`], in every version of HTTP.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::seats::Seat;

/// Smaller writes are the housekeeping of HTTP/2 (settings, pings, windows), not answers.
const ANSWER_BYTES_MIN: usize = 64;

/// Time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionTimeouts {
    /// From its beginning to the first complete head of a request.
    pub head: Duration,
    /// With nothing asked and nothing sent.
    pub idle: Duration,
    /// Until the reader of an answer takes the next piece.
    pub stall: Duration,
    /// Between two looks at the last two.
    pub look: Duration,
}

impl Default for ConnectionTimeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            // More than the 30 s after which HTTP/1 ends an idle connection by itself.
            idle: Duration::from_mins(1),
            stall: Duration::from_mins(1),
            look: Duration::from_secs(10),
        }
    }
}

/// Why a connection was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// It said nothing at all.
    Silent,
    /// It did not say all of its first request.
    Slow,
    Idle,
    /// Nobody reads what was asked for.
    Unread,
    /// Its seat was wanted for somebody else.
    Crowded,
}

/// Who is at the other end; travels with each request of the connection.
#[derive(Clone, Debug)]
pub struct ClientConnection {
    /// The address of the client, as reported by a trusted proxy.
    pub addr: SocketAddr,
    state: Arc<ConnectionState>,
}

/// What is known of a connection.
#[derive(Debug)]
struct ConnectionState {
    seat: Seat,
    began: Instant,
    quick: AtomicBool,
    heard: AtomicBool,
    /// A complete head came.
    asked: CancellationToken,
    /// When the last answer's bytes left, in milliseconds since the beginning.
    wrote: AtomicU64,
    /// Since when answers wait to be taken, by number.
    waiting: Mutex<BTreeMap<u64, Instant>>,
    answers: AtomicU64,
}

impl ClientConnection {
    /// The other end of a new connection.
    pub fn new(addr: SocketAddr, seat: Seat) -> Self {
        let state = ConnectionState {
            seat,
            began: Instant::now(),
            quick: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            asked: CancellationToken::new(),
            wrote: AtomicU64::new(0),
            waiting: Mutex::default(),
            answers: AtomicU64::new(0),
        };
        Self { addr, state: Arc::new(state) }
    }

    /// The same connection, with the address of the proxy's client.
    #[must_use]
    pub fn on_behalf_of(&self, addr: SocketAddr) -> Self {
        Self { addr, state: Arc::clone(&self.state) }
    }

    /// From now on acknowledge what comes at once.
    pub fn acknowledge_quickly(&self) {
        self.state.quick.store(true, Ordering::Relaxed);
    }

    /// It takes a worker's seat, if there is one.
    pub fn become_worker(&self) -> bool {
        self.state.seat.become_worker()
    }

    /// A complete head has arrived. None if there is no seat for a guest.
    pub fn begin_request(&self) -> Option<InProgress> {
        self.state.asked.cancel();
        self.state.seat.begin_request().then(|| InProgress(Arc::clone(&self.state)))
    }

    /// Ends when the connection has to go.
    pub async fn ended(&self, timeouts: ConnectionTimeouts) -> EndReason {
        tokio::select! {
            () = self.state.seat.wanted() => EndReason::Crowded,
            ended = self.state.overdue(timeouts) => ended,
        }
    }
}

impl ConnectionState {
    async fn overdue(&self, timeouts: ConnectionTimeouts) -> EndReason {
        if timeout(timeouts.head, self.asked.cancelled()).await.is_err() {
            return if self.heard.load(Ordering::Relaxed) { EndReason::Slow } else { EndReason::Silent };
        }
        let mut idle_since = None;
        loop {
            sleep(timeouts.look).await;
            if self.waiting().values().any(|since| since.elapsed() >= timeouts.stall) {
                return EndReason::Unread;
            }
            let wrote = self.began + Duration::from_millis(self.wrote.load(Ordering::Relaxed));
            idle_since = self.seat.is_idle().then(|| wrote.max(idle_since.unwrap_or_else(Instant::now)));
            if idle_since.is_some_and(|since| since.elapsed() >= timeouts.idle) {
                return EndReason::Idle;
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, Instant>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is not answered to its end.
#[derive(Debug)]
pub struct InProgress(Arc<ConnectionState>);

impl Drop for InProgress {
    fn drop(&mut self) {
        self.0.seat.end_request();
    }
}

/// An answer's body, which takes note of whether somebody reads it.
#[derive(Debug)]
pub struct WatchedBody<B> {
    body: B,
    /// The answer's number; none for a refusal without a seat, after which the connection ends.
    request: Option<(u64, InProgress)>,
}

impl<B> WatchedBody<B> {
    /// The body of the answer to a request.
    pub fn new(body: B, request: InProgress) -> Self {
        let number = request.0.answers.fetch_add(1, Ordering::Relaxed);
        request.0.waiting().insert(number, Instant::now());
        Self { body, request: Some((number, request)) }
    }

    /// The body of a refusal to those that have no seat.
    pub const fn unseated(body: B) -> Self {
        Self { body, request: None }
    }
}

impl<B> Drop for WatchedBody<B> {
    fn drop(&mut self) {
        if let Some((number, request)) = &self.request {
            request.0.waiting().remove(number);
        }
    }
}

impl<B: Body + Unpin> Body for WatchedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Some((number, request)) = &self.request {
            let mut waiting = request.0.waiting();
            match &polled {
                // It is asked for again when this piece has gone.
                Poll::Ready(Some(Ok(_))) => waiting.insert(*number, Instant::now()),
                Poll::Ready(_) | Poll::Pending => waiting.remove(number),
            };
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The connection's bytes.
#[derive(Debug)]
pub struct TcpConnection {
    stream: TcpStream,
    state: Arc<ConnectionState>,
}

impl TcpConnection {
    /// Takes a new connection; small messages leave at once.
    pub fn new(stream: TcpStream, peer: &ClientConnection) -> Self {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, peer = %peer.addr, "failed to disable Nagle's algorithm");
        }
        Self { stream, state: Arc::clone(&peer.state) }
    }

    #[cfg(target_os = "linux")]
    fn rearm(&self) {
        if self.state.quick.load(Ordering::Relaxed) {
            // It only costs time if it fails; and a broken connection shows itself at the next read.
            let _ = rustix::net::sockopt::set_tcp_quickack(&self.stream, true);
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn rearm(&self) {}

    fn sent(&self, written: &Poll<io::Result<usize>>) {
        if matches!(written, Poll::Ready(Ok(bytes)) if *bytes >= ANSWER_BYTES_MIN) {
            let now = u64::try_from(self.state.began.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.state.wrote.store(now, Ordering::Relaxed);
        }
    }
}

impl AsyncRead for TcpConnection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            self.rearm();
            if buf.filled().len() > before {
                self.state.heard.store(true, Ordering::Relaxed);
            }
        }
        read
    }
}

impl AsyncWrite for TcpConnection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.sent(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.sent(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::web::seats::{SeatLimits, Seats};

    fn peer() -> ClientConnection {
        ClientConnection::new("192.0.2.1:5".parse().unwrap(), Seats::new(SeatLimits::default()).enter(None))
    }

    /// A body that always has more.
    struct Endless;

    impl Body for Endless {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"more")))))
        }
    }

    /// Limits that a test need not wait for.
    fn impatient() -> ConnectionTimeouts {
        let short = Duration::from_millis(20);
        ConnectionTimeouts { head: short, idle: short, stall: short, look: short / 2 }
    }

    #[tokio::test]
    async fn whoever_asks_for_nothing_ends_in_time() {
        assert_eq!(peer().ended(impatient()).await, EndReason::Silent);
        let preface = peer();
        preface.state.heard.store(true, Ordering::Relaxed);
        assert_eq!(preface.ended(impatient()).await, EndReason::Slow);
    }

    #[tokio::test]
    async fn a_connection_without_anything_to_do_ends_in_time() {
        let peer = peer();
        drop(peer.begin_request());
        assert_eq!(peer.ended(impatient()).await, EndReason::Idle);
    }

    #[tokio::test]
    async fn an_answer_that_nobody_reads_ends_its_connection() {
        let peer = peer();
        let mut body = WatchedBody::new(Endless, peer.begin_request().unwrap());
        let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
        assert!(frame.is_some());
        assert_eq!(peer.ended(impatient()).await, EndReason::Unread);
    }

    #[tokio::test]
    async fn an_answer_that_has_nothing_to_say_for_long_does_not_count_as_unread() {
        let peer = peer();
        let mut body = WatchedBody::new(Quiet, peer.begin_request().unwrap());
        let polled = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut body).poll_frame(cx))).await;
        assert!(polled.is_pending());
        assert!(timeout(impatient().stall * 10, peer.ended(impatient())).await.is_err());
    }

    /// A body that has nothing for now.
    struct Quiet;

    impl Body for Quiet {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Pending
        }
    }
}
