//! The reference model of reports: what calls for one, in which order they leave, and which may be left out.

use std::collections::{BTreeMap, BTreeSet};

use super::reference::Reference;
use crate::model::{BuildId, BuilderId, BuildsetId, NotifyOn, Report, ReportId, ReportSubject, RequestId, SourceStamp};

/// Something that notifiers speak of, each once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Occasion {
    Requested(RequestId),
    /// Without a build.
    RequestEnded(RequestId),
    Started(BuildId),
    Ended(BuildId),
    SetEnded(BuildsetId),
}

/// What a report is about: names of builders, and codebase, repository and revision or branch of what they build.
type Target = (Vec<String>, Vec<(String, String, Option<String>, Option<String>)>);

/// Reports, as facts tell them.
#[derive(Clone, Debug, Default)]
pub struct Reports {
    pub all: BTreeMap<ReportId, Report>,
    pub outbox: BTreeSet<ReportId>,
    pub sent: BTreeSet<ReportId>,
    /// Those that were given up and not sent again since.
    pub given_up: BTreeSet<ReportId>,
    /// Those that have to be made in this turn.
    called_for: BTreeSet<(Occasion, String)>,
    /// Those that were made in this turn.
    made: BTreeSet<(Occasion, String)>,
    /// Those that were ever made.
    reported: BTreeSet<(Occasion, String)>,
    targets: BTreeMap<Target, String>,
}

impl Reports {
    /// After a turn: whatever calls for a report has it, and nothing else.
    pub fn check(&mut self) {
        let (called_for, made) = (std::mem::take(&mut self.called_for), std::mem::take(&mut self.made));
        assert_eq!(made, called_for, "outbox: what is reported, and what should be");
    }

    /// A report leaves for its server.
    pub fn handed_out(&self, report: &Report) {
        let earlier =
            self.outbox.iter().map(|id| &self.all[id]).find(|other| {
                other.id < report.id && other.notifier == report.notifier && other.target == report.target
            });
        assert!(earlier.is_none(), "outbox: report {} overtakes {earlier:?}", report.id);
    }

    pub fn sent(&mut self, report: ReportId) {
        assert!(self.outbox.remove(&report), "outbox: report {report} is sent, but not there");
        self.sent.insert(report);
    }

    pub fn dropped(&mut self, report: ReportId) {
        assert!(self.outbox.remove(&report), "outbox: report {report} is dropped, but not there");
        self.given_up.insert(report);
    }

    pub fn failed(&self, report: ReportId) {
        assert!(self.outbox.contains(&report), "outbox: report {report} failed, but is not there");
    }

    pub fn superseded(&mut self, report: ReportId, by: ReportId) {
        assert!(self.outbox.remove(&report), "outbox: report {report} is superseded, but not there");
        let (old, new) = (&self.all[&report], &self.all[&by]);
        let fits = old.latest_only && by > report && old.notifier == new.notifier && old.target == new.target;
        assert!(fits && self.outbox.contains(&by), "outbox: {old:?} is superseded by {new:?}");
    }
}

impl Reference {
    /// Something happened that notifiers may speak of; `on` are the words for it.
    pub fn calls_for_reports(&mut self, occasion: Occasion, on: &BTreeSet<NotifyOn>) {
        let Some(plan) = self.plan.clone() else { return };
        let (builders, _) = self.about(occasion);
        for notifier in plan.notifiers.values() {
            let is_named = |name: &String| notifier.builders.as_ref().is_none_or(|builders| builders.contains(name));
            if builders.iter().any(is_named) && notifier.on.iter().any(|word| on.contains(word)) {
                self.reports.called_for.insert((occasion, notifier.name.clone()));
            }
        }
    }

    pub fn report_queued(&mut self, report: &Report) {
        self.fresh("report", report.id.0);
        let occasion = match report.subject {
            ReportSubject::Build { build, .. } => Occasion::Ended(build),
            ReportSubject::Start { build, .. } => Occasion::Started(build),
            ReportSubject::Request { request, outcome: None, .. } => Occasion::Requested(request),
            ReportSubject::Request { request, outcome: Some(_), .. } => Occasion::RequestEnded(request),
            ReportSubject::Set { buildset, .. } => Occasion::SetEnded(buildset),
        };
        let whole = (occasion, report.notifier.clone());
        let reports = &mut self.reports;
        if let Some(before) = report.again {
            assert!(reports.given_up.remove(&before), "outbox: {before} is sent again, and was not given up");
            reports.all.insert(report.id, report.clone());
            reports.outbox.insert(report.id);
            return self.check_target(occasion, report);
        }
        assert!(reports.reported.insert(whole.clone()), "outbox: {occasion:?} is reported twice");
        // A start that was called for in an earlier turn was made there, so only this turn's can still be missing.
        if let Occasion::Ended(build) = occasion {
            let start = (Occasion::Started(build), report.notifier.clone());
            let missing = reports.called_for.contains(&start) && !reports.made.contains(&start);
            assert!(!missing, "outbox: the end of build {build} is reported before its start");
        }
        reports.made.insert(whole);
        reports.all.insert(report.id, report.clone());
        reports.outbox.insert(report.id);
        self.check_target(occasion, report);
    }

    /// Equal targets stand for equal builders and revisions, and different ones for different.
    fn check_target(&mut self, occasion: Occasion, report: &Report) {
        let (builders, stamps) = self.about(occasion);
        let source = |stamp: &SourceStamp| {
            let branch = stamp.spec.branch.clone().filter(|_| stamp.spec.revision.is_none());
            (stamp.spec.codebase.clone(), stamp.spec.repository.clone(), stamp.spec.revision.clone(), branch)
        };
        let target: Target = (builders, stamps.iter().map(source).collect());
        let known = self.reports.targets.entry(target.clone()).or_insert_with(|| report.target.clone());
        assert_eq!(*known, report.target, "outbox: the target of {occasion:?}");
        let same = self.reports.targets.values().filter(|known| **known == report.target).count();
        assert_eq!(same, 1, "outbox: {target:?} shares its target with others");
    }

    /// Names of the builders, and what they build.
    fn about(&self, occasion: Occasion) -> (Vec<String>, Vec<SourceStamp>) {
        let name = |builder: &BuilderId| self.builder_names[builder].clone();
        let stamps = |set: &BuildsetId| self.sets[set].record.stamps.clone();
        match occasion {
            Occasion::Requested(request) | Occasion::RequestEnded(request) => {
                let (builder, set) = self.reports_requests[&request];
                (vec![name(&builder)], stamps(&set))
            }
            Occasion::Started(build) | Occasion::Ended(build) => {
                let (builder, set) = &self.origins[&build];
                (vec![name(builder)], stamps(set))
            }
            Occasion::SetEnded(set) => {
                let requests = self.sets[&set].requests.iter();
                let builders = requests.map(|(request, _)| name(&self.reports_requests[request].0)).collect();
                (builders, stamps(&set))
            }
        }
    }
}
