//! Bodies of requests, limited individually, in total, and per address, across all connections and streams.
//!
//! A body uses the budget for what has arrived of it, until its request is answered. A body that makes no progress is
//! ended soon, so that nobody can occupy the budget with little effort. Calls of forges may be large: few of these at a time,
//! beside the budget, so that they take nothing from others.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt as _};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};
use warp::http::StatusCode;

/// How much of bodies there may be, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// Of one. It is read before anybody knows who sent it. The largest change that we take is below it.
    pub each: usize,
    /// Of one that a forge may send. GitHub sends no more than 25 MB.
    pub large: usize,
    /// Of those that are larger than others may be, at a time.
    pub large_at_once: usize,
    /// Of all together.
    pub total: usize,
    /// Of those from one address.
    pub address: usize,
    /// Until it is complete.
    pub whole: Duration,
    /// Between two pieces of it.
    pub pause: Duration,
    /// For others to make room.
    pub wait: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            each: 960 << 10,
            large: 26 << 20,
            large_at_once: 2,
            total: 64 << 20,
            address: 16 << 20,
            whole: Duration::from_mins(1),
            pause: Duration::from_secs(10),
            wait: Duration::from_secs(5),
        }
    }
}

/// How large a body may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodySize {
    Usual,
    /// A declared forge sends it, which proves itself.
    Large,
}

/// What all bodies share.
#[derive(Debug)]
pub struct Bodies {
    limits: BodyLimits,
    /// For bodies that are larger than others may be.
    large: Arc<Semaphore>,
    used: Mutex<Used>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Used {
    total: usize,
    by_address: BTreeMap<IpAddr, usize>,
}

/// A body, and its share of the budget as long as this lives.
#[derive(Debug)]
pub struct Body {
    pub bytes: Bytes,
    _share: BodyShare,
    _large: Option<OwnedSemaphorePermit>,
}

#[derive(Debug)]
struct BodyShare {
    bodies: Arc<Bodies>,
    address: Option<IpAddr>,
    bytes: usize,
}

/// Why a body was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    TooLarge,
    /// Larger than a forge may send.
    FarTooLarge,
    TooSlow,
    /// Others use all that there is.
    Busy,
    /// The connection broke.
    Broken,
}

impl BodyError {
    /// The status of the answer, and its words.
    pub fn answer(self) -> (StatusCode, &'static str) {
        match self {
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the request body is too large; the limit is 960 KiB"),
            Self::FarTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the request body is too large; the limit is 26 MiB"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "the request body did not arrive in time"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "too many requests are being sent at once; try again soon"),
            Self::Broken => (StatusCode::BAD_REQUEST, "the request body ended early"),
        }
    }
}

impl Bodies {
    pub fn new(limits: BodyLimits) -> Arc<Self> {
        let large = Arc::new(Semaphore::new(limits.large_at_once));
        Arc::new(Self { limits, large, used: Mutex::default(), freed: Notify::new() })
    }

    /// Reads a body of at most this size. `length` is its length, if that was given; `address` is none for those that are
    /// exempt from the limit for each.
    pub async fn read<B: Buf, E>(
        self: &Arc<Self>,
        size: BodySize,
        length: Option<u64>,
        address: Option<IpAddr>,
        body: impl Stream<Item = Result<B, E>>,
    ) -> Result<Body, BodyError> {
        let (most, too_large) = match size {
            BodySize::Usual => (self.limits.each, BodyError::TooLarge),
            BodySize::Large => (self.limits.large, BodyError::FarTooLarge),
        };
        if length.is_some_and(|length| length > most as u64) {
            return Err(too_large);
        }
        let mut body = std::pin::pin!(body);
        let mut share = BodyShare { bodies: Arc::clone(self), address, bytes: 0 };
        let (mut whole, mut large) = (Vec::new(), None);
        let deadline = Instant::now() + self.limits.whole;
        loop {
            let by = deadline.min(Instant::now() + self.limits.pause);
            let Some(piece) = timeout_at(by, body.next()).await.map_err(|_| BodyError::TooSlow)? else { break };
            let mut piece = piece.map_err(|_| BodyError::Broken)?;
            let arrived = whole.len() + piece.remaining();
            if arrived > most {
                return Err(too_large);
            }
            if arrived > self.limits.each && large.is_none() {
                large = Some(self.large_permit().await?);
            }
            // What is more has its permit.
            share.grow(arrived.min(self.limits.each) - whole.len().min(self.limits.each)).await?;
            while piece.has_remaining() {
                let chunk = piece.chunk();
                whole.extend_from_slice(chunk);
                let taken = chunk.len();
                piece.advance(taken);
            }
        }
        Ok(Body { bytes: whole.into(), _share: share, _large: large })
    }

    async fn large_permit(&self) -> Result<OwnedSemaphorePermit, BodyError> {
        let permit = timeout(self.limits.wait, Arc::clone(&self.large).acquire_owned()).await;
        permit.map_err(|_| BodyError::Busy)?.map_err(|_| BodyError::Busy)
    }

    fn take(&self, address: Option<IpAddr>, bytes: usize) -> bool {
        let mut used = self.used();
        let each = address.and_then(|address| used.by_address.get(&address).copied()).unwrap_or(0);
        if used.total + bytes > self.limits.total || each + bytes > self.limits.address {
            return false;
        }
        used.total += bytes;
        if let Some(address) = address {
            used.by_address.insert(address, each + bytes);
        }
        true
    }

    fn used(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BodyShare {
    /// Takes more, as soon as there is room for it.
    async fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        let deadline = Instant::now() + self.bodies.limits.wait;
        let bodies = Arc::clone(&self.bodies);
        loop {
            let freed = bodies.freed.notified();
            if bodies.take(self.address, bytes) {
                self.bytes += bytes;
                return Ok(());
            }
            timeout_at(deadline, freed).await.map_err(|_| BodyError::Busy)?;
        }
    }
}

impl Drop for BodyShare {
    fn drop(&mut self) {
        let mut used = self.bodies.used();
        used.total -= self.bytes;
        if let Some(address) = self.address
            && let Some(each) = used.by_address.get_mut(&address)
        {
            *each -= self.bytes;
            if *each == 0 {
                used.by_address.remove(&address);
            }
        }
        drop(used);
        self.bodies.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::BodySize::{Large, Usual};
    use super::*;

    /// Limits that a test need not wait for.
    fn few() -> Arc<Bodies> {
        let short = Duration::from_millis(20);
        Bodies::new(BodyLimits {
            each: 10,
            large: 100,
            large_at_once: 1,
            total: 20,
            address: 12,
            whole: short * 5,
            pause: short,
            wait: short,
        })
    }

    fn pieces(lengths: &[usize]) -> impl Stream<Item = Result<Bytes, ()>> + use<> {
        let pieces: Vec<_> = lengths.iter().map(|length| Ok(Bytes::from(vec![b'x'; *length]))).collect();
        stream::iter(pieces)
    }

    fn ip(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[tokio::test]
    async fn a_body_is_bounded_by_what_it_tells_and_by_what_comes() {
        let bodies = few();
        assert_eq!(bodies.read(Usual, None, None, pieces(&[4, 6])).await.unwrap().bytes.len(), 10);
        assert_eq!(bodies.read(Usual, None, None, pieces(&[4, 7])).await.unwrap_err(), BodyError::TooLarge);
        assert_eq!(
            bodies.read(Usual, Some(11), None, stream::pending::<Result<Bytes, ()>>()).await.unwrap_err(),
            BodyError::TooLarge
        );
        let broken = stream::iter([Err::<Bytes, ()>(())]);
        assert_eq!(bodies.read(Usual, None, None, broken).await.unwrap_err(), BodyError::Broken);
        assert_eq!(bodies.used().total, 0);
    }

    #[tokio::test]
    async fn one_that_does_not_come_forth_ends() {
        let stalls = pieces(&[1]).chain(stream::pending());
        assert_eq!(few().read(Usual, Some(5), None, stalls).await.unwrap_err(), BodyError::TooSlow);
        let drips = stream::unfold(tokio::time::interval(Duration::from_millis(15)), |mut beat| async {
            beat.tick().await;
            Some((Ok::<_, ()>(Bytes::new()), beat))
        });
        assert_eq!(few().read(Usual, Some(10), None, drips).await.unwrap_err(), BodyError::TooSlow);
        assert_eq!(few().used().total, 0);
    }

    #[tokio::test]
    async fn all_together_and_those_of_an_address_are_bounded() {
        let bodies = few();
        let first = bodies.read(Usual, None, ip(1), pieces(&[10])).await.unwrap();
        assert_eq!(bodies.read(Usual, None, ip(1), pieces(&[3])).await.unwrap_err(), BodyError::Busy);
        let second = bodies.read(Usual, None, ip(2), pieces(&[9])).await.unwrap();
        assert_eq!(bodies.read(Usual, None, None, pieces(&[2])).await.unwrap_err(), BodyError::Busy);
        let patient = Bodies::new(BodyLimits { wait: Duration::from_mins(1), ..bodies.limits });
        let held = patient.read(Usual, None, ip(1), pieces(&[10])).await.unwrap();
        let _also = patient.read(Usual, None, ip(2), pieces(&[9])).await.unwrap();
        let waiting = patient.read(Usual, None, ip(3), pieces(&[5]));
        let (waited, ()) = tokio::join!(waiting, async {
            tokio::task::yield_now().await;
            drop(held);
        });
        assert_eq!(waited.unwrap().bytes.len(), 5);
        drop((first, second));
        assert!(bodies.used().by_address.is_empty() && bodies.used().total == 0);
    }

    #[tokio::test]
    async fn few_large_ones_are_taken_at_a_time_and_from_forges_only() {
        let bodies = few();
        let first = bodies.read(Large, None, ip(1), pieces(&[8, 42, 50])).await.unwrap();
        assert_eq!((first.bytes.len(), bodies.used().total), (100, 10), "the rest is not taken from others");
        assert_eq!(bodies.read(Large, None, ip(2), pieces(&[11])).await.unwrap_err(), BodyError::Busy);
        assert_eq!(bodies.read(Large, None, ip(2), pieces(&[10])).await.unwrap().bytes.len(), 10, "an ordinary one");
        drop(first);
        assert_eq!(bodies.read(Large, None, ip(2), pieces(&[60, 41])).await.unwrap_err(), BodyError::FarTooLarge);
        assert_eq!(bodies.read(Large, Some(101), ip(2), pieces(&[1])).await.unwrap_err(), BodyError::FarTooLarge);
        assert_eq!(bodies.read(Usual, None, ip(2), pieces(&[11])).await.unwrap_err(), BodyError::TooLarge);
        assert_eq!((bodies.used().total, bodies.large.available_permits()), (0, 1));
    }
}
