//! What the standard library's files lack: replacement as one, locks that tell their holder, durable folders.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

/// Puts a file in place as one: readers see the old content or the new, never a part. Survives our own crash, but not
/// by itself that of the machine (see [`sync_file`]).
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    fs::write(&beside, content)?;
    fs::rename(&beside, path)
}

/// Makes a file's content, and that it is there at all, survive a crash of the machine.
pub fn sync_file(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes the names in a folder survive a crash of the machine.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    // Only unix can open folders; elsewhere the file system does it by itself.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// A lock on a file, held as long as this lives, and at most as long as our process.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

/// Why a lock is not ours.
#[derive(Debug)]
pub enum LockError {
    /// Another process holds it; what that wrote into the file.
    Held(String),
    /// The file cannot be opened or locked.
    Io(io::Error),
}

impl FileLock {
    /// Takes the lock on a file, which is made if missing, without waiting.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = open.map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // What cannot be read is only a name for people.
                let _ = file.read_to_string(&mut holder);
                Err(LockError::Held(holder.trim().to_owned()))
            }
            Err(TryLockError::Error(error)) => Err(LockError::Io(error)),
        }
    }

    /// Writes into the file who holds it.
    pub fn sign(&mut self, holder: &str) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.rewind()?;
        writeln!(self.file, "{holder}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        replace_file(&path, b"one").unwrap();
        replace_file(&path, b"two").unwrap();
        sync_file(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_held_lock_names_its_holder_and_is_free_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let mut first = FileLock::take(&path).unwrap();
        first.sign("process 12").unwrap();
        assert!(matches!(FileLock::take(&path), Err(LockError::Held(holder)) if holder == "process 12"));
        drop(first);
        assert!(FileLock::take(&path).is_ok());
    }
}
