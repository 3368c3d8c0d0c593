//! A store into a dump.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::dump::{Counts, DumpReport, DumpWriter, Item};
use super::{Progress, TELL_EVERY, Tell, open_trusted, settle, take_existing};
use crate::model::BuildId;
use crate::store::StoreError;
use crate::store::configs::Configs;
use crate::store::folder::{Folder, builds};
use crate::store::frame;
use crate::store::logs::log_files;
use crate::store::packs::{self, Packs, Read, Wanted};
use crate::store::project::last_seq;
use crate::store::retire::RetiredEntry;
use crate::store::snapshot::Snapshots;
use crate::store::told::{read_facts, read_removals};

/// Files of logs are dumped in pieces of this size, so that neither side holds more.
const PIECE_BYTES: u64 = 1 << 20;

/// Writes everything that the store in `dir` holds to `out`.
///
/// What the journal has is brought to where it stays first; nothing else is changed.
pub fn export(dir: &Path, out: &mut dyn Write, tell: Tell<'_>) -> Result<DumpReport, StoreError> {
    {
        let (folder, _lock, _) = take_existing(dir)?;
        // A damaged database is refused and left alone: what it holds may be more than the facts tell.
        open_trusted(&folder)?;
    }
    settle(dir)?;
    let (folder, _lock, format) = take_existing(dir)?;
    let last = last_seq(&open_trusted(&folder)?)?;
    let mut dump = DumpWriter::begin(out)?;
    let mut counts = Counts::default();
    dump.put(&Item::Begin { installation: format.installation, last_fact: last })?;
    put_small_files(&folder, &mut dump, &mut counts)?;
    let removals = read_removals(&folder)?;
    let mut damage = put_facts(&folder, (last, &removals), &mut dump, &mut counts, tell)?;
    dump.put(&Item::Removed(removals))?;
    damage.extend(put_short_logs(&folder, &mut dump, &mut counts)?);
    put_logs(&folder, &mut dump, &mut counts, tell)?;
    dump.end(counts)?;
    Ok(counts.report(damage))
}

fn put_small_files(folder: &Folder, dump: &mut DumpWriter<'_>, counts: &mut Counts) -> Result<(), StoreError> {
    let configs = Configs::Files(folder.configs());
    for digest in configs.digests()? {
        if let Some(bytes) = configs.get(&digest)? {
            dump.put(&Item::Config { digest, bytes: bytes.into() })?;
            counts.configs += 1;
        }
    }
    for (seq, bytes) in Snapshots::Files(folder.snapshots()).whole()? {
        dump.put(&Item::Snapshot { seq, bytes: bytes.into() })?;
    }
    Ok(())
}

/// Facts of removed builds are left out, except for the last fact: it tells where the facts end.
fn put_facts(
    folder: &Folder,
    (last, removals): (u64, &[RetiredEntry]),
    dump: &mut DumpWriter<'_>,
    counts: &mut Counts,
    tell: Tell<'_>,
) -> Result<Vec<String>, StoreError> {
    let removed: BTreeSet<BuildId> = removals
        .iter()
        .filter_map(|entry| match entry {
            RetiredEntry::Build(build) => Some(*build),
            RetiredEntry::Request(_) | RetiredEntry::Buildset(_) | RetiredEntry::Logs(_) => None,
        })
        .collect();
    let findings = read_facts(folder, 0, &mut |fact| {
        let is_gone = fact.event.build().is_some_and(|build| removed.contains(&build));
        if is_gone && fact.seq != last {
            return Ok(());
        }
        dump.put(&Item::Fact(fact))?;
        counts.facts += 1;
        if counts.facts.is_multiple_of(TELL_EVERY) {
            tell(Progress { what: "facts", done: counts.facts, total: None });
        }
        Ok(())
    })?;
    tell(Progress { what: "facts", done: counts.facts, total: Some(counts.facts) });
    Ok(findings.damage)
}

fn put_short_logs(folder: &Folder, dump: &mut DumpWriter<'_>, counts: &mut Counts) -> Result<Vec<String>, StoreError> {
    let current = Packs::open(&folder.packs())?;
    let mut damage = Vec::new();
    for (_, path) in packs::packs(&folder.packs())? {
        packs::read(&path, Wanted::Logs, &mut |read| {
            match read {
                // One that is removed, or has a newer form elsewhere, is not found as this one.
                Read::Log(build, log, text) if current.log(build, log)?.is_some_and(|current| current == text) => {
                    counts.log_files += 1;
                    counts.log_bytes += u64::try_from(text.len()).unwrap_or(0);
                    dump.put(&Item::ShortLog { build: BuildId(build), log, bytes: text.into() })?;
                }
                Read::Damage(words) => damage.push(words),
                Read::Log(..) | Read::Facts(_) | Read::Removals(_) => {}
            }
            Ok(())
        })?;
    }
    Ok(damage)
}

fn put_logs(folder: &Folder, dump: &mut DumpWriter<'_>, counts: &mut Counts, tell: Tell<'_>) -> Result<(), StoreError> {
    for build in builds(folder)? {
        let dir = folder.build(build);
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
            counts.log_bytes += length;
            counts.log_files += 1;
            if counts.log_files.is_multiple_of(TELL_EVERY) {
                tell(Progress { what: "log files", done: counts.log_files, total: None });
            }
        }
    }
    tell(Progress { what: "log files", done: counts.log_files, total: Some(counts.log_files) });
    Ok(())
}
