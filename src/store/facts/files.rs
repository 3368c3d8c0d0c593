//! Appending to fact files, with a bounded number of them open.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fence::Fences;
use super::group::{self, FACTS_MAGIC, FactGroup};
use super::removals;
use crate::model::{BuildId, Event, Fact};
use crate::store::StoreError;
use crate::store::folder::{Folder, make_dir};
use crate::store::frame::{self, Found, Scanner};
use crate::store::retire::Retired;

/// Fact files held open: one for each build that is likely to be busy on a large master, well below
/// the usual 1,024 descriptors of a process.
const OPEN_MAX: usize = 128;

/// A segment of facts without a build is full at this size: small enough to be read and checked at an
/// opening in a few milliseconds.
const SEGMENT_BYTES_MAX: u64 = 8 << 20;

/// After so much writing the files are handed over to be synced.
const UNSYNCED_BYTES_MAX: u64 = 4 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Segment,
    Build(BuildId),
}

#[derive(Debug)]
struct Open {
    file: Arc<File>,
    path: PathBuf,
    /// Where the last whole frame ends.
    end: u64,
    used: u64,
    dirty: bool,
}

impl Open {
    /// The file, if it has something to sync.
    fn take_dirty(&mut self) -> Option<Arc<File>> {
        std::mem::take(&mut self.dirty).then(|| Arc::clone(&self.file))
    }
}

/// The fact files of an open store; owned by the writer.
#[derive(Debug)]
pub(crate) struct FactFiles {
    folder: Folder,
    fences: Fences,
    incarnation: u64,
    /// Facts written since the last confirmed flush may be void: a fence has to come first.
    fence_needed: bool,
    open: BTreeMap<Place, Open>,
    segment: u64,
    used: u64,
    unsynced_bytes: u64,
}

/// Files that should reach the disk soon.
pub(crate) type ToSync = Vec<Arc<File>>;

impl FactFiles {
    /// Begins a new incarnation after fact `last`.
    pub fn open(folder: &Folder, mut fences: Fences, last: u64) -> Result<Self, StoreError> {
        let incarnation = fences.begin_beyond(newest_incarnation(folder)?, &folder.facts(), last)?;
        let segment = segments(&folder.facts())?.last().map_or(0, |(number, _)| *number);
        Ok(Self {
            folder: folder.clone(),
            fences,
            incarnation,
            fence_needed: false,
            open: BTreeMap::new(),
            segment,
            used: 0,
            unsynced_bytes: 0,
        })
    }

    /// Where they are.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Appends the facts of one flush, each to its file. `confirmed` is the last fact known to be true. Returns
    /// the files that should be synced now.
    pub fn append(&mut self, facts: &[Arc<Fact>], confirmed: u64) -> Result<ToSync, StoreError> {
        let (Some(first), Some(last)) = (facts.first(), facts.last()) else { return Ok(Vec::new()) };
        if self.fence_needed {
            self.incarnation = self.fences.begin(&self.folder.facts(), confirmed)?;
            self.fence_needed = false;
        }
        let mut groups: BTreeMap<Place, Vec<Arc<Fact>>> = BTreeMap::new();
        for fact in facts {
            let place = fact.event.build().map_or(Place::Segment, Place::Build);
            groups.entry(place).or_default().push(Arc::clone(fact));
        }
        // From here on a failure leaves facts that never became true.
        self.fence_needed = true;
        for (place, facts) in groups {
            let group = FactGroup { incarnation: self.incarnation, first: first.seq, last: last.seq, facts };
            self.write(place, &group)?;
        }
        Ok(self.due_for_sync(facts))
    }

    /// The flush of the facts appended last was confirmed.
    pub fn confirm(&mut self) {
        self.fence_needed = false;
    }

    /// Everything not yet handed over to be synced.
    pub fn take_dirty(&mut self) -> ToSync {
        self.unsynced_bytes = 0;
        self.open.values_mut().filter_map(Open::take_dirty).collect()
    }

    /// Notes durably what retention removed, and lets go of the files of removed builds.
    ///
    /// A fence comes first: it says that everything so far was confirmed, so that the holes which removed builds leave in a
    /// flush are no reason to doubt the flush.
    pub fn retired(&mut self, retired: &Retired, confirmed: u64) -> Result<(), StoreError> {
        if retired.builds().next().is_some() && self.fences.last().is_none_or(|fence| fence.after < confirmed) {
            self.incarnation = self.fences.begin(&self.folder.facts(), confirmed)?;
            self.fence_needed = false;
        }
        for build in retired.builds() {
            self.open.remove(&Place::Build(build));
        }
        if retired.entries.is_empty() { Ok(()) } else { removals::append(&self.folder.facts(), &retired.entries) }
    }

    fn due_for_sync(&mut self, facts: &[Arc<Fact>]) -> ToSync {
        if self.unsynced_bytes >= UNSYNCED_BYTES_MAX {
            return self.take_dirty();
        }
        let mut due = Vec::new();
        for fact in facts {
            if let Event::BuildEnded { build, .. } = &fact.event {
                let open = self.open.get_mut(&Place::Build(*build));
                due.extend(open.and_then(Open::take_dirty));
            }
        }
        due
    }

    fn write(&mut self, place: Place, group: &FactGroup<Arc<Fact>>) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        frame::push(&mut bytes, FACTS_MAGIC, &group.encode());
        let length = u64::try_from(bytes.len()).expect("sizes fit 64 bits");
        self.used += 1;
        let used = self.used;
        let open = self.opened(place)?;
        open.used = used;
        if let Err(error) = frame::write_all_at(&open.file, &bytes, open.end) {
            // A part of the frame may be there; the next one is written over it.
            let _ = open.file.set_len(open.end);
            return Err(StoreError::io("write", &open.path)(error));
        }
        open.end += length;
        open.dirty = true;
        self.unsynced_bytes += length;
        Ok(())
    }

    fn opened(&mut self, place: Place) -> Result<&mut Open, StoreError> {
        if place == Place::Segment && self.open.get(&place).is_some_and(|open| open.end >= SEGMENT_BYTES_MAX) {
            self.close(place)?;
            self.segment += 1;
        }
        if !self.open.contains_key(&place) {
            if self.open.len() >= OPEN_MAX {
                self.close_oldest()?;
            }
            let path = match place {
                Place::Segment => segment_path(&self.folder.facts(), self.segment),
                Place::Build(build) => self.folder.build_facts(build),
            };
            self.open.insert(place, open_for_append(path)?);
        }
        Ok(self.open.get_mut(&place).expect("it was opened just now"))
    }

    fn close_oldest(&mut self) -> Result<(), StoreError> {
        let oldest = self.open.iter().min_by_key(|(_, open)| open.used).map(|(place, _)| *place);
        oldest.map_or(Ok(()), |place| self.close(place))
    }

    fn close(&mut self, place: Place) -> Result<(), StoreError> {
        match self.open.remove(&place) {
            Some(open) if open.dirty => open.file.sync_data().map_err(StoreError::io("sync", &open.path)),
            Some(_) | None => Ok(()),
        }
    }
}

fn open_for_append(path: PathBuf) -> Result<Open, StoreError> {
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(StoreError::io("open", &path))?;
    let end = cut_torn_end(&file).map_err(StoreError::io("read", &path))?;
    Ok(Open { file: Arc::new(file), path, end, used: 0, dirty: false })
}

/// Cuts off what a crash left of a frame; returns where the last whole one ends.
fn cut_torn_end(file: &File) -> std::io::Result<u64> {
    let mut scanner = Scanner::new(file, FACTS_MAGIC, 0)?;
    loop {
        if let Found::End { whole, torn_bytes } = scanner.next()? {
            if torn_bytes > 0 {
                file.set_len(whole)?;
            }
            return Ok(whole);
        }
    }
}

/// Writes the segments of a folder anew, for a compaction or an import: every fact is known to be true.
#[derive(Debug)]
pub(crate) struct SegmentWriter {
    facts: PathBuf,
    incarnation: u64,
    segment: u64,
    waiting: Vec<Arc<Fact>>,
    file: Option<Open>,
}

/// Facts that a rewritten segment has in one frame.
const REWRITTEN_FACTS: usize = 200;

impl SegmentWriter {
    /// Begins in an empty folder.
    pub fn new(facts: &Path, incarnation: u64) -> Self {
        Self { facts: facts.to_owned(), incarnation, segment: 0, waiting: Vec::new(), file: None }
    }

    /// Adds a fact.
    pub fn push(&mut self, fact: Fact) -> Result<(), StoreError> {
        self.waiting.push(Arc::new(fact));
        if self.waiting.len() >= REWRITTEN_FACTS { self.write() } else { Ok(()) }
    }

    /// Makes everything durable.
    pub fn finish(mut self) -> Result<(), StoreError> {
        self.write()?;
        self.file.take().map_or(Ok(()), |open| open.file.sync_all().map_err(StoreError::io("sync", &open.path)))
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let facts = std::mem::take(&mut self.waiting);
        let (Some(first), Some(last)) = (facts.first(), facts.last()) else { return Ok(()) };
        let group = FactGroup { incarnation: self.incarnation, first: first.seq, last: last.seq, facts: facts.clone() };
        let mut bytes = Vec::new();
        frame::push(&mut bytes, FACTS_MAGIC, &group.encode());
        if let Some(full) = self.file.take_if(|open| open.end >= SEGMENT_BYTES_MAX) {
            full.file.sync_all().map_err(StoreError::io("sync", &full.path))?;
            self.segment += 1;
        }
        let open = match &mut self.file {
            Some(open) => open,
            None => self.file.insert(open_for_append(segment_path(&self.facts, self.segment))?),
        };
        frame::write_all_at(&open.file, &bytes, open.end).map_err(StoreError::io("write", &open.path))?;
        open.end += u64::try_from(bytes.len()).expect("sizes fit 64 bits");
        Ok(())
    }
}

fn segment_path(facts: &Path, number: u64) -> PathBuf {
    facts.join(format!("{number:08}.log"))
}

/// The segments of facts without a build, in order.
pub(crate) fn segments(facts: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let mut found = Vec::new();
    if !facts.exists() {
        return Ok(found);
    }
    for entry in fs::read_dir(facts).map_err(StoreError::io("list", facts))? {
        let path = entry.map_err(StoreError::io("list", facts))?.path();
        let number = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".log")?.parse::<u64>().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort();
    Ok(found)
}

/// The newest flush (its first and last fact) in the newest segment and the files of these builds. Voided ones do not count.
pub(crate) fn newest_flush(
    folder: &Folder,
    builds: impl Iterator<Item = BuildId>,
) -> Result<Option<(u64, u64)>, StoreError> {
    let bounds = Fences::read(&folder.facts())?.bounds();
    let segment = segments(&folder.facts())?.pop().map(|(_, path)| path);
    let mut newest = None;
    for path in segment.into_iter().chain(builds.map(|build| folder.build_facts(build)).filter(|path| path.exists())) {
        let file = File::open(&path).map_err(StoreError::io("open", &path))?;
        let mut scanner = Scanner::new(&file, FACTS_MAGIC, 0).map_err(StoreError::io("read", &path))?;
        loop {
            match scanner.next().map_err(StoreError::io("read", &path))? {
                Found::Frame { .. } => {
                    let flush = group::flush_of(scanner.payload());
                    let flush = flush.filter(|(incarnation, _, last)| *last <= bounds.of(*incarnation));
                    newest = newest.max(flush.map(|(_, first, last)| (first, last)));
                }
                Found::Damage { .. } => {}
                Found::End { .. } => break,
            }
        }
    }
    Ok(newest)
}

/// The highest incarnation in the newest segment, where each master notes its start; 0 if there is none. Its fence may be lost.
fn newest_incarnation(folder: &Folder) -> Result<u64, StoreError> {
    let Some((_, path)) = segments(&folder.facts())?.pop() else { return Ok(0) };
    let file = File::open(&path).map_err(StoreError::io("open", &path))?;
    let mut scanner = Scanner::new(&file, FACTS_MAGIC, 0).map_err(StoreError::io("read", &path))?;
    let mut newest = 0;
    loop {
        match scanner.next().map_err(StoreError::io("read", &path))? {
            Found::Frame { .. } => {
                newest = newest.max(group::flush_of(scanner.payload()).map_or(0, |(incarnation, _, _)| incarnation));
            }
            Found::Damage { .. } => {}
            Found::End { .. } => return Ok(newest),
        }
    }
}
