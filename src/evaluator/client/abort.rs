//! The way to end a load that nobody wants any more.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::process::{Body, Process, end_child};
use crate::config::{ConfigDirectory, Sources};

/// Ends a load from another thread; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Abort {
    wanted: Arc<AtomicBool>,
    /// The texts that the load has read so far.
    read: Arc<Mutex<BTreeMap<String, String>>>,
    child: Arc<Mutex<Option<Arc<Mutex<Child>>>>>,
}

impl Abort {
    /// Kills the load's process; the load ends as aborted.
    pub fn abort(&self) {
        self.wanted.store(true, Ordering::SeqCst);
        if let Some(child) = self.child().take() {
            end_child(&child);
        }
    }

    /// Whether a load of this file that began now would read something else than this one has read so far. If not, this one
    /// does as well: whatever it reads from here on is no older.
    pub fn is_outdated(&self, path: &Path) -> bool {
        let Ok(directory) = ConfigDirectory::of(path) else { return true };
        let files = self.read.lock().unwrap_or_else(PoisonError::into_inner).clone();
        !directory.holds(&Sources { main: directory.main().to_owned(), files })
    }

    pub(super) fn note_read(&self, name: &str, text: &str) {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), text.to_owned());
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst)
    }

    /// From now on it is this child that is to be ended.
    pub(super) fn watch(&self, process: &Process) {
        if let Body::Own(child) = &process.body {
            *self.child() = Some(Arc::clone(child));
        }
        if self.is_wanted() {
            self.abort();
        }
    }

    pub(super) fn child(&self) -> MutexGuard<'_, Option<Arc<Mutex<Child>>>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_outdated_once_a_text_that_it_read_has_changed() {
        let place = tempfile::tempdir().unwrap();
        let main = place.path().join("master.star");
        std::fs::write(&main, "one").unwrap();
        let load = Abort::default();
        assert!(!load.is_outdated(&main), "it has read nothing yet");
        load.note_read("master.star", "one");
        std::fs::write(place.path().join("other.star"), "").unwrap();
        assert!(!load.is_outdated(&main));
        std::fs::write(&main, "two").unwrap();
        assert!(load.is_outdated(&main));
        std::fs::remove_file(&main).unwrap();
        assert!(load.is_outdated(&main));
    }
}
