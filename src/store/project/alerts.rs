//! Alerts that follow from facts: what failed and has not worked since. So they are right again after a restart.
//!
//! A subject has at most one alert of a kind; it keeps the moment at which the trouble began.

use serde::{Deserialize, Serialize};

use super::report::StoredReport;
use crate::base::Timestamp;
use crate::model::{Alert, AlertSubject, BuildId, ChangeSourceId, Declined, FunctionKind, NameChanges, PlanChange};
use crate::store::StoreError;
use crate::store::backend::Direction;
use crate::store::key::{Key, Table};
use crate::store::txn::{Records as _, Txn};

/// Alerts about user functions and patterns at the same time: a configuration may have thousands that all fail for the
/// same reason. Failures of further ones are facts without an alert.
const FUNCTIONS_MAX: usize = 200;

const REFUSED: &str = "refused";
const POLL: &str = "poll";
const DELIVERY: &str = "delivery";
const GIVEN_UP: &str = "given up";
const REMARKS: &str = "remarks";
const EVALUATION: &str = "evaluation";

/// What can be done about what is lost.
const LOST_HINT: &str =
    "put its function right, and start by hand what is missing; this ends with the next configuration";

/// An alert with what only this room needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredAlert {
    pub alert: Alert,
    /// Reports in the outbox that it speaks of; when none is left it is over.
    #[serde(default)]
    pub reports: u64,
}

pub(super) fn plan_refused(txn: &mut Txn<'_>, at: Timestamp, message: &str) -> Result<(), StoreError> {
    let text = format!("the configuration was rejected; the previous one stays in force:\n{message}");
    let hint = "correct the file; it is loaded again when it is saved, or by `starwright reload`";
    raise(txn, at, (AlertSubject::Configuration, REFUSED), text, Some(hint))
}

/// A configuration is in force: nothing is known of its functions yet, and what it lacks fails no more.
pub(super) fn plan_adopted(
    txn: &mut Txn<'_>,
    changes: &[PlanChange],
    sources: &NameChanges<ChangeSourceId>,
) -> Result<(), StoreError> {
    for StoredAlert { alert, reports } in
        txn.records::<StoredAlert>(&Table::Alert.all(), Direction::Ascending, usize::MAX)?
    {
        let stays = match &alert.subject {
            AlertSubject::Source(name) => {
                let this =
                    |change: &PlanChange| matches!(change, PlanChange::ChangeSource { name: n, .. } if n == name);
                let id = txn.number(&Table::ChangeSourceNamed.name(name))?;
                let removed = sources.removed.iter().any(|removed| Some(removed.0) == id);
                !removed && !changes.iter().any(this)
            }
            // What waits in the outbox is delivered as it was configured then.
            AlertSubject::Notifier(name) => {
                let this = |change: &PlanChange| matches!(change, PlanChange::Notifier { name: n, .. } if n == name);
                reports > 0 || !changes.iter().any(this)
            }
            // It keeps the configuration that it began with.
            AlertSubject::Build(_) => true,
            _ => false,
        };
        if !stays {
            txn.remove(key(&alert.subject, &alert.kind));
        }
    }
    Ok(())
}

pub(super) fn source_failed(txn: &mut Txn<'_>, at: Timestamp, source: &str, error: &str) -> Result<(), StoreError> {
    let hint = "no change of it is seen until this is put right; it is tried again, in growing intervals";
    raise(txn, at, (AlertSubject::Source(source.to_owned()), POLL), format!("polling failed: {error}"), Some(hint))
}

pub(super) fn source_polled(txn: &mut Txn<'_>, source: &str) {
    txn.remove(key(&AlertSubject::Source(source.to_owned()), POLL));
}

/// A user function or a pattern gave no answer. That counts until it works again or the next configuration is in force.
pub(super) fn script_failed(
    txn: &mut Txn<'_>,
    at: Timestamp,
    (subject, kind): (AlertSubject, FunctionKind),
    message: &str,
) -> Result<(), StoreError> {
    function_alert(txn, at, (subject, kind), format!("`{}` failed: {message}", kind.word()))
}

/// It is not asked again before the next configuration.
pub(super) fn script_suspended(
    txn: &mut Txn<'_>,
    at: Timestamp,
    (subject, kind): (AlertSubject, FunctionKind),
    message: &str,
) -> Result<(), StoreError> {
    let text = format!("`{}` is not asked any more until the next configuration: {message}", kind.word());
    function_alert(txn, at, (subject, kind), text)
}

pub(super) fn script_recovered(txn: &mut Txn<'_>, (subject, kind): (AlertSubject, FunctionKind)) {
    txn.remove(key(&subject, kind.word()));
}

fn function_alert(
    txn: &mut Txn<'_>,
    at: Timestamp,
    (subject, kind): (AlertSubject, FunctionKind),
    text: String,
) -> Result<(), StoreError> {
    let is_new = txn.bytes(&key(&subject, kind.word()))?.is_none();
    if is_new && txn.pairs(&Table::Alert.all(), Direction::Ascending, FUNCTIONS_MAX)?.len() >= FUNCTIONS_MAX {
        return Ok(());
    }
    let hint = format!("until this is fixed, {}", kind.meanwhile());
    raise(txn, at, (subject, kind.word()), text, Some(&hint))
}

/// A change that waited for a decision is not taken: that needs a person if it was for want of room.
pub(super) fn change_declined(
    txn: &mut Txn<'_>,
    at: Timestamp,
    scheduler: &str,
    why: Declined,
) -> Result<(), StoreError> {
    match why {
        Declined::Filter => Ok(()),
        Declined::TooMany => {
            let text = "changes that waited for its decision were left out, because too many wait";
            raise(
                txn,
                at,
                (AlertSubject::Scheduler(scheduler.to_owned()), "left out"),
                text.to_owned(),
                Some(LOST_HINT),
            )
        }
    }
}

/// A buildset that a scheduler owed is not made, because too many are owed.
pub(super) fn buildset_forgone(txn: &mut Txn<'_>, at: Timestamp, scheduler: &str) -> Result<(), StoreError> {
    let text = "builds that wait for its decision were given up, because too many wait";
    raise(txn, at, (AlertSubject::Scheduler(scheduler.to_owned()), "given up"), text.to_owned(), Some(LOST_HINT))
}

/// A build's script killed or outlasted its process.
pub(super) fn evaluation_lost(
    txn: &mut Txn<'_>,
    at: Timestamp,
    build: BuildId,
    (step, message): (&str, &str),
) -> Result<(), StoreError> {
    let hint = "it is evaluated again; after three such losses the build ends as an exception";
    raise(txn, at, (AlertSubject::Build(build), EVALUATION), format!("evaluating step `{step}`: {message}"), Some(hint))
}

pub(super) fn build_ended(txn: &mut Txn<'_>, build: BuildId) {
    txn.remove(key(&AlertSubject::Build(build), EVALUATION));
}

/// A report was not delivered; `stored` is as it was before.
pub(super) fn report_failed(
    txn: &mut Txn<'_>,
    at: Timestamp,
    stored: &StoredReport,
    error: &str,
) -> Result<(), StoreError> {
    let hint = "it stays in the outbox, and delivery is retried for seven days";
    let subject = AlertSubject::Notifier(stored.report.notifier.clone());
    raise(txn, at, (subject.clone(), DELIVERY), format!("a report is not delivered yet: {error}"), Some(hint))?;
    let first_time = u64::from(stored.error.is_none());
    txn.update::<StoredAlert>(key(&subject, DELIVERY), |alert| alert.reports += first_time)
}

/// A report was delivered. If it was made after the trouble with an earlier one of its notifier, that is over: reports
/// of the same moment do not hide it.
pub(super) fn report_sent(txn: &mut Txn<'_>, stored: &StoredReport) -> Result<(), StoreError> {
    let subject = AlertSubject::Notifier(stored.report.notifier.clone());
    let kinds: &[&str] = if stored.remarks.is_empty() { &[GIVEN_UP, REMARKS] } else { &[GIVEN_UP] };
    for kind in kinds {
        let key = key(&subject, kind);
        let trouble: Option<StoredAlert> = txn.record(&key)?;
        if trouble.is_some_and(|trouble| trouble.alert.last < stored.report.made) {
            txn.remove(key);
        }
    }
    no_longer_waits(txn, stored)
}

/// A report is not needed any more.
pub(super) fn report_superseded(txn: &mut Txn<'_>, stored: &StoredReport) -> Result<(), StoreError> {
    no_longer_waits(txn, stored)
}

/// A report was given up.
pub(super) fn report_dropped(
    txn: &mut Txn<'_>,
    at: Timestamp,
    stored: &StoredReport,
    why: &str,
) -> Result<(), StoreError> {
    let hint = "the build's page and the list of the outbox name the report; this ends when a later one is delivered";
    let subject = AlertSubject::Notifier(stored.report.notifier.clone());
    raise(txn, at, (subject, GIVEN_UP), format!("a report was given up: {why}"), Some(hint))?;
    no_longer_waits(txn, stored)
}

/// A report could be delivered, but not as it was meant.
pub(super) fn report_remarked(
    txn: &mut Txn<'_>,
    at: Timestamp,
    stored: &StoredReport,
    remarks: &[String],
) -> Result<(), StoreError> {
    let hint = "this ends when a later report is delivered as it is meant";
    let text = format!("a report was not delivered as it was meant: {}", remarks.join("\n"));
    raise(txn, at, (AlertSubject::Notifier(stored.report.notifier.clone()), REMARKS), text, Some(hint))
}

fn no_longer_waits(txn: &mut Txn<'_>, stored: &StoredReport) -> Result<(), StoreError> {
    if stored.error.is_none() {
        return Ok(());
    }
    let key = key(&AlertSubject::Notifier(stored.report.notifier.clone()), DELIVERY);
    let Some(mut alert) = txn.record::<StoredAlert>(&key)? else { return Ok(()) };
    alert.reports = alert.reports.saturating_sub(1);
    if alert.reports == 0 {
        txn.remove(key);
    } else {
        txn.put(key, &alert);
    }
    Ok(())
}

fn raise(
    txn: &mut Txn<'_>,
    at: Timestamp,
    (subject, kind): (AlertSubject, &str),
    text: String,
    hint: Option<&str>,
) -> Result<(), StoreError> {
    let place = key(&subject, kind);
    let earlier: Option<StoredAlert> = txn.record(&place)?;
    let (first, reports) = earlier.map_or((at, 0), |earlier| (earlier.alert.first, earlier.reports));
    let hint = hint.map(ToOwned::to_owned);
    let alert = Alert { subject, kind: kind.to_owned(), text, hint, first, last: at };
    txn.put(place, &StoredAlert { alert, reports });
    Ok(())
}

/// Names hold no control characters, so that no two subjects share a key.
fn key(subject: &AlertSubject, kind: &str) -> Key {
    Table::Alert.name(&format!("{}\0{}\0{kind}", subject.kind(), subject.name().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::model::{
        BuilderId, Cause, ConfigDigest, Difference, Event, Fact, FunctionOwner, Outcome, Report, ReportId,
        ReportReason, ReportSubject, SchedulerId, UserFunction,
    };
    use crate::store::backend::{Backend as _, MemoryBackend};
    use crate::store::project::project;

    /// More than functions are told of.
    const BUILDERS: u64 = FUNCTIONS_MAX as u64 + 50;

    fn builder_name(id: u64) -> String {
        if id == 1 { "b".to_owned() } else { format!("b{id}") }
    }

    #[derive(Default)]
    struct History {
        backend: MemoryBackend,
        seq: u64,
        sources: BTreeSet<&'static str>,
    }

    impl History {
        fn add(&mut self, event: Event) {
            self.seq += 1;
            let at = self.now();
            let mut txn = Txn::new(&self.backend);
            project(&mut txn, &Fact { seq: self.seq, at, cause: Cause::Clock, event }).unwrap();
            self.backend.apply(txn.into_batch()).unwrap();
        }

        /// `p` is source 1, `q` is 2. The rest is the same each time.
        fn adopt(&mut self, sources: &[&'static str], changed: &[&str]) {
            let change = |name: &&str| PlanChange::ChangeSource {
                id: source(name),
                name: (*name).to_owned(),
                how: Difference::Changed,
            };
            let now: BTreeSet<&str> = sources.iter().copied().collect();
            let before = std::mem::replace(&mut self.sources, now.clone());
            let named = |name: &&str| ((*name).to_owned(), source(name));
            self.add(Event::PlanAdopted {
                digest: ConfigDigest::default(),
                why: "reload".to_owned(),
                changes: changed.iter().map(change).collect(),
                builders: (1..=BUILDERS).map(|id| (builder_name(id), BuilderId(id))).collect(),
                workers: NameChanges::default(),
                schedulers: [("s".to_owned(), SchedulerId(1))].into_iter().collect(),
                change_sources: NameChanges {
                    added: now.difference(&before).map(named).collect(),
                    removed: before.difference(&now).map(|name| source(name)).collect(),
                },
                about: BTreeMap::new(),
                projects: crate::model::ProjectChanges::default(),
            });
        }

        fn alerts(&self) -> Vec<Alert> {
            let stored: Vec<StoredAlert> =
                self.backend.records(&Table::Alert.all(), Direction::Ascending, usize::MAX).unwrap();
            stored.into_iter().map(|stored| stored.alert).collect()
        }

        /// `source \`p\` poll`, ….
        fn shown(&self) -> Vec<String> {
            self.alerts().iter().map(|alert| format!("{} {}", alert.subject, alert.kind)).collect()
        }

        fn queue(&mut self, id: u64) {
            let subject = ReportSubject::Build {
                build: BuildId(1),
                builder: crate::model::BuilderId(1),
                outcome: Outcome::Failure,
                previous: None,
            };
            self.add(Event::ReportQueued {
                report: Report {
                    id: ReportId(id),
                    notifier: "m".to_owned(),
                    plan: ConfigDigest::default(),
                    reason: ReportReason::Failure,
                    subject,
                    made: self.now(),
                    target: String::new(),
                    latest_only: false,
                    again: None,
                },
            });
        }

        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(i64::try_from(self.seq).unwrap())
        }

        fn fail(&mut self, id: u64) {
            let (report, retry) = (ReportId(id), Timestamp::default());
            self.add(Event::ReportFailed { report, error: "no answer".to_owned(), tries: 1, retry });
        }

        fn send(&mut self, id: u64) {
            self.add(Event::ReportSent { report: ReportId(id) });
        }
    }

    fn source(name: &str) -> ChangeSourceId {
        ChangeSourceId(if name == "p" { 1 } else { 2 })
    }

    fn failed(name: &str, error: &str) -> Event {
        Event::SourceFailed { source: source(name), error: error.to_owned(), failures: 1, retry: Timestamp::default() }
    }

    #[test]
    fn a_source_fails_from_its_first_failure_until_it_works() {
        let mut history = History::default();
        history.adopt(&["p", "q"], &[]);
        history.add(failed("p", "no route"));
        history.add(failed("p", "refused"));
        history.add(failed("q", "no route"));
        let alert = &history.alerts()[0];
        assert_eq!((alert.first.as_seconds(), alert.last.as_seconds()), (2, 3));
        assert_eq!(alert.text, "polling failed: refused");
        history.add(Event::SourcePolled { source: source("p"), cursor: crate::model::Cursor::new() });
        assert_eq!(history.shown(), ["source `q` poll"]);
    }

    #[test]
    fn a_source_that_left_the_configuration_fails_no_more() {
        let mut history = History::default();
        history.adopt(&["p", "q"], &[]);
        history.add(failed("p", "no route"));
        history.add(failed("q", "no route"));
        history.adopt(&["q"], &[]);
        assert_eq!(history.shown(), ["source `q` poll"]);
        history.adopt(&["q"], &["q"]);
        assert_eq!(history.shown(), Vec::<String>::new());
    }

    fn script_failed(kind: FunctionKind, of: impl Into<FunctionOwner>) -> Event {
        Event::ScriptFailed { function: UserFunction::new(kind, of), message: "no field x".to_owned(), losses: 0 }
    }

    #[test]
    fn a_function_is_told_of_at_its_builder_or_scheduler_until_it_works() {
        let mut history = History::default();
        history.adopt(&[], &[]);
        history.add(script_failed(FunctionKind::CanStart, BuilderId(1)));
        history.add(script_failed(FunctionKind::Filter, SchedulerId(1)));
        assert_eq!(history.shown(), ["builder `b` can_start", "scheduler `s` filter"]);
        let alert = &history.alerts()[0];
        assert_eq!(alert.text, "`can_start` failed: no field x");
        let hint = "until this is fixed, a request does not start on a worker about which it gave no answer";
        assert_eq!(alert.hint.as_deref(), Some(hint));
        history.add(Event::ScriptRecovered { function: UserFunction::new(FunctionKind::CanStart, BuilderId(1)) });
        assert_eq!(history.shown(), ["scheduler `s` filter"]);
    }

    #[test]
    fn the_next_configuration_ends_refusals_and_failed_functions_but_not_the_troubles_of_builds() {
        let mut history = History::default();
        history.adopt(&[], &[]);
        history.add(script_failed(FunctionKind::CanStart, BuilderId(1)));
        history.add(Event::PlanRefused { why: "reload".to_owned(), message: "no such worker".to_owned() });
        history.add(Event::EvaluationLost {
            build: BuildId(3),
            step: crate::model::StepId(1),
            name: "compile".to_owned(),
            part: crate::model::EvalPart::Body,
            message: "it took too long".to_owned(),
            losses: 1,
        });
        assert_eq!(history.shown(), ["build 3 evaluation", "builder `b` can_start", "configuration refused"]);
        history.adopt(&[], &[]);
        assert_eq!(history.shown(), ["build 3 evaluation"]);
    }

    #[test]
    fn deliveries_fail_until_none_of_the_notifier_waits() {
        let mut history = History::default();
        [1, 2, 3].into_iter().for_each(|id| history.queue(id));
        [1, 2, 1, 1].into_iter().for_each(|id| history.fail(id));
        history.send(3);
        history.send(1);
        assert_eq!(history.shown(), ["notifier `m` delivery"]);
        history.send(2);
        assert_eq!(history.shown(), Vec::<String>::new());
    }

    #[test]
    fn a_report_that_was_given_up_is_told_of_until_a_later_one_arrives() {
        let mut history = History::default();
        [1, 2].into_iter().for_each(|id| history.queue(id));
        history.fail(1);
        history.add(Event::ReportDropped { report: ReportId(1), why: "554 refused".to_owned() });
        assert_eq!(history.shown(), ["notifier `m` given up"]);
        history.adopt(&[], &[]);
        assert_eq!(history.shown(), ["notifier `m` given up"], "another configuration does not deliver it");
        history.send(2);
        assert_eq!(history.shown(), ["notifier `m` given up"], "this one is no later one");
        history.queue(3);
        history.send(3);
        assert_eq!(history.shown(), Vec::<String>::new());
    }

    #[test]
    fn remarks_last_until_a_report_arrives_as_it_is_meant() {
        let mut history = History::default();
        history.queue(1);
        history.add(Event::ReportRemarked { report: ReportId(1), remarks: vec!["`x` did not get it".to_owned()] });
        history.send(1);
        assert_eq!(history.shown(), ["notifier `m` remarks"]);
        history.queue(2);
        history.send(2);
        assert_eq!(history.shown(), Vec::<String>::new());
    }

    #[test]
    fn thousands_of_functions_that_fail_are_bounded() {
        let mut history = History::default();
        history.adopt(&[], &[]);
        for id in 1..=BUILDERS {
            history.add(script_failed(FunctionKind::Priority, BuilderId(id)));
        }
        assert_eq!(history.alerts().len(), FUNCTIONS_MAX);
    }
}
