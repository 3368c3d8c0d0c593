//! Asks the API of a forge: with its token, within a time and a size, and not before it wants to be asked again.

use reqwest::StatusCode;
use reqwest::header::{ACCEPT, AUTHORIZATION, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH, USER_AGENT};
use reqwest::redirect::Policy;
use serde_json::Value as Json;
use tokio::time::Instant;

use super::wait::Wait;
use crate::base::chain;
use crate::model::HookDialect;

/// A page of a hundred pull requests with long texts has some megabytes.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Of a forge's own words in an error.
const SAID_CHARS_MAX: usize = 200;
/// A repository that was renamed and moved has one or two.
const REDIRECTS_MAX: usize = 5;
const OUR_NAME: &str = concat!("starwright/", env!("CARGO_PKG_VERSION"));

/// What the forge answers.
pub(super) enum Answer {
    /// What it answered to the question with this tag.
    Unchanged,
    Json {
        json: Json,
        tag: Option<String>,
    },
}

/// Asks one forge.
pub(super) struct Client<'a> {
    http: reqwest::Client,
    deadline: Instant,
    wait: Wait<'a>,
    has_token: bool,
}

/// Follows redirects within one origin, as of a repository that was renamed. The token goes nowhere else.
fn near() -> Policy {
    Policy::custom(|attempt| {
        let origin = |url: Option<&reqwest::Url>| url.map(reqwest::Url::origin);
        let same = origin(attempt.previous().last()) == origin(Some(attempt.url()));
        if same && attempt.previous().len() <= REDIRECTS_MAX { attempt.follow() } else { attempt.stop() }
    })
}

impl<'a> Client<'a> {
    pub(super) fn new(
        forge: HookDialect,
        token: Option<&str>,
        deadline: Instant,
        wait: Wait<'a>,
    ) -> Result<Self, String> {
        // Another part of the program may have chosen it: that is the same one.
        let _already_chosen = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().default_headers(headers(forge, token)?).redirect(near()).build();
        let http = http.map_err(|error| format!("its client cannot be set up: {}", chain(&error)))?;
        Ok(Self { http, deadline, wait, has_token: token.is_some() })
    }

    /// One page. `known` is the tag of the answer that we have.
    pub(super) async fn get(&self, address: &str, known: Option<&str>) -> Result<Answer, String> {
        let mut request = self.http.get(address);
        if let Some(tag) = known.and_then(|tag| HeaderValue::from_str(tag).ok()) {
            request = request.header(IF_NONE_MATCH, tag);
        }
        let late = |_| "it did not answer in time".to_owned();
        let response = tokio::time::timeout_at(self.deadline, request.send()).await.map_err(late)?;
        let response = response.map_err(|error| format!("it cannot be reached: {}", chain(&error.without_url())))?;
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(Answer::Unchanged);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let body = tokio::time::timeout_at(self.deadline, bounded(response)).await.map_err(late)??;
        if !status.is_success() {
            return Err(self.refused(status, &headers, &body));
        }
        let json = serde_json::from_slice(&body).map_err(|error| format!("its answer is no JSON: {error}"))?;
        Ok(Answer::Json { json, tag: text(&headers, ETAG.as_str()).map(str::to_owned) })
    }

    fn refused(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> String {
        if let Some(until) = self.wait.until(status.as_u16(), |name| text(headers, name)) {
            return format!(
                "it wants to be asked again at {until} and not before (status {status}: too many requests)"
            );
        }
        let said: Option<Json> = serde_json::from_slice(body).ok();
        let message = said
            .as_ref()
            .and_then(|json| ["message", "error_description"].iter().find_map(|name| json.get(name)?.as_str()));
        let said: String =
            message.unwrap_or_default().chars().filter(|c| !c.is_control()).take(SAID_CHARS_MAX).collect();
        let said = if said.is_empty() { String::new() } else { format!(" ({said})") };
        let advice = match status {
            StatusCode::UNAUTHORIZED => "; the token is wrong, or has expired",
            StatusCode::FORBIDDEN => "; the token may not read the pull requests of this repository",
            // Private repositories hide from strangers.
            StatusCode::NOT_FOUND if self.has_token => "; check the name, and whether the token may see the repository",
            StatusCode::NOT_FOUND => "; check the name, and give a `token` if the repository is private",
            _ => "",
        };
        format!("it answered {status}{said}{advice}")
    }
}

fn headers(forge: HookDialect, token: Option<&str>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    headers.insert(USER_AGENT, HeaderValue::from_static(OUR_NAME));
    let accept = if forge == HookDialect::GitHub { "application/vnd.github+json" } else { "application/json" };
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    if forge == HookDialect::GitHub {
        headers.insert(HeaderName::from_static("x-github-api-version"), HeaderValue::from_static("2022-11-28"));
    }
    let Some(token) = token else { return Ok(headers) };
    let (name, value) = match forge {
        HookDialect::GitLab => (HeaderName::from_static("private-token"), token.to_owned()),
        HookDialect::Gitea => (AUTHORIZATION, format!("token {token}")),
        _ => (AUTHORIZATION, format!("Bearer {token}")),
    };
    let mut value =
        HeaderValue::from_str(&value).map_err(|_| "the token holds characters that no header can".to_owned())?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(headers)
}

async fn bounded(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| format!("its answer broke off: {}", chain(&error.without_url())))?
    {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(format!("its answer has more than {ANSWER_BYTES_MAX} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
