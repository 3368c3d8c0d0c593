//! Which pages a browser may call us from (REST specification, section 14). Together with the required
//! content type of JSON this keeps foreign pages from using a visitor's browser to steer the master.
//!
//! Without an `Origin` header nothing is checked: no browser sent the request.

use warp::http::header::{self, HeaderValue};
use warp::reply::Response;

use super::request::Request;
use super::respond::{set, set_text};

/// Seconds for which a browser may remember the answer to a preflight.
const MAX_AGE: HeaderValue = HeaderValue::from_static("3600");

/// What a request's origin is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// None was told.
    Absent,
    /// It may call; the text for `Access-Control-Allow-Origin`.
    Allowed(String),
    /// It may not.
    Foreign,
}

/// Judges a request: its origin must be ours (by the address in links or by the one it was sent to) or
/// match one of `patterns` (shell patterns, without regard to case).
pub fn judge(request: &Request, url: &str, patterns: &[String]) -> Origin {
    let Some(origin) = request.headers.get(header::ORIGIN) else { return Origin::Absent };
    let Some(origin) = origin.to_str().ok().map(str::to_ascii_lowercase) else { return Origin::Foreign };
    let ours = origin == origin_of(url) || same_host(request, &origin);
    if ours || patterns.iter().any(|pattern| matches(pattern, &origin)) {
        Origin::Allowed(origin)
    } else {
        Origin::Foreign
    }
}

/// Whether a form was sent by one of our own pages, or by no browser at all.
pub fn is_own_form(request: &Request, url: &str) -> bool {
    match request.header("sec-fetch-site") {
        Some(site) => site == "same-origin",
        None => match request.headers.get(header::ORIGIN).map(HeaderValue::to_str) {
            None => true,
            Some(Err(_)) => false,
            Some(Ok(origin)) => {
                let origin = origin.to_ascii_lowercase();
                origin == origin_of(url) || same_host(request, &origin)
            }
        },
    }
}

/// The headers that let the page of an allowed origin read the answer.
pub fn allow(response: &mut Response, origin: &str) {
    set_text(response, header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    set(response, header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type"));
    set(response, header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
}

/// Scheme, host and port of an address, in lower case.
fn origin_of(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let usual = if scheme == "https" { ":443" } else { ":80" };
    format!("{scheme}://{}", host.strip_suffix(usual).unwrap_or(&host))
}

/// The page came from the very host and port that the request went to. The scheme may differ, because a
/// proxy in front may speak TLS.
fn same_host(request: &Request, origin: &str) -> bool {
    let host = request.header(header::HOST).map(str::to_ascii_lowercase);
    host.is_some_and(|host| origin.split_once("://").is_some_and(|(_, authority)| authority == host))
}

fn matches(pattern: &str, origin: &str) -> bool {
    let glob = globset::GlobBuilder::new(&pattern.to_ascii_lowercase()).literal_separator(false).build();
    glob.is_ok_and(|glob| glob.compile_matcher().is_match(origin))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use warp::http::{HeaderMap, Method};

    use super::*;

    fn asked(headers: &[(&'static str, &'static str)]) -> Request {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_static(value));
        }
        Request {
            method: Method::POST,
            path: "/".to_owned(),
            query: String::new(),
            headers: map,
            body: Bytes::new(),
            peer: None,
        }
    }

    const URL: &str = "http://CI.example.org:80/path/";

    #[test]
    fn no_origin_means_no_browser() {
        assert_eq!(judge(&asked(&[]), URL, &[]), Origin::Absent);
        assert!(is_own_form(&asked(&[]), URL));
    }

    #[test]
    fn our_own_address_may_call_in_any_case() {
        let request = asked(&[("origin", "HTTP://ci.EXAMPLE.org")]);
        assert_eq!(judge(&request, URL, &[]), Origin::Allowed("http://ci.example.org".to_owned()));
    }

    #[test]
    fn patterns_let_others_in() {
        let patterns = ["https://*.dash.example".to_owned()];
        let request = asked(&[("origin", "https://eu.dash.example")]);
        assert_eq!(judge(&request, URL, &patterns), Origin::Allowed("https://eu.dash.example".to_owned()));
        assert_eq!(judge(&asked(&[("origin", "https://dash.evil")]), URL, &patterns), Origin::Foreign);
        assert_eq!(judge(&asked(&[("origin", "null")]), URL, &patterns), Origin::Foreign);
    }

    #[test]
    fn the_host_that_was_asked_is_ours_whatever_the_scheme() {
        let request = asked(&[("origin", "https://10.0.0.5:8010"), ("host", "10.0.0.5:8010")]);
        assert!(matches!(judge(&request, URL, &[]), Origin::Allowed(_)));
        assert!(is_own_form(&request, URL));
    }

    #[test]
    fn a_form_of_another_site_is_refused() {
        assert!(!is_own_form(&asked(&[("sec-fetch-site", "cross-site")]), URL));
        assert!(!is_own_form(&asked(&[("sec-fetch-site", "same-site")]), URL));
        assert!(!is_own_form(&asked(&[("origin", "http://evil.example"), ("host", "ci.example.org")]), URL));
        assert!(is_own_form(&asked(&[("sec-fetch-site", "same-origin"), ("origin", "http://x")]), URL));
    }
}
