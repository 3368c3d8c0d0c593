//! Addresses of repositories as the git program takes them: a URL, `user@host:path`, or a path.
//!
//! Pure text. What a login is worth, and who may see it, is the business of others.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A user name in a web address that is at least this long is an access token: forges let people write one in
/// place of a name. Their tokens have 20 characters and more; people's names rarely do.
const TOKEN_CHARS_MIN: usize = 20;

/// Ports that a URL of a scheme means without naming them.
const USUAL_PORTS: [(&str, &str); 4] = [("http", "80"), ("https", "443"), ("ssh", "22"), ("git", "9418")];

/// A URL in its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Url<'a> {
    scheme: &'a str,
    /// What stands before the `@`.
    login: Option<&'a str>,
    host: &'a str,
    /// From its first slash on.
    path: &'a str,
}

impl<'a> Url<'a> {
    fn of(address: &'a str) -> Option<Self> {
        let (scheme, rest) = address.split_once("://")?;
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (login, host) = match authority.rsplit_once('@') {
            Some((login, host)) => (Some(login), host),
            None => (None, authority),
        };
        Some(Self { scheme, login, host, path })
    }

    fn is_web(&self) -> bool {
        matches!(self.scheme.to_ascii_lowercase().as_str(), "http" | "https")
    }
}

/// The login that a web address holds, if it holds a secret: one with a password, or a token in place of a name.
#[must_use]
pub fn secret_login(address: &str) -> Option<(String, String)> {
    let url = Url::of(address)?;
    match url.login?.split_once(':') {
        Some((user, password)) => Some((decoded(user), decoded(password))),
        None if url.is_web() && url.login?.chars().count() >= TOKEN_CHARS_MIN => {
            Some((decoded(url.login?), String::new()))
        }
        None => None,
    }
}

/// The address without a login that holds a secret. The user of an SSH address stays: it says who to be.
#[must_use]
pub fn without_login(address: &str) -> String {
    let (Some(url), Some((user, _))) = (Url::of(address), secret_login(address)) else { return address.to_owned() };
    if url.is_web() {
        format!("{}://{}{}", url.scheme, url.host, url.path)
    } else {
        format!("{}://{user}@{}{}", url.scheme, url.host, url.path)
    }
}

/// The header that brings the secret login of a web address to its server.
#[must_use]
pub fn login_header(address: &str) -> Option<String> {
    Url::of(address).filter(Url::is_web)?;
    let (user, password) = secret_login(address)?;
    Some(format!("Authorization: Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

/// The server of a web address, as git names the settings of one.
#[must_use]
pub fn web_server(address: &str) -> Option<String> {
    let url = Url::of(address).filter(Url::is_web)?;
    Some(format!("{}://{}/", url.scheme, url.host))
}

/// Bytes that a URL writes as `%41`.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        let code = code.filter(|_| *first == b'%').and_then(|two| u8::from_str_radix(two, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The form in which two addresses of one repository are equal: `host/path` without scheme, login, usual port, `.git`
/// and slashes at the end. A path on this machine stays a path.
///
/// The `ssh` and the `https` address of a repository are the same then; two servers on other ports of a host are not.
#[must_use]
pub fn normal_address(address: &str) -> String {
    let address = address.trim();
    if let Some(url) = Url::of(address) {
        if url.scheme.eq_ignore_ascii_case("file") {
            return normal_path(&decoded(url.path));
        }
        return remote(&host_of(&url), &decoded(url.path));
    }
    match scp_form(address) {
        Some((host, path)) => remote(&host.to_ascii_lowercase(), path),
        None => normal_path(address),
    }
}

fn host_of(url: &Url<'_>) -> String {
    let host = url.host.to_ascii_lowercase();
    let scheme = url.scheme.to_ascii_lowercase();
    let usual = USUAL_PORTS.iter().find(|(of, _)| scheme.split('+').any(|part| part == *of));
    match host.rsplit_once(':') {
        Some((name, port)) if usual.is_some_and(|(_, usual)| *usual == port) || port.is_empty() => name.to_owned(),
        _ => host,
    }
}

/// Whether an address is a path that means something else in each directory. `~` is a place of its own.
#[must_use]
pub fn is_relative_address(address: &str) -> bool {
    let address = address.trim();
    let is_drive = address.get(1..2) == Some(":");
    let is_rooted = address.starts_with(['/', '\\', '~']) || is_drive;
    !address.is_empty() && Url::of(address).is_none() && scp_form(address).is_none() && !is_rooted
}

/// `user@host:path`: a colon before any slash, and no drive of Windows.
fn scp_form(address: &str) -> Option<(&str, &str)> {
    let (before, path) = address.split_once(':')?;
    let is_drive = before.len() == 1 && before.chars().all(|letter| letter.is_ascii_alphabetic());
    if is_drive || before.contains(['/', '\\']) {
        return None;
    }
    Some((before.rsplit_once('@').map_or(before, |(_, host)| host), path))
}

fn remote(host: &str, path: &str) -> String {
    let path = normal_path(path);
    format!("{host}/{}", path.trim_start_matches('/'))
}

/// A path without `.git` and slashes at its end, and without doubled ones.
fn normal_path(path: &str) -> String {
    let path = path.replace('\\', "/");
    let is_absolute = path.starts_with('/');
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let joined = parts.join("/");
    let joined = joined.strip_suffix("/.git").or_else(|| joined.strip_suffix(".git")).unwrap_or(&joined);
    format!("{}{}", if is_absolute { "/" } else { "" }, joined.trim_end_matches('/'))
}

/// The name of a repository: the last part of its address.
#[must_use]
pub fn repository_name(address: &str) -> String {
    let normal = normal_address(address);
    normal.rsplit('/').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relative_paths_are_told_from_other_addresses() {
        for address in ["app", "./app", "../app.git", "team/app"] {
            assert!(is_relative_address(address), "{address}");
        }
        for address in
            ["", "/srv/app", "~/app", "C:\\app", "C:/app", "git@host:app", "host:app", "file:///app", "https://h/a"]
        {
            assert!(!is_relative_address(address), "{address}");
        }
    }

    #[test]
    fn addresses_of_one_repository_are_equal() {
        for (address, normal) in [
            ("https://example.org/team/app.git", "example.org/team/app"),
            ("https://example.org/team/app/", "example.org/team/app"),
            ("http://ann:pw@Example.org:80/team/app", "example.org/team/app"),
            ("https://example.org:443/team//app.git/", "example.org/team/app"),
            ("ssh://git@example.org:22/team/app.git", "example.org/team/app"),
            ("git+ssh://git@example.org/team/app.git", "example.org/team/app"),
            ("git@example.org:team/app.git", "example.org/team/app"),
            ("example.org:/team/app", "example.org/team/app"),
            ("git://example.org/team/app", "example.org/team/app"),
            ("https://example.org/a%20b", "example.org/a b"),
            ("file:///srv/git/app.git", "/srv/git/app"),
            ("/srv/git/app/.git", "/srv/git/app"),
            ("/srv/git//app/", "/srv/git/app"),
            (" /srv/git/app.git ", "/srv/git/app"),
            ("C:\\git\\app.git", "C:/git/app"),
            ("./app", "app"),
            ("", ""),
        ] {
            assert_eq!(normal_address(address), normal, "{address}");
        }
    }

    #[test]
    fn other_repositories_are_not() {
        let app = normal_address("https://example.org/team/app.git");
        for other in [
            "https://example.org/team/app2",
            "https://example.org:8443/team/app",
            "https://example.net/team/app",
            "https://example.org/Team/app",
            "/team/app",
        ] {
            assert_ne!(normal_address(other), app, "{other}");
        }
    }

    #[test]
    fn logins_with_secrets_leave_the_address() {
        for (address, without) in [
            ("https://ann:pa:ss@example.org/r.git", "https://example.org/r.git"),
            ("https://ghp_0123456789abcdefghij@example.org/r.git", "https://example.org/r.git"),
            ("ssh://git:pw@example.org:2222/r", "ssh://git@example.org:2222/r"),
            ("https://ann@example.org/r.git", "https://ann@example.org/r.git"),
            ("https://example.org/@scope/r.git", "https://example.org/@scope/r.git"),
            ("git@example.org:r.git", "git@example.org:r.git"),
            ("/srv/a:b@c", "/srv/a:b@c"),
        ] {
            assert_eq!(without_login(address), without);
        }
    }

    #[test]
    fn logins_become_a_header_of_their_server() {
        let address = "https://ann:p%40ss@example.org:8443/r.git";
        assert_eq!(login_header(address).as_deref(), Some("Authorization: Basic YW5uOnBAc3M="));
        assert_eq!(web_server(address).as_deref(), Some("https://example.org:8443/"));
        assert_eq!(login_header("ssh://git:pw@example.org/r"), None);
        assert_eq!(login_header("https://example.org/r"), None);
    }

    #[test]
    fn a_repository_has_a_name() {
        assert_eq!(repository_name("git@example.org:team/app.git"), "app");
        assert_eq!(repository_name("/srv/git/app/"), "app");
    }

    #[test]
    fn odd_percent_signs_stay() {
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%zz%41"), "%zzA");
        assert_eq!(decoded("%é"), "%é");
    }
}
