//! Follows a file that the command writes as a log of its own.
//!
//! A file that was there before counts only once it changed. One that is replaced (rotated) is read to its end, then
//! the new one from its start; one that got shorter is read from its start again.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;

/// A followed file.
#[derive(Debug)]
pub(super) struct Follower {
    path: PathBuf,
    /// The file that we read, and how far.
    open: Option<(File, u64)>,
    /// The file that took its place; ours may have got more before that, so it is read once more.
    next: Option<(File, u64)>,
    /// What was there before the command: nothing of it is shown until it changes.
    before: Option<Facts>,
    /// Only what is written after the start.
    only_new: bool,
}

/// What tells a file, and one of its states, from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facts {
    file: (u64, u64),
    length: u64,
    modified: (i64, i64),
}

impl From<Metadata> for Facts {
    fn from(data: Metadata) -> Self {
        Self { file: (data.dev(), data.ino()), length: data.len(), modified: (data.mtime(), data.mtime_nsec()) }
    }
}

impl Follower {
    /// Looks at the file before the command starts.
    pub fn new(path: PathBuf, only_new: bool) -> Self {
        let before = path.metadata().ok().map(Facts::from);
        Self { path, open: None, next: None, before, only_new }
    }

    /// What was written since the last time, at most `buffer.len()` bytes. 0: nothing more for now.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some((file, at)) = &mut self.open {
                if file.metadata()?.len() < *at {
                    *at = 0;
                }
                let count = file.read_at(buffer, *at)?;
                *at += count as u64;
                if count > 0 {
                    return Ok(count);
                }
            }
            if self.next.is_some() {
                self.open = self.next.take();
            } else if !self.find_next() {
                return Ok(0);
            }
        }
    }

    /// Opens the file that the path names now, if it is not the open one. False if there is nothing new to read.
    fn find_next(&mut self) -> bool {
        // A directory, or a file that we may not read, produces nothing, as one that never appears.
        let Ok(file) = File::open(&self.path) else { return false };
        let Ok(data) = file.metadata() else { return false };
        let (is_file, facts) = (data.is_file(), Facts::from(data));
        let ours = self.open.as_ref().and_then(|(file, _)| file.metadata().ok()).map(|data| Facts::from(data).file);
        if !is_file || ours == Some(facts.file) || self.before == Some(facts) {
            return false;
        }
        let old = self.before.take().filter(|before| before.file == facts.file && before.length <= facts.length);
        let start = if self.only_new { old.map_or(0, |before| before.length) } else { 0 };
        self.next = Some((file, start));
        true
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn all(follower: &mut Follower) -> String {
        let mut text = Vec::new();
        let mut buffer = [0; 4];
        loop {
            match follower.read(&mut buffer).unwrap() {
                0 => return String::from_utf8(text).unwrap(),
                count => text.extend_from_slice(&buffer[..count]),
            }
        }
    }

    fn append(path: &PathBuf, text: &str) {
        use std::io::Write as _;
        fs::OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_new_file_is_read_as_it_grows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut follower = Follower::new(path.clone(), false);
        assert_eq!(all(&mut follower), "");
        append(&path, "one\ntwo\n");
        assert_eq!(all(&mut follower), "one\ntwo\n");
        append(&path, "three\n");
        assert_eq!(all(&mut follower), "three\n");
        assert_eq!(all(&mut follower), "");
    }

    #[test]
    fn an_old_file_counts_once_it_changes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        append(&path, "old\n");
        let (mut whole, mut new) = (Follower::new(path.clone(), false), Follower::new(path.clone(), true));
        assert_eq!((all(&mut whole), all(&mut new)), (String::new(), String::new()));
        append(&path, "new\n");
        assert_eq!((all(&mut whole), all(&mut new)), ("old\nnew\n".to_owned(), "new\n".to_owned()));
    }

    #[test]
    fn a_rotated_and_a_shortened_file_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut follower = Follower::new(path.clone(), true);
        append(&path, "one\n");
        assert_eq!(all(&mut follower), "one\n");
        append(&path, "two\n");
        fs::rename(&path, directory.path().join("log.1")).unwrap();
        append(&path, "three\n");
        assert_eq!(all(&mut follower), "two\nthree\n");
        fs::write(&path, "4\n").unwrap();
        assert_eq!(all(&mut follower), "4\n");
    }

    #[test]
    fn a_file_replaced_by_the_command_is_read_from_its_start() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        append(&path, "old and long\n");
        let mut follower = Follower::new(path.clone(), true);
        fs::write(&path, "new\n").unwrap();
        assert_eq!(all(&mut follower), "new\n");
    }
}
