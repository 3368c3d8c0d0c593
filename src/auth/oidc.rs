//! OpenID Connect: the authorization code flow with PKCE, a nonce, and keys that the provider publishes.
//!
//! What the ID token says counts only after its signature, issuer, audience, nonce and times were checked. What the
//! provider's user information adds counts only if it is about the same subject.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use openidconnect::core::{CoreAuthenticationFlow, CoreClient, CoreJwsSigningAlgorithm, CoreProviderMetadata};
use openidconnect::{
    AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, IssuerUrl, Nonce, OAuth2TokenResponse as _,
    PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope, TokenResponse as _,
};
use serde_json::{Map, Value as Json};

use super::provider_http::{ProviderError, ProviderHttp};
use crate::base::{Span, Timestamp, chain};
use crate::model::{Identity, LoginMethod, OidcLogin};

/// How long a provider's description and keys are taken for the present ones.
const KNOWN_FOR: Span = Span::from_minutes(10);
/// Providers that are remembered: a configuration names few.
const PROVIDERS_MAX: usize = 20;
/// How far the clocks of the provider and of the master may be apart.
const SKEW: Span = Span::from_minutes(1);
/// An ID token is made for this login, just now.
const ISSUED_WITHIN: Span = Span::from_minutes(10);
/// How ID tokens may be signed: by keys that the provider publishes, never by a secret that we share.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 4] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];
/// A name, a mail address, a group.
const TEXT_BYTES_MAX: usize = 200;
/// Groups of one user; further ones are left out.
const GROUPS_MAX: usize = 1_000;

/// What a login needs to be completed.
#[derive(Debug)]
pub(super) struct Started {
    /// Where the browser goes.
    pub address: String,
    pub state: String,
    pub nonce: String,
    pub verifier: String,
}

/// What comes back from the provider.
pub(super) struct Returned<'a> {
    pub code: &'a str,
    pub nonce: &'a str,
    pub verifier: String,
}

/// Asks providers.
#[derive(Debug)]
pub(super) struct OidcClient {
    http: ProviderHttp,
    known: Mutex<BTreeMap<String, (Timestamp, CoreProviderMetadata)>>,
}

impl OidcClient {
    pub fn new(http: ProviderHttp) -> Self {
        Self { http, known: Mutex::default() }
    }

    /// Begins a login.
    pub async fn begin(
        &self,
        login: &OidcLogin,
        secret: Option<String>,
        callback: &str,
        now: Timestamp,
    ) -> Result<Started, ProviderError> {
        let metadata = self.metadata(&login.issuer, now).await?;
        let client = client(login, metadata, secret)
            .set_redirect_uri(RedirectUrl::new(callback.to_owned()).map_err(|error| wrong(&error))?);
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let scopes = login.scopes.iter().filter(|scope| *scope != "openid").map(|scope| Scope::new(scope.clone()));
        let request = client.authorize_url(flow, CsrfToken::new_random, Nonce::new_random);
        let (address, state, nonce) = request.add_scopes(scopes).set_pkce_challenge(challenge).url();
        Ok(Started {
            address: address.to_string(),
            state: state.into_secret(),
            nonce: nonce.secret().clone(),
            verifier: verifier.into_secret(),
        })
    }

    /// Completes it: who that is.
    pub async fn complete(
        &self,
        login: &OidcLogin,
        secret: Option<String>,
        callback: &str,
        returned: Returned<'_>,
        now: Timestamp,
    ) -> Result<Identity, ProviderError> {
        let metadata = self.metadata(&login.issuer, now).await?;
        let userinfo = metadata.userinfo_endpoint().map(|endpoint| endpoint.url().to_string());
        let client = client(login, metadata, secret)
            .set_redirect_uri(RedirectUrl::new(callback.to_owned()).map_err(|error| wrong(&error))?);
        let http = |request: HttpRequest| self.http.clone().fetch(request);
        let exchange = client.exchange_code(AuthorizationCode::new(returned.code.to_owned()));
        let exchange = exchange.map_err(|error| wrong(&error))?;
        let exchange = exchange.set_pkce_verifier(PkceCodeVerifier::new(returned.verifier));
        let tokens = exchange.request_async(&http).await.map_err(|error| match error {
            openidconnect::RequestTokenError::ServerResponse(refusal) => {
                ProviderError::Refused(printable(refusal.error().as_ref()))
            }
            openidconnect::RequestTokenError::Request(error) => ProviderError::Fetch(error),
            other => ProviderError::Answer(other.to_string()),
        })?;
        let id_token = tokens.id_token().ok_or_else(|| ProviderError::Answer("it sent no ID token".to_owned()))?;
        let verifier = client
            .id_token_verifier()
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(move || {
                moment(Timestamp::from_millis(now.as_millis() - SKEW.as_millis().cast_signed())).into()
            })
            .set_issue_time_verifier_fn(move |issued| issued_now(issued.timestamp(), now));
        let nonce = Nonce::new(returned.nonce.to_owned());
        let verified = id_token.claims(&verifier, &nonce);
        let subject = match verified {
            Ok(claims) => claims.subject().to_string(),
            Err(error) => {
                // The provider may have changed its keys.
                self.known().remove(&login.issuer);
                return Err(ProviderError::Answer(chain(&error)));
            }
        };
        let mut claims = payload(&id_token.to_string())?;
        if let Some(address) = userinfo {
            let more = self.http.json(&address, tokens.access_token().secret()).await?;
            if let Json::Object(more) = more
                && more.get("sub").and_then(Json::as_str) == Some(&subject)
            {
                for (name, value) in more {
                    claims.entry(name).or_insert(value);
                }
            }
        }
        identity(login, &claims)
    }

    async fn metadata(&self, issuer: &str, now: Timestamp) -> Result<CoreProviderMetadata, ProviderError> {
        let is_present = |known: &&(Timestamp, CoreProviderMetadata)| now.since(known.0) < KNOWN_FOR;
        if let Some((_, metadata)) = self.known().get(issuer).filter(is_present) {
            return Ok(metadata.clone());
        }
        // Asked without the lock: a provider that hangs holds up nobody who logs in elsewhere.
        let http = |request: HttpRequest| self.http.clone().fetch(request);
        let url = IssuerUrl::new(issuer.to_owned()).map_err(|error| wrong(&error))?;
        let found = CoreProviderMetadata::discover_async(url, &http).await;
        let metadata = found.map_err(|error| ProviderError::Answer(chain(&error)))?;
        let mut known = self.known();
        if known.len() >= PROVIDERS_MAX {
            known.clear();
        }
        known.insert(issuer.to_owned(), (now, metadata.clone()));
        Ok(metadata)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, (Timestamp, CoreProviderMetadata)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Client = CoreClient<
    openidconnect::EndpointSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointNotSet,
    openidconnect::EndpointMaybeSet,
    openidconnect::EndpointMaybeSet,
>;

fn client(login: &OidcLogin, metadata: CoreProviderMetadata, secret: Option<String>) -> Client {
    CoreClient::from_provider_metadata(metadata, ClientId::new(login.client_id.clone()), secret.map(ClientSecret::new))
}

fn wrong(error: &dyn std::error::Error) -> ProviderError {
    ProviderError::Configuration(error.to_string())
}

fn moment(at: Timestamp) -> std::time::SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(at.as_millis()).unwrap_or_default())
}

fn issued_now(issued_seconds: i64, now: Timestamp) -> Result<(), String> {
    let issued = Timestamp::from_seconds(issued_seconds);
    if now.since(issued) > ISSUED_WITHIN || issued.since(now) > SKEW {
        return Err("it was not issued for this login".to_owned());
    }
    Ok(())
}

/// The claims of an ID token that was verified.
fn payload(token: &str) -> Result<Map<String, Json>, ProviderError> {
    let bytes = token.split('.').nth(1).and_then(|part| BASE64_URL_SAFE_NO_PAD.decode(part).ok());
    let claims = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    claims.ok_or_else(|| ProviderError::Answer("the ID token cannot be read".to_owned()))
}

/// Who the claims are about.
fn identity(login: &OidcLogin, claims: &Map<String, Json>) -> Result<Identity, ProviderError> {
    let text = |name: &str| claims.get(name).and_then(Json::as_str).and_then(bounded);
    // Some send it as text.
    let verified = claims.get("email_verified").map(|claim| *claim == true || *claim == "true");
    let mail = text("email").filter(|_| verified != Some(false));
    let name = match login.user_claim.as_str() {
        "email" => mail.clone().filter(|_| verified == Some(true)),
        other => text(other),
    };
    let name = name.ok_or_else(|| ProviderError::Answer(format!("it tells no usable `{}`", login.user_claim)))?;
    let groups = groups(claims.get(&login.groups_claim));
    if !login.only_groups.is_empty() && !groups.iter().any(|group| login.only_groups.contains(group)) {
        return Err(ProviderError::Outsider(name));
    }
    let user = Identity::user(format!("{}{name}", login.prefix), LoginMethod::Provider);
    Ok(Identity { full_name: text("name"), mail, ..user }.with_foreign_groups(groups))
}

fn groups(claim: Option<&Json>) -> Vec<String> {
    match claim {
        Some(Json::Array(groups)) => {
            groups.iter().take(GROUPS_MAX).filter_map(Json::as_str).filter_map(bounded).collect()
        }
        Some(Json::String(group)) => bounded(group).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// A text that can be shown and recorded.
pub(super) fn bounded(text: &str) -> Option<String> {
    let fits = !text.trim().is_empty() && text.len() <= TEXT_BYTES_MAX && !text.chars().any(char::is_control);
    fits.then(|| text.to_owned())
}

/// What a log may hold of a text from elsewhere.
pub(super) fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(TEXT_BYTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> OidcLogin {
        OidcLogin {
            user_claim: "preferred_username".to_owned(),
            groups_claim: "groups".to_owned(),
            ..OidcLogin::default()
        }
    }

    fn read(login: &OidcLogin, claims: Json) -> Result<Identity, ProviderError> {
        let Json::Object(claims) = claims else { panic!("claims are an object") };
        identity(login, &claims)
    }

    #[test]
    fn claims_become_an_identity() {
        let claims = serde_json::json!({"sub": "1", "preferred_username": "ann", "name": "Ann", "email": "ann@example.org",
            "groups": ["dev", "admin", 7, "x".repeat(1_000)]});
        let ann = read(&login(), claims).unwrap();
        assert_eq!((ann.user.as_deref(), ann.mail.as_deref()), (Some("ann"), Some("ann@example.org")));
        assert_eq!(ann.groups.into_iter().collect::<Vec<_>>(), ["dev"], "a provider makes nobody an administrator");
        for odd in [
            serde_json::json!({}),
            serde_json::json!({"preferred_username": "a\nb"}),
            serde_json::json!({"preferred_username": " "}),
        ] {
            assert!(read(&login(), odd).is_err());
        }
    }

    #[test]
    fn a_mail_that_is_not_verified_proves_nothing() {
        let by_mail = OidcLogin { user_claim: "email".to_owned(), ..login() };
        let claims = |verified: bool| serde_json::json!({"email": "ann@example.org", "email_verified": verified});
        assert_eq!(read(&by_mail, claims(true)).unwrap().user.as_deref(), Some("ann@example.org"));
        assert!(read(&by_mail, claims(false)).is_err());
        assert!(read(&by_mail, serde_json::json!({"email": "ann@example.org"})).is_err());
    }

    #[test]
    fn outsiders_stay_outside_and_names_can_be_told_apart() {
        let only = OidcLogin { only_groups: vec!["ci".to_owned()], prefix: "corp:".to_owned(), ..login() };
        let claims = |group: &str| serde_json::json!({"preferred_username": "ann", "groups": group});
        assert_eq!(read(&only, claims("ci")).unwrap().user.as_deref(), Some("corp:ann"));
        assert!(matches!(read(&only, claims("others")), Err(ProviderError::Outsider(_))));
    }

    #[test]
    fn a_token_is_of_now() {
        let now = Timestamp::from_seconds(10_000);
        assert!(issued_now(10_000, now).is_ok() && issued_now(9_500, now).is_ok() && issued_now(10_060, now).is_ok());
        assert!(issued_now(9_399, now).is_err() && issued_now(10_061, now).is_err());
    }
}
