//! `stop`: stops a build.

use std::process::ExitCode;

use serde_json::json;

use super::client::{Client, user};
use super::error::CliError;
use super::output::outln;

pub(super) fn run<'a>(
    client: Client,
    build: &'a str,
    reason: &'a str,
) -> Result<impl Future<Output = Result<ExitCode, CliError>> + 'a, CliError> {
    Ok(async move {
        let record = client.build(build).await?;
        if record["complete"] == true {
            outln!("build {build} has already ended");
            return Ok(ExitCode::SUCCESS);
        }
        client
            .control(&format!("builds/{}", record["buildid"]), "stop", json!({"reason": reason, "username": user()}))
            .await?;
        outln!("build {build} is stopping");
        Ok(ExitCode::SUCCESS)
    })
}
