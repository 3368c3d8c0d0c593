//! The same cases for every backend: the store on the disk, and the one in memory.

use std::sync::Arc;

use super::{History, Journal, Lease, LogStore, SourcePart};
use crate::base::Timestamp;
use crate::model::{
    BuildId, BuildRecord, BuilderId, BuildsetId, BuildsetRecord, Cause, ConfigDigest, Event, Fact, LogId, MadeBy,
    NameChanges, Outcome, Properties, RequestId, RequestRecord, RetentionPlan, WorkerId,
};
use crate::store::blocking::block_on;
use crate::store::{LogPart, Scan, Store, StoreError};

const ALL: Scan = Scan { after: None, descending: false, limit: usize::MAX };

fn on_each(case: impl Fn(&Store)) {
    let dir = tempfile::tempdir().unwrap();
    case(&Store::open(dir.path()).unwrap());
    let dir = tempfile::tempdir().unwrap();
    case(&Store::in_memory(dir.path()).unwrap());
}

fn facts(first: u64, events: Vec<Event>) -> Vec<Arc<Fact>> {
    let number = |(event, seq): (Event, u64)| {
        Arc::new(Fact { seq, at: Timestamp::from_millis(1_000), cause: Cause::Clock, event })
    };
    events.into_iter().zip(first..).map(number).collect()
}

fn requested(id: u64) -> Event {
    let request = RequestRecord {
        id: RequestId(id),
        buildset: BuildsetId(id),
        builder: BuilderId(1 + id % 2),
        priority: 0,
        submitted: Timestamp::default(),
        claimed: None,
        completed: None,
        outcome: None,
        waited_for: false,
        collapsed_into: None,
        properties: Properties::default(),
    };
    let buildset = BuildsetRecord {
        id: BuildsetId(id),
        reason: String::new(),
        made_by: MadeBy::Force,
        external_id: None,
        submitted: Timestamp::default(),
        completed: None,
        outcome: None,
        parent: (id == 4).then_some(BuildId(1)),
        rebuilt: None,
        stamps: Vec::new(),
        properties: Properties::default(),
        changes: Vec::new(),
        requests: vec![RequestId(id)],
    };
    Event::BuildsetMade { buildset, requests: vec![request] }
}

fn started(id: u64) -> Event {
    Event::BuildStarted {
        build: BuildId(id),
        number: id,
        builder: BuilderId(1 + id % 2),
        worker: WorkerId(1),
        dir: String::new(),
        lender: None,
        requests: vec![RequestId(id)],
        plan: ConfigDigest("d".to_owned()),
        properties: Properties::default(),
        changes: Vec::new(),
        reason: String::new(),
    }
}

fn ended(id: u64) -> Event {
    Event::BuildEnded { build: BuildId(id), outcome: Outcome::Success, state: String::new(), culprits: Vec::new() }
}

#[test]
fn facts_come_back_in_order_after_the_newest_snapshot() {
    on_each(|store| {
        let journal: &dyn Journal = store;
        assert_eq!(store.last_fact().unwrap(), 0);
        block_on(journal.append(facts(1, vec![requested(1), started(1)]))).unwrap();
        let refused = block_on(journal.append(facts(4, vec![ended(1)]))).unwrap_err();
        assert!(matches!(refused, StoreError::OutOfOrder { found: 4, expected: 3 }), "{refused}");
        block_on(journal.keep_snapshot(2, b"state".to_vec())).unwrap();
        block_on(journal.append(facts(3, vec![ended(1)]))).unwrap();
        let recovered = journal.recover().unwrap();
        assert_eq!(recovered.snapshot, Some((2, b"state".to_vec())));
        assert_eq!(recovered.facts.iter().map(|fact| fact.seq).collect::<Vec<_>>(), [3]);
        assert_eq!(store.last_fact().unwrap(), 3);
    });
}

#[test]
fn a_configuration_is_kept_once() {
    on_each(|store| {
        let journal: &dyn Journal = store;
        let digest = ConfigDigest("a0".to_owned());
        assert_eq!(journal.configuration(&digest).unwrap(), None);
        journal.keep_configuration(&digest, b"one").unwrap();
        journal.keep_configuration(&digest, b"two").unwrap();
        assert_eq!(journal.configuration(&digest).unwrap(), Some(b"one".to_vec()));
    });
}

#[test]
fn history_answers_by_filter_in_order_page_by_page() {
    on_each(|store| {
        let (journal, history): (&dyn Journal, &dyn History) = (store, store);
        let events = (1..=6).map(requested).chain((1..=5).map(started)).chain((1..=3).map(ended)).collect();
        block_on(journal.append(facts(1, events))).unwrap();
        let ids = |builds: Result<Vec<BuildRecord>, StoreError>| -> Vec<u64> {
            builds.unwrap().iter().map(|build| build.id.0).collect()
        };
        let newest = Scan { after: Some(5), descending: true, limit: 2 };
        assert_eq!(ids(history.builds(ALL)), [1, 2, 3, 4, 5]);
        assert_eq!(ids(history.builds(newest)), [4, 3]);
        assert_eq!(ids(history.builds_of_builder(BuilderId(2), ALL)), [1, 3, 5]);
        assert_eq!(ids(history.builds_of_builder(BuilderId(2), newest)), [3, 1]);
        assert_eq!(ids(history.builds_of_worker(WorkerId(1), newest)), [4, 3]);
        assert_eq!(ids(history.builds_of_request(RequestId(2))), [2]);
        assert_eq!(ids(history.builds_running()), [4, 5]);
        assert_eq!(ids(history.builds_triggered_by(BuildId(1))), [4]);
        assert_eq!(history.build_by_number(BuilderId(1), 4).unwrap().map(|build| build.id), Some(BuildId(4)));
        let ids = |requests: Result<Vec<RequestRecord>, StoreError>| -> Vec<u64> {
            requests.unwrap().iter().map(|request| request.id.0).collect()
        };
        assert_eq!(ids(history.requests_waiting(ALL)), [6]);
        assert_eq!(ids(history.requests_of_builder(BuilderId(1), newest)), [4, 2]);
        assert_eq!(ids(history.requests(newest)), [4, 3]);
        assert_eq!(history.buildsets(newest).unwrap().iter().map(|set| set.id.0).collect::<Vec<_>>(), [4, 3]);
        assert_eq!(history.request(RequestId(3)).unwrap().map(|request| request.buildset), Some(BuildsetId(3)));
        assert_eq!(history.build(BuildId(9)).unwrap(), None);
    });
}

#[test]
fn a_log_takes_each_part_once_and_is_read_by_line() {
    on_each(|store| {
        let logs = store.logs();
        let logs: &dyn LogStore = &logs;
        let (build, log) = (BuildId(1), LogId(2));
        let part = |n, text: &'static str| SourcePart {
            source: "command",
            n,
            part: LogPart { stream: 'o', text: text.into(), times: Vec::new() },
        };
        block_on(logs.append(build, log, part(0, "one\ntwo\n"))).unwrap();
        block_on(logs.append(build, log, part(0, "one\ntwo\n"))).unwrap();
        block_on(logs.append(build, log, part(1, "three\n"))).unwrap();
        assert_eq!(logs.next(build, log, "command").unwrap(), 2);
        let texts = |first, count| -> Vec<Vec<u8>> {
            let lines = logs.read(build, log, first, count).unwrap();
            lines.into_iter().map(|line| line.text.to_vec()).collect()
        };
        assert_eq!(texts(1, 9), [b"two".to_vec(), b"three".to_vec()]);
        assert_eq!(texts(0, 1), [b"one".to_vec()]);
        assert_eq!(block_on(logs.finish(build, log)).unwrap(), 3);
        assert_eq!(logs.lines(build, log).unwrap(), 3);
        assert_eq!(logs.left_out(build, log).unwrap(), None);
        assert_eq!(logs.lines(build, LogId(3)).unwrap(), 0, "a log that nobody wrote to");
    });
}

#[test]
fn retention_removes_builds_with_their_logs() {
    on_each(|store| {
        let (journal, history): (&dyn Journal, &dyn History) = (store, store);
        let events = [1, 3].into_iter().flat_map(|id| [requested(id), started(id), ended(id)]).collect();
        block_on(journal.append(facts(1, events))).unwrap();
        let logs = store.logs();
        let part = LogPart { stream: 'o', text: "line\n".into(), times: Vec::new() };
        block_on(LogStore::append(&logs, BuildId(1), LogId(1), SourcePart { source: "c", n: 0, part })).unwrap();
        let rules = RetentionPlan { days: None, builds: Some(1), log_days: None, ..RetentionPlan::default() };
        // It looks at builders that are configured.
        let builders = [("odd".to_owned(), BuilderId(2))].into_iter().collect();
        let adopted = Event::PlanAdopted {
            digest: ConfigDigest("d".to_owned()),
            why: "start".to_owned(),
            changes: Vec::new(),
            builders,
            workers: NameChanges::default(),
            schedulers: NameChanges::default(),
            change_sources: NameChanges::default(),
            about: [].into(),
            projects: crate::model::ProjectChanges::default(),
        };
        block_on(journal.append(facts(7, vec![adopted]))).unwrap();
        assert_eq!(journal.retire(&rules, Timestamp::from_millis(2_000)).unwrap(), 1);
        assert_eq!(history.build(BuildId(1)).unwrap(), None);
        assert!(history.build(BuildId(3)).unwrap().is_some());
        assert_eq!(logs.lines(BuildId(1), LogId(1)).unwrap(), 0);
    });
}

#[test]
fn a_lease_has_one_holder_and_ends_when_the_store_is_closed() {
    on_each(|store| {
        let lease: &dyn Lease = store;
        lease.check().unwrap();
        store.close().unwrap();
        assert!(matches!(lease.check(), Err(StoreError::Closed)));
    });
    let dir = tempfile::tempdir().unwrap();
    let first = Store::open(dir.path()).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Locked { .. })));
    let epoch = Lease::epoch(&first);
    drop(first);
    let second = Store::open(dir.path()).unwrap();
    assert!(Lease::epoch(&second) > epoch, "what the first holder still sends is known by its number");
}
