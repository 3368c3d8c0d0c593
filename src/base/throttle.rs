//! How often passwords may be tried that turn out wrong.
//!
//! Each address has a bucket of wrong tries, a smaller one for each name that it tries, and people's accounts have one for
//! all addresses together; they fill up again with time. So one misconfigured worker, which comes back every two seconds
//! for ever, keeps no other one of its machine out, and guessing stays slow. Right passwords cost nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use super::{Span, Timestamp};

/// Buckets that are remembered; some hundred bytes each.
const REMEMBERED_MAX: usize = 4_096;

#[derive(Clone, Copy, Debug)]
struct TokenBucket {
    most: u64,
    /// Time for one try.
    refill: Span,
}

/// Whose bucket: an address', that of an address for one name, or that of a name.
type Key = (Option<IpAddr>, Option<String>);

/// Remembers wrong tries.
#[derive(Debug)]
pub struct Throttle {
    /// Of an address for one name.
    name: TokenBucket,
    /// Of an address.
    address: TokenBucket,
    /// Of a name, whatever the address.
    account: Option<TokenBucket>,
    /// When each bucket will be full again.
    full_at: Mutex<BTreeMap<Key, Timestamp>>,
}

impl Throttle {
    /// For programs, which try again and again: a stock worker with a wrong password makes thirty tries a minute, and a
    /// rack of such workers may be behind one address.
    #[must_use]
    pub fn for_programs() -> Self {
        Self {
            name: TokenBucket { most: 60, refill: Span::from_seconds(1) },
            address: TokenBucket { most: 300, refill: Span::from_millis(100) },
            account: None,
            full_at: Mutex::default(),
        }
    }

    /// For people: an office behind one address mistypes now and then, and no account gets more than 100 wrong tries an
    /// hour once its bucket is empty.
    #[must_use]
    pub fn for_people() -> Self {
        Self {
            name: TokenBucket { most: 10, refill: Span::from_seconds(30) },
            address: TokenBucket { most: 100, refill: Span::from_seconds(5) },
            account: Some(TokenBucket { most: 100, refill: Span::from_seconds(36) }),
            full_at: Mutex::default(),
        }
    }

    /// Whether an address may try a password of this name now; otherwise the seconds to wait. An address that stands
    /// for many is not told.
    ///
    /// # Errors
    /// Seconds to wait.
    pub fn may(&self, address: Option<IpAddr>, name: &str, now: Timestamp) -> Result<(), u64> {
        let full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let buckets = self.buckets(address, name);
        let wait = buckets.iter().filter_map(|(key, bucket)| bucket.wait(*full_at.get(key)?, now)).max();
        wait.map_or(Ok(()), Err)
    }

    /// Takes note of a wrong try.
    pub fn wrong(&self, address: Option<IpAddr>, name: &str, now: Timestamp) {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= REMEMBERED_MAX {
            full_at.retain(|_, full| *full > now);
        }
        if full_at.len() >= REMEMBERED_MAX {
            full_at.clear();
        }
        for (key, bucket) in self.buckets(address, name) {
            let full = full_at.entry(key).or_insert(now);
            *full = (*full).max(now).plus(bucket.refill);
        }
    }

    fn buckets(&self, address: Option<IpAddr>, name: &str) -> Vec<(Key, TokenBucket)> {
        let of_account = self.account.map(|bucket| ((None, Some(name.to_owned())), bucket));
        let of_name = address.map(|address| ((Some(address), Some(name.to_owned())), self.name));
        let of_address = address.map(|address| ((Some(address), None), self.address));
        of_account.into_iter().chain(of_name).chain(of_address).collect()
    }
}

impl TokenBucket {
    /// Seconds until the bucket has a try again; none if it has.
    fn wait(self, full_at: Timestamp, now: Timestamp) -> Option<u64> {
        let missing = full_at.since(now).as_millis();
        let over = missing.saturating_sub((self.most - 1) * self.refill.as_millis());
        (over > 0).then_some(over / 1_000 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    #[test]
    fn guessing_one_name_is_slow_and_keeps_no_other_out() {
        let tries = Throttle::for_programs();
        let now = Timestamp::from_seconds(1_000);
        for _ in 0..60 {
            assert_eq!(tries.may(HERE, "w", now), Ok(()));
            tries.wrong(HERE, "w", now);
        }
        assert_eq!(tries.may(HERE, "w", now), Err(2));
        assert_eq!(tries.may(HERE, "other", now), Ok(()));
        assert_eq!(tries.may("192.0.2.1".parse().ok(), "w", now), Ok(()));
        assert_eq!(tries.may(HERE, "w", Timestamp::from_seconds(1_002)), Ok(()));
    }

    #[test]
    fn guessing_names_is_slow_too_and_memory_is_bounded() {
        let tries = Throttle::for_programs();
        let now = Timestamp::from_seconds(1_000);
        for n in 0..300 {
            tries.wrong(HERE, &format!("w{n}"), now);
        }
        assert!(tries.may(HERE, "new", now).is_err());
        for n in 0..10_000_u32 {
            tries.wrong(Some(IpAddr::from(n.to_be_bytes())), "w", now);
        }
        assert!(tries.full_at.lock().unwrap().len() <= REMEMBERED_MAX + 2);
    }

    #[test]
    fn a_worker_with_a_wrong_password_may_try_for_ever() {
        let tries = Throttle::for_programs();
        for n in 0..1_000 {
            let now = Timestamp::from_seconds(1_000 + 2 * n);
            assert_eq!(tries.may(HERE, "w", now), Ok(()));
            tries.wrong(HERE, "w", now);
        }
    }

    #[test]
    fn an_account_is_guessed_slowly_from_many_addresses_too() {
        let tries = Throttle::for_people();
        let now = Timestamp::from_seconds(1_000);
        for n in 0..100_u32 {
            let address = Some(IpAddr::from(n.to_be_bytes()));
            assert_eq!(tries.may(address, "ann", now), Ok(()), "{n}");
            tries.wrong(address, "ann", now);
        }
        assert!(tries.may("192.0.2.1".parse().ok(), "ann", now).is_err());
        assert!(tries.may(None, "ann", now).is_err());
        assert_eq!(tries.may("192.0.2.1".parse().ok(), "bob", now), Ok(()));
    }
}
