//! What needs a person: an alert, and what it is about.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{BuildId, RequestId};
use crate::base::Timestamp;

/// Something that needs a person, as long as it lasts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// What it is about.
    pub subject: AlertSubject,
    /// What kind of trouble, in a word or two (`poll`, `delivery`): a subject has at most one alert of a kind.
    pub kind: String,
    /// What is wrong, for people; one or several lines.
    pub text: String,
    /// What would help.
    pub hint: Option<String>,
    /// When the trouble began.
    pub first: Timestamp,
    /// When it was last seen.
    pub last: Timestamp,
}

/// What an alert is about: a kind of thing and its name. The order is that in which lists show them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AlertSubject {
    /// The configuration as a whole.
    Configuration,
    /// The master itself: its store, its disk, its tasks, its evaluators.
    Master,
    /// A secret that the configuration names.
    Secret(String),
    /// A change source.
    Source(String),
    /// A change hook, by its dialect.
    Hook(String),
    /// A scheduler.
    Scheduler(String),
    /// A builder.
    Builder(String),
    /// A build that runs.
    Build(BuildId),
    /// A build request that waits.
    Request(RequestId),
    /// A worker, configured or not.
    Worker(String),
    /// A notifier.
    Notifier(String),
    /// Who calls over the network, or what is asked for there (an address, a host name).
    Network(String),
}

impl AlertSubject {
    /// The kind of thing, as the API and the log tell it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Master => "master",
            Self::Secret(_) => "secret",
            Self::Source(_) => "source",
            Self::Hook(_) => "hook",
            Self::Scheduler(_) => "scheduler",
            Self::Builder(_) => "builder",
            Self::Build(_) => "build",
            Self::Request(_) => "request",
            Self::Worker(_) => "worker",
            Self::Notifier(_) => "notifier",
            Self::Network(_) => "network",
        }
    }

    /// Its name or number; none for what there is only one of.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        match self {
            Self::Configuration | Self::Master => None,
            Self::Secret(name)
            | Self::Source(name)
            | Self::Hook(name)
            | Self::Scheduler(name)
            | Self::Builder(name)
            | Self::Worker(name)
            | Self::Notifier(name)
            | Self::Network(name) => Some(name.clone()),
            Self::Build(id) => Some(id.to_string()),
            Self::Request(id) => Some(id.to_string()),
        }
    }
}

impl fmt::Display for AlertSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self, self.name()) {
            (_, None) => write!(f, "{}", self.kind()),
            (Self::Build(id), _) => write!(f, "build {id}"),
            (Self::Request(id), _) => write!(f, "request {id}"),
            (_, Some(name)) => write!(f, "{} `{name}`", self.kind()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_names_itself() {
        let shown = |subject: AlertSubject| subject.to_string();
        assert_eq!(shown(AlertSubject::Source("p".to_owned())), "source `p`");
        assert_eq!(shown(AlertSubject::Request(RequestId(812))), "request 812");
        assert_eq!(shown(AlertSubject::Configuration), "configuration");
    }
}
