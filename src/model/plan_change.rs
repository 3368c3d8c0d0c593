//! How two configurations differ, thing by thing.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{BuilderId, ChangeSourceId, SchedulerId, WorkerId};

/// A difference between two configurations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PlanChange {
    /// A builder; if it was removed, `waiting` requests wait for its return.
    Builder {
        id: BuilderId,
        name: String,
        how: Difference,
        waiting: u64,
    },
    Worker {
        id: WorkerId,
        name: String,
        how: Difference,
    },
    Scheduler {
        id: SchedulerId,
        name: String,
        how: Difference,
    },
    ChangeSource {
        id: ChangeSourceId,
        name: String,
        how: Difference,
    },
    Notifier {
        name: String,
        how: Difference,
    },
    Lock {
        name: String,
        how: Difference,
    },
    Project {
        name: String,
        how: Difference,
    },
    Codebase {
        name: String,
        how: Difference,
    },
    /// A section of settings.
    Settings(Section),
    /// Nothing but texts of functions.
    Scripts,
}

/// The names of one kind of thing that a configuration brings into force or takes out of it, against the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameChanges<Id> {
    /// Names that were not in force: with a new id, or with the one that they had when they last were.
    pub added: BTreeMap<String, Id>,
    /// Things that are not in force any more.
    pub removed: Vec<Id>,
}

/// Names that come into force.
impl<Id> FromIterator<(String, Id)> for NameChanges<Id> {
    fn from_iter<I: IntoIterator<Item = (String, Id)>>(names: I) -> Self {
        Self { added: names.into_iter().collect(), removed: Vec::new() }
    }
}

/// How a thing differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Difference {
    Added,
    Removed,
    Changed,
    /// Another thing took its name: nothing of the old one's state fits it.
    Replaced,
}

/// A section of settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Section {
    Master,
    Web,
    Rights,
    Database,
    Secrets,
    Properties,
}

impl Difference {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Replaced => "replaced",
        }
    }
}

impl Section {
    /// Its name in a configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Master => "master",
            Self::Web => "web",
            Self::Rights => "rights",
            Self::Database => "database",
            Self::Secrets => "secrets",
            Self::Properties => "properties",
        }
    }
}

impl PlanChange {
    /// The kind of thing.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Builder { .. } => "builder",
            Self::Worker { .. } => "worker",
            Self::Scheduler { .. } => "scheduler",
            Self::ChangeSource { .. } => "change source",
            Self::Notifier { .. } => "notifier",
            Self::Lock { .. } => "lock",
            Self::Project { .. } => "project",
            Self::Codebase { .. } => "codebase",
            Self::Settings(_) => "settings",
            Self::Scripts => "scripts",
        }
    }

    /// Its name; none for what there is once.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Builder { name, .. }
            | Self::Worker { name, .. }
            | Self::Scheduler { name, .. }
            | Self::ChangeSource { name, .. }
            | Self::Notifier { name, .. }
            | Self::Lock { name, .. }
            | Self::Project { name, .. }
            | Self::Codebase { name, .. } => Some(name),
            Self::Settings(section) => Some(section.word()),
            Self::Scripts => None,
        }
    }

    /// How it differs.
    #[must_use]
    pub const fn how(&self) -> Difference {
        match self {
            Self::Builder { how, .. }
            | Self::Worker { how, .. }
            | Self::Scheduler { how, .. }
            | Self::ChangeSource { how, .. }
            | Self::Notifier { how, .. }
            | Self::Lock { how, .. }
            | Self::Project { how, .. }
            | Self::Codebase { how, .. } => *how,
            Self::Settings(_) | Self::Scripts => Difference::Changed,
        }
    }

    /// How it differs, in words.
    #[must_use]
    pub fn in_words(&self) -> String {
        let word = self.how().word();
        match self {
            Self::Builder { waiting: 0, .. } => word.to_owned(),
            Self::Builder { waiting: 1, .. } => format!("{word}, and one request waits for its return"),
            Self::Builder { waiting, .. } => format!("{word}, and {waiting} requests wait for its return"),
            _ => word.to_owned(),
        }
    }
}

/// ``builder `linux` added``.
impl fmt::Display for PlanChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{} `{name}` {}", self.kind(), self.in_words()),
            None => write!(f, "{} {}", self.kind(), self.in_words()),
        }
    }
}
