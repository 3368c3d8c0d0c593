//! Stores of every released format still read.
//!
//! `tests/golden/store/v2/` is a store as this version's first release writes it, closed in order, beside
//! what has to be read from it. `STARWRIGHT_BLESS=1` writes the store of the *present* format anew; those of older formats are
//! never written again.

use std::fs;
use std::path::{Path, PathBuf};

use starwright::testing::model::{BuildId, ConfigDigest, LogId};
use starwright::testing::store::Store;
use starwright::testing::store::maintain::{check, export, rebuild};
use tempfile::TempDir;

use crate::store::runtime;
use crate::support::history::{History, everything, log_part, store_with_history};

const FORMATS: [&str; 1] = ["v2"];

fn golden(format: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join("golden").join("store").join(format)
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The whole store but for its database, which is large and made again from the rest; the database has a sample of its own.
fn bless(format: &str) {
    let (dir, _) = store_with_history(1, 120);
    // Half of it in a pack, half in the journal.
    export(dir.path(), &mut std::io::sink(), &mut |_| {}).unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut history = History::after(2, store.last_fact().unwrap());
    (0..60).for_each(|_| store.commit_blocking(history.step()).unwrap());
    let part = log_part(["the end of the log".to_owned()]);
    runtime().block_on(store.logs().append(BuildId(1_000), LogId(1_000), "c", 0, part)).unwrap();
    let whole = everything(&store);
    store.close().unwrap();
    let target = golden(format);
    let _ = fs::remove_dir_all(&target);
    copy_tree(dir.path(), &target.join("store"));
    fs::remove_dir_all(target.join("store").join("sled")).unwrap();
    fs::remove_file(target.join("store").join("lock")).unwrap();
    fs::write(target.join("everything.txt"), whole).unwrap();
}

#[test]
fn stores_of_every_released_format_are_read() {
    if std::env::var_os("STARWRIGHT_BLESS").is_some() {
        bless(FORMATS[FORMATS.len() - 1]);
    }
    for format in FORMATS {
        let dir = TempDir::new().unwrap();
        copy_tree(&golden(format).join("store"), dir.path());
        let expected = fs::read_to_string(golden(format).join("everything.txt")).unwrap();
        rebuild(dir.path(), &mut |_| {}).unwrap();
        assert_eq!(check(dir.path(), &mut |_| {}).unwrap().problems, Vec::<String>::new(), "{format}");
        let store = Store::open(dir.path()).unwrap();
        assert_eq!(everything(&store), expected, "{format}");
        assert_eq!(store.config(&ConfigDigest("c0ffee".to_owned())).unwrap(), Some(b"sources".to_vec()));
        let recovered = store.recover().unwrap();
        assert_eq!(recovered.snapshot.unwrap().1, vec![7; 100]);
        assert!(!recovered.facts.is_empty());
        assert_eq!(store.logs().lines(BuildId(1_000), LogId(1_000)).unwrap(), 1);
    }
}
