//! Addresses of repositories, and the logins that they may hold.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::base::environment::variable;
use crate::model::{login_header, secret_login, web_server, without_login};

/// What stands in for a secret.
const MASK: &str = "***";

/// An address, and what of it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    full: String,
    /// For the git program, people and records: without a login that holds a secret.
    pub public: String,
    secrets: Vec<String>,
}

impl Address {
    /// Takes an address as the git program takes it: URL, `user@host:path`, or path.
    pub(super) fn new(full: &str) -> Self {
        let (user, password) = secret_login(full).unwrap_or_default();
        let token = login_header(full).and_then(|header| header.rsplit(' ').next().map(str::to_owned));
        let login = full.split_once("://").and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@'));
        let login = login.filter(|_| !user.is_empty() || !password.is_empty()).map(|(login, _)| login.to_owned());
        let hidden = if password.is_empty() { user } else { password };
        let secrets = [login, token, Some(hidden)].into_iter().flatten().filter(|text| !text.is_empty());
        Self { full: full.to_owned(), public: without_login(full), secrets: secrets.collect() }
    }

    /// Variables that bring the login to the git program: it is in no file, and no list of processes shows it. What the
    /// master itself was given in this way stays.
    pub(super) fn settings(&self) -> BTreeMap<String, Option<OsString>> {
        let (Some(header), Some(server)) = (login_header(&self.full), web_server(&self.full)) else {
            return BTreeMap::new();
        };
        let count: usize = variable("GIT_CONFIG_COUNT").and_then(|count| count.parse().ok()).unwrap_or(0);
        let set = |name: String, value: String| (name, Some(OsString::from(value)));
        BTreeMap::from([
            set("GIT_CONFIG_COUNT".to_owned(), (count + 1).to_string()),
            set(format!("GIT_CONFIG_KEY_{count}"), format!("http.{server}.extraHeader")),
            set(format!("GIT_CONFIG_VALUE_{count}"), header),
        ])
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
    fn a_login_goes_to_git_by_itself() {
        let address = Address::new("https://ann:pa:ss@example.org/r.git");
        assert_eq!(address.public, "https://example.org/r.git");
        let settings = address.settings();
        let value = |name: &str| settings[name].as_ref().and_then(|value| value.to_str()).unwrap();
        assert_eq!(value("GIT_CONFIG_KEY_0"), "http.https://example.org/.extraHeader");
        assert_eq!(value("GIT_CONFIG_VALUE_0"), "Authorization: Basic YW5uOnBhOnNz");
        assert!(Address::new("https://ann@example.org/r.git").settings().is_empty());
    }

    #[test]
    fn what_git_says_is_masked() {
        let address = Address::new("https://ann:s3cret@example.org/r.git");
        let said = "fatal: unable to access 'https://ann:s3cret@example.org/r.git/': s3cret YW5uOnMzY3JldA==";
        assert_eq!(address.mask(said), "fatal: unable to access 'https://example.org/r.git/': *** ***");
    }
}
