//! `HOST` or `HOST:PORT`, as HTTP writes them in `Host`, in `Origin` and in addresses.
//!
//! Invariant: different spellings of one host compare equal. Case and a trailing dot do not matter.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The longest name that the domain name system allows.
const NAME_BYTES_MAX: usize = 253;

/// The host part of an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Host {
    /// A literal address.
    Ip(IpAddr),
    /// A name, in lower case and without the dot at its end.
    Name(String),
}

/// A host, and optionally a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    pub host: Host,
    pub port: Option<u16>,
}

impl Host {
    /// Reads a host; none for anything else, such as a host with a port.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix('[') {
            return inner.strip_suffix(']')?.parse().ok().map(|ip: Ipv6Addr| Self::Ip(ip.into()));
        }
        if let Ok(IpAddr::V4(ip)) = text.parse() {
            return Some(Self::Ip(ip.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        (name.len() <= NAME_BYTES_MAX && name.split('.').all(is_label)).then_some(Self::Name(name))
    }

    /// Whether it always means this machine: nobody can make these names resolve to another one.
    #[must_use]
    pub fn is_loopback_name(&self) -> bool {
        matches!(self, Self::Name(name) if name == "localhost" || name.ends_with(".localhost"))
    }

    /// Whether it means this machine, by name or address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.is_loopback_name() || matches!(self, Self::Ip(ip) if ip.is_loopback())
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Name(name) => name.fmt(f),
        }
    }
}

impl Authority {
    /// Reads `HOST` or `HOST:PORT`; none for anything else, such as `USER@HOST`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let colon = text.rfind(':').filter(|colon| !text[*colon..].contains(']'));
        let (host, port) = colon.map_or((text, None), |colon| (&text[..colon], Some(&text[colon + 1..])));
        let port = match port {
            // An empty port stands for the usual one.
            None | Some("") => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
        };
        Some(Self { host: Host::parse(host)?, port })
    }

    /// The authority of an address such as `https://ci.example.org/path`, with the port that its scheme implies.
    #[must_use]
    pub fn of_url(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let authority = Self::parse(rest.split(['/', '?', '#']).next()?)?;
        let usual = if scheme.eq_ignore_ascii_case("https") { 443 } else { 80 };
        Some(Self { port: authority.port.or(Some(usual)), ..authority })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<(String, Option<u16>)> {
        Authority::parse(text).map(|authority| (authority.host.to_string(), authority.port))
    }

    #[test]
    fn hosts_are_read_in_every_way_they_are_written() {
        let some = |host: &str, port| Some((host.to_owned(), port));
        assert_eq!(shown("CI.Example.org"), some("ci.example.org", None));
        assert_eq!(shown("ci.example.org.:80"), some("ci.example.org", Some(80)));
        assert_eq!(shown("10.0.0.5:8010"), some("10.0.0.5", Some(8010)));
        assert_eq!(shown("[::1]:8010"), some("[::1]", Some(8010)));
        assert_eq!(shown("[0:0::0:1]"), some("[::1]", None));
        assert_eq!(shown("localhost:"), some("localhost", None));
    }

    #[test]
    fn what_names_no_host_is_refused() {
        let long = "a".repeat(254);
        for text in [
            "",
            ".",
            "a..b",
            ":80",
            "a:b",
            "a:99999",
            "a:+8",
            "::1",
            "[::1",
            "[x]",
            "[1.2.3.4]",
            "user@host",
            "a b",
            "a/b",
            "a,b",
            "ü",
            "a\\b",
            "localhost..",
            "a:80:80",
            "a:8@b",
            "[::1%25eth0]",
            &long,
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    #[test]
    fn only_localhost_and_what_is_below_it_is_a_loopback_name() {
        let loopback = |text: &str| Host::parse(text).unwrap().is_loopback_name();
        assert!(loopback("localhost") && loopback("LOCALHOST.") && loopback("ci.localhost"));
        assert!(!loopback("notlocalhost") && !loopback("localhost.evil.example") && !loopback("127.0.0.1"));
    }

    #[test]
    fn an_address_has_the_port_of_its_scheme() {
        assert_eq!(Authority::of_url("https://a/x").unwrap().port, Some(443));
        assert_eq!(Authority::of_url("http://a?x").unwrap().port, Some(80));
        assert_eq!(Authority::of_url("http://a:81").unwrap().port, Some(81));
        assert_eq!(Authority::of_url("null"), None);
        assert_eq!(Authority::of_url("http://user@a/"), None);
    }
}
