//! Reclaiming the space of what is gone.
//!
//! sled never shrinks, so its content is copied into a new database. Packs are written anew without what was removed. Both grow beside
//! the old ones and take their place when they are whole.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::{Progress, TELL_EVERY, Tell, open_database, open_trusted, settle, take_existing};
use crate::model::{Event, Fact};
use crate::store::StoreError;
use crate::store::backend::{Backend, Batch, Order};
use crate::store::folder::{Folder, make_dir, remove_all};
use crate::store::journal::FactGroup;
use crate::store::packs::{self, PackWriter, Packs, Read, Wanted};
use crate::store::retire::RetiredEntry;
use crate::store::snapshot::Snapshots;
use crate::store::told::{read_facts, read_removals};

/// Records copied in one batch.
const BATCH_RECORDS: usize = 2000;

/// What a compaction gained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Bytes of the database, the packs and the journal before.
    pub bytes_before: u64,
    /// And after.
    pub bytes_after: u64,
    /// Facts left out, because what they speak of was removed.
    pub facts_dropped: u64,
}

/// Makes the store in `dir` as small as its content. A crash at any moment leaves the old or the new state.
pub fn compact(dir: &Path, tell: Tell<'_>) -> Result<CompactReport, StoreError> {
    {
        let (folder, _lock, _) = take_existing(dir)?;
        // Refuses a damaged database: what it holds may be more than the facts tell.
        open_trusted(&folder)?;
    }
    let mut report = CompactReport { bytes_before: size(&Folder::new(dir))?, ..CompactReport::default() };
    settle(dir)?;
    let (folder, _lock, _) = take_existing(dir)?;
    {
        let backend = open_trusted(&folder)?;
        copy_database(&folder, &backend, tell)?;
    }
    folder.swap(&folder.sled())?;
    report.facts_dropped = rewrite_packs(&folder, tell)?;
    folder.swap(&folder.packs())?;
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
        let Some((last, _)) = pairs.last() else { return Ok(()) };
        range.from = [last.as_slice(), &[0]].concat();
        done += u64::try_from(pairs.len()).unwrap_or(0);
        to.apply(Batch { writes: pairs.into_iter().map(|(key, value)| (key, Some(value))).collect() })?;
        tell(Progress { what: "records", done, total: None });
    }
}

fn rewrite_packs(folder: &Folder, tell: Tell<'_>) -> Result<u64, StoreError> {
    let growing = folder.growing(&folder.packs());
    remove_all(&growing)?;
    make_dir(&growing)?;
    let removals = read_removals(folder)?;
    let mut gone = Gone::find(folder, &removals)?;
    let old = Packs::open(&folder.packs())?;
    let (mut dropped, mut done) = (0, 0);
    let paths = packs::packs(&folder.packs())?;
    for (number, path) in &paths {
        let mut pack = PackWriter::begin(&growing, *number)?;
        packs::read(path, Wanted::Everything, &mut |read| match read {
            Read::Facts(group) => {
                let facts = group.facts(&path.display().to_string())?;
                let before = facts.len();
                let kept: Vec<Arc<Fact>> = facts.into_iter().filter(|fact| !gone.has(fact)).map(Arc::new).collect();
                dropped += u64::try_from(before - kept.len()).unwrap_or(0);
                done += TELL_EVERY.min(group.last - group.first + 1);
                tell(Progress { what: "facts", done, total: None });
                FactGroup::of(&kept).map_or(Ok(()), |group| pack.facts(&group))
            }
            Read::Log(build, log, text) => {
                // One that is removed, or has a newer form elsewhere, is not found as this one.
                let is_current = old.log(build, log)?.is_some_and(|current| current == text);
                if is_current { pack.log(build, log, &text) } else { Ok(()) }
            }
            // Written once below: what a rebuild still has to take out.
            Read::Removals(_) => Ok(()),
            Read::Damage(words) => {
                tracing::warn!(words, "a damaged place of a pack is left out");
                Ok(())
            }
        })?;
        if paths.last().is_some_and(|(last, _)| last == number) {
            pack.removals(&gone.still_needed(removals.clone()))?;
        }
        pack.finish()?;
    }
    Ok(dropped)
}

/// What retention removed, as a whole and before the oldest snapshot: who folds facts onto a snapshot needs every fact after it.
struct Gone {
    builds: BTreeSet<u64>,
    buildsets: BTreeSet<u64>,
    /// Requests of those buildsets.
    requests: BTreeSet<u64>,
    /// The fact of the oldest snapshot.
    covered: u64,
    /// The last fact, which is kept in any case: it tells where the facts end.
    last: u64,
}

impl Gone {
    fn find(folder: &Folder, removals: &[RetiredEntry]) -> Result<Self, StoreError> {
        let snapshots = Snapshots::Files(folder.snapshots());
        let covered = snapshots.whole()?.next().map_or(u64::MAX, |(seq, _)| seq);
        let last = packs::last_packed(&folder.packs())?;
        let (mut builds, mut buildsets) = (BTreeSet::new(), BTreeSet::new());
        for entry in removals {
            match entry {
                RetiredEntry::Build(build) => builds.extend([build.0]),
                RetiredEntry::Buildset(buildset) => buildsets.extend([buildset.0]),
                RetiredEntry::Request(_) | RetiredEntry::Logs(_) => {}
            }
        }
        let mut gone = Self { builds, buildsets, requests: BTreeSet::new(), covered, last };
        // What goes on after the snapshot keeps all its facts, and so does what the last fact belongs to.
        read_facts(folder, covered.min(last.saturating_sub(1)), &mut |fact| {
            if let Some(build) = fact.event.build() {
                gone.builds.remove(&build.0);
            }
            if let Event::BuildsetMade { buildset, .. } = &fact.event {
                gone.buildsets.remove(&buildset.id.0);
            }
            if let Event::BuildsetEnded { buildset, .. } = &fact.event {
                gone.buildsets.remove(&buildset.0);
            }
            Ok(())
        })?;
        Ok(gone)
    }

    /// Whether a fact speaks of nothing but removed things. Asked in the order of facts: requests are known by their
    /// buildset.
    fn has(&mut self, fact: &Fact) -> bool {
        if fact.seq > self.covered || fact.seq == self.last {
            return false;
        }
        if let Some(build) = fact.event.build() {
            return self.builds.contains(&build.0);
        }
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
    fn still_needed(&self, entries: Vec<RetiredEntry>) -> Vec<RetiredEntry> {
        let is_needed = |entry: &RetiredEntry| match entry {
            RetiredEntry::Build(build) | RetiredEntry::Logs(build) => !self.builds.contains(&build.0),
            RetiredEntry::Request(request) => !self.requests.contains(&request.0),
            RetiredEntry::Buildset(buildset) => !self.buildsets.contains(&buildset.0),
        };
        let mut seen = BTreeSet::new();
        entries.into_iter().filter(|entry| is_needed(entry) && seen.insert(entry.clone())).collect()
    }
}

fn size(folder: &Folder) -> Result<u64, StoreError> {
    Ok(size_below(&folder.sled())? + size_below(&folder.packs())? + size_below(&folder.journal())?)
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
