//! Builds that start builds, and wait for them.

use super::asking::NoAnswer;
use super::buildsets::NewBuildset;
use super::decide::PAUSE_MAX;
use super::state::{Build, Buildset, Retry};
use super::turn::Turn;
use crate::model::{
    Answer, Ask, BuildId, Event, Key, Outcome, Plan, RequestId, SchedulerKind, SchedulerPlan, StampSpec, StopReason,
    TriggerSpec, Triggered, TriggeredBuild, Value,
};

/// At most so many links are made at once: more than anybody looks through.
const LINKS_MAX: usize = 200;

/// A trigger whose properties are not decided after so many tries, some two hours, is refused: a build must not hold its
/// worker for a function that does not answer.
const TRIES_MAX: u32 = 10;

impl Turn<'_> {
    /// Makes the buildsets that a script asked for. If a scheduler cannot be triggered, none is made.
    pub fn trigger(&mut self, id: BuildId, key: Key, ask: TriggerSpec) {
        let Some(plan) = self.plan() else { return };
        let schedulers = match self.triggerable(&plan, &ask) {
            Ok(schedulers) => schedulers,
            Err(why) => {
                return self.refuse_trigger(id, key, why);
            }
        };
        let Some(build) = self.state.builds.get(&id) else { return };
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
            match self.decide_buildset(new_buildset) {
                Ok(decided) => decided_sets.push((scheduler.name.clone(), decided)),
                Err(no_answer) => return self.trigger_later(id, key, &scheduler.name, no_answer),
            }
        }
        for (name, decided) in decided_sets {
            let (_, requests) = self.make_decided(decided);
            let links = requests.values().map(|request| (format!("{name} #{request}"), format!("requests/{request}")));
            self.link(id, &key, links.collect());
        }
        if ask.wait {
            self.answer_trigger(id, &key);
        } else {
            let answer = Triggered { outcome: Outcome::Success, builds: Vec::new() };
            self.answer(id, key, Answer::Triggered(answer));
        }
    }

    /// Gives the step that triggered something links to it: names and paths below the address of the pages.
    fn link(&mut self, id: BuildId, key: &Key, links: Vec<(String, String)>) {
        let base = self.plan().and_then(|plan| plan.master.url.clone()).unwrap_or_default();
        let Some(step) = self.state.builds.get(&id).and_then(|build| build.step.as_ref()) else { return };
        let step = step.step_at(key);
        for (name, path) in links.into_iter().take(LINKS_MAX) {
            let url = format!("{}/{path}", base.trim_end_matches('/'));
            self.record(Event::StepLinked { build: id, step, name, url });
        }
    }

    fn refuse_trigger(&mut self, id: BuildId, key: Key, why: String) {
        self.record(Event::TriggerRefused { build: id, key: key.clone(), why });
        let answer = Triggered { outcome: Outcome::Exception, builds: Vec::new() };
        self.answer(id, key, Answer::Triggered(answer));
    }

    /// The properties of what is to start are not decided: the trigger waits, but not for ever.
    fn trigger_later(&mut self, id: BuildId, key: Key, scheduler: &str, no_answer: NoAnswer) {
        let Some(step) = self.state.builds.get(&id).and_then(|build| build.step.as_ref()) else { return };
        let tries =
            step.undecided.get(&key).map_or(0, |retry| retry.tries) + u32::from(no_answer != NoAnswer::Postponed);
        if tries >= TRIES_MAX {
            let why = format!("`properties` of scheduler `{scheduler}` has failed {tries} times");
            return self.refuse_trigger(id, key, why);
        }
        let retry = self.retry_at(no_answer, tries).or(Some(self.now.plus(PAUSE_MAX)));
        self.record(Event::TriggerUndecided { build: id, key, tries, retry });
    }

    /// Tries the triggers again that are due.
    pub fn trigger_again(&mut self, id: BuildId) {
        let Some(step) = self.state.builds.get(&id).and_then(|build| build.step.as_ref()) else { return };
        let is_due = |retry: &Retry| self.retry_due(*retry).is_some_and(|due| due <= self.now);
        let due =
            step.undecided.iter().filter(|(_, retry)| is_due(retry)).filter_map(|(key, retry)| match step.ask(key) {
                Some(Ask::Trigger(ask)) => Some((key.clone(), retry.tries, ask.clone())),
                _ => None,
            });
        for (key, tries, ask) in due.collect::<Vec<_>>() {
            self.record(Event::TriggerUndecided { build: id, key: key.clone(), tries, retry: None });
            self.trigger(id, key, ask);
        }
    }

    fn triggerable<'p>(&self, plan: &'p Plan, ask: &TriggerSpec) -> Result<Vec<&'p SchedulerPlan>, String> {
        let find = |name: &String| {
            let scheduler = plan.schedulers.get(name).ok_or_else(|| format!("there is no scheduler `{name}`"))?;
            let enabled = self.state.schedulers.get(name).is_some_and(|state| state.enabled);
            match scheduler.kind {
                SchedulerKind::Triggerable if enabled => Ok(scheduler),
                SchedulerKind::Triggerable => Err(format!("scheduler `{name}` is switched off")),
                _ => Err(format!("scheduler `{name}` is not triggerable")),
            }
        };
        ask.schedulers.iter().map(find).collect()
    }

    /// Answers the triggers of a build whose buildsets ended.
    pub fn answer_triggers(&mut self, id: BuildId) {
        let ended = self.in_flight.ended_triggers.iter().filter(|(build, _)| *build == id).cloned().collect::<Vec<_>>();
        for (build, key) in ended {
            self.answer_trigger(id, &key);
            self.in_flight.ended_triggers.remove(&(build, key));
        }
    }

    /// Answers a trigger once all of its buildsets ended.
    pub fn answer_trigger(&mut self, id: BuildId, key: &Key) {
        let Some(step) = self.state.builds.get(&id).and_then(|build| build.step.as_ref()) else { return };
        let unanswered = step.journal.0.get(key).is_some_and(|entry| entry.answer.is_none());
        let sets = step.triggers.get(key).map_or(&[][..], Vec::as_slice);
        let sets: Vec<&Buildset> = sets.iter().filter_map(|set| self.state.buildsets.get(set)).collect();
        if !unanswered || sets.iter().any(|set| set.ended.is_none()) {
            return;
        }
        let builds: Vec<TriggeredBuild> = sets.iter().flat_map(|set| self.triggered_builds(set)).collect();
        let outcome = builds.iter().map(|build| build.outcome).fold(Outcome::Skipped, Outcome::worse);
        let outcome = if builds.is_empty() { Outcome::Success } else { outcome };
        let links = builds.iter().filter_map(|build| {
            let number = build.number?;
            let name = format!("{}: {} #{number}", build.outcome, build.builder);
            Some((name, format!("builders/{}/builds/{number}", build.builder_id)))
        });
        self.link(id, key, links.collect());
        self.answer(id, key.clone(), Answer::Triggered(Triggered { outcome, builds }));
    }

    fn triggered_builds(&self, set: &Buildset) -> Vec<TriggeredBuild> {
        let one = |request: &RequestId| {
            let end = set.requests.get(request)?.as_ref()?;
            Some(TriggeredBuild {
                builder: self.state.builders.get(&end.builder).map(|builder| builder.name.clone()).unwrap_or_default(),
                builder_id: end.builder,
                build: end.build.map(|(build, _)| build),
                number: end.build.map(|(_, number)| number),
                outcome: end.outcome,
            })
        };
        set.record.requests.iter().filter_map(one).collect()
    }

    /// Cancels the waiting requests that builds wait for and whose builders are not configured any more: the builds that
    /// wait must not wait for a configuration. Other requests wait for their builder's return.
    pub fn cancel_homeless(&mut self) {
        let waiting = self.state.requests.iter().filter(|(_, request)| request.waited_for && request.build.is_none());
        let waiting: Vec<RequestId> = waiting.map(|(id, _)| *id).collect();
        for request in waiting {
            self.cancel_if_homeless(request);
        }
    }

    /// The same for one request, which waits again.
    pub fn cancel_if_homeless(&mut self, request: RequestId) {
        let Some(plan) = self.plan() else { return };
        let Some(found) = self.state.requests.get(&request) else { return };
        let Some(builder) = self.state.builders.get(&found.builder) else { return };
        if found.waited_for && found.build.is_none() && !plan.builders.contains_key(&builder.name) {
            self.end_request(request, Outcome::Cancelled);
        }
    }

    /// Cancels what the step in progress triggered and still waits for.
    pub fn cancel_triggered(&mut self, id: BuildId) {
        let Some(build) = self.state.builds.get(&id) else { return };
        let Some(step) = &build.step else { return };
        let why = format!("{}/{}, which waited for it, is over", build.builder, build.number);
        let sets = step.triggers.values().flatten().filter_map(|set| self.state.buildsets.get(set));
        let open: Vec<RequestId> = sets
            .flat_map(|set| set.requests.iter().filter(|(_, end)| end.is_none()).map(|(request, _)| *request))
            .collect();
        for request in open {
            self.cancel_request(request, &why, StopReason::ParentEnded(id));
        }
    }
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
