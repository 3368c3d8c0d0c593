//! What all requests share, whichever part answers them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use warp::http::Method;

use super::bodies::{Bodies, BodyLimits};
use super::control::Control;
use super::host_check;
use super::request::Request;
use crate::auth::{Accounts, SecurityEvent};
use crate::base::Clock;
use crate::master::{OrderError, Reply};
use crate::model::{Caller, Denial, Order};

/// Requests that read the store at the same time; the others wait in line. Reading takes microseconds, but a
/// thread each for a thousand clients would take gigabytes.
const READERS_MAX: usize = 32;
/// Long answers in progress at the same time. Each occupies a thread for as long as its client takes.
const LONG_ANSWERS_MAX: usize = 8;
/// Pages that are open at the same time; each costs a connection and some 10 KiB.
pub const STREAMS_MAX: usize = 1_000;

/// What all requests share.
pub struct Shared {
    pub control: Arc<dyn Control>,
    /// Who is who.
    pub accounts: Arc<Accounts>,
    pub clock: Arc<dyn Clock>,
    pub readers: Arc<Semaphore>,
    pub long_answers: Arc<Semaphore>,
    /// What arrives.
    pub bodies: Arc<Bodies>,
    /// Open streams of events.
    pub streams: Arc<Semaphore>,
    /// The same by address.
    streams_of: Mutex<BTreeMap<IpAddr, usize>>,
    /// Tasks that serve workers.
    pub workers: TaskTracker,
    /// No new requests; streams end.
    pub stop: CancellationToken,
    /// What still runs is cut off.
    pub cut: CancellationToken,
}

impl Shared {
    /// A shared that serves until `stop`.
    pub fn new(
        control: Arc<dyn Control>,
        accounts: Arc<Accounts>,
        clock: Arc<dyn Clock>,
        bodies: BodyLimits,
        stop: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self {
            control,
            accounts,
            clock,
            readers: Arc::new(Semaphore::new(READERS_MAX)),
            long_answers: Arc::new(Semaphore::new(LONG_ANSWERS_MAX)),
            bodies: Bodies::new(bodies),
            streams: Arc::new(Semaphore::new(STREAMS_MAX)),
            streams_of: Mutex::default(),
            workers: TaskTracker::new(),
            stop,
            cut: CancellationToken::new(),
        })
    }

    /// Against whose share of the bodies a request counts; none for trusted proxies, which bring those of many.
    pub fn share_of(&self, request: &Request) -> Option<IpAddr> {
        let address = request.peer?.ip();
        (!host_check::is_trusted(&self.control.plan().web, address)).then_some(address)
    }

    /// Has something done, if the one who wants it may. Denials are in the audit log.
    pub async fn order(&self, order: Order, by: Caller) -> Result<Reply, OrderError> {
        let (action, who, address) = (order.action(), by.identity.to_string(), by.address);
        let reply = self.control.order(order, by).await?;
        if let Reply::Denied(why) = &reply {
            self.accounts.log().note(SecurityEvent::Denied, &who, address, (why, action.word()));
        }
        Ok(reply)
    }

    /// Takes note that somebody was denied something.
    pub fn note_denial(&self, request: &Request, denial: &Denial) {
        let (who, about) = (request.identity.to_string(), denial.to_string());
        self.accounts.log().note(SecurityEvent::Denied, &who, request.address(), (&about, denial.action.word()));
    }

    /// How many streams of events each address has open.
    pub fn streams_of(&self) -> MutexGuard<'_, BTreeMap<IpAddr, usize>> {
        self.streams_of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request only reads.
    pub fn reads(request: &Request) -> bool {
        matches!(request.method, Method::GET | Method::HEAD)
    }
}
