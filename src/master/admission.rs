//! Who may connect as a worker: the Basic authorization of the upgrade request.
//!
//! A refusal costs little (a worker with a wrong password comes back every two seconds, for ever): one look
//! into the plan, one comparison that takes the same time whatever is wrong, and a log line now and then.
//! The last refusals are remembered for the pages.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256};

use super::plan_in_force::PlanInForce;
use crate::base::{AddressRange, Clock, Span, Throttle, Timestamp, unique_id};
use crate::model::WorkerPlan;
use crate::secrets::Secrets;

/// Refusals that are remembered, one a name: more workers than this with a wrong password show as the newest ones.
const REMEMBERED_MAX: usize = 100;
/// A name's refusals are logged at most this often.
const LOG_EVERY: Span = Span::from_minutes(1);
/// Lines about refusals in a minute, whatever their names: a stranger can make up any number of those.
const LOG_LINES_MAX: u64 = 20;
/// Longer headers are not looked into: a name and a password have no need for them.
const HEADER_BYTES_MAX: usize = 4096;
/// A name from a stranger is kept and logged up to this length.
const NAME_CHARS_MAX: usize = 64;

/// Why a worker may not connect (docs/reference/worker-protocol.md#refusals).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Unknown name or wrong password: 401.
    Unauthorized,
    /// Malformed: 400.
    Malformed(String),
    /// Too many wrong tries: 429.
    TooManyTries {
        /// Seconds.
        wait: u64,
    },
}

impl std::fmt::Display for Refusal {
    /// For the worker's own log. It must not tell a stranger which names there are.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unauthorized => {
                f.write_str("wrong name or password; the master's log and its page of workers say which")
            }
            Self::Malformed(why) => f.write_str(why),
            Self::TooManyTries { wait } => write!(f, "too many wrong passwords from this address; wait {wait} s"),
        }
    }
}

/// Whether a change hook may be called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookAccess {
    Open,
    /// The password is missing or wrong.
    Denied,
    /// Too many wrong passwords.
    TooManyTries {
        /// Seconds.
        wait: u64,
    },
}

/// What kind of trouble a refused worker has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// It did not prove who it is.
    Login,
    /// It speaks another version of our protocol.
    Version,
    /// Another worker is connected under its name.
    Duplicate,
}

/// A worker that was refused, for the pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedWorker {
    /// What kind of trouble it is.
    pub kind: RefusalKind,
    /// The name that it gave; empty if it gave none.
    pub name: String,
    /// Where it called from, the last time.
    pub peer: Option<SocketAddr>,
    /// What was wrong.
    pub why: String,
    /// When, the last time.
    pub at: Timestamp,
    /// How often since the master started.
    pub count: u64,
}

/// Decides on admission.
#[derive(Debug)]
pub(super) struct Admission {
    plan: PlanInForce,
    clock: Arc<dyn Clock>,
    /// The directory of the configuration, where secrets are looked for.
    base: PathBuf,
    /// Whether workers without a password may be.
    local_workers: bool,
    /// Passwords of local workers, drawn when first asked for.
    local: Mutex<BTreeMap<String, String>>,
    refused: Mutex<Refusals>,
    tries: Throttle,
}

/// Refusals and how often they were logged lately.
#[derive(Debug, Default)]
struct Refusals {
    newest_first: VecDeque<RefusedWorker>,
    minute: Option<Timestamp>,
    logged: u64,
    unlogged: u64,
}

impl Refusals {
    /// Whether there is a line left in this minute; the first of the next one tells of those that were left out.
    fn may_log(&mut self, at: Timestamp) -> bool {
        if self.minute.is_none_or(|minute| at.since(minute) >= LOG_EVERY) {
            let left_out = std::mem::take(&mut self.unlogged);
            if left_out > 0 {
                tracing::warn!(count = left_out, "more rejected workers were not logged");
            }
            (self.minute, self.logged) = (Some(at), 0);
        }
        let may = self.logged < LOG_LINES_MAX;
        if may {
            self.logged += 1;
        } else {
            self.unlogged += 1;
        }
        may
    }
}

/// Why nobody else can be a worker without a password.
fn local_only(name: &str) -> String {
    format!(
        "the configuration gives it no password, so only `starwright up` can start it; for a worker elsewhere, write worker(\"{name}\", password = secret(\"{name}\"))"
    )
}

impl Admission {
    pub fn new(plan: PlanInForce, clock: Arc<dyn Clock>, base: PathBuf, local_workers: bool) -> Self {
        Self {
            plan,
            clock,
            base,
            local_workers,
            local: Mutex::default(),
            refused: Mutex::default(),
            tries: Throttle::for_programs(),
        }
    }

    /// The name of the worker that an `Authorization` header proves.
    pub fn admit(&self, authorization: Option<&str>, peer: Option<SocketAddr>) -> Result<String, Refusal> {
        let Some(header) = authorization else {
            self.remember("", peer, "no authorization");
            return Err(Refusal::Unauthorized);
        };
        let (name, password) = parse_basic(header).map_err(|why| {
            self.remember("", peer, why);
            Refusal::Malformed(why.to_owned())
        })?;
        let mut why = String::new();
        let access = self.with_tries(&name, peer, || match self.check(&name, &password) {
            Ok(()) => true,
            Err(wrong) => {
                why = wrong;
                false
            }
        });
        match access {
            HookAccess::Open => Ok(name),
            HookAccess::Denied => {
                self.remember(&name, peer, &why);
                Err(Refusal::Unauthorized)
            }
            HookAccess::TooManyTries { wait } => {
                self.remember(&name, peer, "too many wrong passwords from its address");
                Err(Refusal::TooManyTries { wait })
            }
        }
    }

    /// The time by which tries are counted.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether a password is right, if there are tries left for it. Trusted proxies stand for many, and are not
    /// counted.
    pub fn with_tries(&self, name: &str, peer: Option<SocketAddr>, is_right: impl FnOnce() -> bool) -> HookAccess {
        let proxies = &self.plan.get().web.trusted_proxies;
        let proxies: Vec<AddressRange> = proxies.iter().filter_map(|proxy| AddressRange::parse(proxy)).collect();
        let address = peer.map(|peer| peer.ip()).filter(|ip| !proxies.iter().any(|range| range.contains(*ip)));
        let now = self.clock.now();
        let name: String = name.chars().take(NAME_CHARS_MAX).collect();
        if let Err(wait) = self.tries.may(address, &name, now) {
            return HookAccess::TooManyTries { wait };
        }
        if is_right() {
            return HookAccess::Open;
        }
        self.tries.wrong(address, &name, now);
        HookAccess::Denied
    }

    /// Remembers a connection that said nothing.
    pub fn silent(&self, peer: SocketAddr) {
        let why = "it said nothing; a worker of protocol `pb`? Workers must be created with \
                   `--protocol=msgpack_experimental_v7`";
        self.keep(RefusalKind::Login, "", Some(peer), why);
    }

    /// The password of a local worker; none if it is not one.
    pub fn local_password(&self, worker: &str) -> Option<String> {
        let plan = self.plan.get();
        let is_local = self.local_workers && plan.workers.get(worker).is_some_and(|plan| plan.password.is_none());
        is_local.then(|| lock(&self.local).entry(worker.to_owned()).or_insert_with(draw).clone())
    }

    /// Those refused lately, the newest first.
    pub fn refused(&self) -> Vec<RefusedWorker> {
        lock(&self.refused).newest_first.iter().cloned().collect()
    }

    fn check(&self, name: &str, password: &str) -> Result<(), String> {
        let plan = self.plan.get();
        // For an unknown name the password of another worker is looked up and compared, so that it takes no less time.
        let known = plan.workers.get(name);
        let looked_up = known.or_else(|| plan.workers.values().find(|worker| worker.password.is_some()));
        let wanted = looked_up.map(|worker| self.password(worker, &plan.secrets));
        let wanted = match (wanted, known) {
            (_, None) | (None, _) => Err("no worker of this name is configured".to_owned()),
            (Some(wanted), Some(_)) => wanted,
        };
        let same = same_text(password, wanted.as_deref().unwrap_or_default());
        match wanted {
            Ok(_) if same => Ok(()),
            Ok(_) if known.is_some_and(|worker| worker.password.is_none()) => Err(local_only(name)),
            Ok(_) => Err("wrong password".to_owned()),
            Err(why) => Err(why),
        }
    }

    fn password(&self, worker: &WorkerPlan, secrets: &crate::model::SecretsPlan) -> Result<String, String> {
        match &worker.password {
            None => self.local_password(&worker.name).ok_or_else(|| local_only(&worker.name)),
            Some(text) => match Secrets::new(secrets, &self.base).reveal(text) {
                Ok((password, _used)) if password.is_empty() => Err("its password is empty".to_owned()),
                Ok((password, _used)) => Ok(password),
                Err(error) => Err(error.message),
            },
        }
    }

    /// Keeps a refusal for the pages, and logs it now and then.
    pub fn remember(&self, name: &str, peer: Option<SocketAddr>, why: &str) {
        self.remember_as(RefusalKind::Login, name, peer, why);
    }

    /// The same for one that proved who it is.
    pub fn remember_as(&self, kind: RefusalKind, name: &str, peer: Option<SocketAddr>, why: &str) {
        let (name, count, is_due) = self.keep(kind, name, peer, why);
        if is_due && lock(&self.refused).may_log(self.clock.now()) {
            let peer = peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string());
            tracing::warn!(worker = %name, %peer, count, "rejected a worker: {why}");
        }
    }

    /// The name without what a terminal would obey, how often it was refused for this reason, and whether it is time to
    /// log it again.
    fn keep(&self, kind: RefusalKind, name: &str, peer: Option<SocketAddr>, why: &str) -> (String, u64, bool) {
        let name: String = name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect();
        let at = self.clock.now();
        let refused = &mut lock(&self.refused).newest_first;
        let earlier = refused.iter().position(|refused| refused.name == name && refused.why == why);
        let earlier = earlier.and_then(|place| refused.remove(place));
        let count = earlier.as_ref().map_or(1, |earlier| earlier.count + 1);
        let is_due = earlier.is_none_or(|earlier| at.since(earlier.at) >= LOG_EVERY) || count.is_power_of_two();
        refused.push_front(RefusedWorker { kind, name: name.clone(), peer, why: why.to_owned(), at, count });
        refused.truncate(REMEMBERED_MAX);
        (name, count, is_due)
    }
}

/// Name and password of a Basic authorization; the name ends at the first colon.
fn parse_basic(header: &str) -> Result<(String, String), &'static str> {
    if header.len() > HEADER_BYTES_MAX {
        return Err("the authorization is too long");
    }
    let (scheme, encoded) = header.split_once(' ').ok_or("the authorization has no scheme")?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err("the authorization's scheme is not Basic");
    }
    let bytes = BASE64_STANDARD.decode(encoded.trim()).map_err(|_| "the authorization is not base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "the authorization is not UTF-8")?;
    let (name, password) = text.split_once(':').ok_or("the authorization has no colon")?;
    Ok((name.to_owned(), password.to_owned()))
}

/// Compares in a time that tells nothing about the texts but their lengths.
pub(super) fn same_text(left: &str, right: &str) -> bool {
    let (left, right) = (Sha256::digest(left), Sha256::digest(right));
    left.iter().zip(right.iter()).fold(0, |differ, (l, r)| differ | (l ^ r)) == 0
}

fn draw() -> String {
    format!("{}{}", unique_id(), unique_id())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::SystemClock;
    use crate::model::{Plan, Text};

    fn admission() -> Admission {
        let mut plan = Plan::default();
        for (name, password) in [("w1", Some(Text::plain("se:cret"))), ("local", None), ("void", Some(Text::plain("")))]
        {
            let worker = WorkerPlan { name: name.to_owned(), password, ..WorkerPlan::default() };
            plan.workers.insert(name.to_owned(), worker);
        }
        Admission::new(PlanInForce::new(Arc::new(plan)), Arc::new(SystemClock), PathBuf::from("/nowhere"), true)
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(text))
    }

    #[test]
    fn the_name_ends_at_the_first_colon() {
        assert_eq!(admission().admit(Some(&basic("w1:se:cret")), None), Ok("w1".to_owned()));
    }

    #[test]
    fn strangers_and_wrong_or_empty_passwords_are_unauthorized() {
        let admission = admission();
        for text in ["w1:secret", "w2:se:cret", "w1:", ":", "void:", "local:"] {
            assert_eq!(admission.admit(Some(&basic(text)), None), Err(Refusal::Unauthorized), "{text}");
        }
        assert_eq!(admission.admit(None, None), Err(Refusal::Unauthorized));
    }

    #[test]
    fn what_is_no_basic_authorization_is_malformed() {
        let bad_utf8 = format!("Basic {}", BASE64_STANDARD.encode(b"w1:\xff"));
        for header in ["", "Basic", "Bearer abc", "Basic ?", &basic("nocolon"), &bad_utf8] {
            let refusal = admission().admit(Some(header), None);
            assert!(matches!(refusal, Err(Refusal::Malformed(_))), "{header}: {refusal:?}");
        }
    }

    #[test]
    fn a_local_worker_gets_a_password_that_nobody_knows() {
        let admission = admission();
        let password = admission.local_password("local").unwrap();
        assert_eq!(admission.local_password("local"), Some(password.clone()));
        assert_eq!(admission.local_password("w1"), None);
        assert_eq!(admission.admit(Some(&basic(&format!("local:{password}"))), None), Ok("local".to_owned()));
    }

    #[test]
    fn refusals_of_one_name_are_remembered_together() {
        let admission = admission();
        for _ in 0..3 {
            admission.admit(Some(&basic("w1:wrong")), None).unwrap_err();
        }
        admission.admit(Some(&basic("x\u{7}y:wrong")), None).unwrap_err();
        let refused: Vec<(String, u64)> = admission.refused().into_iter().map(|r| (r.name, r.count)).collect();
        assert_eq!(refused, [("xy".to_owned(), 1), ("w1".to_owned(), 3)]);
    }
}
