//! Limits connections in three groups: newcomers, which have not sent a complete request yet, guests, and workers. Each
//! group has its own seats, so that no group can take those of another.
//!
//! ```text
//!  accept ─► newcomer ──first complete head──► guest ──upgrade──► worker
//!               │ full: the oldest goes          │ full: the longest idle goes
//! ```
//!
//! Why the oldest newcomer is dropped and not the newest: a real client sends a request at once, and has become a guest
//! before its turn comes. Silent connections only displace each other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// How many connections of each kind there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatLimits {
    pub newcomers: usize,
    /// Newcomers of one address; trusted proxies are exempt.
    pub newcomers_each: usize,
    pub guests: usize,
    pub workers: usize,
}

impl Default for SeatLimits {
    fn default() -> Self {
        Self {
            // A thousand workers that all come back at once after a restart.
            newcomers: 1_024,
            // A browser opens six; this is a household of them behind one address.
            newcomers_each: 128,
            // A thousand open pages with a stream of events each, and scripts beside them.
            guests: 2_048,
            // Twice the thousand that we aim at.
            workers: 2_048,
        }
    }
}

/// File descriptors that are not for connections: the store, logs, runners, git.
const FILES_KEPT: u64 = 512;

impl SeatLimits {
    /// As many as this number of file descriptors allows, in the same proportions.
    #[must_use]
    pub fn within(files: Option<u64>) -> Self {
        let all = Self::default();
        let wanted = all.newcomers + all.guests + all.workers;
        let Some(files) = files.and_then(|files| usize::try_from(files.saturating_sub(FILES_KEPT)).ok()) else {
            return all;
        };
        if files >= wanted {
            return all;
        }
        let share = |seats: usize| (seats * files / wanted).max(16);
        Self {
            newcomers: share(all.newcomers),
            newcomers_each: share(all.newcomers_each),
            guests: share(all.guests),
            workers: share(all.workers),
        }
    }
}

/// All seats.
#[derive(Debug)]
pub struct Seats {
    limits: SeatLimits,
    table: Mutex<SeatTable>,
}

#[derive(Debug, Default)]
struct SeatTable {
    last: u64,
    taken: BTreeMap<u64, TakenSeat>,
    newcomers: BTreeSet<u64>,
    by_address: BTreeMap<IpAddr, BTreeSet<u64>>,
    guests: usize,
    workers: usize,
    /// Guests without a request in progress, by the moment at which they became so.
    idle: BTreeMap<u64, u64>,
}

#[derive(Debug)]
struct TakenSeat {
    kind: ConnectionKind,
    address: Option<IpAddr>,
    leave: CancellationToken,
    requests: usize,
    idle_since: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionKind {
    Newcomer,
    Guest,
    Worker,
}

/// A seat; free again when this is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    id: u64,
    leave: CancellationToken,
}

impl Seats {
    pub fn new(limits: SeatLimits) -> Arc<Self> {
        Arc::new(Self { limits, table: Mutex::default() })
    }

    /// A newcomer's seat. `address` counts against the limit for each; none for those that are exempt.
    pub fn enter(self: &Arc<Self>, address: Option<IpAddr>) -> Seat {
        let mut table = self.table();
        let each = address.and_then(|address| table.by_address.get(&address));
        if each.is_some_and(|each| each.len() >= self.limits.newcomers_each) {
            let oldest = each.and_then(BTreeSet::first).copied();
            table.send_away(oldest);
        }
        if table.newcomers.len() >= self.limits.newcomers {
            let oldest = table.newcomers.first().copied();
            table.send_away(oldest);
        }
        table.last += 1;
        let (id, leave) = (table.last, CancellationToken::new());
        let taken =
            TakenSeat { kind: ConnectionKind::Newcomer, address, leave: leave.clone(), requests: 0, idle_since: 0 };
        table.taken.insert(id, taken);
        table.newcomers.insert(id);
        if let Some(address) = address {
            table.by_address.entry(address).or_default().insert(id);
        }
        Seat { seats: Arc::clone(self), id, leave }
    }

    fn table(&self) -> MutexGuard<'_, SeatTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SeatTable {
    /// The seat itself is free when its connection has ended; it no longer counts at once.
    fn send_away(&mut self, id: Option<u64>) {
        let Some(id) = id else { return };
        if let Some(taken) = self.taken.get(&id) {
            taken.leave.cancel();
        }
        self.remove(id);
    }

    fn remove(&mut self, id: u64) {
        let Some(taken) = self.taken.remove(&id) else { return };
        match taken.kind {
            ConnectionKind::Newcomer => self.no_newcomer(id, taken.address),
            ConnectionKind::Guest => {
                self.guests -= 1;
                self.idle.remove(&taken.idle_since);
            }
            ConnectionKind::Worker => self.workers -= 1,
        }
    }

    fn no_newcomer(&mut self, id: u64, address: Option<IpAddr>) {
        self.newcomers.remove(&id);
        if let Some(address) = address
            && let Some(each) = self.by_address.get_mut(&address)
        {
            each.remove(&id);
            if each.is_empty() {
                self.by_address.remove(&address);
            }
        }
    }

    fn rest(&mut self, id: u64) {
        self.last += 1;
        let now = self.last;
        if let Some(taken) = self.taken.get_mut(&id) {
            taken.idle_since = now;
            self.idle.insert(now, id);
        }
    }
}

impl Seat {
    /// A complete request head has arrived: the newcomer becomes a guest. False if there is no seat.
    pub fn begin_request(&self) -> bool {
        let mut table = self.seats.table();
        let Some(taken) = table.taken.get(&self.id) else { return false };
        if taken.kind == ConnectionKind::Newcomer {
            let address = taken.address;
            if table.guests >= self.seats.limits.guests {
                let Some(longest) = table.idle.values().next().copied() else { return false };
                table.send_away(Some(longest));
            }
            table.no_newcomer(self.id, address);
            table.guests += 1;
        }
        let Some(taken) = table.taken.get_mut(&self.id) else { return false };
        if taken.kind == ConnectionKind::Newcomer {
            taken.kind = ConnectionKind::Guest;
        }
        taken.requests += 1;
        let was = std::mem::take(&mut taken.idle_since);
        table.idle.remove(&was);
        true
    }

    /// A request is over, its answer sent.
    pub fn end_request(&self) {
        let mut table = self.seats.table();
        let Some(taken) = table.taken.get_mut(&self.id) else { return };
        taken.requests = taken.requests.saturating_sub(1);
        if taken.requests == 0 && taken.kind == ConnectionKind::Guest {
            table.rest(self.id);
        }
    }

    /// Whether it has answered all that it was asked.
    pub fn is_idle(&self) -> bool {
        self.seats.table().taken.get(&self.id).is_none_or(|taken| taken.requests == 0)
    }

    /// The guest has authenticated as a worker. False if there is no seat.
    pub fn become_worker(&self) -> bool {
        let mut table = self.seats.table();
        let full = table.workers >= self.seats.limits.workers;
        let Some(taken) = table.taken.get_mut(&self.id) else { return false };
        let (was, address, idle_since) = (taken.kind, taken.address, taken.idle_since);
        if full || was == ConnectionKind::Worker {
            return was == ConnectionKind::Worker;
        }
        taken.kind = ConnectionKind::Worker;
        match was {
            ConnectionKind::Worker => {}
            ConnectionKind::Newcomer => table.no_newcomer(self.id, address),
            ConnectionKind::Guest => {
                table.guests -= 1;
                table.idle.remove(&idle_since);
            }
        }
        table.workers += 1;
        true
    }

    /// Ends when the seat is wanted for somebody else.
    pub async fn wanted(&self) {
        self.leave.cancelled().await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.table().remove(self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FEW: SeatLimits = SeatLimits { newcomers: 4, newcomers_each: 2, guests: 2, workers: 1 };

    fn is_sent_away(seat: &Seat) -> bool {
        seat.leave.is_cancelled()
    }

    fn ip(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    #[test]
    fn silent_newcomers_of_one_address_drive_out_each_other_only() {
        let seats = Seats::new(FEW);
        let other = seats.enter(ip(2));
        let (first, second, third) = (seats.enter(ip(1)), seats.enter(ip(1)), seats.enter(ip(1)));
        assert!(is_sent_away(&first) && !is_sent_away(&second) && !is_sent_away(&third) && !is_sent_away(&other));
        assert!(!first.begin_request(), "it has no seat any more");
        drop(first);
        assert!(second.begin_request() && third.begin_request());
        let _more = [seats.enter(ip(1)), seats.enter(ip(1))];
        assert!(!is_sent_away(&second), "a guest does not count");
    }

    #[test]
    fn those_that_are_exempt_have_only_the_limit_of_all() {
        let seats = Seats::new(FEW);
        let crowd: Vec<Seat> = (0..4).map(|_| seats.enter(None)).collect();
        assert!(!crowd.iter().any(is_sent_away));
        let _more = seats.enter(ip(9));
        assert!(is_sent_away(&crowd[0]) && !is_sent_away(&crowd[1]));
    }

    #[test]
    fn an_idle_guest_makes_room_and_a_busy_one_does_not() {
        let seats = Seats::new(FEW);
        let guests = [seats.enter(None), seats.enter(None)];
        assert!(guests.iter().all(Seat::begin_request));
        let late = seats.enter(None);
        assert!(!late.begin_request(), "both are busy");
        guests[1].end_request();
        guests[0].end_request();
        assert!(guests[0].is_idle() && guests[0].begin_request());
        assert!(late.begin_request());
        assert!(is_sent_away(&guests[1]) && !is_sent_away(&guests[0]));
    }

    #[test]
    fn workers_have_seats_of_their_own() {
        let seats = Seats::new(FEW);
        let (worker, second) = (seats.enter(None), seats.enter(None));
        assert!(worker.begin_request() && worker.become_worker() && worker.become_worker());
        assert!(second.begin_request() && !second.become_worker());
        worker.end_request();
        drop(second);
        let guests = [seats.enter(None), seats.enter(None)];
        assert!(guests.iter().all(Seat::begin_request), "the worker is no guest");
        drop(worker);
        assert!(guests[0].become_worker());
        drop(guests);
        let table = seats.table();
        assert!(table.taken.is_empty() && table.idle.is_empty() && table.by_address.is_empty());
        assert_eq!((table.guests, table.workers, table.newcomers.len()), (0, 0, 0));
    }

    #[test]
    fn few_file_descriptors_make_few_seats() {
        assert_eq!(SeatLimits::within(None), SeatLimits::default());
        assert_eq!(SeatLimits::within(Some(1 << 20)), SeatLimits::default());
        let few = SeatLimits::within(Some(1_024));
        assert!(few.newcomers + few.guests + few.workers <= 512 && few.workers > 100, "{few:?}");
    }
}
