//! `stop`: stops a build.

use std::process::ExitCode;

use serde_json::json;

use super::client::Client;
use super::error::CliError;

pub(super) fn run<'a>(
    client: Client,
    build: &'a str,
    reason: &'a str,
) -> Result<impl Future<Output = Result<ExitCode, CliError>> + 'a, CliError> {
    Ok(async move {
        let record = client.build(build).await?;
        if record["complete"] == true {
            println!("build {build} has ended already");
            return Ok(ExitCode::SUCCESS);
        }
        client.control(&format!("builds/{}", record["buildid"]), "stop", json!({"reason": reason})).await?;
        println!("build {build} is stopping");
        Ok(ExitCode::SUCCESS)
    })
}
