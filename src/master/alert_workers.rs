//! Alerts about workers: refused ones, those that nobody starts, and those that are away while builds wait for them.
//!
//! Pure: what is known of workers and of what waits goes in, alerts come out.

use std::collections::BTreeMap;

use super::admission::{RefusalKind, RefusedWorker};
use crate::base::{Span, Timestamp};
use crate::model::{Alert, AlertSubject, BuilderPlan, Plan, WorkerRecord};

/// A worker that comes back, and a master that starts, get so long before anybody is told that builds wait.
const PATIENCE: Span = Span::from_minutes(1);
/// A refused worker that has not tried again for so long has been given up by its people, too. Ours try every few
/// seconds, stock ones at least every five minutes.
const REFUSED_KEEP: Span = Span::from_minutes(15);
/// The same for one whose name another worker uses: it was let in that far, so it tries again within a minute.
const DUPLICATE_KEEP: Span = Span::from_minutes(3);
/// Workers named in an alert about a builder.
const NAMED_MAX: usize = 10;

/// Workers by name.
pub(super) type Workers<'a> = BTreeMap<&'a str, &'a WorkerRecord>;

/// How things stand.
pub(super) struct WorkerStanding<'a> {
    pub plan: &'a Plan,
    pub workers: Workers<'a>,
    /// Builders for which requests wait, and since when the oldest does.
    pub waiting: BTreeMap<String, Timestamp>,
    /// Whether somebody starts the workers without a password.
    pub local_workers: bool,
    /// When this master started.
    pub started: Timestamp,
    pub now: Timestamp,
}

impl WorkerStanding<'_> {
    fn is_connected(&self, worker: &str) -> bool {
        self.workers.get(worker).is_some_and(|record| record.connected)
    }

    fn is_unstarted(&self, worker: &str) -> bool {
        let local = self.plan.workers.get(worker).is_some_and(|plan| plan.password.is_none());
        local && !self.local_workers && !self.is_connected(worker)
    }

    /// `never connected`, `away since …`; for people.
    fn whereabouts(&self, worker: &str) -> String {
        match self.workers.get(worker).and_then(|record| record.since) {
            None => format!("`{worker}` has never connected"),
            Some(since) => format!("`{worker}` is away since {}", minute(since)),
        }
    }

    /// Whether a worker has had time to come back.
    fn is_overdue(&self, worker: &str) -> bool {
        let since = self.workers.get(worker).and_then(|record| record.since).unwrap_or(self.started);
        self.now.since(since.max(self.started)) >= PATIENCE
    }
}

/// Workers without a password, which only `starwright up` starts, under a master that does not.
pub(super) fn unstarted(standing: &WorkerStanding<'_>) -> Vec<Alert> {
    let names = standing.plan.workers.keys().filter(|name| standing.is_unstarted(name));
    let alert = |name: &String| {
        let text = "nothing starts it: it has no password, and only `starwright up` starts such workers";
        let hint = format!(
            "run `starwright up` instead of `starwright master`, or give it a password, `worker(\"{name}\", password = secret(\"{name}\"))`, and start `starwright worker` with it"
        );
        alert(AlertSubject::Worker(name.clone()), "local", text.to_owned(), &hint, standing.now)
    };
    names.map(alert).collect()
}

/// Builders for which requests wait while all their workers are away, and those workers.
pub(super) fn away(standing: &WorkerStanding<'_>) -> Vec<Alert> {
    let mut alerts: BTreeMap<AlertSubject, Alert> = BTreeMap::new();
    for (name, since) in &standing.waiting {
        let Some(builder) = standing.plan.builders.get(name).filter(|builder| all_away(standing, builder)) else {
            continue;
        };
        if standing.now.since(*since) < PATIENCE {
            continue;
        }
        let told = in_vain(standing, builder);
        alerts.insert(told.subject.clone(), told);
        for worker in builder.workers.iter().filter(|worker| !standing.is_unstarted(worker)) {
            let told = waited_for(standing, worker);
            alerts.insert(told.subject.clone(), told);
        }
    }
    alerts.into_values().collect()
}

fn all_away(standing: &WorkerStanding<'_>, builder: &BuilderPlan) -> bool {
    builder.workers.iter().all(|worker| !standing.is_connected(worker) && standing.is_overdue(worker))
}

fn in_vain(standing: &WorkerStanding<'_>, builder: &BuilderPlan) -> Alert {
    let named: Vec<String> =
        builder.workers.iter().take(NAMED_MAX).map(|worker| standing.whereabouts(worker)).collect();
    let more = match builder.workers.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    let text = format!("requests wait, and none of its workers is connected: {}{more}", named.join(", "));
    let hint = "start one of them, or let another worker build it";
    alert(AlertSubject::Builder(builder.name.clone()), "workers", text, hint, standing.now)
}

fn waited_for(standing: &WorkerStanding<'_>, worker: &str) -> Alert {
    let text = format!("builds wait for it: {}", standing.whereabouts(worker));
    let hint = format!(
        "start it where it belongs, or see there why it does not come: `starwright worker --master HOST:PORT --name {worker} --password-file FILE`"
    );
    alert(AlertSubject::Worker(worker.to_owned()), "away", text, &hint, standing.now)
}

/// Workers that were refused lately and have not connected since.
pub(super) fn refused(refused: &[RefusedWorker], workers: &Workers<'_>, now: Timestamp) -> Vec<Alert> {
    let lasting = refused.iter().filter(|worker| {
        let record = workers.get(worker.name.as_str());
        let came = record.is_some_and(|record| record.connected && record.since.is_some_and(|since| since > worker.at));
        let keep = if worker.kind == RefusalKind::Duplicate { DUPLICATE_KEEP } else { REFUSED_KEEP };
        !came && now.since(worker.at) < keep
    });
    // The newest come first, and one name may have been refused for several reasons of a kind: the newest counts.
    let mut alerts: BTreeMap<(AlertSubject, &str), Alert> = BTreeMap::new();
    for worker in lasting {
        let subject = match worker.name.as_str() {
            "" => AlertSubject::Network("workers".to_owned()),
            name => AlertSubject::Worker(name.to_owned()),
        };
        let kind = if worker.kind == RefusalKind::Duplicate { "duplicate" } else { "refused" };
        alerts.entry((subject.clone(), kind)).or_insert_with(|| was_refused(subject, kind, worker));
    }
    alerts.into_values().collect()
}

fn was_refused(subject: AlertSubject, kind: &str, worker: &RefusedWorker) -> Alert {
    let from = worker.peer.map(|peer| format!(" (from {})", peer.ip())).unwrap_or_default();
    let (text, hint) = match worker.kind {
        RefusalKind::Login => (
            format!("a worker was rejected{from}: {}", worker.why),
            "compare its name and password with the configuration; this ends when it connects or stops trying",
        ),
        RefusalKind::Version => {
            (format!("a worker was rejected{from}: {}", worker.why), "this ends when it connects or stops trying")
        }
        RefusalKind::Duplicate => (
            worker.why.clone(),
            "stop one of them, or give it a name of its own in the configuration and start it with that `--name`; if you copied a worker's directory, delete `spool` in the copy; this ends when the second one connects or stops trying",
        ),
    };
    Alert { last: worker.at, ..alert(subject, kind, text, hint, worker.at) }
}

fn alert(subject: AlertSubject, kind: &str, text: String, hint: &str, at: Timestamp) -> Alert {
    Alert { subject, kind: kind.to_owned(), text, hint: Some(hint.to_owned()), first: at, last: at }
}

/// A moment to the minute, in UTC.
fn minute(at: Timestamp) -> String {
    let text = at.to_string().replace('T', " ");
    format!("{} UTC", text.get(..16).unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Text, WorkerPlan};

    const START: Timestamp = Timestamp::from_seconds(1_795_000_000);

    fn after(seconds: u64) -> Timestamp {
        START.plus(Span::from_seconds(seconds))
    }

    fn record(name: &str, connected: bool, since: Option<Timestamp>) -> WorkerRecord {
        WorkerRecord { name: name.to_owned(), active: true, connected, since, ..WorkerRecord::default() }
    }

    fn plan(password: bool) -> Plan {
        let mut plan = Plan::default();
        for name in ["w1", "w2"] {
            let password = password.then(|| Text::plain("secret"));
            plan.workers
                .insert(name.to_owned(), WorkerPlan { name: name.to_owned(), password, ..WorkerPlan::default() });
        }
        let workers = vec!["w1".to_owned(), "w2".to_owned()];
        let builder = BuilderPlan { name: "b".to_owned(), workers, ..BuilderPlan::default() };
        plan.builders.insert("b".to_owned(), builder);
        plan
    }

    fn standing<'a>(plan: &'a Plan, records: &'a [WorkerRecord], now: Timestamp) -> WorkerStanding<'a> {
        WorkerStanding {
            plan,
            workers: records.iter().map(|record| (record.name.as_str(), record)).collect(),
            waiting: [("b".to_owned(), START)].into(),
            local_workers: false,
            started: START,
            now,
        }
    }

    fn subjects(alerts: &[Alert]) -> Vec<String> {
        alerts.iter().map(|alert| format!("{} {}", alert.subject, alert.kind)).collect()
    }

    #[test]
    fn a_local_worker_under_a_plain_master_is_told_of() {
        let plan = plan(false);
        let records = [record("w1", false, None), record("w2", true, Some(START))];
        let mut standing = standing(&plan, &records, START);
        assert_eq!(subjects(&unstarted(&standing)), ["worker `w1` local"]);
        standing.local_workers = true;
        assert_eq!(unstarted(&standing), []);
    }

    #[test]
    fn requests_whose_workers_are_all_away_are_told_of_after_a_minute() {
        let plan = plan(true);
        let records = [record("w1", false, None), record("w2", false, Some(START))];
        assert_eq!(away(&standing(&plan, &records, after(59))), []);
        let alerts = away(&standing(&plan, &records, after(60)));
        assert_eq!(subjects(&alerts), ["builder `b` workers", "worker `w1` away", "worker `w2` away"]);
        let wanted = "requests wait, and none of its workers is connected: `w1` has never connected, `w2` is away since 2026-11-18 11:06 UTC";
        assert_eq!(alerts[0].text, wanted);
    }

    #[test]
    fn one_connected_worker_is_enough() {
        let plan = plan(true);
        let records = [record("w1", true, Some(START)), record("w2", false, Some(START))];
        assert_eq!(away(&standing(&plan, &records, after(3600))), []);
    }

    #[test]
    fn a_worker_that_was_lost_a_moment_ago_may_come_back() {
        let plan = plan(true);
        let records = [record("w1", false, None), record("w2", false, Some(after(3590)))];
        assert_eq!(away(&standing(&plan, &records, after(3600))), []);
    }

    #[test]
    fn a_refused_worker_is_told_of_until_it_connects_or_stops_trying() {
        let one = |name: &str, why: &str| RefusedWorker {
            kind: RefusalKind::Login,
            name: name.to_owned(),
            peer: Some("192.0.2.1:5".parse().unwrap()),
            why: why.to_owned(),
            at: START,
            count: 3,
        };
        let list = [one("w1", "wrong password"), one("w1", "older reason"), one("", "no authorization")];
        let offline = record("w1", false, Some(after(1)));
        let alerts = refused(&list, &[("w1", &offline)].into(), after(60));
        assert_eq!(subjects(&alerts), ["worker `w1` refused", "network `workers` refused"]);
        assert_eq!(alerts[0].text, "a worker was rejected (from 192.0.2.1): wrong password");
        let online = record("w1", true, Some(after(1)));
        assert_eq!(subjects(&refused(&list, &[("w1", &online)].into(), after(60))), ["network `workers` refused"]);
        // Another one has its name, and had it before.
        let other = record("w1", true, Some(START));
        assert_eq!(refused(&list, &[("w1", &other)].into(), after(60)).len(), 2);
        assert_eq!(refused(&list, &[("w1", &other)].into(), after(900)), []);
    }

    #[test]
    fn two_workers_of_one_name_are_an_alert_until_one_of_them_is_gone() {
        let why = "two workers share the name `w1`: the one in `/a` at 192.0.2.1 is connected, the one in `/b` at 192.0.2.2 was refused";
        let duplicate = RefusedWorker {
            kind: RefusalKind::Duplicate,
            name: "w1".to_owned(),
            peer: Some("192.0.2.2:5".parse().unwrap()),
            why: why.to_owned(),
            at: START,
            count: 1,
        };
        let list =
            [duplicate.clone(), RefusedWorker { kind: RefusalKind::Login, why: "wrong".to_owned(), ..duplicate }];
        let present = record("w1", true, Some(START));
        let alerts = refused(&list, &[("w1", &present)].into(), after(60));
        assert_eq!(subjects(&alerts), ["worker `w1` duplicate", "worker `w1` refused"]);
        assert_eq!(alerts[0].text, why);
        assert!(alerts[0].hint.as_ref().unwrap().contains("give it a name of its own"));
        // The second one was stopped, or took the place of the first.
        assert_eq!(subjects(&refused(&list, &[("w1", &present)].into(), after(180))), ["worker `w1` refused"]);
        let replaced = record("w1", true, Some(after(1)));
        assert_eq!(refused(&list, &[("w1", &replaced)].into(), after(60)), []);
    }
}
