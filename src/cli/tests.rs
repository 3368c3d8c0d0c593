//! `tests`: what the tests of a build came to, and the numbers that it recorded.

use std::process::ExitCode;

use serde_json::Value as Json;

use super::args::TestsArgs;
use super::client::Client;
use super::error::CliError;
use super::output::outln;
use super::terminal::printable;

pub(super) fn run(
    client: Client,
    args: &TestsArgs,
) -> Result<impl Future<Output = Result<ExitCode, CliError>> + '_, CliError> {
    Ok(async move {
        let build = client.build(&args.build).await?;
        let path = format!("builds/{}/test_result_sets", build["buildid"]);
        let sets = client.list(&path, "test_result_sets").await?.unwrap_or_default();
        if sets.is_empty() {
            outln!("{} recorded no test results", args.build);
        }
        let mut failed = false;
        for set in &sets {
            failed |= show(&client, set, args.all).await?;
        }
        Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    })
}

/// Prints a set, or a number. True if a test of it failed.
async fn show(client: &Client, set: &Json, all: bool) -> Result<bool, CliError> {
    let name = printable(set["description"].as_str().unwrap_or_default());
    if let Some(value) = set["value"].as_str() {
        outln!("{name}: {} {}", printable(value), printable(set["value_unit"].as_str().unwrap_or_default()));
        return Ok(false);
    }
    let (failed, skipped) = (&set["tests_failed"], &set["tests_skipped"]);
    outln!("{name}: {failed} failed, {} passed, {skipped} skipped", set["tests_passed"]);
    if *failed == 0 && !all {
        return Ok(false);
    }
    let path = format!("test_result_sets/{}/results", set["test_result_setid"]);
    for result in client.list(&path, "test_results").await?.unwrap_or_default() {
        let outcome = result["outcome"].as_str().unwrap_or_default();
        if !all && result["value"] != "0" {
            continue;
        }
        let place = result["test_code_path"].as_str().map(|path| format!(" ({})", printable(path))).unwrap_or_default();
        outln!("  {outcome:8}  {}{place}", printable(result["test_name"].as_str().unwrap_or_default()));
        for line in result["message"].as_str().unwrap_or_default().lines() {
            outln!("            {}", printable(line));
        }
    }
    Ok(*failed != 0)
}
