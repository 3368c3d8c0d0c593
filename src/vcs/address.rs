//! Addresses of repositories without what must not be shown.

/// A user name in a web address that is at least this long is an access token: forges let people write one in
/// place of a name. Their tokens have 20 characters and more; people's names rarely do.
const TOKEN_CHARS_MIN: usize = 20;

/// What stands in for a secret.
const MASK: &str = "***";

/// An address, and what of it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// As it was given, for the program that needs it.
    pub full: String,
    /// For people and records: login left out where it held a secret.
    pub public: String,
    secrets: Vec<String>,
}

impl Address {
    /// Takes an address as the git program takes it: URL, `user@host:path`, or path.
    pub(super) fn new(full: &str) -> Self {
        let plain = || Self { full: full.to_owned(), public: full.to_owned(), secrets: Vec::new() };
        let Some((scheme, rest)) = full.split_once("://") else { return plain() };
        let end = rest.find('/').unwrap_or(rest.len());
        let Some(at) = rest[..end].rfind('@') else { return plain() };
        let login = &rest[..at];
        let secret = match login.split_once(':') {
            Some((_, password)) => password,
            None if scheme.starts_with("http") && login.chars().count() >= TOKEN_CHARS_MIN => login,
            None => return plain(),
        };
        let secrets = [login, secret].into_iter().filter(|text| !text.is_empty()).map(ToOwned::to_owned);
        Self { full: full.to_owned(), public: format!("{scheme}://{}", &rest[at + 1..]), secrets: secrets.collect() }
    }

    /// A text of somebody else without the secrets of this address.
    pub(super) fn mask(&self, text: &str) -> String {
        let text = text.replace(&self.full, &self.public);
        self.secrets.iter().fold(text, |text, secret| text.replace(secret, MASK))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_and_tokens_are_left_out() {
        let public = |full: &str| Address::new(full).public;
        assert_eq!(public("https://ann:pa:ss@example.org/r.git"), "https://example.org/r.git");
        assert_eq!(public("https://ghp_0123456789abcdefghij@example.org/r.git"), "https://example.org/r.git");
        assert_eq!(public("ssh://git:pw@example.org:2222/r"), "ssh://example.org:2222/r");
    }

    #[test]
    fn addresses_without_secrets_stay_as_they_are() {
        for full in [
            "https://ann@example.org/r.git",
            "https://example.org/@scope/r.git",
            "ssh://git@example.org/r",
            "git@example.org:r.git",
            "/srv/git/r.git",
            "C:\\git\\r",
        ] {
            assert_eq!(Address::new(full).public, full);
        }
    }

    #[test]
    fn what_git_says_is_masked() {
        let address = Address::new("https://ann:s3cret@example.org/r.git");
        let said = "fatal: unable to access 'https://ann:s3cret@example.org/r.git/': s3cret";
        assert_eq!(address.mask(said), "fatal: unable to access 'https://example.org/r.git/': ***");
    }
}
