//! Who is logged in: one file for each session, named by the digest of its key, so that a login survives a restart and a
//! logout is durable when it is answered.
//!
//! A session ends when it was idle for too long, after a fixed time in any case, when its user logs out, and when what it
//! was proved by no longer holds ([`super::Accounts`] checks that). Each login makes a new one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::secret_key::{digest, draw};
use super::state_file::{private_dir, write_private};
use crate::base::{Span, Timestamp};
use crate::model::{Identity, SessionsPlan};

/// Sessions of one user: some browsers on some machines. The one that was idle longest ends for a new one.
const PER_USER_MAX: usize = 20;
/// All of them, some hundred bytes each. The same holds.
const SESSIONS_MAX: usize = 10_000;
/// How exactly the last use is kept across a restart.
const TOUCH_EVERY: Span = Span::from_minutes(1);
/// Of the digest of a key: enough to tell sessions apart.
const ID_BYTES: usize = 16;
/// A key has 43 bytes; a longer text is none.
const KEY_BYTES_MAX: usize = 100;

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SessionRecord {
    pub identity: Identity,
    /// The name of the way of logging in, as the configuration declares it.
    pub way: String,
    /// The digest of the stored hash of the password that it was proved by, if the master keeps one.
    #[serde(default)]
    pub proof: Option<String>,
    pub created: Timestamp,
}

/// A login of somebody, as they see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenLogin {
    /// By which it can be ended; tells nothing of its key.
    pub id: String,
    pub way: String,
    pub created: Timestamp,
    pub used: Timestamp,
    /// It is the one that asks.
    pub is_this: bool,
}

/// The sessions of a master.
#[derive(Debug)]
pub(super) struct Sessions {
    dir: PathBuf,
    open: Mutex<BTreeMap<String, OpenSession>>,
}

#[derive(Clone, Debug)]
struct OpenSession {
    record: SessionRecord,
    used: Timestamp,
    /// The last use that the file tells.
    told: Timestamp,
}

impl Sessions {
    /// Those that a state directory holds. What cannot be read is logged out.
    pub fn open(data: &Path) -> io::Result<Self> {
        let dir = data.join("auth").join("sessions");
        private_dir(&dir)?;
        let mut open = BTreeMap::new();
        for entry in fs::read_dir(&dir)?.take(SESSIONS_MAX + PER_USER_MAX) {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            match read(&path) {
                Some(session) => drop(open.insert(name, session)),
                None => remove(&path)?,
            }
        }
        Ok(Self { dir, open: Mutex::new(open) })
    }

    /// Starts a session; its key. Durable when it returns.
    pub fn start(&self, record: SessionRecord) -> io::Result<String> {
        let key = draw();
        let name = digest(&key);
        let text = serde_json::to_vec(&record).map_err(io::Error::from)?;
        write_private(&self.dir.join(&name), &text)?;
        let now = record.created;
        let mut open = self.lock();
        let own: Vec<_> = open.iter().filter(|(_, other)| is_of(&other.record, &record)).map(idle).collect();
        let mut gone = oldest(own, PER_USER_MAX);
        let all = open.iter().map(idle).collect();
        gone.extend(oldest(all, SESSIONS_MAX));
        for old in gone {
            open.remove(&old);
            remove(&self.dir.join(old))?;
        }
        open.insert(name, OpenSession { record, used: now, told: now });
        Ok(key)
    }

    /// The session of a key, if it has not ended; this is a use of it.
    pub fn find(&self, key: &str, plan: &SessionsPlan, now: Timestamp) -> Option<SessionRecord> {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return None;
        }
        let name = digest(key);
        let mut open = self.lock();
        let session = open.get_mut(&name)?;
        if now.since(session.used) >= plan.idle || now.since(session.record.created) >= plan.lifetime {
            open.remove(&name);
            drop(open);
            self.forget(&name);
            return None;
        }
        session.used = session.used.max(now);
        let record = session.record.clone();
        let touch = now.since(session.told) >= TOUCH_EVERY;
        if touch {
            session.told = now;
        }
        drop(open);
        if touch {
            // A use that is not kept makes a session end earlier after a restart.
            let _ = touch_file(&self.dir.join(&name), now);
        }
        Some(record)
    }

    /// Ends the session of a key, if there is one, and gives what it was. Durable when it returns.
    pub fn end(&self, key: &str) -> Option<SessionRecord> {
        self.end_named(&digest(key))
    }

    fn end_named(&self, name: &str) -> Option<SessionRecord> {
        let ended = self.lock().remove(name)?;
        self.forget(name);
        Some(ended.record)
    }

    /// Those of a user, the newest use first. `key` is that of the one who asks.
    pub fn of_user(&self, user: &str, key: Option<&str>) -> Vec<OpenLogin> {
        let own = key.map(digest);
        let open = self.lock();
        let theirs = open.iter().filter(|(_, session)| session.record.identity.user.as_deref() == Some(user));
        let mut logins: Vec<OpenLogin> = theirs
            .map(|(name, session)| OpenLogin {
                id: short(name).to_owned(),
                way: session.record.way.clone(),
                created: session.record.created,
                used: session.used,
                is_this: own.as_ref() == Some(name),
            })
            .collect();
        logins.sort_by(|left, right| (right.used, &right.id).cmp(&(left.used, &left.id)));
        logins
    }

    /// Ends one of a user's, by its id.
    pub fn end_of_user(&self, user: &str, id: &str) -> Option<SessionRecord> {
        let is_it = |(name, session): &(&String, &OpenSession)| {
            short(name) == id && session.record.identity.user.as_deref() == Some(user)
        };
        let name = self.lock().iter().find(is_it).map(|(name, _)| name.clone())?;
        self.end_named(&name)
    }

    /// Ends what has ended by time.
    pub fn tidy(&self, plan: &SessionsPlan, now: Timestamp) {
        let has_ended = |session: &OpenSession| {
            now.since(session.used) >= plan.idle || now.since(session.record.created) >= plan.lifetime
        };
        let mut open = self.lock();
        let gone: Vec<String> = open.iter().filter(|(_, s)| has_ended(s)).map(|(name, _)| name.clone()).collect();
        gone.iter().for_each(|name| drop(open.remove(name)));
        drop(open);
        gone.iter().for_each(|name| self.forget(name));
    }

    fn forget(&self, name: &str) {
        if let Err(error) = remove(&self.dir.join(name)) {
            tracing::error!(%error, "failed to remove the file of a session that has ended");
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, OpenSession>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What of its name tells one session from the others of a user.
fn short(name: &str) -> &str {
    name.get(..ID_BYTES).unwrap_or(name)
}

fn is_of(one: &SessionRecord, other: &SessionRecord) -> bool {
    one.way == other.way && one.identity.user == other.identity.user
}

fn idle((name, session): (&String, &OpenSession)) -> (Timestamp, String) {
    (session.used, name.clone())
}

/// The names of the longest idle ones, so that one more fits.
fn oldest(mut sessions: Vec<(Timestamp, String)>, most: usize) -> Vec<String> {
    let surplus = (sessions.len() + 1).saturating_sub(most);
    if surplus == 0 {
        return Vec::new();
    }
    sessions.sort();
    sessions.into_iter().take(surplus).map(|(_, name)| name).collect()
}

fn read(path: &Path) -> Option<OpenSession> {
    let record: SessionRecord = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    let modified = fs::metadata(path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    let told = Timestamp::from_millis(i64::try_from(modified.as_millis()).ok()?);
    // The file system's clock may be another one than the master's.
    let used = told.max(record.created);
    Some(OpenSession { used, told: used, record })
}

fn touch_file(path: &Path, now: Timestamp) -> io::Result<()> {
    let millis = u64::try_from(now.as_millis()).unwrap_or_default();
    File::options().append(true).open(path)?.set_modified(UNIX_EPOCH + Duration::from_millis(millis))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => crate::base::files::sync_directory(path.parent().unwrap_or(path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LoginMethod;

    const PLAN: SessionsPlan = SessionsPlan { idle: Span::from_minutes(30), lifetime: Span::from_minutes(120) };

    fn at(minutes: u64) -> Timestamp {
        Timestamp::from_seconds(1_000_000).plus(Span::from_minutes(minutes))
    }

    fn record(user: &str, minutes: u64) -> SessionRecord {
        SessionRecord {
            identity: Identity::user(user, LoginMethod::Password),
            way: "local".to_owned(),
            proof: None,
            created: at(minutes),
        }
    }

    #[test]
    fn a_session_ends_when_idle_and_after_its_lifetime() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(dir.path()).unwrap();
        let key = sessions.start(record("ann", 0)).unwrap();
        for minutes in [0, 29, 58, 87, 116] {
            assert_eq!(sessions.find(&key, &PLAN, at(minutes)), Some(record("ann", 0)), "{minutes}");
        }
        assert_eq!(sessions.find(&key, &PLAN, at(120)), None, "it is too old");
        let key = sessions.start(record("ann", 0)).unwrap();
        assert_eq!(sessions.find(&key, &PLAN, at(30)), None, "it was idle");
        assert_eq!(sessions.find(&key, &PLAN, at(0)), None, "and does not come back");
        for wrong in ["", "x", &"x".repeat(1_000)] {
            assert_eq!(sessions.find(wrong, &PLAN, at(0)), None);
        }
    }

    #[test]
    fn a_session_survives_a_restart_and_a_logout_does_too() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(dir.path()).unwrap();
        let (stays, goes) = (sessions.start(record("ann", 0)).unwrap(), sessions.start(record("ann", 0)).unwrap());
        assert_ne!(stays, goes);
        sessions.end(&goes);
        drop(sessions);
        fs::write(dir.path().join("auth/sessions/broken"), "{").unwrap();
        let sessions = Sessions::open(dir.path()).unwrap();
        assert!(sessions.find(&stays, &PLAN, at(1)).is_some() && sessions.find(&goes, &PLAN, at(1)).is_none());
        let names: Vec<String> = fs::read_dir(dir.path().join("auth/sessions"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names, [digest(&stays)], "no file tells the key");
    }

    #[test]
    fn a_user_sees_and_ends_their_own_sessions() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(dir.path()).unwrap();
        let (first, second) = (sessions.start(record("ann", 0)).unwrap(), sessions.start(record("ann", 1)).unwrap());
        let other = sessions.start(record("bob", 0)).unwrap();
        let own = sessions.of_user("ann", Some(&first));
        assert_eq!(own.iter().map(|login| login.is_this).collect::<Vec<_>>(), [false, true], "the newest first");
        assert!(own.iter().all(|login| login.id.len() == ID_BYTES));
        let of_bob = sessions.of_user("bob", None).remove(0);
        assert!(sessions.end_of_user("ann", &of_bob.id).is_none() && sessions.end_of_user("ann", "").is_none());
        assert!(sessions.end_of_user("ann", &own[0].id).is_some());
        assert!(sessions.find(&second, &PLAN, at(2)).is_none());
        assert!(sessions.find(&first, &PLAN, at(2)).is_some() && sessions.find(&other, &PLAN, at(2)).is_some());
    }

    #[test]
    fn a_user_has_so_many_sessions_and_the_idlest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let sessions = Sessions::open(dir.path()).unwrap();
        let other = sessions.start(record("bob", 0)).unwrap();
        let first = sessions.start(record("ann", 0)).unwrap();
        let second = sessions.start(record("ann", 1)).unwrap();
        assert!(sessions.find(&first, &PLAN, at(2)).is_some());
        for _ in 2..=PER_USER_MAX {
            sessions.start(record("ann", 3)).unwrap();
        }
        assert!(sessions.find(&second, &PLAN, at(4)).is_none(), "nobody used it for longer");
        assert!(sessions.find(&first, &PLAN, at(4)).is_some() && sessions.find(&other, &PLAN, at(4)).is_some());
        sessions.tidy(&PLAN, at(500));
        assert_eq!(fs::read_dir(dir.path().join("auth/sessions")).unwrap().count(), 0);
    }
}
