//! The cookie of a session.
//!
//! Scripts cannot read it, other sites' pages do not send it along with anything that changes something, and where the pages
//! are served by https it never travels in the clear and no other host can set it (`__Host-`).

use warp::http::header::{self, HeaderValue};
use warp::reply::Response;

use super::request::Request;
use crate::base::Span;

/// Without the prefix that https allows.
const SESSION: &str = "starwright";
/// Binds a login that was begun to its browser.
const LOGIN: &str = "starwright-login";
/// As long as somebody may take to log in elsewhere.
const LOGIN_SECONDS: u64 = 600;

/// Whether a browser will drop the session that it gets: the pages are served by https, and this one came by http. A proxy
/// says how its visitors come; without one, another host or port than that of the address shows it.
pub fn are_dropped(request: &Request, url: &str) -> bool {
    let host = request.header(header::HOST).unwrap_or_default();
    let is_here = crate::base::Authority::parse(host).is_some_and(|authority| authority.host.is_loopback());
    if !is_https(url) || is_here {
        return false;
    }
    match request.header("x-forwarded-proto") {
        Some(scheme) => scheme.trim().eq_ignore_ascii_case("http"),
        None => {
            let own = url.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
            !host.eq_ignore_ascii_case(own)
        }
    }
}

/// The key of the session that a browser sent.
pub fn session<'a>(request: &'a Request, url: &str) -> Option<&'a str> {
    find(request, &name(url, SESSION))
}

/// What a browser got when it began to log in elsewhere.
pub fn login<'a>(request: &'a Request, url: &str) -> Option<&'a str> {
    find(request, &name(url, LOGIN))
}

fn find<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let lines = request.headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut cookies = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    cookies.find(|(cookie, _)| *cookie == name).map(|(_, key)| key)
}

/// Gives a browser the key of its new session.
pub fn give(response: &mut Response, url: &str, key: &str, lifetime: Span) {
    put(response, url, (SESSION, key), lifetime.as_millis() / 1_000);
}

/// Takes it away.
pub fn take(response: &mut Response, url: &str) {
    put(response, url, (SESSION, ""), 0);
}

/// The same for what binds a login to its browser.
pub fn give_login(response: &mut Response, url: &str, key: &str) {
    put(response, url, (LOGIN, key), LOGIN_SECONDS);
}

/// Takes that away.
pub fn take_login(response: &mut Response, url: &str) {
    put(response, url, (LOGIN, ""), 0);
}

fn put(response: &mut Response, url: &str, (cookie, key): (&str, &str), seconds: u64) {
    let secure = if is_https(url) { "; Secure" } else { "" };
    let cookie = format!("{}={key}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", name(url, cookie));
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}

fn name(url: &str, cookie: &str) -> String {
    if is_https(url) { format!("__Host-{cookie}") } else { cookie.to_owned() }
}

/// Whether people reach the pages by https.
pub fn is_https(url: &str) -> bool {
    url.get(..8).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https://"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(url: &str) -> String {
        let mut response = Response::default();
        give(&mut response, url, "key", Span::from_minutes(1));
        response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned()
    }

    #[test]
    fn a_cookie_is_as_closed_as_the_address_allows() {
        let secure = "__Host-starwright=key; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure";
        assert_eq!(given("https://ci.example.org/"), secure);
        assert_eq!(given("http://localhost:8010/"), "starwright=key; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn the_cookie_of_the_address_counts() {
        let mut request = Request::default();
        request
            .headers
            .append(header::COOKIE, HeaderValue::from_static("a=b; starwright=forged;__Host-starwright=key"));
        assert_eq!(session(&request, "https://ci.example.org/"), Some("key"));
        assert_eq!(session(&request, "http://localhost/"), Some("forged"));
        assert_eq!(session(&Request::default(), "http://localhost/"), None);
    }

    #[test]
    fn a_login_by_http_is_lost_where_the_pages_are_served_by_https() {
        let dropped = |url: &str, headers: &[(&'static str, &str)]| {
            let headers = headers
                .iter()
                .map(|(name, value)| (header::HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
            are_dropped(&Request { headers: headers.collect(), ..Request::default() }, url)
        };
        let (url, host) = ("https://ci.example.org/", ("host", "ci.example.org"));
        assert!(dropped(url, &[host, ("x-forwarded-proto", "http")]) && dropped(url, &[("host", "10.0.0.5:8010")]));
        assert!(!dropped(url, &[host, ("x-forwarded-proto", "https")]) && !dropped(url, &[host]));
        assert!(!dropped(url, &[("host", "localhost:8010")]), "browsers trust this machine");
        assert!(!dropped("http://ci.example.org/", &[host, ("x-forwarded-proto", "http")]));
    }
}
