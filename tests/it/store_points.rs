//! Crash points: the store after a death between any two writes of an operation, and in the middle of each.
//!
//! The directory is kept before and after an operation. What the operation wrote, in the order in which it did, is then
//! put over the old directory write by write and byte by byte, as a crash would leave it: the database comes last, so it
//! is the old one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use starwright::testing::base::Timestamp;
use starwright::testing::model::*;
use starwright::testing::store::Store;
use starwright::testing::store::maintain::{check, rebuild};
use tempfile::TempDir;

use crate::store::runtime;
use crate::support::history::{History, everything, log_part, store_with_history};

/// The content of a directory.
type Image = BTreeMap<PathBuf, Vec<u8>>;

fn image(dir: &Path) -> Image {
    fn gather(root: &Path, dir: &Path, found: &mut Image) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                gather(root, &path, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    let mut found = Image::new();
    gather(dir, dir, &mut found);
    found
}

fn laid_out(image: &Image) -> TempDir {
    let dir = TempDir::new().unwrap();
    for name in ["journal", "packs", "builds", "snapshots", "configs"] {
        fs::create_dir_all(dir.path().join(name)).unwrap();
    }
    for (path, bytes) in image {
        let target = dir.path().join(path);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::write(target, bytes).unwrap();
    }
    dir
}

/// Every state that a crash can leave of the files that `of` chooses; all others are as they were.
fn crash_states(before: &Image, after: &Image, of: impl Fn(&Path) -> bool) -> Vec<(String, Image)> {
    let changed: Vec<&PathBuf> = after
        .iter()
        .filter(|(path, bytes)| of(path) && before.get(*path) != Some(*bytes))
        .map(|(path, _)| path)
        .collect();
    assert!(!changed.is_empty());
    let mut states = Vec::new();
    let mut state = before.clone();
    for path in changed {
        let (old, new) = (before.get(path).cloned().unwrap_or_default(), &after[path]);
        assert!(new.starts_with(&old), "{} is appended to", path.display());
        let (from, to) = (old.len(), new.len());
        for length in [from, from + 1, from + 13, from + (to - from) / 3, from + (to - from) / 2, to - 1, to] {
            state.insert(path.clone(), new[..length].to_vec());
            states.push((format!("{} with {length} of {to} bytes", path.display()), state.clone()));
        }
    }
    states
}

/// A store must be sound, tell `expected` (where that is known), go on, and be the same when it is made again.
fn is_sound(state: &Image, expected: Option<&str>, what: &str) {
    let dir = laid_out(state);
    assert_eq!(check(dir.path(), &mut |_| {}).unwrap().problems, Vec::<String>::new(), "{what}");
    let store = Store::open(dir.path()).unwrap();
    assert!(expected.is_none_or(|expected| everything(&store) == expected), "{what}: something else is told");
    let mut history = History::after(77, store.last_fact().unwrap());
    (0..3).for_each(|_| store.commit_blocking(history.step()).unwrap());
    let whole = everything(&store);
    store.close().unwrap();
    rebuild(dir.path(), &mut |_| {}).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert!(everything(&store) == whole, "{what}: a rebuild tells something else");
    store.close().unwrap();
}

/// Opens the store, does something, closes it.
fn operate(dir: &Path, what: impl FnOnce(&Store)) -> String {
    let store = Store::open(dir).unwrap();
    what(&store);
    let whole = everything(&store);
    store.close().unwrap();
    whole
}

#[test]
fn a_commit_cut_short_at_any_write_never_was_and_a_written_one_is_kept() {
    let dir = TempDir::new().unwrap();
    let mut history = History::new(41);
    let before_text = operate(dir.path(), |store| (0..80).for_each(|_| store.commit_blocking(history.step()).unwrap()));
    let before = image(dir.path());
    let after_text = operate(dir.path(), |store| {
        // Facts of several builds and of none in one flush.
        let facts: Vec<_> = (0..25).flat_map(|_| history.step()).collect();
        assert!(facts.iter().any(|fact| fact.event.build().is_none()));
        store.commit_blocking(facts).unwrap();
    });
    let after = image(dir.path());
    let states = crash_states(&before, &after, |path| path.starts_with("journal"));
    assert_eq!(states.len(), 7, "one file is appended to");
    let last = states.len() - 1;
    for (at, (what, state)) in states.iter().enumerate() {
        // When all of it is in the journal, it is kept: nobody was told of it, so both would be right.
        is_sound(state, Some(if at == last { &after_text } else { &before_text }), what);
    }
}

#[test]
fn a_removal_cut_short_is_done_as_soon_as_it_was_noted() {
    let (dir, _) = store_with_history(43, 200);
    let before_text = operate(dir.path(), |store| {
        for WaitingReport { report, .. } in store.outbox().unwrap() {
            let sent = Event::ReportSent { report: report.id };
            let fact = Fact {
                seq: store.last_fact().unwrap() + 1,
                at: Timestamp::default(),
                cause: Cause::Clock,
                event: sent,
            };
            store.commit_blocking(vec![fact.into()]).unwrap();
            // What ended after the kept snapshots would stay.
            runtime().block_on(store.save_snapshot(store.last_fact().unwrap(), vec![1])).unwrap();
        }
    });
    let before = image(dir.path());
    let after_text = operate(dir.path(), |store| {
        let keep = RetentionPlan { days: None, builds: Some(1), log_days: Some(0), ..RetentionPlan::default() };
        // Each call does a bounded part of the work.
        let removed: u64 = (0..50).map(|_| store.retire(&keep, Timestamp::from_millis(i64::MAX / 2)).unwrap()).sum();
        assert!(removed > 3);
    });
    assert_ne!(before_text, after_text);
    let after = image(dir.path());
    let states = crash_states(&before, &after, |path| path.starts_with("journal"));
    let last = states.len() - 1;
    for (at, (what, state)) in states.iter().enumerate() {
        // In between, some of the removals are noted and others are not.
        let expected = match at {
            0 | 1 => Some(before_text.as_str()),
            _ => (at == last).then_some(after_text.as_str()),
        };
        is_sound(state, expected, what);
    }
    // The files of what was noted are gone when the store is open.
    let dir = laid_out(&states[last].1);
    operate(dir.path(), |_| {});
    let kept = |image: &Image| image.keys().filter(|path| path.starts_with("builds")).cloned().collect::<Vec<_>>();
    assert_eq!(kept(&image(dir.path())), kept(&after), "no file of a removed build or log is forgotten");
    assert!(kept(&after).len() < kept(&before).len());
}

#[test]
fn a_snapshot_cut_short_leaves_the_one_before() {
    let (dir, text) = store_with_history(44, 80);
    let before = image(dir.path());
    let old = Store::open(dir.path()).unwrap().recover().unwrap().snapshot.unwrap();
    operate(dir.path(), |store| {
        runtime().block_on(store.save_snapshot(store.last_fact().unwrap(), vec![9; 5_000])).unwrap();
    });
    let after = image(dir.path());
    let (name, new) =
        after.iter().find(|(path, _)| path.starts_with("snapshots") && !before.contains_key(*path)).unwrap();
    for length in [0, 1, new.len() / 2, new.len() - 1, new.len()] {
        let mut state = before.clone();
        state.insert(name.with_extension("tmp"), new[..length].to_vec());
        is_sound(&state, Some(&text), &format!("a temporary file of {length} bytes"));
        assert_eq!(Store::open(laid_out(&state).path()).unwrap().recover().unwrap().snapshot.unwrap(), old);
    }
    // In place, but the oldest one is not dropped yet.
    let mut state = before.clone();
    state.insert(name.clone(), new.clone());
    is_sound(&state, Some(&text), "a third snapshot");
}

#[test]
fn a_part_of_a_log_cut_short_at_any_byte_is_there_or_not() {
    let (dir, _) = store_with_history(45, 40);
    let (build, log) = (BuildId(9_000), LogId(9_000));
    let lines = |n: u64| log_part((0..4).map(move |line| format!("part {n} line {line}")));
    let journal = |image: &Image| {
        let found = image.iter().find(|(path, _)| path.starts_with("journal")).unwrap();
        (found.0.clone(), found.1.clone())
    };
    let before = journal(&image(dir.path())).1.len();
    let store = Store::open(dir.path()).unwrap();
    (0..3).for_each(|n| runtime().block_on(store.logs().append(build, log, "c", n, lines(n))).unwrap());
    // As a kill leaves it: the lines are in the journal, and nowhere else.
    let killed = image(dir.path());
    store.close().unwrap();
    drop(store);
    let (name, bytes) = journal(&killed);
    let mut seen = Vec::new();
    for length in (before..bytes.len()).step_by(7).chain([bytes.len() - 1, bytes.len()]) {
        let wal = TempDir::new().unwrap();
        for directory in ["journal", "packs", "builds", "snapshots", "configs"] {
            fs::create_dir(wal.path().join(directory)).unwrap();
        }
        fs::write(wal.path().join("format"), &killed[Path::new("format")]).unwrap();
        fs::write(wal.path().join(&name), &bytes[..length]).unwrap();
        let store = Store::open(wal.path()).unwrap();
        let next = store.logs().next(build, log, "c").unwrap();
        let found: Vec<Vec<u8>> =
            store.logs().read(build, log, 0, u64::MAX).unwrap().iter().map(|line| line.text.to_vec()).collect();
        let expected: Vec<Vec<u8>> =
            (0..next).flat_map(|n| (0..4).map(move |line| format!("part {n} line {line}").into_bytes())).collect();
        assert_eq!(found, expected, "{length} bytes");
        // The worker sends the rest again.
        (next..3).for_each(|n| runtime().block_on(store.logs().append(build, log, "c", n, lines(n))).unwrap());
        assert_eq!(store.logs().lines(build, log).unwrap(), 12);
        seen.push(next);
        store.close().unwrap();
    }
    assert!(seen.is_sorted() && seen.first() == Some(&0) && seen.last() == Some(&3), "{seen:?}");
}

#[test]
fn a_configuration_cut_short_is_not_there() {
    let (dir, text) = store_with_history(46, 40);
    let before = image(dir.path());
    let digest = ConfigDigest("ab12".to_owned());
    operate(dir.path(), |store| store.put_config(&digest, b"sources of a configuration").unwrap());
    let whole = image(dir.path()).remove(Path::new("configs/ab12")).unwrap();
    for length in [0, 1, whole.len() - 1, whole.len()] {
        let mut state = before.clone();
        state.insert(PathBuf::from("configs/ab12.tmp"), whole[..length].to_vec());
        is_sound(&state, Some(&text), &format!("{length} bytes of a configuration"));
        let dir = laid_out(&state);
        operate(dir.path(), |store| {
            assert_eq!(store.config(&digest).unwrap(), None);
            store.put_config(&digest, b"sources of a configuration").unwrap();
            assert_eq!(store.config(&digest).unwrap().unwrap(), b"sources of a configuration");
        });
    }
}
