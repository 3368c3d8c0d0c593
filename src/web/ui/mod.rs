//! Pages for people, one file per page. They work without scripts; with scripts, they update themselves.
//!
//! A page is a view (finished texts) and a template. It reads the store on a thread that may block.

mod account;
mod action;
mod alerts;
mod ansi;
mod assets;
mod audit;
mod build;
mod builder;
mod changes;
mod codebase;
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
mod tests;
mod workers;

use std::sync::Arc;

use warp::http::{Method, StatusCode};
use warp::reply::Response;

use self::page::{PageContext, PageError, PageResult};
use super::artifacts::{self, BuildNamed};
use super::request::{Request, decode};
use super::respond;
use super::shared::Shared;

/// Answers a request for a page, or a form; `path` comes without the slash in front.
pub async fn answer(shared: &Arc<Shared>, request: Request, path: &str) -> Response {
    if let Some(name) = path.strip_prefix("assets/").or_else(|| (path == "favicon.ico").then_some(path))
        && let Some(response) = assets::answer(&request, name)
    {
        return response;
    }
    let elements: Vec<String> = path.trim_end_matches('/').split('/').map(decode).collect();
    let elements: Vec<String> = elements.into_iter().filter(|element| !element.is_empty()).collect();
    match request.method {
        Method::GET | Method::HEAD => match elements.as_slice() {
            [first, builder, builds, number, artifacts, name @ ..]
                if first == "builders" && builds == "builds" && artifacts == "artifacts" && !name.is_empty() =>
            {
                artifact(shared, &request, (builder, number), name.join("/")).await
            }
            [first, way] if first == "login" => login::begin(shared, &request, way).await,
            [first, way, last] if first == "login" && last == "callback" => {
                login::complete(shared, &request, way).await
            }
            _ => read(shared, request, elements).await,
        },
        Method::POST => {
            let path: Vec<&str> = elements.iter().map(String::as_str).collect();
            let answered = match path.as_slice() {
                ["login"] => login::log_in(shared, &request).await,
                ["logout"] => Ok(login::log_out(shared, &request)),
                path => action::answer(shared, &request, path).await,
            };
            answered.unwrap_or_else(|why| error::error(&PageContext::new(shared, &request), why))
        }
        _ => respond::bare(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// Whether forms are sent to addresses below this one; the other pages are only read.
pub fn takes_body(first: &str) -> bool {
    matches!(
        first,
        "builders"
            | "builds"
            | "requests"
            | "workers"
            | "schedulers"
            | "sources"
            | "alerts"
            | "deliveries"
            | "account"
            | "users"
    )
}

/// The answer to a form that another site's page sent.
pub fn foreign(shared: &Arc<Shared>, request: &Request) -> Response {
    let text = "This form was sent from another site, so nothing was done. If you reach these pages at an address that \
                the master does not know, set it with master(url = …).";
    error::error(&PageContext::new(shared, request), PageError { status: StatusCode::FORBIDDEN, text: text.to_owned() })
}

/// The answer to a visitor who may see nothing here.
pub fn denied(shared: &Arc<Shared>, request: &Request, status: StatusCode, text: String) -> Response {
    error::error(&PageContext::new(shared, request), PageError { status, text })
}

async fn read(shared: &Arc<Shared>, request: Request, elements: Vec<String>) -> Response {
    let Ok(_permit) = shared.readers.acquire().await else { return respond::bare(StatusCode::SERVICE_UNAVAILABLE) };
    let shared = Arc::clone(shared);
    let rendering = tokio::task::spawn_blocking(move || {
        let context = PageContext::new(&shared, &request);
        let path: Vec<&str> = elements.iter().map(String::as_str).collect();
        page_of(&context, &path).unwrap_or_else(|why| error::error(&context, why))
    });
    match rendering.await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(%error, "failed to render a page");
            respond::body(StatusCode::INTERNAL_SERVER_ERROR, respond::TEXT, "the page could not be rendered")
        }
    }
}

/// A file that a build left behind.
async fn artifact(shared: &Arc<Shared>, request: &Request, (builder, number): (&str, &str), name: String) -> Response {
    let text = format!("Build {number} of “{builder}” has no artifact “{name}”.");
    let missing = || error::error(&PageContext::new(shared, request), PageError::missing(text));
    let Ok(number) = number.parse() else { return missing() };
    let of = BuildNamed::Number { builder: builder.to_owned(), number };
    artifacts::answer(shared, request, of, name, missing).await
}

/// What makes a page: of the context, and of the variable elements of its path.
type MakePage = fn(&PageContext<'_>, &[&str]) -> PageResult;

/// Every page. Variable elements of a path begin with `:`. The first path that fits counts.
static PAGES: &[(&str, MakePage)] = &[
    ("", |context, _| home::home(context)),
    ("builders", |context, _| home::home(context)),
    ("builders/:builder", |context, of| builder::builder(context, of[0])),
    ("builders/:builder/builds", |context, of| Ok(respond::redirect(&show::builder_href(&context.builder(of[0])?)))),
    ("builders/:builder/builds/:number", |context, of| build::build(context, of[0], of[1])),
    ("builders/:builder/builds/:number/steps/:step/logs/:log", |context, of| {
        log::log(context, [of[0], of[1], of[2], of[3]])
    }),
    ("builders/:builder/tests", |context, of| tests::history(context, of[0])),
    ("builds/:build", |context, of| Ok(respond::redirect(&build::place(context, of[0])?))),
    ("account", |context, _| account::account(context)),
    ("audit", |context, _| audit::list(context)),
    ("pending", |context, _| pending::list(context)),
    ("projects/:project", |context, of| home::project(context, of[0])),
    ("requests/:request", |context, of| pending::one(context, of[0])),
    ("changes", |context, _| changes::list(context)),
    ("changes/:change", |context, of| changes::one(context, of[0])),
    ("codebases/:codebase", |context, of| codebase::one(context, of[0])),
    ("deliveries", |context, _| deliveries::list(context)),
    ("workers", |context, _| workers::list(context)),
    ("login", |context, _| login::login(context)),
    ("users", |context, _| account::users(context)),
    ("workers/:worker", |context, of| workers::one(context, of[0])),
];

/// The paths of all pages.
pub fn paths() -> impl Iterator<Item = &'static str> {
    PAGES.iter().map(|(path, _)| *path).chain(["builders/:builder/builds/:number/artifacts/:artifact"])
}

fn page_of(context: &PageContext<'_>, path: &[&str]) -> PageResult {
    for (pattern, make) in PAGES {
        if let Some(variables) = variables(pattern, path) {
            return make(context, &variables);
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
