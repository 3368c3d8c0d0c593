//! Deliveries: which report is handed out when, until it arrives or is given up.
//!
//! * Reports of one notifier about one target are handed out one at a time, in the order in which they were made.
//! * A *destination* is a server as the configuration names it. Each has at most [`OUT_OF_ONE_MAX`] deliveries under way,
//!   so that one that hangs leaves room for the others. One that did not take a report is left alone for a while, and then
//!   tried with one report at a time until it takes one.
//!
//! What is under way does not survive a restart: everything in the outbox is then looked at again.

use std::collections::{BTreeMap, BTreeSet};

use super::timers::{TimerKey, due};
use super::turn::Turn;
use super::{Deadline, Effect, Reply, Ticket, WakeReason};
use crate::base::{Span, Timestamp};
use crate::model::{Actor, Event, NotifierPlan, Report, ReportId};

/// Deliveries at the same time: enough for several servers of which some hang, and each renders its text first.
pub const DELIVERIES_MAX: usize = 16;
/// Deliveries to one destination at the same time: enough to keep a mail server busy, too few to look like a flood.
const OUT_OF_ONE_MAX: usize = 4;
/// The pause after the first failure; it doubles.
const PAUSE: Span = Span::from_seconds(30);
/// The longest pause that we choose.
const PAUSE_MAX: Span = Span::from_minutes(15);
/// The longest pause that a server may ask for. Quotas are counted by the hour.
const PAUSE_ASKED_MAX: Span = Span::from_minutes(2 * 60);
/// After so long nobody wants the news any more.
const KEEP: Span = Span::from_minutes(7 * 24 * 60);

/// Reports on their way.
#[derive(Clone, Debug, Default)]
pub(super) struct Deliveries {
    /// The destination of each report that is handed out or ready.
    destinations: BTreeMap<ReportId, String>,
    /// Handed out, by destination.
    out: BTreeMap<String, BTreeSet<ReportId>>,
    /// Due, but for want of room or because their destination rests.
    ready: BTreeMap<String, BTreeSet<ReportId>>,
    /// Destinations that did not take the last report.
    rests: BTreeMap<String, Rest>,
    /// Reports that somebody wants delivered now.
    hurried: BTreeSet<ReportId>,
}

/// A destination is left alone.
#[derive(Clone, Copy, Debug)]
struct Rest {
    /// Deliveries that failed in a row.
    failures: u64,
    until: Timestamp,
}

/// A delivery that failed.
#[derive(Clone, Debug)]
pub(super) struct Setback {
    pub error: String,
    /// Trying again cannot help.
    pub in_vain: bool,
    /// How long the server wants to be left alone.
    pub pause: Option<Span>,
}

/// Takes a report out of the outbox, by a fact that does so; the next one about its target may have waited for that.
pub(super) fn leave(turn: &mut Turn<'_>, report: ReportId, event: Event) {
    let queued = turn.state.outbox().get(&report).expect("a report leaves the outbox once");
    let (notifier, target) = (queued.report.notifier.clone(), queued.report.target.clone());
    turn.record(event);
    let next = turn.state.reports_of(&notifier, &target).next();
    if let Some(next) = next {
        turn.touch(TimerKey::Report(next));
    }
}

/// Somebody gives up a report that waits. One that is under way may arrive all the same.
pub(super) fn give_up_ordered(turn: &mut Turn<'_>, report: ReportId, by: &Actor, ticket: Option<Ticket>) {
    if !turn.state.outbox().contains_key(&report) {
        return turn.reply(ticket, not_waiting(report));
    }
    leave(turn, report, Event::ReportDropped { report, why: format!("given up by {}", by.name()) });
    turn.reply(ticket, Reply::Done);
}

fn not_waiting(report: ReportId) -> Reply {
    Reply::Unknown(format!("no report {report} waits to be delivered"))
}

impl Deliveries {
    /// Somebody wants a report delivered now. Those about the same target go first, so they hurry, too.
    pub fn hurry_ordered(&mut self, turn: &mut Turn<'_>, report: ReportId, ticket: Option<Ticket>) {
        let Some(queued) = turn.state.outbox().get(&report) else { return turn.reply(ticket, not_waiting(report)) };
        let destination =
            self.destinations.get(&report).cloned().unwrap_or_else(|| destination_of(turn, &queued.report));
        let earlier = turn.state.reports_of(&queued.report.notifier, &queued.report.target);
        let all: Vec<ReportId> = earlier.take_while(|earlier| *earlier < report).chain([report]).collect();
        self.hurried.retain(|known| turn.state.outbox().contains_key(known));
        for hurried in all {
            self.hurried.insert(hurried);
            turn.touch(TimerKey::Report(hurried));
        }
        if self.rests.remove(&destination).is_some() {
            turn.touch(TimerKey::Destination(destination));
            self.hand_out(turn);
        }
        turn.reply(ticket, Reply::Done);
    }

    /// When a report is due; not while it is handed out or ready, or an earlier one about its target is in the outbox.
    pub fn due(&self, turn: &Turn<'_>, report: ReportId) -> Option<Deadline> {
        let queued = turn.state.outbox().get(&report)?;
        let first = turn.state.reports_of(&queued.report.notifier, &queued.report.target).next();
        let waits = first.is_some_and(|first| first < report);
        sabotage!(ReportOvertakes => return (!self.destinations.contains_key(&report)).then_some((queued.due, WakeReason::Report(report.0))));
        if waits || self.destinations.contains_key(&report) {
            return None;
        }
        if self.hurried.contains(&report) {
            return Some((turn.now, WakeReason::Report(report.0)));
        }
        // A clock that went back must not hold a report longer than the longest pause.
        Some((due(queued.due, turn.now, PAUSE_ASKED_MAX), WakeReason::Report(report.0)))
    }

    /// When a destination has rested, if a report is ready for it and there is room.
    pub fn rested(&self, turn: &Turn<'_>, destination: &str) -> Option<Deadline> {
        let rest = self.rests.get(destination)?;
        if !self.ready.contains_key(destination) || self.out.contains_key(destination) || !self.has_room() {
            return None;
        }
        let at = due(rest.until, turn.now, PAUSE_ASKED_MAX);
        Some((at, WakeReason::Destination(destination.to_owned())))
    }

    /// A report is due. Late: it may have been given up while it waited.
    pub fn order(&mut self, turn: &mut Turn<'_>, report: ReportId) {
        self.hurried.remove(&report);
        let Some(queued) = turn.state.outbox().get(&report) else { return };
        let destination = destination_of(turn, &queued.report);
        self.destinations.insert(report, destination.clone());
        self.ready.entry(destination).or_default().insert(report);
        self.hand_out(turn);
    }

    /// Hands out what is ready, as far as there is room.
    pub fn hand_out(&mut self, turn: &mut Turn<'_>) {
        while self.has_room()
            && let Some(destination) = self.next_destination(turn.now)
        {
            let Some(report) = self.take_ready(turn, &destination) else { continue };
            let Some(queued) = turn.state.outbox().get(&report) else {
                self.destinations.remove(&report);
                continue;
            };
            if let Some(by) = superseded_by(turn, report) {
                self.destinations.remove(&report);
                leave(turn, report, Event::ReportSuperseded { report, by });
                continue;
            }
            turn.effects.push(Effect::Deliver { report: queued.report.clone() });
            self.out.entry(destination).or_default().insert(report);
        }
        for destination in self.rests.keys() {
            turn.touch(TimerKey::Destination(destination.clone()));
        }
    }

    fn has_room(&self) -> bool {
        self.out.values().map(BTreeSet::len).sum::<usize>() < DELIVERIES_MAX
    }

    /// The destination with the fewest deliveries under way, of those that something is ready for and that may have one.
    fn next_destination(&self, now: Timestamp) -> Option<String> {
        let out_of = |destination: &String| self.out.get(destination).map_or(0, BTreeSet::len);
        let may = |destination: &&String| match self.rests.get(*destination) {
            Some(rest) => out_of(destination) == 0 && due(rest.until, now, PAUSE_ASKED_MAX) <= now,
            None => out_of(destination) < OUT_OF_ONE_MAX,
        };
        self.ready.keys().filter(may).min_by_key(|destination| out_of(destination)).cloned()
    }

    /// The oldest report that is ready for a destination; of one that rested, the oldest of those that were tried least, so
    /// that a report which is the trouble itself does not stand in the way of the others.
    fn take_ready(&mut self, turn: &Turn<'_>, destination: &str) -> Option<ReportId> {
        let ready = self.ready.get_mut(destination)?;
        let tries = |report: &ReportId| turn.state.outbox().get(report).map_or(0, |queued| queued.tries);
        let next = if self.rests.contains_key(destination) {
            ready.iter().copied().min_by_key(|report| (tries(report), *report))
        } else {
            ready.first().copied()
        };
        let taken = next.filter(|next| ready.remove(next));
        if ready.is_empty() {
            self.ready.remove(destination);
        }
        taken
    }

    /// A report that was handed out is back; its destination. None, late: one that was handed out once may be told of
    /// twice.
    fn returned(&mut self, report: ReportId) -> Option<String> {
        let is_out = |out: &BTreeSet<ReportId>| out.contains(&report);
        self.destinations.get(&report).filter(|destination| self.out.get(*destination).is_some_and(is_out))?;
        let destination = self.destinations.remove(&report)?;
        if let Some(out) = self.out.get_mut(&destination) {
            out.remove(&report);
            if out.is_empty() {
                self.out.remove(&destination);
            }
        }
        Some(destination)
    }

    /// Leaves a destination alone. Deliveries that were under way together and failed count as one failure.
    fn rest(&mut self, destination: &str, now: Timestamp, asked: Span) {
        let known = self.rests.get(destination).copied();
        let failures = match known {
            Some(rest) if rest.until > now => rest.failures,
            Some(rest) => rest.failures + 1,
            None => 1,
        };
        let until = now.plus(pause_after(failures).max(asked));
        let until = known.map_or(until, |rest| rest.until.max(until));
        self.rests.insert(destination.to_owned(), Rest { failures, until });
    }

    /// A report was delivered.
    pub fn sent(&mut self, turn: &mut Turn<'_>, report: ReportId, remarks: Vec<String>) {
        let Some(destination) = self.returned(report) else { return };
        // It may have been given up meanwhile.
        if turn.state.outbox().contains_key(&report) {
            if !remarks.is_empty() {
                turn.record(Event::ReportRemarked { report, remarks });
            }
            leave(turn, report, Event::ReportSent { report });
        }
        self.rests.remove(&destination);
        turn.touch(TimerKey::Destination(destination));
        self.hand_out(turn);
    }

    /// A report was not delivered.
    pub fn failed(&mut self, turn: &mut Turn<'_>, report: ReportId, setback: Setback) {
        let Some(destination) = self.returned(report) else { return };
        let pause = setback.pause.unwrap_or(Span::ZERO).min(PAUSE_ASKED_MAX);
        if setback.in_vain {
            // Whoever refuses a report is there.
            self.rests.remove(&destination);
        } else {
            self.rest(&destination, turn.now, pause);
        }
        // It may have been given up meanwhile.
        if let Some(queued) = turn.state.outbox().get(&report) {
            let tries = queued.tries + 1;
            let retry = turn.now.plus(pause_after(tries).max(pause));
            let too_late = retry.since(queued.report.made) > KEEP;
            let error = setback.error;
            if setback.in_vain {
                leave(turn, report, Event::ReportDropped { report, why: error });
            } else if let Some(by) = superseded_by(turn, report) {
                leave(turn, report, Event::ReportSuperseded { report, by });
            } else if too_late {
                let why = format!("not delivered within {KEEP}, last because of: {error}");
                leave(turn, report, Event::ReportDropped { report, why });
            } else {
                turn.record(Event::ReportFailed { report, error, tries, retry });
            }
        }
        turn.touch(TimerKey::Destination(destination));
        self.hand_out(turn);
    }
}

/// The server that a report goes to.
fn destination_of(turn: &Turn<'_>, report: &Report) -> String {
    let plan = turn.in_flight.plans.get(&report.plan);
    let notifier = plan.and_then(|plan| plan.notifiers.get(&report.notifier));
    // Without its configuration it cannot be delivered; what is wrong with that is found when it is tried.
    notifier.map_or_else(|| report.notifier.clone(), NotifierPlan::destination)
}

/// The report that makes this one needless, if there is one.
fn superseded_by(turn: &Turn<'_>, report: ReportId) -> Option<ReportId> {
    let queued = turn.state.outbox().get(&report)?;
    if !queued.report.latest_only {
        return None;
    }
    let last = turn.state.reports_of(&queued.report.notifier, &queued.report.target).next_back()?;
    (last > report).then_some(last)
}

fn pause_after(failures: u64) -> Span {
    let doubled = PAUSE.as_millis().saturating_mul(1 << failures.saturating_sub(1).min(16));
    Span::from_millis(doubled).min(PAUSE_MAX)
}
