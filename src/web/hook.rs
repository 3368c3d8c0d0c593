//! `/change_hook`: changes told by forges and scripts (REST specification, section 15.4). Understands the
//! envelope only; what a dialect means is the master's business.

use base64::Engine;
use warp::http::{Method, StatusCode, header};
use warp::reply::Response;

use super::request::{Request, decode};
use super::respond::{self, set_text};
use super::site::Site;

/// Plain words: a sender's own text comes back in refusals, and must not be taken for a page.
const KIND: &str = "text/plain; charset=utf-8";

/// Answers a request to a hook of a dialect.
pub async fn answer(site: &Site, request: &Request, dialect: &str) -> Response {
    if !matches!(request.method, Method::GET | Method::POST) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "hooks take GET and POST");
    }
    let dialect = match decode(dialect) {
        dialect if dialect.is_empty() => "base".to_owned(),
        dialect if dialect.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => dialect,
        _ => return plain(StatusCode::NOT_FOUND, "a dialect is a word of letters, digits and underscores"),
    };
    let credentials = request.header(header::AUTHORIZATION).and_then(credentials);
    let told = credentials.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
    if !site.control.may_hook(&dialect, told) {
        let mut response = plain(StatusCode::UNAUTHORIZED, "Unauthorized");
        set_text(&mut response, header::WWW_AUTHENTICATE, "basic realm=\"Protected area\"");
        return response;
    }
    match site.control.hook(&dialect, request.form()).await {
        Ok(0) => plain(StatusCode::OK, "no change found"),
        Ok(n) => plain(StatusCode::OK, format!("{n} change found")),
        Err(error) => {
            tracing::info!(dialect, error = %error.message, "a change hook was refused");
            plain(StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST), error.message)
        }
    }
}

fn plain(status: StatusCode, text: impl Into<String>) -> Response {
    respond::body(status, KIND, text.into())
}

/// User and password of a Basic authorization.
fn credentials(header: &str) -> Option<(String, String)> {
    let (scheme, rest) = header.split_once(' ')?;
    let bytes = base64::engine::general_purpose::STANDARD.decode(rest.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    scheme.eq_ignore_ascii_case("basic").then(|| (user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_may_hold_colons() {
        assert_eq!(credentials("Basic dTphOmI="), Some(("u".to_owned(), "a:b".to_owned())));
        assert_eq!(credentials("basic dTo="), Some(("u".to_owned(), String::new())));
        assert_eq!(credentials("Bearer dTo="), None);
        assert_eq!(credentials("Basic %%%"), None);
    }
}
