//! How somebody proved who they are, and what kind of author they are: what facts say of both.

use serde::{Deserialize, Serialize};

/// How somebody proved who they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LoginMethod {
    /// Not at all.
    #[default]
    None,
    /// They can read the state directory, or signal the master's process.
    Machine,
    /// By a password that the master checked.
    Password,
    /// By a token of the API.
    Token,
    /// A trusted proxy vouches for them.
    Proxy,
    /// By OpenID Connect or OAuth 2.
    Provider,
    /// By a directory server.
    Ldap,
    /// By the credentials of a change hook.
    Hook,
}

/// What kind of author is behind a request: lanes and limits can depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AuthorClass {
    #[default]
    Person,
    /// A program that works by itself.
    Bot,
    /// A program that writes changes for a person.
    Agent,
    /// Somebody from outside, by a fork of a repository.
    Fork,
}

impl LoginMethod {
    /// Its word in facts, pages and functions.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Machine => "machine",
            Self::Password => "password",
            Self::Token => "token",
            Self::Proxy => "proxy",
            Self::Provider => "provider",
            Self::Ldap => "ldap",
            Self::Hook => "hook",
        }
    }
}

impl AuthorClass {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Person, Self::Bot, Self::Agent, Self::Fork];

    /// Its word in configurations and functions.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Bot => "bot",
            Self::Agent => "agent",
            Self::Fork => "fork",
        }
    }

    /// The one of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.word() == word)
    }
}
