//! What a store promises, on each of its backends.

use std::path::Path;
use std::sync::Arc;

use starwright::testing::base::{Explained as _, Span, Timestamp};
use starwright::testing::model::*;
use starwright::testing::store::{Recovered, Scan, Store, StoreError};
use tempfile::TempDir;

use crate::support::history::{ALL, History, everything, log_part, set_format};

/// Runs a case on every backend.
pub fn on_each(case: impl Fn(&Store)) {
    for open in [Store::open, Store::in_memory] {
        let dir = TempDir::new().unwrap();
        let store = open(dir.path()).unwrap();
        case(&store);
        store.close().unwrap();
    }
}

fn open(dir: &Path) -> Store {
    Store::open(dir).unwrap()
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub fn descending(limit: usize) -> Scan {
    Scan { after: None, descending: true, limit }
}

#[test]
fn every_backend_makes_the_same_records_of_the_same_facts() {
    let mut texts = Vec::new();
    // The third one merges all commits into few.
    for (open, merged) in [(Store::open as fn(&Path) -> _, 1), (Store::in_memory, 1), (Store::in_memory, 50)] {
        let dir = TempDir::new().unwrap();
        let store: Store = open(dir.path()).unwrap();
        let mut history = History::new(11);
        for _ in 0..600 / merged {
            let facts = (0..merged).flat_map(|_| history.step()).collect();
            store.commit_blocking(facts).unwrap();
        }
        texts.push(everything(&store));
    }
    assert_eq!(texts[0], texts[1]);
    assert_eq!(texts[0], texts[2]);
}

#[test]
fn records_are_the_same_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let installation = store.installation();
    let mut history = History::new(5);
    for _ in 0..200 {
        store.commit_blocking(history.step()).unwrap();
    }
    let before = everything(&store);
    store.close().unwrap();
    let store = open(dir.path());
    assert_eq!(everything(&store), before);
    assert_eq!(store.installation(), installation);
    assert_eq!(store.recover().unwrap().facts.len() as u64, store.last_fact().unwrap());
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story")]
fn a_build_is_told_from_its_start_to_its_end() {
    on_each(|store| {
        let mut history = History::new(1);
        store.commit_blocking(history.begin()).unwrap();
        let properties = Properties::default();
        let request = RequestRecord {
            id: RequestId(1),
            buildset: BuildsetId(1),
            builder: BuilderId(2),
            priority: 0,
            submitted: history.now(),
            claimed: None,
            completed: None,
            outcome: None,
            waited_for: false,
            collapsed_into: None,
            properties: properties.clone(),
        };
        let buildset = BuildsetRecord {
            id: BuildsetId(1),
            reason: "force".to_owned(),
            made_by: MadeBy::Scheduler(SchedulerId(1)),
            external_id: None,
            submitted: history.now(),
            completed: None,
            outcome: None,
            parent: None,
            rebuilt: None,
            stamps: Vec::new(),
            properties: properties.clone(),
            changes: Vec::new(),
            requests: vec![RequestId(1)],
        };
        let made = Event::BuildsetMade { buildset, requests: vec![request] };
        store.commit_blocking(history.fact(made)).unwrap();
        assert_eq!(store.requests_waiting(ALL).unwrap().len(), 1);

        let build = BuildId(1);
        let started = Event::BuildStarted {
            build,
            number: 7,
            builder: BuilderId(2),
            worker: WorkerId(1),
            dir: "b2".to_owned(),
            lender: None,
            requests: vec![RequestId(1)],
            plan: ConfigDigest("d".to_owned()),
            properties,
            changes: Vec::new(),
            reason: "force".to_owned(),
        };
        store.commit_blocking(history.fact(started)).unwrap();
        assert!(store.requests_waiting(ALL).unwrap().is_empty());
        assert!(store.request(RequestId(1)).unwrap().unwrap().claimed.is_some());
        assert_eq!(store.builds_running().unwrap().len(), 1);
        assert_eq!(store.build_by_number(BuilderId(2), 7).unwrap().unwrap().state, "starting");

        let step = StepId(1);
        let begun = Event::StepStarted {
            build,
            step,
            number: 0,
            name: "compile".to_owned(),
            parent: None,
            index: Some(0),
            key: None,
            attempt: 0,
            state: "running".to_owned(),
        };
        store.commit_blocking(history.fact(begun)).unwrap();
        assert!(store.step(step).unwrap().unwrap().locks_acquired.is_some(), "no locks to wait for");
        store
            .commit_blocking(history.fact(Event::LocksAwaited {
                build,
                step: Some(step),
                locks: Vec::new(),
                state: "waits for locks".to_owned(),
            }))
            .unwrap();
        assert_eq!(store.step(step).unwrap().unwrap().locks_acquired, None);
        store.commit_blocking(history.fact(Event::LocksTaken { build, step: Some(step), locks: Vec::new() })).unwrap();
        assert!(store.step(step).unwrap().unwrap().locks_acquired.is_some());

        let asked =
            |ask: Ask, logs| Event::Asked { build, step, key: Key(vec![1]), ask, command: None, logs, due: None };
        let log = LogOpened { log: LogId(9), name: "err.html".into(), slug: "err_html".into(), kind: LogKind::Html };
        let property = Ask::SetProperty { name: "got_revision".into(), value: "abc".into(), source: "git".into() };
        let url = Ask::AddUrl { step: None, name: "docs".to_owned(), url: "http://docs".to_owned() };
        for event in [asked(property, Vec::new()), asked(url, Vec::new()), asked(Ask::Now, vec![log])] {
            store.commit_blocking(history.fact(event)).unwrap();
        }
        let revision = || store.build(build).unwrap().unwrap().properties.get("got_revision").cloned();
        assert_eq!(revision(), Some(Value::from("abc")));
        assert_eq!(store.step(step).unwrap().unwrap().urls[0].url, "http://docs");
        runtime().block_on(store.logs().append(build, LogId(9), "master", 0, log_part(["one".to_owned()]))).unwrap();
        let told = store.log(LogId(9)).unwrap().unwrap();
        assert_eq!((told.lines, told.complete, told.slug.as_str()), (1, false, "err_html"));

        store.commit_blocking(history.fact(Event::LogClosed { build, step, log: LogId(9) })).unwrap();
        assert!(store.logs_of_step(step).unwrap()[0].complete);
        let ended =
            Event::StepEnded { build, step, outcome: Outcome::Warnings, state: "compiled".to_owned(), hidden: true };
        store.commit_blocking(history.fact(ended)).unwrap();
        let waited = Event::LocksWaited { build, waited: Span::from_seconds(3) };
        store.commit_blocking(history.fact(waited)).unwrap();
        let ended =
            Event::BuildEnded { build, outcome: Outcome::Warnings, state: "warnings".to_owned(), culprits: Vec::new() };
        store.commit_blocking(history.fact(ended)).unwrap();
        let told = &store.steps(build).unwrap()[0];
        assert_eq!((told.outcome, told.hidden, told.state.as_str()), (Some(Outcome::Warnings), true, "compiled"));
        assert_eq!(revision(), Some(Value::from("abc")), "it is in the record of the build now");
        let told = store.build(build).unwrap().unwrap();
        assert_eq!((told.outcome, told.locks_wait_ms), (Some(Outcome::Warnings), 3_000));
        assert!(told.completed.is_some() && store.builds_running().unwrap().is_empty());
        assert_eq!(store.builds_total().unwrap(), 1);
    });
}

#[test]
fn facts_about_what_is_not_there_change_nothing() {
    on_each(|store| {
        let mut history = History::new(1);
        store.commit_blocking(history.begin()).unwrap();
        let (build, step, log) = (BuildId(77), StepId(78), LogId(79));
        let ask = Ask::AddUrl { step: None, name: "n".to_owned(), url: "u".to_owned() };
        let opened = LogOpened { log, name: "stdio".into(), slug: "stdio".into(), kind: LogKind::Stdio };
        let orphans = [
            Event::BuildState { build, state: "x".to_owned() },
            Event::StepStarted {
                build,
                step,
                number: 0,
                name: "s".to_owned(),
                parent: None,
                index: None,
                key: None,
                attempt: 0,
                state: String::new(),
            },
            Event::LocksTaken { build, step: Some(step), locks: Vec::new() },
            Event::Asked { build, step, key: Key(vec![0]), ask, command: None, logs: vec![opened], due: None },
            Event::LogClosed { build, step, log },
            Event::StepEnded { build, step, outcome: Outcome::Success, state: String::new(), hidden: false },
            Event::BuildEnded { build, outcome: Outcome::Success, state: String::new(), culprits: Vec::new() },
            Event::RequestEnded { request: RequestId(70), outcome: Outcome::Success },
            Event::RequestWaits { request: RequestId(70), why: String::new() },
            Event::BuildsetEnded { buildset: BuildsetId(71), outcome: Outcome::Success },
            Event::WorkerLost { worker: WorkerId(99), epoch: 1, why: String::new(), give_up: None },
            Event::SourcePolled { source: ChangeSourceId(99), cursor: Cursor::new() },
            Event::SchedulerEnabled { scheduler: SchedulerId(99), enabled: false },
            Event::ReportSent { report: ReportId(9) },
            Event::ReportFailed { report: ReportId(9), error: String::new(), tries: 1, retry: Timestamp::default() },
        ];
        for event in orphans {
            store.commit_blocking(history.fact(event)).unwrap();
        }
        assert_eq!(store.builds(ALL).unwrap(), []);
        assert_eq!(store.builds_running().unwrap(), []);
        assert_eq!(store.step(step).unwrap(), None);
        assert_eq!(store.log(log).unwrap(), None);
        assert!(store.logs_of_step(step).unwrap().is_empty());
        assert!(store.outbox().unwrap().is_empty() && store.requests(ALL).unwrap().is_empty());
    });
}

#[test]
fn the_end_of_an_earlier_connection_does_not_disconnect_a_worker() {
    on_each(|store| {
        let mut history = History::new(1);
        store.commit_blocking(history.begin()).unwrap();
        let connected = |epoch| Event::WorkerConnected {
            worker: WorkerId(1),
            epoch,
            instance: String::new(),
            resumes: false,
            info: [("host".to_owned(), "h".to_owned())].into(),
        };
        let lost = |epoch| Event::WorkerLost { worker: WorkerId(1), epoch, why: "silent".to_owned(), give_up: None };
        let is_connected = || store.workers().unwrap()[0].connected;
        store.commit_blocking(history.fact(connected(9))).unwrap();
        store.commit_blocking(history.fact(lost(1))).unwrap();
        assert!(is_connected());
        store.commit_blocking(history.fact(lost(9))).unwrap();
        assert!(!is_connected());
        store.commit_blocking(history.fact(connected(10))).unwrap();
        let started = Event::MasterStarted { name: "again".to_owned(), installation: String::new() };
        store.commit_blocking(history.fact(started)).unwrap();
        assert!(!is_connected(), "a new master has no connections");
        assert_eq!(store.workers().unwrap()[0].info["host"], "h");
    });
}

#[test]
fn names_that_leave_the_configuration_stay_in_the_history() {
    on_each(|store| {
        let mut history = History::new(1);
        store.commit_blocking(history.begin()).unwrap();
        let adopted = Event::PlanAdopted {
            digest: ConfigDigest("next".to_owned()),
            why: "reload".to_owned(),
            changes: Vec::new(),
            builders: NameChanges { added: [].into(), removed: vec![BuilderId(2), BuilderId(3)] },
            workers: NameChanges {
                added: [("w3".to_owned(), WorkerId(3))].into(),
                removed: vec![WorkerId(1), WorkerId(2)],
            },
            schedulers: NameChanges { added: [].into(), removed: vec![SchedulerId(1)] },
            change_sources: NameChanges { added: [].into(), removed: vec![ChangeSourceId(1)] },
            about: [].into(),
            projects: starwright::testing::model::ProjectChanges::default(),
        };
        let refused = Event::PlanRefused { why: "reload".to_owned(), message: "typo".to_owned() };
        store.commit_blocking(history.fact(refused)).unwrap();
        assert_eq!(store.plan_refused().unwrap().unwrap().1, "typo");
        store.commit_blocking(history.fact(adopted)).unwrap();
        assert_eq!(store.plan_refused().unwrap(), None);
        let builders = store.builders().unwrap();
        assert_eq!(builders.iter().map(|builder| builder.active).collect::<Vec<_>>(), [true, false, false]);
        assert_eq!(builders[1].tags, ["linux"]);
        assert_eq!(store.builder_named("b2").unwrap().unwrap().id, BuilderId(2));
        assert_eq!(store.builder_named("b9").unwrap(), None);
        let workers = store.workers().unwrap();
        let told: Vec<_> = workers.iter().map(|worker| (worker.name.as_str(), worker.active)).collect();
        assert_eq!(told, [("w1", false), ("w2", false), ("w3", true)]);
        assert!(!store.schedulers().unwrap()[0].active && !store.change_sources().unwrap()[0].active);
        let adopted = store.plans_adopted(1).unwrap();
        assert!(matches!(&adopted[0].event, Event::PlanAdopted { digest, .. } if digest.0 == "next"));
    });
}

#[test]
fn lists_are_read_from_any_place_in_both_directions() {
    on_each(|store| {
        let mut history = History::new(3);
        for _ in 0..300 {
            store.commit_blocking(history.step()).unwrap();
        }
        let ids = |scan| -> Vec<u64> { store.builds(scan).unwrap().iter().map(|build| build.id.0).collect() };
        let all = ids(ALL);
        assert!(all.len() > 5 && all.is_sorted());
        let newest = ids(descending(2));
        assert_eq!(newest, [all[all.len() - 1], all[all.len() - 2]]);
        assert_eq!(ids(Scan { after: Some(newest[1]), descending: true, limit: 1 }), [all[all.len() - 3]]);
        assert_eq!(ids(Scan { after: Some(all[0]), descending: false, limit: 2 }), all[1..3]);
        assert!(ids(Scan { after: Some(0), descending: true, limit: 9 }).is_empty());
        assert!(ids(Scan { after: Some(u64::MAX), descending: false, limit: 9 }).is_empty());
        assert_eq!(ids(Scan { after: Some(u64::MAX), descending: true, limit: usize::MAX }).len(), all.len());

        let numbers = |scan| -> Vec<u64> {
            store.builds_of_builder(BuilderId(1), scan).unwrap().iter().map(|build| build.number).collect()
        };
        let last = numbers(ALL).len() as u64;
        assert_eq!(numbers(descending(2)), [last, last - 1]);
        assert_eq!(numbers(Scan { after: Some(last), descending: true, limit: 1 }), [last - 1]);
        let changes = store.changes(descending(3)).unwrap();
        assert!(changes.is_sorted_by_key(|change| std::cmp::Reverse(change.id)));
        for change in changes {
            let newest = store.change_of_stamp(change.stamp.id).unwrap().unwrap();
            assert!(newest.id >= change.id && newest.stamp.id == change.stamp.id);
        }
    });
}

#[test]
fn commits_of_many_callers_share_flushes_and_stay_in_order() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let mut history = History::new(8);
    let commits: Vec<_> = (0..100).map(|_| history.step()).collect();
    let last = commits.last().unwrap().last().unwrap().seq;
    runtime().block_on(async {
        // Joined futures are polled in order, so they enter the queue in order.
        let results = futures_util::future::join_all(commits.into_iter().map(|facts| store.commit(facts))).await;
        assert!(results.into_iter().all(|result| result.is_ok()));
    });
    assert_eq!(store.last_fact().unwrap(), last);
}

#[test]
fn a_fact_out_of_order_is_refused_and_changes_nothing() {
    on_each(|store| {
        let mut history = History::new(2);
        store.commit_blocking(history.begin()).unwrap();
        let last = store.last_fact().unwrap();
        let fact =
            |seq| Arc::new(Fact { seq, at: Timestamp::default(), cause: Cause::Clock, event: Event::MasterStopped });
        for facts in [vec![fact(last)], vec![fact(last + 2)], vec![fact(last + 1), fact(last + 1)]] {
            let error = store.commit_blocking(facts).unwrap_err();
            assert!(matches!(error, StoreError::OutOfOrder { .. }), "{error}");
        }
        assert_eq!(store.last_fact().unwrap(), last);
        store.commit_blocking(Vec::new()).unwrap();
        store.commit_blocking(vec![fact(last + 1)]).unwrap();
    });
}

#[test]
fn a_restart_begins_with_the_newest_snapshot_and_the_facts_after_it() {
    on_each(|store| {
        let runtime = runtime();
        let mut history = History::new(4);
        let mut commit = |count: usize| {
            (0..count).for_each(|_| store.commit_blocking(history.step()).unwrap());
            store.last_fact().unwrap()
        };
        assert_eq!(store.recover().unwrap(), Recovered::default());
        let first = commit(20);
        let recovered = store.recover().unwrap();
        assert_eq!((recovered.snapshot, recovered.facts.len() as u64), (None, first));
        runtime.block_on(store.save_snapshot(first, b"one".to_vec())).unwrap();
        let second = commit(20);
        runtime.block_on(store.save_snapshot(second, b"two".to_vec())).unwrap();
        let third = commit(20);
        let recovered = store.recover().unwrap();
        assert_eq!(recovered.snapshot, Some((second, b"two".to_vec())));
        let numbers: Vec<u64> = recovered.facts.iter().map(|fact| fact.seq).collect();
        assert_eq!(numbers, (second + 1..=third).collect::<Vec<_>>());
        runtime.block_on(store.save_snapshot(third, b"three".to_vec())).unwrap();
        let recovered = store.recover().unwrap();
        assert_eq!(recovered, Recovered { snapshot: Some((third, b"three".to_vec())), facts: Vec::new() });
    });
}

#[test]
fn configurations_are_kept_by_digest() {
    on_each(|store| {
        let digest = ConfigDigest("ab12".to_owned());
        assert_eq!(store.config(&digest).unwrap(), None);
        store.put_config(&digest, b"sources").unwrap();
        assert_eq!(store.config(&digest).unwrap(), Some(b"sources".to_vec()));
    });
}

#[test]
fn a_second_process_is_told_that_the_directory_is_taken() {
    let dir = TempDir::new().unwrap();
    let first = open(dir.path());
    let error = Store::open(dir.path()).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, StoreError::Locked { .. }));
    assert!(text.contains(&dir.path().display().to_string()) && text.contains("another process"), "{text}");
    first.close().unwrap();
    open(dir.path()).close().unwrap();
}

#[test]
fn a_directory_of_a_newer_version_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    open(dir.path()).close().unwrap();
    let format = dir.path().join("format");
    let newer = set_format(dir.path(), 3);
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::NewerFormat { found: 3, known: 2, .. }));
    assert!(error.hint().unwrap().contains("use the newer version"), "{error}");
    assert_eq!(std::fs::read_to_string(&format).unwrap(), newer);
}

#[test]
fn a_closed_store_says_so_and_releases_its_directory() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let clone = store.clone();
    store.close().unwrap();
    store.close().unwrap();
    assert!(matches!(clone.builds(ALL), Err(StoreError::Closed)));
    assert!(matches!(clone.commit_blocking(Vec::new()), Err(StoreError::Closed)));
    open(dir.path());
}

#[test]
fn a_store_that_is_dropped_is_closed_in_order() {
    let dir = TempDir::new().unwrap();
    let mut history = History::new(1);
    let store = open(dir.path());
    store.commit_blocking(history.begin()).unwrap();
    let logs = store.logs();
    drop(store);
    assert!(matches!(logs.lines(BuildId(1), LogId(1)), Err(StoreError::Closed)));
    assert_eq!(open(dir.path()).last_fact().unwrap(), 4);
}

#[test]
fn many_builds_keep_few_files_open() {
    let dir = TempDir::new().unwrap();
    let store = open(dir.path());
    let mut history = History::new(12);
    store.commit_blocking(history.begin()).unwrap();
    let facts: Vec<_> = (1..=1_500)
        .flat_map(|build| history.fact(Event::BuildState { build: BuildId(build), state: "x".to_owned() }))
        .collect();
    store.commit_blocking(facts).unwrap();
    runtime().block_on(async {
        for build in 1..=600 {
            store.logs().append(BuildId(build), LogId(build), "c", 0, log_part(["x".to_owned()])).await.unwrap();
            store.logs().close(BuildId(build), LogId(build)).await.unwrap();
        }
    });
    let open_files = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| {
        entries
            .filter(|entry| {
                let target = entry.as_ref().ok().and_then(|entry| std::fs::read_link(entry.path()).ok());
                target.is_some_and(|target| target.starts_with(dir.path()))
            })
            .count()
    });
    assert!(open_files < 400, "{open_files} files are open");
}
