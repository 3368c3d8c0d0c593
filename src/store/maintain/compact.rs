//! Giving back the room of what is gone.
//!
//! sled never shrinks, so its content is copied into a new database. Facts about removed requests and buildsets are left out of
//! the segments of `facts/`. Both are written beside the old ones and take their place when they are whole.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{Progress, TELL_EVERY, Tell, open_database, open_trusted, take_existing};
use crate::model::{Event, Fact};
use crate::store::StoreError;
use crate::store::backend::{Backend, Batch, Order};
use crate::store::facts::{FactReader, Fences, SegmentWriter, read_removals, write_removals};
use crate::store::folder::{Folder, make_dir, remove_all, sync_dir};
use crate::store::project::last_seq;
use crate::store::retire::RetiredEntry;
use crate::store::settle::key;
use crate::store::snapshot::Snapshots;

/// Records copied in one batch.
const BATCH_RECORDS: usize = 2000;

/// What a compaction gained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Bytes of the database and the segments of facts before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
    /// Facts left out, because what they speak of was removed.
    pub facts_dropped: u64,
}

/// Makes the store in `dir` as small as its content. A crash at any moment leaves the old or the new state.
pub fn compact(dir: &Path, tell: Tell<'_>) -> Result<CompactReport, StoreError> {
    let (folder, _lock, _) = take_existing(dir)?;
    let mut report = CompactReport::default();
    let last = {
        let backend = open_trusted(&folder)?;
        report.bytes_before = size(&folder)?;
        copy_database(&folder, &backend, tell)?;
        last_seq(&backend)?
    };
    folder.swap(&folder.sled())?;
    report.facts_dropped = rewrite_facts(&folder, last, tell)?;
    folder.swap(&folder.facts())?;
    report.bytes_after = size(&folder)?;
    Ok(report)
}

fn copy_database(folder: &Folder, from: &dyn Backend, tell: Tell<'_>) -> Result<(), StoreError> {
    let growing = folder.growing(&folder.sled());
    remove_all(&growing)?;
    let to = open_database(&growing)?;
    let mut range = crate::store::backend::KeyRange { from: Vec::new(), to: vec![0xff] };
    let mut done = 0;
    loop {
        let pairs = from.scan(&range, Order::Ascending, BATCH_RECORDS)?;
        let Some((last, _)) = pairs.last() else {
            // The journal of removals is written anew, so places in it mean nothing.
            return to.apply(Batch { writes: [(key(), None)].into() });
        };
        range.from = [last.as_slice(), &[0]].concat();
        done += u64::try_from(pairs.len()).unwrap_or(0);
        to.apply(Batch { writes: pairs.into_iter().map(|(key, value)| (key, Some(value))).collect() })?;
        tell(Progress { what: "records", done, total: None });
    }
}

fn rewrite_facts(folder: &Folder, last: u64, tell: Tell<'_>) -> Result<u64, StoreError> {
    let growing = folder.growing(&folder.facts());
    remove_all(&growing)?;
    make_dir(&growing)?;
    let removals = read_removals(&folder.facts())?;
    let mut gone = Gone::find(folder, &removals, last)?;
    let mut fences = Fences::read(&folder.facts())?;
    fences.copy_to(&growing)?;
    // All that is written from here on is confirmed.
    let incarnation = fences.begin(&growing, last)?;
    let mut writer = SegmentWriter::new(&growing, incarnation);
    let mut reader = FactReader::segments(folder, last)?;
    let (mut dropped, mut done) = (0, 0);
    while let Some(fact) = reader.next()? {
        done += 1;
        if done % TELL_EVERY == 0 {
            tell(Progress { what: "facts", done, total: None });
        }
        if gone.has(&fact) {
            dropped += 1;
        } else {
            writer.push(fact)?;
        }
    }
    writer.finish()?;
    write_removals(&growing, &gone.still_needed(folder, removals))?;
    sync_dir(&growing)?;
    Ok(dropped)
}

/// What retention removed, as a whole and before the oldest snapshot: who folds facts onto a snapshot needs every fact
/// about what is open in it.
struct Gone {
    buildsets: BTreeSet<u64>,
    /// Requests whose buildset is gone as a whole.
    requests: BTreeSet<u64>,
}

impl Gone {
    fn find(folder: &Folder, entries: &[RetiredEntry], last: u64) -> Result<Self, StoreError> {
        let removed: BTreeSet<u64> = entries
            .iter()
            .filter_map(|entry| match entry {
                RetiredEntry::Buildset(buildset) => Some(buildset.0),
                RetiredEntry::Build(_) | RetiredEntry::Request(_) | RetiredEntry::Logs(_) => None,
            })
            .collect();
        let snapshots = Snapshots::Files(folder.snapshots());
        let covered = snapshots.whole()?.next().map_or(u64::MAX, |(seq, _)| seq);
        let mut buildsets = BTreeSet::new();
        let mut reader = FactReader::segments(folder, last)?;
        while let Some(fact) = reader.next()? {
            match fact.event {
                Event::BuildsetEnded { buildset, .. } if fact.seq <= covered && removed.contains(&buildset.0) => {
                    buildsets.insert(buildset.0);
                }
                _ => {}
            }
        }
        Ok(Self { buildsets, requests: BTreeSet::new() })
    }

    /// Whether a fact speaks of nothing but removed things. Asked in the order of facts: requests are known by their
    /// buildset.
    fn has(&mut self, fact: &Fact) -> bool {
        match &fact.event {
            Event::BuildsetMade { buildset, requests } if self.buildsets.contains(&buildset.id.0) => {
                self.requests.extend(requests.iter().map(|request| request.id.0));
                true
            }
            Event::BuildsetEnded { buildset, .. } => self.buildsets.contains(&buildset.0),
            Event::RequestCollapsed { request, .. }
            | Event::RequestPriority { request, .. }
            | Event::RequestEnded { request, .. }
            | Event::RequestWaits { request, .. } => self.requests.contains(&request.0),
            _ => false,
        }
    }

    /// The removals that a rebuild still has to repeat: no fact is left that would bring the others back.
    fn still_needed(&self, folder: &Folder, entries: Vec<RetiredEntry>) -> Vec<RetiredEntry> {
        let is_needed = |entry: &RetiredEntry| match entry {
            RetiredEntry::Build(build) | RetiredEntry::Logs(build) => folder.build(*build).exists(),
            RetiredEntry::Request(request) => !self.requests.contains(&request.0),
            RetiredEntry::Buildset(buildset) => !self.buildsets.contains(&buildset.0),
        };
        entries.into_iter().filter(is_needed).collect()
    }
}

fn size(folder: &Folder) -> Result<u64, StoreError> {
    Ok(size_below(&folder.sled())? + size_below(&folder.facts())?)
}

fn size_below(dir: &Path) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
        let entry = entry.map_err(StoreError::io("list", dir))?;
        let found = entry.metadata().map_err(StoreError::io("look at", &entry.path()))?;
        bytes += if found.is_dir() { size_below(&entry.path())? } else { found.len() };
    }
    Ok(bytes)
}
