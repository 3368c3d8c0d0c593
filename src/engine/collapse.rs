//! Requests that one build can do the work of become one: the newest stays, the older ones end with `skipped`.

use std::sync::Arc;

use super::asking::NoAnswer;
use super::timers::TimerKey;
use super::turn::Turn;
use crate::model::{CollapsePolicy, Event, FnId, FunctionKind, Outcome, Question, RequestId, UserFunction};

/// A user function is asked about at most so many older requests each time: a queue that it leaves long must not make
/// every new request slow.
const ASKED_MAX: usize = 100;

impl Turn<'_> {
    /// Ends the waiting requests whose work this new one does.
    pub fn collapse_into(&mut self, new: RequestId) {
        for old in self.needless_for(new) {
            sabotage!(CollapseDropsNewest => {
                self.record(Event::RequestCollapsed { request: new, into: old });
                return self.end_request(new, Outcome::Skipped);
            });
            self.record(Event::RequestCollapsed { request: old, into: new });
            self.end_request(old, Outcome::Skipped);
        }
    }

    fn needless_for(&mut self, new: RequestId) -> Vec<RequestId> {
        let Some(request) =
            self.state.requests.get(&new).filter(|request| !request.waited_for && request.build.is_none())
        else {
            return Vec::new();
        };
        let Some(builder) = self.state.builders.get(&request.builder) else { return Vec::new() };
        let Some(plan) = self.plan() else { return Vec::new() };
        let own = plan.builders.get(&builder.name).and_then(|builder| builder.collapse.as_ref());
        match own.unwrap_or(&plan.master.collapse) {
            CollapsePolicy::Never => Vec::new(),
            CollapsePolicy::SameSource => self.alike(new),
            CollapsePolicy::Function(function) => self.alike_by(*function, new),
        }
    }

    /// Older waiting requests of the same sources and given properties.
    fn alike(&self, new: RequestId) -> Vec<RequestId> {
        let Some(request) = self.state.requests.get(&new) else { return Vec::new() };
        let alike = self.state.index.alike.get(&(request.builder, request.fingerprint));
        alike.into_iter().flatten().copied().filter(|old| *old != new && self.may_go(*old)).collect()
    }

    /// Older waiting requests that the user's function takes for the same.
    fn alike_by(&mut self, function: FnId, new: RequestId) -> Vec<RequestId> {
        let Some(second) = self.waiting_request(new) else { return Vec::new() };
        let Some(builder) = self.state.requests.get(&new).map(|request| request.builder) else { return Vec::new() };
        let name = second.builder.clone();
        let asked = UserFunction::new(FunctionKind::Collapse, builder);
        let mut older: Vec<RequestId> = self
            .state
            .index
            .waiting
            .get(&builder)
            .into_iter()
            .flatten()
            .map(|(_, _, id)| *id)
            .filter(|old| *old != new && self.may_go(*old))
            .collect();
        older.sort_unstable();
        let mut alike = Vec::new();
        for old in older.into_iter().rev().take(ASKED_MAX) {
            let Some(first) = self.waiting_request(old) else { continue };
            let question = Question::Collapse { builder: name.clone(), first, second: Arc::clone(&second) };
            match self.decide(&asked, function, question) {
                Ok(answer) if answer.is_true() => alike.push(old),
                Ok(_) | Err(NoAnswer::Failed | NoAnswer::Suspended) => {}
                Err(NoAnswer::Postponed) => {
                    self.in_flight.uncollapsed.insert(new);
                    self.postpone(TimerKey::Later);
                    break;
                }
            }
        }
        alike.sort_unstable();
        alike
    }

    /// A request that a build waits for needs a build of its own.
    fn may_go(&self, request: RequestId) -> bool {
        self.state.requests.get(&request).is_some_and(|request| !request.waited_for)
    }
}
