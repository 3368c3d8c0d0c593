//! A build starts: it takes its requests, a number, a worker's slot and its locks, and knows its properties.

use std::collections::BTreeSet;

use super::reports::report_start;
use super::state::Request;
use super::turn::Turn;
use crate::base::Timestamp;
use crate::model::{
    BuildId, BuilderPlan, ChangeId, Event, LockAccess, Outcome, Properties, Property, RequestId, SourceStamp, StepId,
    Value,
};

/// Starts a request at a place. `asked` says since when only locks were missing.
pub(super) fn start_build(
    turn: &mut Turn<'_>,
    plan: &BuilderPlan,
    request: RequestId,
    place: Placement,
    asked: Option<Timestamp>,
) {
    let Placement { worker, dir, lender, locks } = place;
    let found = turn.state.request(request).clone();
    let digest = turn.state.plan().cloned().expect("builds start under a configuration");
    let worker_id = turn.state.worker_id(&worker);
    let number = turn.state.builder(found.builder).number + 1;
    let build = BuildId(turn.state.last().build + 1);
    let reason = turn.state.buildset_of(&found).record.reason.clone();
    turn.record(Event::BuildStarted {
        build,
        number,
        builder: found.builder,
        properties: build_properties(turn, plan, &found, (&worker, &dir), number),
        worker: worker_id,
        dir,
        lender,
        requests: vec![request],
        plan: digest,
        changes: found.changes,
        reason,
    });
    report_start(turn, build);
    if !locks.is_empty() {
        turn.record(Event::LocksTaken { build, step: None, locks });
    }
    if let Some(asked) = asked.filter(|asked| *asked < turn.now) {
        turn.record(Event::LocksWaited { build, waited: turn.now.since(asked) });
    }
    prepare_worker(turn, build, &worker);
}

/// Step 0: the worker is there, or the build would not have started.
fn prepare_worker(turn: &mut Turn<'_>, build: BuildId, worker: &str) {
    let step = StepId(turn.state.last().step + 1);
    let state = format!("worker {worker} ready");
    turn.record(Event::StepStarted {
        build,
        step,
        number: 0,
        name: "worker_preparation".to_owned(),
        parent: None,
        index: None,
        key: None,
        attempt: 0,
        state: state.clone(),
    });
    turn.record(Event::StepEnded { build, step, outcome: Outcome::Success, state, hidden: false });
    turn.record(Event::BuildState { build, state: "building".to_owned() });
}

/// Those of the buildset, the builder, the worker and the build; later ones win.
fn build_properties(
    turn: &Turn<'_>,
    plan: &BuilderPlan,
    request: &Request,
    (worker, dir): (&str, &str),
    number: u64,
) -> Properties {
    let set = turn.state.buildsets().get(&request.buildset).map(|set| &set.record);
    let mut properties = set.map(|set| set.properties.clone()).unwrap_or_default();
    properties.set("buildername", plan.name.as_str(), "Builder");
    properties.set("builderid", number_value(request.builder.0), "Builder");
    properties.update(&sourced(&plan.properties, "Builder"));
    properties.set("workername", worker, "Worker");
    if let Some(worker_plan) = turn.plan().as_ref().and_then(|plan| plan.workers.get(worker)) {
        properties.update(&sourced(&worker_plan.properties, "Worker"));
    }
    if let Some(state) = turn.state.workers().get(worker)
        && let Some(base) = state.info.get("basedir")
    {
        properties.set("basedir", base.as_str(), "Worker");
        properties.set("builddir", join(&state.info, base, dir), "Worker");
    }
    properties.set("buildnumber", number_value(number), "Build");
    if let Some([stamp]) = set.map(|set| set.stamps.as_slice()) {
        set_source(&mut properties, stamp);
    }
    let owners = owners(turn, &request.changes, &properties);
    if !owners.is_empty() {
        properties.set("owners", Value::List(owners.into_iter().map(Value::Str).collect()), "Build");
    }
    properties
}

/// Who answers for a build: the authors of its changes, and who forced it.
fn owners(turn: &Turn<'_>, changes: &[ChangeId], properties: &Properties) -> BTreeSet<String> {
    let authors = turn.state.changes().all(changes);
    let forced = properties.get("owner").and_then(Value::as_str).filter(|owner| !owner.is_empty());
    authors.iter().map(|change| change.data.author.clone()).chain(forced.map(str::to_owned)).collect()
}

fn set_source(properties: &mut Properties, stamp: &SourceStamp) {
    let text = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    properties.set("branch", text(&stamp.spec.branch), "Build");
    properties.set("revision", text(&stamp.spec.revision), "Build");
    properties.set("repository", stamp.spec.repository.as_str(), "Build");
    properties.set("codebase", stamp.spec.codebase.as_str(), "Build");
    properties.set("project", stamp.spec.project.as_str(), "Build");
}

fn number_value(number: u64) -> Value {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

/// Properties of a declaration, all from one source.
fn sourced(properties: &Properties, source: &str) -> Properties {
    let from = |property: &Property| Property { value: property.value.clone(), source: source.to_owned() };
    Properties(properties.0.iter().map(|(name, property)| (name.clone(), from(property))).collect())
}

/// A directory below a worker's base directory, in the worker's syntax.
pub(super) fn join(info: &std::collections::BTreeMap<String, String>, base: &str, dir: &str) -> String {
    let windows = info.get("system").is_some_and(|system| system == "nt");
    let separator = if windows { '\\' } else { '/' };
    format!("{}{separator}{dir}", base.trim_end_matches(separator))
}

/// A worker that a request could go to, the directory that the build would have there, and the locks that it would take.
#[derive(Clone, Debug)]
pub(super) struct Placement {
    pub worker: String,
    pub dir: String,
    /// The build whose slot it would use.
    pub lender: Option<BuildId>,
    pub locks: Vec<LockAccess>,
}
