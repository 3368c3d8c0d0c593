//! Logins that go to a server elsewhere and come back: what was begun, by which browser, and its end.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::forge_login;
use super::oidc::{OidcClient, Returned, Started};
use super::provider_http::{FetchError, ProviderError, ProviderHttp};
use super::secret_key::{digest, draw, same};
use crate::base::{Span, Timestamp};
use crate::model::{Identity, LoginKind, LoginPlan};

/// Logins that were begun and not completed: anybody can begin one, so the oldest are forgotten.
const PENDING_MAX: usize = 1_000;
/// How long somebody may take to log in elsewhere.
pub(super) const PENDING_FOR: Span = Span::from_minutes(10);
/// What a provider sends back; longer texts are none of its.
const TEXT_BYTES_MAX: usize = 4_096;

/// A login that was begun.
#[derive(Debug)]
struct PendingLogin {
    way: String,
    /// The digest of what the browser got, so that no other one completes it.
    browser: String,
    nonce: String,
    verifier: String,
    next: String,
    begun: Timestamp,
}

/// A login that a browser is to take elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BegunLogin {
    /// Where it goes.
    pub address: String,
    /// What it has to bring along when it comes back.
    pub browser: String,
}

/// What a browser brings back.
#[derive(Clone, Copy, Debug)]
pub struct ReturnedLogin<'a> {
    pub state: &'a str,
    pub code: &'a str,
    /// What it got when the login was begun.
    pub browser: &'a str,
}

/// Why a login was not completed.
#[derive(Debug)]
pub(super) enum CompleteError {
    /// Nobody began it, or another browser, or too long ago.
    NotBegun,
    Provider(ProviderError),
}

/// Talks to providers.
#[derive(Debug)]
pub(super) struct Providers {
    http: ProviderHttp,
    oidc: OidcClient,
    pending: Mutex<BTreeMap<String, PendingLogin>>,
}

impl Providers {
    pub fn new() -> Result<Self, FetchError> {
        let http = ProviderHttp::new()?;
        Ok(Self { oidc: OidcClient::new(http.clone()), http, pending: Mutex::default() })
    }

    /// Begins a login; none if people do not log in that way.
    pub async fn begin(
        &self,
        way: &LoginPlan,
        secret: Option<String>,
        callback: &str,
        next: &str,
        now: Timestamp,
    ) -> Option<Result<BegunLogin, ProviderError>> {
        let started = match &way.kind {
            LoginKind::Oidc(login) => self.oidc.begin(login, secret, callback, now).await,
            LoginKind::Forge(login) => forge_login::begin(login, secret.unwrap_or_default(), callback),
            LoginKind::Local | LoginKind::Htpasswd { .. } | LoginKind::Header(_) | LoginKind::Ldap(_) => return None,
        };
        Some(started.map(|Started { address, state, nonce, verifier }| {
            let browser = draw();
            let login = PendingLogin {
                way: way.name.clone(),
                browser: digest(&browser),
                nonce,
                verifier,
                next: next.to_owned(),
                begun: now,
            };
            self.remember(digest(&state), login, now);
            BegunLogin { address, browser }
        }))
    }

    /// Completes a login: who that is, and where they wanted to go.
    pub async fn complete(
        &self,
        way: &LoginPlan,
        secret: Option<String>,
        callback: &str,
        returned: ReturnedLogin<'_>,
        now: Timestamp,
    ) -> Result<(Identity, String), CompleteError> {
        let ReturnedLogin { state, code, browser } = returned;
        if [state, code, browser].iter().any(|text| text.is_empty() || text.len() > TEXT_BYTES_MAX) {
            return Err(CompleteError::NotBegun);
        }
        // Whatever comes of it, each is good for one try.
        let begun = self.pending.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest(state));
        let begun = begun.filter(|begun| {
            begun.way == way.name && same(&begun.browser, &digest(browser)) && now.since(begun.begun) < PENDING_FOR
        });
        let PendingLogin { nonce, verifier, next, .. } = begun.ok_or(CompleteError::NotBegun)?;
        let returned = Returned { code, nonce: &nonce, verifier };
        let identity = match &way.kind {
            LoginKind::Oidc(login) => self.oidc.complete(login, secret, callback, returned, now).await,
            LoginKind::Forge(login) => {
                forge_login::complete(&self.http, login, secret.unwrap_or_default(), callback, returned).await
            }
            LoginKind::Local | LoginKind::Htpasswd { .. } | LoginKind::Header(_) | LoginKind::Ldap(_) => {
                return Err(CompleteError::NotBegun);
            }
        };
        identity.map(|identity| (identity, next)).map_err(CompleteError::Provider)
    }

    fn remember(&self, state: String, login: PendingLogin, now: Timestamp) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.retain(|_, login| now.since(login.begun) < PENDING_FOR);
        if pending.len() >= PENDING_MAX {
            let oldest = pending.iter().min_by_key(|(_, login)| login.begun).map(|(state, _)| state.clone());
            oldest.map(|oldest| pending.remove(&oldest));
        }
        pending.insert(state, login);
    }
}
