//! `deliveries`: reports that are not delivered yet or were given up, and how to send them again.

use std::process::ExitCode;

use serde_json::{Value as Json, json};

use super::client::Client;
use super::error::CliError;
use super::output::{count, outln};
use super::terminal::printable;

/// Waiting reports that are printed; the rest is counted.
const SHOWN: usize = 20;

pub(super) fn run(
    client: Client,
    change: Option<(Change, u64)>,
    as_json: bool,
) -> Result<impl Future<Output = Result<ExitCode, CliError>>, CliError> {
    Ok(async move {
        match change {
            Some((change, report)) => change.order(&client, report).await?,
            None => list(&client, as_json).await?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// What is done to a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Resend,
    Send,
    GiveUp,
}

impl Change {
    async fn order(self, client: &Client, report: u64) -> Result<(), CliError> {
        let (path, said) = match self {
            Self::Resend => ("resend", "is sent again"),
            Self::Send => ("send", "is being sent"),
            Self::GiveUp => ("give-up", "is given up"),
        };
        let (status, answer) = client.own_post(&format!("deliveries/{report}/{path}"), &json!({})).await?;
        if status != 200 {
            let text = answer["error"].as_str().unwrap_or("the master refused").to_owned();
            return Err(CliError::user(text).hint("`starwright deliveries` lists what waits and what was given up"));
        }
        outln!("report {report} {said}");
        Ok(())
    }
}

async fn list(client: &Client, as_json: bool) -> Result<(), CliError> {
    let deliveries = client.own_get("deliveries").await?;
    if as_json {
        outln!("{deliveries}");
        return Ok(());
    }
    let items = |key: &str| deliveries[key].as_array().cloned().unwrap_or_default();
    let (undelivered, waiting) = (items("undelivered"), items("reports"));
    if undelivered.is_empty() && waiting.is_empty() {
        outln!("every report is delivered");
        return Ok(());
    }
    for report in &undelivered {
        let how = if report["given_up"] == true { "given up" } else { "delivered in part" };
        outln!("{}  {how}: {}", title(report), printable(report["error"].as_str().unwrap_or_default()));
    }
    for report in waiting.iter().take(SHOWN) {
        let tries = count(report["tries"].as_u64().unwrap_or(0), "try").replace("trys", "tries");
        let why = report["error"].as_str().map(|why| format!(": {}", printable(why))).unwrap_or_default();
        outln!("{}  waits, {tries}{why}", title(report));
    }
    if waiting.len() > SHOWN {
        outln!("and {} more wait", waiting.len() - SHOWN);
    }
    Ok(())
}

/// `812 github: linux, end`.
fn title(report: &Json) -> String {
    let text = |key: &str| printable(report[key].as_str().unwrap_or_default());
    let builder = report["builder"].as_str().map_or_else(|| "buildset".to_owned(), printable);
    format!("{} {}: {builder}, {}", report["id"], text("notifier"), text("event"))
}
