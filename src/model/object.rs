//! What an action is done to, and the answer to somebody who may not.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{ADMIN, Action, Identity, Properties, Value};

/// What an action is done to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Object {
    /// A builder, or one of its builds and requests. `owners` are those who wanted the build or request.
    Builder {
        name: String,
        owners: BTreeSet<String>,
    },
    Worker {
        name: String,
    },
    Scheduler {
        name: String,
    },
    /// A change source.
    Source {
        name: String,
    },
    /// What changes belong to.
    Project {
        name: String,
    },
    /// The installation as such: to read it is to see the pages around everything else.
    Installation,
    /// How the installation runs: its configuration, its deliveries, alerts about the master.
    Operation,
}

impl Object {
    /// A builder as such.
    #[must_use]
    pub fn builder(name: impl Into<String>) -> Self {
        Self::Builder { name: name.into(), owners: BTreeSet::new() }
    }

    /// A build or request of a builder, which those who wanted it own, as Buildbot's properties say it.
    #[must_use]
    pub fn owned(name: impl Into<String>, properties: &Properties) -> Self {
        let several = match properties.get("owners") {
            Some(Value::List(owners)) => owners.as_slice(),
            _ => &[],
        };
        let owners = several.iter().chain(properties.get("owner")).filter_map(Value::as_str);
        let owners = owners.filter(|owner| !owner.is_empty()).map(str::to_owned).collect();
        Self::Builder { name: name.into(), owners }
    }

    /// A worker.
    #[must_use]
    pub fn worker(name: impl Into<String>) -> Self {
        Self::Worker { name: name.into() }
    }

    /// The kind of thing.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Builder { .. } => "builder",
            Self::Worker { .. } => "worker",
            Self::Scheduler { .. } => "scheduler",
            Self::Source { .. } => "source",
            Self::Project { .. } => "project",
            Self::Installation => "installation",
            Self::Operation => "operation",
        }
    }

    /// Its name; none for what there is once.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Builder { name, .. }
            | Self::Worker { name }
            | Self::Scheduler { name }
            | Self::Source { name }
            | Self::Project { name } => Some(name),
            Self::Installation | Self::Operation => None,
        }
    }

    /// Whether somebody wanted this build or request.
    #[must_use]
    pub fn is_of(&self, identity: &Identity) -> bool {
        matches!(self, Self::Builder { owners, .. } if owners.iter().any(|owner| identity.is_owner(owner)))
    }
}

/// ``builder `linux` ``.
impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.name()) {
            (Self::Source { .. }, Some(name)) => write!(f, "change source `{name}`"),
            (_, Some(name)) => write!(f, "{} `{name}`", self.kind()),
            (Self::Operation, _) => f.write_str("the operation of this installation"),
            (_, None) => f.write_str("this installation"),
        }
    }
}

/// Somebody may not do something: which right is missing, and who has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    pub who: String,
    pub action: Action,
    pub object: Object,
    /// The roles that have the right, the most special first.
    pub roles: Vec<String>,
    /// Whether nobody logged in, so that logging in may help.
    pub anonymous: bool,
    /// The token that does not allow it, if it is the token's fault.
    pub token: bool,
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { who, action, object, roles, anonymous, token } = self;
        write!(f, "{who} does not have the right `{}` for {object}: ", action.word())?;
        if *token {
            return write!(f, "the token was made without it");
        }
        if *anonymous {
            f.write_str("log in first; ")?;
        }
        match roles.as_slice() {
            [] => write!(f, "only role `{ADMIN}` has it"),
            [role] => write!(f, "role `{role}` has it"),
            [others @ .., last] => {
                let others: Vec<String> = others.iter().map(|role| format!("`{role}`")).collect();
                write!(f, "roles {} and `{last}` have it", others.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_says_what_is_missing_and_who_has_it() {
        let denial = Denial {
            who: "user `ann`".to_owned(),
            action: Action::Stop,
            object: Object::builder("linux"),
            roles: vec!["owner".to_owned(), "admin".to_owned()],
            anonymous: false,
            token: false,
        };
        let text = "user `ann` does not have the right `stop` for builder `linux`: roles `owner` and `admin` have it";
        assert_eq!(denial.to_string(), text);
    }
}
