//! A store whose files were damaged: what is whole is kept, and what happened is told.

use std::fs;
use std::path::{Path, PathBuf};

use starwright::testing::base::Explained as _;
use starwright::testing::model::BuildRecord;
use starwright::testing::store::maintain::{check, export, import, rebuild};
use starwright::testing::store::{Store, StoreError};
use tempfile::TempDir;

use crate::support::history::{ALL, History, everything, store_with_history};

fn reopened(dir: &Path) -> String {
    let store = Store::open(dir).unwrap();
    let found = everything(&store);
    store.close().unwrap();
    found
}

fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files_below(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[test]
fn a_lost_database_is_made_again_at_the_next_start() {
    let (dir, whole) = store_with_history(1, 300);
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    assert_eq!(reopened(dir.path()), whole);
}

#[test]
fn a_rebuild_restores_history_and_open_work() {
    let (dir, whole) = store_with_history(2, 300);
    let before = Store::open(dir.path()).unwrap().recover().unwrap();
    let mut told = Vec::new();
    let report = rebuild(dir.path(), &mut |progress| told.push(progress)).unwrap();
    assert!(report.damage.is_empty());
    assert!(report.set_aside.unwrap().exists(), "the old database is kept");
    assert_eq!(told.last().unwrap().done, report.facts);
    assert_eq!(reopened(dir.path()), whole);
    let after = Store::open(dir.path()).unwrap().recover().unwrap();
    assert_eq!(after.snapshot, before.snapshot);
    assert_eq!(after.facts, before.facts);
}

#[test]
fn without_snapshots_a_rebuild_gives_the_whole_history_to_the_engine() {
    let (dir, whole) = store_with_history(3, 300);
    fs::remove_dir_all(dir.path().join("snapshots")).unwrap();
    rebuild(dir.path(), &mut |_| {}).unwrap();
    assert_eq!(reopened(dir.path()), whole);
    let recovered = Store::open(dir.path()).unwrap().recover().unwrap();
    assert_eq!(recovered.snapshot, None);
    assert_eq!(recovered.facts[0].seq, 1);
    assert!(recovered.facts.is_sorted_by_key(|fact| fact.seq));
}

#[test]
fn damaged_snapshots_give_way_to_older_ones_and_to_the_whole_history() {
    let (dir, _) = store_with_history(4, 300);
    let snapshots = files_below(&dir.path().join("snapshots"));
    let [older, newer] = &snapshots[..] else { panic!("two snapshots are kept") };
    let spoil = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(path, bytes).unwrap();
    };
    spoil(newer);
    let store = Store::open(dir.path()).unwrap();
    let (last, recovered) = (store.last_fact().unwrap(), store.recover().unwrap());
    let begins = recovered.snapshot.unwrap().0;
    assert_eq!(older.file_name().unwrap().to_str().unwrap().parse::<u64>().unwrap(), begins);
    assert_eq!(recovered.facts.len() as u64, last - begins);
    store.close().unwrap();
    spoil(older);
    let recovered = Store::open(dir.path()).unwrap().recover().unwrap();
    assert_eq!(recovered.snapshot, None);
    assert_eq!(recovered.facts[0].seq, 1, "the facts before the snapshots are there");
    assert_eq!(recovered.facts.last().unwrap().seq, last);
}

#[test]
fn a_half_written_snapshot_of_the_database_is_set_aside() {
    let (dir, whole) = store_with_history(5, 300);
    let half = dir.path().join("sled").join("snap.0000000000012345.generating");
    fs::write(&half, b"half").unwrap();
    assert_eq!(reopened(dir.path()), whole);
}

#[test]
fn a_database_with_rubbish_in_any_of_its_files_costs_nothing() {
    let (original, whole) = store_with_history(6, 300);
    let image = files_below(original.path());
    let database: Vec<_> = image.iter().filter(|path| path.starts_with(original.path().join("sled"))).collect();
    assert!(database.len() >= 2);
    for victim in database {
        let bytes = fs::read(victim).unwrap();
        let spoilt: Vec<Vec<u8>> = vec![
            Vec::new(),
            bytes[..bytes.len() / 2].to_vec(),
            b"rubbish".repeat(bytes.len().div_ceil(7)),
            bytes.iter().enumerate().map(|(at, byte)| if at % 97 == 13 { !byte } else { *byte }).collect(),
        ];
        for content in spoilt {
            let dir = TempDir::new().unwrap();
            for path in &image {
                let target = dir.path().join(path.strip_prefix(original.path()).unwrap());
                fs::create_dir_all(target.parent().unwrap()).unwrap();
                if path == victim {
                    fs::write(target, &content).unwrap();
                } else {
                    fs::copy(path, target).map(|_| ()).unwrap();
                }
            }
            assert_eq!(reopened(dir.path()), whole, "{} with {} bytes", victim.display(), content.len());
        }
    }
}

#[test]
fn no_damage_of_the_database_escapes_the_start_the_readers_and_the_check() {
    let (original, whole) = store_with_history(10, 400);
    // What the journal still has would be made good without a word.
    packed(original.path());
    let image = files_below(original.path());
    let bytes = fs::read(original.path().join("sled").join("db")).unwrap();
    let used: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] != 0).collect();
    let mut random = History::new(11);
    let (mut at_start, mut while_reading, mut by_check) = (0, 0, 0);
    for _ in 0..40 {
        let dir = TempDir::new().unwrap();
        copy_files(&image, original.path(), dir.path());
        let mut spoilt = bytes.clone();
        let at = used[random.draw(used.len() as u64) as usize];
        for byte in &mut spoilt[at..(at + 8).min(bytes.len())] {
            *byte = !*byte;
        }
        fs::write(dir.path().join("sled").join("db"), spoilt).unwrap();
        let store = Store::open(dir.path()).unwrap();
        at_start += u64::from(dir.path().join("damaged").exists());
        let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| everything(&store)));
        drop(store);
        let seen = dir.path().join("sled").join("damage-seen").exists();
        match read {
            Ok(read) if read == whole => continue,
            // Sled lost a page of it without a word.
            Ok(_) if !seen => {
                by_check += 1;
                let report = check(dir.path(), &mut |_| {}).unwrap();
                assert!(!report.problems.is_empty(), "byte {at}");
                assert!(report.database_lacks && !report.facts_lack, "byte {at}: {report:?}");
                rebuild(dir.path(), &mut |_| {}).unwrap();
            }
            // The next start makes it again.
            Ok(_) | Err(_) => {
                while_reading += 1;
                assert!(seen, "byte {at}");
            }
        }
        assert!(reopened(dir.path()) == whole, "byte {at}");
    }
    eprintln!("seen at the start: {at_start}, while reading: {while_reading}, by the check: {by_check}, of 40");
    assert!(at_start > 0);
}

fn copy_files(files: &[PathBuf], from: &Path, to: &Path) {
    for path in files {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(path, target).unwrap();
    }
}

#[test]
fn a_database_from_a_backup_is_noticed() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let mut history = History::new(7);
    (0..50).for_each(|_| store.commit_blocking(history.step()).unwrap());
    store.close().unwrap();
    let backup = TempDir::new().unwrap();
    let sled = dir.path().join("sled");
    let copy = |from: &Path, to: &Path| {
        for path in files_below(from) {
            let target = to.join(path.strip_prefix(from).unwrap());
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(path, target).unwrap();
        }
    };
    copy(&sled, backup.path());
    let store = Store::open(dir.path()).unwrap();
    (0..50).for_each(|_| store.commit_blocking(history.step()).unwrap());
    let whole = everything(&store);
    store.close().unwrap();
    fs::remove_dir_all(&sled).unwrap();
    copy(backup.path(), &sled);
    assert_eq!(reopened(dir.path()), whole, "the journal knows more");
}

/// Brings everything from the journal into packs.
fn packed(dir: &Path) {
    export(dir, &mut std::io::sink(), &mut |_| {}).unwrap();
    assert!(!files_below(&dir.join("packs")).is_empty());
}

#[test]
fn a_database_from_a_backup_is_noticed_when_the_facts_since_then_are_packed() {
    let (dir, _) = store_with_history(13, 100);
    let sled = dir.path().join("sled");
    let backup = TempDir::new().unwrap();
    copy_files(&files_below(&sled), &sled, backup.path());
    let store = Store::open(dir.path()).unwrap();
    let mut history = History::after(14, store.last_fact().unwrap());
    (0..50).for_each(|_| store.commit_blocking(history.step()).unwrap());
    let whole = everything(&store);
    store.close().unwrap();
    packed(dir.path());
    fs::remove_dir_all(&sled).unwrap();
    copy_files(&files_below(backup.path()), backup.path(), &sled);
    assert_eq!(reopened(dir.path()), whole);
    assert!(dir.path().join("damaged").exists(), "the old database was set aside");
}

#[test]
fn lost_packs_cost_nothing_but_logs_while_the_database_is_whole() {
    let (dir, _) = store_with_history(8, 300);
    packed(dir.path());
    let store = Store::open(dir.path()).unwrap();
    let builds = store.builds(ALL).unwrap();
    store.close().unwrap();
    fs::remove_dir_all(dir.path().join("packs")).unwrap();
    let store = Store::open(dir.path()).unwrap();
    assert_eq!(store.builds(ALL).unwrap(), builds);
    let mut history = History::after(9, store.last_fact().unwrap());
    (0..20).for_each(|_| store.commit_blocking(history.step()).unwrap());
    let whole = everything(&store);
    store.close().unwrap();
    assert_eq!(reopened(dir.path()), whole);
}

#[test]
fn a_lost_pack_costs_what_was_in_it() {
    let (dir, _) = store_with_history(12, 300);
    packed(dir.path());
    let store = Store::open(dir.path()).unwrap();
    let old = store.builds(ALL).unwrap();
    let mut history = History::after(15, store.last_fact().unwrap());
    (0..60).for_each(|_| store.commit_blocking(history.step()).unwrap());
    let mut builds = store.builds(ALL).unwrap();
    builds.retain(|build| !old.iter().any(|old| old.id == build.id));
    assert!(!builds.is_empty());
    store.close().unwrap();
    for name in ["sled", "packs", "recent"] {
        fs::remove_dir_all(dir.path().join(name)).unwrap();
    }
    let store = Store::open(dir.path()).unwrap();
    let ids = |builds: &[BuildRecord]| builds.iter().map(|build| build.id).collect::<Vec<_>>();
    assert_eq!(ids(&store.builds(ALL).unwrap()), ids(&builds));
    store.close().unwrap();
}

/// A store of three packs and an empty journal.
fn with_three_packs(seed: u64) -> TempDir {
    let (dir, _) = store_with_history(seed, 300);
    packed(dir.path());
    for part in 1..=2 {
        let store = Store::open(dir.path()).unwrap();
        let mut history = History::after(seed + part, store.last_fact().unwrap());
        (0..60).for_each(|_| store.commit_blocking(history.step()).unwrap());
        store.close().unwrap();
        packed(dir.path());
    }
    assert_eq!(files_below(&dir.path().join("packs")).len(), 3);
    dir
}

/// What a check and a rebuild after the loss of a file say; both must name it. Then the way out: the dump makes a store without gaps.
fn is_named(dir: &Path, lost: &Path) {
    fs::remove_file(lost).unwrap();
    // The second copy would have some of the facts.
    fs::remove_dir_all(dir.join("recent")).unwrap();
    let named = format!("`{}` is missing", lost.display());
    let report = check(dir, &mut |_| {}).unwrap();
    assert!(report.has_gaps && report.problems.contains(&named), "{named} is not in {:#?}", report.problems);
    fs::remove_dir_all(dir.join("sled")).unwrap();
    let rebuilt = rebuild(dir, &mut |_| {}).unwrap();
    assert!(rebuilt.missing.contains(&named), "{named} is not in {:#?}", rebuilt.missing);
    let report = check(dir, &mut |_| {}).unwrap();
    assert!(report.problems.contains(&named), "{named} is not in {:#?}", report.problems);

    let mut dump = Vec::new();
    export(dir, &mut dump, &mut |_| {}).unwrap();
    let place = TempDir::new().unwrap();
    let new = place.path().join("new");
    import(&new, &mut dump.as_slice(), &mut |_| {}).unwrap();
    Store::open(&new).unwrap().close().unwrap();
    assert_eq!(check(&new, &mut |_| {}).unwrap().problems, Vec::<String>::new());
}

fn facts_named(dir: &Path) -> Vec<String> {
    let problems = check(dir, &mut |_| {}).unwrap().problems;
    problems.into_iter().filter(|words| words.starts_with("fact") && words.contains(" missing: ")).collect()
}

#[test]
fn a_lost_pack_is_named_wherever_it_was() {
    for lost in 0..3 {
        let dir = with_three_packs(31);
        assert!(facts_named(dir.path()).is_empty());
        let path = files_below(&dir.path().join("packs")).remove(lost);
        if lost == 2 {
            // The newest pack shows by the facts of a snapshot, and by the journal that goes on after it.
            let store = Store::open(dir.path()).unwrap();
            tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap()
                .block_on(store.save_snapshot(store.last_fact().unwrap(), vec![1; 50]))
                .unwrap();
            store.close().unwrap();
            fs::remove_file(path).unwrap();
            fs::remove_dir_all(dir.path().join("recent")).unwrap();
            assert_eq!(facts_named(dir.path()).len(), 1);
        } else {
            is_named(dir.path(), &path);
            assert_eq!(facts_named(dir.path()).len(), 1, "and the facts are, too");
        }
    }
}

#[test]
fn a_lost_segment_of_the_journal_is_named() {
    let dir = with_three_packs(35);
    let segment = segment(dir.path());
    let report = {
        fs::remove_file(&segment).unwrap();
        check(dir.path(), &mut |_| {}).unwrap()
    };
    assert_eq!(report.problems, [format!("`{}` is missing", segment.display())]);
    assert!(report.has_gaps);
}

#[test]
fn a_compacted_store_has_no_gaps_and_a_lost_pack_of_it_is_named() {
    let dir = with_three_packs(36);
    let report = starwright::testing::store::maintain::compact(dir.path(), &mut |_| {}).unwrap();
    assert!(report.facts_dropped > 0);
    assert_eq!(check(dir.path(), &mut |_| {}).unwrap().problems, Vec::<String>::new());
    let path = files_below(&dir.path().join("packs")).remove(0);
    is_named(dir.path(), &path);
}

#[test]
fn a_deleted_file_of_a_long_log_is_named() {
    let (dir, _) = store_with_history(37, 300);
    packed(dir.path());
    assert_eq!(check(dir.path(), &mut |_| {}).unwrap().problems, Vec::<String>::new());
    let lost = files_below(&dir.path().join("builds")).remove(0);
    let whole = fs::read(&lost).unwrap();
    fs::write(&lost, &whole[..whole.len() / 2]).unwrap();
    let problems = check(dir.path(), &mut |_| {}).unwrap().problems;
    assert!(problems.iter().any(|words| words.contains("its last lines are lost")), "{problems:#?}");
    fs::remove_file(&lost).unwrap();
    let expected = format!("`{}` is missing: its lines are lost", lost.display());
    assert_eq!(check(dir.path(), &mut |_| {}).unwrap().problems, std::slice::from_ref(&expected));
    // The list of files outlives a compaction.
    starwright::testing::store::maintain::compact(dir.path(), &mut |_| {}).unwrap();
    assert_eq!(check(dir.path(), &mut |_| {}).unwrap().problems, [expected]);
}

#[test]
fn a_lost_pack_goes_on_to_show_after_an_export_and_a_start() {
    let (dir, _) = store_with_history(38, 300);
    packed(dir.path());
    let lost = files_below(&dir.path().join("packs")).remove(0);
    fs::remove_file(&lost).unwrap();
    let mut dump = Vec::new();
    let report = export(dir.path(), &mut dump, &mut |_| {}).unwrap();
    let named = format!("`{}` is missing", lost.display());
    assert!(report.damage.contains(&named), "{:#?}", report.damage);
    assert!(
        report.damage.iter().any(|words| words.contains(" logs have no lines in the dump")),
        "{:#?}",
        report.damage
    );
    for _ in 0..2 {
        let report = check(dir.path(), &mut |_| {}).unwrap();
        assert!(report.has_gaps && report.problems.contains(&named), "{:#?}", report.problems);
        reopened(dir.path());
        packed(dir.path());
    }
}

#[test]
fn a_lost_segment_of_the_journal_goes_on_to_show_after_a_start() {
    let dir = with_three_packs(39);
    fs::remove_file(segment(dir.path())).unwrap();
    let named = |path: &str| format!("`{}` is missing", dir.path().join(path).display());
    reopened(dir.path());
    assert_eq!(check(dir.path(), &mut |_| {}).unwrap().problems, [named("journal/000000000004.journal")]);
    let store = Store::open(dir.path()).unwrap();
    let mut history = History::after(40, store.last_fact().unwrap());
    (0..20).for_each(|_| store.commit_blocking(history.step()).unwrap());
    store.close().unwrap();
    packed(dir.path());
    assert_eq!(check(dir.path(), &mut |_| {}).unwrap().problems, [named("packs/000000000004.pack")]);
}

#[test]
fn an_export_names_files_of_long_logs_that_are_gone() {
    let (dir, _) = store_with_history(41, 300);
    packed(dir.path());
    let lost = files_below(&dir.path().join("builds")).remove(0);
    fs::remove_dir_all(dir.path().join("builds")).unwrap();
    let report = export(dir.path(), &mut std::io::sink(), &mut |_| {}).unwrap();
    let named = format!("`{}` is missing: its lines are lost", lost.display());
    assert!(report.damage.contains(&named), "{:#?}", report.damage);
}

#[test]
fn a_damaged_block_of_facts_costs_one_line_and_the_dump_says_how_many_it_lacks() {
    let (dir, _) = store_with_history(42, 300);
    packed(dir.path());
    let whole = export(dir.path(), &mut std::io::sink(), &mut |_| {}).unwrap();
    fs::remove_dir_all(dir.path().join("recent")).unwrap();
    let pack = files_below(&dir.path().join("packs")).remove(0);
    let mut bytes = fs::read(&pack).unwrap();
    // The removals come first, then a block with all facts.
    bytes[1500] ^= 1;
    fs::write(&pack, bytes).unwrap();
    let report = check(dir.path(), &mut |_| {}).unwrap();
    assert!(report.facts_lack && !report.database_lacks, "{:#?}", report.problems);
    let folded = report.problems.iter().filter(|words| words.contains("no fact tells of")).collect::<Vec<_>>();
    assert!(folded.len() == 1 && folded[0].contains("records are in the database"), "{:#?}", report.problems);
    let report = export(dir.path(), &mut std::io::sink(), &mut |_| {}).unwrap();
    assert!(report.facts_lost >= whole.facts - report.facts && report.facts_lost > 0, "{report:?}");
}

/// The only segment of the journal.
fn segment(dir: &Path) -> PathBuf {
    let mut segments = files_below(&dir.join("journal"));
    assert_eq!(segments.len(), 1);
    segments.remove(0)
}

/// Starts with the state of the engine, as a master does; then exports and imports, and starts with that.
fn gap_and_way_out(dir: &Path, missing: u64) {
    let store = Store::open(dir).unwrap();
    let error = store.recover().unwrap_err();
    assert!(matches!(error, StoreError::Gap { fact, .. } if fact == missing), "{error}, but {missing} is missing");
    store.close().unwrap();

    let mut dump = Vec::new();
    export(dir, &mut dump, &mut |_| {}).unwrap();
    let place = TempDir::new().unwrap();
    let new = place.path().join("new");
    let report = import(&new, &mut dump.as_slice(), &mut |_| {}).unwrap();
    assert!(report.damage.iter().all(|words| words.contains(&format!("lacks fact {missing}"))), "{:?}", report.damage);
    let store = Store::open(&new).unwrap();
    let recovered = store.recover().unwrap();
    assert_eq!(recovered.facts.last().map_or(recovered.snapshot.unwrap().0, |fact| fact.seq), missing - 1);
    assert_eq!(store.last_fact().unwrap(), missing - 1);
    let mut history = History::after(16, missing - 1);
    store.commit_blocking(history.step()).unwrap();
    store.close().unwrap();
}

#[test]
fn a_damaged_fact_after_the_newest_snapshot_is_named_and_there_is_a_way_out() {
    let (dir, _) = store_with_history(13, 300);
    let begun = fs::metadata(segment(dir.path())).unwrap().len();
    let store = Store::open(dir.path()).unwrap();
    let last = store.last_fact().unwrap();
    let mut history = History::after(17, last);
    (0..20).for_each(|_| store.commit_blocking(history.step()).unwrap());
    store.close().unwrap();

    let path = segment(dir.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(begun).unwrap() + 40] ^= 4;
    fs::write(&path, bytes).unwrap();
    fs::remove_dir_all(dir.path().join("recent")).unwrap();
    gap_and_way_out(dir.path(), last + 1);
}

/// A store whose journal has twenty commits after the newest snapshot; where the first of them begins in it; everything it tells.
fn with_facts_after_the_snapshot(seed: u64) -> (TempDir, u64, String) {
    let (dir, _) = store_with_history(seed, 300);
    let begun = fs::metadata(segment(dir.path())).unwrap().len();
    let store = Store::open(dir.path()).unwrap();
    let mut history = History::after(seed + 100, store.last_fact().unwrap());
    (0..20).for_each(|_| store.commit_blocking(history.step()).unwrap());
    let whole = everything(&store);
    store.close().unwrap();
    (dir, begun, whole)
}

/// Opens a damaged store: nothing is lost, and after that the second copy is not needed any more.
fn is_healed(dir: &Path, before: &starwright::testing::store::Recovered, whole: &str) {
    let store = Store::open(dir).unwrap();
    assert!(store.recover().unwrap() == *before, "the engine would begin with something else");
    assert!(everything(&store) == whole, "something else is told");
    store.close().unwrap();
    fs::remove_dir_all(dir.join("recent")).unwrap();
    packed(dir);
    let report = check(dir, &mut |_| {}).unwrap();
    assert_eq!(report.problems, Vec::<String>::new());
    rebuild(dir, &mut |_| {}).unwrap();
    assert!(reopened(dir) == whole, "a rebuild tells something else");
}

#[test]
fn damaged_facts_after_the_newest_snapshot_come_from_their_second_copy() {
    let (dir, begun, whole) = with_facts_after_the_snapshot(23);
    let store = Store::open(dir.path()).unwrap();
    let before = store.recover().unwrap();
    store.close().unwrap();
    let path = segment(dir.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(begun).unwrap() + 40] ^= 4;
    fs::write(&path, bytes).unwrap();
    is_healed(dir.path(), &before, &whole);
}

#[test]
fn a_journal_that_lost_its_end_gets_it_from_the_second_copy() {
    let (dir, begun, whole) = with_facts_after_the_snapshot(24);
    let store = Store::open(dir.path()).unwrap();
    let before = store.recover().unwrap();
    store.close().unwrap();
    fs::OpenOptions::new().write(true).open(segment(dir.path())).unwrap().set_len(begun).unwrap();
    is_healed(dir.path(), &before, &whole);
}

#[test]
fn a_lost_database_and_a_damaged_journal_cost_nothing_while_the_second_copy_is_whole() {
    let (dir, begun, whole) = with_facts_after_the_snapshot(25);
    let store = Store::open(dir.path()).unwrap();
    let before = store.recover().unwrap();
    store.close().unwrap();
    let path = segment(dir.path());
    let mut bytes = fs::read(&path).unwrap();
    bytes[usize::try_from(begun).unwrap() + 40] ^= 4;
    fs::write(&path, bytes).unwrap();
    fs::remove_dir_all(dir.path().join("sled")).unwrap();
    is_healed(dir.path(), &before, &whole);
}

#[test]
fn a_journal_that_ends_before_the_database_is_noticed_and_there_is_a_way_out() {
    let (dir, _) = store_with_history(14, 300);
    let begun = fs::metadata(segment(dir.path())).unwrap().len();
    let store = Store::open(dir.path()).unwrap();
    let last = store.last_fact().unwrap();
    let mut history = History::after(18, last);
    (0..20).for_each(|_| store.commit_blocking(history.step()).unwrap());
    store.close().unwrap();

    fs::OpenOptions::new().write(true).open(segment(dir.path())).unwrap().set_len(begun).unwrap();
    fs::remove_dir_all(dir.path().join("recent")).unwrap();
    gap_and_way_out(dir.path(), last + 1);
}

#[test]
fn a_format_file_that_is_not_text_is_written_again_by_a_rebuild() {
    let (dir, whole) = store_with_history(19, 50);
    fs::write(dir.path().join("format"), [0xff, 0xfe, 0x00, 0x80]).unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::NoFormat { .. })));
    rebuild(dir.path(), &mut |_| {}).unwrap();
    assert_eq!(reopened(dir.path()), whole);
}

#[test]
fn a_store_of_an_older_format_is_refused_and_left_alone() {
    let (dir, _) = store_with_history(16, 20);
    let format = dir.path().join("format");
    let text = fs::read_to_string(&format).unwrap();
    // The first format had no checksum.
    let text = text.replace("format 2", "format 1");
    fs::write(&format, text.split("checksum").next().unwrap()).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::OlderFormat { found: 1, .. }), "{error}");
    assert!(error.hint().unwrap().contains("starwright store export"), "{error}");
}

#[test]
fn a_lost_log_reads_as_empty() {
    let (dir, _) = store_with_history(9, 300);
    packed(dir.path());
    for name in ["builds", "packs"] {
        let path = dir.path().join(name);
        assert!(!files_below(&path).is_empty(), "{name}");
        fs::remove_dir_all(path).unwrap();
    }
    let store = Store::open(dir.path()).unwrap();
    for build in store.builds(ALL).unwrap() {
        for step in store.steps(build.id).unwrap() {
            assert!(store.logs_of_step(step.id).unwrap().iter().all(|log| log.lines == 0));
        }
    }
}
