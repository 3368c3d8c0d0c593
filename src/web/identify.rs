//! Finds out who sent a request: the only place that does, before anything else looks at it.
//!
//! Whoever presents something that does not hold is turned away, and not taken for a visitor without a login. What only a
//! proxy may say is removed from the requests of all others before they get here ([`strip`]).

use warp::http::StatusCode;
use warp::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use warp::reply::Response;

use super::cookies;
use super::request::{Request, basic_credentials};
use super::respond::{self, set, set_text};
use super::shared::Shared;
use crate::auth::{LoginError, Presented, ProxyUser};
use crate::model::{HeaderLogin, Plan};

/// Tells the request who sent it.
///
/// # Errors
/// The answer to somebody who presents what does not hold.
pub async fn identify(shared: &Shared, request: &mut Request) -> Result<(), Box<Response>> {
    // Hooks and files have nothing to do with users; a hook has credentials of its own.
    if ["/change_hook", "/assets/"].iter().any(|begin| request.path.starts_with(begin)) {
        return Ok(());
    }
    let (plan, url) = (shared.control.plan(), shared.control.url());
    let proxy = plan.logins.header().map(|headers| proxy_user(&request.headers, headers)).transpose();
    let Ok(proxy) = proxy else {
        let text = "two proxies disagree on who this is";
        return Err(Box::new(respond::body(StatusCode::BAD_REQUEST, respond::TEXT, text)));
    };
    let authorization = request.header(header::AUTHORIZATION).map(str::to_owned);
    let authorization = authorization.as_deref().unwrap_or_default();
    let basic = basic_credentials(authorization).filter(|_| plan.logins.takes_passwords());
    let session = cookies::session(request, &url).map(str::to_owned);
    let presented = Presented {
        key: bearer(authorization),
        password: basic.as_ref().map(|(user, password)| (user.as_str(), password.as_str())),
        session: session.as_deref(),
        proxy: proxy.flatten(),
        address: shared.share_of(request),
    };
    let by_session = presented.key.is_none() && presented.password.is_none() && presented.proxy.is_none();
    match shared.accounts.identify(&plan, presented).await {
        Ok(identity) => {
            request.session = session.filter(|_| by_session && !identity.is_anonymous());
            request.identity = identity;
            Ok(())
        }
        Err(error) => Err(Box::new(turned_away(request, error))),
    }
}

/// Removes what only a proxy may say from the requests of others.
pub fn strip(headers: &mut HeaderMap, plan: &Plan) {
    for name in plan.logins.header().into_iter().flat_map(HeaderLogin::names) {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            headers.remove(name);
        }
    }
}

/// What an answer to somebody in particular carries: nobody else may keep it.
pub fn finish(response: &mut Response, request_is_private: bool, url: &str) {
    if request_is_private && !response.headers().contains_key(header::CACHE_CONTROL) {
        set(response, header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if !response.headers().contains_key(header::CONTENT_SECURITY_POLICY) {
        let nothing = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
        set(response, header::CONTENT_SECURITY_POLICY, nothing);
    }
    if cookies::is_https(url) {
        // A year, as browsers' lists ask for.
        set(response, header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
}

/// The answer to credentials that do not hold.
pub fn turned_away(request: &Request, error: LoginError) -> Response {
    let status = status_of(error);
    let text = error.to_string();
    let mut response = if request.path.starts_with("/api") {
        respond::body(status, respond::JSON, serde_json::json!({ "error": text }).to_string())
    } else {
        respond::body(status, respond::TEXT, text + "\n")
    };
    match error {
        LoginError::Wrong => set(&mut response, header::WWW_AUTHENTICATE, BASIC),
        LoginError::BadKey => set(&mut response, header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
        LoginError::TooMany { wait } => set_text(&mut response, header::RETRY_AFTER, &wait.to_string()),
        LoginError::Busy | LoginError::NotBegun | LoginError::Provider | LoginError::Outsider => {}
    }
    response
}

/// The status of a login that did not succeed.
pub const fn status_of(error: LoginError) -> StatusCode {
    match error {
        LoginError::Wrong | LoginError::BadKey => StatusCode::UNAUTHORIZED,
        LoginError::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
        LoginError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        LoginError::NotBegun => StatusCode::BAD_REQUEST,
        LoginError::Provider => StatusCode::BAD_GATEWAY,
        LoginError::Outsider => StatusCode::FORBIDDEN,
    }
}

/// How programs are asked for a name and a password.
pub const BASIC: HeaderValue = HeaderValue::from_static("Basic realm=\"starwright\", charset=\"UTF-8\"");

fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, key) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// The user that a proxy names; an error if there are two of a header, one of which may be the client's.
fn proxy_user(headers: &HeaderMap, names: &HeaderLogin) -> Result<Option<ProxyUser>, ()> {
    let one = |name: &str| {
        let mut values = headers.get_all(name).iter();
        let (value, more) = (values.next(), values.next());
        if more.is_some() {
            return Err(());
        }
        let text = value.map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned());
        Ok(text.filter(|text| !text.is_empty()))
    };
    let some = |name: &Option<String>| name.as_deref().map_or(Ok(None), one);
    let Some(name) = one(&names.user)? else { return Ok(None) };
    let groups = some(&names.groups)?.unwrap_or_default();
    let groups = groups.split(',').map(|group| group.trim().to_owned()).filter(|group| !group.is_empty());
    let (full_name, mail) = (some(&names.full_name)?, some(&names.mail)?);
    Ok(Some(ProxyUser { name, full_name, mail, groups: groups.collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> HeaderLogin {
        HeaderLogin {
            user: "x-remote-user".to_owned(),
            groups: Some("x-remote-groups".to_owned()),
            ..HeaderLogin::default()
        }
    }

    #[test]
    fn a_proxy_names_a_user_and_groups() {
        let mut headers = HeaderMap::new();
        assert_eq!(proxy_user(&headers, &names()), Ok(None));
        headers.append("x-remote-user", HeaderValue::from_static(" ann "));
        headers.append("x-remote-groups", HeaderValue::from_static("dev, ops,"));
        let user = proxy_user(&headers, &names()).unwrap().unwrap();
        assert_eq!((user.name.as_str(), user.groups), ("ann", vec!["dev".to_owned(), "ops".to_owned()]));
        headers.append("x-remote-user", HeaderValue::from_static("root"));
        assert_eq!(proxy_user(&headers, &names()), Err(()), "one of them is the client's");
    }

    #[test]
    fn a_bearer_has_a_key() {
        assert_eq!(bearer("Bearer swt_x"), Some("swt_x"));
        assert_eq!(bearer("bearer  swt_x "), Some("swt_x"));
        assert_eq!(bearer("Basic dTo="), None);
        assert_eq!(bearer(""), None);
    }
}
