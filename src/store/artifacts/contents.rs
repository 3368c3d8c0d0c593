//! Contents by digest: files that never change.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::ContentDigest;
use crate::store::StoreError;
use crate::store::directory::{make_dir, remove_all, sync_dir};

/// The contents of one store.
#[derive(Debug)]
pub(super) struct Contents {
    dir: PathBuf,
    /// Held while a content is kept or removed, so that none goes that somebody has just found.
    changing: Mutex<()>,
}

impl Contents {
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, changing: Mutex::default() }
    }

    /// Makes a synced file a content: durable when it returns. One that is there already stays, and is young again.
    pub fn keep(&self, file: &Path, digest: &ContentDigest) -> Result<(), StoreError> {
        let path = self.path(digest);
        let parent = path.parent().unwrap_or(&self.dir);
        let _alone = self.alone();
        if !parent.exists() {
            make_dir(parent)?;
            sync_dir(&self.dir)?;
            self.dir.parent().map_or(Ok(()), sync_dir)?;
        }
        if path.exists() {
            touch(&path).map_err(StoreError::io("change", &path))?;
            return remove_all(file);
        }
        fs::rename(file, &path).map_err(StoreError::io("rename", file))?;
        // The name says when the content came, not when its first block did.
        touch(&path).map_err(StoreError::io("change", &path))?;
        sync_dir(parent)
    }

    /// The size of a content; none if it is not there.
    pub fn size(&self, digest: &ContentDigest) -> Result<Option<u64>, StoreError> {
        let path = self.path(digest);
        match fs::metadata(&path) {
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", &path)(error)),
        }
    }

    /// A part of a content.
    pub fn read(&self, digest: &ContentDigest, at: u64, length: usize) -> Result<Vec<u8>, StoreError> {
        let path = self.path(digest);
        read_at(&path, at, length).map_err(StoreError::io("read", &path))
    }

    /// Removes a content if `is_unused` still says so.
    pub fn remove(
        &self,
        path: &Path,
        is_unused: impl FnOnce() -> Result<bool, StoreError>,
    ) -> Result<bool, StoreError> {
        let _alone = self.alone();
        if !is_unused()? {
            return Ok(false);
        }
        remove_all(path).map(|()| true)
    }

    /// The directory of the contents whose digests begin with this byte.
    pub fn bucket(&self, byte: u8) -> PathBuf {
        self.dir.join(format!("{byte:02x}"))
    }

    fn path(&self, digest: &ContentDigest) -> PathBuf {
        path_of(&self.dir, digest)
    }

    fn alone(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the content of a digest is.
pub(crate) fn path_of(dir: &Path, digest: &ContentDigest) -> PathBuf {
    let name = &digest.0;
    // Only what looks like a digest leads to a file, so that no name leaves the directory.
    let is_digest = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if is_digest { dir.join(&name[..2]).join(name) } else { dir.join("none").join("none") }
}

/// Makes a file young: the file system says what the time is.
#[cfg(unix)]
fn touch(path: &Path) -> io::Result<()> {
    use rustix::fs::{Timespec, Timestamps, UTIME_NOW, futimens};

    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let file = File::options().append(true).open(path)?;
    Ok(futimens(file, &Timestamps { last_access: now, last_modification: now })?)
}

#[cfg(not(unix))]
fn touch(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Up to `length` bytes from `at`; fewer only at the end of the file.
fn read_at(path: &Path, at: u64, length: usize) -> io::Result<Vec<u8>> {
    use std::io::{Read as _, Seek as _};

    let mut file = File::open(path)?;
    file.seek(io::SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
