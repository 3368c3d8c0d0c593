//! Packing: what full segments of the journal hold goes where it stays, and the segments go.
//!
//! ```text
//! database ◄── records        log files ── sync
//! pack     ◄── facts, removals, short logs
//!                                              then: segments removed
//! ```
//!
//! A crash in between leaves segments whose content is elsewhere, too. Everybody who reads leaves out what comes twice.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::StoreError;
use super::backend::Overlay;
use super::directory::Directory;
use super::journal::{self, Read};
use super::logs::{LogKey, LogsToKeep};
use super::packs::{PackCache, PackWriter, last_packed, missing_segments, packs, sync_gone};
use super::recent;

/// What packing works with.
#[derive(Clone, Debug)]
pub(crate) struct Packing {
    pub directory: Directory,
    pub overlay: Arc<Overlay>,
    pub packs: Arc<PackCache>,
}

impl Packing {
    /// Whether the journal has more than the segment `live`.
    pub fn has_segments_before(&self, live: u64) -> bool {
        let segments = journal::segments(&self.directory.journal());
        segments.is_ok_and(|segments| segments.iter().any(|(number, _)| *number < live))
    }

    /// Packs all segments before `live`, and removes them. Returns the logs that are in a pack now.
    pub fn pack(&self, live: u64, logs: &LogsToKeep) -> Result<Vec<(LogKey, u64)>, StoreError> {
        // All facts of those segments were applied before this began.
        self.overlay.fold()?;
        let files = logs.sync()?;
        sync_gone(&self.directory.packs())?;
        let mut segments = journal::segments(&self.directory.journal())?;
        segments.retain(|(number, _)| *number < live);
        if segments.is_empty() {
            return Ok(Vec::new());
        }
        let number = self.next_number(&segments)?;
        let mut pack = PackWriter::begin(&self.directory.packs(), number)?;
        let mut damaged = BTreeSet::new();
        let mut last = last_packed(&self.directory.packs())?;
        for (segment, path) in &segments {
            let mut is_damaged = |words: &str| {
                tracing::warn!(words, "a damaged place of the journal is not packed; its segment is set aside");
                damaged.insert(*segment);
            };
            journal::read(path, |read| match read {
                Read::Entry(entry, place) => match (entry.facts(&place), entry.removals(&place)) {
                    (Ok(group), Ok(removals)) => {
                        if let Some(group) = group.filter(|group| group.first > last) {
                            // What a damaged place lacks may have its second copy.
                            for group in recent::between(&self.directory.recent(), last, group.first)? {
                                pack.facts(&group)?;
                            }
                            last = group.last;
                            pack.facts(&group)?;
                        }
                        pack.removals(&removals)
                    }
                    (Err(error), _) | (_, Err(error)) => {
                        is_damaged(&error.to_string());
                        Ok(())
                    }
                },
                Read::Damage(words) => {
                    is_damaged(&words);
                    Ok(())
                }
                // Nobody was told of it.
                Read::Torn(_) => Ok(()),
            })?;
        }
        for (key, _, text) in &logs.short {
            pack.log(key.build.0, key.log.0, text)?;
        }
        pack.files(&files)?;
        pack.up_to_segment(live - 1);
        pack.finish()?;
        self.packs.add(number)?;
        for (segment, path) in &segments {
            if damaged.contains(segment) {
                self.directory.set_aside(path)?;
            } else {
                journal::remove(&self.directory.journal(), *segment)?;
            }
        }
        Ok(logs.short.iter().map(|(key, lines, _)| (*key, *lines)).collect())
    }

    /// The number of the pack of these segments. If packs or segments before or between them are lost, it leaves one out: what is
    /// lost goes on to show when the segments are gone.
    fn next_number(&self, segments: &[(u64, PathBuf)]) -> Result<u64, StoreError> {
        let packs = packs(&self.directory.packs())?;
        let next = packs.last().map_or(1, |(number, _)| number + 1);
        let missing = missing_segments(&packs, segments.iter().map(|(number, _)| *number))?;
        Ok(if missing.is_empty() { next } else { next + 1 })
    }
}
