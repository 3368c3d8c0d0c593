//! Who somebody is, as far as it was proved: what rights are decided by.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Action, AuthorClass, LoginMethod};

/// Who asks for something.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    /// The name by which they logged in; none: nobody logged in.
    pub user: Option<String>,
    pub full_name: Option<String>,
    pub mail: Option<String>,
    /// Groups of the user, as the way of logging in tells them.
    pub groups: BTreeSet<String>,
    /// How they proved who they are.
    pub login: LoginMethod,
    /// What a token is limited to; none: everything that the user may do.
    pub grant: Option<Grant>,
    /// What kind of author it is.
    pub class: AuthorClass,
}

/// What a token allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Grant {
    /// The token's name.
    pub token: String,
    pub actions: BTreeSet<Action>,
    /// Shell patterns of builders; empty: all, and what is not about a builder.
    pub builders: Vec<String>,
}

/// The groups that only the configuration and the state directory can give: no server elsewhere makes anybody an
/// administrator by the name of a group.
pub const RESERVED_ROLES: [&str; 4] = [ANYONE, AUTHENTICATED, OWNER, ADMIN];
/// Everybody, also without a login.
pub const ANYONE: &str = "anyone";
/// Everybody who logged in.
pub const AUTHENTICATED: &str = "authenticated";
/// Who wanted the build or request in question.
pub const OWNER: &str = "owner";
/// May do everything.
pub const ADMIN: &str = "admin";

impl Identity {
    /// Nobody who is known.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// Somebody who can do anything to the master anyway: its own user on its own machine.
    #[must_use]
    pub fn machine() -> Self {
        Self { login: LoginMethod::Machine, ..Self::default() }
    }

    /// A caller of a change hook.
    #[must_use]
    pub fn hook() -> Self {
        Self { login: LoginMethod::Hook, class: AuthorClass::Bot, ..Self::default() }
    }

    /// A user who logged in.
    #[must_use]
    pub fn user(name: impl Into<String>, login: LoginMethod) -> Self {
        Self { user: Some(name.into()), login, ..Self::default() }
    }

    /// Whether nobody logged in.
    #[must_use]
    pub const fn is_anonymous(&self) -> bool {
        matches!(self.login, LoginMethod::None)
    }

    /// The name for people: the full one if it is known.
    #[must_use]
    pub fn shown_name(&self) -> Option<&str> {
        self.full_name.as_deref().or(self.user.as_deref())
    }

    /// Takes groups that another server tells, without those that no other server can give.
    #[must_use]
    pub fn with_foreign_groups(mut self, groups: impl IntoIterator<Item = String>) -> Self {
        self.groups.extend(groups.into_iter().filter(|group| !RESERVED_ROLES.contains(&group.as_str())));
        self
    }

    /// Whether an owner, as builds have it, is this user: by name, by mail, or as `Full Name <mail>`.
    #[must_use]
    pub fn is_owner(&self, owner: &str) -> bool {
        let is = |mine: &Option<String>, theirs: &str| {
            mine.as_deref().is_some_and(|mine| !mine.is_empty() && mine == theirs)
        };
        let mail = owner.rsplit_once('<').and_then(|(_, rest)| rest.strip_suffix('>'));
        is(&self.user, owner) || is(&self.mail, owner) || mail.is_some_and(|mail| is(&self.mail, mail))
    }
}

/// Who it is, for messages: `user `ann``, `token `deploy``.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.grant, &self.user, self.login) {
            (Some(grant), ..) => write!(f, "token `{}`", grant.token),
            (None, Some(user), _) => write!(f, "user `{user}`"),
            (None, None, LoginMethod::Hook) => f.write_str("a change hook"),
            (None, None, LoginMethod::Machine) => f.write_str("the master's own user"),
            (None, None, _) => f.write_str("a visitor who is not logged in"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_servers_give_no_reserved_role() {
        let groups = ["dev", "admin", "owner", "anyone"].map(str::to_owned);
        let ann = Identity::user("ann", LoginMethod::Provider).with_foreign_groups(groups);
        assert_eq!(ann.groups.into_iter().collect::<Vec<_>>(), ["dev"]);
    }

    #[test]
    fn an_owner_is_known_by_name_or_mail() {
        let mut ann = Identity::user("ann", LoginMethod::Password);
        assert!(ann.is_owner("ann") && !ann.is_owner("Ann <ann@example.org>") && !ann.is_owner(""));
        ann.mail = Some("ann@example.org".to_owned());
        assert!(ann.is_owner("Ann <ann@example.org>") && ann.is_owner("ann@example.org"));
        assert!(!ann.is_owner("Eve <eve@example.org>"));
        assert!(!Identity::anonymous().is_owner("") && !Identity::anonymous().is_owner("anonymous"));
    }
}
