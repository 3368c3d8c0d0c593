//! Change sources are polled: at once when they are new, then at their interval, later and later while they fail.

use std::collections::BTreeMap;

use super::timers::TimerKey;
use super::turn::Turn;
use super::{Deadline, Effect, PollResult, Reply, Ticket, WakeReason};
use crate::base::{Span, Timestamp};
use crate::model::{Cursor, Event, PlanChange};

/// The first pause after a failure, if the source's interval is not shorter; it doubles.
const PAUSE: Span = Span::from_seconds(30);
/// The longest pause after a failure, if the source's interval is not longer.
const PAUSE_MAX: Span = Span::from_minutes(30);
/// A poll that finds nothing new is worth a fact when the last one is this old: often enough for people who wonder
/// whether polling works, seldom enough for history to stay small.
const QUIET_FACT: Span = Span::from_minutes(10);

/// Polls under way, and the last good ones.
#[derive(Clone, Debug, Default)]
pub(super) struct Polls {
    ordered: BTreeMap<String, Poll>,
    /// Also of those that were worth no fact.
    polled: BTreeMap<String, Timestamp>,
}

/// A poll that was ordered.
#[derive(Clone, Copy, Debug, Default)]
struct Poll {
    /// The source changed since: what comes back is void.
    void: bool,
    /// Somebody asked for another one in the meantime.
    again: bool,
}

impl Polls {
    /// When a source is due; not while it is being polled.
    pub fn due(&self, turn: &Turn<'_>, name: &str) -> Option<Deadline> {
        let source = turn.state.sources().get(name).filter(|source| source.active)?;
        let every = interval(turn, name)?;
        if self.ordered.contains_key(name) {
            return None;
        }
        let last = self.polled.get(name).copied().max(source.polled);
        // A clock that went back must not silence a source until it is made up for.
        let last = last.filter(|last| *last <= turn.now);
        // What a hook told of is looked for at once, also after a restart.
        let last = last.filter(|_| !source.wanted);
        let regular = last.map_or(turn.now, |last| last.plus(every));
        let due = source.retry.map_or(regular, |retry| retry.min(turn.now.plus(pause_max(every))));
        Some((due, WakeReason::Poll(name.to_owned())))
    }

    /// Orders a poll.
    pub fn order(&mut self, turn: &mut Turn<'_>, name: &str) {
        let cursor = turn.state.sources().get(name).and_then(|source| source.cursor.clone());
        self.ordered.insert(name.to_owned(), Poll::default());
        turn.effects.push(Effect::Poll { source: name.to_owned(), cursor });
        turn.touch(TimerKey::Source(name.to_owned()));
    }

    /// Has a source polled now; one that is being polled may have looked already, and is polled again right after.
    pub fn again(&mut self, turn: &mut Turn<'_>, name: &str) {
        match self.ordered.get_mut(name) {
            Some(poll) => poll.again = true,
            None => self.order(turn, name),
        }
    }

    /// A poll ended. Gives what it found, if that counts. Late: the source may have left the configuration, or become
    /// another one.
    pub fn returned(
        &mut self,
        turn: &mut Turn<'_>,
        name: &str,
        report: Result<PollResult, String>,
    ) -> Option<PollResult> {
        let poll = self.ordered.remove(name).unwrap_or_default();
        turn.touch(TimerKey::Source(name.to_owned()));
        turn.state.sources().get(name).filter(|source| source.active)?;
        if poll.again || poll.void {
            turn.in_flight.marks.poll(name);
        }
        match report {
            _ if poll.void => None,
            Ok(report) => Some(report),
            Err(error) => {
                failed(turn, name, error);
                None
            }
        }
    }

    /// What a poll found is recorded: the source has seen it.
    pub fn seen(&mut self, turn: &mut Turn<'_>, name: &str, cursor: Cursor) {
        let source = turn.state.sources().get(name).expect("a source that reported is known");
        let stale = source.polled.is_none_or(|last| turn.now.since(last) >= QUIET_FACT || last > turn.now);
        if stale || source.wanted || source.failures > 0 || source.cursor.as_ref() != Some(&cursor) {
            turn.record(Event::SourcePolled { source: turn.state.source_id(name), cursor });
        }
        self.polled.insert(name.to_owned(), turn.now);
    }

    /// A new configuration changed sources: polls of what they were before are void.
    pub fn void(&mut self, changes: &[PlanChange]) {
        for change in changes {
            let PlanChange::ChangeSource { name, .. } = change else { continue };
            if let Some(poll) = self.ordered.get_mut(name) {
                poll.void = true;
            }
            self.polled.remove(name);
        }
    }
}

/// Somebody wants a source, or all, polled now.
pub(super) fn poll_ordered(turn: &mut Turn<'_>, source: Option<String>, ticket: Option<Ticket>) {
    let active = |name: &String| turn.state.sources().get(name).is_some_and(|source| source.active);
    let names: Vec<String> = match source {
        Some(name) if active(&name) => vec![name],
        Some(name) => return turn.reply(ticket, Reply::Unknown(format!("there is no change source `{name}`"))),
        None => turn.state.sources().keys().filter(|name| active(name)).cloned().collect(),
    };
    names.iter().for_each(|name| turn.in_flight.marks.poll(name));
    turn.reply(ticket, Reply::Done);
}

fn interval(turn: &Turn<'_>, name: &str) -> Option<Span> {
    Some(turn.plan()?.change_sources.get(name)?.every)
}

fn failed(turn: &mut Turn<'_>, name: &str, error: String) {
    let source = turn.state.sources().get(name).expect("a source that reported is known");
    // Late: the configuration that asked for it may not be at hand any more.
    let Some(every) = interval(turn, name) else { return };
    let failures = source.failures + 1;
    let retry = turn.now.plus(pause_after(failures, every));
    turn.record(Event::SourceFailed { source: turn.state.source_id(name), error, failures, retry });
}

fn pause_after(failures: u64, every: Span) -> Span {
    let first = PAUSE.min(every).as_millis();
    let doubled = first.saturating_mul(1 << failures.saturating_sub(1).min(32));
    Span::from_millis(doubled).min(pause_max(every))
}

fn pause_max(every: Span) -> Span {
    PAUSE_MAX.max(every)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_half_a_minute_to_half_an_hour() {
        let every = Span::from_minutes(5);
        let seconds: Vec<u64> = (1..=8).map(|failures| pause_after(failures, every).as_millis() / 1000).collect();
        assert_eq!(seconds, [30, 60, 120, 240, 480, 960, 1800, 1800]);
    }

    #[test]
    fn a_source_polled_often_is_tried_again_soon_and_one_polled_seldom_at_its_interval() {
        assert_eq!(pause_after(1, Span::from_seconds(5)), Span::from_seconds(5));
        assert_eq!(pause_after(40, Span::from_minutes(120)), Span::from_minutes(120));
    }
}
