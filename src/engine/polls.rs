//! Change sources are polled: at once when they are new, then at their interval, later and later while they fail.

use super::pass::Pass;
use super::timers::TimerKey;
use super::{ChangeReport, Deadline, Effect, Reply, Ticket, WakeReason};
use crate::base::Span;
use crate::model::{Event, PlanChange};

/// The first pause after a failure, if the source's interval is not shorter; it doubles.
const PAUSE: Span = Span::from_seconds(30);
/// The longest pause after a failure, if the source's interval is not longer.
const PAUSE_MAX: Span = Span::from_minutes(30);
/// A poll that finds nothing new is worth a fact when the last one is this old: often enough for people who wonder
/// whether polling works, seldom enough for history to stay small.
const QUIET_FACT: Span = Span::from_minutes(10);

impl Pass<'_> {
    /// When a source is due; not while it is being polled.
    pub fn poll_due(&self, name: &str) -> Option<Deadline> {
        let source = self.state.sources.get(name).filter(|source| source.active)?;
        let every = self.poll_interval(name)?;
        if self.up.polls.contains_key(name) {
            return None;
        }
        let last = self.up.polled.get(name).copied().max(source.polled);
        // A clock that went back must not silence a source until it is made up for.
        let last = last.filter(|last| *last <= self.now);
        // What a hook told of is looked for at once, also after a restart.
        let last = last.filter(|_| !source.wanted);
        let regular = last.map_or(self.now, |last| last.plus(every));
        let due = source.retry.map_or(regular, |retry| retry.min(self.now.plus(pause_max(every))));
        Some((due, WakeReason::Poll(name.to_owned())))
    }

    fn poll_interval(&self, name: &str) -> Option<Span> {
        Some(self.plan()?.change_sources.get(name)?.every)
    }

    /// Orders a poll.
    pub fn order_poll(&mut self, name: &str) {
        let cursor = self.state.sources.get(name).and_then(|source| source.cursor.clone());
        self.up.polls.insert(name.to_owned(), super::underway::Poll::default());
        self.effects.push(Effect::Poll { source: name.to_owned(), cursor });
        self.touch(TimerKey::Source(name.to_owned()));
    }

    /// Somebody wants a source, or all, polled now; one that is being polled is polled again right after.
    pub fn poll_asked(&mut self, source: Option<String>, ticket: Option<Ticket>) {
        let active = |name: &String| self.state.sources.get(name).is_some_and(|source| source.active);
        let names: Vec<String> = match source {
            Some(name) if active(&name) => vec![name],
            Some(name) => return self.reply(ticket, Reply::Unknown(format!("there is no change source `{name}`"))),
            None => self.state.sources.keys().filter(|name| active(name)).cloned().collect(),
        };
        for name in names {
            self.poll_again(&name);
        }
        self.reply(ticket, Reply::Done);
    }

    /// Has a source polled now; one that is being polled may have looked already, and is polled again right after.
    pub fn poll_again(&mut self, name: &str) {
        match self.up.polls.get_mut(name) {
            Some(poll) => poll.again = true,
            None => self.order_poll(name),
        }
    }

    /// A poll ended.
    pub fn polled(&mut self, name: &str, report: Result<ChangeReport, String>) {
        let poll = self.up.polls.remove(name).unwrap_or_default();
        self.touch(TimerKey::Source(name.to_owned()));
        let active = self.state.sources.get(name).is_some_and(|source| source.active);
        if !active {
            return;
        }
        if !poll.void {
            match report {
                Ok(report) => self.poll_succeeded(name, report),
                Err(error) => self.poll_failed(name, error),
            }
        }
        if poll.again || poll.void {
            self.order_poll(name);
        }
    }

    fn poll_succeeded(&mut self, name: &str, report: ChangeReport) {
        for change in report.changes {
            self.change_seen(change, Some(name.to_owned()));
        }
        let Some(source) = self.state.sources.get(name) else { return };
        let stale = source.polled.is_none_or(|last| self.now.since(last) >= QUIET_FACT || last > self.now);
        if stale || source.wanted || source.failures > 0 || source.cursor.as_ref() != Some(&report.cursor) {
            self.record(Event::SourcePolled { source: name.to_owned(), cursor: report.cursor });
        }
        self.up.polled.insert(name.to_owned(), self.now);
    }

    fn poll_failed(&mut self, name: &str, error: String) {
        let (Some(source), Some(every)) = (self.state.sources.get(name), self.poll_interval(name)) else { return };
        let failures = source.failures + 1;
        let retry = self.now.plus(pause_after(failures, every));
        self.record(Event::SourceFailed { source: name.to_owned(), error, failures, retry });
    }

    /// A new configuration changed sources: polls of what they were before are void.
    pub fn void_polls(&mut self, changes: &[PlanChange]) {
        for change in changes.iter().filter(|change| change.kind == "change source") {
            if let Some(poll) = self.up.polls.get_mut(&change.name) {
                poll.void = true;
            }
            self.up.polled.remove(&change.name);
        }
    }
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
