//! Looking for damage, without changing anything that counts.
//!
//! The strongest part: the facts are projected once more, into a scratch database, and every record is compared.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::files_of_logs::FilesOfLogs;
use super::rebuild::project_facts;
use super::{OnProgress, PROGRESS_EVERY, Progress, contents, open_database, open_trusted, take_existing};
use crate::model::{BuildId, BuildsetId, RequestId};
use crate::store::StoreError;
use crate::store::backend::{Backend, Direction, KeyRange, Pair};
use crate::store::configs::Configs;
use crate::store::directory::{Directory, builds, remove_all};
use crate::store::journal::{self, Read as JournalRead};
use crate::store::key::Table;
use crate::store::logs::{inspect_file, inspect_packed, log_files, records};
use crate::store::packs::{self, Read, Wanted};
use crate::store::project::last_seq;
use crate::store::removal::Removal;
use crate::store::snapshot::Snapshots;

/// Differences told one by one; more are only counted.
const TOLD_MAX: usize = 100;

/// Records compared at a time.
const COMPARED_AT_ONCE: usize = 1000;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Facts read.
    pub facts: u64,
    /// Records compared.
    pub records: u64,
    /// Logs in packs, and files of long ones, that were read.
    pub log_files: u64,
    /// Everything that is wrong, in words; empty for a sound store.
    pub problems: Vec<String>,
    /// The database lacks something that packs and journal tell, or cannot be read: a rebuild helps.
    pub database_lacks: bool,
    /// Packs and journal lack something that the database tells: a rebuild would lose it.
    pub facts_lack: bool,
    /// Packs, segments of the journal or facts are gone.
    pub has_gaps: bool,
}

/// Reads everything in the store in `dir` and reports what is damaged.
///
/// Nothing is changed, not even what a killed master left to be done.
pub fn check(dir: &Path, on_progress: OnProgress<'_>) -> Result<CheckReport, StoreError> {
    let (directory, _lock, _) = take_existing(dir)?;
    let mut report = CheckReport::default();
    check_files(&directory, &mut report)?;
    let removed = check_records(&directory, &mut report, on_progress)?;
    check_logs(&directory, &removed, &mut report, on_progress)?;
    Ok(report)
}

fn check_files(directory: &Directory, report: &mut CheckReport) -> Result<(), StoreError> {
    for (seq, is_whole) in Snapshots::Files(directory.snapshots()).inspect()? {
        if !is_whole {
            report
                .problems
                .push(format!("the snapshot at fact {seq} is damaged; an older one, or the facts, take its place"));
        }
    }
    let configs = Configs::Files(directory.configs());
    for digest in configs.digests()? {
        if let Err(error) = configs.get(&digest) {
            report.problems.push(format!("the configuration {digest} is damaged: {error}"));
        }
    }
    Ok(())
}

/// Returns what retention removed.
fn check_records(
    directory: &Directory,
    report: &mut CheckReport,
    on_progress: OnProgress<'_>,
) -> Result<Vec<Removal>, StoreError> {
    let found = match open_trusted(directory) {
        Ok(found) => Some(found),
        Err(StoreError::Corrupt { what, why }) => {
            report.problems.push(format!("{what} is damaged: {why}"));
            report.database_lacks = true;
            None
        }
        Err(error) => return Err(error),
    };
    let scratch = Scratch { path: directory.dir().join("sled.check") };
    remove_all(&scratch.path)?;
    let expected = open_database(&scratch.path)?;
    // Facts that only the database has cost their own words below.
    let last = found.as_ref().map_or(Ok(u64::MAX), last_seq)?;
    let (facts, read) = project_facts(directory, &expected, (u64::MAX, last), on_progress)?;
    report.facts = facts;
    report.facts_lack |= !read.damage.is_empty();
    report.problems.extend(read.damage);
    report.has_gaps = !read.missing.is_empty();
    report.problems.extend(read.missing);
    if let Some(found) = found {
        compare((&expected, &found), &read.removals, report, on_progress)?;
        report.problems.extend(contents::check(directory, &found, on_progress)?);
    }
    Ok(read.removals)
}

/// A directory that goes when the check ends, however it ends.
struct Scratch {
    path: PathBuf,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = remove_all(&self.path) {
            tracing::warn!(%error, "a scratch directory stays");
        }
    }
}

/// What facts say lies in these tables; the others hold the tail, counters and retention's own notes.
fn compared() -> [KeyRange; 3] {
    let between = |first: Table, last: Table| KeyRange { from: first.all().from, to: last.all().to };
    [
        Table::PlanAdopted.all(),
        between(Table::Builder, Table::BuildNumber),
        between(Table::BuildOfWorker, Table::Undelivered),
    ]
}

fn compare(
    (expected, found): (&dyn Backend, &dyn Backend),
    removed: &[Removal],
    report: &mut CheckReport,
    on_progress: OnProgress<'_>,
) -> Result<(), StoreError> {
    let (facts, records) = (last_seq(expected)?, last_seq(found)?);
    if facts != records {
        report.facts_lack = true;
        report.problems.push(format!("packs and journal end with fact {facts}, the database with fact {records}"));
    }
    let (mut differences, mut told) = (0_usize, 0_usize);
    // What no fact tells of is as much as a lost pack held: it is counted, and the first is named.
    let mut untold: Option<(String, usize)> = None;
    for range in compared() {
        let mut difference = |key: &[u8], what: Difference| {
            differences += 1;
            report.facts_lack |= what == Difference::OnlyFound && is_history(key, removed);
            let words = match what {
                Difference::OnlyFound => {
                    untold.get_or_insert_with(|| (describe(key), 0)).1 += 1;
                    return;
                }
                Difference::OnlyExpected => "missing in the database",
                Difference::Other => "differs from what the facts tell",
            };
            told += 1;
            if told <= TOLD_MAX {
                report.problems.push(format!("{}: {words}", describe(key)));
            }
        };
        let (mut left, mut right) = (Walk::new(expected, &range), Walk::new(found, &range));
        loop {
            match (left.peek()?, right.peek()?) {
                (None, None) => break,
                (Some((key, _)), None) => {
                    difference(key, Difference::OnlyExpected);
                    left.advance();
                }
                (None, Some((key, _))) => {
                    if !is_orphan(key) {
                        difference(key, Difference::OnlyFound);
                    }
                    right.advance();
                }
                (Some((wanted, _)), Some((key, _))) if wanted < key => {
                    difference(wanted, Difference::OnlyExpected);
                    left.advance();
                }
                (Some((wanted, _)), Some((key, _))) if wanted > key => {
                    if !is_orphan(key) {
                        difference(key, Difference::OnlyFound);
                    }
                    right.advance();
                }
                (Some((key, wanted)), Some((_, value))) => {
                    if wanted != value {
                        difference(key, Difference::Other);
                    }
                    left.advance();
                    right.advance();
                }
            }
            report.records += 1;
            if report.records.is_multiple_of(PROGRESS_EVERY) {
                on_progress(Progress { what: "records", done: report.records, total: None });
            }
        }
    }
    // Removals may be lost with a file, even where the facts have their second copy.
    report.facts_lack |= report.has_gaps && differences > 0;
    // Facts that are lost make records differ and lack, too; the other way round they would be more, not less.
    report.database_lacks |= differences > 0 && !report.facts_lack;
    if told > TOLD_MAX {
        report.problems.push(format!("{} further records differ", told - TOLD_MAX));
    }
    report.problems.extend(untold.map(|(first, number)| match number {
        1 => format!("{first}: in the database, but no fact tells of it"),
        _ => format!("{number} records are in the database, but no fact tells of them; the first is {first}"),
    }));
    Ok(())
}

/// Whether a record that no fact tells of shows that facts were lost. Other records follow from these; and a damaged database
/// may bring back what retention removed.
fn is_history(key: &[u8], removed: &[Removal]) -> bool {
    let Some(id) = key.get(1..9).and_then(|id| <[u8; 8]>::try_from(id).ok()).map(u64::from_be_bytes) else {
        return false;
    };
    let table = |table: Table| key[0] == table.byte();
    if table(Table::Build) || table(Table::Step) {
        !removed.contains(&Removal::Build(BuildId(id)))
    } else if table(Table::Request) {
        !removed.contains(&Removal::Request(RequestId(id)))
    } else if table(Table::Buildset) {
        !removed.contains(&Removal::Buildset(BuildsetId(id)))
    } else {
        table(Table::Change) || table(Table::PlanAdopted)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Difference {
    OnlyExpected,
    OnlyFound,
    Other,
}

/// A compaction drops the facts of removed buildsets; source stamps that only those named stay in the database.
fn is_orphan(key: &[u8]) -> bool {
    key.first() == Some(&Table::Stamp.byte())
}

/// Walks over a range without holding it.
struct Walk<'a> {
    backend: &'a dyn Backend,
    rest: KeyRange,
    loaded: std::collections::VecDeque<Pair>,
    is_over: bool,
}

impl<'a> Walk<'a> {
    fn new(backend: &'a dyn Backend, range: &KeyRange) -> Self {
        Self { backend, rest: range.clone(), loaded: std::collections::VecDeque::new(), is_over: false }
    }

    fn peek(&mut self) -> Result<Option<&Pair>, StoreError> {
        if self.loaded.is_empty() && !self.is_over {
            let pairs = self.backend.scan(&self.rest, Direction::Ascending, COMPARED_AT_ONCE)?;
            self.is_over = pairs.len() < COMPARED_AT_ONCE;
            if let Some((last, _)) = pairs.last() {
                // The next possible key.
                self.rest.from = [last.as_slice(), &[0]].concat();
            }
            self.loaded = pairs.into();
        }
        Ok(self.loaded.front())
    }

    fn advance(&mut self) {
        self.loaded.pop_front();
    }
}

fn describe(key: &[u8]) -> String {
    let numbers: Vec<String> = key[1..]
        .chunks(8)
        .map(|part| {
            <[u8; 8]>::try_from(part).map_or_else(
                |_| String::from_utf8_lossy(part).into_owned(),
                |bytes| u64::from_be_bytes(bytes).to_string(),
            )
        })
        .collect();
    let table = Table::ALL.iter().find(|table| table.byte() == key[0]);
    format!(
        "{} {}",
        table.map_or_else(|| "an unknown table".to_owned(), |table| format!("{table:?}")),
        numbers.join(" / ")
    )
}

fn check_logs(
    directory: &Directory,
    removed: &[Removal],
    report: &mut CheckReport,
    on_progress: OnProgress<'_>,
) -> Result<(), StoreError> {
    let mut files = FilesOfLogs::default();
    for (_, path) in packs::packs(&directory.packs())? {
        packs::read(&path, Wanted::Logs, &mut |read| {
            match read {
                Read::Log(build, log, text) => {
                    report.log_files += 1;
                    if !inspect_packed(&text) {
                        report.problems.push(format!("`{}`: log {log} of build {build} is damaged", path.display()));
                    }
                }
                Read::Files(found) => files.add(found),
                // Told of already.
                Read::Facts(_) | Read::Removals(_) | Read::Damage(_) => {}
            }
            Ok(())
        })?;
    }
    report.problems.extend(files.missing(directory, removed)?);
    for (_, path) in journal::segments(&directory.journal())? {
        journal::read(&path, |read| {
            if let JournalRead::Entry(entry, place) = read
                && entry.logs(&place).map_or(true, |plain| records(&plain).is_none())
            {
                report.problems.push(format!("{place}: parts of logs are damaged"));
            }
            Ok(())
        })?;
    }
    for build in builds(directory)? {
        let dir = directory.build(build);
        for name in log_files(&dir)? {
            let path = dir.join(name);
            let file = File::open(&path).map_err(StoreError::io("open", &path))?;
            report.problems.extend(inspect_file(&file, &path)?);
            report.log_files += 1;
            if report.log_files.is_multiple_of(PROGRESS_EVERY) {
                on_progress(Progress { what: "log files", done: report.log_files, total: None });
            }
        }
    }
    on_progress(Progress { what: "log files", done: report.log_files, total: Some(report.log_files) });
    Ok(())
}
