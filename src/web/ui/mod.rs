//! Pages for people, one file per page. They work without scripts; with scripts, they update themselves.
//!
//! A page is a view (finished texts) and a template. It reads the store on a thread that may block.

mod action;
mod alerts;
mod ansi;
mod assets;
mod build;
mod builder;
mod changes;
mod error;
mod force;
mod home;
mod lines;
mod log;
mod page;
mod pending;
mod show;
mod workers;

use std::sync::Arc;

use warp::http::{Method, StatusCode};
use warp::reply::Response;

use self::page::{PageError, PageResult, Visit};
use super::request::{Request, decode};
use super::respond;
use super::site::Site;

/// Answers a request for a page, or a form; `path` comes without the slash in front.
pub async fn answer(site: &Arc<Site>, request: Request, path: &str) -> Response {
    if let Some(name) = path.strip_prefix("assets/").or_else(|| (path == "favicon.ico").then_some(path))
        && let Some(response) = assets::answer(&request, name)
    {
        return response;
    }
    let elements: Vec<String> = path.trim_end_matches('/').split('/').map(decode).collect();
    let elements: Vec<String> = elements.into_iter().filter(|element| !element.is_empty()).collect();
    match request.method {
        Method::GET | Method::HEAD => read(site, request, elements).await,
        Method::POST => {
            let path: Vec<&str> = elements.iter().map(String::as_str).collect();
            let answered = action::answer(site, &request, &path).await;
            answered.unwrap_or_else(|why| error::error(&Visit::new(site, &request), why))
        }
        _ => respond::bare(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// Whether forms are sent to addresses below this one; the other pages are only read.
pub fn takes_body(first: &str) -> bool {
    matches!(first, "builders" | "builds" | "requests" | "workers" | "schedulers" | "sources" | "alerts" | "login")
}

/// The answer to a form that another site's page sent.
pub fn foreign(site: &Arc<Site>, request: &Request) -> Response {
    let text = "This form was sent from another site, so nothing was done. If you reach these pages at an address that \
                the master does not know, set it with master(url = …).";
    error::error(&Visit::new(site, request), PageError { status: StatusCode::FORBIDDEN, text: text.to_owned() })
}

async fn read(site: &Arc<Site>, request: Request, elements: Vec<String>) -> Response {
    let Ok(_permit) = site.readers.acquire().await else { return respond::bare(StatusCode::SERVICE_UNAVAILABLE) };
    let site = Arc::clone(site);
    let rendering = tokio::task::spawn_blocking(move || {
        let visit = Visit::new(&site, &request);
        let path: Vec<&str> = elements.iter().map(String::as_str).collect();
        page_of(&visit, &path).unwrap_or_else(|why| error::error(&visit, why))
    });
    match rendering.await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, "failed to render a page");
            respond::body(StatusCode::INTERNAL_SERVER_ERROR, respond::TEXT, "the page could not be rendered")
        }
    }
}

fn page_of(visit: &Visit<'_>, path: &[&str]) -> PageResult {
    match path {
        [] | ["builders"] => home::home(visit),
        ["builders", builder] => builder::builder(visit, builder),
        ["builders", builder, "builds"] => Ok(respond::redirect(&show::builder_href(&visit.builder(builder)?))),
        ["builders", builder, "builds", number] => build::build(visit, builder, number),
        ["builders", builder, "builds", number, "steps", step, "logs", slug] => {
            log::log(visit, [*builder, *number, *step, *slug])
        }
        ["builds", id] => Ok(respond::redirect(&build::place(visit, id)?)),
        ["pending"] => pending::list(visit),
        ["requests", id] => pending::one(visit, id),
        ["changes"] => changes::list(visit),
        ["changes", id] => changes::one(visit, id),
        ["workers"] => workers::list(visit),
        ["workers", name] => workers::one(visit, name),
        _ => Err(PageError::missing("Page not found. It may have moved, or the address may be mistyped.")),
    }
}
