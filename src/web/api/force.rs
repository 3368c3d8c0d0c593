//! Turns the parameters of a force call, or the fields of a form, into an order
//! (docs/reference/rest-api-v2.md#force). The engine checks types, patterns and required fields.

use std::collections::{BTreeMap, BTreeSet};

use super::forceschedulers::REASON;
use crate::model::{BuilderId, CodebasePlan, ForceOrder, SchedulerKind, SchedulerPlan, StampSpec, Value, full_name};
use crate::store::StoreError;
use crate::web::history::VisibleHistory;

/// Why a call cannot even be asked.
#[derive(Debug)]
pub enum ForceCallError {
    NoSuchBuilder,
    /// Text for the caller.
    Wrong(String),
    Store(StoreError),
}

/// Reads the parameters of a force call on a scheduler: the order, and the name of the one who gives it, if they said
/// one.
pub fn force_order(
    store: &VisibleHistory<'_>,
    plan: &SchedulerPlan,
    params: &BTreeMap<String, Value>,
) -> Result<(ForceOrder, Option<String>), ForceCallError> {
    let owner = text(params, "username")?;
    let reason = text(params, "reason")?.or_else(|| plan.reason.clone());
    let order = ForceOrder {
        scheduler: Some(plan.name.clone()),
        builders: builders(store, plan, params)?,
        params: rest(plan, params),
        stamps: stamps(plan, params)?,
        reason: reason.unwrap_or_else(|| REASON.to_owned()),
        priority: params.get("priority").map(single).cloned(),
    };
    Ok((order, owner))
}

fn builders(
    store: &VisibleHistory<'_>,
    plan: &SchedulerPlan,
    params: &BTreeMap<String, Value>,
) -> Result<Vec<String>, ForceCallError> {
    if let Some(id) = params.get("builderid") {
        let id = number(id).and_then(|id| u64::try_from(id).ok()).map(BuilderId);
        let builder = id.map(|id| store.builder(id)).transpose().map_err(ForceCallError::Store)?.flatten();
        let builder = builder.ok_or(ForceCallError::NoSuchBuilder)?;
        if !plan.builders.contains(&builder.name) {
            let text = format!("scheduler `{}` cannot start builder `{}`", plan.name, builder.name);
            return Err(ForceCallError::Wrong(text));
        }
        return Ok(vec![builder.name]);
    }
    let asked = match params.get("builderNames") {
        // All: those of the scheduler, or those of them that the visitor may see.
        None | Some(Value::Null) if store.is_whole() => return Ok(Vec::new()),
        None | Some(Value::Null) => return Ok(plan.builders.clone()),
        Some(Value::List(names)) if !names.is_empty() => names.iter().map(Value::as_str).collect::<Option<Vec<&str>>>(),
        Some(name) => name.as_str().map(|name| vec![name]),
    };
    let asked = asked.ok_or_else(|| ForceCallError::Wrong("'builderNames' must be a list of names".to_owned()))?;
    let chosen: Vec<String> = plan.builders.iter().filter(|name| asked.contains(&name.as_str())).cloned().collect();
    if chosen.is_empty() {
        let text = format!("scheduler `{}` can start none of the builders in 'builderNames'", plan.name);
        return Err(ForceCallError::Wrong(text));
    }
    Ok(chosen)
}

/// The codebases, if the asker wants any of them otherwise than configured. Blank means: as configured.
fn stamps(plan: &SchedulerPlan, params: &BTreeMap<String, Value>) -> Result<Vec<StampSpec>, ForceCallError> {
    let wanted: Result<Vec<StampSpec>, ForceCallError> =
        plan.codebases.iter().map(|codebase| stamp(codebase, params)).collect();
    let wanted = wanted?;
    let configured = plan.codebases.iter().map(|codebase| &codebase.stamp);
    Ok(if wanted.iter().eq(configured) { Vec::new() } else { wanted })
}

fn stamp(codebase: &CodebasePlan, params: &BTreeMap<String, Value>) -> Result<StampSpec, ForceCallError> {
    let configured = &codebase.stamp;
    let field = |name: &str| text(params, &full_name(&configured.codebase, name));
    Ok(StampSpec {
        codebase: configured.codebase.clone(),
        repository: field("repository")?.unwrap_or_else(|| configured.repository.clone()),
        project: field("project")?.unwrap_or_else(|| configured.project.clone()),
        branch: field("branch")?.or_else(|| configured.branch.clone()),
        revision: field("revision")?.or_else(|| configured.revision.clone()),
    })
}

/// Fields that every form has.
const COMMON: [&str; 6] = ["username", "owner", "reason", "priority", "builderid", "builderNames"];
/// Fields of each codebase.
const OF_CODEBASE: [&str; 4] = ["branch", "revision", "repository", "project"];

/// Fields that not every form has: parameters of this one, and unknown ones, which the engine refuses. A parameter may
/// be called as a common field is; then both take the value.
fn rest(plan: &SchedulerPlan, params: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let SchedulerKind::Force { params: own, .. } = &plan.kind else { return BTreeMap::new() };
    let of_codebases = plan
        .codebases
        .iter()
        .flat_map(|codebase| OF_CODEBASE.iter().map(|name| full_name(&codebase.stamp.codebase, name)));
    let common: BTreeSet<String> = COMMON.iter().map(|name| (*name).to_owned()).chain(of_codebases).collect();
    let is_own = |name: &String| own.iter().any(|param| param.name == *name);
    params
        .iter()
        .filter(|(name, _)| is_own(name) || !common.contains(*name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// A text that is not blank.
fn text(params: &BTreeMap<String, Value>, name: &str) -> Result<Option<String>, ForceCallError> {
    let text = match params.get(name).map(single) {
        None | Some(Value::Null) => return Ok(None),
        Some(value @ (Value::Str(_) | Value::Int(_))) => value.to_string(),
        Some(_) => return Err(ForceCallError::Wrong(format!("'{name}' must be a text"))),
    };
    Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty()))
}

/// The form of some browsers wraps single values.
fn single(value: &Value) -> &Value {
    match value {
        Value::List(items) if items.len() < 2 => items.first().unwrap_or(&Value::Null),
        value => value,
    }
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Str(text) => text.trim().parse().ok(),
        _ => None,
    }
}
