//! OAuth 2 at forges that have no OpenID Connect: GitHub and Bitbucket. Who the user is, their API tells.

use oauth2::basic::BasicClient;
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, HttpRequest, PkceCodeChallenge, PkceCodeVerifier,
    RedirectUrl, Scope, TokenResponse as _, TokenUrl,
};
use serde_json::Value as Json;

use super::oidc::{Returned, Started, bounded, printable};
use super::provider_http::{ProviderError, ProviderHttp};
use crate::model::{ForgeKind, ForgeLogin, Identity, LoginMethod};

type Client = BasicClient<
    oauth2::EndpointSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointNotSet,
    oauth2::EndpointSet,
>;

/// Begins a login.
pub(super) fn begin(login: &ForgeLogin, secret: String, callback: &str) -> Result<Started, ProviderError> {
    let client = client(login, secret, callback)?;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let scopes = scopes(login.forge).iter().map(|scope| Scope::new((*scope).to_owned()));
    let request = client.authorize_url(CsrfToken::new_random).add_scopes(scopes).set_pkce_challenge(challenge);
    let (address, state) = request.url();
    let verifier = verifier.into_secret();
    Ok(Started { address: address.to_string(), state: state.into_secret(), nonce: String::new(), verifier })
}

/// Completes it: who that is.
pub(super) async fn complete(
    http: &ProviderHttp,
    login: &ForgeLogin,
    secret: String,
    callback: &str,
    returned: Returned<'_>,
) -> Result<Identity, ProviderError> {
    let client = client(login, secret, callback)?;
    let fetch = |request: HttpRequest| http.clone().fetch(request);
    let exchange = client.exchange_code(AuthorizationCode::new(returned.code.to_owned()));
    let exchange = exchange.set_pkce_verifier(PkceCodeVerifier::new(returned.verifier));
    let tokens = exchange.request_async(&fetch).await.map_err(|error| match error {
        oauth2::RequestTokenError::ServerResponse(refusal) => {
            ProviderError::Refused(printable(refusal.error().as_ref()))
        }
        oauth2::RequestTokenError::Request(error) => ProviderError::Fetch(error),
        other => ProviderError::Answer(other.to_string()),
    })?;
    let token = tokens.access_token().secret();
    let about = About { http, api: &login.api, token };
    let (name, full_name, mail, groups) = match login.forge {
        ForgeKind::GitHub => about.github().await?,
        ForgeKind::Bitbucket => about.bitbucket().await?,
    };
    if !login.only_groups.is_empty() && !groups.iter().any(|group| login.only_groups.contains(group)) {
        return Err(ProviderError::Outsider(name));
    }
    let user = Identity::user(format!("{}{name}", login.prefix), LoginMethod::Provider);
    Ok(Identity { full_name, mail, ..user }.with_foreign_groups(groups))
}

fn client(login: &ForgeLogin, secret: String, callback: &str) -> Result<Client, ProviderError> {
    let wrong = |error: oauth2::url::ParseError| ProviderError::Configuration(error.to_string());
    let (authorize, token) = match login.forge {
        ForgeKind::GitHub => ("login/oauth/authorize", "login/oauth/access_token"),
        ForgeKind::Bitbucket => ("site/oauth2/authorize", "site/oauth2/access_token"),
    };
    let web = login.web.trim_end_matches('/');
    Ok(BasicClient::new(ClientId::new(login.client_id.clone()))
        .set_client_secret(ClientSecret::new(secret))
        .set_auth_uri(AuthUrl::new(format!("{web}/{authorize}")).map_err(wrong)?)
        .set_token_uri(TokenUrl::new(format!("{web}/{token}")).map_err(wrong)?)
        .set_redirect_uri(RedirectUrl::new(callback.to_owned()).map_err(wrong)?))
}

const fn scopes(forge: ForgeKind) -> &'static [&'static str] {
    match forge {
        ForgeKind::GitHub => &["read:user", "user:email", "read:org"],
        ForgeKind::Bitbucket => &["account", "email"],
    }
}

/// Asks a forge's API about the user of a token.
struct About<'a> {
    http: &'a ProviderHttp,
    api: &'a str,
    token: &'a str,
}

/// Name, full name, verified mail address, groups.
type User = (String, Option<String>, Option<String>, Vec<String>);

impl About<'_> {
    async fn get(&self, path: &str) -> Result<Json, ProviderError> {
        self.http.json(&format!("{}/{path}", self.api.trim_end_matches('/')), self.token).await
    }

    async fn github(&self) -> Result<User, ProviderError> {
        let user = self.get("user").await?;
        let name = text(&user["login"]).ok_or_else(|| ProviderError::Answer("it tells no `login`".to_owned()))?;
        let mails = self.get("user/emails").await?;
        let is_own = |mail: &&Json| mail["primary"] == true && mail["verified"] == true;
        let mail = list(&mails).iter().find(is_own).and_then(|mail| text(&mail["email"]));
        let organisations = self.get("user/orgs?per_page=100").await?;
        let teams = self.get("user/teams?per_page=100").await?;
        let mut groups: Vec<String> = list(&organisations).iter().filter_map(|it| text(&it["login"])).collect();
        let team = |team: &Json| Some(format!("{}/{}", text(&team["organization"]["login"])?, text(&team["slug"])?));
        groups.extend(list(&teams).iter().filter_map(team));
        Ok((name, text(&user["name"]), mail, groups))
    }

    async fn bitbucket(&self) -> Result<User, ProviderError> {
        let user = self.get("user").await?;
        let name = text(&user["username"]).or_else(|| text(&user["account_id"]));
        let name = name.ok_or_else(|| ProviderError::Answer("it tells no `username`".to_owned()))?;
        let mails = self.get("user/emails").await?;
        let is_own = |mail: &&Json| mail["is_primary"] == true && mail["is_confirmed"] == true;
        let mail = list(&mails["values"]).iter().find(is_own).and_then(|mail| text(&mail["email"]));
        let workspaces = self.get("workspaces?role=member&pagelen=100").await?;
        let groups = list(&workspaces["values"]).iter().filter_map(|it| text(&it["slug"])).collect();
        Ok((name, text(&user["display_name"]), mail, groups))
    }
}

fn text(value: &Json) -> Option<String> {
    bounded(value.as_str()?)
}

fn list(value: &Json) -> &[Json] {
    value.as_array().map_or(&[], Vec::as_slice)
}
