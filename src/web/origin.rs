//! Decides from which pages a browser may call us (docs/reference/rest-api-v2.md#origins). Together with the required
//! content type JSON, this keeps foreign pages from using a visitor's browser to control the master.
//!
//! One function, [`may_change`], decides for everything that changes state. A request without any browser header is not
//! checked, because no browser sent it. [`super::host_check`] checks that the request was sent to one of our hosts.

use warp::http::header::{self, HeaderValue};
use warp::reply::Response;

use super::request::Request;
use super::respond::{set, set_text};
use crate::base::Authority;

/// Seconds for which a browser may remember the answer to a preflight.
const MAX_AGE: HeaderValue = HeaderValue::from_static("3600");

/// The origin of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The request has none.
    Absent,
    /// It may call us; the text for `Access-Control-Allow-Origin`.
    Allowed(String),
    /// It may not call us.
    Foreign,
}

/// Judges a request: its origin must be ours (by the address in links or by the one it was sent to) or
/// match one of `patterns` (shell patterns, without regard to case).
pub fn judge(request: &Request, url: &str, patterns: &[String]) -> Origin {
    let mut origins = request.headers.get_all(header::ORIGIN).iter();
    let (origin, more) = (origins.next(), origins.next());
    let Some(origin) = origin else { return Origin::Absent };
    let Some(origin) = origin.to_str().ok().map(str::to_ascii_lowercase) else { return Origin::Foreign };
    // A page of the host that was asked cannot at the same time be one of another site.
    let ours = is_url(url, &origin) || (same_host(request, &origin) && fetched_here(request));
    if more.is_none() && (ours || patterns.iter().any(|pattern| matches(pattern, &origin))) {
        Origin::Allowed(origin)
    } else {
        Origin::Foreign
    }
}

/// Whether a request may change anything: it comes from one of our own pages, from an origin that `patterns` allow, or
/// not from a browser.
pub fn may_change(request: &Request, url: &str, patterns: &[String]) -> bool {
    match judge(request, url, patterns) {
        Origin::Allowed(_) => true,
        Origin::Foreign => false,
        Origin::Absent => fetched_here(request) && referred_here(request, url),
    }
}

/// Whether a browser says of which page a request is. All that are in use do, for whatever changes something: a cookie
/// that comes without such a word may have been sent by anybody's page.
pub fn says_its_page(request: &Request) -> bool {
    let names = ["sec-fetch-site", header::ORIGIN.as_str(), header::REFERER.as_str()];
    names.into_iter().any(|name| request.headers.contains_key(name))
}

/// The headers that let the page of an allowed origin read the answer.
pub fn allow(response: &mut Response, origin: &str) {
    set_text(response, header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    set(response, header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Content-Type"));
    set(response, header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
}

/// Whether the browser, if it was one, does not say that another site's page is behind the request.
fn fetched_here(request: &Request) -> bool {
    request.headers.get_all("sec-fetch-site").iter().all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"))
}

/// Whether the referring page, if any, is ours. Old browsers send nothing else.
fn referred_here(request: &Request, url: &str) -> bool {
    let pages = request.headers.get_all(header::REFERER).iter();
    pages.map(HeaderValue::to_str).all(|page| page.is_ok_and(|page| is_url(url, page) || same_host(request, page)))
}

/// The page comes from the scheme, host and port of our address.
fn is_url(url: &str, page: &str) -> bool {
    let scheme = |url: &str| url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme(url) == scheme(page) && Authority::of_url(page).is_some_and(|page| Some(page) == Authority::of_url(url))
}

/// The page comes from the very host and port that the request went to. The scheme may differ, because a
/// proxy in front may speak TLS.
fn same_host(request: &Request, page: &str) -> bool {
    let Some(page) = Authority::of_url(page) else { return false };
    let Some(host) = request.header(header::HOST).and_then(Authority::parse) else { return false };
    page.host == host.host
        && host.port.map_or_else(|| matches!(page.port, Some(80 | 443)), |port| page.port == Some(port))
}

fn matches(pattern: &str, origin: &str) -> bool {
    let glob = globset::GlobBuilder::new(&pattern.to_ascii_lowercase()).literal_separator(false).build();
    glob.is_ok_and(|glob| glob.compile_matcher().is_match(origin))
}

#[cfg(test)]
mod tests {
    use warp::http::{HeaderMap, Method};

    use super::*;

    fn asked(headers: &[(&'static str, &'static str)]) -> Request {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_static(value));
        }
        Request { method: Method::POST, path: "/".to_owned(), headers: map, ..Request::default() }
    }

    fn may(headers: &[(&'static str, &'static str)]) -> bool {
        may_change(&asked(headers), URL, &[])
    }

    const URL: &str = "http://CI.example.org:80/path/";

    #[test]
    fn no_origin_means_no_browser() {
        assert_eq!(judge(&asked(&[]), URL, &[]), Origin::Absent);
        assert!(may(&[]));
    }

    #[test]
    fn our_own_address_may_call_in_any_case() {
        let request = asked(&[("origin", "HTTP://ci.EXAMPLE.org")]);
        assert_eq!(judge(&request, URL, &[]), Origin::Allowed("http://ci.example.org".to_owned()));
        assert_eq!(judge(&asked(&[("origin", "https://ci.example.org")]), URL, &[]), Origin::Foreign);
        assert_eq!(judge(&asked(&[("origin", "http://ci.example.org:8080")]), URL, &[]), Origin::Foreign);
    }

    #[test]
    fn patterns_let_others_in() {
        let patterns = ["https://*.dash.example".to_owned()];
        let request = asked(&[("origin", "https://eu.dash.example"), ("sec-fetch-site", "cross-site")]);
        assert_eq!(judge(&request, URL, &patterns), Origin::Allowed("https://eu.dash.example".to_owned()));
        assert!(may_change(&request, URL, &patterns));
        assert_eq!(judge(&asked(&[("origin", "https://dash.evil")]), URL, &patterns), Origin::Foreign);
        assert_eq!(judge(&asked(&[("origin", "null")]), URL, &patterns), Origin::Foreign);
    }

    #[test]
    fn the_host_that_was_asked_is_ours_whatever_the_scheme() {
        let request = asked(&[("origin", "https://10.0.0.5:8010"), ("host", "10.0.0.5:8010")]);
        assert!(matches!(judge(&request, URL, &[]), Origin::Allowed(_)));
        assert!(may(&[("origin", "https://a.example"), ("host", "a.example")]));
        assert!(may(&[("origin", "http://LOCALHOST:8010"), ("host", "localhost.:8010")]));
        assert!(!may(&[("origin", "http://10.0.0.5:81"), ("host", "10.0.0.5:8010")]));
    }

    #[test]
    fn what_another_site_sent_changes_nothing() {
        assert!(!may(&[("sec-fetch-site", "cross-site")]));
        assert!(!may(&[("sec-fetch-site", "same-site")]));
        assert!(!may(&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")]));
        assert!(!may(&[("origin", "http://evil.example"), ("host", "ci.example.org")]));
        assert!(!may(&[("sec-fetch-site", "same-origin"), ("origin", "http://x"), ("host", "ci.example.org")]));
        assert!(!may(&[("sec-fetch-site", "cross-site"), ("origin", "http://a:1"), ("host", "a:1")]));
        assert!(!may(&[("origin", "http://ci.example.org"), ("origin", "http://evil.example")]));
        assert!(!may(&[("referer", "http://evil.example/http://ci.example.org/")]));
        assert!(may(&[("referer", "http://ci.example.org/builders/1"), ("sec-fetch-site", "same-origin")]));
        assert!(may(&[("sec-fetch-site", "none")]));
    }
}
