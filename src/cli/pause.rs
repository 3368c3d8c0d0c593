//! `pause` and `unpause`: a worker gets no new builds for a while.

use std::process::ExitCode;

use serde_json::json;

use super::client::Client;
use super::error::CliError;
use super::output::outln;
use crate::base::nearest;

pub(super) fn run<'a>(
    client: Client,
    worker: &'a str,
    paused: bool,
    reason: &'a str,
) -> Result<impl Future<Output = Result<ExitCode, CliError>> + 'a, CliError> {
    Ok(async move {
        let id = worker_id(&client, worker).await?;
        let method = if paused { "pause" } else { "unpause" };
        client.control(&format!("workers/{id}"), method, json!({"reason": reason})).await?;
        if paused {
            outln!("worker {worker} is paused: it finishes its running builds and gets no new ones");
        } else {
            outln!("worker {worker} gets builds again");
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn worker_id(client: &Client, name: &str) -> Result<u64, CliError> {
    let workers = client.list("workers", "workers").await?.unwrap_or_default();
    let found = workers.iter().find(|worker| worker["name"] == name);
    if let Some(id) = found.and_then(|worker| worker["workerid"].as_u64()) {
        return Ok(id);
    }
    let names: Vec<&str> = workers.iter().filter_map(|worker| worker["name"].as_str()).collect();
    let error = CliError::user(format!("there is no worker `{name}`"));
    Err(match nearest(name, names.iter().copied()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint(format!("workers are: {}", names.join(", "))),
    })
}
