//! User functions are asked, and what is told when they do not answer.
//!
//! A function is pure, so an answer that was given stays right. When a pass has spent its time and something is
//! postponed, the answers so far are kept for the next pass, which therefore comes further than this one did.

use std::collections::BTreeMap;

use super::asking::{FunctionAnswer, NoAnswer};
use super::state::{Fingerprint, FunctionTrouble};
use super::timers::{self, TimerKey};
use super::turn::Turn;
use super::{Deadline, WakeReason};
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

impl Turn<'_> {
    /// Asks a user function of the configuration in force.
    pub fn decide(&mut self, function: &UserFunction, id: FnId, question: Question) -> FunctionAnswer {
        let said = self.ask(function, id, question);
        if let Err(no_answer) = said {
            self.asked.no_answer = self.asked.no_answer.max(Some(no_answer));
        }
        said
    }

    fn ask(&mut self, function: &UserFunction, id: FnId, question: Question) -> FunctionAnswer {
        if self.state.troubles.get(function).is_some_and(|trouble| trouble.suspended) {
            sabotage!(SuspendedAsked => { let _ = self.scripts.decide(&self.state.plan.clone().unwrap_or_default(), id, &question); });
            return Err(NoAnswer::Suspended);
        }
        if !self.in_flight.asking.kept.is_empty()
            && let Some(known) = self.in_flight.asking.kept.get(&Fingerprint::of(&(id, &question)))
        {
            let value = known.clone();
            self.remember(id, question, &value);
            return Ok(value);
        }
        let Some(digest) = self.state.plan.clone() else { return Err(NoAnswer::Failed) };
        match self.scripts.decide(&digest, id, &question) {
            Ok(value) => {
                self.function_answered(function);
                self.remember(id, question, &value);
                Ok(value)
            }
            Err(Undecided::Failed { message }) => {
                self.function_failed(function, &message, 0);
                Err(NoAnswer::Failed)
            }
            Err(Undecided::Lost { message }) => {
                self.function_failed(function, &message, 1);
                Err(NoAnswer::Failed)
            }
            Err(Undecided::Postponed) => {
                self.asked.postponed = true;
                Err(NoAnswer::Postponed)
            }
        }
    }

    fn remember(&mut self, id: FnId, question: Question, value: &Value) {
        if self.asked.answers.len() < ANSWERS_MAX {
            self.asked.answers.push((id, question, value.clone()));
        }
    }

    /// Keeps the answers for the next pass if this one postponed something, and else forgets those kept.
    pub fn keep_answers(&mut self) {
        let answers = std::mem::take(&mut self.asked.answers);
        self.in_flight.asking.kept = if self.asked.postponed {
            answers.into_iter().map(|(id, question, value)| (Fingerprint::of(&(id, &question)), value)).collect()
        } else {
            BTreeMap::new()
        };
    }

    /// A function failed, and cost so many processes.
    pub fn function_failed(&mut self, function: &UserFunction, message: &str, lost: u32) {
        self.asked.failed.insert(*function);
        self.in_flight.asking.answering.remove(function);
        self.touch(TimerKey::Function(*function));
        let message = cut(message);
        let known = self.state.troubles.get(function);
        let losses = known.map_or(0, |trouble| trouble.losses) + lost;
        let before = known.and_then(|trouble| trouble.message.as_ref());
        let told = self
            .in_flight
            .asking
            .told
            .get(function)
            .map(|told| timers::due(told.plus(TOLD_AGAIN), self.now, TOLD_AGAIN));
        let fresh = before != Some(&message) && (before.is_none() || told.is_none_or(|next| next <= self.now));
        sabotage!(FailureUntold => return);
        if lost > 0 || fresh {
            self.in_flight.asking.told.insert(*function, self.now);
            self.record(Event::ScriptFailed { function: *function, message: message.clone(), losses });
        }
        if losses >= LOSSES_MAX {
            self.record(Event::ScriptSuspended { function: *function, message });
        }
    }

    /// A function answered.
    pub fn function_answered(&mut self, function: &UserFunction) {
        let in_trouble = |trouble: &FunctionTrouble| trouble.message.is_some();
        if self.state.troubles.get(function).is_some_and(in_trouble) && !self.asked.failed.contains(function) {
            let now = self.now;
            self.in_flight.asking.answering.entry(*function).or_insert(now);
            self.touch(TimerKey::Function(*function));
        }
    }

    /// When a function that answers again counts as recovered.
    pub fn recovery_due(&self, function: &UserFunction) -> Option<Deadline> {
        self.state.troubles.get(function)?.message.as_ref()?;
        let since = *self.in_flight.asking.answering.get(function)?;
        let due = timers::due(since.plus(RECOVERY), self.now, RECOVERY);
        Some((due, WakeReason::Recovery(*function)))
    }

    /// It has recovered.
    pub fn function_recovered(&mut self, function: &UserFunction) {
        if self.recovery_due(function).is_some_and(|(due, _)| due <= self.now) {
            self.in_flight.asking.answering.remove(function);
            self.record(Event::ScriptRecovered { function: *function });
        }
    }

    /// Looks at a thing again in the next pass, and not before.
    pub fn postpone(&mut self, key: TimerKey) {
        self.in_flight.postponed.insert(key.clone(), self.now.plus(POSTPONED));
        self.touch(key);
    }

    /// When to ask again what was asked `tries` times in vain.
    pub fn retry_at(&self, no_answer: NoAnswer, tries: u32) -> Option<Timestamp> {
        match no_answer {
            NoAnswer::Failed => Some(self.now.plus(pause_after(tries))),
            NoAnswer::Suspended => None,
            NoAnswer::Postponed => Some(self.now.plus(POSTPONED)),
        }
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
