//! Who is who: checks what a request presents, and logs people in and out.
//!
//! ```text
//!  key of a token, of the machine ──┐
//!  name and password ───────────────┼──► identify ──► Identity
//!  session (cookie) ────────────────┤
//!  word of a trusted proxy ─────────┘
//! ```
//!
//! Whether a user exists shows neither in an answer nor in its time. Wrong passwords are counted ([`Throttle`]). Nothing
//! that is presented is logged.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::htpasswd::HtpasswdFiles;
use super::ldap::Directory;
use super::machine::{MACHINE_PREFIX, MachineKey};
use super::password::{Hasher, PASSWORD_BYTES_MAX};
use super::provider_http::ProviderError;
use super::providers::{BegunLogin, CompleteError, Providers, ReturnedLogin};
use super::secret_key::digest;
use super::security_log::{SecurityEvent, SecurityLog};
use super::sessions::{SessionRecord, Sessions};
use super::state_file::StateFileError;
use super::tokens::{TOKEN_PREFIX, Tokens};
use super::users::Users;
use crate::base::{Clock, Span, Throttle, Timestamp, chain, random_bytes};
use crate::model::{Identity, LoginKind, LoginMethod, LoginPlan, Plan};
use crate::secrets::Secrets;

/// Passwords that were found right lately: programs send theirs with each request.
const PROVED_MAX: usize = 1_000;
/// How long a directory server's word counts for programs that send a password with each request.
const ELSEWHERE_FOR: Span = Span::from_minutes(5);
/// A name of a user; a longer one is nobody's.
const NAME_BYTES_MAX: usize = 200;

/// What a request presents to say who sent it.
#[derive(Clone, Debug, Default)]
pub struct Presented<'a> {
    /// `Authorization: Bearer`.
    pub key: Option<&'a str>,
    /// `Authorization: Basic`.
    pub password: Option<(&'a str, &'a str)>,
    /// The cookie.
    pub session: Option<&'a str>,
    /// What a trusted proxy says.
    pub proxy: Option<ProxyUser>,
    /// Where it comes from, if that is to be counted.
    pub address: Option<IpAddr>,
}

/// A user for whom a proxy vouches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyUser {
    pub name: String,
    pub full_name: Option<String>,
    pub mail: Option<String>,
    pub groups: Vec<String>,
}

/// Why somebody is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    #[error("that name and password do not belong together")]
    Wrong,
    #[error("the token is unknown, has expired or was revoked")]
    BadKey,
    /// Seconds.
    #[error("too many wrong passwords; wait {wait} s and try again")]
    TooMany { wait: u64 },
    #[error("too many people are logging in at the moment; try again")]
    Busy,
    #[error("this login took too long, or was begun in another browser; begin again")]
    NotBegun,
    #[error("the login did not succeed; the log of the master says why")]
    Provider,
    #[error("your account is not among those that may log in")]
    Outsider,
}

/// A user whose password is right, and what that was proved by.
#[derive(Clone, Debug)]
pub(super) struct Proved {
    identity: Identity,
    way: String,
    proof: Option<String>,
}

/// What is known of a name before its password is checked.
pub(super) struct Candidate {
    identity: Identity,
    pub(super) way: String,
    hash: String,
}

/// Checks who somebody is.
#[derive(Debug)]
pub struct Accounts {
    pub(super) users: Users,
    pub(super) tokens: Tokens,
    htpasswd: HtpasswdFiles,
    pub(super) sessions: Sessions,
    machine: Option<MachineKey>,
    hasher: Hasher,
    providers: Providers,
    directory: Directory,
    throttle: Throttle,
    log: SecurityLog,
    /// Digests of passwords that were right, with a key that dies with the process.
    proved: Mutex<BTreeMap<String, Timestamp>>,
    /// Those that a directory server found right, with what it said.
    elsewhere: Mutex<BTreeMap<String, (Timestamp, Proved)>>,
    salt: String,
    /// The directory of the configuration, where its files are looked for.
    base: PathBuf,
    pub(super) clock: Arc<dyn Clock>,
}

impl Accounts {
    /// Those of a state directory. `url` is where the master listens, for commands on its machine.
    pub fn open(data: &Path, base: PathBuf, url: &str, clock: Arc<dyn Clock>) -> std::io::Result<Self> {
        Ok(Self {
            users: Users::of(data),
            tokens: Tokens::of(data),
            htpasswd: HtpasswdFiles::default(),
            sessions: Sessions::open(data)?,
            machine: Some(MachineKey::make(data, url)?),
            hasher: Hasher::default(),
            providers: Providers::new().map_err(std::io::Error::other)?,
            directory: Directory::default(),
            throttle: Throttle::for_people(),
            log: SecurityLog::of(data, Arc::clone(&clock)),
            proved: Mutex::default(),
            elsewhere: Mutex::default(),
            salt: digest(&String::from_utf8_lossy(&random_bytes::<32>())),
            base,
            clock,
        })
    }

    /// Who sent a request. What it presents must hold: a wrong key or password is no visit without one. A session that
    /// has ended is.
    pub async fn identify(&self, plan: &Plan, presented: Presented<'_>) -> Result<Identity, LoginError> {
        if let Some(key) = presented.key {
            return self.by_key(plan, key);
        }
        if let Some((name, password)) = presented.password {
            return Ok(self.by_password(plan, name, password, presented.address).await?.identity);
        }
        if let Some(proxy) = presented.proxy {
            return Ok(by_proxy(proxy));
        }
        Ok(presented.session.and_then(|key| self.by_session(plan, key)).unwrap_or_default())
    }

    /// Logs somebody in by name and password; the key of the new session.
    pub async fn log_in(
        &self,
        plan: &Plan,
        (name, password): (&str, &str),
        address: Option<IpAddr>,
    ) -> Result<(Identity, String), LoginError> {
        let Proved { identity, way, proof } = self.by_password(plan, name, password, address).await?;
        let key = self.start_session(plan, identity.clone(), way.clone(), proof)?;
        self.log.note(SecurityEvent::Login, &identity.to_string(), address, (&way, ""));
        Ok((identity, key))
    }

    /// Ways of logging in by which nobody can, and why.
    pub fn faults(&self, plan: &Plan) -> BTreeMap<String, String> {
        let fault = |way: &LoginPlan| match &way.kind {
            LoginKind::Htpasswd { file } => Some((way.name.clone(), self.htpasswd.fault(&self.base.join(file))?)),
            LoginKind::Local | LoginKind::Header(_) | LoginKind::Oidc(_) | LoginKind::Forge(_) | LoginKind::Ldap(_) => {
                None
            }
        };
        plan.logins.ways.iter().filter_map(fault).collect()
    }

    /// The users that the master keeps.
    pub const fn users(&self) -> &Users {
        &self.users
    }

    /// All tokens.
    pub const fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Who came in, who was kept out, and who was denied what.
    pub const fn log(&self) -> &SecurityLog {
        &self.log
    }

    /// Takes note of a login that failed. A name that nobody has is not told: it may be a password in the wrong field.
    fn note_failure(&self, plan: &Plan, name: &str, address: Option<IpAddr>, error: LoginError) {
        if !matches!(error, LoginError::Wrong | LoginError::TooMany { .. }) {
            return;
        }
        let known = self.candidate(plan, name);
        let who = if known.is_some() { format!("user `{name}`") } else { "an unknown name".to_owned() };
        let way = known.map(|known| known.way).unwrap_or_default();
        self.log.note(SecurityEvent::FailedLogin, &who, address, (&way, &way));
    }

    /// Starts a session for somebody whom a server elsewhere knows; its key.
    fn start_session(
        &self,
        plan: &Plan,
        identity: Identity,
        way: String,
        proof: Option<String>,
    ) -> Result<String, LoginError> {
        self.sessions.tidy(&plan.logins.sessions, self.clock.now());
        let record = SessionRecord { identity, way, proof, created: self.clock.now() };
        self.sessions.start(record).map_err(|error| {
            tracing::error!(error = %chain(&error), "failed to keep a new session");
            LoginError::Busy
        })
    }

    /// Begins a login at a server elsewhere, which sends the browser back to `callback`; none if there is no such way.
    pub async fn begin_login(
        &self,
        plan: &Plan,
        way: &str,
        callback: &str,
        next: &str,
    ) -> Option<Result<BegunLogin, LoginError>> {
        let way = plan.logins.way(way)?;
        let secret = match self.client_secret(plan, way) {
            Ok(secret) => secret,
            Err(error) => return Some(Err(error)),
        };
        let begun = self.providers.begin(way, secret, callback, next, self.clock.now()).await?;
        Some(begun.map_err(|error| provider_failed(way, &error)))
    }

    /// Completes such a login: the key of the new session, and where they wanted to go.
    pub async fn complete_login(
        &self,
        plan: &Plan,
        way: &str,
        callback: &str,
        (returned, address): (ReturnedLogin<'_>, Option<IpAddr>),
    ) -> Result<(String, String), LoginError> {
        let way = plan.logins.way(way).ok_or(LoginError::NotBegun)?;
        let secret = self.client_secret(plan, way)?;
        let completed = self.providers.complete(way, secret, callback, returned, self.clock.now()).await;
        let (identity, next) = completed.map_err(|error| match error {
            CompleteError::NotBegun => LoginError::NotBegun,
            CompleteError::Provider(ProviderError::Outsider(_)) => {
                self.log.note(SecurityEvent::FailedLogin, "an outsider", address, (&way.name, &way.name));
                LoginError::Outsider
            }
            CompleteError::Provider(error) => provider_failed(way, &error),
        })?;
        let who = identity.to_string();
        let key = self.start_session(plan, identity, way.name.clone(), None)?;
        self.log.note(SecurityEvent::Login, &who, address, (&way.name, ""));
        Ok((key, next))
    }

    fn client_secret(&self, plan: &Plan, way: &LoginPlan) -> Result<Option<String>, LoginError> {
        let text = match &way.kind {
            LoginKind::Oidc(login) => login.client_secret.as_ref(),
            LoginKind::Forge(login) => Some(&login.client_secret),
            LoginKind::Ldap(login) => login.bind_password.as_ref(),
            LoginKind::Local | LoginKind::Htpasswd { .. } | LoginKind::Header(_) => None,
        };
        let revealed = text.map(|text| Secrets::new(&plan.secrets, &self.base).reveal(text)).transpose();
        revealed.map(|revealed| revealed.map(|(secret, _used)| secret)).map_err(|error| {
            tracing::error!(login = way.name, "failed to read the secret of a login: {}", error.message);
            LoginError::Provider
        })
    }

    /// Whoever a directory server knows by this name and password.
    async fn by_directory(&self, plan: &Plan, name: &str, password: &str) -> Result<Option<Proved>, LoginError> {
        let mut failed = false;
        for way in &plan.logins.ways {
            let LoginKind::Ldap(login) = &way.kind else { continue };
            let secret = self.client_secret(plan, way)?;
            match self.directory.check(login, secret.as_deref(), name, password).await {
                Ok(Some(identity)) => return Ok(Some(Proved { identity, way: way.name.clone(), proof: None })),
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(login = way.name, error = %chain(&error), "failed to ask a directory server");
                    failed = true;
                }
            }
        }
        if failed { Err(LoginError::Provider) } else { Ok(None) }
    }

    /// Logs out.
    pub fn log_out(&self, key: &str, address: Option<IpAddr>) {
        if let Some(record) = self.sessions.end(key) {
            self.log.note(SecurityEvent::Logout, &record.identity.to_string(), address, (&record.way, ""));
        }
    }

    fn by_key(&self, plan: &Plan, key: &str) -> Result<Identity, LoginError> {
        if key.starts_with(MACHINE_PREFIX) {
            let is_ours = self.machine.as_ref().is_some_and(|machine| machine.is(key));
            return if is_ours { Ok(Identity::machine()) } else { Err(LoginError::BadKey) };
        }
        // The command line keeps the key of its session, and presents it as one.
        if !key.starts_with(TOKEN_PREFIX) {
            return self.by_session(plan, key).ok_or(LoginError::BadKey);
        }
        let found = self.tokens.find(key, self.clock.now()).unwrap_or_else(|error| {
            log_unreadable(&error);
            None
        });
        let (name, token) = found.ok_or(LoginError::BadKey)?;
        let user = match &token.user {
            // A token goes with its user.
            Some(user) => match self.users.find(user) {
                // One of the same name who came later is somebody else.
                Ok(Some(record)) if record.created <= token.created => Some(record.identity(user)),
                Ok(Some(_) | None) => return Err(LoginError::BadKey),
                Err(error) => {
                    log_unreadable(&error);
                    return Err(LoginError::BadKey);
                }
            },
            None => None,
        };
        Ok(token.identity(&name, user))
    }

    pub(super) async fn by_password(
        &self,
        plan: &Plan,
        name: &str,
        password: &str,
        address: Option<IpAddr>,
    ) -> Result<Proved, LoginError> {
        let proved = self.proved_by_password(plan, name, password, address).await;
        if let Err(error) = &proved {
            self.note_failure(plan, name, address, *error);
        }
        proved
    }

    async fn proved_by_password(
        &self,
        plan: &Plan,
        name: &str,
        password: &str,
        address: Option<IpAddr>,
    ) -> Result<Proved, LoginError> {
        if name.is_empty() || name.len() > NAME_BYTES_MAX || password.len() > PASSWORD_BYTES_MAX {
            return Err(LoginError::Wrong);
        }
        let candidate = self.candidate(plan, name);
        let now = self.clock.now();
        let asks_elsewhere = || plan.logins.ways.iter().any(|way| matches!(way.kind, LoginKind::Ldap(_)));
        if candidate.is_none() && asks_elsewhere() {
            return self.by_directory_with_tries(plan, (name, password), address, now).await;
        }
        let memory =
            candidate.as_ref().map(|known| digest(&format!("{}\0{name}\0{password}\0{}", self.salt, known.hash)));
        // Before the look at what was proved: a right guess among too many wrong ones must not be told from these.
        self.throttle.may(address, name, now).map_err(|wait| LoginError::TooMany { wait })?;
        let is_known = memory.as_ref().is_some_and(|memory| self.was_proved(memory, plan, now));
        if !is_known {
            let hash = candidate.as_ref().map(|known| known.hash.clone());
            if !self.hasher.check(password.to_owned(), hash).await.map_err(|_| LoginError::Busy)? {
                self.throttle.wrong(address, name, now);
                tracing::info!(?address, "somebody gave a wrong name or password");
                return Err(LoginError::Wrong);
            }
            self.remember(memory, now);
        }
        let Candidate { identity, way, hash } = candidate.ok_or(LoginError::Wrong)?;
        Ok(Proved { identity, way, proof: Some(digest(&hash)) })
    }

    async fn by_directory_with_tries(
        &self,
        plan: &Plan,
        (name, password): (&str, &str),
        address: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Proved, LoginError> {
        let memory = digest(&format!("{}\0{name}\0{password}", self.salt));
        if let Some((at, proved)) = lock(&self.elsewhere).get(&memory)
            && now.since(*at) < ELSEWHERE_FOR
            && plan.logins.way(&proved.way).is_some()
        {
            return Ok(proved.clone());
        }
        self.throttle.may(address, name, now).map_err(|wait| LoginError::TooMany { wait })?;
        let Some(proved) = self.by_directory(plan, name, password).await? else {
            self.throttle.wrong(address, name, now);
            tracing::info!(?address, "somebody gave a wrong name or password");
            return Err(LoginError::Wrong);
        };
        let mut elsewhere = lock(&self.elsewhere);
        if elsewhere.len() >= PROVED_MAX {
            elsewhere.clear();
        }
        elsewhere.insert(memory, (now, proved.clone()));
        Ok(proved)
    }

    /// What is known of a name: the first way of logging in that knows it counts.
    pub(super) fn candidate(&self, plan: &Plan, name: &str) -> Option<Candidate> {
        plan.logins.ways.iter().find_map(|LoginPlan { name: way, kind, .. }| match kind {
            LoginKind::Local => match self.users.find(name) {
                Ok(user) => {
                    let user = user?;
                    Some(Candidate { identity: user.identity(name), way: way.clone(), hash: user.hash })
                }
                Err(error) => {
                    log_unreadable(&error);
                    None
                }
            },
            LoginKind::Htpasswd { file } => {
                let hash = self.htpasswd.hash_of(&self.base.join(file), name)?;
                let identity = Identity::user(name, LoginMethod::Password);
                Some(Candidate { identity, way: way.clone(), hash })
            }
            LoginKind::Header(_) | LoginKind::Oidc(_) | LoginKind::Forge(_) | LoginKind::Ldap(_) => None,
        })
    }

    fn by_session(&self, plan: &Plan, key: &str) -> Option<Identity> {
        let record = self.sessions.find(key, &plan.logins.sessions, self.clock.now())?;
        let still = match (&record.proof, plan.logins.way(&record.way)) {
            // The way of logging in is no longer declared.
            (_, None) => None,
            // A user that changed has the roles of now; one whose password changed is logged out.
            (Some(proof), Some(_)) => {
                let user = record.identity.user.as_deref().unwrap_or_default();
                let known = self.candidate(plan, user).filter(|known| known.way == record.way);
                known.filter(|known| digest(&known.hash) == *proof).map(|known| known.identity)
            }
            (None, Some(_)) => Some(record.identity),
        };
        if still.is_none() {
            self.sessions.end(key);
        }
        still
    }

    fn was_proved(&self, memory: &str, plan: &Plan, now: Timestamp) -> bool {
        let proved = lock(&self.proved);
        proved.get(memory).is_some_and(|at| now.since(*at) < plan.logins.sessions.idle)
    }

    fn remember(&self, memory: Option<String>, now: Timestamp) {
        let mut proved = lock(&self.proved);
        if proved.len() >= PROVED_MAX {
            proved.clear();
        }
        proved.extend(memory.map(|memory| (memory, now)));
    }
}

fn by_proxy(proxy: ProxyUser) -> Identity {
    let ProxyUser { name, full_name, mail, groups } = proxy;
    let user = Identity { full_name, mail, ..Identity::user(name, LoginMethod::Proxy) };
    user.with_foreign_groups(groups)
}

fn provider_failed(way: &LoginPlan, error: &ProviderError) -> LoginError {
    tracing::warn!(login = way.name, error = %chain(error), "a login at a provider did not succeed");
    LoginError::Provider
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn log_unreadable(error: &StateFileError) {
    tracing::error!(error = %chain(error), "failed to read who may log in");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{NewToken, NewUser};
    use crate::model::{Action, LoginsPlan};

    #[derive(Debug)]
    struct Hands(Mutex<Timestamp>);

    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    struct World {
        dir: tempfile::TempDir,
        accounts: Accounts,
        clock: Arc<Hands>,
        plan: Plan,
    }

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let clock = Arc::new(Hands(Mutex::new(Timestamp::from_seconds(1_000_000))));
            let users = Users::of(dir.path());
            users.add("ann", "a good password", NewUser::default(), clock.now()).unwrap();
            let hash = bcrypt::hash("bobs password", 4).unwrap();
            std::fs::write(dir.path().join("htpasswd"), format!("bob:{hash}\nann:{hash}\n")).unwrap();
            let base = dir.path().to_owned();
            let accounts = Accounts::open(dir.path(), base, "http://localhost/", clock.clone()).unwrap();
            let way = |name: &str, kind| LoginPlan {
                name: name.to_owned(),
                kind,
                place: crate::model::SourcePlace::default(),
            };
            let htpasswd = LoginKind::Htpasswd { file: "htpasswd".to_owned() };
            let ways = vec![way("local", LoginKind::Local), way("old", htpasswd)];
            let plan = Plan { logins: LoginsPlan { ways, ..LoginsPlan::default() }, ..Plan::default() };
            Self { dir, accounts, clock, plan }
        }

        fn advance(&self, span: Span) {
            let mut now = self.clock.0.lock().unwrap();
            *now = now.plus(span);
        }

        async fn log_in(&self, name: &str, password: &str) -> Result<String, LoginError> {
            self.accounts.log_in(&self.plan, (name, password), HERE).await.map(|(_, key)| key)
        }

        async fn session(&self, key: &str) -> Option<String> {
            let presented = Presented { session: Some(key), ..Presented::default() };
            self.accounts.identify(&self.plan, presented).await.unwrap().user
        }

        async fn key(&self, key: &str) -> Result<Identity, LoginError> {
            self.accounts.identify(&self.plan, Presented { key: Some(key), ..Presented::default() }).await
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_login_is_a_session_until_the_logout() {
        let world = World::new();
        let key = world.log_in("ann", "a good password").await.unwrap();
        assert_eq!(world.session(&key).await.as_deref(), Some("ann"));
        let again = world.log_in("ann", "a good password").await.unwrap();
        assert_ne!(key, again, "each login has its own");
        world.accounts.log_out(&key, HERE);
        assert_eq!(world.session(&key).await, None);
        assert_eq!(world.session(&again).await.as_deref(), Some("ann"));
        assert_eq!(world.session("made up").await, None);
        let words: Vec<_> = world.accounts.log().read().entries.iter().map(|entry| entry.what.word()).collect();
        assert_eq!(words, ["login", "login", "logout"]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_wrong_password_and_an_unknown_user_get_one_answer() {
        let world = World::new();
        assert_eq!(world.log_in("ann", "a bad password").await, Err(LoginError::Wrong));
        assert_eq!(world.log_in("nobody", "a bad password").await, Err(LoginError::Wrong));
        assert_eq!(world.log_in("", "").await, Err(LoginError::Wrong));
        assert_eq!(world.log_in("ann", "bobs password").await, Err(LoginError::Wrong), "she is a local user");
        assert!(world.log_in("bob", "bobs password").await.is_ok());
        let record = world.accounts.log().read();
        let who: Vec<_> = record.samples.iter().map(|entry| entry.who.as_str()).collect();
        assert_eq!(
            who,
            ["user `ann`", "an unknown name", "an unknown name", "user `ann`"],
            "what nobody is called is not told"
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_session_ends_with_what_it_was_proved_by() {
        let mut world = World::new();
        let users = Users::of(world.dir.path());
        let (ann, bob) = (
            world.log_in("ann", "a good password").await.unwrap(),
            world.log_in("bob", "bobs password").await.unwrap(),
        );
        users.set_password("ann", "another password", world.clock.now()).unwrap();
        assert_eq!(world.session(&ann).await, None, "the password has changed");
        let ann = world.log_in("ann", "another password").await.unwrap();
        users.remove("ann").unwrap();
        assert_eq!(world.session(&ann).await, None, "she is gone");
        world.plan.logins.ways.retain(|way| way.name != "old");
        assert_eq!(world.session(&bob).await, None, "nobody logs in that way any more");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn passwords_with_each_request_are_hashed_once() {
        let world = World::new();
        let basic = |password| Presented { password: Some(("ann", password)), address: HERE, ..Presented::default() };
        for _ in 0..50 {
            let identity = world.accounts.identify(&world.plan, basic("a good password")).await.unwrap();
            assert_eq!(identity.user.as_deref(), Some("ann"));
        }
        assert_eq!(world.accounts.proved.lock().unwrap().len(), 1);
        let wrong = world.accounts.identify(&world.plan, basic("a bad password")).await;
        assert_eq!(wrong, Err(LoginError::Wrong));
        Users::of(world.dir.path()).set_password("ann", "another password", world.clock.now()).unwrap();
        let old = world.accounts.identify(&world.plan, basic("a good password")).await;
        assert_eq!(old, Err(LoginError::Wrong), "what was right once is wrong now");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn guessing_is_slow() {
        let world = World::new();
        let mut tries = 0;
        while world.log_in("ann", "a bad password").await == Err(LoginError::Wrong) {
            tries += 1;
            assert!(tries < 100);
        }
        assert!(matches!(world.log_in("ann", "a good password").await, Err(LoginError::TooMany { .. })), "{tries}");
        assert!(world.log_in("bob", "bobs password").await.is_ok(), "others are not kept out");
        world.advance(Span::from_minutes(5));
        assert!(world.log_in("ann", "a good password").await.is_ok());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn keys_stand_for_tokens_and_for_the_machine() {
        let world = World::new();
        let tokens = Tokens::of(world.dir.path());
        let new = |user: Option<&str>| NewToken {
            actions: [Action::Force].into(),
            user: user.map(str::to_owned),
            ..NewToken::default()
        };
        let now = world.clock.now();
        let (alone, of_ann) =
            (tokens.create("bot", new(None), now).unwrap(), tokens.create("ann1", new(Some("ann")), now).unwrap());
        let identity = world.key(&alone).await.unwrap();
        assert_eq!((identity.user, identity.login), (None, LoginMethod::Token));
        assert_eq!(world.key(&of_ann).await.unwrap().user.as_deref(), Some("ann"));
        Users::of(world.dir.path()).remove("ann").unwrap();
        assert_eq!(world.key(&of_ann).await, Err(LoginError::BadKey), "it goes with its user");
        let machine = MachineKey::of(world.dir.path()).unwrap().key;
        assert_eq!(world.key(&machine).await, Ok(Identity::machine()));
        for wrong in ["", "swt_x", "swm_", "swm_x", &machine[..machine.len() - 1]] {
            assert_eq!(world.key(wrong).await, Err(LoginError::BadKey), "{wrong}");
        }
    }
}
