//! From the parameters of a force call, or the fields of a form, to what the master is asked (REST
//! specification, section 10.2). Types, patterns and required fields are checked by the engine.

use std::collections::BTreeMap;

use super::forceschedulers::{REASON, full_name};
use super::rpc::ANONYMOUS;
use crate::master::ForceAsk;
use crate::model::{BuilderId, CodebasePlan, SchedulerKind, SchedulerPlan, StampSpec, Value};
use crate::store::{Store, StoreError};

/// Why a call cannot even be asked.
#[derive(Debug)]
pub enum ForceError {
    NoSuchBuilder,
    /// Text for the caller.
    Wrong(String),
    Store(StoreError),
}

/// Reads the parameters of a force call on a scheduler.
pub fn force_ask(
    store: &Store,
    plan: &SchedulerPlan,
    params: &BTreeMap<String, Value>,
) -> Result<ForceAsk, ForceError> {
    Ok(ForceAsk {
        scheduler: Some(plan.name.clone()),
        builders: builders(store, plan, params)?,
        params: rest(plan, params),
        stamps: stamps(plan, params),
        reason: text(params, "reason").unwrap_or_else(|| plan.reason.clone().unwrap_or_else(|| REASON.to_owned())),
        owner: text(params, "username").unwrap_or_else(|| ANONYMOUS.to_owned()),
        priority: params.get("priority").and_then(number),
    })
}

fn builders(store: &Store, plan: &SchedulerPlan, params: &BTreeMap<String, Value>) -> Result<Vec<String>, ForceError> {
    if let Some(id) = params.get("builderid") {
        let id = number(id).and_then(|id| u64::try_from(id).ok()).map(BuilderId);
        let builder = id.map(|id| store.builder(id)).transpose().map_err(ForceError::Store)?.flatten();
        let builder = builder.ok_or(ForceError::NoSuchBuilder)?;
        if !plan.builders.contains(&builder.name) {
            let text = format!("scheduler `{}` cannot start builder `{}`", plan.name, builder.name);
            return Err(ForceError::Wrong(text));
        }
        return Ok(vec![builder.name]);
    }
    let Some(Value::List(names)) = params.get("builderNames") else { return Ok(Vec::new()) };
    let asked: Vec<&str> = names.iter().filter_map(Value::as_str).collect();
    let chosen: Vec<String> = plan.builders.iter().filter(|name| asked.contains(&name.as_str())).cloned().collect();
    if chosen.is_empty() {
        let text = format!("scheduler `{}` can start none of the builders in 'builderNames'", plan.name);
        return Err(ForceError::Wrong(text));
    }
    Ok(chosen)
}

/// The codebases, if the asker wants any of them otherwise than configured. Blank means: as configured.
fn stamps(plan: &SchedulerPlan, params: &BTreeMap<String, Value>) -> Vec<StampSpec> {
    let wanted: Vec<StampSpec> = plan.codebases.iter().map(|codebase| stamp(codebase, params)).collect();
    let configured = plan.codebases.iter().map(|codebase| &codebase.stamp);
    if wanted.iter().eq(configured) { Vec::new() } else { wanted }
}

fn stamp(codebase: &CodebasePlan, params: &BTreeMap<String, Value>) -> StampSpec {
    let configured = &codebase.stamp;
    let field = |name: &str| text(params, &full_name(&configured.codebase, name));
    StampSpec {
        codebase: configured.codebase.clone(),
        repository: field("repository").unwrap_or_else(|| configured.repository.clone()),
        project: field("project").unwrap_or_else(|| configured.project.clone()),
        branch: field("branch").or_else(|| configured.branch.clone()),
        revision: field("revision").or_else(|| configured.revision.clone()),
    }
}

/// What is no field of every form.
fn rest(plan: &SchedulerPlan, params: &BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let SchedulerKind::Force { params: known, .. } = &plan.kind else { return BTreeMap::new() };
    let own = known.iter().filter_map(|param| params.get_key_value(&param.name));
    own.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// A text that is not blank.
fn text(params: &BTreeMap<String, Value>, name: &str) -> Option<String> {
    let value = match params.get(name)? {
        // The form of some browsers wraps single values.
        Value::List(items) => items.first()?,
        value => value,
    };
    value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Str(text) => text.trim().parse().ok(),
        _ => None,
    }
}
