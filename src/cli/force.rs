//! `force`: starts a build by hand, and watches it.

use std::process::ExitCode;

use serde_json::{Map, Value as Json};

use super::args::ForceArgs;
use super::client::{Client, path_part, user};
use super::error::CliError;
use super::output::outln;
use super::watch;
use crate::base::nearest;
use crate::model::full_name;

pub(super) fn run(
    client: Client,
    args: &ForceArgs,
) -> Result<impl Future<Output = Result<ExitCode, CliError>> + '_, CliError> {
    let given = args.params.iter().map(|param| split_param(param)).collect::<Result<Vec<_>, _>>()?;
    Ok(async move {
        let builder = client.builder_id(&args.builder).await?;
        let scheduler = scheduler_for(&client, builder, args).await?;
        let mut params = Map::new();
        params.insert("builderid".to_owned(), builder.into());
        let fields = fields_of(&scheduler["all_fields"]);
        for (name, value) in given {
            add(&mut params, field_named(&fields, name, args)?, value)?;
        }
        for (name, values) in [("branch", &args.branch), ("revision", &args.revision)] {
            for value in values.iter().filter(|value| !value.is_empty()) {
                let (field, value) = match of_codebase(&fields, name, value) {
                    Some(found) => found,
                    None => (field_named(&fields, name, args)?, value.as_str()),
                };
                add(&mut params, field, value)?;
            }
        }
        let owner = args.owner.clone().or_else(user);
        for (name, value) in [("reason", Some(&args.reason)), ("username", owner.as_ref())] {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                params.insert(field_named(&fields, name, args)?, value.as_str().into());
            }
        }
        let name = scheduler["name"].as_str().unwrap_or_default();
        let path = format!("forceschedulers/{}", path_part(name));
        let result = client.control(&path, "force", Json::Object(params)).await?;
        let request = Client::request_in(&result, builder)?;
        follow_up(client, request, &args.builder, args.watch).await
    })
}

/// Watches a new build request, or says how to.
pub(super) async fn follow_up(client: Client, request: u64, builder: &str, watch: bool) -> Result<ExitCode, CliError> {
    if watch {
        return watch::request(&client.patient(), request, builder).await;
    }
    outln!("build request {request} is waiting; next time, `--watch` follows its build");
    Ok(ExitCode::SUCCESS)
}

/// Splits `NAME=VALUE`.
pub(super) fn split_param(param: &str) -> Result<(&str, &str), CliError> {
    param
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| CliError::user(format!("`{param}` is not NAME=VALUE")).hint("for example -p version=1.2"))
}

async fn scheduler_for(client: &Client, builder: u64, args: &ForceArgs) -> Result<Json, CliError> {
    let path = format!("builders/{builder}/forceschedulers");
    let schedulers = client.list(&path, "forceschedulers").await?.unwrap_or_default();
    let names: Vec<&str> = schedulers.iter().filter_map(|scheduler| scheduler["name"].as_str()).collect();
    let wanted = match (&args.scheduler, names.as_slice()) {
        (Some(name), _) => names.iter().position(|known| known == name).ok_or_else(|| {
            CliError::user(format!("builder `{}` has no force scheduler `{name}`", args.builder))
                .hint(format!("it has: {}", names.join(", ")))
        })?,
        (None, []) => {
            return Err(CliError::user(format!("builder `{}` cannot be started by hand", args.builder))
                .hint(format!("declare it: force(\"by-hand\", builders = [\"{}\"])", args.builder)));
        }
        (None, [_]) => 0,
        (None, several) => {
            return Err(CliError::user(format!("builder `{}` has several force schedulers", args.builder))
                .hint(format!("choose with --scheduler: {}", several.join(", "))));
        }
    };
    Ok(schedulers[wanted].clone())
}

/// Adds the value of a field that has none yet.
fn add(params: &mut Map<String, Json>, field: String, value: &str) -> Result<(), CliError> {
    if params.contains_key(&field) {
        return Err(CliError::user(format!("`{field}` is given twice")).hint("give one value for each field"));
    }
    params.insert(field, value.into());
    Ok(())
}

/// The field and value of `CODEBASE=VALUE`, if the form has such a codebase.
fn of_codebase<'a>(fields: &[(String, String)], name: &str, value: &'a str) -> Option<(String, &'a str)> {
    let (codebase, value) = value.split_once('=')?;
    let full = full_name(codebase, name);
    fields.iter().any(|(known, short)| *known == full && short == name).then_some((full, value))
}

/// Full name and short name of each field of a form, those inside groups included.
fn fields_of(fields: &Json) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for field in fields.as_array().into_iter().flatten() {
        if field["type"] == "nested" {
            found.extend(fields_of(&field["fields"]));
        } else if let (Some(full), Some(name)) = (field["fullName"].as_str(), field["name"].as_str()) {
            found.push((full.to_owned(), name.to_owned()));
        }
    }
    found
}

fn field_named(fields: &[(String, String)], name: &str, args: &ForceArgs) -> Result<String, CliError> {
    let found = fields.iter().find(|(full, _)| full == name).or_else(|| fields.iter().find(|(_, short)| short == name));
    found.map(|(full, _)| full.clone()).ok_or_else(|| {
        let names: Vec<&str> = fields.iter().map(|(full, _)| full.as_str()).collect();
        let error = CliError::user(format!("the force form of `{}` has no field `{name}`", args.builder));
        match nearest(name, names.iter().copied()) {
            Some(near) => error.hint(format!("did you mean `{near}`?")),
            None => error.hint(format!("fields are: {}", names.join(", "))),
        }
    })
}
