//! Who came in, who was kept out, and who was denied what: for the audit log.
//!
//! Logins, logouts and changes of users and tokens are kept one by one. Wrong passwords and denials can be had by the
//! thousand from anybody, so these are counted by what was tried and by whom, and only the newest are kept as they were. All of
//! it is one small file that the command line writes, too.
//!
//! An entry is durable when [`SecurityLog::note`] returns, unless many come at once: then the rest is written with the next one,
//! or when the master ends.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::state_file::StateFile;
use crate::base::{Clock, Span, Timestamp, chain};

/// Entries that are kept as they were: months of logins of an installation of some dozen people.
const ENTRIES_MAX: usize = 1_000;
/// Wrong passwords and denials that are kept as they were.
const SAMPLES_MAX: usize = 200;
/// Counts. Further ones are counted as one.
const COUNTS_MAX: usize = 500;
/// Who further ones are told to be of.
const OTHERS: &str = "others";
/// So many writes are made at once, in this time: each replaces the file.
const WRITES_MAX: usize = 10;
const WRITES_IN: Span = Span::from_seconds(10);
/// Of a name that somebody typed.
const WORDS_CHARS_MAX: usize = 200;

/// Something that happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityEntry {
    pub at: Timestamp,
    pub what: SecurityEvent,
    /// Who did it, in words: "user `ann`".
    pub who: String,
    /// Where it came from; none: from the master's machine.
    #[serde(default)]
    pub address: Option<IpAddr>,
    /// What it was about: the way of logging in, a user, a token, or a right and its object.
    #[serde(default)]
    pub about: String,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecurityEvent {
    #[default]
    Login,
    FailedLogin,
    Logout,
    UserAdded,
    UserRemoved,
    PasswordSet,
    TokenCreated,
    TokenRevoked,
    SessionEnded,
    Denied,
}

/// How often something was refused to somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityCount {
    pub what: SecurityEvent,
    /// The right that was missing, or the way of logging in.
    pub about: String,
    /// Who: a user, a token, or visitors by where they come from.
    pub who: String,
    pub times: u64,
    pub first: Timestamp,
    pub last: Timestamp,
}

impl SecurityEvent {
    /// Its word in the API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::FailedLogin => "failed_login",
            Self::Logout => "logout",
            Self::UserAdded => "user_added",
            Self::UserRemoved => "user_removed",
            Self::PasswordSet => "password_set",
            Self::TokenCreated => "token_created",
            Self::TokenRevoked => "token_revoked",
            Self::SessionEnded => "session_ended",
            Self::Denied => "denied",
        }
    }

    /// Whether anybody can make it happen as often as they like.
    const fn is_counted(self) -> bool {
        matches!(self, Self::FailedLogin | Self::Denied)
    }
}

/// What the file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityRecord {
    /// Oldest first.
    pub entries: VecDeque<SecurityEntry>,
    /// The newest of those that are counted, oldest first.
    pub samples: VecDeque<SecurityEntry>,
    pub counts: Vec<SecurityCount>,
}

impl SecurityRecord {
    fn add(&mut self, entry: SecurityEntry, counted: &str) {
        if !entry.what.is_counted() {
            self.entries.push_back(entry);
            self.entries.drain(..self.entries.len().saturating_sub(ENTRIES_MAX));
            return;
        }
        let who = class(&entry);
        let count = SecurityCount {
            what: entry.what,
            about: counted.to_owned(),
            who,
            times: 1,
            first: entry.at,
            last: entry.at,
        };
        self.count(count);
        self.samples.push_back(entry);
        self.samples.drain(..self.samples.len().saturating_sub(SAMPLES_MAX));
    }

    fn count(&mut self, mut more: SecurityCount) {
        let is_it = |known: &SecurityCount, more: &SecurityCount| {
            (known.what, &known.about, &known.who) == (more.what, &more.about, &more.who)
        };
        if !self.counts.iter().any(|known| is_it(known, &more)) && self.counts.len() >= COUNTS_MAX {
            OTHERS.clone_into(&mut more.who);
            more.about.clear();
        }
        match self.counts.iter_mut().find(|known| is_it(known, &more)) {
            Some(known) => {
                known.times = known.times.saturating_add(more.times);
                known.first = known.first.min(more.first);
                known.last = known.last.max(more.last);
            }
            None => self.counts.push(more),
        }
    }

    /// Adds what was noted elsewhere since.
    fn merge(&mut self, later: Self) {
        self.entries.extend(later.entries);
        self.entries.drain(..self.entries.len().saturating_sub(ENTRIES_MAX));
        self.samples.extend(later.samples);
        self.samples.drain(..self.samples.len().saturating_sub(SAMPLES_MAX));
        later.counts.into_iter().for_each(|count| self.count(count));
    }
}

/// Whom something is counted for: known ones by name, others by where they come from, so that a thousand addresses are one.
fn class(entry: &SecurityEntry) -> String {
    let is_known = entry.what == SecurityEvent::Denied && entry.who.ends_with('`');
    if is_known {
        return entry.who.clone();
    }
    let place = match entry.address {
        None => "this machine",
        Some(address) if address.is_loopback() => "this machine",
        Some(IpAddr::V4(address)) if address.is_private() || address.is_link_local() => "a private network",
        Some(IpAddr::V6(address)) if address.is_unique_local() || address.is_unicast_link_local() => {
            "a private network"
        }
        Some(_) => "the internet",
    };
    format!("visitors from {place}")
}

/// The log of a state directory.
#[derive(Debug)]
pub struct SecurityLog {
    file: StateFile<SecurityRecord>,
    clock: Arc<dyn Clock>,
    open: Mutex<Pending>,
}

/// What is not written yet.
#[derive(Debug, Default)]
struct Pending {
    record: SecurityRecord,
    /// The newest writes.
    writes: VecDeque<Timestamp>,
}

impl SecurityLog {
    /// That of a state directory; a log that does not exist is empty.
    pub fn of(data: &Path, clock: Arc<dyn Clock>) -> Self {
        Self { file: StateFile::new(data.join("auth").join("security.json")), clock, open: Mutex::default() }
    }

    /// Takes note of something. `counted` is what it is counted by, if it is.
    pub fn note(&self, what: SecurityEvent, who: &str, address: Option<IpAddr>, (about, counted): (&str, &str)) {
        let now = self.clock.now();
        let entry = SecurityEntry { at: now, what, who: words(who), address, about: words(about) };
        let mut open = self.lock();
        open.record.add(entry, counted);
        let is_old = |write: &Timestamp| now.since(*write) >= WRITES_IN || *write > now;
        while open.writes.front().is_some_and(is_old) {
            open.writes.pop_front();
        }
        if open.writes.len() < WRITES_MAX {
            open.writes.push_back(now);
            self.write(&mut open);
        }
    }

    /// All that is kept.
    pub fn read(&self) -> SecurityRecord {
        let open = self.lock();
        let mut record = match self.file.read() {
            Ok(record) => (*record).clone(),
            Err(error) => {
                tracing::error!(error = %chain(&error), "failed to read the log of logins and denials");
                SecurityRecord::default()
            }
        };
        record.merge(open.record.clone());
        record
    }

    fn write(&self, open: &mut Pending) {
        let later = std::mem::take(&mut open.record);
        let kept = later.clone();
        if let Err(error) = self.file.change(|record| record.merge(later)) {
            tracing::warn!(error = %chain(&error), "failed to write the log of logins and denials; it is tried again");
            open.record = kept;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SecurityLog {
    fn drop(&mut self) {
        let mut open = std::mem::take(&mut *self.lock());
        if open.record != SecurityRecord::default() {
            self.write(&mut open);
        }
    }
}

/// A text of somebody else, in one line of a bounded length.
fn words(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WORDS_CHARS_MAX).collect()
}

/// The counts by what was tried, the most frequent first.
impl SecurityRecord {
    /// Each count, the most frequent first.
    pub fn most_frequent(&self) -> Vec<&SecurityCount> {
        let mut by_times: BTreeMap<(std::cmp::Reverse<u64>, &str, &str, SecurityEvent), &SecurityCount> =
            BTreeMap::new();
        for count in &self.counts {
            by_times.insert((std::cmp::Reverse(count.times), &count.about, &count.who, count.what), count);
        }
        by_times.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Hands(Mutex<Timestamp>);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    const FAR: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7)));

    fn log(data: &Path) -> (Arc<Hands>, SecurityLog) {
        let clock = Arc::new(Hands(Mutex::new(Timestamp::from_seconds(1_000))));
        (Arc::clone(&clock), SecurityLog::of(data, clock))
    }

    #[test]
    fn logins_are_kept_and_denials_counted() {
        let dir = tempfile::tempdir().unwrap();
        let (_clock, first) = log(dir.path());
        first.note(SecurityEvent::Login, "user `ann`", FAR, ("local", ""));
        for builder in ["linux", "release", "linux"] {
            first.note(SecurityEvent::Denied, "user `ann`", FAR, (&format!("force for builder `{builder}`"), "force"));
        }
        first.note(
            SecurityEvent::Denied,
            "a visitor who is not logged in",
            FAR,
            ("force for builder `linux`", "force"),
        );
        // The command line writes to the same file.
        let (_clock, other) = log(dir.path());
        other.note(SecurityEvent::UserAdded, "the administrator", None, ("bob", ""));
        let record = first.read();
        assert_eq!(record.entries.iter().map(|entry| entry.what.word()).collect::<Vec<_>>(), ["login", "user_added"]);
        assert_eq!(record.samples.len(), 4);
        let counts: Vec<_> =
            record.most_frequent().into_iter().map(|c| (c.who.as_str(), c.about.as_str(), c.times)).collect();
        assert_eq!(counts, [("user `ann`", "force", 3), ("visitors from the internet", "force", 1)]);
    }

    #[test]
    fn a_flood_costs_little_and_is_counted_to_the_last_one() {
        let dir = tempfile::tempdir().unwrap();
        let (clock, flooded) = log(dir.path());
        for n in 0..5_000_u32 {
            let address = Some(IpAddr::from(n.to_be_bytes().map(|byte| byte | 64)));
            flooded.note(SecurityEvent::FailedLogin, &format!("name {n}"), address, ("local", "local"));
        }
        assert_eq!(flooded.lock().writes.len(), WRITES_MAX);
        let record = flooded.read();
        assert_eq!(
            (record.samples.len(), record.counts.iter().map(|count| count.times).sum::<u64>()),
            (SAMPLES_MAX, 5_000)
        );
        for n in 0..2_000 {
            flooded.note(SecurityEvent::Denied, &format!("user `u{n}`"), FAR, ("read", "read"));
        }
        assert!(flooded.read().counts.len() <= COUNTS_MAX + 2, "{}", flooded.read().counts.len());
        *clock.0.lock().unwrap() = Timestamp::from_seconds(2_000);
        drop(flooded);
        let (_clock, again) = log(dir.path());
        assert_eq!(again.read().counts.iter().map(|count| count.times).sum::<u64>(), 7_000, "written at the end");
        assert!(again.read().entries.is_empty());
    }
}
