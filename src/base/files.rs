//! What `std::fs` lacks: atomic replacement, locks that name their holder, durable directories.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::Path;

/// Replaces a file atomically: readers see the old or the new content, never a part. Survives a crash of our process,
/// but not of the machine (see [`sync_file`]).
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    fs::write(&beside, content)?;
    fs::rename(&beside, path)
}

/// Makes the content and the existence of a file survive a crash of the machine.
pub fn sync_file(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    path.parent().map_or(Ok(()), sync_directory)
}

/// Makes the names in a directory survive a crash of the machine.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    // Only Unix can open directories; elsewhere the file system does this by itself.
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}

/// Creates a private state directory, with a `.gitignore` that covers everything in it. Files that an earlier version
/// left readable for others are made private, except below the directories that `is_left` names: those of builds.
pub fn keep_state_in(dir: &Path, is_left: impl Fn(&Path) -> bool) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    tighten(dir, &is_left)?;
    let note = dir.join(".gitignore");
    if note.exists() { Ok(()) } else { fs::write(note, "*\n") }
}

/// A private directory hides everything below it, so only open ones are searched: the first start of a newer version
/// takes long, the later ones do not.
#[cfg(unix)]
fn tighten(dir: &Path, is_left: &impl Fn(&Path) -> bool) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    let is_open = |data: &fs::Metadata| data.mode() & 0o077 != 0;
    if !is_open(&fs::symlink_metadata(dir)?) {
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let data = match fs::symlink_metadata(&path) {
            Ok(data) => data,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if data.is_dir() && !is_left(&path) {
            tighten(&path, is_left)?;
        } else if data.is_file() && is_open(&data) {
            fs::set_permissions(&path, fs::Permissions::from_mode(data.mode() & 0o700))?;
        }
    }
    // Last, so that a start that was interrupted is made good by the next one.
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
}

/// On systems where permissions are inherited from the parent directory.
#[cfg(not(unix))]
fn tighten(_: &Path, _: &impl Fn(&Path) -> bool) -> io::Result<()> {
    Ok(())
}

/// A lock on a file, held until this is dropped or our process ends.
#[derive(Debug)]
pub struct FileLock {
    file: File,
}

/// Why a lock was not obtained.
#[derive(Debug)]
pub enum LockError {
    /// Another process holds it; the text is what it wrote into the file.
    Held(String),
    /// The file cannot be opened or locked.
    Io(io::Error),
}

impl FileLock {
    /// Locks a file without waiting. Creates it if it is missing.
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

    /// Writes the holder into the file.
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
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        replace_file(&path, b"one").unwrap();
        replace_file(&path, b"two").unwrap();
        sync_file(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn state_is_for_its_user_alone_and_directories_of_builds_keep_their_modes() {
        use std::os::unix::fs::PermissionsExt as _;

        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state");
        fs::create_dir_all(state.join("deep/er")).unwrap();
        fs::create_dir(state.join("build")).unwrap();
        for file in ["a", "deep/er/b", "build/c"] {
            fs::write(state.join(file), "x").unwrap();
            fs::set_permissions(state.join(file), fs::Permissions::from_mode(0o755)).unwrap();
        }
        for open in ["", "deep", "deep/er", "build"] {
            fs::set_permissions(state.join(open), fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", state.join("link")).unwrap();
        keep_state_in(&state, |path| path.ends_with("build")).unwrap();
        let mode = |path: &str| fs::metadata(state.join(path)).unwrap().permissions().mode() & 0o777;
        for (path, wanted) in
            [("", 0o700), ("a", 0o700), ("deep", 0o700), ("deep/er/b", 0o700), ("build", 0o755), ("build/c", 0o755)]
        {
            assert_eq!(mode(path), wanted, "{path}");
        }
        assert_eq!(fs::read_to_string(state.join(".gitignore")).unwrap(), "*\n");
        fs::write(state.join(".gitignore"), "mine").unwrap();
        keep_state_in(&state, |_| false).unwrap();
        assert_eq!(fs::read_to_string(state.join(".gitignore")).unwrap(), "mine");
    }

    #[test]
    fn a_held_lock_names_its_holder_and_is_free_after_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let mut first = FileLock::take(&path).unwrap();
        first.sign("process 12").unwrap();
        assert!(matches!(FileLock::take(&path), Err(LockError::Held(holder)) if holder == "process 12"));
        drop(first);
        assert!(FileLock::take(&path).is_ok());
    }
}
