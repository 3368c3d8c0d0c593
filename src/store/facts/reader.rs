//! All facts of the fact files in their order, without those that never became true.
//!
//! The files of running builds overlap, those of builds that are long over do not: only what overlaps is in memory. A flush
//! counts only if all its facts are there, unless it is known to have been confirmed (a later flush or fence says so): then
//! holes are what retention removed.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::fence::{Bounds, Fences};
use super::files::segments;
use super::group::{FACTS_MAGIC, FactGroup};
use crate::model::{BuildId, Fact};
use crate::store::StoreError;
use crate::store::folder::Folder;
use crate::store::frame::{Found, Scanner};

/// What was found beside whole facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// Fact files.
    pub files: u64,
    /// Damaged places, each in words.
    pub damage: Vec<String>,
    /// Files whose end is torn, each in words: a kill leaves that of a write that nobody was told of.
    pub torn: Vec<String>,
    /// Facts of flushes that were never confirmed.
    pub void: u64,
}

/// Reads facts in order.
#[derive(Debug)]
pub(crate) struct FactReader {
    /// Files not opened yet, with their first fact; the earliest last.
    waiting: Vec<(u64, PathBuf)>,
    open: Vec<VecDeque<Entry>>,
    /// The next fact of each open file: number, newest incarnation first, index of the file.
    heads: BinaryHeap<Reverse<(u64, Reverse<u64>, usize)>>,
    bounds: Bounds,
    /// All facts up to this one are true, whatever is missing.
    confirmed: u64,
    /// Facts beyond this one are not wanted.
    end: u64,
    flush: Flush,
    ready: VecDeque<Fact>,
    last: u64,
    findings: Findings,
}

#[derive(Debug)]
struct Entry {
    fact: Fact,
    incarnation: u64,
    flush: (u64, u64),
}

/// The facts of one flush, gathered until it is whole.
#[derive(Debug, Default)]
struct Flush {
    range: (u64, u64),
    facts: Vec<Fact>,
}

impl FactReader {
    /// Finds all fact files of a folder.
    pub fn open(folder: &Folder) -> Result<Self, StoreError> {
        let confirmed = Fences::read(&folder.facts())?.last().map_or(0, |fence| fence.after);
        Self::of(folder, fact_files(folder)?, confirmed, u64::MAX)
    }

    /// All facts up to `last`, which is known to be true.
    pub fn up_to(folder: &Folder, last: u64) -> Result<Self, StoreError> {
        Self::of(folder, fact_files(folder)?, last, last)
    }

    /// Facts of the newest segment and of these builds; those up to `last` are known to be true.
    pub fn recent(folder: &Folder, builds: &[BuildId], last: u64) -> Result<Self, StoreError> {
        let segment = segments(&folder.facts())?.pop().map(|(_, path)| path);
        let files = builds.iter().map(|build| folder.build_facts(*build)).filter(|path| path.exists());
        Self::of(folder, segment.into_iter().chain(files).collect(), last, u64::MAX)
    }

    /// Only facts that belong to no build, up to `last`, which is known to be true.
    pub fn segments(folder: &Folder, last: u64) -> Result<Self, StoreError> {
        let files = segments(&folder.facts())?.into_iter().map(|(_, path)| path);
        Self::of(folder, files.collect(), last, last)
    }

    fn of(folder: &Folder, files: Vec<PathBuf>, confirmed: u64, end: u64) -> Result<Self, StoreError> {
        let fences = Fences::read(&folder.facts())?;
        let mut findings = Findings::default();
        let mut waiting = Vec::new();
        for path in files {
            findings.files += 1;
            waiting.extend(first_fact(&path)?.map(|first| (first, path)));
        }
        waiting.sort_by(|left, right| right.cmp(left));
        Ok(Self {
            waiting,
            open: Vec::new(),
            heads: BinaryHeap::new(),
            bounds: fences.bounds(),
            confirmed,
            end,
            flush: Flush::default(),
            ready: VecDeque::new(),
            last: 0,
            findings,
        })
    }

    /// What was found so far.
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// The next fact; none at the end.
    pub fn next(&mut self) -> Result<Option<Fact>, StoreError> {
        loop {
            if let Some(fact) = self.ready.pop_front() {
                return Ok(Some(fact));
            }
            let Some(entry) = self.next_entry()? else {
                self.end_flush(false);
                return Ok(self.ready.pop_front());
            };
            if entry.flush != self.flush.range {
                self.end_flush(true);
                self.flush.range = entry.flush;
            }
            self.flush.facts.push(entry.fact);
            let (first, last) = self.flush.range;
            if u64::try_from(self.flush.facts.len()).is_ok_and(|found| found > last - first) {
                self.end_flush(true);
            }
        }
    }

    /// Lets the gathered facts out if they count.
    fn end_flush(&mut self, is_confirmed: bool) {
        let facts = std::mem::take(&mut self.flush.facts);
        if is_confirmed || self.flush.range.1 <= self.confirmed {
            self.ready.extend(facts);
        } else {
            self.findings.void += u64::try_from(facts.len()).unwrap_or(u64::MAX);
        }
    }

    /// The next fact of any file that is not void.
    fn next_entry(&mut self) -> Result<Option<Entry>, StoreError> {
        loop {
            self.open_files_due()?;
            let Some(Reverse((_, _, index))) = self.heads.pop() else { return Ok(None) };
            let entry = self.open[index].pop_front().expect("each head stands for an entry");
            self.push_head(index);
            let bound = self.bounds.of(entry.incarnation);
            let seq = entry.fact.seq;
            if seq > bound.min(self.end) || seq <= self.last {
                self.findings.void += 1;
                continue;
            }
            self.last = seq;
            return Ok(Some(entry));
        }
    }

    fn push_head(&mut self, index: usize) {
        match self.open[index].front() {
            Some(entry) => self.heads.push(Reverse((entry.fact.seq, Reverse(entry.incarnation), index))),
            None => self.open[index] = VecDeque::new(),
        }
    }

    fn open_files_due(&mut self) -> Result<(), StoreError> {
        while let Some((first, _)) = self.waiting.last() {
            if self.heads.peek().is_some_and(|Reverse((next, _, _))| next < first) {
                return Ok(());
            }
            let (_, path) = self.waiting.pop().expect("it was looked at just now");
            let entries = load(&path, &mut self.findings)?;
            let index = self.open.iter().position(VecDeque::is_empty).unwrap_or(self.open.len());
            if index == self.open.len() {
                self.open.push(VecDeque::new());
            }
            self.open[index] = entries;
            self.push_head(index);
        }
        Ok(())
    }
}

/// All fact files there are, in no special order.
fn fact_files(folder: &Folder) -> Result<Vec<PathBuf>, StoreError> {
    let mut files: Vec<PathBuf> = segments(&folder.facts())?.into_iter().map(|(_, path)| path).collect();
    for build in builds(folder)? {
        let path = folder.build_facts(build);
        if path.exists() {
            files.push(path);
        }
    }
    Ok(files)
}

/// The builds that have a folder, by id.
pub(crate) fn builds(folder: &Folder) -> Result<Vec<BuildId>, StoreError> {
    let mut builds = Vec::new();
    for (_, thousand) in numbered_folders(&folder.builds())? {
        builds.extend(numbered_folders(&thousand)?.into_iter().map(|(build, _)| BuildId(build)));
    }
    builds.sort_unstable();
    Ok(builds)
}

fn numbered_folders(dir: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(StoreError::io("list", dir))? {
        let entry = entry.map_err(StoreError::io("list", dir))?;
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        found.extend(number.map(|number| (number, entry.path())));
    }
    Ok(found)
}

/// The number of the first fact in a file; none if it holds none.
fn first_fact(path: &Path) -> Result<Option<u64>, StoreError> {
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    let mut scanner = Scanner::new(&file, FACTS_MAGIC, 0).map_err(StoreError::io("read", path))?;
    loop {
        match scanner.next().map_err(StoreError::io("read", path))? {
            Found::Frame { .. } => {
                let group = FactGroup::decode(scanner.payload(), &path.display().to_string());
                if let Some(first) = group.ok().and_then(|group| group.facts.first().map(|fact| fact.seq)) {
                    return Ok(Some(first));
                }
            }
            Found::Damage { .. } => {}
            Found::End { .. } => return Ok(None),
        }
    }
}

/// All facts of a file; damage goes to the findings.
fn load(path: &Path, findings: &mut Findings) -> Result<VecDeque<Entry>, StoreError> {
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    let mut scanner = Scanner::new(&file, FACTS_MAGIC, 0).map_err(StoreError::io("read", path))?;
    let mut entries = Vec::new();
    loop {
        match scanner.next().map_err(StoreError::io("read", path))? {
            Found::Frame { at } => match FactGroup::decode(scanner.payload(), &path.display().to_string()) {
                Ok(group) => {
                    let (incarnation, flush) = (group.incarnation, (group.first, group.last));
                    entries.extend(group.facts.into_iter().map(|fact| Entry { fact, incarnation, flush }));
                }
                Err(error) => findings.damage.push(format!("byte {at}: {error}")),
            },
            Found::Damage { from, to } => {
                findings.damage.push(format!("`{}`: bytes {from} to {to} are no facts", path.display()));
            }
            Found::End { torn_bytes, .. } => {
                if torn_bytes > 0 {
                    findings.torn.push(format!("`{}`: its last {torn_bytes} bytes are torn", path.display()));
                }
                // A void fact may lie before the true one of the same number.
                entries.sort_by_key(|entry| (entry.fact.seq, Reverse(entry.incarnation)));
                return Ok(entries.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::base::Timestamp;
    use crate::model::{Event, Outcome};
    use crate::store::facts::FactFiles;

    fn fact(seq: u64, event: Event) -> Arc<Fact> {
        Arc::new(Fact { seq, at: Timestamp::from_millis(0), event })
    }

    fn state(seq: u64, build: u64) -> Arc<Fact> {
        fact(seq, Event::BuildState { build: BuildId(build), state: format!("fact {seq}") })
    }

    fn other(seq: u64) -> Arc<Fact> {
        fact(seq, Event::MasterStopped)
    }

    fn ended(seq: u64, build: u64) -> Arc<Fact> {
        fact(
            seq,
            Event::BuildEnded {
                build: BuildId(build),
                outcome: Outcome::Success,
                state: String::new(),
                culprits: Vec::new(),
            },
        )
    }

    fn open_files(folder: &Folder, last: u64) -> FactFiles {
        fs::create_dir_all(folder.facts()).unwrap();
        FactFiles::open(folder, Fences::read(&folder.facts()).unwrap(), last).unwrap()
    }

    fn read(folder: &Folder) -> (Vec<u64>, Findings) {
        let mut reader = FactReader::open(folder).unwrap();
        let mut facts = Vec::new();
        while let Some(fact) = reader.next().unwrap() {
            facts.push(fact.seq);
        }
        (facts, reader.findings().clone())
    }

    #[test]
    fn facts_of_many_files_come_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let mut files = open_files(&folder, 0);
        files.append(&[other(1), state(2, 5), state(3, 4)], 0).unwrap();
        files.confirm();
        files.append(&[state(4, 5), ended(5, 4), other(6)], 3).unwrap();
        files.confirm();
        files.append(&[state(7, 2000)], 6).unwrap();
        let (facts, findings) = read(&folder);
        assert_eq!(facts, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(findings, Findings { files: 4, ..Findings::default() });
    }

    #[test]
    fn facts_that_never_became_true_are_void() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let mut files = open_files(&folder, 0);
        files.append(&[state(1, 1)], 0).unwrap();
        files.confirm();
        // The database refused these; the master went on with others of the same numbers.
        files.append(&[state(2, 1), other(3)], 1).unwrap();
        files.append(&[other(2)], 1).unwrap();
        files.confirm();
        // Written, but the process died before the database had them.
        files.append(&[state(3, 1), state(4, 9)], 2).unwrap();
        drop(files);
        let mut files = open_files(&folder, 2);
        files.append(&[other(3)], 2).unwrap();
        let (facts, findings) = read(&folder);
        assert_eq!(facts, [1, 2, 3]);
        assert_eq!(findings.void, 4);
    }

    #[test]
    fn a_last_flush_that_is_not_whole_is_void_at_every_torn_byte() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let mut files = open_files(&folder, 0);
        files.append(&[other(1), state(2, 1)], 0).unwrap();
        files.confirm();
        let path = folder.build_facts(BuildId(1));
        let whole = fs::metadata(&path).unwrap().len();
        files.append(&[other(3), state(4, 1)], 2).unwrap();
        let bytes = fs::read(&path).unwrap();
        for length in usize::try_from(whole).unwrap()..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            assert_eq!(read(&folder).0, [1, 2]);
        }
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read(&folder).0, [1, 2, 3, 4]);
    }

    #[test]
    fn holes_in_confirmed_flushes_are_removed_builds() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let mut files = open_files(&folder, 0);
        files.append(&[other(1), state(2, 1), other(3)], 0).unwrap();
        files.confirm();
        drop(files);
        open_files(&folder, 3);
        fs::remove_dir_all(folder.build(BuildId(1))).unwrap();
        assert_eq!(read(&folder).0, [1, 3]);
    }

    #[test]
    fn damage_costs_the_facts_it_hit() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path());
        let mut files = open_files(&folder, 0);
        for seq in 1..=3 {
            files.append(&[state(seq, 1)], seq - 1).unwrap();
            files.confirm();
        }
        let path = folder.build_facts(BuildId(1));
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, bytes).unwrap();
        let (facts, findings) = read(&folder);
        assert_eq!(facts, [1, 3]);
        assert_eq!(findings.damage.len(), 1);
    }
}
