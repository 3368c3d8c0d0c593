//! Requests that one build can do the work of become one: the newest stays, the older ones end with `skipped`.

use std::sync::Arc;

use super::asking::NoAnswer;
use super::decide::{decide, postpone};
use super::questions::waiting_request;
use super::request_ends::end_request;
use super::timers::TimerKey;
use super::turn::Turn;
use crate::model::{CollapsePolicy, Event, FnId, FunctionKind, Outcome, Question, RequestId, UserFunction};

/// A user function is asked about at most so many older requests each time: a queue that it leaves long must not make
/// every new request slow.
const ASKED_MAX: usize = 100;

/// Ends the waiting requests whose work this new one does.
pub(super) fn collapse_into(turn: &mut Turn<'_>, new: RequestId) {
    for old in needless_for(turn, new) {
        sabotage!(CollapseDropsNewest => {
            turn.record(Event::RequestCollapsed { request: new, into: old });
            return end_request(turn, new, Outcome::Skipped);
        });
        turn.record(Event::RequestCollapsed { request: old, into: new });
        end_request(turn, old, Outcome::Skipped);
    }
}

fn needless_for(turn: &mut Turn<'_>, new: RequestId) -> Vec<RequestId> {
    // Late: one that was postponed may have ended, or be built.
    let Some(request) =
        turn.state.requests().get(&new).filter(|request| !request.waited_for && request.build.is_none())
    else {
        return Vec::new();
    };
    let builder = turn.state.builder(request.builder);
    let plan = turn.plan().expect("requests are made under a configuration");
    let own = plan.builders.get(&builder.name).and_then(|builder| builder.collapse.as_ref());
    match own.unwrap_or(&plan.master.collapse) {
        CollapsePolicy::Never => Vec::new(),
        CollapsePolicy::SameSource => alike(turn, new),
        CollapsePolicy::Function(function) => alike_by(turn, *function, new),
    }
}

/// Older waiting requests of the same sources and given properties.
fn alike(turn: &Turn<'_>, new: RequestId) -> Vec<RequestId> {
    let request = turn.state.request(new);
    let alike = turn.state.index().alike.get(&(request.builder, request.fingerprint));
    alike.into_iter().flatten().copied().filter(|old| *old != new && may_go(turn, *old)).collect()
}

/// Older waiting requests that the user's function takes for the same.
fn alike_by(turn: &mut Turn<'_>, function: FnId, new: RequestId) -> Vec<RequestId> {
    let second = waiting_request(turn, new);
    let builder = turn.state.request(new).builder;
    let name = second.builder.clone();
    let asked = UserFunction::new(FunctionKind::Collapse, builder);
    let mut older: Vec<RequestId> = turn
        .state
        .index()
        .waiting
        .get(&builder)
        .into_iter()
        .flatten()
        .map(|(_, _, id)| *id)
        .filter(|old| *old != new && may_go(turn, *old))
        .collect();
    older.sort_unstable();
    let mut alike = Vec::new();
    for old in older.into_iter().rev().take(ASKED_MAX) {
        let first = waiting_request(turn, old);
        let question = Question::Collapse { builder: name.clone(), first, second: Arc::clone(&second) };
        match decide(turn, &asked, function, question) {
            Ok(answer) if answer.is_true() => alike.push(old),
            Ok(_) | Err(NoAnswer::Failed | NoAnswer::Suspended) => {}
            Err(NoAnswer::Postponed) => {
                turn.in_flight.marks.collapse(new);
                postpone(turn, TimerKey::Later);
                break;
            }
        }
    }
    alike.sort_unstable();
    alike
}

/// A request that a build waits for needs a build of its own.
fn may_go(turn: &Turn<'_>, request: RequestId) -> bool {
    turn.state.requests().get(&request).is_some_and(|request| !request.waited_for)
}
