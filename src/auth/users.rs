//! Users whom `starwright user` manages: names, hashes of their passwords, and roles.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::password;
use super::state_file::{StateFile, StateFileError};
use crate::base::Timestamp;
use crate::model::{AuthorClass, Identity, LoginMethod};

/// More than an installation that manages its users by hand has.
const USERS_MAX: usize = 10_000;
/// A name, as it is shown and recorded.
const NAME_BYTES_MAX: usize = 100;

/// A user.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// Of the password.
    pub(super) hash: String,
    #[serde(default)]
    pub full_name: Option<String>,
    #[serde(default)]
    pub mail: Option<String>,
    #[serde(default)]
    pub roles: BTreeSet<String>,
    #[serde(default)]
    pub class: AuthorClass,
    pub created: Timestamp,
    /// When the password was set.
    pub changed: Timestamp,
}

/// What is known of a new user beside the name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewUser {
    pub full_name: Option<String>,
    pub mail: Option<String>,
    pub roles: BTreeSet<String>,
    pub class: AuthorClass,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct UserList {
    users: BTreeMap<String, UserRecord>,
}

/// Why a user cannot be added or changed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    #[error(transparent)]
    File(#[from] StateFileError),
    #[error("`{0}` is not a name for a user: use 1 to {NAME_BYTES_MAX} letters, digits and `.`, `-`, `_`, `@`, `+`")]
    Name(String),
    #[error("there is a user `{0}` already")]
    Exists(String),
    #[error("there is no user `{0}`")]
    Unknown(String),
    #[error("there are {USERS_MAX} users, and no room for more")]
    Full,
    #[error("the password is too short: it must have at least {} characters", password::PASSWORD_CHARS_MIN)]
    Short,
    #[error("the password is too long: it may have at most {} bytes", password::PASSWORD_BYTES_MAX)]
    Long,
    #[error("the password is one of those that are tried first; choose another one")]
    Common,
}

/// The list of users in a state directory.
#[derive(Debug)]
pub struct Users {
    file: StateFile<UserList>,
}

impl Users {
    /// That of a state directory; a list that does not exist is empty.
    pub fn of(data: &Path) -> Self {
        Self { file: StateFile::new(data.join("auth").join("users.json")) }
    }

    /// All of them.
    pub fn list(&self) -> Result<BTreeMap<String, UserRecord>, StateFileError> {
        Ok(self.file.read()?.users.clone())
    }

    /// Adds a user.
    pub fn add(&self, name: &str, password: &str, new: NewUser, now: Timestamp) -> Result<(), UserError> {
        if !is_name(name) {
            return Err(UserError::Name(name.to_owned()));
        }
        check_password(name, password)?;
        let NewUser { full_name, mail, roles, class } = new;
        let hash = password::hash(password);
        let user = UserRecord { hash, full_name, mail, roles, class, created: now, changed: now };
        self.file.change(|list| {
            if list.users.contains_key(name) {
                return Err(UserError::Exists(name.to_owned()));
            }
            if list.users.len() >= USERS_MAX {
                return Err(UserError::Full);
            }
            list.users.insert(name.to_owned(), user);
            Ok(())
        })?
    }

    /// Removes a user, who is logged out by that.
    pub fn remove(&self, name: &str) -> Result<(), UserError> {
        let removed = self.file.change(|list| list.users.remove(name).is_some())?;
        if removed { Ok(()) } else { Err(UserError::Unknown(name.to_owned())) }
    }

    /// Sets another password. All sessions of the user end.
    pub fn set_password(&self, name: &str, password: &str, now: Timestamp) -> Result<(), UserError> {
        check_password(name, password)?;
        let hash = password::hash(password);
        self.file.change(|list| {
            let user = list.users.get_mut(name).ok_or_else(|| UserError::Unknown(name.to_owned()))?;
            (user.hash, user.changed) = (hash, now);
            Ok(())
        })?
    }

    pub(super) fn find(&self, name: &str) -> Result<Option<UserRecord>, StateFileError> {
        let list = self.file.read()?;
        Ok(Arc::clone(&list).users.get(name).cloned())
    }
}

impl UserRecord {
    /// Who that is.
    pub(super) fn identity(&self, name: &str) -> Identity {
        Identity {
            full_name: self.full_name.clone(),
            mail: self.mail.clone(),
            groups: self.roles.clone(),
            class: self.class,
            ..Identity::user(name, LoginMethod::Password)
        }
    }
}

/// A name that is harmless wherever it is shown.
fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '+');
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(fits)
}

/// What everybody tries first, beside the user's own name (ASVS 6.2.4 asks for such a list).
const COMMON: &str = include_str!("common_passwords.txt");

fn check_password(name: &str, password: &str) -> Result<(), UserError> {
    if password.chars().count() < password::PASSWORD_CHARS_MIN {
        return Err(UserError::Short);
    }
    if password.len() > password::PASSWORD_BYTES_MAX {
        return Err(UserError::Long);
    }
    let lower = password.to_lowercase();
    if lower == name.to_lowercase() || COMMON.lines().any(|common| common == lower) {
        return Err(UserError::Common);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000);

    #[test]
    fn users_are_added_changed_and_removed() {
        let dir = tempfile::tempdir().unwrap();
        let users = Users::of(dir.path());
        let roles = BTreeSet::from(["admin".to_owned()]);
        users.add("ann", "a good password", NewUser { roles, ..NewUser::default() }, NOW).unwrap();
        assert!(matches!(users.add("ann", "a good password", NewUser::default(), NOW), Err(UserError::Exists(_))));
        let ann = users.find("ann").unwrap().unwrap();
        assert!(password::matches("a good password", &ann.hash));
        assert!(ann.identity("ann").groups.contains("admin"));
        users.set_password("ann", "a better password", NOW).unwrap();
        assert!(password::matches("a better password", &users.find("ann").unwrap().unwrap().hash));
        users.remove("ann").unwrap();
        assert!(users.find("ann").unwrap().is_none());
        assert!(matches!(users.remove("ann"), Err(UserError::Unknown(_))));
        let kept = std::fs::read_to_string(dir.path().join("auth/users.json")).unwrap();
        assert!(!kept.contains("password"), "{kept}");
    }

    #[test]
    fn weak_passwords_and_odd_names_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let users = Users::of(dir.path());
        let add = |name: &str, password: &str| users.add(name, password, NewUser::default(), NOW);
        assert!(matches!(add("ann", "short"), Err(UserError::Short)));
        assert!(matches!(add("ann", "Password1"), Err(UserError::Common)));
        assert!(matches!(add("annabella", "Annabella"), Err(UserError::Common)));
        assert!(matches!(add("ann", &"x".repeat(2_000)), Err(UserError::Long)));
        for odd in ["", "a b", "a<b>", "a\n", "a/b", "a:b"] {
            assert!(matches!(add(odd, "a good password"), Err(UserError::Name(_))), "{odd:?}");
        }
        assert!(add("ünal@example.org", "a good password").is_ok());
    }
}
