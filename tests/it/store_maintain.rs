//! Care of a closed store: check, compact, export, import.

use std::fs;
use std::path::Path;

use starwright::testing::base::Timestamp;
use starwright::testing::model::*;
use starwright::testing::store::maintain::{Progress, check, compact, export, import, rebuild};
use starwright::testing::store::{Store, StoreError};
use tempfile::TempDir;

use crate::support::history::{ALL, History, everything, log_part, store_with_history};

fn quiet() -> impl FnMut(Progress) {
    |_| {}
}

fn reopened(dir: &Path) -> String {
    let store = Store::open(dir).unwrap();
    let found = everything(&store);
    store.close().unwrap();
    found
}

#[test]
fn a_sound_store_has_no_problems() {
    let (dir, whole) = store_with_history(21, 300);
    packed(dir.path());
    let report = check(dir.path(), &mut quiet()).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    assert!(report.facts > 300 && report.records > 300 && report.log_files > 5, "{report:?}");
    assert_eq!(reopened(dir.path()), whole);
}

/// Brings everything from the journal into packs.
fn packed(dir: &Path) {
    export(dir, &mut std::io::sink(), &mut quiet()).unwrap();
}

#[test]
fn a_check_names_what_is_damaged() {
    let (dir, _) = store_with_history(22, 300);
    let spoil = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x40;
        fs::write(path, bytes).unwrap();
    };
    let directory = |path: &Path| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    packed(dir.path());
    let builds = directory(&dir.path().join("builds").join("0"));
    let log =
        builds.iter().flat_map(|build| directory(build)).find(|path| path.to_string_lossy().contains("log-")).unwrap();
    let facts = directory(&dir.path().join("packs")).pop().unwrap();
    let snapshot = directory(&dir.path().join("snapshots")).pop().unwrap();
    let config = dir.path().join("configs").join("c0ffee");
    for path in [&log, &facts, &snapshot, &config] {
        spoil(path);
    }
    let problems = check(dir.path(), &mut quiet()).unwrap().problems;
    for wanted in [
        format!("`{}`", log.display()),
        format!("`{}`", facts.display()),
        "the snapshot at fact".to_owned(),
        "the configuration c0ffee is damaged".to_owned(),
    ] {
        assert!(problems.iter().any(|problem| problem.contains(&wanted)), "{wanted} is not in {problems:#?}");
    }
}

#[test]
fn a_check_finds_records_that_no_longer_tell_what_the_facts_do() {
    let (dir, _) = store_with_history(23, 300);
    packed(dir.path());
    fs::remove_dir_all(dir.path().join("packs")).unwrap();
    fs::remove_dir_all(dir.path().join("recent")).unwrap();
    let problems = check(dir.path(), &mut quiet()).unwrap().problems;
    assert!(problems.iter().any(|problem| problem.contains("no fact tells of them; the first is ")), "{problems:#?}");
}

#[test]
fn a_compacted_store_is_smaller_and_tells_the_same() {
    let (dir, whole) = store_with_history(24, 300);
    let before = Store::open(dir.path()).unwrap().recover().unwrap();
    let report = compact(dir.path(), &mut quiet()).unwrap();
    assert!(report.bytes_after < report.bytes_before && report.facts_dropped > 0, "{report:?}");
    assert_eq!(reopened(dir.path()), whole);
    assert!(Store::open(dir.path()).unwrap().recover().unwrap() == before, "the tails differ");
    assert_eq!(check(dir.path(), &mut quiet()).unwrap().problems, Vec::<String>::new());
    // What retention removed stays removed, also when the database is made again.
    rebuild(dir.path(), &mut quiet()).unwrap();
    let store = Store::open(dir.path()).unwrap();
    let shown = |text: &str| text.split("\nstamp: ").next().unwrap().to_owned();
    assert_eq!(shown(&everything(&store)), shown(&whole));
    let mut history = History::after(99, store.last_fact().unwrap());
    (0..50).for_each(|_| store.commit_blocking(history.step()).unwrap());
    let whole = everything(&store);
    store.close().unwrap();
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    assert_eq!(reopened(dir.path()), whole);
}

#[test]
fn a_compaction_that_was_cut_short_leaves_the_old_state() {
    let (dir, whole) = store_with_history(25, 300);
    packed(dir.path());
    for name in ["sled", "packs"] {
        let path = dir.path().join(name);
        fs::rename(&path, path.with_extension("old")).unwrap();
        fs::create_dir(path.with_extension("new")).unwrap();
        assert_eq!(reopened(dir.path()), whole, "{name}");
        assert!(!path.with_extension("old").exists() && !path.with_extension("new").exists());
    }
}

#[test]
fn an_imported_dump_equals_the_exported_store() {
    let (dir, whole) = store_with_history(26, 300);
    let original = Store::open(dir.path()).unwrap();
    // A command that is under way: its source goes on where it was.
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let part = log_part(["under way".to_owned()]);
    runtime.block_on(original.logs().append(BuildId(9_999), LogId(9_999), "cmd", 0, part)).unwrap();
    let (installation, mut recovered) = (original.installation(), original.recover().unwrap());
    // A dump has no facts of builds that retention removed; the original has them until it is compacted.
    recovered.facts.retain(|fact| fact.event.build().is_none_or(|build| original.build(build).unwrap().is_some()));
    original.close().unwrap();
    let mut dump = Vec::new();
    let exported = export(dir.path(), &mut dump, &mut quiet()).unwrap();
    assert!(dump.starts_with(b"starwright dump 1\n"));
    let target = TempDir::new().unwrap();
    for copy in [target.path().join("missing").join("copy"), target.path().join("empty")] {
        if copy.ends_with("empty") {
            fs::create_dir(&copy).unwrap();
        }
        let imported = import(&copy, &mut dump.as_slice(), &mut quiet()).unwrap();
        assert_eq!(imported, exported);
        assert_eq!(reopened(&copy), whole);
        let store = Store::open(&copy).unwrap();
        assert_eq!(store.installation(), installation);
        assert!(store.recover().unwrap() == recovered, "the tails differ");
        assert_eq!(store.config(&ConfigDigest("c0ffee".to_owned())).unwrap(), Some(b"sources".to_vec()));
        assert_eq!(store.logs().next(BuildId(9_999), LogId(9_999), "cmd").unwrap(), 1);
        store.close().unwrap();
        assert_eq!(check(&copy, &mut quiet()).unwrap().problems, Vec::<String>::new());
        let mut again = Vec::new();
        export(&copy, &mut again, &mut quiet()).unwrap();
        assert_eq!(again, dump);
    }
}

/// Reads a dump by nothing but what `docs/reference/dump-format.md` says.
#[test]
fn a_dump_is_built_as_its_reference_says() {
    let (dir, _) = store_with_history(29, 300);
    let mut dump = Vec::new();
    let report = export(dir.path(), &mut dump, &mut quiet()).unwrap();
    let title = b"starwright dump 1\n";
    assert!(dump.starts_with(title));
    let (mut rest, mut items) = (&dump[title.len()..], Vec::new());
    while !rest.is_empty() {
        let number = |at: usize| u32::from_le_bytes(rest[at..at + 4].try_into().unwrap());
        assert_eq!(&rest[..4], b"SwD1");
        let length = number(4) as usize;
        let payload = &rest[12..12 + length];
        assert_eq!(crc32fast::hash(&[&rest[4..8], payload].concat()), number(8));
        let item = rmpv::decode::read_value(&mut &*payload).unwrap();
        let rmpv::Value::Map(item) = item else { panic!("{item}") };
        let [(name, value)] = &item[..] else { panic!("{item:?}") };
        items.push((name.as_str().unwrap().to_owned(), value.clone()));
        rest = &rest[12 + length..];
    }
    let order = ["Begin", "Config", "Snapshot", "Fact", "Removed", "ShortLog", "LogFile", "End"];
    let places: Vec<usize> =
        items.iter().map(|(name, _)| order.iter().position(|known| known == name).unwrap()).collect();
    assert!(places.is_sorted() && (0..order.len()).all(|place| places.contains(&place)), "{places:?}");
    let values =
        |wanted: &str| items.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value).collect::<Vec<_>>();
    assert_eq!(values("Begin")[0]["installation"].as_str().unwrap().len(), 36);
    let facts: Vec<u64> = values("Fact").iter().map(|fact| fact["seq"].as_u64().unwrap()).collect();
    assert!(facts.is_sorted_by(|left, right| left < right));
    assert_eq!(facts.last(), values("Begin")[0]["last_fact"].as_u64().as_ref());
    assert!(values("Fact").iter().all(|fact| fact["at"].is_i64() && !fact["event"].is_nil()));
    assert!(values("Removed")[0].as_array().unwrap().iter().any(|removed| removed["Build"].is_u64()));
    let config = values("Config")[0];
    assert_eq!((config["digest"].as_str(), config["bytes"].as_slice()), (Some("c0ffee"), Some(&b"sources"[..])));
    assert_eq!(values("Snapshot")[1]["bytes"].as_slice(), Some(&[7; 100][..]));
    let logs = [values("ShortLog"), values("LogFile")].concat();
    let bytes: usize = logs.iter().map(|file| file["bytes"].as_slice().unwrap().len()).sum();
    assert!(values("ShortLog").iter().all(|log| log["build"].is_u64() && log["log"].is_u64()));
    assert!(values("LogFile").iter().all(|file| {
        file["build"].is_u64() && file["at"].is_u64() && file["name"].as_str().unwrap().starts_with("log-")
    }));
    let end = values("End")[0];
    let counts = ["facts", "configs", "log_files", "log_bytes"].map(|name| end[name].as_u64().unwrap());
    assert_eq!(counts, [report.facts, report.configs, report.log_files, report.log_bytes]);
    assert_eq!((counts[0] as usize, counts[3] as usize), (facts.len(), bytes));
}

#[test]
fn a_cut_or_damaged_dump_is_refused_and_leaves_nothing() {
    let (dir, _) = store_with_history(27, 300);
    let mut dump = Vec::new();
    export(dir.path(), &mut dump, &mut quiet()).unwrap();
    let target = TempDir::new().unwrap();
    let copy = target.path().join("copy");
    let mut damaged = dump.clone();
    damaged[dump.len() / 2] ^= 1;
    let half = &dump[..dump.len() / 2];
    let last_item_missing = &dump[..dump.len() - 1];
    for bytes in [&b""[..], b"something else", half, last_item_missing, &damaged] {
        let error = import(&copy, &mut &*bytes, &mut quiet()).unwrap_err();
        assert!(matches!(error, StoreError::Dump { .. } | StoreError::Corrupt { .. }), "{error}");
        assert_eq!(fs::read_dir(target.path()).unwrap().count(), 0);
    }
}

#[test]
fn a_dump_is_not_imported_over_a_store() {
    let (dir, whole) = store_with_history(28, 300);
    let mut dump = Vec::new();
    export(dir.path(), &mut dump, &mut quiet()).unwrap();
    let error = import(dir.path(), &mut dump.as_slice(), &mut quiet()).unwrap_err();
    assert!(matches!(error, StoreError::Occupied { .. }), "{error}");
    assert_eq!(reopened(dir.path()), whole);
}

#[test]
fn care_is_refused_while_a_master_has_the_store_and_where_there_is_none() {
    let dir = TempDir::new().unwrap();
    let error = check(dir.path(), &mut quiet()).unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    let store = Store::open(dir.path()).unwrap();
    store.commit_blocking(History::new(1).begin()).unwrap();
    for error in [
        check(dir.path(), &mut quiet()).unwrap_err(),
        compact(dir.path(), &mut quiet()).unwrap_err(),
        rebuild(dir.path(), &mut quiet()).unwrap_err(),
        export(dir.path(), &mut Vec::new(), &mut quiet()).unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Locked { .. }), "{error}");
    }
    assert_eq!(store.builds(ALL).unwrap(), []);
    assert_eq!(store.retire(&RetentionPlan::default(), Timestamp::default()).unwrap(), 0);
}
