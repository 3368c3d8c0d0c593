//! `/change_hook`: changes reported by forges and scripts (docs/reference/http-api.md#change-hooks). Parses only the
//! envelope; the master interprets the dialect.
//!
//! Unlike in Buildbot, a hook is closed until the configuration declares it, accepts only POST, and accepts nothing
//! from pages of other sites. Otherwise an image on any page that somebody visits could start builds.

use warp::http::header::HeaderValue;
use warp::http::{Method, StatusCode, header};
use warp::reply::Response;

use super::bodies::BodySize;
use super::origin::may_change;
use super::request::{Request, basic_credentials, decode};
use super::respond::{self, set, set_text};
use super::shared::Shared;
use crate::master::{HookAccess, HookAnswer, HookCall, SubmissionResult};
use crate::model::{HookDialect, HookPlan};

/// Plain words: a sender's own text comes back in refusals, and must not be taken for a page.
const KIND: &str = "text/plain; charset=utf-8";
/// The dialect of a call that names none.
const USUAL: &str = "base";
/// A longer one is nobody's; it comes back in the answer.
const DIALECT_BYTES_MAX: usize = 64;

/// What the head of a call decides.
pub fn turn_away(shared: &Shared, request: &Request, dialect: &str) -> Option<Response> {
    let Some(dialect) = dialect_of(dialect) else {
        return Some(plain(StatusCode::NOT_FOUND, "a dialect is a word of letters, digits and underscores"));
    };
    let credentials = request.header(header::AUTHORIZATION).and_then(basic_credentials);
    let told = credentials.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
    if !shared.control.plan().web.hooks.contains_key(&dialect) {
        return Some(plain(StatusCode::NOT_FOUND, closed(&dialect)));
    }
    if request.method != Method::POST {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "a change hook takes POST only");
        set(&mut response, header::ALLOW, HeaderValue::from_static("POST"));
        return Some(response);
    }
    if !may_change(request, &shared.control.url(), &[]) {
        tracing::info!(dialect, peer = %request.origin_address(), "rejected a change hook request from a page of another site");
        let text =
            "change hooks reject requests from pages of other sites (see `Origin`, `Sec-Fetch-Shared` or `Referer`)";
        return Some(plain(StatusCode::FORBIDDEN, text));
    }
    match shared.control.may_hook(&dialect, told, request.peer) {
        HookAccess::Open => None,
        HookAccess::Denied => {
            let mut response = plain(StatusCode::UNAUTHORIZED, "Unauthorized");
            set_text(&mut response, header::WWW_AUTHENTICATE, "basic realm=\"Protected area\"");
            Some(response)
        }
        HookAccess::TooManyTries { wait } => {
            let text = format!("too many wrong passwords from this address; try again in {wait} s");
            let mut response = plain(StatusCode::TOO_MANY_REQUESTS, text);
            set_text(&mut response, header::RETRY_AFTER, &wait.to_string());
            Some(response)
        }
    }
}

/// How large the body of a call may be: forges tell of thousands of commits at once, and prove themselves.
pub fn body_size(shared: &Shared, dialect: &str) -> BodySize {
    let plan = shared.control.plan();
    let hook = dialect_of(dialect).and_then(|dialect| plan.web.hooks.get(&dialect));
    let is_proved = |hook: &HookPlan| hook.secret.is_some() || hook.password.is_some();
    match hook {
        Some(hook) if hook.dialect != HookDialect::Base && is_proved(hook) => BodySize::Large,
        Some(_) | None => BodySize::Usual,
    }
}

/// Takes the call of a hook that was not turned away.
pub async fn answer(shared: &Shared, request: &Request, dialect: &str) -> Response {
    let Some(hook) = dialect_of(dialect) else { return respond::bare(StatusCode::NOT_FOUND) };
    match shared.control.hook(&hook, call(request), request.peer).await {
        Ok(HookAnswer::Changes(intake)) => plain(StatusCode::OK, fate(&intake)),
        Ok(HookAnswer::Nothing(why)) => plain(StatusCode::OK, format!("no change found: {why}")),
        Err(error) => {
            let peer = request.origin_address();
            tracing::info!(hook, peer, error = %error.message, "rejected a change hook request");
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
            let mut response = plain(status, error.message);
            if let Some(wait) = error.wait {
                set_text(&mut response, header::RETRY_AFTER, &wait.to_string());
            }
            response
        }
    }
}

/// What dialects get to see of a request.
fn call(request: &Request) -> HookCall {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    let headers = request.headers.iter().filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)));
    let repeated = request.headers.keys().filter(|name| request.headers.get_all(*name).iter().nth(1).is_some());
    HookCall {
        headers: headers.collect(),
        repeated: repeated.map(|name| name.as_str().to_owned()).collect(),
        body: request.body.clone(),
        params: request.form(),
    }
}

fn dialect_of(element: &str) -> Option<String> {
    let dialect = decode(element.trim_end_matches('/'));
    let is_word = dialect.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && dialect.len() <= DIALECT_BYTES_MAX;
    is_word.then(|| if dialect.is_empty() { USUAL.to_owned() } else { dialect })
}

fn closed(dialect: &str) -> String {
    format!(
        "the change hook `{dialect}` is closed: the configuration does not declare it. It is opened by a line with \
         `change_hook` (see the reference)"
    )
}

/// What became of a hook's changes: the usual words where all are recorded, else the truth about each.
fn fate(intake: &[SubmissionResult]) -> String {
    if intake.is_empty() {
        return "no change found".to_owned();
    }
    let found = format!("{} change found", intake.len());
    if intake.iter().all(|one| one.recorded().is_some()) {
        return found;
    }
    let each: Vec<String> = intake.iter().map(ToString::to_string).collect();
    format!("{found}: {}", each.join("; "))
}

fn plain(status: StatusCode, text: impl Into<String>) -> Response {
    respond::body(status, KIND, text.into())
}
