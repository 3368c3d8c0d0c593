//! What there is to be allowed: the closed list of actions, and which one each order takes.

use serde::{Deserialize, Serialize};

use super::Order;

/// Something that somebody may be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Action {
    /// See it: pages, API, events, logs.
    Read,
    /// Start builds by hand.
    Force,
    /// Stop a build.
    Stop,
    /// Cancel a request.
    Cancel,
    /// Start a build that ended once more.
    Rebuild,
    /// Change the priority of a request.
    Prioritise,
    /// Switch a scheduler on or off.
    Enable,
    /// Pause, unpause, stop or kill a worker.
    Pause,
    /// Poll change sources now.
    Poll,
    /// Load the configuration again.
    Reload,
    /// Report changes.
    Change,
    /// Build a patch.
    Try,
    /// Send a report again or now, or give it up.
    Resend,
    /// Read who did what.
    Audit,
    /// Manage users and tokens.
    Admin,
}

impl Action {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Read,
        Self::Force,
        Self::Stop,
        Self::Cancel,
        Self::Rebuild,
        Self::Prioritise,
        Self::Enable,
        Self::Pause,
        Self::Poll,
        Self::Reload,
        Self::Change,
        Self::Try,
        Self::Resend,
        Self::Audit,
        Self::Admin,
    ];

    /// Its word in configurations, tokens and texts.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Force => "force",
            Self::Stop => "stop",
            Self::Cancel => "cancel",
            Self::Rebuild => "rebuild",
            Self::Prioritise => "prioritise",
            Self::Enable => "enable",
            Self::Pause => "pause",
            Self::Poll => "poll",
            Self::Reload => "reload",
            Self::Change => "change",
            Self::Try => "try",
            Self::Resend => "resend",
            Self::Audit => "audit",
            Self::Admin => "admin",
        }
    }

    /// The one of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|action| action.word() == word)
    }
}

impl Order {
    /// The right that it takes.
    #[must_use]
    pub const fn action(&self) -> Action {
        match self {
            Self::Force(_) => Action::Force,
            Self::Rebuild { .. } => Action::Rebuild,
            Self::StopBuild { .. } | Self::EndBuild { .. } => Action::Stop,
            Self::CancelRequest { .. } => Action::Cancel,
            Self::SetPriority { .. } => Action::Prioritise,
            Self::EnableScheduler { .. } => Action::Enable,
            Self::PauseWorker { .. } | Self::StopWorker { .. } | Self::KillWorker { .. } => Action::Pause,
            Self::AddChanges { .. } => Action::Change,
            Self::Poll { .. } => Action::Poll,
            Self::Resend { .. } | Self::DeliverNow { .. } | Self::GiveUpReport { .. } => Action::Resend,
            Self::Reload { .. } => Action::Reload,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_one_action() {
        for action in Action::ALL {
            assert_eq!(Action::of_word(action.word()), Some(action));
        }
        assert_eq!(Action::of_word("Read"), None);
    }
}
