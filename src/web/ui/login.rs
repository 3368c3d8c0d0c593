//! Logging in and out by pages, which work without scripts.

use std::sync::Arc;

use askama::Template;
use warp::http::{StatusCode, header};
use warp::reply::Response;

use super::error;
use super::page::{PageContext, PageError, PageFrame, PageResult, page};
use super::show::capital;
use super::sign_in::{local_place, way_href};
use crate::auth::{LoginError, ReturnedLogin};
use crate::web::cookies;
use crate::web::identify::status_of;
use crate::web::request::{Request, encode, pairs};
use crate::web::respond::{redirect, see_other, set_text};
use crate::web::shared::Shared;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: PageFrame,
    takes_passwords: bool,
    by_proxy: bool,
    buttons: Vec<Button>,
    user: String,
    next: String,
    problem: String,
    /// Where a login holds, if it does not here.
    secure: Option<String>,
}

/// A way that leads to a server elsewhere.
struct Button {
    title: String,
    href: String,
}

impl Button {
    fn new(way: &str, title: &str, next: &str) -> Self {
        Self { title: title.to_owned(), href: way_href(way, next) }
    }
}

/// The page.
pub fn login(context: &PageContext<'_>) -> PageResult {
    let next = context.request.query_value("next").unwrap_or_default();
    Ok(show(context, StatusCode::OK, Typed { user: String::new(), next, problem: String::new() }))
}

/// What was typed, and what is wrong with it.
struct Typed {
    user: String,
    next: String,
    problem: String,
}

fn show(context: &PageContext<'_>, status: StatusCode, typed: Typed) -> Response {
    let logins = &context.plan.logins;
    let view = LoginPage {
        frame: context.frame("Sign in", "login", ""),
        takes_passwords: logins.takes_passwords(),
        by_proxy: logins.header().is_some(),
        buttons: logins.buttons().map(|(way, title)| Button::new(way, title, &typed.next)).collect(),
        user: typed.user,
        next: local_place(&typed.next).to_owned(),
        problem: typed.problem,
        secure: cookies::are_dropped(context.request, &context.control.url())
            .then(|| format!("{}login", context.control.url())),
    };
    page(context.request, status, &view)
}

/// Somebody sends name and password.
pub async fn log_in(shared: &Arc<Shared>, request: &Request) -> Result<Response, PageError> {
    if !request.has_form() {
        return Err(PageError { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, text: "This is not the form.".to_owned() });
    }
    // From the body alone: addresses end in logs and histories.
    let fields = pairs(&request.body);
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
    let (user, password) = (field("user").unwrap_or_default(), field("password").unwrap_or_default());
    let next = field("next").unwrap_or_default();
    let (plan, url) = (shared.control.plan(), shared.control.url());
    match shared.accounts.log_in(&plan, (user.trim(), &password), shared.share_of(request)).await {
        Ok((_, key)) => {
            // A new login is a new session.
            if let Some(old) = &request.session {
                shared.accounts.log_out(old, request.address());
            }
            let mut response = see_other(local_place(&next));
            cookies::give(&mut response, &url, &key, plan.logins.sessions.lifetime);
            Ok(response)
        }
        Err(error) => Ok(refused(shared, request, error, Typed { user, next, problem: problem(error) })),
    }
}

fn refused(shared: &Shared, request: &Request, error: LoginError, typed: Typed) -> Response {
    let mut response = show(&PageContext::new(shared, request), status_of(error), typed);
    if let LoginError::TooMany { wait } = error {
        set_text(&mut response, header::RETRY_AFTER, &wait.to_string());
    }
    response
}

fn problem(error: LoginError) -> String {
    match error {
        LoginError::Wrong | LoginError::BadKey => "That name and password do not belong together.".to_owned(),
        LoginError::TooMany { wait } => format!("Too many wrong passwords. Wait {wait} seconds, then try again."),
        LoginError::Busy | LoginError::NotBegun | LoginError::Provider | LoginError::Outsider => {
            format!("{}.", capital(&error.to_string()))
        }
    }
}

/// Somebody goes to log in elsewhere.
pub async fn begin(shared: &Arc<Shared>, request: &Request, way: &str) -> Response {
    let next = request.query_value("next").unwrap_or_default();
    let (plan, url) = (shared.control.plan(), shared.control.url());
    match shared.accounts.begin_login(&plan, way, &callback(&url, way), local_place(&next)).await {
        Some(Ok(begun)) => {
            let mut response = redirect(&begun.address);
            cookies::give_login(&mut response, &url, &begun.browser);
            response
        }
        Some(Err(error)) => {
            refused(shared, request, error, Typed { user: String::new(), next, problem: problem(error) })
        }
        None => {
            error::error(&PageContext::new(shared, request), PageError::missing("There is no such way of logging in."))
        }
    }
}

/// Somebody comes back.
pub async fn complete(shared: &Arc<Shared>, request: &Request, way: &str) -> Response {
    let (plan, url) = (shared.control.plan(), shared.control.url());
    let value = |name: &str| request.query_value(name).unwrap_or_default();
    let (state, code) = (value("state"), value("code"));
    let browser = cookies::login(request, &url).unwrap_or_default();
    let returned = ReturnedLogin { state: &state, code: &code, browser };
    let mut response =
        match shared.accounts.complete_login(&plan, way, &callback(&url, way), (returned, request.address())).await {
            Ok((key, next)) => {
                if let Some(old) = &request.session {
                    shared.accounts.log_out(old, request.address());
                }
                let mut response = see_other(local_place(&next));
                cookies::give(&mut response, &url, &key, plan.logins.sessions.lifetime);
                response
            }
            Err(error) => {
                let typed = Typed { user: String::new(), next: String::new(), problem: problem(error) };
                refused(shared, request, error, typed)
            }
        };
    cookies::take_login(&mut response, &url);
    response
}

/// Where a provider sends browsers back to.
fn callback(url: &str, way: &str) -> String {
    format!("{url}login/{}/callback", encode(way))
}

/// Somebody logs out.
pub fn log_out(shared: &Shared, request: &Request) -> Response {
    if let Some(key) = &request.session {
        shared.accounts.log_out(key, request.address());
    }
    let mut response = see_other("/");
    cookies::take(&mut response, &shared.control.url());
    response
}
