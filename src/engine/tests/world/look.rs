//! What became of it: the questions that a test asks of a [`World`]. None of them changes anything.

use std::collections::BTreeMap;

use super::{BuildView, World};
use crate::model::{BuildId, BuilderId, BuildsetId, BuildsetRecord, Event, FunctionOwner, Outcome, RequestId, Value};

impl World {
    /// What a person has to do something about.
    pub fn stuck(&mut self) -> Vec<String> {
        let functions = self.functions();
        let stuck = self.engine.stuck_queues(self.now, &functions).into_iter();
        stuck.map(|queue| format!("{}: {}", queue.builder, queue.text)).collect()
    }

    /// Why a request waits.
    pub fn why(&mut self, request: RequestId) -> Vec<String> {
        let functions = self.functions();
        self.engine.why_waits(self.now, &[request], &functions).remove(&request).unwrap_or_default()
    }

    /// Events, newest last.
    pub fn events(&self) -> impl DoubleEndedIterator<Item = &Event> {
        self.facts.iter().map(|fact| &fact.event)
    }

    pub(super) fn builder_of(&self, build: BuildId) -> BuilderId {
        let found = self.events().find_map(|event| match event {
            Event::BuildStarted { build: id, builder, .. } if *id == build => Some(*builder),
            _ => None,
        });
        found.unwrap()
    }

    /// The record of a build's buildset.
    pub fn buildset_of_build(&self, build: BuildId) -> BuildsetRecord {
        let request = self.events().find_map(|event| match event {
            Event::BuildStarted { build: id, requests, .. } if *id == build => Some(requests[0]),
            _ => None,
        });
        self.buildset_of(request.unwrap())
    }

    /// The record of a request's buildset.
    pub fn buildset_of(&self, request: RequestId) -> BuildsetRecord {
        let found = self.events().find_map(|event| match event {
            Event::BuildsetMade { buildset, requests } if requests.iter().any(|r| r.id == request) => Some(buildset),
            _ => None,
        });
        found.unwrap().clone()
    }

    /// The name of a buildset's scheduler, or the word in its place.
    pub fn maker_of(&self, set: &BuildsetRecord) -> String {
        set.made_by.name(|id| self.engine.state().scheduler_name(id).unwrap().clone())
    }

    /// Buildsets made by a scheduler, oldest first.
    pub fn buildsets(&self, scheduler: &str) -> Vec<&BuildsetRecord> {
        let made = self.events().filter_map(|event| match event {
            Event::BuildsetMade { buildset, .. } if self.maker_of(buildset) == scheduler => Some(buildset),
            _ => None,
        });
        made.collect()
    }

    /// How a buildset ended.
    pub fn buildset_outcome(&self, set: BuildsetId) -> Option<Outcome> {
        self.events().find_map(|event| match event {
            Event::BuildsetEnded { buildset, outcome } if *buildset == set => Some(*outcome),
            _ => None,
        })
    }

    /// How a request ended.
    pub fn request_outcome(&self, id: RequestId) -> Option<Outcome> {
        self.events().find_map(|event| match event {
            Event::RequestEnded { request, outcome } if *request == id => Some(*outcome),
            _ => None,
        })
    }

    /// All builds, as `builder/number`.
    pub fn builds(&self) -> BTreeMap<String, BuildView> {
        let mut builds: BTreeMap<String, BuildView> = BTreeMap::new();
        for event in self.events() {
            match event {
                Event::BuildStarted { build, number, builder, worker, .. } => {
                    let worker = self.engine.state().worker_name(*worker).unwrap().clone();
                    let view = BuildView { id: *build, worker, outcome: None, state: String::new() };
                    let builder = &self.engine.state().builders()[builder].name;
                    assert!(builds.insert(format!("{builder}/{number}"), view).is_none(), "numbers are used once");
                }
                Event::BuildEnded { build, outcome, state, .. } => {
                    let view = builds.values_mut().find(|view| view.id == *build).unwrap();
                    assert!(view.outcome.replace(*outcome).is_none(), "a build ends once");
                    view.state.clone_from(state);
                }
                _ => {}
            }
        }
        builds
    }

    pub fn build(&self, name: &str) -> BuildView {
        self.builds().remove(name).unwrap_or_else(|| panic!("there is no build {name}: {:?}", self.builds()))
    }

    pub fn expect_running(&self, build: &str, worker: &str) {
        let view = self.build(build);
        assert_eq!((view.outcome, view.worker.as_str()), (None, worker), "build {build}");
    }

    pub fn expect_ended(&self, build: &str, outcome: Outcome) {
        assert_eq!(self.build(build).outcome, Some(outcome), "build {build}");
    }

    /// No such build was started.
    pub fn expect_none(&self, build: &str) {
        assert!(!self.builds().contains_key(build), "build {build} was started");
    }

    /// How many builds run.
    pub fn running(&self) -> usize {
        self.builds().values().filter(|view| view.outcome.is_none()).count()
    }

    /// A build's steps: `name: state` for those that ended, `name` for open ones; child steps after `> `.
    pub fn steps(&self, build: &str) -> Vec<String> {
        let id = self.build(build).id;
        let mut steps: Vec<(crate::model::StepId, String)> = vec![];
        for event in self.events() {
            match event {
                Event::StepStarted { build, step, name, parent, .. } if *build == id => {
                    let inside = if parent.is_some() { "> " } else { "" };
                    steps.push((*step, format!("{inside}{name}")));
                }
                Event::StepEnded { build, step, state, hidden, outcome } if *build == id => {
                    let line = &mut steps.iter_mut().find(|(id, _)| id == step).unwrap().1;
                    let how = if *outcome == Outcome::Success { String::new() } else { format!(" ({outcome})") };
                    *line = format!("{line}: {state}{how}{}", if *hidden { " hidden" } else { "" });
                }
                _ => {}
            }
        }
        steps.into_iter().map(|(_, line)| line).filter(|line| !line.starts_with("worker_preparation")).collect()
    }

    /// A property that a build started with.
    pub fn property(&self, build: &str, name: &str) -> Option<Value> {
        let id = self.build(build).id;
        self.events().find_map(|event| match event {
            Event::BuildStarted { build, properties, .. } if *build == id => properties.get(name).cloned(),
            _ => None,
        })
    }

    /// The text of a build's logs of this name.
    pub fn log(&self, build: &str, log: &str) -> String {
        let id = self.build(build).id;
        let opened = self.events().filter_map(|event| match event {
            Event::Asked { build, logs, .. } if *build == id => Some(logs.as_slice()),
            Event::StepNoted { build, opened: Some(opened), .. } if *build == id => Some(std::slice::from_ref(opened)),
            _ => None,
        });
        let ids = opened.flatten().filter(|opened| opened.name == log).map(|opened| opened.log);
        ids.filter_map(|id| self.logs.get(&id)).flat_map(BTreeMap::values).map(|(_, text)| text.as_str()).collect()
    }

    /// Failures of user functions, in order.
    pub fn script_failures(&self) -> Vec<String> {
        let state = self.engine.state();
        let failures = self.events().filter_map(|event| match event {
            Event::ScriptFailed { function, message, .. } => {
                let of = match function.of {
                    FunctionOwner::Scheduler(id) => format!("scheduler `{}`", state.scheduler_name(id)?),
                    FunctionOwner::Builder(id) => format!("builder `{}`", state.builders()[&id].name),
                };
                Some(format!("`{}` of {of}: {message}", function.kind.word()))
            }
            _ => None,
        });
        failures.collect()
    }
}
