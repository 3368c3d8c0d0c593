//! The alerts of a running master: what needs a person now.
//!
//! Any part raises an alert when something goes wrong and clears it when that is over. The first occurrence and each
//! text that was not told yet are logged once, and so is the end: a source that fails every two seconds is one line.
//! Nothing here is durable. What has to be known again after a restart follows from records and is raised anew.
//!
//! Knows neither the engine nor the pages.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::base::{Clock, Timestamp};
use crate::model::{Alert, AlertSubject};

/// Alerts at the same time; further ones are counted and told as one. Nobody reads a thousand.
const ALERTS_MAX: usize = 1000;
/// Texts of one alert that are logged; with more faces than this the trouble is known, and only the newest text is
/// shown.
const TOLD_MAX: usize = 100;
/// Longer texts and hints are cut: they may quote what a stranger sent.
const TEXT_CHARS_MAX: usize = 8 * 1024;
/// The kind of the alert about alerts that found no place.
const CROWDED: &str = "alerts";

/// Raises, clears and lists alerts; cheap to clone.
#[derive(Clone)]
pub struct Alerts {
    clock: Arc<dyn Clock>,
    table: Arc<Mutex<AlertTable>>,
}

/// Who tells the log of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoggedBy {
    /// Its beginning and its texts are logged here.
    Alerts,
    /// Whoever noticed has logged it.
    Caller,
}

#[derive(Debug, Default)]
struct AlertTable {
    entries: BTreeMap<Key, Entry>,
    /// Alerts that found no place since there was room.
    left_out: BTreeSet<Key>,
}

type Key = (AlertSubject, String);

#[derive(Debug)]
struct Entry {
    text: String,
    hint: Option<String>,
    first: Timestamp,
    last: Timestamp,
    /// Texts that the log has.
    told: BTreeSet<String>,
    /// Who replaces it as a whole, if it is a derived one.
    group: Option<&'static str>,
}

impl Alerts {
    /// No alerts yet; `clock` dates them.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, table: Arc::default() }
    }

    /// Something is wrong, or still is. `kind` is a word of the caller's choice: a subject has one alert of each kind.
    /// `text` is a sentence without a full stop, `hint` says what would help.
    pub fn raise(&self, subject: AlertSubject, kind: &str, text: impl Into<String>, hint: Option<String>) {
        let now = self.clock.now();
        let alert = Alert { subject, kind: kind.to_owned(), text: text.into(), hint, first: now, last: now };
        lock(&self.table).put(alert, None, LoggedBy::Alerts);
    }

    /// It is over. Nothing happens if it was not raised.
    pub fn clear(&self, subject: &AlertSubject, kind: &str) {
        lock(&self.table).remove(&(subject.clone(), kind.to_owned()));
    }

    /// All alerts, by subject and kind.
    pub fn list(&self) -> Vec<Alert> {
        let table = lock(&self.table);
        let alerts = table.entries.iter().map(|((subject, kind), entry)| entry.alert(subject, kind));
        alerts.chain(table.crowded(self.clock.now())).collect()
    }

    /// Alerts about one subject.
    pub fn of(&self, subject: &AlertSubject) -> Vec<Alert> {
        let table = lock(&self.table);
        let from = (subject.clone(), String::new());
        let own = table.entries.range(from..).take_while(|((other, _), _)| other == subject);
        own.map(|((subject, kind), entry)| entry.alert(subject, kind)).collect()
    }

    /// The alerts of a group are these now: new ones begin, missing ones are over. `told` says who tells the log.
    pub(super) fn replace(&self, group: &'static str, alerts: Vec<Alert>, told: LoggedBy) {
        let mut table = lock(&self.table);
        let present: BTreeSet<Key> = alerts.iter().map(|alert| (alert.subject.clone(), alert.kind.clone())).collect();
        let over: Vec<Key> = (table.entries.iter())
            .filter(|(key, entry)| entry.group == Some(group) && !present.contains(key))
            .map(|(key, _)| key.clone())
            .collect();
        over.iter().for_each(|key| table.remove(key));
        alerts.into_iter().for_each(|alert| table.put(alert, Some(group), told));
    }
}

impl fmt::Debug for Alerts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alerts").field("table", &self.table).finish_non_exhaustive()
    }
}

impl AlertTable {
    fn put(&mut self, alert: Alert, group: Option<&'static str>, told: LoggedBy) {
        let Alert { subject, kind, text, hint, first, last } = alert;
        let (text, hint) = (shortened(text), hint.map(shortened));
        let key = (subject, kind);
        if !self.entries.contains_key(&key) && self.entries.len() >= ALERTS_MAX {
            return self.leave_out(key, &text);
        }
        let entry = self.entries.entry(key.clone()).or_insert_with(|| Entry::new(first));
        entry.first = entry.first.min(first);
        entry.last = entry.last.max(last);
        entry.group = group;
        if entry.is_news(&text) && told == LoggedBy::Alerts {
            tracing::warn!(alert = %key.0, kind = %key.1, "{}", in_log(&text, hint.as_deref()));
        }
        entry.text = text;
        entry.hint = hint;
    }

    /// Behaviour when full: it is logged once and counted.
    fn leave_out(&mut self, key: Key, text: &str) {
        if self.left_out.len() < ALERTS_MAX && self.left_out.insert(key.clone()) {
            tracing::warn!(alert = %key.0, kind = %key.1, "{text}");
        }
    }

    fn remove(&mut self, key: &Key) {
        self.left_out.remove(key);
        if let Some(entry) = self.entries.remove(key) {
            let first_line = entry.text.lines().next().unwrap_or_default();
            tracing::info!(alert = %key.0, kind = %key.1, "resolved: {first_line}");
            // Those that still last are raised again and find a place.
            self.left_out.clear();
        }
    }

    fn crowded(&self, now: Timestamp) -> Option<Alert> {
        let count = self.left_out.len();
        (count > 0).then(|| Alert {
            subject: AlertSubject::Master,
            kind: CROWDED.to_owned(),
            text: format!("only {ALERTS_MAX} alerts are shown; at least {count} more are in the log"),
            hint: None,
            first: now,
            last: now,
        })
    }
}

impl Entry {
    const fn new(first: Timestamp) -> Self {
        Self { text: String::new(), hint: None, first, last: first, told: BTreeSet::new(), group: None }
    }

    fn alert(&self, subject: &AlertSubject, kind: &str) -> Alert {
        Alert {
            subject: subject.clone(),
            kind: kind.to_owned(),
            text: self.text.clone(),
            hint: self.hint.clone(),
            first: self.first,
            last: self.last,
        }
    }

    /// Whether the log has not seen this text in this alert.
    fn is_news(&mut self, text: &str) -> bool {
        self.told.len() < TOLD_MAX && self.told.insert(text.to_owned())
    }
}

fn in_log(text: &str, hint: Option<&str>) -> String {
    hint.map_or_else(|| text.to_owned(), |hint| format!("{text}\nhint: {hint}"))
}

fn shortened(text: String) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    #[derive(Debug, Default)]
    struct ManualClock(AtomicI64);

    impl Clock for ManualClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    fn alerts() -> (Arc<ManualClock>, Alerts) {
        let clock = Arc::new(ManualClock::default());
        (Arc::clone(&clock), Alerts::new(clock))
    }

    fn source(name: &str) -> AlertSubject {
        AlertSubject::Source(name.to_owned())
    }

    fn at(subject: AlertSubject, text: &str) -> Alert {
        let moment = Timestamp::from_millis(0);
        Alert { subject, kind: "poll".to_owned(), text: text.to_owned(), hint: None, first: moment, last: moment }
    }

    #[test]
    fn an_alert_keeps_its_beginning_and_ends_when_it_is_cleared() {
        let (clock, alerts) = alerts();
        alerts.raise(source("p"), "poll", "no route to host", None);
        clock.0.store(5000, Ordering::Relaxed);
        alerts.raise(source("p"), "poll", "connection refused", Some("start the server".to_owned()));
        let [alert] = &*alerts.list() else { panic!("one alert") };
        assert_eq!((alert.first.as_millis(), alert.last.as_millis()), (0, 5000));
        assert_eq!(alert.text, "connection refused");
        alerts.clear(&source("p"), "poll");
        assert_eq!(alerts.list(), []);
    }

    #[test]
    fn one_subject_has_an_alert_of_each_kind() {
        let (_, alerts) = alerts();
        alerts.raise(source("p"), "poll", "no route to host", None);
        alerts.raise(source("p"), "hook", "wrong password", None);
        alerts.raise(source("q"), "poll", "no route to host", None);
        assert_eq!(alerts.of(&source("p")).len(), 2);
        alerts.clear(&source("p"), "poll");
        assert_eq!(alerts.of(&source("p")).len(), 1);
    }

    #[test]
    fn each_text_is_news_once() {
        let mut entry = Entry::new(Timestamp::from_millis(0));
        let news: Vec<bool> = ["a", "a", "b", "a", "b"].into_iter().map(|text| entry.is_news(text)).collect();
        assert_eq!(news, [true, false, true, false, false]);
    }

    #[test]
    fn replacing_a_group_leaves_the_others_alone() {
        let (_, alerts) = alerts();
        alerts.raise(source("own"), "poll", "raised", None);
        alerts.replace("records", vec![at(source("p"), "one"), at(source("q"), "two")], LoggedBy::Alerts);
        alerts.replace("records", vec![at(source("q"), "two")], LoggedBy::Alerts);
        let shown: Vec<String> = alerts.list().into_iter().map(|alert| alert.subject.to_string()).collect();
        assert_eq!(shown, ["source `own`", "source `q`"]);
    }

    #[test]
    fn alerts_beyond_the_bound_are_told_as_one() {
        let (_, alerts) = alerts();
        for number in 0..ALERTS_MAX + 3 {
            alerts.raise(source(&number.to_string()), "poll", "fails", None);
        }
        let list = alerts.list();
        assert_eq!(list.len(), ALERTS_MAX + 1);
        assert!(list.iter().any(|alert| alert.text.contains("at least 3 more are in the log")));
        alerts.clear(&source("7"), "poll");
        alerts.raise(source("1001"), "poll", "fails", None);
        assert_eq!(alerts.of(&source("1001")).len(), 1);
    }

    #[test]
    fn a_long_text_is_cut() {
        let (_, alerts) = alerts();
        alerts.raise(source("p"), "poll", "ü".repeat(100_000), None);
        assert_eq!(alerts.list()[0].text.chars().count(), TEXT_CHARS_MAX + 1);
    }
}
