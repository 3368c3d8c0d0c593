//! How people log in: `login(...)`, and how long a login lasts.

use serde::{Deserialize, Serialize};

use super::SourcePlace;
use crate::base::Span;

/// The ways of logging in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginsPlan {
    /// In the order of the file: of two that know a name, the first one counts.
    pub ways: Vec<LoginPlan>,
    pub sessions: SessionsPlan,
}

/// One way of logging in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginPlan {
    pub name: String,
    pub kind: LoginKind,
    pub place: SourcePlace,
}

/// The kinds of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoginKind {
    /// Users whom `starwright user` manages.
    Local,
    /// Users of a file of `htpasswd`, relative to the configuration's directory.
    Htpasswd { file: String },
    /// A trusted proxy tells who it is.
    Header(HeaderLogin),
}

/// The headers in which a proxy tells who somebody is, in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeaderLogin {
    pub user: String,
    pub full_name: Option<String>,
    pub mail: Option<String>,
    /// Separated by commas.
    pub groups: Option<String>,
}

/// How long somebody stays logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionsPlan {
    /// Without a request.
    pub idle: Span,
    /// In any case.
    pub lifetime: Span,
}

impl Default for SessionsPlan {
    fn default() -> Self {
        Self { idle: Span::from_minutes(24 * 60), lifetime: Span::from_minutes(7 * 24 * 60) }
    }
}

impl LoginsPlan {
    /// The way of a name.
    #[must_use]
    pub fn way(&self, name: &str) -> Option<&LoginPlan> {
        self.ways.iter().find(|way| way.name == name)
    }

    /// Whether people can log in with a name and a password.
    #[must_use]
    pub fn takes_passwords(&self) -> bool {
        self.ways.iter().any(|way| way.kind.takes_passwords())
    }

    /// The headers of a proxy, if one tells who somebody is.
    #[must_use]
    pub fn header(&self) -> Option<&HeaderLogin> {
        self.ways.iter().find_map(|way| match &way.kind {
            LoginKind::Header(header) => Some(header),
            LoginKind::Local | LoginKind::Htpasswd { .. } => None,
        })
    }
}

impl LoginKind {
    /// Whether it takes a name and a password.
    #[must_use]
    pub const fn takes_passwords(&self) -> bool {
        match self {
            Self::Local | Self::Htpasswd { .. } => true,
            Self::Header(_) => false,
        }
    }
}

impl HeaderLogin {
    /// All of them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let more = [&self.full_name, &self.mail, &self.groups].into_iter().flatten();
        std::iter::once(self.user.as_str()).chain(more.map(String::as_str))
    }
}
