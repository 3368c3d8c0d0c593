//! Orders about builds: by hand, once more, with another priority, not at all.

use std::collections::BTreeMap;

use super::asking::NoAnswer;
use super::buildsets::{CreatedBuildset, NewBuildset, make_buildset};
use super::collapse::collapse_into;
use super::decide::postpone;
use super::ends::abandon;
use super::stop::{cancel_request, stop_build};
use super::timers::TimerKey;
use super::turn::Turn;
use super::{Reply, Ticket, form, words};
use crate::base::nearest;
use crate::model::{
    Actor, BuildId, BuiltOf, Event, ForceOrder, FunctionKind, Outcome, Plan, Policy, Properties, RequestId,
    SchedulerKind, SchedulerPlan, StampSpec, StopReason, UserFunction, Value,
};

/// What somebody reads whose builds no time was left for.
const BUSY: &str = "the master is busy with user functions; try again";

const FORM: &str = "Force Build Form";

/// So many people may wait for the next pass; it is to begin at once.
const LATER_MAX: usize = 1_000;

/// What a force call makes, and the priority that it asks for.
type Wanted = (NewBuildset, Option<i64>);

/// Orders for builds for which no time was left: they are carried out in the next pass.
#[derive(Clone, Debug, Default)]
pub(super) struct PostponedOrders {
    forces: Vec<(ForceOrder, Actor, Option<Ticket>)>,
}

impl PostponedOrders {
    /// Somebody wants builds.
    pub fn force_ordered(&mut self, turn: &mut Turn<'_>, ask: ForceOrder, by: &Actor, ticket: Option<Ticket>) {
        let reply = match force(turn, &ask, by) {
            Ok(Ok((buildset, requests))) => Reply::Buildset { buildset, requests },
            Ok(Err(NoAnswer::Postponed)) if self.forces.len() < LATER_MAX => {
                self.forces.push((ask, by.clone(), ticket));
                return postpone(turn, TimerKey::Later);
            }
            Ok(Err(_)) => Reply::Refused(why_undecided(turn, &ask)),
            Err(refusal) => refusal,
        };
        turn.reply(ticket, reply);
    }

    pub fn is_empty(&self) -> bool {
        self.forces.is_empty()
    }

    /// Does what was postponed: first, what is known of the requests that are there.
    pub fn carry_out(&mut self, turn: &mut Turn<'_>) {
        for request in turn.in_flight.marks.take_collapses() {
            collapse_into(turn, request);
        }
        for (ask, by, ticket) in std::mem::take(&mut self.forces) {
            self.force_ordered(turn, ask, &by, ticket);
        }
    }
}

fn why_undecided(turn: &Turn<'_>, ask: &ForceOrder) -> String {
    let scheduler =
        turn.plan().and_then(|plan| find_scheduler(&plan, ask).ok().flatten().map(|scheduler| scheduler.name.clone()));
    let Some(scheduler) = scheduler else { return BUSY.to_owned() };
    let function = UserFunction::new(FunctionKind::Properties, turn.state.scheduler_id(&scheduler));
    let trouble = turn.state.troubles().get(&function).and_then(|trouble| trouble.message.as_ref());
    let why = trouble.map_or("it gives no answer", String::as_str);
    let word = function.kind.word();
    format!("the properties of these builds cannot be decided: `{word}` of scheduler `{scheduler}`: {why}")
}

fn force(turn: &mut Turn<'_>, ask: &ForceOrder, by: &Actor) -> Result<Result<CreatedBuildset, NoAnswer>, Reply> {
    let plan = turn.plan().ok_or_else(|| Reply::Refused("no configuration is in force".to_owned()))?;
    for name in &ask.builders {
        if !plan.builders.contains_key(name) {
            return Err(Reply::Unknown(unknown("builder", name, plan.builders.keys())));
        }
    }
    let scheduler = find_scheduler(&plan, ask)?;
    let (mut new_buildset, priority) = match scheduler {
        Some(scheduler) => force_by_form(turn, &plan, scheduler, ask)?,
        None => force_directly(&plan, ask)?,
    };
    let given = &mut new_buildset.given;
    given.set("reason", ask.reason.as_str(), FORM);
    given.set("owner", by.name(), FORM);
    new_buildset.reason = words::forced(by.name(), &ask.reason);
    if let Some(priority) = priority {
        new_buildset.priority = Some(Policy::Fixed(priority));
    }
    Ok(make_buildset(turn, new_buildset))
}

fn force_by_form(turn: &Turn<'_>, plan: &Plan, scheduler: &SchedulerPlan, ask: &ForceOrder) -> Result<Wanted, Reply> {
    let name = &scheduler.name;
    if !turn.state.schedulers().get(name).is_some_and(|state| state.enabled) {
        return Err(Reply::Refused(format!("scheduler `{name}` is switched off; enable it first")));
    }
    let SchedulerKind::Force { params, .. } = &scheduler.kind else {
        return Err(Reply::Refused(format!("scheduler `{name}` is not a force scheduler")));
    };
    if let Some(stranger) = ask.builders.iter().find(|builder| !scheduler.builders.contains(builder)) {
        let has = scheduler.builders.join("`, `");
        return Err(Reply::Refused(format!("scheduler `{name}` has no builder `{stranger}`, but `{has}`")));
    }
    let defaults: Vec<StampSpec> = scheduler.codebases.iter().map(|codebase| codebase.stamp.clone()).collect();
    let mut new_buildset =
        NewBuildset { stamps: choose_stamps(&defaults, &ask.stamps)?, ..NewBuildset::of(scheduler, "") };
    if !ask.builders.is_empty() {
        new_buildset.builders.clone_from(&ask.builders);
    }
    let mut errors = form::unused_sources(plan, scheduler, &new_buildset.builders, &new_buildset.stamps);
    let answers = match form::read(params, &ask.params, ask.priority.as_ref()) {
        Ok(answers) if errors.is_empty() => answers,
        answers => {
            errors.extend(answers.err().into_iter().flatten());
            return Err(Reply::Invalid(errors));
        }
    };
    new_buildset.given = as_properties(&answers.values);
    Ok((new_buildset, answers.priority))
}

/// Somebody wants a build again: the same sources and properties.
pub(super) fn rebuild_ordered(
    turn: &mut Turn<'_>,
    build: BuildId,
    of: Option<Box<BuiltOf>>,
    by: &Actor,
    ticket: Option<Ticket>,
) {
    let Some(of) = of else {
        return turn.reply(ticket, Reply::Unknown(format!("there is no build {build}")));
    };
    let plan = turn.plan();
    let name = turn.state.builders().get(&of.builder).map(|builder| builder.name.clone()).unwrap_or_default();
    if !plan.is_some_and(|plan| plan.builders.contains_key(&name)) {
        let text = format!("builder `{name}` of build {build} is not configured any more");
        return turn.reply(ticket, Reply::Refused(text));
    }
    let set = of.buildset;
    let new_buildset = NewBuildset {
        reason: words::rebuilt(by.name()),
        external_id: set.external_id,
        parent: set.parent,
        rebuilt: Some(set.rebuilt.unwrap_or(build)),
        stamps: set.stamps.into_iter().map(|stamp| stamp.spec).collect(),
        changes: set.changes,
        builders: vec![name],
        given: set.properties,
        verbatim: true,
        ..NewBuildset::default()
    };
    // A rebuild takes over what was decided then; only its priority is asked for.
    let reply = match make_buildset(turn, new_buildset) {
        Ok((buildset, requests)) => Reply::Buildset { buildset, requests },
        Err(_) => Reply::Refused(BUSY.to_owned()),
    };
    turn.reply(ticket, reply);
}

/// Somebody wants a request cancelled. What ended or never was needs no cancelling.
pub(super) fn cancel_ordered(turn: &mut Turn<'_>, request: RequestId, why: &str, ticket: Option<Ticket>) {
    cancel_request(turn, request, why, StopReason::Ordered);
    turn.reply(ticket, Reply::Done);
}

/// Somebody wants a build stopped. What ended or never was needs no stopping.
pub(super) fn stop_ordered(turn: &mut Turn<'_>, build: BuildId, why: &str, ticket: Option<Ticket>) {
    stop_build(turn, build, why, StopReason::Ordered);
    turn.reply(ticket, Reply::Done);
}

/// Somebody ends a build at once. What its worker still has of it is stopped when that connects.
pub(super) fn end_build_ordered(turn: &mut Turn<'_>, build: BuildId, why: &str, ticket: Option<Ticket>) {
    let reply = if turn.state.builds().contains_key(&build) {
        abandon(turn, build, Outcome::Exception, why);
        Reply::Done
    } else {
        Reply::Unknown(format!("no build `{build}` is running"))
    };
    turn.reply(ticket, reply);
}

/// Somebody changes a priority.
pub(super) fn priority_ordered(turn: &mut Turn<'_>, request: RequestId, priority: i64, ticket: Option<Ticket>) {
    let reply = match turn.state.requests().get(&request) {
        Some(found) if found.priority == priority => Reply::Done,
        Some(_) => {
            turn.record(Event::RequestPriority { request, priority });
            Reply::Done
        }
        None => Reply::Unknown(format!("no request `{request}` is open")),
    };
    turn.reply(ticket, reply);
}

/// The force scheduler that an ask means; none if the builders are to be started without one.
fn find_scheduler<'p>(plan: &'p Plan, ask: &ForceOrder) -> Result<Option<&'p SchedulerPlan>, Reply> {
    let forces = || plan.schedulers.values().filter(|plan| matches!(plan.kind, SchedulerKind::Force { .. }));
    match &ask.scheduler {
        Some(name) => match plan.schedulers.get(name) {
            Some(scheduler) => Ok(Some(scheduler)),
            None => Err(Reply::Unknown(unknown("scheduler", name, forces().map(|force| &force.name)))),
        },
        None if ask.builders.is_empty() => {
            Err(Reply::Refused("name the builders to force, or a force scheduler".to_owned()))
        }
        None => Ok(forces().find(|force| ask.builders.iter().all(|builder| force.builders.contains(builder)))),
    }
}

/// Without a force scheduler whatever is given becomes a property; sources are those of any scheduler that has the
/// builder.
fn force_directly(plan: &Plan, ask: &ForceOrder) -> Result<Wanted, Reply> {
    let like = plan.schedulers.values().find(|scheduler| ask.builders.iter().all(|b| scheduler.builders.contains(b)));
    let defaults = like.map_or_else(
        || vec![StampSpec::default()],
        |like| like.codebases.iter().map(|codebase| codebase.stamp.clone()).collect(),
    );
    let priority = form::read_priority(ask.priority.as_ref());
    let priority = priority.map_err(|error| Reply::Invalid([("priority".to_owned(), error)].into()))?;
    let new_buildset = NewBuildset {
        stamps: choose_stamps(&defaults, &ask.stamps)?,
        builders: ask.builders.clone(),
        given: as_properties(&ask.params),
        ..NewBuildset::default()
    };
    Ok((new_buildset, priority))
}

/// Stamps for all codebases: the ones asked for in place of the usual ones. Repository and project may be left out.
fn choose_stamps(usual: &[StampSpec], asked: &[StampSpec]) -> Result<Vec<StampSpec>, Reply> {
    if let Some(stranger) = asked.iter().find(|ask| !usual.iter().any(|stamp| stamp.codebase == ask.codebase)) {
        let known = usual.iter().map(|stamp| stamp.codebase.as_str()).collect::<Vec<_>>().join("`, `");
        return Err(Reply::Refused(format!("there is no codebase `{}`, but `{known}`", stranger.codebase)));
    }
    let fill = |usual: &StampSpec, ask: &StampSpec| StampSpec {
        codebase: ask.codebase.clone(),
        repository: if ask.repository.is_empty() { usual.repository.clone() } else { ask.repository.clone() },
        project: if ask.project.is_empty() { usual.project.clone() } else { ask.project.clone() },
        branch: ask.branch.clone().filter(|branch| !branch.is_empty()).or_else(|| usual.branch.clone()),
        revision: ask.revision.clone().filter(|revision| !revision.is_empty()).or_else(|| usual.revision.clone()),
    };
    let choose = |usual: &StampSpec| {
        asked.iter().find(|ask| ask.codebase == usual.codebase).map_or_else(|| usual.clone(), |ask| fill(usual, ask))
    };
    Ok(usual.iter().map(choose).collect())
}

fn as_properties(values: &BTreeMap<String, Value>) -> Properties {
    let mut properties = Properties::default();
    for (name, value) in values {
        properties.set(name, value.clone(), FORM);
    }
    properties
}

fn unknown<'n>(kind: &str, name: &str, known: impl Iterator<Item = &'n String>) -> String {
    match nearest(name, known.map(String::as_str)) {
        Some(near) => format!("there is no {kind} `{name}`; did you mean `{near}`?"),
        None => format!("there is no {kind} `{name}`"),
    }
}
