//! Buildsets: how they are made, and what follows when they end.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::asking::NoAnswer;
use super::collapse::collapse_into;
use super::decide::decide;
use super::reports::report_request;
use super::turn::Turn;
use super::words::short_reason;
use crate::model::{
    BuildId, BuilderId, BuildsetId, BuildsetRecord, ChangeId, Event, FnId, FunctionKind, MadeBy, Policy, Properties,
    Question, RequestId, RequestRecord, SchedulerPlan, SourceStamp, StampSpec, UserFunction, Value,
};

/// A buildset to make.
#[derive(Clone, Debug, Default)]
pub(super) struct NewBuildset {
    /// The scheduler that makes it; none: somebody, directly.
    pub scheduler: Option<String>,
    pub reason: String,
    pub external_id: Option<String>,
    pub parent: Option<BuildId>,
    pub rebuilt: Option<BuildId>,
    pub stamps: Vec<StampSpec>,
    pub changes: Vec<ChangeId>,
    pub builders: Vec<String>,
    /// The scheduler's, source `Scheduler`.
    pub properties: Properties,
    pub properties_fn: Option<FnId>,
    /// What a person or a trigger gave; wins over everything else.
    pub given: Properties,
    /// Nothing else is added to what was given: a rebuild.
    pub verbatim: bool,
    pub priority: Option<Policy<i64>>,
    pub waited_for: bool,
}

impl NewBuildset {
    /// What every buildset of a scheduler has.
    pub fn of(plan: &SchedulerPlan, usual_reason: &str) -> Self {
        Self {
            scheduler: Some(plan.name.clone()),
            reason: plan.reason.clone().unwrap_or_else(|| usual_reason.to_owned()),
            builders: plan.builders.clone(),
            properties: plan.properties.clone(),
            properties_fn: plan.properties_fn,
            priority: plan.priority.clone(),
            ..Self::default()
        }
    }
}

/// A buildset that can be made: what user functions say of it is known.
#[derive(Clone, Debug)]
pub(super) struct DecidedBuildset {
    new_buildset: NewBuildset,
    properties: Properties,
    /// One for each builder.
    priorities: Vec<i64>,
}

/// A buildset that was made: requests by builder.
pub(super) type CreatedBuildset = (BuildsetId, BTreeMap<BuilderId, RequestId>);

/// Makes a buildset and its requests, and collapses what they make needless. Nothing is made if a user function does
/// not say how.
pub(super) fn make_buildset(turn: &mut Turn<'_>, new_buildset: NewBuildset) -> Result<CreatedBuildset, NoAnswer> {
    let decided = decide_buildset(turn, new_buildset)?;
    Ok(make_decided(turn, decided))
}

/// Asks all that has to be known before a buildset can be made.
pub(super) fn decide_buildset(turn: &mut Turn<'_>, new_buildset: NewBuildset) -> Result<DecidedBuildset, NoAnswer> {
    let properties = merge_properties(turn, &new_buildset)?;
    let mut priorities = Vec::new();
    for name in &new_buildset.builders {
        priorities.push(priority_of(turn, &new_buildset, name, &properties)?);
    }
    Ok(DecidedBuildset { new_buildset, properties, priorities })
}

/// Makes a buildset of which everything is known.
pub(super) fn make_decided(turn: &mut Turn<'_>, decided: DecidedBuildset) -> CreatedBuildset {
    let DecidedBuildset { new_buildset, properties, priorities } = decided;
    let id = BuildsetId(turn.state.last().buildset + 1);
    let mut requests = Vec::new();
    for (name, priority) in new_buildset.builders.iter().zip(priorities) {
        let builder = turn.state.builder_id(name);
        requests.push(RequestRecord {
            id: RequestId(turn.state.last().request + 1 + requests.len() as u64),
            buildset: id,
            builder,
            priority,
            submitted: turn.now,
            claimed: None,
            completed: None,
            outcome: None,
            waited_for: new_buildset.waited_for,
            collapsed_into: None,
            properties: properties.clone(),
        });
    }
    let buildset = BuildsetRecord {
        id,
        made_by: made_by(turn, &new_buildset),
        reason: short_reason(new_buildset.reason),
        external_id: new_buildset.external_id,
        submitted: turn.now,
        completed: None,
        outcome: None,
        parent: new_buildset.parent,
        rebuilt: new_buildset.rebuilt,
        stamps: stamps(turn, new_buildset.stamps),
        properties,
        changes: new_buildset.changes,
        requests: requests.iter().map(|request| request.id).collect(),
    };
    let made = (id, requests.iter().map(|request| (request.builder, request.id)).collect());
    let ids: Vec<RequestId> = requests.iter().map(|request| request.id).collect();
    turn.record(Event::BuildsetMade { buildset, requests });
    for request in &ids {
        report_request(turn, *request, None);
        collapse_into(turn, *request);
    }
    if ids.is_empty() {
        turn.in_flight.marks.buildset(id);
    }
    made
}

fn made_by(turn: &Turn<'_>, new_buildset: &NewBuildset) -> MadeBy {
    match (&new_buildset.scheduler, new_buildset.rebuilt) {
        (Some(name), _) => MadeBy::Scheduler(turn.state.scheduler_id(name)),
        (None, Some(_)) => MadeBy::Rebuild,
        (None, None) => MadeBy::Force,
    }
}

/// Numbered stamps; identical ones share a number.
fn stamps(turn: &Turn<'_>, specs: Vec<StampSpec>) -> Vec<SourceStamp> {
    let mut fresh = 0;
    let mut stamps: Vec<SourceStamp> = Vec::new();
    for spec in specs {
        if stamps.iter().any(|stamp| stamp.spec == spec) {
            continue;
        }
        let stamp = turn.state.stamp(spec, fresh, turn.now);
        fresh += u64::from(stamp.id.0 > turn.state.last().stamp);
        stamps.push(stamp);
    }
    stamps
}

/// Later ones win: the configuration's, the newest change's, the scheduler's, those given.
fn merge_properties(turn: &mut Turn<'_>, new_buildset: &NewBuildset) -> Result<Properties, NoAnswer> {
    let mut properties = Properties::default();
    if new_buildset.verbatim {
        properties.update(&new_buildset.given);
        return Ok(properties);
    }
    if let Some(plan) = turn.plan() {
        properties.update(&plan.properties);
    }
    let changes = turn.state.changes().all(&new_buildset.changes);
    if let Some(newest) = changes.last() {
        properties.update(&newest.data.properties);
    }
    properties.update(&new_buildset.properties);
    if let (Some(function), Some(of)) = (new_buildset.properties_fn, new_buildset.scheduler.clone()) {
        let asked = UserFunction::new(FunctionKind::Properties, turn.state.scheduler_id(&of));
        let known = Arc::new(properties.clone());
        let question = Question::Properties { of, properties: known, changes };
        if let Value::Map(more) = decide(turn, &asked, function, question)? {
            for (name, value) in more {
                properties.set(name, value, "Scheduler");
            }
        }
    }
    properties.update(&new_buildset.given);
    let scheduler = new_buildset.scheduler.clone();
    let scheduler = scheduler.unwrap_or_else(|| made_by(turn, new_buildset).name(|_| String::new()));
    properties.set("scheduler", scheduler, "Scheduler");
    Ok(properties)
}

fn priority_of(
    turn: &mut Turn<'_>,
    new_buildset: &NewBuildset,
    builder: &str,
    properties: &Properties,
) -> Result<i64, NoAnswer> {
    let plan = turn.plan();
    let builders = plan.as_ref().and_then(|plan| plan.builders.get(builder)?.priority.as_ref());
    match new_buildset.priority.as_ref().or(builders) {
        Some(policy) => number_of(turn, policy, builder, properties),
        None => Ok(0),
    }
}

/// A whole number from a policy: fixed, or what the user's function says of these properties; 0 if it says nothing.
pub(super) fn number_of(
    turn: &mut Turn<'_>,
    policy: &crate::model::Policy<i64>,
    builder: &str,
    properties: &crate::model::Properties,
) -> Result<i64, NoAnswer> {
    match policy {
        crate::model::Policy::Fixed(number) => Ok(*number),
        crate::model::Policy::Function(function) => {
            let asked = UserFunction::new(FunctionKind::Priority, turn.state.builder_id(builder));
            let properties = Arc::new(properties.clone());
            let question = Question::Priority { builder: builder.to_owned(), properties };
            match decide(turn, &asked, *function, question) {
                Ok(answer) => Ok(answer.as_int().unwrap_or(0)),
                Err(NoAnswer::Postponed) => Err(NoAnswer::Postponed),
                Err(NoAnswer::Failed | NoAnswer::Suspended) => Ok(0),
            }
        }
    }
}
