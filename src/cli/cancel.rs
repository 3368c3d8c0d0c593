//! `cancel`: takes a build request back, or stops its build.

use std::process::ExitCode;

use serde_json::json;

use super::client::{Client, user};
use super::error::CliError;
use super::output::outln;
use crate::model::Outcome;

pub(super) fn run(
    client: Client,
    request: u64,
    reason: &str,
) -> Result<impl Future<Output = Result<ExitCode, CliError>>, CliError> {
    let params = json!({"reason": reason, "username": user()});
    Ok(async move {
        let path = format!("buildrequests/{request}");
        let record = client.list(&path, "buildrequests").await?.and_then(|mut items| items.pop());
        let record = record.ok_or_else(|| CliError::environment(format!("there is no build request {request}")))?;
        if record["complete"] == true {
            let builds = client.list(&format!("{path}/builds"), "builds").await?.unwrap_or_default();
            if record["results"] == Outcome::Skipped.code() && builds.is_empty() {
                outln!(
                    "build request {request} was joined with another request, whose build covers it: cancel that one"
                );
            } else {
                outln!("build request {request} has already ended");
            }
            return Ok(ExitCode::SUCCESS);
        }
        client.control(&path, "cancel", params).await?;
        outln!("cancelled build request {request}");
        Ok(ExitCode::SUCCESS)
    })
}
