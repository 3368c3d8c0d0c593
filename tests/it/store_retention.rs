//! What retention keeps and removes: builds, requests, logs, and what somebody still needs.

use starwright::testing::base::Span;
use starwright::testing::model::*;
use starwright::testing::store::Store;

use crate::store::{descending, on_each, runtime};
use crate::support::history::{ALL, History, log_part};

#[test]
fn what_retention_does_not_keep_is_gone_from_records_and_disk() {
    on_each(|store| {
        let runtime = runtime();
        let mut history = History::new(6);
        for _ in 0..400 {
            store.commit_blocking(history.step()).unwrap();
        }
        for WaitingReport { report, .. } in store.outbox().unwrap() {
            store.commit_blocking(history.fact(Event::ReportSent { report: report.id })).unwrap();
        }
        for build in store.builds(ALL).unwrap() {
            for step in store.steps(build.id).unwrap() {
                for log in store.logs_of_step(step.id).unwrap() {
                    let part = log_part(["a line".to_owned()]);
                    runtime.block_on(store.logs().append(build.id, log.id, "master", 0, part)).unwrap();
                }
            }
        }
        // A build stays while a restart may begin with a snapshot that is older than its end: two are kept.
        for seq in 0..2 {
            store.commit_blocking(history.fact(Event::MasterStopped)).unwrap();
            runtime.block_on(store.save_snapshot(store.last_fact().unwrap(), vec![seq])).unwrap();
        }
        let before = store.builds(ALL).unwrap();
        let keep = RetentionPlan { days: None, builds: Some(2), log_days: None, ..RetentionPlan::default() };
        // Each call does a bounded part of the work; some remove requests only, and no build.
        let removed: u64 = (0..200).map(|_| store.retire(&keep, history.now()).unwrap()).sum();
        let after = store.builds(ALL).unwrap();
        assert!(removed > 10);
        assert_eq!(before.len() as u64 - removed, after.len() as u64);
        assert_eq!(store.builds_total().unwrap(), after.len() as u64);
        for builder in 1..=3 {
            let kept = store.builds_of_builder(BuilderId(builder), ALL).unwrap();
            assert!(kept.len() >= 2);
            let beyond = &kept[..kept.len() - 2];
            assert!(
                beyond.iter().all(|build| build.completed.is_none()),
                "only running builds stay beyond the newest two"
            );
            assert_eq!(store.builds_total_of(BuilderId(builder)).unwrap(), kept.len() as u64);
            let newest = before.iter().filter(|build| build.builder.0 == builder).max_by_key(|build| build.number);
            assert_eq!(kept.last(), newest, "the newest stays");
        }
        for gone in before.iter().filter(|build| !after.contains(build)) {
            assert!(gone.completed.is_some(), "running builds stay");
            assert_eq!(store.build(gone.id).unwrap(), None);
            assert_eq!(store.build_by_number(gone.builder, gone.number).unwrap(), None);
            assert!(store.steps(gone.id).unwrap().is_empty());
            assert!(store.builds_of_request(gone.request).unwrap().iter().all(|build| build.id != gone.id));
        }
        for request in store.requests(ALL).unwrap() {
            let builds = store.builds_of_request(request.id).unwrap();
            assert!(request.completed.is_none() || !builds.is_empty() || request.outcome == Some(Outcome::Skipped));
            assert!(store.buildset(request.buildset).unwrap().is_some());
        }
    });
}

#[test]
fn old_logs_go_before_their_builds() {
    on_each(|store| {
        let runtime = runtime();
        let mut history = History::new(9);
        for _ in 0..200 {
            store.commit_blocking(history.step()).unwrap();
        }
        for WaitingReport { report, .. } in store.outbox().unwrap() {
            store.commit_blocking(history.fact(Event::ReportSent { report: report.id })).unwrap();
        }
        let logs_of = |build: BuildId| -> Vec<LogRecord> {
            let steps = store.steps(build).unwrap();
            steps.iter().flat_map(|step| store.logs_of_step(step.id).unwrap()).collect()
        };
        let builds = store.builds(ALL).unwrap();
        for log in builds.iter().flat_map(|build| logs_of(build.id)) {
            let part = log_part(["a line".to_owned()]);
            runtime.block_on(store.logs().append(log.build, log.id, "master", 0, part)).unwrap();
        }
        let keep = RetentionPlan { days: None, builds: None, log_days: Some(3), ..RetentionPlan::default() };
        history.wait(Span::from_minutes(2 * 24 * 60));
        for _ in 0..20 {
            assert_eq!(store.retire(&keep, history.now()).unwrap(), 0);
        }
        assert!(builds.iter().flat_map(|build| logs_of(build.id)).all(|log| log.lines == 1));
        history.wait(Span::from_minutes(2 * 24 * 60));
        for _ in 0..20 {
            assert_eq!(store.retire(&keep, history.now()).unwrap(), 0);
        }
        assert_eq!(store.builds(ALL).unwrap(), builds);
        let mut deleted = 0;
        for build in &builds {
            // A running build stops the walk at its builder: its logs are still written.
            let blocked = builds.iter().any(|other| {
                other.builder == build.builder && other.completed.is_none() && other.number <= build.number
            });
            for log in logs_of(build.id) {
                if build.completed.is_some() && !blocked {
                    assert_eq!((log.kind, log.lines, log.complete), (LogKind::Deleted, 0, true));
                    assert!(store.logs().read(build.id, log.id, 0, 9).unwrap().is_empty());
                    deleted += 1;
                } else {
                    assert_eq!(log.lines, 1);
                }
            }
        }
        assert!(deleted > 3);
    });
}

#[test]
fn builds_go_when_they_are_old() {
    on_each(|store| {
        let mut history = History::new(7);
        for _ in 0..150 {
            store.commit_blocking(history.step()).unwrap();
        }
        for WaitingReport { report, .. } in store.outbox().unwrap() {
            store.commit_blocking(history.fact(Event::ReportSent { report: report.id })).unwrap();
        }
        let keep = RetentionPlan { days: Some(30), builds: None, log_days: None, ..RetentionPlan::default() };
        assert_eq!(store.retire(&keep, history.now()).unwrap(), 0);
        history.wait(Span::from_minutes(31 * 24 * 60));
        while store.retire(&keep, history.now()).unwrap() > 0 {}
        for build in store.builds(ALL).unwrap() {
            let newest = store.builds_of_builder(build.builder, descending(1)).unwrap();
            assert!(build.completed.is_none() || newest[0].id == build.id);
        }
    });
}

#[test]
fn a_build_that_a_report_speaks_of_stays() {
    on_each(|store| {
        let mut history = History::new(6);
        for _ in 0..400 {
            store.commit_blocking(history.step()).unwrap();
        }
        let keep = RetentionPlan { days: None, builds: Some(1), log_days: None, ..RetentionPlan::default() };
        while store.retire(&keep, history.now()).unwrap() > 0 {}
        let outbox = store.outbox().unwrap();
        assert!(outbox.len() > 5);
        for WaitingReport { report, .. } in outbox {
            assert!(store.build(report.subject.build().unwrap()).unwrap().is_some());
        }
    });
}

#[test]
fn a_build_that_runs_in_a_kept_snapshot_stays() {
    on_each(|store| {
        let runtime = runtime();
        let mut history = History::new(6);
        while store.builds_running().unwrap().len() < 3 {
            store.commit_blocking(history.step()).unwrap();
        }
        let running: Vec<BuildId> = store.builds_running().unwrap().iter().map(|build| build.id).collect();
        let save = |store: &Store| {
            let last = store.last_fact().unwrap();
            runtime.block_on(store.save_snapshot(last, vec![1])).unwrap();
        };
        save(store);
        for _ in 0..400 {
            store.commit_blocking(history.step()).unwrap();
        }
        for WaitingReport { report, .. } in store.outbox().unwrap() {
            store.commit_blocking(history.fact(Event::ReportSent { report: report.id })).unwrap();
        }
        assert!(running.iter().all(|build| store.build(*build).unwrap().unwrap().completed.is_some()));
        let now = history.now();
        let retire_all = || {
            let keep = RetentionPlan { days: None, builds: Some(1), log_days: None, ..RetentionPlan::default() };
            while store.retire(&keep, now).unwrap() > 0 {}
        };
        retire_all();
        assert!(running.iter().all(|build| store.build(*build).unwrap().is_some()));
        save(store);
        retire_all();
        assert!(running.iter().all(|build| store.build(*build).unwrap().is_some()), "the older one is kept, too");
        store.commit_blocking(history.fact(Event::MasterStopped)).unwrap();
        save(store);
        retire_all();
        assert!(running.iter().all(|build| store.build(*build).unwrap().is_none()));
    });
}
