//! Checks the head of a request before anything looks at its content: it must have a path, and it must have been sent
//! to one of our hosts.
//!
//! Why hosts matter: a page whose name resolves to our address (DNS rebinding) looks like our own to a browser, so its
//! scripts could read and control everything. The name that the browser used gives it away.
//!
//! Invariant: behind this check, `Host` is one valid host of ours, whatever the version of HTTP and the form of the
//! request target, and headers that only a proxy may set have been removed from all other requests. Upgrade requests of
//! workers are exempt: they authenticate explicitly, which no foreign page can do for them.

use std::net::{IpAddr, SocketAddr};

use warp::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use warp::http::{Method, StatusCode, Version, request};
use warp::reply::Response;

use super::respond;
use crate::base::{AddressRange, Authority, Host};
use crate::model::WebPlan;

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// By which names we are known, and whom we believe.
#[derive(Clone, Copy, Debug)]
pub struct KnownHosts<'a> {
    /// The address of the pages.
    pub url: &'a str,
    pub web: &'a WebPlan,
}

/// Lets a request in, with its head put in order, and says where it comes from; the error is the answer.
pub fn admit(parts: &mut request::Parts, hosts: KnownHosts<'_>, peer: SocketAddr) -> Result<SocketAddr, Box<Response>> {
    if parts.method == Method::CONNECT {
        let mut response =
            refuse(StatusCode::METHOD_NOT_ALLOWED, "this server is not a proxy; CONNECT is not supported");
        respond::set(&mut response, header::ALLOW, HeaderValue::from_static("GET, HEAD, POST, OPTIONS"));
        return Err(Box::new(response));
    }
    if parts.uri.path_and_query().is_none() {
        return Err(bad("the request has no path"));
    }
    if is_workers(&parts.headers, parts.uri.path()) {
        return Ok(peer);
    }
    let trusted = is_trusted(hosts.web, peer.ip());
    let named = target(parts)?;
    let from = if trusted { client(&parts.headers, hosts.web, peer) } else { peer };
    let forwarded = if trusted { forwarded_host(&parts.headers)? } else { None };
    for forged in [FORWARDED_HOST, FORWARDED_FOR, header::FORWARDED] {
        parts.headers.remove(forged);
    }
    for authority in named.iter().chain(&forwarded) {
        if !is_ours(hosts, &authority.host) {
            return Err(Box::new(misdirected(authority)));
        }
    }
    if let Some(authority) = forwarded.or(named) {
        put_host(&mut parts.headers, &authority);
    }
    Ok(from)
}

/// Whether a request is for the part that takes workers in. A browser that opens a WebSocket elsewhere sends no
/// authorization.
pub fn is_workers(headers: &HeaderMap, path: &str) -> bool {
    let upgrades = headers.get(header::UPGRADE).is_some_and(|kind| kind.as_bytes().eq_ignore_ascii_case(b"websocket"));
    upgrades && (path == "/" || headers.contains_key(header::AUTHORIZATION))
}

/// Whether an address is that of a proxy whose word counts.
pub fn is_trusted(web: &WebPlan, address: IpAddr) -> bool {
    web.trusted_proxies.iter().filter_map(|range| AddressRange::parse(range)).any(|range| range.contains(address))
}

/// The host that a request was sent to. Only HTTP/1.0, which no browser speaks, may leave it out.
fn target(parts: &request::Parts) -> Result<Option<Authority>, Box<Response>> {
    let mut hosts = parts.headers.get_all(header::HOST).iter();
    let (host, more) = (hosts.next(), hosts.next());
    if more.is_some() {
        return Err(bad("the request has two `Host` headers"));
    }
    if host.is_none() && parts.version == Version::HTTP_11 {
        return Err(bad("the request has no `Host` header"));
    }
    let host =
        host.map(|host| host.to_str().ok().and_then(Authority::parse).ok_or_else(|| bad(BAD_HOST))).transpose()?;
    let asked =
        parts.uri.authority().map(|authority| Authority::parse(authority.as_str()).ok_or_else(|| bad(BAD_HOST)));
    match (asked.transpose()?, host) {
        (Some(asked), Some(host)) if asked.host != host.host => Err(bad("the request names two hosts")),
        (None, None) if parts.version == Version::HTTP_2 => Err(bad("the request names no host")),
        (asked, host) => Ok(asked.or(host)),
    }
}

const BAD_HOST: &str = "the request's host is not HOST or HOST:PORT";

fn is_ours(hosts: KnownHosts<'_>, host: &Host) -> bool {
    let Host::Name(name) = host else { return true };
    let url = Authority::of_url(hosts.url).is_some_and(|url| url.host == *host);
    let listening = hosts.web.listen.as_deref().and_then(Authority::parse).is_some_and(|listen| listen.host == *host);
    host.is_loopback_name() || url || listening || hosts.web.hosts.iter().any(|declared| matches(declared, name))
}

/// `*.example.org` stands for all names below it.
fn matches(declared: &str, name: &str) -> bool {
    match declared.strip_prefix("*.") {
        Some(parent) => name.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => declared == name,
    }
}

/// The host's name is checked, so it can stand in the text as it is.
fn misdirected(authority: &Authority) -> Response {
    let host = &authority.host;
    let port = authority.port.map(|port| format!(":{port}")).unwrap_or_default();
    let text = format!(
        "This is not a host that the master answers for: {host}\n\n\
         If people are to reach it by this name, add a line to the configuration:\n\n    \
         web(hosts = [\"{host}\"])\n\n\
         or make it the address of these pages:\n\n    master(url = \"http://{host}{port}/\")\n"
    );
    refuse(StatusCode::MISDIRECTED_REQUEST, text)
}

fn put_host(headers: &mut HeaderMap, authority: &Authority) {
    let port = authority.port.map(|port| format!(":{port}")).unwrap_or_default();
    if let Ok(host) = HeaderValue::from_str(&format!("{}{port}", authority.host)) {
        headers.insert(header::HOST, host);
    }
}

/// The host by which a browser reached the proxy, in its own words.
fn forwarded_host(headers: &HeaderMap) -> Result<Option<Authority>, Box<Response>> {
    let told = last(headers, &FORWARDED_HOST).or_else(|| forwarded(headers, "host").pop());
    told.map(|host| Authority::parse(&host).ok_or_else(|| bad("the forwarded host is not HOST or HOST:PORT")))
        .transpose()
}

/// The address of a trusted proxy's client: the last one in the chain that is not a trusted proxy itself.
fn client(headers: &HeaderMap, web: &WebPlan, peer: SocketAddr) -> SocketAddr {
    let mut chain = items(headers, &FORWARDED_FOR);
    if chain.is_empty() {
        chain = forwarded(headers, "for");
    }
    let told = chain.iter().rev().map_while(|item| address(item));
    let mut nearest = peer;
    for hop in told {
        nearest = hop;
        if !is_trusted(web, hop.ip()) {
            break;
        }
    }
    nearest
}

/// `IP`, `IP:PORT`, `[IP]` or `[IP]:PORT`.
fn address(item: &str) -> Option<SocketAddr> {
    let bare = |item: &str| item.parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, 0));
    item.parse().ok().or_else(|| bare(item)).or_else(|| bare(item.strip_prefix('[')?.strip_suffix(']')?))
}

/// The items of a list that may be spread over several headers.
fn items(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect()
}

/// What the nearest proxy said.
fn last(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    items(headers, name).pop()
}

/// The values of one parameter of `Forwarded`.
fn forwarded(headers: &HeaderMap, parameter: &str) -> Vec<String> {
    let hops = items(headers, &header::FORWARDED);
    let value = |hop: &String| {
        hop.split(';').find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            name.trim().eq_ignore_ascii_case(parameter).then(|| value.trim().trim_matches('"').to_owned())
        })
    };
    hops.iter().filter_map(value).collect()
}

#[expect(clippy::unnecessary_box_returns, reason = "boxed as the error of a `Result`, which stays small")]
fn bad(text: &str) -> Box<Response> {
    Box::new(refuse(StatusCode::BAD_REQUEST, text.to_owned()))
}

fn refuse(status: StatusCode, text: impl Into<String>) -> Response {
    respond::finish(respond::body(status, respond::TEXT, text.into() + "\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://ci.example.org/";

    fn web() -> WebPlan {
        WebPlan {
            listen: Some("builds.local:8010".to_owned()),
            hosts: vec!["other.example".to_owned(), "*.lan".to_owned()],
            trusted_proxies: vec!["10.0.0.0/8".to_owned()],
            ..WebPlan::default()
        }
    }

    fn asked(
        peer: &str,
        target: &str,
        version: Version,
        headers: &[(&'static str, &str)],
    ) -> Result<(String, String), u16> {
        let mut request = warp::http::Request::builder().uri(target).version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let web = web();
        let hosts = KnownHosts { url: URL, web: &web };
        let from = admit(&mut parts, hosts, format!("{peer}:5").parse().unwrap()).map_err(|r| r.status().as_u16())?;
        let host = parts.headers.get(header::HOST).map_or("", |host| host.to_str().unwrap()).to_owned();
        Ok((host, from.ip().to_string()))
    }

    fn host(host: &str) -> u16 {
        asked("192.0.2.1", "/", Version::HTTP_11, &[("host", host)]).map_or_else(|status| status, |_| 200)
    }

    #[test]
    fn our_own_hosts_are_let_in_however_they_are_written() {
        for ours in [
            "127.0.0.1:8010",
            "10.1.2.3",
            "[::1]:8010",
            "[fe80::1]",
            "localhost",
            "LocalHost:8010",
            "a.localhost",
            "localhost.",
            "ci.example.org",
            "CI.example.org:443",
            "ci.example.org.",
            "other.example:1",
            "builds.local",
            "x.lan",
            "x.y.lan",
        ] {
            assert_eq!(host(ours), 200, "{ours}");
        }
    }

    #[test]
    fn hosts_of_others_are_misdirected_and_what_is_no_host_is_bad() {
        for theirs in [
            "evil.example",
            "ci.example.org.evil.example",
            "notlocalhost",
            "xci.example.org",
            "lan",
            "xlan",
            "127.0.0.1.evil",
            "2130706433",
            "127.1",
            "0x7f.1",
            "localhost.evil.example:80",
        ] {
            assert_eq!(host(theirs), 421, "{theirs}");
        }
        for broken in
            ["", "localhost@evil.example", "evil.example@localhost", "a b", "::1", "[::1", "localhost:x", "a,b", "/"]
        {
            assert_eq!(host(broken), 400, "{broken}");
        }
    }

    #[test]
    fn every_version_and_form_of_target_names_one_host() {
        let no_host = |version| asked("192.0.2.1", "/", version, &[]);
        assert_eq!(no_host(Version::HTTP_11), Err(400));
        assert_eq!(no_host(Version::HTTP_2), Err(400));
        assert!(no_host(Version::HTTP_10).is_ok(), "no browser speaks it");
        let ask = |target: &str, version, host: &[(&'static str, &str)]| {
            asked("192.0.2.1", target, version, host).map(|(host, _)| host)
        };
        assert_eq!(ask("http://localhost:8010/x", Version::HTTP_2, &[]), Ok("localhost:8010".to_owned()));
        assert_eq!(ask("http://evil.example/x", Version::HTTP_2, &[]), Err(421));
        assert_eq!(ask("http://evil.example/x", Version::HTTP_11, &[("host", "localhost")]), Err(400));
        assert_eq!(ask("http://localhost/x", Version::HTTP_11, &[("host", "evil.example")]), Err(400));
        assert_eq!(ask("http://localhost/x", Version::HTTP_10, &[]), Ok("localhost".to_owned()));
        assert_eq!(ask("http://a@localhost/x", Version::HTTP_11, &[("host", "localhost")]), Err(400));
        assert_eq!(ask("/", Version::HTTP_11, &[("host", "localhost"), ("host", "localhost")]), Err(400));
        assert_eq!(ask("localhost:80", Version::HTTP_11, &[("host", "localhost")]), Err(400), "no path");
        assert!(ask("*", Version::HTTP_11, &[("host", "localhost")]).is_ok());
    }

    #[test]
    fn workers_come_under_any_name_and_browsers_do_not() {
        let evil = ("host", "evil.example");
        let upgrade = ("upgrade", "WebSocket");
        let ask =
            |path: &str, headers: &[(&'static str, &str)]| asked("192.0.2.1", path, Version::HTTP_11, headers).is_ok();
        assert!(ask("/", &[evil, upgrade]) && ask("/x", &[evil, upgrade, ("authorization", "Basic x")]));
        assert!(!ask("/ws", &[evil, upgrade]) && !ask("/", &[evil, ("authorization", "Basic x")]));
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let ask = |peer: &str, headers: &[(&'static str, &str)]| {
            let headers: Vec<_> = [("host", "10.0.0.9")].iter().chain(headers).copied().collect();
            asked(peer, "/", Version::HTTP_11, &headers)
        };
        let told = |host: &str, from: &str| Ok((host.to_owned(), from.to_owned()));
        let said = [("x-forwarded-host", "ci.example.org"), ("x-forwarded-for", "192.0.2.7, 203.0.113.5, 10.0.0.3")];
        assert_eq!(ask("10.0.0.2", &said), told("ci.example.org", "203.0.113.5"));
        assert_eq!(ask("192.0.2.1", &said), told("10.0.0.9", "192.0.2.1"));
        let standard =
            [("forwarded", "for=192.0.2.7;host=x, for=\"[2001:db8::1]:99\";proto=https;host=\"ci.example.org\"")];
        assert_eq!(ask("10.0.0.2", &standard), told("ci.example.org", "2001:db8::1"));
        assert_eq!(ask("10.0.0.2", &[("x-forwarded-host", "evil.example")]), Err(421));
        assert_eq!(ask("10.0.0.2", &[("x-forwarded-host", "a b")]), Err(400));
        assert_eq!(ask("10.0.0.2", &[("x-forwarded-for", "unknown")]), told("10.0.0.9", "10.0.0.2"));
    }

    #[test]
    fn a_tunnel_is_not_offered() {
        let (mut parts, ()) =
            warp::http::Request::builder().method("CONNECT").uri("a:443").body(()).unwrap().into_parts();
        let web = web();
        let refused =
            admit(&mut parts, KnownHosts { url: URL, web: &web }, "192.0.2.1:5".parse().unwrap()).unwrap_err();
        assert_eq!((refused.status().as_u16(), refused.headers().contains_key("allow")), (405, true));
    }
}
