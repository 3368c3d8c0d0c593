//! A small file of our state that the command line and a running master share: written as a whole under a lock, private to
//! the master's user, and read again when it changed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::base::files::{FileLock, LockError, sync_file};

/// No list of users or tokens is longer; a longer file is not one of ours.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// A file, and what was read of it last.
#[derive(Debug)]
pub(super) struct StateFile<T> {
    path: PathBuf,
    known: Mutex<Option<(Stamp, Arc<T>)>>,
}

/// By what a change shows: each write makes a new file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: Option<std::time::SystemTime>,
    inode: u64,
}

/// Why a file of users or tokens cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateFileError {
    #[error("read `{}`", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("`{}` is damaged: {why}", path.display())]
    Damaged { path: PathBuf, why: String },
    #[error("`{}` is being changed by another process; try again", path.display())]
    Busy { path: PathBuf },
}

impl<T: Serialize + DeserializeOwned + Default + Clone> StateFile<T> {
    pub fn new(path: PathBuf) -> Self {
        Self { path, known: Mutex::default() }
    }

    /// What it holds now; nothing if there is no file.
    pub fn read(&self) -> Result<Arc<T>, StateFileError> {
        let failed = |source| StateFileError::Read { path: self.path.clone(), source };
        let stamp = match fs::metadata(&self.path) {
            Ok(data) => stamp(&data),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Arc::default()),
            Err(error) => return Err(failed(error)),
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, held)) = known.as_ref()
            && *of == stamp
        {
            return Ok(Arc::clone(held));
        }
        let damaged = |why: String| StateFileError::Damaged { path: self.path.clone(), why };
        if stamp.bytes > FILE_BYTES_MAX {
            return Err(damaged(format!("it has {} bytes", stamp.bytes)));
        }
        let text = fs::read(&self.path).map_err(failed)?;
        // Where the text is wrong, and not what it says: it may hold secrets.
        let read: T = serde_json::from_slice(&text)
            .map_err(|error| damaged(format!("line {}, column {}", error.line(), error.column())))?;
        let read = Arc::new(read);
        *known = Some((stamp, Arc::clone(&read)));
        Ok(read)
    }

    /// Changes it. Durable when it returns.
    pub fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> Result<R, StateFileError> {
        let failed = |source| StateFileError::Write { path: self.path.clone(), source };
        let dir = self.path.parent().unwrap_or(Path::new("."));
        private_dir(dir).map_err(failed)?;
        let mut lock_path = self.path.clone().into_os_string();
        lock_path.push(".lock");
        let _lock = FileLock::take(Path::new(&lock_path)).map_err(|error| match error {
            LockError::Held(_) => StateFileError::Busy { path: self.path.clone() },
            LockError::Io(source) => failed(source),
        })?;
        let mut held = (*self.read()?).clone();
        let result = change(&mut held);
        let text = serde_json::to_vec_pretty(&held).map_err(|error| failed(error.into()))?;
        write_private(&self.path, &text).map_err(failed)?;
        Ok(result)
    }
}

/// A directory that only its owner can enter.
pub(super) fn private_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

/// Replaces a file that only its owner can read. Durable when it returns.
pub(super) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    // What a crash left may have other permissions.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    sync_file(path)
}

#[cfg(unix)]
fn stamp(data: &fs::Metadata) -> Stamp {
    Stamp { bytes: data.len(), modified: data.modified().ok(), inode: std::os::unix::fs::MetadataExt::ino(data) }
}

#[cfg(not(unix))]
fn stamp(data: &fs::Metadata) -> Stamp {
    Stamp { bytes: data.len(), modified: data.modified().ok(), inode: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_writes_the_other_reads_and_nobody_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("auth/list.json");
        let (master, command): (StateFile<Vec<String>>, StateFile<Vec<String>>) =
            (StateFile::new(path.clone()), StateFile::new(path.clone()));
        assert!(master.read().unwrap().is_empty());
        for name in ["a", "b"] {
            command.change(|list| list.push(name.to_owned())).unwrap();
            assert_eq!(master.read().unwrap().last().map(String::as_str), Some(name));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        }
        fs::write(&path, "[\"secret").unwrap();
        let error = master.read().unwrap_err().to_string();
        assert!(error.contains("is damaged") && !error.contains("secret"), "{error}");
    }
}
