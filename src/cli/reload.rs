//! `reload`: makes a running master load its configuration again.

use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::client::Client;
use super::error::CliError;
use super::output::{count, errln, outln};

pub(super) fn run(client: Client) -> Result<impl Future<Output = Result<ExitCode, CliError>>, CliError> {
    Ok(async move {
        let (status, answer) = client.own_reload(&json!({"cause": "starwright reload"})).await?;
        if status != 200 {
            return Err(CliError::refused(text(&answer["error"])));
        }
        match answer["outcome"].as_str().unwrap_or_default() {
            "unchanged" => outln!("no changes; the configuration in force stays as it is"),
            "adopted" => show_changes(answer["changes"].as_array().map(Vec::as_slice).unwrap_or_default()),
            "refused" => {
                errln!("{}", text(&answer["report"]).trim_end());
                return Err(CliError::refused("the configuration was rejected; the current one stays in force"));
            }
            other => return Err(CliError::bug(format!("the master answered `{other}` to a reload"))),
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn show_changes(changes: &[Json]) {
    outln!("the new configuration is in force, with {}", count(changes.len() as u64, "change"));
    for change in changes {
        let (kind, name, what) = (text(&change["kind"]), text(&change["name"]), text(&change["what"]));
        // The scripts have no name.
        let name = if name.is_empty() { name } else { format!(" `{name}`") };
        outln!("  {kind}{name}: {what}");
    }
}

fn text(json: &Json) -> String {
    json.as_str().unwrap_or_default().to_owned()
}
