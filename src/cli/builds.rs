//! `builds`: lists builds.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde_json::Value as Json;

use super::client::{Client, outcome_of};
use super::error::CliError;
use super::output::{badge, outln, took};
use super::terminal::printable;
use crate::base::Timestamp;

pub(super) fn run<'a>(
    client: Client,
    builder: Option<&'a str>,
    limit: u64,
    as_json: bool,
) -> Result<impl Future<Output = Result<ExitCode, CliError>> + 'a, CliError> {
    Ok(async move {
        let path = match builder {
            Some(name) => format!("builders/{}/builds?order=-number&limit={limit}", client.builder_id(name).await?),
            None => format!("builds?order=-buildid&limit={limit}"),
        };
        let builds = client.list(&path, "builds").await?.unwrap_or_default();
        let names = names_of(&client, "builders", "builderid").await?;
        let workers = names_of(&client, "workers", "workerid").await?;
        if as_json {
            print_json(builds, &names, &workers);
            return Ok(ExitCode::SUCCESS);
        }
        if builds.is_empty() {
            outln!("no builds yet; start one with `starwright force BUILDER`");
        }
        let name = |names: &BTreeMap<u64, String>, id: &Json| {
            id.as_u64().and_then(|id| names.get(&id).cloned()).unwrap_or_default()
        };
        let title = |build: &Json| format!("{}/{}", name(&names, &build["builderid"]), build["number"]);
        let width = builds.iter().map(|build| title(build).chars().count()).max().unwrap_or_default();
        for build in &builds {
            outln!(
                "{:width$}  {:11}  {}  {:>7}  {}  {}",
                title(build),
                badge(outcome_of(build)),
                started(build),
                duration(build),
                name(&workers, &build["workerid"]),
                printable(build["state_string"].as_str().unwrap_or_default()),
            );
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The API's own records, with the names that their numbers stand for.
fn print_json(builds: Vec<Json>, builders: &BTreeMap<u64, String>, workers: &BTreeMap<u64, String>) {
    let named = builds.into_iter().map(|mut build| {
        let name = |names: &BTreeMap<u64, String>, id: &Json| names.get(&id.as_u64()?).cloned().map(Json::String);
        build["builder"] = name(builders, &build["builderid"]).unwrap_or_default();
        build["worker"] = name(workers, &build["workerid"]).unwrap_or_default();
        build["outcome"] = outcome_of(&build).map_or(Json::Null, |outcome| outcome.word().into());
        build
    });
    outln!("{:#}", Json::Array(named.collect()));
}

async fn names_of(client: &Client, plural: &str, id: &str) -> Result<BTreeMap<u64, String>, CliError> {
    let items = client.list(plural, plural).await?.unwrap_or_default();
    Ok(items.iter().filter_map(|item| Some((item[id].as_u64()?, item["name"].as_str()?.to_owned()))).collect())
}

fn started(build: &Json) -> String {
    let moment = Timestamp::from_seconds(build["started_at"].as_i64().unwrap_or_default()).to_string();
    moment.get(..16).map_or(moment.clone(), |minutes| minutes.replace('T', " "))
}

fn duration(build: &Json) -> String {
    match (build["started_at"].as_i64(), build["complete_at"].as_i64()) {
        (Some(from), Some(to)) => took(to - from),
        _ => "…".to_owned(),
    }
}
