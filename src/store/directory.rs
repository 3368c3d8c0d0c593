//! The directory of a store: what lies where, who may open it, which format it has.
//!
//! ```text
//! lock        held while a process has the store open
//! format      format number and installation id
//! journal/    what was written last: facts, removals, parts of logs
//! packs/      what was in the journal before: facts, removals, short logs
//! recent/     the facts after the older snapshot once more
//! builds/     per build: its long logs
//! sled/       records and indexes; can be rebuilt from journal and packs
//! snapshots/  states of the engine
//! configs/    configurations by digest
//! ```

use std::cmp::Ordering;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::StoreError;
use crate::model::BuildId;

/// The format that this version writes, and the only one that it reads.
pub(crate) const FORMAT: u64 = 2;

/// How many builds share one directory of `builds/`: directories of a few hundred entries list quickly everywhere.
const BUILDS_PER_DIRECTORY: u64 = 1000;

/// Paths below a store's directory.
#[derive(Clone, Debug)]
pub(crate) struct Directory {
    dir: PathBuf,
}

impl Directory {
    /// The layout of `dir`.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }
    pub fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }
    pub fn format(&self) -> PathBuf {
        self.dir.join("format")
    }
    pub fn sled(&self) -> PathBuf {
        self.dir.join("sled")
    }
    pub fn journal(&self) -> PathBuf {
        self.dir.join("journal")
    }
    pub fn packs(&self) -> PathBuf {
        self.dir.join("packs")
    }
    pub fn recent(&self) -> PathBuf {
        self.dir.join("recent")
    }
    pub fn snapshots(&self) -> PathBuf {
        self.dir.join("snapshots")
    }
    pub fn configs(&self) -> PathBuf {
        self.dir.join("configs")
    }
    pub fn artifacts(&self) -> PathBuf {
        self.dir.join("artifacts")
    }
    pub fn builds(&self) -> PathBuf {
        self.dir.join("builds")
    }
    pub fn build(&self, build: BuildId) -> PathBuf {
        self.builds().join((build.0 / BUILDS_PER_DIRECTORY).to_string()).join(build.0.to_string())
    }

    /// Moves a file or directory to `damaged/`; returns where it is then, none if it was not there.
    pub fn set_aside(&self, path: &Path) -> Result<Option<PathBuf>, StoreError> {
        if !path.exists() {
            return Ok(None);
        }
        let damaged = self.dir.join("damaged");
        make_dir(&damaged)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        #[expect(clippy::maybe_infinite_iter, reason = "a directory holds finitely many names")]
        let target = (1_u64..).map(|number| damaged.join(format!("{name}.{number}"))).find(|target| !target.exists());
        let target = target.expect("numbers do not run out");
        fs::rename(path, &target).map_err(StoreError::io("move aside", path))?;
        Ok(Some(target))
    }

    /// Where the successor of a directory grows.
    #[expect(clippy::unused_self, reason = "one of three names around a swap; the others need it")]
    pub fn growing(&self, path: &Path) -> PathBuf {
        path.with_extension("new")
    }

    /// Puts a successor in its place. A crash in between is repaired by [`Self::finish_swap`].
    pub fn swap(&self, path: &Path) -> Result<(), StoreError> {
        let old = path.with_extension("old");
        let growing = self.growing(path);
        fs::rename(path, &old).map_err(StoreError::io("rename", path))?;
        fs::rename(&growing, path).map_err(StoreError::io("rename", &growing))?;
        sync_dir(&self.dir)?;
        remove_all(&old)
    }

    /// Ends what a crash interrupted: the old directory comes back if there is no new one, else it goes.
    pub fn finish_swap(&self) -> Result<(), StoreError> {
        for path in [self.sled(), self.packs()] {
            let old = path.with_extension("old");
            if old.exists() && !path.exists() {
                fs::rename(&old, &path).map_err(StoreError::io("rename", &old))?;
            }
            for leftover in [old, self.growing(&path), path.with_extension("check")] {
                remove_all(&leftover)?;
            }
        }
        Ok(())
    }
}

/// The right to use a directory; given up when dropped, or when the process dies.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    file: File,
}

impl DirectoryLock {
    /// Takes the directory, or tells that another process has it. A process that ends, and one that starts a program, keep
    /// what they had locked for a moment longer.
    pub fn take(directory: &Directory) -> Result<Self, StoreError> {
        let path = directory.lock();
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(StoreError::io("open", &path))?;
        for _ in 0..LOCK_TRIES {
            match file.try_lock() {
                Ok(()) => return Ok(Self { file }),
                Err(fs::TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
                Err(fs::TryLockError::Error(error)) => return Err(StoreError::io("lock", &path)(error)),
            }
        }
        Err(StoreError::Locked { dir: directory.dir.clone() })
    }

    /// Counts one more holder in the file of the lock; durable when it returns.
    pub fn next_epoch(&self, directory: &Directory) -> Result<u64, StoreError> {
        let path = directory.lock();
        let before = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
        let epoch = before + 1;
        let write = || {
            super::frame::write_all_at(&self.file, format!("{epoch}\n").as_bytes(), 0)?;
            self.file.sync_data()
        };
        write().map_err(StoreError::io("write", &path))?;
        Ok(epoch)
    }
}

/// A directory that is held for a second is held by somebody who means it.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// What the format file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    pub installation: String,
}

impl Format {
    /// Reads the format file; none if there is no store yet.
    pub fn read(directory: &Directory) -> Result<Option<Self>, StoreError> {
        let path = directory.format();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            // It is not text.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(StoreError::NoFormat { path }),
            Err(error) => return Err(StoreError::io("read", &path)(error)),
        };
        let damaged = || StoreError::NoFormat { path: path.clone() };
        // Formats before the second had no checksum.
        let (described, checksum) = match text.rsplit_once("checksum ") {
            Some((described, checksum)) => (described, Some(checksum)),
            None => (text.as_str(), None),
        };
        if checksum.is_some_and(|found| found != checksum_of(described)) {
            return Err(damaged());
        }
        let mut lines = described.lines();
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned);
        field("starwright").ok_or_else(damaged)?;
        let found: u64 = field("format").and_then(|number| number.parse().ok()).ok_or_else(damaged)?;
        let dir = || directory.dir.clone();
        match (found.cmp(&FORMAT), checksum, field("installation")) {
            (Ordering::Greater, Some(_), _) => Err(StoreError::NewerFormat { dir: dir(), found, known: FORMAT }),
            (Ordering::Less, _, _) => Err(StoreError::OlderFormat { dir: dir(), found, known: FORMAT }),
            (Ordering::Equal, Some(_), Some(installation)) => Ok(Some(Self { installation })),
            (Ordering::Equal | Ordering::Greater, _, _) => Err(damaged()),
        }
    }

    /// Writes the format file: from now on there is a store.
    pub fn write(&self, directory: &Directory) -> Result<(), StoreError> {
        let described = format!("starwright store\nformat {FORMAT}\ninstallation {}\n", self.installation);
        let text = format!("{described}checksum {}", checksum_of(&described));
        write_whole(&directory.format(), text.as_bytes())
    }
}

/// The rest of the last line: a flipped bit anywhere in the file must not pass for another installation or format.
fn checksum_of(described: &str) -> String {
    format!("{:08x}\n", crc32fast::hash(described.as_bytes()))
}

/// The builds that have a directory, by id.
pub(crate) fn builds(directory: &Directory) -> Result<Vec<BuildId>, StoreError> {
    let mut builds = Vec::new();
    for (_, thousand) in numbered_directories(&directory.builds())? {
        builds.extend(numbered_directories(&thousand)?.into_iter().map(|(build, _)| BuildId(build)));
    }
    builds.sort_unstable();
    Ok(builds)
}

fn numbered_directories(dir: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    numbered(dir, |name| name.parse().ok())
}

/// The files in a directory whose names are a number and this ending, in the order of the numbers; none if there is no such directory.
pub(crate) fn numbered_files(dir: &Path, ending: &str) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    numbered(dir, |name| name.strip_suffix(ending)?.strip_suffix('.')?.parse().ok())
}

fn numbered(dir: &Path, number: impl Fn(&str) -> Option<u64>) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("list", dir)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(StoreError::io("list", dir))?;
        found.extend(entry.file_name().to_str().and_then(&number).map(|number| (number, entry.path())));
    }
    found.sort();
    Ok(found)
}

/// Makes a directory with its parents.
pub(crate) fn make_dir(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(StoreError::io("make directory", path))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> Result<(), StoreError> {
    if cfg!(unix) {
        File::open(path).and_then(|dir| dir.sync_all()).map_err(StoreError::io("sync directory", path))?;
    }
    Ok(())
}

/// Writes a file so that it is there as a whole or not at all, and durable.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let temporary = path.with_extension("tmp");
    let write = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    if let Err(error) = write() {
        // What was written of it is of no use, and takes room.
        let _ = fs::remove_file(&temporary);
        return Err(StoreError::io("write", path)(error));
    }
    fs::rename(&temporary, path).map_err(StoreError::io("write", path))?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Removes a file or a directory with all it holds; one that is not there is fine.
pub(crate) fn remove_all(path: &Path) -> Result<(), StoreError> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_flipped_bit_of_the_format_file_is_accepted() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::new(dir.path());
        let format = Format { installation: "0b5d1c1e-7f3a-4c55-9d5c-9a6f2f6d8a10".to_owned() };
        format.write(&directory).unwrap();
        assert_eq!(Format::read(&directory).unwrap(), Some(format));
        let whole = fs::read(directory.format()).unwrap();
        for (at, bit) in (0..whole.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << bit;
            fs::write(directory.format(), bytes).unwrap();
            let read = Format::read(&directory);
            assert!(matches!(read, Err(StoreError::NoFormat { .. })), "byte {at}, bit {bit}: {read:?}");
        }
    }

    #[test]
    fn other_formats_are_told_apart_from_damage() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::new(dir.path());
        fs::write(directory.format(), "starwright store\nformat 1\ninstallation x\n").unwrap();
        assert!(matches!(Format::read(&directory), Err(StoreError::OlderFormat { found: 1, .. })));
        let newer = "starwright store\nformat 9\nsomething else\n";
        fs::write(directory.format(), format!("{newer}checksum {}", checksum_of(newer))).unwrap();
        assert!(matches!(Format::read(&directory), Err(StoreError::NewerFormat { found: 9, .. })));
    }
}
