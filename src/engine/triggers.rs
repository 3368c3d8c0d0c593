//! Builds that start builds, and wait for them.

use super::asking::NoAnswer;
use super::buildsets::{NewBuildset, decide_buildset, make_decided};
use super::decide::{PAUSE_MAX, retry_at};
use super::journal::answer;
use super::pending::retry_due;
use super::state::{Build, Buildset, Retry};
use super::turn::Turn;
use crate::model::{
    Answer, Ask, BuildId, Event, Key, Outcome, Plan, RequestId, SchedulerKind, SchedulerPlan, StampSpec, TriggerSpec,
    Triggered, TriggeredBuild, Value,
};

/// At most so many links are made at once: more than anybody looks through.
const LINKS_MAX: usize = 200;

/// A trigger whose properties are not decided after so many tries, some two hours, is refused: a build must not hold its
/// worker for a function that does not answer.
const TRIES_MAX: u32 = 10;

/// Makes the buildsets that a script asked for. If a scheduler cannot be triggered, none is made.
pub(super) fn trigger(turn: &mut Turn<'_>, id: BuildId, key: Key, ask: TriggerSpec) {
    let Some(plan) = turn.plan() else {
        return refuse_trigger(turn, id, key, "no configuration is in force".to_owned());
    };
    let schedulers = match triggerable(turn, &plan, &ask) {
        Ok(schedulers) => schedulers,
        Err(why) => {
            return refuse_trigger(turn, id, key, why);
        }
    };
    let build = turn.state.build(id);
    let name = format!("{}/{}", build.builder, build.number);
    let (stamps, changes) = if ask.stamps.is_empty() {
        (checked_out(build), build.changes.clone())
    } else {
        (ask.stamps.clone(), Vec::new())
    };
    let mut decided_sets = Vec::new();
    for scheduler in schedulers {
        let new_buildset = NewBuildset {
            parent: Some(id),
            stamps: stamps.clone(),
            changes: changes.clone(),
            given: ask.properties.clone(),
            waited_for: ask.wait,
            ..NewBuildset::of(scheduler, &format!("triggered by {name}"))
        };
        match decide_buildset(turn, new_buildset) {
            Ok(decided) => decided_sets.push((scheduler.name.clone(), decided)),
            Err(no_answer) => return trigger_later(turn, id, key, &scheduler.name, no_answer),
        }
    }
    for (name, decided) in decided_sets {
        let (_, requests) = make_decided(turn, decided);
        let links = requests.values().map(|request| (format!("{name} #{request}"), format!("requests/{request}")));
        link(turn, id, &key, links.collect());
    }
    if ask.wait {
        answer_trigger(turn, id, &key);
    } else {
        let triggered = Triggered { outcome: Outcome::Success, builds: Vec::new() };
        answer(turn, id, key, Answer::Triggered(triggered));
    }
}

/// Gives the step that triggered something links to it: names and paths below the address of the pages.
fn link(turn: &mut Turn<'_>, id: BuildId, key: &Key, links: Vec<(String, String)>) {
    let base = turn.plan().and_then(|plan| plan.master.url.clone()).unwrap_or_default();
    let step = turn.state.current_step(id).step_at(key);
    for (name, path) in links.into_iter().take(LINKS_MAX) {
        let url = format!("{}/{path}", base.trim_end_matches('/'));
        turn.record(Event::StepLinked { build: id, step, name, url });
    }
}

fn refuse_trigger(turn: &mut Turn<'_>, id: BuildId, key: Key, why: String) {
    turn.record(Event::TriggerRefused { build: id, key: key.clone(), why });
    let triggered = Triggered { outcome: Outcome::Exception, builds: Vec::new() };
    answer(turn, id, key, Answer::Triggered(triggered));
}

/// The properties of what is to start are not decided: the trigger waits, but not for ever.
fn trigger_later(turn: &mut Turn<'_>, id: BuildId, key: Key, scheduler: &str, no_answer: NoAnswer) {
    let step = turn.state.current_step(id);
    let tries = step.undecided.get(&key).map_or(0, |retry| retry.tries) + u32::from(no_answer != NoAnswer::Postponed);
    if tries >= TRIES_MAX {
        let why = format!("`properties` of scheduler `{scheduler}` has failed {tries} times");
        return refuse_trigger(turn, id, key, why);
    }
    let retry = retry_at(turn, no_answer, tries).or(Some(turn.now.plus(PAUSE_MAX)));
    turn.record(Event::TriggerUndecided { build: id, key, tries, retry });
}

/// Tries the triggers again that are due.
pub(super) fn trigger_again(turn: &mut Turn<'_>, id: BuildId) {
    let step = turn.state.current_step(id);
    let is_due = |retry: &Retry| retry_due(turn, *retry).is_some_and(|due| due <= turn.now);
    let due = step.undecided.iter().filter(|(_, retry)| is_due(retry)).filter_map(|(key, retry)| match step.ask(key) {
        Some(Ask::Trigger(ask)) => Some((key.clone(), retry.tries, ask.clone())),
        _ => None,
    });
    for (key, tries, ask) in due.collect::<Vec<_>>() {
        turn.record(Event::TriggerUndecided { build: id, key: key.clone(), tries, retry: None });
        trigger(turn, id, key, ask);
    }
}

fn triggerable<'p>(turn: &Turn<'_>, plan: &'p Plan, ask: &TriggerSpec) -> Result<Vec<&'p SchedulerPlan>, String> {
    let find = |name: &String| {
        let scheduler = plan.schedulers.get(name).ok_or_else(|| format!("there is no scheduler `{name}`"))?;
        let enabled = turn.state.schedulers().get(name).is_some_and(|state| state.enabled);
        match scheduler.kind {
            SchedulerKind::Triggerable if enabled => Ok(scheduler),
            SchedulerKind::Triggerable => Err(format!("scheduler `{name}` is switched off")),
            _ => Err(format!("scheduler `{name}` is not triggerable")),
        }
    };
    ask.schedulers.iter().map(find).collect()
}

/// Answers the triggers of a build whose buildsets ended.
pub(super) fn answer_triggers(turn: &mut Turn<'_>, id: BuildId) {
    for key in turn.in_flight.marks.take_triggers(id) {
        answer_trigger(turn, id, &key);
    }
}

/// Answers a trigger once all of its buildsets ended.
pub(super) fn answer_trigger(turn: &mut Turn<'_>, id: BuildId, key: &Key) {
    // Late: the step that waited is over.
    let Some(step) = turn.state.step(id) else { return };
    let unanswered = step.journal.0.get(key).is_some_and(|entry| entry.answer.is_none());
    let sets = step.triggers.get(key).map_or(&[][..], Vec::as_slice);
    let sets: Vec<&Buildset> = sets.iter().filter_map(|set| turn.state.buildsets().get(set)).collect();
    if !unanswered || sets.iter().any(|set| set.ended.is_none()) {
        return;
    }
    let builds: Vec<TriggeredBuild> = sets.iter().flat_map(|set| triggered_builds(turn, set)).collect();
    let outcome = builds.iter().map(|build| build.outcome).fold(Outcome::Skipped, Outcome::worse);
    let outcome = if builds.is_empty() { Outcome::Success } else { outcome };
    let links = builds.iter().filter_map(|build| {
        let number = build.number?;
        let name = format!("{}: {} #{number}", build.outcome, build.builder);
        Some((name, format!("builders/{}/builds/{number}", build.builder_id)))
    });
    link(turn, id, key, links.collect());
    answer(turn, id, key.clone(), Answer::Triggered(Triggered { outcome, builds }));
}

fn triggered_builds(turn: &Turn<'_>, set: &Buildset) -> Vec<TriggeredBuild> {
    let one = |request: &RequestId| {
        let end = set.requests.get(request)?.as_ref()?;
        Some(TriggeredBuild {
            builder: turn.state.builder(end.builder).name.clone(),
            builder_id: end.builder,
            build: end.build.map(|(build, _)| build),
            number: end.build.map(|(_, number)| number),
            outcome: end.outcome,
        })
    };
    set.record.requests.iter().filter_map(one).collect()
}

/// What a build works on, at the revisions that it got.
fn checked_out(build: &Build) -> Vec<StampSpec> {
    let got = build.properties.get("got_revision");
    let revision = |codebase: &str| match got {
        Some(Value::Str(revision)) if !revision.is_empty() => Some(revision.clone()),
        Some(Value::Map(by_codebase)) => by_codebase.get(codebase).and_then(Value::as_str).map(str::to_owned),
        _ => None,
    };
    let at = |spec: &StampSpec| StampSpec {
        revision: revision(&spec.codebase).or_else(|| spec.revision.clone()),
        ..spec.clone()
    };
    build.stamps.iter().map(|stamp| at(&stamp.spec)).collect()
}
