//! The files of long logs that there must be: packs list those that were there.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::model::BuildId;
use crate::store::StoreError;
use crate::store::directory::Directory;
use crate::store::logs::{file_name, log_file, log_files};
use crate::store::packs::LogFile;
use crate::store::removal::Removal;

/// The files that packs tell of, by build and log, then by number.
#[derive(Debug, Default)]
pub(super) struct FilesOfLogs {
    files: BTreeMap<(u64, u64), BTreeMap<u64, LogFile>>,
}

impl FilesOfLogs {
    /// Adds what a pack lists. Files only grow: one that a later pack has shorter was lost, and begun anew.
    pub fn add(&mut self, files: Vec<LogFile>) {
        for file in files {
            let known = self.files.entry((file.build, file.log)).or_default().entry(file.number).or_insert(file);
            known.bytes = known.bytes.max(file.bytes);
        }
    }

    /// The files that are gone, or shorter than they were, in words; those of `removed` builds may be.
    pub fn missing(self, directory: &Directory, removed: &[Removal]) -> Result<Vec<String>, StoreError> {
        let removed: BTreeSet<u64> = removed.iter().filter_map(Removal::logs_of).map(|build| build.0).collect();
        let mut missing = Vec::new();
        for ((build, log), expected) in self.files {
            if removed.contains(&build) {
                continue;
            }
            let dir = directory.build(BuildId(build));
            let there = log_files(&dir)?.iter().filter_map(|name| log_file(&dir.join(name), 0)).collect::<Vec<_>>();
            let newest = there.iter().filter(|file| file.log == log).map(|file| file.number).max().unwrap_or(0);
            for file in expected.values() {
                let path = dir.join(file_name(file));
                match std::fs::metadata(&path) {
                    Ok(found) if found.len() >= file.bytes => {}
                    Ok(found) => missing.push(format!(
                        "`{}` has {} bytes and had {}: its last lines are lost",
                        path.display(),
                        found.len(),
                        file.bytes
                    )),
                    // The middle of a log that grows beyond its bounds is dropped: from file 1 on, while newer ones are written.
                    Err(error)
                        if error.kind() == io::ErrorKind::NotFound && file.number > 0 && file.number < newest => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        missing.push(format!("`{}` is missing: its lines are lost", path.display()));
                    }
                    Err(error) => return Err(StoreError::io("look at", &path)(error)),
                }
            }
        }
        Ok(missing)
    }
}
