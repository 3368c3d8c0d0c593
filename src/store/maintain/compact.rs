//! Reclaiming the space of what is gone.
//!
//! sled never shrinks, so its content is copied into a new database. Packs are written anew without what was removed. Both grow beside
//! the old ones and take their place when they are whole.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::{OnProgress, PROGRESS_EVERY, Progress, open_database, open_trusted, settle, take_existing};
use crate::model::{Event, Fact};
use crate::store::StoreError;
use crate::store::backend::{Backend, Batch, Direction};
use crate::store::directory::{Directory, make_dir, remove_all};
use crate::store::facts::{read_facts, read_removals};
use crate::store::journal::FactGroup;
use crate::store::packs::{self, PackCache, PackWriter, Read, Wanted};
use crate::store::removal::Removal;
use crate::store::snapshot::Snapshots;

/// Records copied in one batch.
const BATCH_RECORDS: usize = 2000;

/// Facts in a group of a rewritten pack: small beside a block.
const GROUP_FACTS: usize = 100;

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
pub fn compact(dir: &Path, on_progress: OnProgress<'_>) -> Result<CompactReport, StoreError> {
    {
        let (directory, _lock, _) = take_existing(dir)?;
        // Refuses a damaged database: what it holds may be more than the facts tell.
        open_trusted(&directory)?;
    }
    let mut report = CompactReport { bytes_before: size(&Directory::new(dir))?, ..CompactReport::default() };
    settle(dir)?;
    let (directory, _lock, _) = take_existing(dir)?;
    {
        let backend = open_trusted(&directory)?;
        copy_database(&directory, &backend, on_progress)?;
    }
    directory.swap(&directory.sled())?;
    report.facts_dropped = rewrite_packs(&directory, on_progress)?;
    directory.swap(&directory.packs())?;
    report.bytes_after = size(&directory)?;
    Ok(report)
}

fn copy_database(directory: &Directory, from: &dyn Backend, on_progress: OnProgress<'_>) -> Result<(), StoreError> {
    let growing = directory.growing(&directory.sled());
    remove_all(&growing)?;
    let to = open_database(&growing)?;
    let mut range = crate::store::backend::KeyRange { from: Vec::new(), to: vec![0xff] };
    let mut done = 0;
    loop {
        let pairs = from.scan(&range, Direction::Ascending, BATCH_RECORDS)?;
        let Some((last, _)) = pairs.last() else { return Ok(()) };
        range.from = [last.as_slice(), &[0]].concat();
        done += u64::try_from(pairs.len()).unwrap_or(0);
        to.apply(Batch { writes: pairs.into_iter().map(|(key, value)| (key, Some(value))).collect() })?;
        on_progress(Progress { what: "records", done, total: None });
    }
}

fn rewrite_packs(directory: &Directory, on_progress: OnProgress<'_>) -> Result<u64, StoreError> {
    let growing = directory.growing(&directory.packs());
    remove_all(&growing)?;
    make_dir(&growing)?;
    let removals = read_removals(directory)?;
    let mut gone = Removed::find(directory, &removals)?;
    let old = PackCache::open(&directory.packs())?;
    let without_logs: BTreeSet<u64> = removals.iter().filter_map(Removal::logs_of).map(|build| build.0).collect();
    let (mut dropped, mut done) = (0, 0);
    let paths = packs::packs(&directory.packs())?;
    for (number, path) in &paths {
        // One that has nothing any more stays, too: without a gap in their numbers, a lost pack shows.
        let mut pack = PackWriter::begin(&growing, *number)?;
        pack.up_to_segment(packs::trailer_of(path)?.map_or(0, |trailer| trailer.segment));
        let mut kept = Kept::default();
        packs::read(path, Wanted::Everything, &mut |read| match read {
            Read::Facts(group) => {
                let facts = group.facts(&path.display().to_string())?;
                done += PROGRESS_EVERY.min(group.last - group.first + 1);
                on_progress(Progress { what: "facts", done, total: None });
                let before = facts.len();
                let facts: Vec<Arc<Fact>> = facts.into_iter().filter(|fact| !gone.has(fact)).map(Arc::new).collect();
                dropped += u64::try_from(before - facts.len()).unwrap_or(0);
                kept.add((group.first, group.last), facts, &mut pack)
            }
            Read::Log(build, log, text) => {
                // One that is removed, or has a newer form elsewhere, is not found as this one.
                let is_current = old.log(build, log)?.is_some_and(|current| current == text);
                if is_current { pack.log(build, log, &text) } else { Ok(()) }
            }
            Read::Files(mut files) => {
                files.retain(|file| !without_logs.contains(&file.build));
                pack.files(&files)
            }
            // Written once below: what a rebuild still has to take out.
            Read::Removals(_) => Ok(()),
            Read::Damage(words) => {
                tracing::warn!(words, "a damaged place of a pack is left out");
                Ok(())
            }
        })?;
        kept.write(&mut pack)?;
        if paths.last().is_some_and(|(last, _)| last == number) {
            pack.removals(&gone.still_needed(removals.clone()))?;
        }
        pack.finish()?;
    }
    Ok(dropped)
}

/// Facts that stay, gathered into larger groups. Each group says which range of numbers it is the rest of.
#[derive(Default)]
struct Kept {
    range: Option<(u64, u64)>,
    facts: Vec<Arc<Fact>>,
}

impl Kept {
    fn add(
        &mut self,
        (first, last): (u64, u64),
        facts: Vec<Arc<Fact>>,
        pack: &mut PackWriter,
    ) -> Result<(), StoreError> {
        // Facts that are lost stay outside of every range.
        if self.facts.len() >= GROUP_FACTS || self.range.is_some_and(|(_, end)| end + 1 != first) {
            self.write(pack)?;
        }
        self.range = Some((self.range.map_or(first, |(first, _)| first), last));
        self.facts.extend(facts);
        Ok(())
    }

    fn write(&mut self, pack: &mut PackWriter) -> Result<(), StoreError> {
        let facts = std::mem::take(&mut self.facts);
        match self.range.take() {
            Some((first, last)) => pack.facts(&FactGroup::rest_of(first, last, &facts)),
            None => Ok(()),
        }
    }
}

/// What retention removed, as a whole and before the oldest snapshot: who folds facts onto a snapshot needs every fact after it.
struct Removed {
    builds: BTreeSet<u64>,
    buildsets: BTreeSet<u64>,
    /// Requests of those buildsets.
    requests: BTreeSet<u64>,
    /// The fact of the oldest snapshot.
    covered: u64,
    /// The last fact, which is kept in any case: it tells where the facts end.
    last: u64,
}

impl Removed {
    fn find(directory: &Directory, removals: &[Removal]) -> Result<Self, StoreError> {
        let snapshots = Snapshots::Files(directory.snapshots());
        let covered = snapshots.whole()?.next().map_or(u64::MAX, |(seq, _)| seq);
        let last = packs::last_packed(&directory.packs())?;
        let (mut builds, mut buildsets) = (BTreeSet::new(), BTreeSet::new());
        for entry in removals {
            match entry {
                Removal::Build(build) => builds.extend([build.0]),
                Removal::Buildset(buildset) => buildsets.extend([buildset.0]),
                Removal::Request(_) | Removal::Logs(_) | Removal::Artifacts(_) => {}
            }
        }
        let mut gone = Self { builds, buildsets, requests: BTreeSet::new(), covered, last };
        // What goes on after the snapshot keeps all its facts, and so does what the last fact belongs to.
        read_facts(directory, covered.min(last.saturating_sub(1)), &mut |fact| {
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
    fn still_needed(&self, entries: Vec<Removal>) -> Vec<Removal> {
        let is_needed = |entry: &Removal| match entry {
            Removal::Build(build) | Removal::Logs(build) | Removal::Artifacts(build) => !self.builds.contains(&build.0),
            Removal::Request(request) => !self.requests.contains(&request.0),
            Removal::Buildset(buildset) => !self.buildsets.contains(&buildset.0),
        };
        let mut seen = BTreeSet::new();
        entries.into_iter().filter(|entry| is_needed(entry) && seen.insert(entry.clone())).collect()
    }
}

fn size(directory: &Directory) -> Result<u64, StoreError> {
    Ok(size_below(&directory.sled())? + size_below(&directory.packs())? + size_below(&directory.journal())?)
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
