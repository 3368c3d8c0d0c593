//! User functions are asked, and what is told when they do not answer.
//!
//! A function is pure, so an answer that was given stays right. When a pass has spent its time and something is
//! postponed, the answers so far are kept for the next pass, which therefore comes further than this one did.

use super::asking::{FunctionAnswer, NoAnswer};
use super::state::FunctionTrouble;
use super::timers::TimerKey;
use super::turn::Turn;
use super::{Deadline, WakeReason, timers};
use crate::base::{Span, Timestamp};
use crate::model::{Event, FnId, Question, Undecided, UserFunction, Value};

/// A function that cost so many processes is not asked again before the next configuration: with a quarter of a second
/// each, less than a second is lost to it.
pub(super) const LOSSES_MAX: u32 = 3;

/// A function has recovered when it has answered for so long without failing: one that fails for some questions only
/// must not be reported as failing and recovered in turn.
const RECOVERY: Span = Span::from_minutes(1);

/// A failing function whose texts differ is told of at most this often.
const TOLD_AGAIN: Span = Span::from_minutes(1);

/// Longer error texts are cut: they may contain values of any size.
const MESSAGE_MAX: usize = 4_000;

/// So many answers are kept for the next pass: more than a pass can get in its time.
const ANSWERS_MAX: usize = 20_000;

/// The pause before a function that failed is asked the same again; it doubles.
const PAUSE: Span = Span::from_seconds(10);

/// The longest such pause.
pub(super) const PAUSE_MAX: Span = Span::from_minutes(60);

/// What was postponed goes on in the next pass, which is to begin at once.
const POSTPONED: Span = Span::from_millis(1);

/// Asks a user function of the configuration in force.
pub(super) fn decide(turn: &mut Turn<'_>, function: &UserFunction, id: FnId, question: Question) -> FunctionAnswer {
    let said = ask(turn, function, id, question);
    if let Err(no_answer) = said {
        turn.asked.no_answer = turn.asked.no_answer.max(Some(no_answer));
    }
    said
}

fn ask(turn: &mut Turn<'_>, function: &UserFunction, id: FnId, question: Question) -> FunctionAnswer {
    if turn.state.troubles().get(function).is_some_and(|trouble| trouble.suspended) {
        sabotage!(SuspendedAsked => { let _ = turn.scripts.decide(&turn.state.plan().cloned().unwrap_or_default(), id, &question); });
        return Err(NoAnswer::Suspended);
    }
    if let Some(value) = turn.in_flight.asking.known(id, &question).cloned() {
        remember(turn, id, question, &value);
        return Ok(value);
    }
    let digest = turn.state.plan().cloned().expect("the function is one of the configuration in force");
    match turn.scripts.decide(&digest, id, &question) {
        Ok(value) => {
            function_answered(turn, function);
            remember(turn, id, question, &value);
            Ok(value)
        }
        Err(Undecided::Failed { message }) => {
            function_failed(turn, function, &message, 0);
            Err(NoAnswer::Failed)
        }
        Err(Undecided::Lost { message }) => {
            function_failed(turn, function, &message, 1);
            Err(NoAnswer::Failed)
        }
        Err(Undecided::Postponed) => {
            turn.asked.postponed = true;
            Err(NoAnswer::Postponed)
        }
    }
}

fn remember(turn: &mut Turn<'_>, id: FnId, question: Question, value: &Value) {
    if turn.asked.answers.len() < ANSWERS_MAX {
        turn.asked.answers.push((id, question, value.clone()));
    }
}

/// Keeps the answers for the next pass if this one postponed something, and else forgets those kept.
pub(super) fn keep_answers(turn: &mut Turn<'_>) {
    let answers = std::mem::take(&mut turn.asked.answers);
    turn.in_flight.asking.keep(if turn.asked.postponed { answers } else { Vec::new() });
}

/// A function failed, and cost so many processes.
pub(super) fn function_failed(turn: &mut Turn<'_>, function: &UserFunction, message: &str, lost: u32) {
    turn.asked.failed.insert(*function);
    turn.in_flight.asking.fails(function);
    turn.touch(TimerKey::Function(*function));
    let message = cut(message);
    let known = turn.state.troubles().get(function);
    let losses = known.map_or(0, |trouble| trouble.losses) + lost;
    let before = known.and_then(|trouble| trouble.message.as_ref());
    let told = turn.in_flight.asking.told(function);
    let told = told.map(|told| timers::due(told.plus(TOLD_AGAIN), turn.now, TOLD_AGAIN));
    let fresh = before != Some(&message) && (before.is_none() || told.is_none_or(|next| next <= turn.now));
    sabotage!(FailureUntold => return);
    if lost > 0 || fresh {
        turn.in_flight.asking.tell(function, turn.now);
        turn.record(Event::ScriptFailed { function: *function, message: message.clone(), losses });
    }
    if losses >= LOSSES_MAX {
        turn.record(Event::ScriptSuspended { function: *function, message });
    }
}

/// A function answered.
pub(super) fn function_answered(turn: &mut Turn<'_>, function: &UserFunction) {
    let in_trouble = |trouble: &FunctionTrouble| trouble.message.is_some();
    if turn.state.troubles().get(function).is_some_and(in_trouble) && !turn.asked.failed.contains(function) {
        turn.in_flight.asking.answers(function, turn.now);
        turn.touch(TimerKey::Function(*function));
    }
}

/// When a function that answers again counts as recovered.
pub(super) fn recovery_due(turn: &Turn<'_>, function: &UserFunction) -> Option<Deadline> {
    turn.state.troubles().get(function)?.message.as_ref()?;
    let since = turn.in_flight.asking.answers_since(function)?;
    let due = timers::due(since.plus(RECOVERY), turn.now, RECOVERY);
    Some((due, WakeReason::Recovery(*function)))
}

/// It has recovered.
pub(super) fn function_recovered(turn: &mut Turn<'_>, function: &UserFunction) {
    if recovery_due(turn, function).is_some_and(|(due, _)| due <= turn.now) {
        turn.in_flight.asking.fails(function);
        turn.record(Event::ScriptRecovered { function: *function });
    }
}

/// Looks at a thing again in the next pass, and not before.
pub(super) fn postpone(turn: &mut Turn<'_>, key: TimerKey) {
    turn.in_flight.timers.postpone(key.clone(), turn.now.plus(POSTPONED));
    turn.touch(key);
}

/// When to ask again what was asked `tries` times in vain.
pub(super) fn retry_at(turn: &Turn<'_>, no_answer: NoAnswer, tries: u32) -> Option<Timestamp> {
    match no_answer {
        NoAnswer::Failed => Some(turn.now.plus(pause_after(tries))),
        NoAnswer::Suspended => None,
        NoAnswer::Postponed => Some(turn.now.plus(POSTPONED)),
    }
}

/// The pause after so many tries.
pub(super) fn pause_after(tries: u32) -> Span {
    let doubled = PAUSE.as_millis().saturating_mul(1 << tries.saturating_sub(1).min(16));
    Span::from_millis(doubled).min(PAUSE_MAX)
}

fn cut(message: &str) -> String {
    if message.chars().count() <= MESSAGE_MAX {
        return message.to_owned();
    }
    message.chars().take(MESSAGE_MAX).chain(" …".chars()).collect()
}
