//! `token`: tokens of the API, in the state directory of a master. A running master sees each change at once.

use std::process::ExitCode;

use super::args::TokenCommand;
use super::error::CliError;
use super::installation::{self, Use};
use super::output::{errln, outln};
use super::security_log;
use crate::auth::{NewToken, SecurityEvent, TokenError, Tokens, Users};
use crate::base::{Clock as _, SystemClock, Timestamp, chain};
use crate::model::Action;

pub(super) fn run(command: &TokenCommand) -> Result<ExitCode, CliError> {
    let now = SystemClock.now();
    let (state, how) = match command {
        TokenCommand::Create { state, .. } => (state, Use::MayBegin),
        TokenCommand::List { state } | TokenCommand::Revoke { state, .. } => (state, Use::Existing),
    };
    installation::check(state, how)?;
    match command {
        TokenCommand::Create { name, scopes, builders, expires, user, class, state } => {
            if let Some(user) = user {
                let users = Users::of(&state.data).list().map_err(|error| CliError::environment(chain(&error)))?;
                if !users.contains_key(user) {
                    let error = CliError::user(format!("there is no user `{user}`"));
                    return Err(error.hint("`starwright user list` shows all"));
                }
            }
            let new = NewToken {
                actions: scopes.iter().map(|scope| scope.0).collect(),
                builders: builders.clone(),
                user: user.clone(),
                class: class.0,
                lives: *expires,
            };
            let may_read = new.actions.contains(&Action::Read);
            let key = Tokens::of(&state.data).create(name, new, now).map_err(failed)?;
            security_log::note(&state.data, SecurityEvent::TokenCreated, &format!("token `{name}`"));
            if !may_read {
                errln!(
                    "note: without the scope `read` it can hardly do anything, because what may not be read does not exist for \
                     it; most programs need `--scopes read,…`"
                );
            }
            errln!("this is the token `{name}`; it is not shown again:");
            outln!("{key}");
        }
        TokenCommand::List { state } => {
            let tokens = Tokens::of(&state.data).list().map_err(|error| CliError::environment(chain(&error)))?;
            for (name, token) in tokens {
                let scopes: Vec<&str> = token.actions.iter().map(|action| action.word()).collect();
                let builders = if token.builders.is_empty() { "*".to_owned() } else { token.builders.join(",") };
                let user = token.user.unwrap_or_else(|| "-".to_owned());
                let until = token.expires.map_or_else(|| "for good".to_owned(), |end| lasts(end, now));
                outln!("{name:<20} {:<30} {builders:<20} {user:<12} {until}", scopes.join(","));
            }
        }
        TokenCommand::Revoke { name, state } => {
            Tokens::of(&state.data).revoke(name).map_err(failed)?;
            security_log::note(&state.data, SecurityEvent::TokenRevoked, &format!("token `{name}`"));
            outln!("token {name} is revoked");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn lasts(end: Timestamp, now: Timestamp) -> String {
    if end <= now { "expired".to_owned() } else { format!("until {end}") }
}

fn failed(error: TokenError) -> CliError {
    match error {
        TokenError::File(_) => CliError::environment(chain(&error)),
        TokenError::Unknown(_) => CliError::user(chain(&error)).hint("`starwright token list` shows all"),
        _ => CliError::user(chain(&error)),
    }
}
