//! The address of the master.

/// The address of a master.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// `ws://…` or `wss://…`.
    pub url: String,
    pub host: String,
    pub port: u16,
}

/// Why a text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read the master's address `{text}`: it is not an address")]
pub struct AddressError {
    text: String,
}

impl Address {
    /// Reads `HOST:PORT`, `ws://HOST[:PORT][/PATH]` or `wss://…`.
    pub fn read(text: &str) -> Result<Self, AddressError> {
        let refuse = || AddressError { text: text.to_owned() };
        let (scheme, rest) = text.split_once("://").unwrap_or(("ws", text));
        let default_port = match scheme {
            "ws" | "http" => 80,
            "wss" | "https" => 443,
            _ => return Err(refuse()),
        };
        let scheme = if default_port == 80 { "ws" } else { "wss" };
        let (place, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
        // An IPv6 address is in brackets, because it contains colons.
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().map_err(|_| refuse())?),
            _ if text.contains("://") => (place, default_port),
            _ => return Err(refuse()),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let odd = |letter: char| letter.is_whitespace() || letter.is_control() || "@?#".contains(letter);
        if bare.is_empty() || (bare == host && host.contains(':')) || place.contains(odd) || path.contains(odd) {
            return Err(refuse());
        }
        Ok(Self { url: format!("{scheme}://{host}:{port}{path}"), host: bare.to_owned(), port })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, String, u16)> {
        Address::read(text).ok().map(|address| (address.url, address.host, address.port))
    }

    #[test]
    fn hosts_with_ports_and_addresses_with_schemes_are_read() {
        for (text, url, host, port) in [
            ("ci:8010", "ws://ci:8010/", "ci", 8010),
            ("[::1]:8010", "ws://[::1]:8010/", "::1", 8010),
            ("ws://ci", "ws://ci:80/", "ci", 80),
            ("wss://ci.example.org/worker", "wss://ci.example.org:443/worker", "ci.example.org", 443),
            ("https://ci:1/", "wss://ci:1/", "ci", 1),
        ] {
            assert_eq!(read(text), Some((url.to_owned(), host.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "ci", "ci:", "ci:port", "ftp://ci", ":80", "::1:80", "a b:80", "me@ci:80", "ws://ci:80/?x"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert!(Address::read("ci").unwrap_err().to_string().contains("`ci`"));
    }
}
