//! A store into a dump.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::dump::{Counts, DumpReport, DumpWriter, Item};
use super::{Progress, TELL_EVERY, Tell, open_trusted, take_existing};
use crate::store::configs::Configs;
use crate::store::facts::{FactReader, builds, read_removals};
use crate::store::folder::Folder;
use crate::store::frame;
use crate::store::logs::log_files;
use crate::store::project::last_seq;
use crate::store::snapshot::Snapshots;
use crate::store::{Logs, StoreError};

/// Files of logs are dumped in pieces of this size, so that neither side holds more.
const PIECE_BYTES: u64 = 1 << 20;

/// Writes everything that the store in `dir` holds to `out`.
///
/// Log parts that a killed master wrote ahead are put into their logs first; nothing else is changed.
pub fn export(dir: &Path, out: &mut dyn Write, tell: Tell<'_>) -> Result<DumpReport, StoreError> {
    let (folder, _lock, format) = take_existing(dir)?;
    Logs::settle(&folder)?;
    let last = last_seq(&open_trusted(&folder)?)?;
    let mut dump = DumpWriter::begin(out)?;
    let mut counts = Counts::default();
    dump.put(&Item::Begin { installation: format.installation, last_fact: last })?;
    put_small_files(&folder, &mut dump, &mut counts)?;
    let damage = put_facts(&folder, last, &mut dump, &mut counts, tell)?;
    dump.put(&Item::Removed(read_removals(&folder.facts())?))?;
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

fn put_facts(
    folder: &Folder,
    last: u64,
    dump: &mut DumpWriter<'_>,
    counts: &mut Counts,
    tell: Tell<'_>,
) -> Result<Vec<String>, StoreError> {
    let mut reader = FactReader::open(folder)?;
    while let Some(fact) = reader.next()? {
        // A flush that reached the files and not the database never became true.
        if fact.seq > last {
            continue;
        }
        dump.put(&Item::Fact(fact))?;
        counts.facts += 1;
        if counts.facts.is_multiple_of(TELL_EVERY) {
            tell(Progress { what: "facts", done: counts.facts, total: None });
        }
    }
    tell(Progress { what: "facts", done: counts.facts, total: Some(counts.facts) });
    Ok(reader.findings().damage.clone())
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
