//! Hands requests to a server, one after the other. A client of its own for each report: reports are rare, and a kept
//! connection is one more state.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use regex::Regex;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Identity, Method, Response, Url};

use super::super::DeliveryError;
use super::super::makers::Reveal;
use super::answer::{judge, without_query};
use super::request::{Content, HttpRequest};
use crate::base::chain;
use crate::model::{HttpLogin, HttpPlan, Text};

/// What is read of an answer: enough for the reason of a refusal.
const ANSWER_BYTES_MAX: usize = 8 << 10;
/// The largest file of authorities: the whole set of a system has a quarter of it.
const AUTHORITIES_BYTES_MAX: u64 = 1 << 20;
/// How we introduce ourselves; GitHub refuses requests without it.
const AGENT: &str = concat!("starwright/", env!("CARGO_PKG_VERSION"));

/// What the requests of a notifier hold that nobody may see.
#[derive(Clone, Default)]
pub struct HttpSecrets {
    url: Option<String>,
    headers: Vec<(String, String)>,
    authorization: Option<String>,
    /// Certificate and key in PEM form.
    identity: Option<String>,
    /// Authorities in PEM form.
    authorities: Option<Vec<u8>>,
}

impl fmt::Debug for HttpSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpSecrets")
    }
}

impl HttpSecrets {
    /// Fills in the secrets of a plan. `base` is the directory of the configuration.
    ///
    /// # Errors
    /// What is missing.
    pub fn of(plan: &HttpPlan, base: &Path, reveal: Reveal<'_>) -> Result<Self, String> {
        let mut optional = |text: &Option<Text>| text.as_ref().map(&mut *reveal).transpose();
        let url = optional(&plan.url)?;
        let certificate = optional(&plan.client_certificate)?;
        let key = optional(&plan.client_key)?;
        let identity = certificate.map(|certificate| format!("{certificate}\n{}\n", key.unwrap_or_default()));
        let headers = plan.headers.iter().map(|(name, text)| Ok((name.clone(), reveal(text)?)));
        let headers = headers.collect::<Result<_, String>>()?;
        let authorization = match &plan.login {
            HttpLogin::None => None,
            HttpLogin::Token(token) => Some(format!("Bearer {}", reveal(token)?)),
            HttpLogin::User { user, password } => Some(basic(user, &reveal(password)?)),
            HttpLogin::Header(header) => Some(reveal(header)?),
        };
        let authorities = plan.ca_file.as_ref().map(|file| authorities(&base.join(file))).transpose()?;
        Ok(Self { url, headers, authorization, identity, authorities })
    }
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

fn authorities(file: &Path) -> Result<Vec<u8>, String> {
    use std::io::Read as _;
    let failed = |error: std::io::Error| format!("failed to read `ca_file` `{}`: {error}", file.display());
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(failed)?;
    opened.take(AUTHORITIES_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Sends the requests in order, each within the time of the plan. Ends with the first that is not taken.
pub async fn send(plan: &HttpPlan, secrets: &HttpSecrets, requests: &[HttpRequest]) -> Result<(), DeliveryError> {
    if requests.is_empty() {
        return Ok(());
    }
    let client = client(plan, secrets)?;
    for request in requests {
        one(plan, secrets, &client, request).await?;
    }
    Ok(())
}

fn client(plan: &HttpPlan, secrets: &HttpSecrets) -> Result<Client, DeliveryError> {
    // Whoever came first has chosen the same.
    let _chosen = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .redirect(Policy::none())
        .pool_max_idle_per_host(0)
        .timeout(Duration::from_millis(plan.timeout.as_millis()));
    if let Some(authorities) = &secrets.authorities {
        let failed = |error| wrong(format!("`ca_file` holds no certificates: {}", chain(&error)));
        builder = Certificate::from_pem_bundle(authorities)
            .map_err(failed)?
            .into_iter()
            .fold(builder, reqwest::ClientBuilder::add_root_certificate);
    }
    if let Some(identity) = &secrets.identity {
        let failed =
            |_| wrong("`client_certificate` and `client_key` are not a certificate and its key in PEM form".to_owned());
        builder = builder.identity(Identity::from_pem(identity.as_bytes()).map_err(failed)?);
    }
    builder.build().map_err(|error| passing(format!("failed to prepare HTTP: {}", chain(&error))))
}

async fn one(
    plan: &HttpPlan,
    secrets: &HttpSecrets,
    client: &Client,
    request: &HttpRequest,
) -> Result<(), DeliveryError> {
    let url = address(secrets, request)?;
    let place = format!("`{}`", without_query(url.as_str()));
    let method = Method::from_bytes(request.method.as_bytes())
        .map_err(|_| wrong(format!("`{}` is not a method of HTTP", request.method)))?;
    let mut sent = client.request(method, url).header(USER_AGENT, AGENT);
    for (name, value) in secrets.headers.iter().map(|(n, v)| (n, v)).chain(&request.headers) {
        let fault = || wrong(format!("header `{name}` has a name or value that HTTP cannot carry"));
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| fault())?;
        sent = sent.header(header, HeaderValue::from_str(value).map_err(|_| fault())?);
    }
    if let Some(authorization) = &secrets.authorization {
        let fault = |_| wrong("the login has characters that HTTP cannot carry".to_owned());
        let mut value = HeaderValue::from_str(authorization).map_err(fault)?;
        value.set_sensitive(true);
        sent = sent.header(AUTHORIZATION, value);
    }
    let has_type = || {
        let names = secrets.headers.iter().map(|(name, _)| name).chain(request.headers.keys());
        names.into_iter().any(|name| name.eq_ignore_ascii_case(CONTENT_TYPE.as_str()))
    };
    let typed = |sent: reqwest::RequestBuilder, kind| if has_type() { sent } else { sent.header(CONTENT_TYPE, kind) };
    sent = match &request.content {
        Content::Nothing => sent,
        Content::Json(text) => typed(sent, "application/json").body(text.clone()),
        Content::Text(text) => typed(sent, "text/plain; charset=utf-8").body(text.clone()),
    };
    let failed = |error: reqwest::Error| passing(format!("{place} failed: {}", explain(error)));
    let mut answer = sent.send().await.map_err(failed)?;
    let text = beginning(&mut answer).await;
    judge(&place, answer.status(), answer.headers(), &text, &plan.accepted).or_else(|error| {
        // The pattern was checked when the configuration was loaded.
        let pattern = plan.harmless.as_deref().and_then(|pattern| Regex::new(pattern).ok());
        if pattern.is_some_and(|pattern| pattern.is_match(&text)) { Ok(()) } else { Err(error) }
    })
}

/// Where a request goes. The login is for the configured server, and goes to no other.
fn address(secrets: &HttpSecrets, request: &HttpRequest) -> Result<Url, DeliveryError> {
    let parse = |text: &str| match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        // It may hold a secret.
        _ => Err(wrong(
            "the address is not one of a web server: it has to begin with `https://` or `http://`".to_owned(),
        )),
    };
    let Some(base) = &secrets.url else {
        let url = request.url.as_deref();
        return parse(url.ok_or_else(|| wrong("the request has no `url`, and neither has its notifier".to_owned()))?);
    };
    let own = parse(base)?;
    match request.url.as_deref() {
        None => Ok(own),
        Some(path) if path.starts_with('/') => parse(&format!("{}{path}", base.trim_end_matches('/'))),
        Some(whole) => {
            let url = parse(whole)?;
            if url.origin() == own.origin() {
                return Ok(url);
            }
            let (to, own) = (url.host_str().unwrap_or_default(), own.host_str().unwrap_or_default());
            Err(wrong(format!("`request` returned an address at `{to}`, but the notifier's `url` is at `{own}`")))
        }
    }
}

/// The first part of an answer's text. What is cut off, or never comes, is not worth a failure.
async fn beginning(answer: &mut Response) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < ANSWER_BYTES_MAX
        && let Ok(Some(part)) = answer.chunk().await
    {
        bytes.extend_from_slice(&part[..part.len().min(ANSWER_BYTES_MAX - bytes.len())]);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Why nothing was answered.
fn explain(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let cause = chain(&error.without_url());
    if cause.contains("UnknownIssuer") || cause.contains("unknown issuer") {
        return format!("{cause}; name the authority that signed its certificate with `ca_file`");
    }
    cause
}

fn wrong(message: String) -> DeliveryError {
    DeliveryError { message, final_: true, pause: None }
}

fn passing(message: String) -> DeliveryError {
    DeliveryError { message, final_: false, pause: None }
}
