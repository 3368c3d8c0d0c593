//! Reports that are not delivered yet.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::base::Timestamp;
use crate::model::{Report, ReportId};

/// A report in the outbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::engine) struct Queued {
    pub report: Report,
    /// Deliveries that failed.
    pub tries: u64,
    /// Not before then.
    pub due: Timestamp,
}

/// Which reports wait, by notifier and target.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::engine) struct ReportIndex {
    by_notifier: BTreeMap<String, OfNotifier>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct OfNotifier {
    all: BTreeSet<ReportId>,
    by_target: BTreeMap<String, BTreeSet<ReportId>>,
}

impl ReportIndex {
    /// Notes a report that was put into the outbox.
    pub fn add(&mut self, report: &Report) {
        let of_notifier = self.by_notifier.entry(report.notifier.clone()).or_default();
        of_notifier.all.insert(report.id);
        if !report.target.is_empty() {
            of_notifier.by_target.entry(report.target.clone()).or_default().insert(report.id);
        }
    }

    /// Forgets a report that has left it.
    pub fn remove(&mut self, report: &Report) {
        let Some(of_notifier) = self.by_notifier.get_mut(&report.notifier) else { return };
        of_notifier.all.remove(&report.id);
        super::remove_from(&mut of_notifier.by_target, &report.target, &report.id);
        if of_notifier.all.is_empty() {
            self.by_notifier.remove(&report.notifier);
        }
    }

    /// Reports of a notifier about a target, oldest first.
    pub fn of(&self, notifier: &str, target: &str) -> impl DoubleEndedIterator<Item = ReportId> + '_ {
        let found = self.by_notifier.get(notifier).and_then(|of_notifier| of_notifier.by_target.get(target));
        found.into_iter().flatten().copied()
    }

    /// The oldest report of a notifier that has more than so many.
    pub fn oldest_beyond(&self, notifier: &str, reports: usize) -> Option<ReportId> {
        let all = &self.by_notifier.get(notifier)?.all;
        all.first().copied().filter(|_| all.len() > reports)
    }
}
