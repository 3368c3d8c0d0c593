//! `login`, `logout` and `whoami`: who the other commands are to a master.

use std::path::Path;
use std::process::ExitCode;

use serde_json::json;

use super::client::{Client, user};
use super::credentials::stored;
use super::error::CliError;
use super::output::outln;
use super::password;
use crate::base::chain;

pub(super) fn login<'a>(
    client: Client,
    name: Option<&'a str>,
    password_file: Option<&'a Path>,
) -> Result<impl Future<Output = Result<ExitCode, CliError>> + 'a, CliError> {
    let unknown = || CliError::user("who logs in? Add --user NAME");
    let name = name.map(str::to_owned).or_else(user).ok_or_else(unknown)?;
    Ok(async move {
        let password = password::read(password_file, &format!("Password of {name} at {}: ", client.base()))?;
        let (status, answer) = client.own_post("login", &json!({"user": name, "password": password})).await?;
        let Some(key) = answer["key"].as_str().filter(|_| status == 200) else {
            return Err(CliError::user(answer["error"].as_str().unwrap_or("the master did not let you in")));
        };
        stored()?.keep(client.base(), key).map_err(|error| CliError::environment(chain(&error)))?;
        outln!("you are logged in at {} as {name}", client.base());
        Ok(ExitCode::SUCCESS)
    })
}

pub(super) fn logout(client: Client) -> Result<impl Future<Output = Result<ExitCode, CliError>>, CliError> {
    Ok(async move {
        // A session that has ended already needs no end.
        let ended = client.own_post("logout", &json!({})).await;
        let known = stored()?.forget(client.base()).map_err(|error| CliError::environment(chain(&error)))?;
        if !known {
            outln!("you were not logged in at {}", client.base());
        } else if ended.is_ok_and(|(status, _)| status == 200) {
            outln!("you are logged out at {}", client.base());
        } else {
            outln!("the login at {} is forgotten; the master did not confirm that it has ended", client.base());
        }
        Ok(ExitCode::SUCCESS)
    })
}

pub(super) fn whoami(client: Client) -> Result<impl Future<Output = Result<ExitCode, CliError>>, CliError> {
    Ok(async move {
        let who = client.own_get("whoami").await?;
        let groups: Vec<&str> = who["groups"].as_array().into_iter().flatten().filter_map(|it| it.as_str()).collect();
        match (who["token"].as_str(), who["user"].as_str(), who["login"].as_str()) {
            (Some(token), ..) => outln!("token {token}"),
            (None, Some(user), _) if groups.is_empty() => outln!("{user}"),
            (None, Some(user), _) => outln!("{user} ({})", groups.join(", ")),
            (None, None, Some("machine")) => outln!("the administrator, because you can read the state directory"),
            (None, None, _) => outln!("nobody: you are not logged in"),
        }
        Ok(ExitCode::SUCCESS)
    })
}
