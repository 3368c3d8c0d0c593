//! A request as the handlers see it: complete, with its query and path elements decoded on demand.
//!
//! Knows neither sockets nor warp, so tests can call handlers directly.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use warp::http::{HeaderMap, Method, header};

use crate::model::{Caller, Identity, Via};

/// How our own command line names itself (`User-Agent`).
pub const COMMAND_LINE: &str = concat!("starwright/", env!("CARGO_PKG_VERSION"));

/// A complete request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: Method,
    /// As it came: still percent-encoded, so that `a%2Fb` is one element.
    pub path: String,
    /// Without the question mark; still encoded.
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub peer: Option<SocketAddr>,
    /// Who sent it, as far as that is proved.
    pub identity: Identity,
    /// The key of the session that proves it, if a cookie does: a browser sends that by itself.
    pub session: Option<String>,
}

impl Request {
    /// Where it comes from, as far as a trusted proxy tells.
    pub fn address(&self) -> Option<IpAddr> {
        self.peer.map(|peer| peer.ip())
    }

    /// Where it came from, for the log.
    pub fn origin_address(&self) -> String {
        self.peer.map_or_else(|| "unknown".to_owned(), |peer| peer.to_string())
    }

    /// A header as text; none if it is missing or no text.
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The parameters of the query, decoded, in order.
    pub fn query_pairs(&self) -> Vec<(String, String)> {
        pairs(self.query.as_bytes())
    }

    /// The first value of a parameter of the query.
    pub fn query_value(&self, name: &str) -> Option<String> {
        self.query_pairs().into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    /// The fields of the form and of the query, by name. A body that is not a form counts as an empty one.
    pub fn form(&self) -> BTreeMap<String, Vec<String>> {
        let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let form = if self.has_form() { pairs(&self.body) } else { Vec::new() };
        for (name, value) in self.query_pairs().into_iter().chain(form) {
            fields.entry(name).or_default().push(value);
        }
        fields
    }

    /// The way by which a call of the API came. Anybody may say that they are the command line: it is told, not trusted.
    pub fn via(&self) -> Via {
        match self.header(header::USER_AGENT) {
            Some(COMMAND_LINE) => Via::CommandLine,
            Some(_) | None => Via::Api,
        }
    }

    /// Who gives an order with it. `told` is the name that they say they have, if they did not prove any.
    pub fn caller(&self, told: &str, via: Via) -> Caller {
        Caller { address: self.address(), ..Caller::new(self.identity.clone(), told, via) }
    }

    /// Whether the body says that it is JSON.
    pub fn has_json(&self) -> bool {
        self.has_type("application/json")
    }

    /// Whether the body says that it is a form.
    pub fn has_form(&self) -> bool {
        self.has_type("application/x-www-form-urlencoded")
    }

    /// The length of the body, as announced.
    pub fn length(&self) -> Option<u64> {
        self.header(header::CONTENT_LENGTH).and_then(|length| length.parse().ok())
    }

    /// Whether the sender can read `encoding`.
    pub fn accepts_encoding(&self, encoding: &str) -> bool {
        self.header(header::ACCEPT_ENCODING).is_some_and(|list| {
            list.split(',').any(|item| {
                let mut parts = item.split(';').map(str::trim);
                let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
                named && !parts.any(|part| matches!(part.replace(' ', "").as_str(), "q=0" | "q=0.0" | "q=0.00"))
            })
        })
    }

    fn has_type(&self, wanted: &str) -> bool {
        self.header(header::CONTENT_TYPE)
            .and_then(|value| value.split(';').next())
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
    }
}

/// Names and values of a form or query; bad UTF-8 is replaced, not refused.
pub fn pairs(encoded: &[u8]) -> Vec<(String, String)> {
    form_urlencoded::parse(encoded).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

/// User and password of a Basic authorization.
pub fn basic_credentials(header: &str) -> Option<(String, String)> {
    let (scheme, rest) = header.split_once(' ')?;
    let bytes = BASE64_STANDARD.decode(rest.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (user, password) = text.split_once(':')?;
    scheme.eq_ignore_ascii_case("basic").then(|| (user.to_owned(), password.to_owned()))
}

/// Decodes one path element.
pub fn decode(element: &str) -> String {
    percent_decode_str(element).decode_utf8_lossy().into_owned()
}

/// What may stand in a path element as it is.
const ELEMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Encodes one path element, so that names with spaces, slashes and other letters stay one element.
pub fn encode(element: &str) -> String {
    match element {
        // Browsers and proxies resolve these two away, whatever they stand for.
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => utf8_percent_encode(element, ELEMENT).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_header(name: &'static str, value: &str) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        Request { path: "/".to_owned(), headers, ..Request::default() }
    }

    #[test]
    fn path_elements_survive_the_round_trip() {
        for name in ["plain", "a/b", "café/ümlaut", "50% off", "a b?c#d", "<i>\"x\"", ".", "..", "a+b"] {
            assert_eq!(decode(&encode(name)), name);
            assert!(!encode(name).contains('/'));
        }
    }

    #[test]
    fn a_plus_is_a_space_in_queries_only() {
        assert_eq!(pairs(b"a=b+c&a=%C3%BC"), [("a".into(), "b c".into()), ("a".into(), "ü".into())]);
        assert_eq!(decode("b+c"), "b+c");
    }

    #[test]
    fn an_encoding_of_quality_zero_is_not_accepted() {
        assert!(with_header("accept-encoding", "gzip, deflate, br, zstd").accepts_encoding("zstd"));
        assert!(with_header("accept-encoding", "ZSTD;q=0.5").accepts_encoding("zstd"));
        assert!(!with_header("accept-encoding", "gzip, zstd; q=0").accepts_encoding("zstd"));
    }

    #[test]
    fn a_content_type_may_have_parameters() {
        assert!(with_header("content-type", "application/json; charset=utf-8").has_json());
        assert!(!with_header("content-type", "text/plain").has_json());
    }

    #[test]
    fn a_password_may_hold_colons() {
        assert_eq!(basic_credentials("Basic dTphOmI="), Some(("u".to_owned(), "a:b".to_owned())));
        assert_eq!(basic_credentials("basic dTo="), Some(("u".to_owned(), String::new())));
        assert_eq!(basic_credentials("Bearer dTo="), None);
        assert_eq!(basic_credentials("Basic %%%"), None);
    }
}
