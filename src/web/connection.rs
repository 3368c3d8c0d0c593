//! One TCP connection below HTTP, and who is at its other end.
//!
//! A stock worker's socket waits for our acknowledgement before it sends on (worker protocol, section 3.4), and the
//! system delays that by some 40 ms. So once a connection is known to be a worker's, quick acknowledgement is
//! switched on again after every read: the system forgets it each time.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Who is at the other end; travels with each request of the connection.
#[derive(Clone, Debug)]
pub struct Peer {
    pub addr: SocketAddr,
    quick: Arc<AtomicBool>,
}

impl Peer {
    /// The other end of a new connection.
    pub fn new(addr: SocketAddr) -> Self {
        Self { addr, quick: Arc::new(AtomicBool::new(false)) }
    }

    /// From now on acknowledge what comes at once.
    pub fn acknowledge_quickly(&self) {
        self.quick.store(true, Ordering::Relaxed);
    }
}

/// The connection's bytes.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    quick: Arc<AtomicBool>,
}

impl Wire {
    /// Takes a new connection; small messages leave at once.
    pub fn new(stream: TcpStream, peer: &Peer) -> Self {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, peer = %peer.addr, "failed to switch off delayed sending");
        }
        Self { stream, quick: Arc::clone(&peer.quick) }
    }

    #[cfg(target_os = "linux")]
    fn rearm(&self) {
        if self.quick.load(Ordering::Relaxed) {
            // It only costs time if it fails; and a broken connection shows itself at the next read.
            let _ = rustix::net::sockopt::set_tcp_quickack(&self.stream, true);
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn rearm(&self) {}
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if read.is_ready() {
            self.rearm();
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
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
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
