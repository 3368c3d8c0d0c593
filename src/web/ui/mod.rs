//! Pages for people, one file per page. They work without scripts; with scripts, they update themselves.
//!
//! A page is a view (finished texts) and a template. It reads the store on a thread that may block.

mod action;
mod alerts;
mod ansi;
mod assets;
mod audit;
mod build;
mod builder;
mod changes;
mod deliveries;
mod error;
mod force;
mod home;
mod lines;
mod log;
mod login;
mod page;
mod pending;
mod show;
mod sign_in;
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
        Method::GET | Method::HEAD => match elements.as_slice() {
            [first, way] if first == "login" => login::begin(site, &request, way).await,
            [first, way, last] if first == "login" && last == "callback" => login::complete(site, &request, way).await,
            _ => read(site, request, elements).await,
        },
        Method::POST => {
            let path: Vec<&str> = elements.iter().map(String::as_str).collect();
            let answered = match path.as_slice() {
                ["login"] => login::log_in(site, &request).await,
                ["logout"] => Ok(login::log_out(site, &request)),
                path => action::answer(site, &request, path).await,
            };
            answered.unwrap_or_else(|why| error::error(&Visit::new(site, &request), why))
        }
        _ => respond::bare(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// Whether forms are sent to addresses below this one; the other pages are only read.
pub fn takes_body(first: &str) -> bool {
    matches!(first, "builders" | "builds" | "requests" | "workers" | "schedulers" | "sources" | "alerts" | "deliveries")
}

/// The answer to a form that another site's page sent.
pub fn foreign(site: &Arc<Site>, request: &Request) -> Response {
    let text = "This form was sent from another site, so nothing was done. If you reach these pages at an address that \
                the master does not know, set it with master(url = …).";
    error::error(&Visit::new(site, request), PageError { status: StatusCode::FORBIDDEN, text: text.to_owned() })
}

/// The answer to a visitor who may see nothing here.
pub fn denied(site: &Arc<Site>, request: &Request, status: StatusCode, text: String) -> Response {
    error::error(&Visit::new(site, request), PageError { status, text })
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

/// What makes a page: of the visit, and of the variable elements of its path.
type MakePage = fn(&Visit<'_>, &[&str]) -> PageResult;

/// Every page. Variable elements of a path begin with `:`. The first path that fits counts.
static PAGES: &[(&str, MakePage)] = &[
    ("", |visit, _| home::home(visit)),
    ("builders", |visit, _| home::home(visit)),
    ("builders/:builder", |visit, of| builder::builder(visit, of[0])),
    ("builders/:builder/builds", |visit, of| Ok(respond::redirect(&show::builder_href(&visit.builder(of[0])?)))),
    ("builders/:builder/builds/:number", |visit, of| build::build(visit, of[0], of[1])),
    ("builders/:builder/builds/:number/steps/:step/logs/:log", |visit, of| {
        log::log(visit, [of[0], of[1], of[2], of[3]])
    }),
    ("builds/:build", |visit, of| Ok(respond::redirect(&build::place(visit, of[0])?))),
    ("audit", |visit, _| audit::list(visit)),
    ("pending", |visit, _| pending::list(visit)),
    ("projects/:project", |visit, of| home::project(visit, of[0])),
    ("requests/:request", |visit, of| pending::one(visit, of[0])),
    ("changes", |visit, _| changes::list(visit)),
    ("changes/:change", |visit, of| changes::one(visit, of[0])),
    ("deliveries", |visit, _| deliveries::list(visit)),
    ("workers", |visit, _| workers::list(visit)),
    ("login", |visit, _| login::login(visit)),
    ("workers/:worker", |visit, of| workers::one(visit, of[0])),
];

/// The paths of all pages.
pub fn paths() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|(path, _)| *path)
}

fn page_of(visit: &Visit<'_>, path: &[&str]) -> PageResult {
    for (pattern, make) in PAGES {
        if let Some(variables) = variables(pattern, path) {
            return make(visit, &variables);
        }
    }
    Err(PageError::missing("Page not found. It may have moved, or the address may be mistyped."))
}

/// The variable elements of a path that fits a pattern.
fn variables<'p>(pattern: &str, path: &[&'p str]) -> Option<Vec<&'p str>> {
    let elements: Vec<&str> = pattern.split('/').filter(|element| !element.is_empty()).collect();
    let fits = |(element, named): (&&str, &&str)| element.starts_with(':') || element == named;
    if elements.len() != path.len() || !elements.iter().zip(path).all(fits) {
        return None;
    }
    Some(elements.iter().zip(path).filter(|(element, _)| element.starts_with(':')).map(|(_, named)| *named).collect())
}
