//! The history as packs and journal tell it: all facts in their order, and what retention removed.
//!
//! A segment of the journal is packed before it goes, so a crash may leave both: what comes twice counts once. Packs, segments and
//! facts are numbered without gaps, so what is missing shows. A fact that packs and journal lack is looked for in its second copy.

use std::fs::File;
use std::path::PathBuf;

use super::StoreError;
use super::directory::Directory;
use super::journal::{self, FactGroup};
use super::packs::{self, Wanted};
use super::recent;
use super::removal::Removal;
use super::snapshot::Snapshots;
use crate::model::Fact;

/// What was found beside whole facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// The last fact; 0 if there is none.
    pub last: u64,
    /// The first fact that is lost.
    pub first_lost: Option<u64>,
    /// How many facts are lost.
    pub lost: u64,
    /// What retention removed, oldest first.
    pub removals: Vec<Removal>,
    /// Damaged places, each in words.
    pub damage: Vec<String>,
    /// Packs, segments of the journal and facts that are not there, each in words.
    pub missing: Vec<String>,
    /// Segments whose end is torn, each in words: a kill leaves that of a write that nobody was told of.
    pub torn: Vec<String>,
}

/// Hands every fact after `after` to `take`, in order.
pub(crate) fn read_facts(
    directory: &Directory,
    after: u64,
    take: &mut dyn FnMut(Fact) -> Result<(), StoreError>,
) -> Result<Findings, StoreError> {
    // The journal is opened before packs are looked for: what leaves it meanwhile is in a pack by then.
    let segments = journal::open_segments(&directory.journal())?;
    let packs = packs::packs(&directory.packs())?;
    let findings =
        Findings { last: after, missing: missing_files(directory, &packs, &segments)?, ..Findings::default() };
    let mut reader = Reader { findings, directory, take };
    for (_, path) in packs {
        packs::read(&path, Wanted::FactsAfter(after), &mut |read| match read {
            packs::Read::Facts(group) => reader.facts(&group, &path.display().to_string()),
            packs::Read::Removals(entries) => reader.removed(entries),
            packs::Read::Log(..) | packs::Read::Files(_) => Ok(()),
            packs::Read::Damage(words) => reader.damaged(words),
        })?;
    }
    for (_, path, file) in segments {
        journal::read_file(&file, &path, |read| match read {
            journal::Read::Entry(entry, place) => match (entry.facts(&place), entry.removals(&place)) {
                (Ok(group), Ok(removals)) => {
                    group.map_or(Ok(()), |group| reader.facts(&group, &place))?;
                    reader.removed(removals)
                }
                (Err(error), _) | (_, Err(error)) => reader.damaged(error.to_string()),
            },
            journal::Read::Damage(words) => reader.damaged(words),
            journal::Read::Torn(words) => {
                reader.findings.torn.push(words);
                Ok(())
            }
        })?;
    }
    reader.finish()
}

/// What retention removed, oldest first; some may come twice.
pub(crate) fn read_removals(directory: &Directory) -> Result<Vec<Removal>, StoreError> {
    read_facts(directory, u64::MAX, &mut |_| Ok(())).map(|findings| findings.removals)
}

/// The packs and segments that there must have been: they are numbered one after another, the packs from 1, and each says which
/// segment it goes up to.
fn missing_files(
    directory: &Directory,
    packs: &[(u64, PathBuf)],
    segments: &[(u64, PathBuf, File)],
) -> Result<Vec<String>, StoreError> {
    let words = |path: PathBuf| format!("`{}` is missing", path.display());
    let mut missing = Vec::new();
    let mut expected = 1;
    for (number, _) in packs {
        missing.extend((expected..*number).map(|number| words(packs::path(&directory.packs(), number))));
        expected = number + 1;
    }
    let there = segments.iter().map(|(number, _, _)| *number);
    let gap = packs::missing_segments(packs, there)?.into_iter();
    missing.extend(gap.map(|number| words(journal::path(&directory.journal(), number))));
    // A new segment is begun before the ones before it are packed.
    if let Some(packed) = packs::last_segment(packs)?.filter(|packed| *packed > 0 && segments.is_empty()) {
        missing.push(words(journal::path(&directory.journal(), packed + 1)));
    }
    Ok(missing)
}

struct Reader<'a> {
    findings: Findings,
    directory: &'a Directory,
    take: &'a mut dyn FnMut(Fact) -> Result<(), StoreError>,
}

impl Reader<'_> {
    fn facts(&mut self, group: &FactGroup, place: &str) -> Result<(), StoreError> {
        if group.last <= self.findings.last {
            return Ok(());
        }
        if group.first > self.findings.last + 1 {
            self.fill_up_to(group.first)?;
        }
        self.take_group(group, place)
    }

    fn take_group(&mut self, group: &FactGroup, place: &str) -> Result<(), StoreError> {
        let facts = match group.facts(place) {
            Ok(facts) => facts,
            Err(error) => return self.damaged(error.to_string()),
        };
        for fact in facts {
            if fact.seq > self.findings.last {
                (self.take)(fact)?;
            }
        }
        self.findings.last = group.last;
        Ok(())
    }

    /// Takes the facts before `next` from their second copy, and notes those that are not there either.
    fn fill_up_to(&mut self, next: u64) -> Result<(), StoreError> {
        for group in recent::between(&self.directory.recent(), self.findings.last, next)? {
            self.note_lost(group.first);
            self.take_group(&group, "the second copy of the newest facts")?;
        }
        self.note_lost(next);
        Ok(())
    }

    fn note_lost(&mut self, next: u64) {
        let (first, last) = (self.findings.last + 1, next - 1);
        if first > last {
            return;
        }
        self.findings.missing.push(if first == last {
            format!("fact {first} is missing: it is neither in a pack nor in the journal")
        } else {
            format!("facts {first} to {last} are missing: they are neither in a pack nor in the journal")
        });
        self.findings.first_lost.get_or_insert(first);
        self.findings.lost += last - first + 1;
        self.findings.last = last;
    }

    /// Looks beyond the end of the journal.
    fn finish(mut self) -> Result<Findings, StoreError> {
        if self.findings.last == u64::MAX {
            return Ok(self.findings);
        }
        let end = self.findings.last;
        for group in recent::between(&self.directory.recent(), end, u64::MAX)? {
            self.note_lost(group.first);
            self.take_group(&group, "the second copy of the newest facts")?;
        }
        // A snapshot is made of facts that are durable.
        let last = self.findings.last;
        let covered = Snapshots::Files(self.directory.snapshots()).numbers()?.pop().unwrap_or(0);
        self.note_lost(covered.max(last) + 1);
        self.findings.last = last;
        Ok(self.findings)
    }

    fn removed(&mut self, entries: Vec<Removal>) -> Result<(), StoreError> {
        self.findings.removals.extend(entries);
        Ok(())
    }

    fn damaged(&mut self, words: String) -> Result<(), StoreError> {
        self.findings.damage.push(words);
        Ok(())
    }
}
