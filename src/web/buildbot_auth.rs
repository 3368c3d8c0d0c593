//! `/auth/login` and `/auth/logout`, as clients of Buildbot call them: a session for a name and a password, or none.

use std::sync::Arc;

use warp::http::{Method, StatusCode, header};
use warp::reply::Response;

use super::identify::{BASIC, turned_away};
use super::request::{Request, basic_credentials, encode};
use super::respond::{self, redirect, set};
use super::shared::Shared;
use super::{cookies, origin};

/// Longer places are nobody's.
const PLACE_BYTES_MAX: usize = 2_048;

/// Answers a request below `/auth/`.
pub async fn answer(shared: &Arc<Shared>, request: &Request, path: &str) -> Response {
    if !matches!(request.method, Method::GET | Method::HEAD) {
        return respond::bare(StatusCode::METHOD_NOT_ALLOWED);
    }
    match path {
        "login" => login(shared, request).await,
        "logout" => logout(shared, request),
        _ => respond::bare(StatusCode::NOT_FOUND),
    }
}

async fn login(shared: &Shared, request: &Request) -> Response {
    let plan = shared.control.plan();
    if plan.logins.ways.is_empty() {
        return respond::body(StatusCode::NOT_IMPLEMENTED, respond::TEXT, "nobody needs to log in here\n");
    }
    if let (false, Some((way, _))) = (plan.logins.takes_passwords(), plan.logins.buttons().next()) {
        return redirect(&format!("{}login/{}", shared.control.url(), encode(way)));
    }
    if !plan.logins.takes_passwords() {
        let text = "people log in at a proxy in front of this master\n";
        return respond::body(StatusCode::FORBIDDEN, respond::TEXT, text);
    }
    let Some((user, password)) = request.header(header::AUTHORIZATION).and_then(basic_credentials) else {
        let mut response =
            respond::body(StatusCode::UNAUTHORIZED, respond::TEXT, "log in with a name and a password\n");
        set(&mut response, header::WWW_AUTHENTICATE, BASIC);
        return response;
    };
    match shared.accounts.log_in(&plan, (&user, &password), shared.share_of(request)).await {
        Ok((_, key)) => {
            let mut response = redirect(&place(shared, request));
            cookies::give(&mut response, &shared.control.url(), &key, plan.logins.sessions.lifetime);
            response
        }
        Err(error) => turned_away(request, error),
    }
}

fn logout(shared: &Shared, request: &Request) -> Response {
    let mut response = redirect(&place(shared, request));
    // No page of another site logs its visitors out.
    if origin::may_change(request, &shared.control.url(), &[]) {
        if let Some(key) = &request.session {
            shared.accounts.log_out(key, request.address());
        }
        cookies::take(&mut response, &shared.control.url());
    }
    response
}

/// The address of the pages, with the place that a client of Buildbot wants to come back to.
fn place(shared: &Shared, request: &Request) -> String {
    let wanted = request.query_value("redirect").unwrap_or_default();
    let wanted = wanted.split(['\r', '\n']).next().unwrap_or_default();
    let wanted = if wanted.is_empty() || wanted.len() > PLACE_BYTES_MAX { "/" } else { wanted };
    format!("{}#{wanted}", shared.control.url())
}
