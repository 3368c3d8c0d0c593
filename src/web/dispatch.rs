//! Which part answers which path, and which requests are turned away before anything looks at their bodies.

use std::sync::Arc;

use warp::http::{Method, StatusCode};
use warp::reply::Response;

use super::bodies::BodySize;
use super::request::Request;
use super::shared::Shared;
use super::{api, buildbot_auth, hook, live, origin, respond, starwright_api, ui};
use crate::model::{Action, Denial, Object};

/// What a request's head alone decides: the refusal of everything that a foreign page sent to change something, and
/// of calls of a hook that is not open to the caller. To be asked before [`answer`].
pub fn turn_away(shared: &Arc<Shared>, request: &Request) -> Option<Response> {
    let path = one_slash(&request.path);
    let (first, rest) = path.split_once('/').map_or((path.as_str(), ""), |(first, rest)| (first, rest));
    if first == "change_hook" {
        return hook::turn_away(shared, request, rest);
    }
    if Shared::reads(request) || request.method == Method::OPTIONS {
        return None;
    }
    let patterns: &[String] = if first == "api" { &shared.control.plan().web.allowed_origins } else { &[] };
    // The API takes JSON, which no foreign page can send without asking.
    let is_known = first == "api" || request.session.is_none() || origin::says_its_page(request);
    if is_known && origin::may_change(request, &shared.control.url(), patterns) {
        return None;
    }
    tracing::info!(path = %request.path, peer = %request.origin_address(), "rejected a request from a page of another site");
    Some(match (first, rest.split_once('/').map_or(rest, |(version, _)| version)) {
        ("api", "v2" | "latest") => api::foreign(),
        ("api", _) => starwright_api::foreign(),
        _ => ui::foreign(shared, request),
    })
}

/// Whether to wait for a body. A request that only reads does not need one.
pub fn takes_body(request: &Request) -> bool {
    let path = one_slash(&request.path);
    let (first, rest) = path.split_once('/').map_or((path.as_str(), ""), |(first, rest)| (first, rest));
    request.method == Method::POST
        && match first {
            "api" => api::takes_body(rest) || starwright_api::takes_body(rest),
            "change_hook" => true,
            _ => {
                matches!(path.as_str(), "reload" | "login" | "logout" | "users")
                    || (ui::takes_body(first) && !rest.is_empty())
            }
        }
}

/// How large that body may be.
pub fn body_size(shared: &Shared, request: &Request) -> BodySize {
    match one_slash(&request.path).split_once('/') {
        Some(("change_hook", dialect)) => hook::body_size(shared, dialect),
        Some(_) | None => BodySize::Usual,
    }
}

/// Answers one request that was not turned away.
pub async fn answer(shared: &Arc<Shared>, request: Request) -> Response {
    let path = one_slash(&request.path);
    let (first, rest) = path.split_once('/').map_or((path.as_str(), None), |(first, rest)| (first, Some(rest)));
    if !is_for_everybody(first, rest)
        && let Err(denial) = may_look(shared, &request).await
    {
        return denied(shared, &request, first, &denial);
    }
    match (first, rest) {
        ("api", None) => api::versions(shared),
        ("api", Some(rest)) => api(shared, request, rest).await,
        ("change_hook", dialect) => hook::answer(shared, &request, dialect.unwrap_or_default()).await,
        ("auth", Some(rest)) => buildbot_auth::answer(shared, &request, rest).await,
        ("events", None) => live::answer(shared, &request),
        ("ws" | "sse" | "metrics", _) => respond::bare(StatusCode::NOT_FOUND),
        _ => ui::answer(shared, request, &path).await,
    }
}

/// Paths that need no right to read: hooks have credentials of their own, assets show nothing, and whoever logs in cannot
/// have any yet.
fn is_for_everybody(first: &str, rest: Option<&str>) -> bool {
    match first {
        "change_hook" | "assets" | "favicon.ico" | "login" | "logout" | "auth" => true,
        "api" => matches!(rest, Some("starwright/v1/login" | "starwright/v1/logout" | "starwright/v1/whoami")),
        _ => false,
    }
}

/// Whether the visitor may read anything at all. What of it, each path asks through [`VisibleHistory`](super::history).
async fn may_look(shared: &Arc<Shared>, request: &Request) -> Result<(), Box<Denial>> {
    if shared.control.plan().rights.is_open() && request.identity.grant.is_none() {
        return Ok(());
    }
    let (shared, identity) = (Arc::clone(shared), request.identity.clone());
    let asking =
        tokio::task::spawn_blocking(move || shared.control.may(&identity, Action::Read, &Object::Installation));
    asking.await.unwrap_or_else(|lost| std::panic::resume_unwind(lost.into_panic()))
}

fn denied(shared: &Arc<Shared>, request: &Request, first: &str, denial: &Denial) -> Response {
    // A visitor who logs in may get further; others are known already.
    let status = if denial.anonymous { StatusCode::UNAUTHORIZED } else { StatusCode::FORBIDDEN };
    let text = denial.to_string();
    shared.note_denial(request, denial);
    match first {
        "api" | "events" => {
            let json = serde_json::json!({ "error": text }).to_string();
            respond::body(status, respond::JSON, json)
        }
        _ => ui::denied(shared, request, status, text),
    }
}

async fn api(shared: &Arc<Shared>, request: Request, rest: &str) -> Response {
    match rest.split_once('/').map_or((rest, ""), |(version, path)| (version, path)) {
        ("v2" | "latest", path) => api::answer(shared, request, path).await,
        ("starwright", path) => starwright_api::answer(shared, &request, path).await,
        _ => respond::body(StatusCode::NOT_FOUND, respond::TEXT, "{\"error\":\"no such version of the API\"}"),
    }
}

/// The path without the slash in front; clients that join addresses carelessly send double ones.
fn one_slash(path: &str) -> String {
    let mut clean = String::with_capacity(path.len());
    for c in path.trim_start_matches('/').chars() {
        if c != '/' || !clean.ends_with('/') {
            clean.push(c);
        }
    }
    clean
}
