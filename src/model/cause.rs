//! What causes facts: who or what woke the engine.
//!
//! One input is one turn, and a turn has one cause, which stands on each of its facts. A log of who did what follows from
//! the facts alone.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{AuthorClass, BuildId, ChangeSourceId, LoginMethod, ReportId, WorkerId};

/// What woke the engine.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cause {
    /// Somebody gave an order.
    Order(Actor),
    /// A worker connected, was lost, or told something. One that no configuration ever had causes nothing.
    Worker(WorkerId),
    /// A change source was polled.
    Source(ChangeSourceId),
    /// A moment came that the engine waited for.
    Clock,
    /// The configuration was loaded because the master started or its files changed.
    Configuration,
    /// A script of a build was evaluated.
    Script(BuildId),
    /// A report was delivered, or was not.
    Delivery(ReportId),
    /// A master took up work on what an earlier one left.
    Recovery,
    /// A master ends in order.
    Shutdown,
}

/// Who gives an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Actor {
    /// A person who did not log in, by the name that they gave. Nobody checks it.
    Person { name: Option<String>, via: Via },
    /// A token of the API, by its name.
    Token {
        name: String,
        #[serde(default)]
        class: AuthorClass,
    },
    /// A change hook, by its dialect.
    Hook { dialect: String },
    /// Somebody who logged in, by the name that they proved; or the master's own user ([`LoginMethod::Machine`]), who may
    /// say any name.
    User { name: String, via: Via, login: LoginMethod, class: AuthorClass },
}

/// The way by which a person gives an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Via {
    /// A page.
    Page,
    /// The HTTP API.
    Api,
    /// The command line.
    CommandLine,
    /// A signal to the master's process.
    Signal,
}

/// What lists show where nobody said a name.
pub const ANONYMOUS: &str = "anonymous";

impl Actor {
    /// A person, by the name that they gave; a blank one is none.
    #[must_use]
    pub fn person(name: &str, via: Via) -> Self {
        let name = Some(name.trim()).filter(|name| !name.is_empty() && *name != ANONYMOUS);
        Self::Person { name: name.map(str::to_owned), via }
    }

    /// What kind of author it is.
    #[must_use]
    pub const fn class(&self) -> AuthorClass {
        match self {
            Self::Person { .. } => AuthorClass::Person,
            Self::Token { class, .. } | Self::User { class, .. } => *class,
            Self::Hook { .. } => AuthorClass::Bot,
        }
    }

    /// The name for lists and texts.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Person { name, .. } => name.as_deref().unwrap_or(ANONYMOUS),
            Self::Token { name, .. } | Self::User { name, .. } => name,
            Self::Hook { dialect } => dialect,
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person { .. } | Self::User { .. } => f.write_str(self.name()),
            Self::Token { name, .. } => write!(f, "token `{name}`"),
            Self::Hook { dialect } => write!(f, "hook `{dialect}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_without_a_name_is_anonymous() {
        assert_eq!(Actor::person(" ", Via::Page), Actor::Person { name: None, via: Via::Page });
        assert_eq!(Actor::person("anonymous", Via::Page).name(), "anonymous");
        assert_eq!(Actor::person(" ann ", Via::Api).to_string(), "ann");
        assert_eq!(Actor::Hook { dialect: "base".to_owned() }.to_string(), "hook `base`");
    }
}
