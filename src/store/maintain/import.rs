//! A dump into a new store.
//!
//! The store grows beside its place and is moved there when it is whole, so a cut dump leaves nothing behind that could be
//! mistaken for a store.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::dump::{Counts, DumpReader, DumpReport, Item, wrong};
use super::piece::write_piece;
use super::{OnProgress, PROGRESS_EVERY, Progress, contents, rebuild_database};
use crate::model::Fact;
use crate::store::StoreError;
use crate::store::configs::Configs;
use crate::store::directory::{Directory, Format, make_dir, remove_all, sync_dir};
use crate::store::journal::FactGroup;
use crate::store::logs::{is_log_file, log_file};
use crate::store::packs::{LogFile, PackWriter};
use crate::store::snapshot::Snapshots;

/// Facts encoded in one go.
const BATCH_FACTS: usize = 1000;

/// A pack is full with so many bytes, as those of a master are.
const PACK_BYTES: u64 = 8 << 20;

/// Makes a store in `dir`, which must be empty or missing, from a dump.
///
/// It equals the exported one, its installation id included: do not run both. If the dump lacks a fact after its newest
/// snapshot, everything after that fact is left out, because the state of the open work cannot be known beyond it; the report
/// names the fact under `damage`.
pub fn import(dir: &Path, input: &mut dyn Read, on_progress: OnProgress<'_>) -> Result<DumpReport, StoreError> {
    if !is_free(dir)? {
        return Err(StoreError::Occupied { dir: dir.to_owned() });
    }
    let growing = beside(dir);
    remove_all(&growing)?;
    let imported = fill(&Directory::new(&growing), input, on_progress).and_then(|report| {
        if dir.exists() {
            fs::remove_dir(dir).map_err(StoreError::io("remove", dir))?;
        }
        fs::rename(&growing, dir).map_err(StoreError::io("rename", &growing))?;
        Ok(report)
    });
    if imported.is_err() {
        remove_all(&growing)?;
    }
    imported
}

fn is_free(dir: &Path) -> Result<bool, StoreError> {
    match fs::read_dir(dir) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(StoreError::io("import into", dir)(error)),
    }
}

fn beside(dir: &Path) -> PathBuf {
    let name = dir.file_name().map_or_else(|| "store".into(), std::ffi::OsStr::to_os_string);
    let mut name = name;
    name.push(".importing");
    dir.with_file_name(name)
}

fn fill(directory: &Directory, input: &mut dyn Read, on_progress: OnProgress<'_>) -> Result<DumpReport, StoreError> {
    for dir in [directory.journal(), directory.packs(), directory.builds(), directory.snapshots(), directory.configs()]
    {
        make_dir(&dir)?;
    }
    let mut reader = DumpReader::begin(input)?;
    let Item::Begin { installation, last_fact: _ } = reader.next()? else {
        return Err(wrong("its first item is no beginning"));
    };
    let mut filler = Filler::new(directory)?;
    let counts = loop {
        match reader.next()? {
            Item::End(counts) => break counts,
            item => filler.take(item, on_progress)?,
        }
    };
    filler.write_facts()?;
    if filler.counts != counts {
        return Err(wrong(format!("it should have {counts:?} and has {:?}", filler.counts)));
    }
    filler.pack.files(&filler.files.into_values().collect::<Vec<_>>())?;
    filler.pack.finish()?;
    let report = rebuild_database(directory, on_progress)?;
    Format { installation }.write(directory)?;
    sync_dir(directory.dir())?;
    let mut damage = report.damage;
    damage.extend(filler.gap.as_ref().map(Gap::words));
    let mut imported = counts.report(damage);
    imported.facts -= filler.gap.map_or(0, |gap| gap.left_out);
    Ok(imported)
}

/// A fact that the dump lacks after its newest snapshot.
struct Gap {
    missing: u64,
    /// How many facts came after it.
    left_out: u64,
}

impl Gap {
    fn words(&self) -> String {
        format!(
            "the dump lacks fact {}: {} after it {} left out, because open work cannot be restored beyond it",
            self.missing,
            if self.left_out == 1 { "the fact".to_owned() } else { format!("{} facts", self.left_out) },
            if self.left_out == 1 { "is" } else { "are" }
        )
    }
}

struct Filler<'a> {
    directory: &'a Directory,
    pack: PackWriter,
    number: u64,
    configs: Configs,
    snapshots: Snapshots,
    waiting: Vec<Arc<Fact>>,
    counts: Counts,
    /// The last fact that the newest snapshot covers. A dump has its snapshots before its facts.
    covered: u64,
    /// The last fact that was taken; 0 before the first.
    last: u64,
    /// The last fact that is in a pack.
    written: u64,
    /// Files of long logs.
    files: BTreeMap<(u64, u64, u64), LogFile>,
    gap: Option<Gap>,
}

impl<'a> Filler<'a> {
    fn new(directory: &'a Directory) -> Result<Self, StoreError> {
        Ok(Self {
            directory,
            pack: PackWriter::begin(&directory.packs(), 1)?,
            number: 1,
            configs: Configs::Files(directory.configs()),
            snapshots: Snapshots::Files(directory.snapshots()),
            waiting: Vec::new(),
            counts: Counts::default(),
            covered: 0,
            last: 0,
            written: 0,
            files: BTreeMap::new(),
            gap: None,
        })
    }

    fn take(&mut self, item: Item, on_progress: OnProgress<'_>) -> Result<(), StoreError> {
        match item {
            Item::Begin { .. } | Item::End(_) => Err(wrong("it begins twice")),
            Item::Config { digest, bytes } => {
                self.counts.configs += 1;
                self.configs.put(&digest, &bytes)
            }
            Item::Snapshot { seq, bytes } => {
                self.covered = self.covered.max(seq);
                self.snapshots.save(seq, &bytes).map(|_| ())
            }
            Item::Fact(fact) => {
                self.counts.facts += 1;
                if self.is_beyond_a_gap(fact.seq) {
                    return Ok(());
                }
                if self.counts.facts.is_multiple_of(PROGRESS_EVERY) {
                    on_progress(Progress { what: "facts", done: self.counts.facts, total: None });
                }
                self.waiting.push(Arc::new(fact));
                if self.waiting.len() >= BATCH_FACTS { self.write_facts() } else { Ok(()) }
            }
            Item::Removed(entries) => {
                self.write_facts()?;
                self.pack.removals(&entries)
            }
            Item::ShortLog { build, log, bytes } => {
                self.counts.log_files += 1;
                self.counts.log_bytes += u64::try_from(bytes.len()).unwrap_or(0);
                self.pack.log(build.0, log, &bytes)?;
                self.next_pack_if_full()
            }
            Item::Content { digest, at, bytes } => {
                self.counts.contents += u64::from(at == 0);
                contents::take(self.directory, &digest, at, &bytes)
            }
            Item::LogFile { build, name, at, bytes } => {
                if !is_log_file(&name) {
                    return Err(wrong(format!("`{name}` is no name of a log's file")));
                }
                self.counts.log_files += u64::from(at == 0);
                self.counts.log_bytes += u64::try_from(bytes.len()).unwrap_or(0);
                let path = self.directory.build(build).join(name);
                let file = log_file(&path, at + u64::try_from(bytes.len()).unwrap_or(0));
                self.files.extend(file.map(|file| ((file.build, file.log, file.number), file)));
                write_piece(&path, at, &bytes)
            }
        }
    }

    /// Notes whether a fact that the engine would need before this one is missing.
    fn is_beyond_a_gap(&mut self, fact: u64) -> bool {
        let expected = self.last.max(self.covered) + 1;
        self.last = fact;
        if self.gap.is_none() && fact > expected {
            self.gap = Some(Gap { missing: expected, left_out: 0 });
        }
        match &mut self.gap {
            Some(gap) => {
                gap.left_out += 1;
                true
            }
            None => false,
        }
    }

    fn write_facts(&mut self) -> Result<(), StoreError> {
        let facts = std::mem::take(&mut self.waiting);
        let Some(last) = facts.last().map(|fact| fact.seq) else { return Ok(()) };
        // What the dump lacks was left out by whoever wrote it: the new store has no gap.
        self.pack.facts(&FactGroup::rest_of(self.written + 1, last, &facts))?;
        self.written = last;
        self.next_pack_if_full()
    }

    fn next_pack_if_full(&mut self) -> Result<(), StoreError> {
        if self.pack.size() >= PACK_BYTES {
            self.number += 1;
            let next = PackWriter::begin(&self.directory.packs(), self.number)?;
            std::mem::replace(&mut self.pack, next).finish()?;
        }
        Ok(())
    }
}
