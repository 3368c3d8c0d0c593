//! Reports: who is told of a build that ended, and why; and deliveries that are tried until they succeed.

use std::collections::BTreeSet;

use super::state::{Build, Previous};
use super::timers::TimerKey;
use super::turn::Turn;
use super::{Deadline, Effect, WakeReason};
use crate::base::Span;
use crate::model::{Event, NotifierPlan, NotifyOn, Outcome, Plan, Report, ReportId, ReportReason, ReportSubject};

/// Deliveries at the same time: enough to keep a mail server busy, too few to look like a flood.
pub const DELIVERIES_MAX: usize = 8;
/// The pause after the first failure; it doubles.
const PAUSE: Span = Span::from_seconds(30);
/// The longest pause.
const PAUSE_MAX: Span = Span::from_minutes(15);
/// After so long nobody wants the news any more.
const KEEP: Span = Span::from_minutes(7 * 24 * 60);

/// Reports that are handed out, and those that wait for one of these to come back.
#[derive(Clone, Debug, Default)]
pub(super) struct Deliveries {
    out: BTreeSet<ReportId>,
    waiting: BTreeSet<ReportId>,
}

/// Puts a report into the outbox for each notifier that speaks of this build.
pub(super) fn report_build(turn: &mut Turn<'_>, build: &Build, outcome: Outcome, previous: Previous) {
    // Builds also end because no configuration can be loaded any more; nobody is configured to be told then.
    let Some(plan) = turn.plan() else { return };
    for notifier in plan.notifiers.values().filter(|notifier| concerns(notifier, build, &plan)) {
        if let Some(reason) = reason(&notifier.on, outcome, previous) {
            let (builder, previous) = (build.builder_id, previous.outcome.filter(|_| !previous.unproven));
            let subject = ReportSubject::Build { build: build.id, builder, outcome, previous };
            let report = Report {
                id: ReportId(turn.state.last().report + 1),
                notifier: notifier.name.clone(),
                plan: plan.digest.clone(),
                reason,
                subject,
                made: turn.now,
            };
            turn.record(Event::ReportQueued { report });
        }
    }
}

#[cfg(test)]
pub(super) fn queue_again(turn: &mut Turn<'_>) {
    for report in turn.state.outbox().values().map(|queued| queued.report.clone()).collect::<Vec<_>>() {
        let id = ReportId(turn.state.last().report + 1);
        turn.record(Event::ReportQueued { report: Report { id, ..report } });
    }
}

impl Deliveries {
    /// When a report is due; not while it is handed out, or waits for others to come back.
    pub fn due(&self, turn: &Turn<'_>, report: ReportId) -> Option<Deadline> {
        let queued = turn.state.outbox().get(&report)?;
        if self.out.contains(&report) || self.waiting.contains(&report) {
            return None;
        }
        // A clock that went back must not hold a report longer than the longest pause.
        let due = queued.due.min(turn.now.plus(PAUSE_MAX));
        Some((due, WakeReason::Report(report.0)))
    }

    /// Hands a report out, or lets it wait for its turn. Late: it may have been given up while it waited.
    pub fn order(&mut self, turn: &mut Turn<'_>, report: ReportId) {
        let Some(queued) = turn.state.outbox().get(&report) else { return };
        if self.out.len() >= DELIVERIES_MAX {
            self.waiting.insert(report);
            return;
        }
        self.out.insert(report);
        turn.effects.push(Effect::Deliver { report: queued.report.clone() });
    }

    fn returned(&mut self, turn: &mut Turn<'_>, report: ReportId) {
        self.out.remove(&report);
        turn.touch(TimerKey::Report(report));
        while self.out.len() < DELIVERIES_MAX
            && let Some(next) = self.waiting.pop_first()
        {
            self.order(turn, next);
        }
    }

    /// A report was delivered. Late: one that was handed out before a restart may be told of twice.
    pub fn sent(&mut self, turn: &mut Turn<'_>, report: ReportId, remarks: Vec<String>) {
        if turn.state.outbox().contains_key(&report) {
            if !remarks.is_empty() {
                turn.record(Event::ReportRemarked { report, remarks });
            }
            turn.record(Event::ReportSent { report });
        }
        self.returned(turn, report);
    }

    /// A report was not delivered.
    pub fn failed(&mut self, turn: &mut Turn<'_>, report: ReportId, error: String, in_vain: bool) {
        if let Some(queued) = turn.state.outbox().get(&report) {
            let tries = queued.tries + 1;
            let retry = turn.now.plus(pause_after(tries));
            if in_vain {
                turn.record(Event::ReportDropped { report, why: error });
            } else if retry.since(queued.report.made) > KEEP {
                let why = format!("not delivered within {KEEP}, last because of: {error}");
                turn.record(Event::ReportDropped { report, why });
            } else {
                turn.record(Event::ReportFailed { report, error, tries, retry });
            }
        }
        self.returned(turn, report);
    }
}

fn pause_after(tries: u64) -> Span {
    let doubled = PAUSE.as_millis().saturating_mul(1 << tries.saturating_sub(1).min(16));
    Span::from_millis(doubled).min(PAUSE_MAX)
}

/// Whether a notifier speaks of this builder, its tags, and the branches of this build.
fn concerns(notifier: &NotifierPlan, build: &Build, plan: &Plan) -> bool {
    let named = notifier.builders.as_ref().is_none_or(|builders| builders.contains(&build.builder));
    let tagged = notifier.tags.is_empty()
        || (plan.builders.get(&build.builder))
            .is_some_and(|builder| builder.tags.iter().any(|tag| notifier.tags.contains(tag)));
    let branched = (notifier.branches.as_ref())
        .is_none_or(|branches| build.stamps.iter().any(|stamp| branches.contains(&stamp.spec.branch)));
    named && tagged && branched
}

/// The most telling reason for which a notifier speaks: a turn for the worse or the better first, then any change, then
/// the outcome as such.
fn reason(on: &[NotifyOn], outcome: Outcome, previous: Previous) -> Option<ReportReason> {
    let kind = match outcome {
        Outcome::Success => Some((NotifyOn::Success, ReportReason::Success)),
        Outcome::Warnings => Some((NotifyOn::Warnings, ReportReason::Warnings)),
        Outcome::Failure => Some((NotifyOn::Failure, ReportReason::Failure)),
        Outcome::Exception => Some((NotifyOn::Exception, ReportReason::Exception)),
        Outcome::Cancelled => Some((NotifyOn::Cancelled, ReportReason::Cancelled)),
        Outcome::Skipped | Outcome::Retry => None,
    };
    let is_bad = |outcome| matches!(outcome, Outcome::Failure | Outcome::Exception);
    let is_good = |outcome| matches!(outcome, Outcome::Success | Outcome::Warnings);
    let was_bad = previous.outcome.is_some_and(is_bad);
    let counts = (is_bad(outcome) || is_good(outcome)) && !previous.unproven;
    [
        (is_bad(outcome) && !was_bad).then_some((NotifyOn::Problem, ReportReason::Problem)),
        (is_good(outcome) && was_bad && counts).then_some((NotifyOn::Recovery, ReportReason::Recovery)),
        (counts && previous.outcome.is_some_and(|previous| previous != outcome))
            .then_some((NotifyOn::Change, ReportReason::Change)),
        kind,
        Some((NotifyOn::Always, ReportReason::Always)),
    ]
    .into_iter()
    .flatten()
    .find(|(occasion, _)| on.contains(occasion))
    .map(|(_, reason)| reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_telling_reason_is_given() {
        use NotifyOn as On;
        let all = [On::Success, On::Failure, On::Problem, On::Recovery, On::Change, On::Always];
        let told = |outcome, previous| reason(&all, outcome, Previous { outcome: previous, unproven: false });
        assert_eq!(told(Outcome::Failure, Some(Outcome::Success)), Some(ReportReason::Problem));
        assert_eq!(told(Outcome::Failure, None), Some(ReportReason::Problem));
        assert_eq!(told(Outcome::Failure, Some(Outcome::Failure)), Some(ReportReason::Failure));
        assert_eq!(told(Outcome::Success, Some(Outcome::Exception)), Some(ReportReason::Recovery));
        assert_eq!(told(Outcome::Warnings, Some(Outcome::Success)), Some(ReportReason::Change));
        assert_eq!(told(Outcome::Success, Some(Outcome::Success)), Some(ReportReason::Success));
        assert_eq!(told(Outcome::Cancelled, Some(Outcome::Success)), Some(ReportReason::Always));
        assert_eq!(reason(&[On::Failure], Outcome::Success, Previous::default()), None);
    }

    #[test]
    fn a_first_success_is_no_recovery() {
        assert_eq!(reason(&[NotifyOn::Recovery, NotifyOn::Change], Outcome::Success, Previous::default()), None);
    }

    #[test]
    fn a_success_that_skipped_what_was_broken_is_only_a_success() {
        let on = [NotifyOn::Recovery, NotifyOn::Change, NotifyOn::Success];
        let previous = Previous { outcome: Some(Outcome::Failure), unproven: true };
        assert_eq!(reason(&on, Outcome::Success, previous), Some(ReportReason::Success));
    }
}
