//! What people do to their own accounts, and administrators to those of others, by pages: passwords, sessions, tokens and users.
//!
//! Each is in the log of [`super::SecurityLog`]. Whether somebody may do it is decided by the caller.

use std::net::IpAddr;

use super::accounts::{Accounts, LoginError};
use super::security_log::SecurityEvent;
use super::sessions::{OpenLogin, SessionRecord};
use super::tokens::{NewToken, TokenError, TokenRecord};
use super::users::{NewUser, UserError};
use crate::model::{Identity, LoginKind, Plan};

/// Who does something, and from where.
#[derive(Clone, Copy, Debug)]
pub struct Doer<'a> {
    pub identity: &'a Identity,
    pub address: Option<IpAddr>,
}

/// Why a password is not changed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("the present password is wrong")]
    Wrong,
    #[error(transparent)]
    Login(LoginError),
    #[error("this password is kept elsewhere, and is changed there")]
    Elsewhere,
    #[error(transparent)]
    User(#[from] UserError),
}

impl Accounts {
    /// The logins of somebody by the way of their session, the newest use first. Two people of different ways can have one name.
    pub fn logins_of(&self, plan: &Plan, user: &str, key: &str) -> Vec<OpenLogin> {
        self.sessions.tidy(&plan.logins.sessions, self.clock.now());
        let Some(own) = self.session_of(plan, user, key) else { return Vec::new() };
        let mut logins = self.sessions.of_user(user, Some(key));
        logins.retain(|login| login.way == own.way);
        logins
    }

    /// Ends one of these logins; false if there is none.
    pub fn end_login(&self, plan: &Plan, (user, key): (&str, &str), id: &str, by: Doer<'_>) -> bool {
        if !self.logins_of(plan, user, key).iter().any(|login| login.id == id) {
            return false;
        }
        let Some(ended) = self.sessions.end_of_user(user, id) else { return false };
        self.log_by(SecurityEvent::SessionEnded, by, &format!("login of `{user}` by `{}`", ended.way));
        true
    }

    /// Whether somebody is logged in as a user whom the master itself keeps: one of the same name from elsewhere is another.
    pub fn keeps_password(&self, plan: &Plan, user: &str, key: &str) -> bool {
        let Some(own) = self.session_of(plan, user, key) else { return false };
        let is_local = plan.logins.way(&own.way).is_some_and(|way| matches!(way.kind, LoginKind::Local));
        is_local && self.candidate(plan, user).is_some_and(|known| known.way == own.way)
    }

    fn session_of(&self, plan: &Plan, user: &str, key: &str) -> Option<SessionRecord> {
        let own = self.sessions.find(key, &plan.logins.sessions, self.clock.now());
        own.filter(|own| own.identity.user.as_deref() == Some(user))
    }

    /// Changes the password of a user who knows the present one. All their logins end.
    ///
    /// # Errors
    /// When the present one is wrong, or the new one is no good.
    pub async fn change_password(
        &self,
        plan: &Plan,
        (user, key): (&str, &str),
        (present, new): (&str, &str),
        by: Doer<'_>,
    ) -> Result<(), PasswordError> {
        if !self.keeps_password(plan, user, key) {
            return Err(PasswordError::Elsewhere);
        }
        match self.by_password(plan, user, present, by.address).await {
            Ok(_proved) => {}
            Err(LoginError::Wrong) => return Err(PasswordError::Wrong),
            Err(error) => return Err(PasswordError::Login(error)),
        }
        self.users.set_password(user, new, self.clock.now())?;
        self.log_by(SecurityEvent::PasswordSet, by, &format!("user `{user}`"));
        Ok(())
    }

    /// Sets the password of somebody else. All their logins end.
    ///
    /// # Errors
    /// When there is no such user, or it is no good.
    pub fn set_password(&self, user: &str, new: &str, by: Doer<'_>) -> Result<(), UserError> {
        self.users.set_password(user, new, self.clock.now())?;
        self.log_by(SecurityEvent::PasswordSet, by, &format!("user `{user}`"));
        Ok(())
    }

    /// Adds a user.
    ///
    /// # Errors
    /// When name or password are no good, or the name is taken.
    pub fn add_user(&self, name: &str, password: &str, new: NewUser, by: Doer<'_>) -> Result<(), UserError> {
        self.users.add(name, password, new, self.clock.now())?;
        self.log_by(SecurityEvent::UserAdded, by, &format!("user `{name}`"));
        Ok(())
    }

    /// Removes a user, who is logged out by that.
    ///
    /// # Errors
    /// When there is none.
    pub fn remove_user(&self, name: &str, by: Doer<'_>) -> Result<(), UserError> {
        self.users.remove(name)?;
        self.log_by(SecurityEvent::UserRemoved, by, &format!("user `{name}`"));
        Ok(())
    }

    /// Makes a token; its key, which is shown once.
    ///
    /// # Errors
    /// When the name is no good, or taken.
    pub fn create_token(&self, name: &str, new: NewToken, by: Doer<'_>) -> Result<String, TokenError> {
        let key = self.tokens.create(name, new, self.clock.now())?;
        self.log_by(SecurityEvent::TokenCreated, by, &format!("token `{name}`"));
        Ok(key)
    }

    /// Makes a token worthless; `owner` is whose it must be, if it must be somebody's.
    ///
    /// # Errors
    /// When there is none.
    pub fn revoke_token(&self, name: &str, owner: Option<&str>, by: Doer<'_>) -> Result<(), TokenError> {
        let all = self.tokens.list()?;
        let is_theirs = |token: &TokenRecord| owner.is_none_or(|owner| token.user.as_deref() == Some(owner));
        if !all.get(name).is_some_and(is_theirs) {
            return Err(TokenError::Unknown(name.to_owned()));
        }
        self.tokens.revoke(name)?;
        self.log_by(SecurityEvent::TokenRevoked, by, &format!("token `{name}`"));
        Ok(())
    }

    fn log_by(&self, what: SecurityEvent, by: Doer<'_>, about: &str) {
        self.log().note(what, &by.identity.to_string(), by.address, (about, ""));
    }
}
