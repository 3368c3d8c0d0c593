//! The history as packs and journal tell it: all facts in their order, and what retention removed.
//!
//! A segment of the journal is packed before it goes, so a crash may leave both: what comes twice counts once.

use super::StoreError;
use super::directory::Directory;
use super::journal::{self, FactGroup};
use super::packs::{self, Wanted};
use super::retention::Removal;
use crate::model::Fact;

/// What was found beside whole facts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// The last fact; 0 if there is none.
    pub last: u64,
    /// What retention removed, oldest first.
    pub removals: Vec<Removal>,
    /// Damaged places, each in words.
    pub damage: Vec<String>,
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
    let mut reader = Reader { findings: Findings { last: after, ..Findings::default() }, take };
    for (_, path) in packs::packs(&directory.packs())? {
        packs::read(&path, Wanted::FactsAfter(after), &mut |read| match read {
            packs::Read::Facts(group) => reader.facts(&group, &path.display().to_string()),
            packs::Read::Removals(entries) => reader.removed(entries),
            packs::Read::Log(..) => Ok(()),
            packs::Read::Damage(words) => reader.damaged(words),
        })?;
    }
    for (path, file) in segments {
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
    Ok(reader.findings)
}

/// What retention removed, oldest first; some may come twice.
pub(crate) fn read_removals(directory: &Directory) -> Result<Vec<Removal>, StoreError> {
    read_facts(directory, u64::MAX, &mut |_| Ok(())).map(|findings| findings.removals)
}

struct Reader<'a> {
    findings: Findings,
    take: &'a mut dyn FnMut(Fact) -> Result<(), StoreError>,
}

impl Reader<'_> {
    fn facts(&mut self, group: &FactGroup, place: &str) -> Result<(), StoreError> {
        if group.last <= self.findings.last {
            return Ok(());
        }
        let facts = match group.facts(place) {
            Ok(facts) => facts,
            Err(error) => return self.damaged(error.to_string()),
        };
        for fact in facts {
            if fact.seq > self.findings.last {
                self.findings.last = fact.seq;
                (self.take)(fact)?;
            }
        }
        Ok(())
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
