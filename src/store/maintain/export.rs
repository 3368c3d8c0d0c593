//! A store into a dump.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::dump::{Counts, DumpReport, DumpWriter, Item};
use super::files_of_logs::FilesOfLogs;
use super::{OnProgress, PROGRESS_EVERY, Progress, contents, open_trusted, settle, take_existing};
use crate::model::{BuildId, LogId, LogKind, LogRecord};
use crate::store::StoreError;
use crate::store::backend::{Backend, Direction};
use crate::store::codec::decode;
use crate::store::configs::Configs;
use crate::store::directory::{Directory, builds};
use crate::store::facts::{read_facts, read_removals};
use crate::store::frame;
use crate::store::key::Table;
use crate::store::logs::{log_file, log_files};
use crate::store::packs::{self, PackCache, Read, Wanted};
use crate::store::project::last_seq;
use crate::store::removal::Removal;
use crate::store::snapshot::Snapshots;

/// Files of logs are dumped in pieces of this size, so that neither side holds more.
const PIECE_BYTES: u64 = 1 << 20;

/// Records looked at together.
const RECORDS_AT_ONCE: usize = 1000;

/// Writes everything that the store in `dir` holds to `out`.
///
/// What the journal has is brought to where it stays first; nothing else is changed.
pub fn export(dir: &Path, out: &mut dyn Write, on_progress: OnProgress<'_>) -> Result<DumpReport, StoreError> {
    {
        let (directory, _lock, _) = take_existing(dir)?;
        // A damaged database is refused and left alone: what it holds may be more than the facts tell.
        open_trusted(&directory)?;
    }
    settle(dir)?;
    let (directory, _lock, format) = take_existing(dir)?;
    let records = open_trusted(&directory)?;
    let last = last_seq(&records)?;
    let mut dump = DumpWriter::begin(out)?;
    let mut counts = Counts::default();
    dump.put(&Item::Begin { installation: format.installation, last_fact: last })?;
    put_small_files(&directory, &mut dump, &mut counts)?;
    let removals = read_removals(&directory)?;
    let (mut damage, facts_lost) = put_facts(&directory, (last, &removals), &mut dump, &mut counts, on_progress)?;
    dump.put(&Item::Removed(removals.clone()))?;
    let (mut held, mut files) = (BTreeSet::new(), FilesOfLogs::default());
    let damaged_logs = put_short_logs(&directory, (&mut held, &mut files), &mut dump, &mut counts)?;
    let untold = damaged_logs.into_iter().filter(|words| !damage.contains(words)).collect::<Vec<_>>();
    damage.extend(untold);
    put_logs(&directory, &mut held, &mut dump, &mut counts, on_progress)?;
    contents::put(&directory, &records, &mut dump, &mut counts)?;
    damage.extend(files.missing(&directory, &removals)?);
    if !damage.is_empty() {
        damage.extend(words_of_lost_logs(lost_logs(&records, &held)?));
    }
    dump.end(counts)?;
    Ok(DumpReport { facts_lost, ..counts.report(damage) })
}

fn put_small_files(directory: &Directory, dump: &mut DumpWriter<'_>, counts: &mut Counts) -> Result<(), StoreError> {
    let configs = Configs::Files(directory.configs());
    for digest in configs.digests()? {
        if let Some(bytes) = configs.get(&digest)? {
            dump.put(&Item::Config { digest, bytes: bytes.into() })?;
            counts.configs += 1;
        }
    }
    for (seq, bytes) in Snapshots::Files(directory.snapshots()).whole()? {
        dump.put(&Item::Snapshot { seq, bytes: bytes.into() })?;
    }
    Ok(())
}

/// Returns what is damaged, and how many facts are lost. Facts of removed builds are left out, except for the last fact: it tells
/// where the facts end.
fn put_facts(
    directory: &Directory,
    (last, removals): (u64, &[Removal]),
    dump: &mut DumpWriter<'_>,
    counts: &mut Counts,
    on_progress: OnProgress<'_>,
) -> Result<(Vec<String>, u64), StoreError> {
    let removed: BTreeSet<BuildId> = removals
        .iter()
        .filter_map(|entry| match entry {
            Removal::Build(build) => Some(*build),
            Removal::Request(_) | Removal::Buildset(_) | Removal::Logs(_) | Removal::Artifacts(_) => None,
        })
        .collect();
    let findings = read_facts(directory, 0, &mut |fact| {
        let is_gone = fact.event.build().is_some_and(|build| removed.contains(&build));
        if is_gone && fact.seq != last {
            return Ok(());
        }
        dump.put(&Item::Fact(fact))?;
        counts.facts += 1;
        if counts.facts.is_multiple_of(PROGRESS_EVERY) {
            on_progress(Progress { what: "facts", done: counts.facts, total: None });
        }
        Ok(())
    })?;
    on_progress(Progress { what: "facts", done: counts.facts, total: Some(counts.facts) });
    let mut damage = findings.damage;
    damage.extend(findings.missing);
    if findings.last < last {
        damage.push(format!("packs and journal end with fact {}, the database with fact {last}", findings.last));
    }
    Ok((damage, findings.lost + last.saturating_sub(findings.last)))
}

/// Logs by build and number.
type LogSet = BTreeSet<(BuildId, LogId)>;

/// How many logs have no lines in the dump. The records do not tell which of them were empty.
fn lost_logs(records: &dyn Backend, held: &LogSet) -> Result<usize, StoreError> {
    let (mut range, mut lost) = (Table::Log.all(), 0);
    loop {
        let pairs = records.scan(&range, Direction::Ascending, RECORDS_AT_ONCE)?;
        let Some((last, _)) = pairs.last() else { return Ok(lost) };
        range.from = [last.as_slice(), &[0]].concat();
        for (_, bytes) in pairs {
            let log: LogRecord = decode(&bytes, "the record of a log")?;
            lost += usize::from(log.kind != LogKind::Deleted && !held.contains(&(log.build, log.id)));
        }
    }
}

fn words_of_lost_logs(lost: usize) -> Option<String> {
    match lost {
        0 => None,
        1 => Some("1 log has no lines in the dump: they are lost, unless it was empty".to_owned()),
        _ => Some(format!("{lost} logs have no lines in the dump: they are lost, unless those logs were empty")),
    }
}

fn put_short_logs(
    directory: &Directory,
    (held, files): (&mut LogSet, &mut FilesOfLogs),
    dump: &mut DumpWriter<'_>,
    counts: &mut Counts,
) -> Result<Vec<String>, StoreError> {
    let current = PackCache::open(&directory.packs())?;
    let mut damage = Vec::new();
    for (_, path) in packs::packs(&directory.packs())? {
        packs::read(&path, Wanted::Logs, &mut |read| {
            match read {
                // One that is removed, or has a newer form elsewhere, is not found as this one.
                Read::Log(build, log, text) if current.log(build, log)?.is_some_and(|current| current == text) => {
                    counts.log_files += 1;
                    counts.log_bytes += u64::try_from(text.len()).unwrap_or(0);
                    held.insert((BuildId(build), LogId(log)));
                    dump.put(&Item::ShortLog { build: BuildId(build), log, bytes: text.into() })?;
                }
                Read::Damage(words) => damage.push(words),
                Read::Files(found) => files.add(found),
                Read::Log(..) | Read::Facts(_) | Read::Removals(_) => {}
            }
            Ok(())
        })?;
    }
    Ok(damage)
}

fn put_logs(
    directory: &Directory,
    held: &mut LogSet,
    dump: &mut DumpWriter<'_>,
    counts: &mut Counts,
    on_progress: OnProgress<'_>,
) -> Result<(), StoreError> {
    for build in builds(directory)? {
        let dir = directory.build(build);
        for name in log_files(&dir)? {
            let path = dir.join(&name);
            let file = File::open(&path).map_err(StoreError::io("open", &path))?;
            let length = file.metadata().map_err(StoreError::io("look at", &path))?.len();
            if length == 0 {
                continue;
            }
            let mut at = 0;
            while at < length {
                let piece = (length - at).min(PIECE_BYTES);
                let mut bytes = vec![0; usize::try_from(piece).expect("pieces are small")];
                frame::read_exact_at(&file, &mut bytes, at).map_err(StoreError::io("read", &path))?;
                dump.put(&Item::LogFile { build, name: name.clone(), at, bytes: bytes.into() })?;
                at += piece;
            }
            held.extend(log_file(&path, length).map(|file| (build, LogId(file.log))));
            counts.log_bytes += length;
            counts.log_files += 1;
            if counts.log_files.is_multiple_of(PROGRESS_EVERY) {
                on_progress(Progress { what: "log files", done: counts.log_files, total: None });
            }
        }
    }
    on_progress(Progress { what: "log files", done: counts.log_files, total: Some(counts.log_files) });
    Ok(())
}
