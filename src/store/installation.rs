//! The id of an installation: drawn when a store is made, and told by its facts.

use std::path::Path;

use super::StoreError;
use super::directory::Directory;
use super::facts::read_facts;
use super::journal;
use super::packs::packs;
use crate::model::Event;

/// A random id for a new store.
pub(crate) fn new_installation() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Whether there are files of facts, whatever is in them.
pub(crate) fn has_facts(directory: &Directory) -> Result<bool, StoreError> {
    let written = |path: &Path| std::fs::metadata(path).is_ok_and(|found| found.len() > 0);
    let in_journal = journal::segments(&directory.journal())?.iter().any(|(_, path)| written(path));
    Ok(in_journal || !packs(&directory.packs())?.is_empty())
}

/// The installation's id as the facts tell it; none if there are no facts of a master.
pub(crate) fn installation_of(directory: &Directory) -> Result<Option<String>, StoreError> {
    let mut found = None;
    read_facts(directory, 0, &mut |fact| {
        if let Event::MasterStarted { installation, name: _ } = fact.event {
            found.get_or_insert(installation);
        }
        Ok(())
    })?;
    Ok(found)
}
