//! `user`: the users of a master, in its state directory. A running master sees each change at once.

use std::process::ExitCode;

use super::args::{UserAccount, UserCommand};
use super::error::CliError;
use super::installation::{self, Use};
use super::output::outln;
use super::{password, security_log};
use crate::auth::{NewUser, SecurityEvent, UserError, Users};
use crate::base::{Clock as _, SystemClock, chain};
use crate::model::{ANYONE, AUTHENTICATED, OWNER};

pub(super) fn run(command: &UserCommand) -> Result<ExitCode, CliError> {
    let now = SystemClock.now();
    let (state, how) = match command {
        UserCommand::Add { state, .. } => (state, Use::MayBegin),
        UserCommand::List { state } | UserCommand::Remove { state, .. } | UserCommand::Password { state, .. } => {
            (state, Use::Existing)
        }
    };
    installation::check(state, how)?;
    match command {
        UserCommand::Add { name, account, password_file, state } => {
            let password = password::read_new(password_file.as_deref(), name)?;
            Users::of(&state.data).add(name, &password, new_user(account)?, now).map_err(failed)?;
            security_log::note(&state.data, SecurityEvent::UserAdded, &format!("user `{name}`"));
            outln!("user {name} can log in");
        }
        UserCommand::List { state } => {
            let users = Users::of(&state.data).list().map_err(|error| CliError::environment(chain(&error)))?;
            for (name, user) in users {
                let roles: Vec<&str> = user.roles.iter().map(String::as_str).collect();
                let full_name = user.full_name.unwrap_or_default();
                let mail = user.mail.map(|mail| format!(" <{mail}>")).unwrap_or_default();
                outln!("{name:<20} {:<30} {}", format!("{full_name}{mail}").trim(), roles.join(","));
            }
        }
        UserCommand::Remove { name, state } => {
            Users::of(&state.data).remove(name).map_err(failed)?;
            security_log::note(&state.data, SecurityEvent::UserRemoved, &format!("user `{name}`"));
            outln!("user {name} is removed and logged out");
        }
        UserCommand::Password { name, password_file, state } => {
            let password = password::read_new(password_file.as_deref(), name)?;
            Users::of(&state.data).set_password(name, &password, now).map_err(failed)?;
            security_log::note(&state.data, SecurityEvent::PasswordSet, &format!("user `{name}`"));
            outln!("user {name} has a new password and is logged out everywhere");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn new_user(account: &UserAccount) -> Result<NewUser, CliError> {
    if let Some(role) = account.roles.iter().find(|role| [ANYONE, AUTHENTICATED, OWNER].contains(&role.as_str())) {
        return Err(CliError::user(format!("role `{role}` is built in, and nobody can be given it")));
    }
    Ok(NewUser {
        full_name: account.full_name.clone(),
        mail: account.mail.clone(),
        roles: account.roles.iter().cloned().collect(),
        class: account.class.0,
    })
}

fn failed(error: UserError) -> CliError {
    match error {
        UserError::File(_) => CliError::environment(chain(&error)),
        UserError::Unknown(_) => CliError::user(chain(&error)).hint("`starwright user list` shows all"),
        _ => CliError::user(chain(&error)),
    }
}
