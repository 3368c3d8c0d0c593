//! Who is told of what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::SourcePlace;
use crate::model::{FnId, Text};

/// A notifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifierPlan {
    pub name: String,
    pub on: Vec<NotifyOn>,
    /// Only builds of these builders; none for all.
    pub builders: Option<Vec<String>>,
    /// Only builders with one of these tags.
    pub tags: Vec<String>,
    /// Only builds of these branches; none for all.
    pub branches: Option<Vec<Option<String>>>,
    pub kind: NotifierKind,
    pub place: SourcePlace,
}

/// On which occasions a notifier speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum NotifyOn {
    Success,
    Failure,
    Warnings,
    Exception,
    Cancelled,
    /// Failed, and the one before did not.
    Problem,
    /// Succeeded, and the one before did not.
    Recovery,
    /// Differs from the one before.
    Change,
    Always,
}

/// How a notifier speaks: one line a kind. `docs/ARCHITECTURE.md` names the other places of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotifierKind {
    Mail(Box<MailPlan>),
    /// Writes a line into a file.
    #[cfg(test)]
    Paper(PaperPlan),
}

/// A file to write lines into: the kind of notifier that only tests have.
#[cfg(test)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaperPlan {
    pub file: String,
    /// The user's function for the line.
    pub line: Option<FnId>,
}

/// Transport security of a mail server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MailTls {
    /// None at all: for a server on this machine.
    #[default]
    None,
    /// STARTTLS, required.
    StartTls,
    /// TLS from the first byte.
    Tls,
}

/// Who gets a mail.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipients {
    /// Always these.
    pub to: Vec<String>,
    /// Also the authors of the build's changes (and who forced it).
    pub blame: bool,
    /// Appended to author names without a mail address.
    pub domain: Option<String>,
}

/// `mail(...)`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailPlan {
    pub host: String,
    pub port: u16,
    pub tls: MailTls,
    pub user: Option<String>,
    pub password: Option<Text>,
    pub from: String,
    pub recipients: Recipients,
    /// Further headers.
    pub headers: BTreeMap<String, String>,
    /// The user's subject function (called with the message's facts), none for ours.
    pub subject: Option<FnId>,
    /// The user's text function, none for ours.
    pub body: Option<FnId>,
    /// The user's HTML function, none for ours.
    pub html: Option<FnId>,
    /// How many of the last lines of a failed step's log to include.
    pub log_lines: u64,
}
