//! `rebuild`: starts a build again, with the same sources and properties.

use std::process::ExitCode;

use serde_json::json;

use super::client::{Client, user};
use super::error::CliError;
use super::force::follow_up;

pub(super) fn run<'a>(
    client: Client,
    build: &'a str,
    watch: bool,
) -> Result<impl Future<Output = Result<ExitCode, CliError>> + 'a, CliError> {
    Ok(async move {
        let record = client.build(build).await?;
        let builder = record["builderid"].as_u64().unwrap_or_default();
        let path = format!("builds/{}", record["buildid"]);
        let result = client.control(&path, "rebuild", json!({"username": user()})).await?;
        let request = Client::request_in(&result, builder)?;
        let found = client.list(&format!("builders/{builder}"), "builders").await?.and_then(|mut items| items.pop());
        let name = found.and_then(|found| found["name"].as_str().map(str::to_owned)).unwrap_or_default();
        follow_up(client, request, &name, watch).await
    })
}
