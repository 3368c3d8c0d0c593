//! Uploads and contents on a real disk.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::*;
use crate::base::{Sha256, Timestamp};
use crate::model::{
    Answer, ArtifactRules, BuildId, BuilderId, Cause, CommandEnd, CommandResult, ConfigDigest, Event, Fact, Key, Moved,
    NameChanges, Outcome, ProjectChanges, RetentionPlan,
};
use crate::store::blocking::block_on;
use crate::store::{Store, maintain};

fn open(dir: &std::path::Path) -> (Store, Artifacts) {
    let store = Store::open(dir).unwrap();
    let artifacts = store.artifact_contents().unwrap();
    (store, artifacts)
}

fn file(name: &str, bytes: &[u8]) -> UploadForm {
    let content = UploadContent::File { name: name.to_owned(), mode: Some(0o644), modified: None };
    UploadForm { digest: Some(ContentDigest(Sha256::of(bytes))), content }
}

#[test]
fn blocks_that_come_twice_count_once_and_a_gap_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, artifacts) = open(dir.path());
    assert_eq!(artifacts.append("u", 0, b"abc").unwrap(), 3);
    assert_eq!(artifacts.append("u", 0, b"abc").unwrap(), 3);
    assert_eq!(artifacts.append("u", 1, b"bcde").unwrap(), 5);
    assert!(artifacts.append("u", 7, b"x").is_err());
    assert_eq!(artifacts.received("u").unwrap(), 5);
    let kept = artifacts.finish("u", &file("a", b"abcde")).unwrap();
    assert_eq!(kept[0].size, 5);
    assert_eq!(artifacts.read(&kept[0].digest, 2, 2).unwrap(), b"cd");
    assert_eq!(artifacts.size(&kept[0].digest).unwrap(), Some(5));
    assert_eq!(artifacts.received("u").unwrap(), 0, "the upload is over");
}

#[test]
fn an_upload_goes_on_after_a_crash_and_one_that_differs_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let (store, artifacts) = open(dir.path());
    artifacts.append("u", 0, b"abc").unwrap();
    drop(artifacts);
    store.close().unwrap();
    let (_store, artifacts) = open(dir.path());
    assert_eq!(artifacts.received("u").unwrap(), 3);
    artifacts.append("u", 3, b"d").unwrap();
    let refused = artifacts.finish("u", &file("a", b"something else")).unwrap_err();
    assert!(matches!(refused, UploadError::Differs { .. }), "{refused}");
    assert_eq!(artifacts.received("u").unwrap(), 0);
}

#[test]
fn names_of_uploads_and_digests_lead_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, artifacts) = open(dir.path());
    artifacts.append("../../evil", 0, b"x").unwrap();
    assert!(!dir.path().join("evil").exists() && !dir.path().parent().unwrap().join("evil").exists());
    assert_eq!(artifacts.size(&ContentDigest("../../format".to_owned())).unwrap(), None);
    assert!(artifacts.read(&ContentDigest("../format".to_owned()), 0, 1).is_err());
}

fn kept(dir: &std::path::Path, artifacts: &Artifacts, bytes: &[u8]) -> (ContentDigest, std::path::PathBuf) {
    artifacts.append("u", 0, bytes).unwrap();
    let digest = artifacts.finish("u", &file("a", bytes)).unwrap().remove(0).digest;
    let path = dir.join("artifacts").join(&digest.0[..2]).join(&digest.0);
    (digest, path)
}

fn sweep_all(artifacts: &Artifacts) -> u64 {
    let file = tempfile::NamedTempFile::new().unwrap();
    let now = file.as_file().metadata().unwrap().modified().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap());
    (0..16).map(|_| artifacts.sweep(now).unwrap()).sum()
}

fn make_old(path: &std::path::Path) {
    let old = SystemTime::UNIX_EPOCH + Duration::from_hours(100);
    fs::File::options().append(true).open(path).unwrap().set_modified(old).unwrap();
}

#[test]
fn contents_that_no_record_names_go_once_they_are_old() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, artifacts) = open(dir.path());
    let (_, path) = kept(dir.path(), &artifacts, b"nobody names it");
    assert_eq!(sweep_all(&artifacts), 0, "its fact may be on its way");
    make_old(&path);
    let (_, again) = kept(dir.path(), &artifacts, b"nobody names it");
    assert_eq!(again, path);
    assert_eq!(sweep_all(&artifacts), 0, "it was kept again a moment ago");
    make_old(&path);
    artifacts.append("cut off", 0, b"x").unwrap();
    for entry in fs::read_dir(dir.path().join("artifacts/incoming")).unwrap() {
        make_old(&entry.unwrap().path());
    }
    assert_eq!(sweep_all(&artifacts), 2);
    assert!(!path.exists());
    assert_eq!(artifacts.received("cut off").unwrap(), 0);
}

#[test]
fn a_content_lasts_as_long_as_a_record_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let (store, artifacts) = open(dir.path());
    let (digest, path) = kept(dir.path(), &artifacts, b"named");
    make_old(&path);
    let build = BuildId(1);
    commit(&store, vec![started(build), answered(build, artifact("a", &digest))]);
    assert_eq!(store.artifacts(build).unwrap().len(), 1);
    assert_eq!(
        (store.artifact_bytes(None).unwrap(), store.artifact_bytes(Some(crate::model::BuilderId(1))).unwrap()),
        (5, 5)
    );
    assert_eq!(sweep_all(&artifacts), 0);
    assert!(path.exists());
}

fn artifact(name: &str, digest: &ContentDigest) -> Artifact {
    Artifact { name: name.to_owned(), size: 5, digest: digest.clone(), mode: None, modified: None }
}

fn answered(build: BuildId, artifact: Artifact) -> Event {
    let moved = Some(Box::new(Moved::Kept(vec![artifact])));
    let result = CommandResult { moved, ..CommandResult::of(CommandEnd::Exited(0), &[].into()) };
    Event::Answered { build, key: Key(vec![0]), answer: Answer::Command(result) }
}

fn ended(build: BuildId, outcome: Outcome) -> Event {
    Event::BuildEnded { build, outcome, state: String::new(), culprits: Vec::new() }
}

/// Commits events at the first moment of all.
fn commit(store: &Store, events: Vec<Event>) {
    let first = store.last_fact().unwrap() + 1;
    let at = Timestamp::from_millis(1);
    let facts = events.into_iter().zip(first..);
    let facts = facts.map(|(event, seq)| Arc::new(Fact { seq, at, cause: Cause::Clock, event })).collect();
    store.commit_blocking(facts).unwrap();
}

fn names(store: &Store, build: u64) -> Vec<String> {
    store.artifacts(BuildId(build)).unwrap().into_iter().map(|record| record.artifact.name).collect()
}

/// A builder with four builds, each with an artifact; the second one failed.
fn four_builds(store: &Store) {
    let builders = NameChanges { added: [("linux".to_owned(), BuilderId(1))].into(), removed: Vec::new() };
    let adopted = Event::PlanAdopted {
        digest: ConfigDigest::default(),
        why: String::new(),
        changes: Vec::new(),
        builders,
        workers: NameChanges::default(),
        schedulers: NameChanges::default(),
        change_sources: NameChanges::default(),
        about: [].into(),
        projects: ProjectChanges::default(),
    };
    let digest = ContentDigest(Sha256::of(b"named"));
    let mut events = vec![adopted];
    for build in (1..=4).map(BuildId) {
        let outcome = if build.0 == 2 { Outcome::Failure } else { Outcome::Success };
        events.extend([started(build), answered(build, artifact("a", &digest)), ended(build, outcome)]);
    }
    commit(store, events);
}

#[test]
fn artifacts_go_by_age_and_outcome_and_those_of_the_newest_build_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (store, artifacts) = open(dir.path());
    kept(dir.path(), &artifacts, b"named");
    four_builds(&store);
    assert_eq!(store.artifact_bytes(None).unwrap(), 20);
    let days = |days: i64| Timestamp::from_seconds(days * 24 * 3600 + 3600);
    let own = ArtifactRules { days: Some(90), days_after: [(Outcome::Failure, 7)].into(), bytes_max: None };
    let rules = RetentionPlan {
        artifact_days: Some(1),
        artifacts_of: [("linux".to_owned(), own)].into(),
        ..RetentionPlan::default()
    };
    block_on(store.save_snapshot(store.last_fact().unwrap(), Vec::new())).unwrap();
    store.retire(&rules, days(6)).unwrap();
    assert_eq!(store.artifact_bytes(None).unwrap(), 20, "the builder says more than the installation");
    store.retire(&rules, days(8)).unwrap();
    assert_eq!((names(&store, 1).len(), names(&store, 2).len(), names(&store, 3).len()), (1, 0, 1));
    store.retire(&rules, days(91)).unwrap();
    assert_eq!((names(&store, 1).len(), names(&store, 3).len(), names(&store, 4).len()), (0, 0, 1));
    assert_eq!((store.artifact_bytes(None).unwrap(), store.artifact_bytes(Some(BuilderId(1))).unwrap()), (5, 5));
    assert!(store.build(BuildId(1)).unwrap().is_some(), "builds stay");
    drop(artifacts);
    store.close().unwrap();
    assert_eq!(maintain::check(dir.path(), &mut |_| {}).unwrap().problems, Vec::<String>::new());
    maintain::rebuild(dir.path(), &mut |_| {}).unwrap();
    let (store, _) = open(dir.path());
    assert_eq!((names(&store, 1).len(), names(&store, 4).len()), (0, 1), "what was removed does not come back");
}

#[test]
fn a_dump_has_the_contents_and_a_check_reads_them() {
    let dir = tempfile::tempdir().unwrap();
    let (store, artifacts) = open(dir.path());
    let (digest, path) = kept(dir.path(), &artifacts, b"named");
    kept(dir.path(), &artifacts, b"nobody names it");
    four_builds(&store);
    drop(artifacts);
    store.close().unwrap();
    let mut dump = Vec::new();
    let exported = maintain::export(dir.path(), &mut dump, &mut |_| {}).unwrap();
    assert_eq!((exported.contents, exported.damage), (1, Vec::new()));
    let other = tempfile::tempdir().unwrap();
    let imported = maintain::import(other.path(), &mut dump.as_slice(), &mut |_| {}).unwrap();
    assert_eq!((imported.contents, imported.damage), (1, Vec::new()));
    let (copy, contents) = open(other.path());
    assert_eq!(names(&copy, 3), ["a"]);
    assert_eq!(contents.read(&digest, 0, 9).unwrap(), b"named");

    fs::write(&path, b"nomad").unwrap();
    let problems = maintain::check(dir.path(), &mut |_| {}).unwrap().problems;
    let words = |build: u64| format!("artifact `a` of build {build}: its content is missing or damaged");
    assert_eq!(problems, (1..=4).map(words).collect::<Vec<_>>());
}

fn started(build: BuildId) -> Event {
    Event::BuildStarted {
        build,
        number: build.0,
        builder: crate::model::BuilderId(1),
        worker: crate::model::WorkerId(1),
        dir: String::new(),
        lender: None,
        requests: Vec::new(),
        plan: crate::model::ConfigDigest::default(),
        properties: crate::model::Properties::default(),
        changes: Vec::new(),
        reason: String::new(),
    }
}
