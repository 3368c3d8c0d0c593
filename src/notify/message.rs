//! A mail that is ready to be sent, in plain words: no wire form yet.

use std::collections::BTreeMap;

use crate::base::Timestamp;

/// A mail, rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailMessage {
    /// With its angle brackets; the same for each attempt to send the same report.
    pub message_id: String,
    /// When the report was made.
    pub date: Timestamp,
    /// `Name <mail>` or just the address.
    pub from: String,
    /// Likewise, each address once.
    pub to: Vec<String>,
    /// One line.
    pub subject: String,
    /// The plain part.
    pub text: String,
    /// The HTML part; none when the user's own text must stand alone.
    pub html: Option<String>,
    /// Further headers, one line each.
    pub headers: BTreeMap<String, String>,
    /// What is wrong with it although it can be sent: who is left out, which template failed.
    pub remarks: Vec<String>,
    /// A server that refuses some recipients for the moment makes the mail wait for all of them, so
    /// that nobody gets it twice. Past some age it goes to those who can have it.
    pub wait_for_all: bool,
}
