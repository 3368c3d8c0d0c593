//! Files of logs held open, a bounded number of them.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::store::StoreError;

/// Files held open: enough for the busy logs of some hundred builds, well below the usual 1,024 descriptors
/// of a process, which sockets need as well.
const OPEN_MAX: usize = 200;

/// Open files by path, the least recently used one closed first.
#[derive(Debug, Default)]
pub(super) struct Handles {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    open: BTreeMap<PathBuf, (Arc<File>, u64)>,
    used: u64,
}

impl Handles {
    /// The file for reading and, if the system allows it, writing.
    pub fn get(&self, path: &Path) -> Result<Arc<File>, StoreError> {
        self.get_or(path, || open_existing(path))
    }

    /// The file, made if need be.
    pub fn get_or_create(&self, path: &Path) -> Result<Arc<File>, StoreError> {
        self.get_or(path, || OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path))
    }

    fn get_or(&self, path: &Path, open: impl FnOnce() -> io::Result<File>) -> Result<Arc<File>, StoreError> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.used += 1;
        let now = inner.used;
        if let Some((file, used)) = inner.open.get_mut(path) {
            *used = now;
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(open().map_err(StoreError::io("open", path))?);
        if inner.open.len() >= OPEN_MAX {
            let oldest = inner.open.iter().min_by_key(|(_, (_, used))| *used).map(|(path, _)| path.clone());
            oldest.map(|oldest| inner.open.remove(&oldest));
        }
        inner.open.insert(path.to_owned(), (Arc::clone(&file), now));
        Ok(file)
    }

    /// Lets go of all files below a directory, or of one file.
    pub fn forget(&self, path: &Path) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.open.retain(|open, _| !open.starts_with(path));
    }
}

fn open_existing(path: &Path) -> io::Result<File> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem) => {
            File::open(path)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_number_of_files_stays_open() {
        let dir = tempfile::tempdir().unwrap();
        let handles = Handles::default();
        let first = handles.get_or_create(&dir.path().join("0")).unwrap();
        for number in 1..OPEN_MAX + 5 {
            handles.get_or_create(&dir.path().join(number.to_string())).unwrap();
        }
        assert_eq!(handles.inner.lock().unwrap().open.len(), OPEN_MAX);
        assert_eq!(Arc::strong_count(&first), 1, "the oldest was let go");
        handles.forget(dir.path());
        assert!(handles.inner.lock().unwrap().open.is_empty());
        assert!(handles.get(&dir.path().join("missing")).is_err());
    }
}
