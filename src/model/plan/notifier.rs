//! Who is told of what.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::SourcePlace;
use crate::base::Span;
use crate::model::{FnId, Text, address};

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
    /// Of several undelivered reports about the same target only the newest is delivered.
    pub latest_only: bool,
    pub kind: NotifierKind,
    pub place: SourcePlace,
}

impl NotifierPlan {
    /// Names the server that its reports go to, as far as the configuration says it. Reports for one destination share a
    /// bound and pauses, so that a server that is away costs the others nothing.
    #[must_use]
    pub fn destination(&self) -> String {
        match &self.kind {
            NotifierKind::Mail(mail) => format!("{}:{}", mail.host, mail.port),
            NotifierKind::Http(http) => {
                let address = http.url.as_ref().map(Text::masked);
                let server = address.as_ref().map(|url| address::web_server(url).unwrap_or_else(|| url.clone()));
                server.unwrap_or_else(|| format!("notifier {}", self.name))
            }
            #[cfg(test)]
            NotifierKind::Paper(paper) => paper.file.clone(),
        }
    }
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
    /// A build was requested, or its request ended without a build.
    Pending,
    /// A build started.
    Start,
    /// All builds of a buildset ended.
    Set,
}

/// How a notifier speaks: one line a kind. `docs/ARCHITECTURE.md` names the other places of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NotifierKind {
    Mail(Box<MailPlan>),
    Http(Box<HttpPlan>),
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

/// Keys of a request that a user's function describes.
pub const HTTP_REQUEST_KEYS: [&str; 5] = ["method", "url", "headers", "json", "body"];

/// How an HTTP server knows the master.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HttpLogin {
    #[default]
    None,
    /// `Authorization: Bearer TOKEN`.
    Token(Text),
    /// Basic authorization.
    User { user: String, password: Text },
    /// The whole of the header `Authorization`.
    Header(Text),
}

/// `http(...)`: requests that a report becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpPlan {
    pub method: String,
    /// Where requests go, or the address below which those of `request` lie. None if `url_fn` or `request` says it.
    pub url: Option<Text>,
    /// The user's function for the address.
    pub url_fn: Option<FnId>,
    pub headers: BTreeMap<String, Text>,
    /// The user's function for the content as data, sent as JSON.
    pub json: Option<FnId>,
    /// The user's function for the content as text.
    pub body: Option<FnId>,
    /// The user's function for whole requests.
    pub request: Option<FnId>,
    pub login: HttpLogin,
    /// A file of authorities to trust beside the system's, relative to the configuration.
    pub ca_file: Option<String>,
    /// The client's certificate in PEM form.
    pub client_certificate: Option<Text>,
    /// Its private key, if that is not beside it.
    pub client_key: Option<Text>,
    /// How long one request may take.
    pub timeout: Span,
    /// Statuses that count as delivered beside 200 to 299.
    pub accepted: Vec<u16>,
    /// A pattern: an answer whose text it matches counts as delivered, whatever its status.
    pub harmless: Option<String>,
    /// How many of the last lines of a failed step's log to include.
    pub log_lines: u64,
}
