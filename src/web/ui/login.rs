//! Logging in and out by pages, which work without scripts.

use std::sync::Arc;

use askama::Template;
use warp::http::{StatusCode, header};
use warp::reply::Response;

use super::page::{PageError, PageFrame, PageResult, Visit, page};
use super::sign_in::local_place;
use crate::auth::LoginError;
use crate::web::cookies;
use crate::web::request::{Request, pairs};
use crate::web::respond::{see_other, set_text};
use crate::web::site::Site;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: PageFrame,
    takes_passwords: bool,
    by_proxy: bool,
    user: String,
    next: String,
    problem: String,
}

/// The page.
pub fn login(visit: &Visit<'_>) -> PageResult {
    let next = visit.request.query_value("next").unwrap_or_default();
    Ok(show(visit, StatusCode::OK, Typed { user: String::new(), next, problem: String::new() }))
}

/// What was typed, and what is wrong with it.
struct Typed {
    user: String,
    next: String,
    problem: String,
}

fn show(visit: &Visit<'_>, status: StatusCode, typed: Typed) -> Response {
    let logins = &visit.plan.logins;
    let view = LoginPage {
        frame: visit.frame("Sign in", "login", ""),
        takes_passwords: logins.takes_passwords(),
        by_proxy: logins.header().is_some(),
        user: typed.user,
        next: local_place(&typed.next).to_owned(),
        problem: typed.problem,
    };
    page(visit.request, status, &view)
}

/// Somebody sends name and password.
pub async fn log_in(site: &Arc<Site>, request: &Request) -> Result<Response, PageError> {
    if !request.has_form() {
        return Err(PageError { status: StatusCode::UNSUPPORTED_MEDIA_TYPE, text: "This is not the form.".to_owned() });
    }
    // From the body alone: addresses end in logs and histories.
    let fields = pairs(&request.body);
    let field = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.clone());
    let (user, password) = (field("user").unwrap_or_default(), field("password").unwrap_or_default());
    let next = field("next").unwrap_or_default();
    let (plan, url) = (site.control.plan(), site.control.url());
    match site.accounts.log_in(&plan, (user.trim(), &password), site.share_of(request)).await {
        Ok((_, key)) => {
            // A new login is a new session.
            if let Some(old) = &request.session {
                site.accounts.log_out(old);
            }
            let mut response = see_other(local_place(&next));
            cookies::give(&mut response, &url, &key, plan.logins.sessions.lifetime);
            Ok(response)
        }
        Err(error) => Ok(refused(site, request, error, Typed { user, next, problem: problem(error) })),
    }
}

fn refused(site: &Site, request: &Request, error: LoginError, typed: Typed) -> Response {
    let status = match error {
        LoginError::Wrong | LoginError::BadKey => StatusCode::UNAUTHORIZED,
        LoginError::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        LoginError::Busy => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = show(&Visit::new(site, request), status, typed);
    if let LoginError::TooMany { wait } = error {
        set_text(&mut response, header::RETRY_AFTER, &wait.to_string());
    }
    response
}

fn problem(error: LoginError) -> String {
    match error {
        LoginError::Wrong | LoginError::BadKey => "That name and password do not belong together.".to_owned(),
        LoginError::TooMany { wait } => format!("Too many wrong passwords. Wait {wait} seconds, then try again."),
        LoginError::Busy => "Too many people are logging in at the moment. Try again.".to_owned(),
    }
}

/// Somebody logs out.
pub fn log_out(site: &Site, request: &Request) -> Response {
    if let Some(key) = &request.session {
        site.accounts.log_out(key);
    }
    let mut response = see_other("/");
    cookies::take(&mut response, &site.control.url());
    response
}
