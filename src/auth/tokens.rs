//! Tokens of the API: what each may do, for how long, and the hash of its key. The key is shown once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::secret_key::{digest, draw};
use super::state_file::{StateFile, StateFileError};
use crate::base::{Span, Timestamp};
use crate::model::{Action, AuthorClass, Grant, Identity, LoginMethod};

/// What keys begin with, so that scanners for leaked secrets find them.
pub const TOKEN_PREFIX: &str = "swt_";
/// A key has 47 bytes; a longer text is none.
const KEY_BYTES_MAX: usize = 100;
/// More than programs that call one master.
const TOKENS_MAX: usize = 1_000;
const NAME_BYTES_MAX: usize = 100;

/// A token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Of its key.
    pub(super) digest: String,
    pub actions: BTreeSet<Action>,
    /// Shell patterns of builders; empty: all.
    #[serde(default)]
    pub builders: Vec<String>,
    /// Whose token it is: it may never do more than they may. None: it may do what it was made for.
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub class: AuthorClass,
    pub created: Timestamp,
    #[serde(default)]
    pub expires: Option<Timestamp>,
}

/// What a new token is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewToken {
    pub actions: BTreeSet<Action>,
    pub builders: Vec<String>,
    pub user: Option<String>,
    pub class: AuthorClass,
    pub lives: Option<Span>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct TokenList {
    tokens: BTreeMap<String, TokenRecord>,
}

/// Why a token cannot be made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error(transparent)]
    File(#[from] StateFileError),
    #[error("`{0}` is not a name for a token: use 1 to {NAME_BYTES_MAX} letters, digits and `.`, `-`, `_`")]
    Name(String),
    #[error("there is a token `{0}` already")]
    Exists(String),
    #[error("there is no token `{0}`")]
    Unknown(String),
    #[error("there are {TOKENS_MAX} tokens, and no room for more")]
    Full,
}

/// The list of tokens in a state directory.
#[derive(Debug)]
pub struct Tokens {
    file: StateFile<TokenList>,
}

impl Tokens {
    /// That of a state directory; a list that does not exist is empty.
    pub fn of(data: &Path) -> Self {
        Self { file: StateFile::new(data.join("auth").join("tokens.json")) }
    }

    /// All of them.
    pub fn list(&self) -> Result<BTreeMap<String, TokenRecord>, StateFileError> {
        Ok(self.file.read()?.tokens.clone())
    }

    /// Makes a token; its key, which nobody can look up later.
    pub fn create(&self, name: &str, new: NewToken, now: Timestamp) -> Result<String, TokenError> {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(fits) {
            return Err(TokenError::Name(name.to_owned()));
        }
        let key = format!("{TOKEN_PREFIX}{}", draw());
        let NewToken { actions, builders, user, class, lives } = new;
        let expires = lives.map(|span| now.plus(span));
        let record = TokenRecord { digest: digest(&key), actions, builders, user, class, created: now, expires };
        self.file.change(|list| {
            if list.tokens.contains_key(name) {
                return Err(TokenError::Exists(name.to_owned()));
            }
            if list.tokens.len() >= TOKENS_MAX {
                return Err(TokenError::Full);
            }
            list.tokens.insert(name.to_owned(), record);
            Ok(())
        })??;
        Ok(key)
    }

    /// Makes a token worthless.
    pub fn revoke(&self, name: &str) -> Result<(), TokenError> {
        let revoked = self.file.change(|list| list.tokens.remove(name).is_some())?;
        if revoked { Ok(()) } else { Err(TokenError::Unknown(name.to_owned())) }
    }

    /// The token of a key, if it is still good.
    pub(super) fn find(&self, key: &str, now: Timestamp) -> Result<Option<(String, TokenRecord)>, StateFileError> {
        if key.len() > KEY_BYTES_MAX || !key.starts_with(TOKEN_PREFIX) {
            return Ok(None);
        }
        let wanted = digest(key);
        let list = self.file.read()?;
        let found = list.tokens.iter().find(|(_, token)| token.digest == wanted);
        let good = found.filter(|(_, token)| token.expires.is_none_or(|end| now < end));
        Ok(good.map(|(name, token)| (name.clone(), token.clone())))
    }
}

impl TokenRecord {
    /// Who uses it. `user` is the one it belongs to, as far as that one is known.
    pub(super) fn identity(&self, name: &str, user: Option<Identity>) -> Identity {
        let grant = Grant { token: name.to_owned(), actions: self.actions.clone(), builders: self.builders.clone() };
        Identity {
            user: self.user.clone(),
            login: LoginMethod::Token,
            grant: Some(grant),
            class: self.class,
            ..user.unwrap_or_default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_shown_once_and_good_until_it_expires_or_is_revoked() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = Tokens::of(dir.path());
        let now = Timestamp::from_seconds(1_000);
        let new = || NewToken {
            actions: BTreeSet::from([Action::Force]),
            lives: Some(Span::from_seconds(60)),
            ..NewToken::default()
        };
        let key = tokens.create("deploy", new(), now).unwrap();
        assert!(key.starts_with("swt_") && key.len() == 47, "{key}");
        assert!(matches!(tokens.create("deploy", new(), now), Err(TokenError::Exists(_))));
        let kept = std::fs::read_to_string(dir.path().join("auth/tokens.json")).unwrap();
        assert!(!kept.contains(&key[4..]), "{kept}");
        let (name, token) = tokens.find(&key, now).unwrap().unwrap();
        let identity = token.identity(&name, None);
        assert_eq!((identity.login, identity.grant.unwrap().token.as_str()), (LoginMethod::Token, "deploy"));
        assert!(tokens.find(&key, Timestamp::from_seconds(1_060)).unwrap().is_none(), "it has expired");
        for wrong in ["", "swt_", &key[4..], &format!("{key}x"), &"swt_x".repeat(1_000)] {
            assert!(tokens.find(wrong, now).unwrap().is_none(), "{wrong}");
        }
        tokens.revoke("deploy").unwrap();
        assert!(tokens.find(&key, now).unwrap().is_none());
        assert!(matches!(tokens.create("a b", new(), now), Err(TokenError::Name(_))));
    }
}
