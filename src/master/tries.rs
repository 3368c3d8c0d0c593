//! How often an address may try passwords that turn out wrong.
//!
//! Each address has a bucket of wrong tries, and a smaller one for each name that it tries; they fill up again with time. So
//! one misconfigured worker, which comes back every two seconds for ever, keeps no other one of its machine out, and
//! guessing stays slow. Right passwords cost nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::base::{Span, Timestamp};

/// Wrong tries for one name: a stock worker with a wrong password makes thirty a minute.
const NAME: TokenBucket = TokenBucket { most: 60, refill: Span::from_seconds(1) };
/// Wrong tries of one address: a rack of such workers behind one address.
const ADDRESS: TokenBucket = TokenBucket { most: 300, refill: Span::from_millis(100) };
/// Buckets that are remembered; some hundred bytes each.
const REMEMBERED_MAX: usize = 4_096;

#[derive(Clone, Copy, Debug)]
struct TokenBucket {
    most: u64,
    /// Time for one try.
    refill: Span,
}

/// Whose bucket: an address', or that for one name.
type Key = (IpAddr, Option<String>);

/// Remembers wrong tries.
#[derive(Debug, Default)]
pub(super) struct LoginThrottle {
    /// When each bucket will be full again.
    full_at: Mutex<BTreeMap<Key, Timestamp>>,
}

impl LoginThrottle {
    /// Whether an address may try a password of this name now; otherwise the seconds to wait.
    pub fn may(&self, address: IpAddr, name: &str, now: Timestamp) -> Result<(), u64> {
        let full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = keys(address, name).iter().filter_map(|(key, bucket)| bucket.wait(*full_at.get(key)?, now)).max();
        wait.map_or(Ok(()), Err)
    }

    /// Takes note of a wrong try.
    pub fn wrong(&self, address: IpAddr, name: &str, now: Timestamp) {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        if full_at.len() >= REMEMBERED_MAX {
            full_at.retain(|_, full| *full > now);
        }
        if full_at.len() >= REMEMBERED_MAX {
            full_at.clear();
        }
        for (key, bucket) in keys(address, name) {
            let full = full_at.entry(key).or_insert(now);
            *full = (*full).max(now).plus(bucket.refill);
        }
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

fn keys(address: IpAddr, name: &str) -> [(Key, TokenBucket); 2] {
    [((address, Some(name.to_owned())), NAME), ((address, None), ADDRESS)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn guessing_one_name_is_slow_and_keeps_no_other_out() {
        let tries = LoginThrottle::default();
        let now = Timestamp::from_seconds(1_000);
        for _ in 0..60 {
            assert_eq!(tries.may(HERE, "w", now), Ok(()));
            tries.wrong(HERE, "w", now);
        }
        assert_eq!(tries.may(HERE, "w", now), Err(2));
        assert_eq!(tries.may(HERE, "other", now), Ok(()));
        assert_eq!(tries.may("192.0.2.1".parse().unwrap(), "w", now), Ok(()));
        assert_eq!(tries.may(HERE, "w", Timestamp::from_seconds(1_002)), Ok(()));
    }

    #[test]
    fn guessing_names_is_slow_too_and_memory_is_bounded() {
        let tries = LoginThrottle::default();
        let now = Timestamp::from_seconds(1_000);
        for n in 0..300 {
            tries.wrong(HERE, &format!("w{n}"), now);
        }
        assert!(tries.may(HERE, "new", now).is_err());
        for n in 0..10_000_u32 {
            tries.wrong(IpAddr::from(n.to_be_bytes()), "w", now);
        }
        assert!(tries.full_at.lock().unwrap().len() <= REMEMBERED_MAX + 2);
    }

    #[test]
    fn a_worker_with_a_wrong_password_may_try_for_ever() {
        let tries = LoginThrottle::default();
        for n in 0..1_000 {
            let now = Timestamp::from_seconds(1_000 + 2 * n);
            assert_eq!(tries.may(HERE, "w", now), Ok(()));
            tries.wrong(HERE, "w", now);
        }
    }
}
