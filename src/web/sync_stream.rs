//! Makes a stream `Sync`, as warp requires of bodies, although nothing ever shares it.

use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::Stream;

/// A stream behind a lock that is never waited for: whoever polls has the stream for itself.
pub struct SyncStream<T> {
    inner: Mutex<Pin<Box<dyn Stream<Item = T> + Send>>>,
}

impl<T> SyncStream<T> {
    /// Wraps a stream.
    pub fn new(stream: impl Stream<Item = T> + Send + 'static) -> Self {
        Self { inner: Mutex::new(Box::pin(stream)) }
    }
}

impl<T> Stream for SyncStream<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.inner.get_mut().unwrap_or_else(PoisonError::into_inner).as_mut().poll_next(cx)
    }
}
