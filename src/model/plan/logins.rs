//! How people log in: `login(...)`, and how long a login lasts.

use serde::{Deserialize, Serialize};

use super::super::Text;
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
    /// OpenID Connect.
    Oidc(Box<OidcLogin>),
    /// OAuth 2 at a forge, whose API tells who it is.
    Forge(Box<ForgeLogin>),
    /// A directory server checks names and passwords.
    Ldap(Box<LdapLogin>),
}

/// An OpenID Connect provider.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OidcLogin {
    /// On the button.
    pub title: String,
    pub issuer: String,
    pub client_id: String,
    pub client_secret: Option<Text>,
    pub scopes: Vec<String>,
    /// The claim that is the user's name here.
    pub user_claim: String,
    pub groups_claim: String,
    /// Only members of one of these may log in; empty: everybody whom the provider knows.
    pub only_groups: Vec<String>,
    /// In front of each name, so that names of two logins are never the same.
    pub prefix: String,
}

/// A forge without OpenID Connect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForgeKind {
    /// Groups are organisations (`org`) and teams (`org/team`).
    #[default]
    GitHub,
    /// Groups are workspaces.
    Bitbucket,
}

/// A login at such a forge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForgeLogin {
    /// On the button.
    pub title: String,
    pub forge: ForgeKind,
    /// The address of its pages.
    pub web: String,
    /// The address of its API.
    pub api: String,
    pub client_id: String,
    pub client_secret: Text,
    /// As [`OidcLogin::only_groups`].
    pub only_groups: Vec<String>,
    pub prefix: String,
}

/// A directory server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LdapLogin {
    /// `ldap://HOST` or `ldaps://HOST`.
    pub url: String,
    pub starttls: bool,
    /// The name of a user's entry, with `{user}`; none: it is searched for.
    pub user_dn: Option<String>,
    /// Where to search, and by what, with `{user}`.
    pub user_base: String,
    pub user_filter: String,
    /// Who searches; none: nobody in particular.
    pub bind_dn: Option<String>,
    pub bind_password: Option<Text>,
    pub name_attribute: String,
    pub full_name_attribute: String,
    pub mail_attribute: String,
    /// Where groups are; none: there are none.
    pub group_base: Option<String>,
    /// With `{dn}` and `{user}`.
    pub group_filter: String,
    pub group_attribute: String,
    pub prefix: String,
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

    /// Whether users of `starwright user` can log in.
    #[must_use]
    pub fn keeps_users(&self) -> bool {
        self.ways.iter().any(|way| matches!(way.kind, LoginKind::Local))
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
            LoginKind::Local
            | LoginKind::Htpasswd { .. }
            | LoginKind::Oidc(_)
            | LoginKind::Forge(_)
            | LoginKind::Ldap(_) => None,
        })
    }

    /// The ways that lead elsewhere, each with the title of its button.
    pub fn buttons(&self) -> impl Iterator<Item = (&str, &str)> {
        self.ways.iter().filter_map(|way| match &way.kind {
            LoginKind::Oidc(login) => Some((way.name.as_str(), login.title.as_str())),
            LoginKind::Forge(login) => Some((way.name.as_str(), login.title.as_str())),
            LoginKind::Local | LoginKind::Htpasswd { .. } | LoginKind::Header(_) | LoginKind::Ldap(_) => None,
        })
    }
}

impl LoginKind {
    /// Whether it takes a name and a password.
    #[must_use]
    pub const fn takes_passwords(&self) -> bool {
        match self {
            Self::Local | Self::Htpasswd { .. } | Self::Ldap(_) => true,
            Self::Header(_) | Self::Oidc(_) | Self::Forge(_) => false,
        }
    }

    /// What stands in front of its names; none where they are as the master's own user declares them.
    #[must_use]
    pub fn prefix(&self) -> Option<&str> {
        match self {
            Self::Local | Self::Htpasswd { .. } | Self::Header(_) => None,
            Self::Oidc(login) => Some(&login.prefix),
            Self::Forge(login) => Some(&login.prefix),
            Self::Ldap(login) => Some(&login.prefix),
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
