//! `sendchange`: tells a master of a change.

use std::process::ExitCode;

use serde_json::{Map, Value as Json, json};

use super::args::SendchangeArgs;
use super::client::Client;
use super::error::CliError;
use super::force::split_param;
use super::output::outln;

pub(super) fn run(
    client: Client,
    args: &SendchangeArgs,
) -> Result<impl Future<Output = Result<ExitCode, CliError>>, CliError> {
    let mut properties = Map::new();
    for param in &args.properties {
        let (name, value) = split_param(param)?;
        properties.insert(name.to_owned(), value.into());
    }
    let change = json!({
        "author": args.author,
        "branch": args.branch,
        "revision": args.revision,
        "repository": args.repository,
        "project": args.project,
        "codebase": args.codebase,
        "category": args.category,
        "revlink": args.revlink,
        "comments": args.comments,
        "files": args.files,
        "properties": Json::Object(properties),
        "delivery": args.delivery,
    });
    Ok(async move {
        let (status, answer) = client.own_post("changes", &change).await?;
        if status != 200 {
            return Err(CliError::user(answer["error"].as_str().unwrap_or("the change was rejected").to_owned()));
        }
        match answer["changes"].as_array().and_then(|ids| ids.first()) {
            Some(id) => outln!("recorded change {id}"),
            None => outln!("{}", answer["notes"][0].as_str().unwrap_or("the change was not recorded")),
        }
        Ok(ExitCode::SUCCESS)
    })
}
