//! Users of an `htpasswd` file: `NAME:HASH` on each line, as Apache's program writes it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::password::Scheme;

/// Ten thousand users.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Files that were read, by path.
#[derive(Debug, Default)]
pub(super) struct HtpasswdFiles {
    known: Mutex<BTreeMap<PathBuf, KnownFile>>,
}

#[derive(Debug)]
struct KnownFile {
    modified: Option<std::time::SystemTime>,
    bytes: u64,
    users: Arc<BTreeMap<String, String>>,
}

impl HtpasswdFiles {
    /// The hash of a user's password. A file that cannot be read has no users, and the log says why.
    pub fn hash_of(&self, path: &Path, user: &str) -> Option<String> {
        match self.read(path) {
            Ok(users) => users.get(user).cloned(),
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "failed to read the file of passwords");
                None
            }
        }
    }

    /// Why nobody can log in by a file, if that is so.
    pub fn fault(&self, path: &Path) -> Option<String> {
        match self.read(path) {
            Err(error) => Some(format!("`{}` cannot be read: {error}", path.display())),
            Ok(users) if users.is_empty() => Some(format!("`{}` names no user", path.display())),
            Ok(users) if users.values().all(|hash| Scheme::of(hash).is_none()) => {
                Some(format!("no password in `{}` is hashed well enough to be accepted", path.display()))
            }
            Ok(_) => None,
        }
    }

    fn read(&self, path: &Path) -> io::Result<Arc<BTreeMap<String, String>>> {
        let data = std::fs::metadata(path)?;
        let (modified, bytes) = (data.modified().ok(), data.len());
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = known.get(path)
            && (file.modified, file.bytes) == (modified, bytes)
        {
            return Ok(Arc::clone(&file.users));
        }
        if bytes > FILE_BYTES_MAX {
            return Err(io::Error::other(format!("it has {bytes} bytes, and may have {FILE_BYTES_MAX}")));
        }
        let users = Arc::new(parse(&std::fs::read_to_string(path)?));
        // Only paths that a configuration names come here, so there are few.
        known.insert(path.to_owned(), KnownFile { modified, bytes, users: Arc::clone(&users) });
        Ok(users)
    }
}

fn parse(text: &str) -> BTreeMap<String, String> {
    let mut users = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some((name, hash)) = line.split_once(':') else { continue };
        // A third field is that of other programs.
        let hash = hash.split(':').next().unwrap_or_default();
        if Scheme::of(hash).is_none() {
            let hint = "set it anew with `htpasswd -B`";
            tracing::warn!(user = name, "the password is hashed in a way that is too weak to be accepted; {hint}");
        }
        // As `htpasswd` does it, the first line of a user counts.
        users.entry(name.to_owned()).or_insert_with(|| hash.to_owned());
    }
    users
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_apache_writes_them() {
        let users = parse("# users\n\nann:$2y$05$abc\nbob:$apr1$x$y\nann:$2y$05$other\nnonsense\neve:$6$a$b:rest\n");
        assert_eq!(users["ann"], "$2y$05$abc");
        assert_eq!(users["eve"], "$6$a$b");
        assert_eq!(users.len(), 3);
    }

    #[test]
    fn a_file_that_changes_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("htpasswd");
        let files = HtpasswdFiles::default();
        assert_eq!(files.hash_of(&path, "ann"), None, "there is none");
        assert!(files.fault(&path).unwrap().contains("cannot be read"));
        for (text, why) in [("", "names no user"), ("ann:$apr1$x$y\n", "hashed well enough")] {
            std::fs::write(&path, text).unwrap();
            assert!(files.fault(&path).unwrap().contains(why), "{text}");
        }
        std::fs::write(&path, "ann:$2y$05$abc\n").unwrap();
        assert_eq!(files.hash_of(&path, "ann").as_deref(), Some("$2y$05$abc"));
        assert_eq!(files.fault(&path), None);
        std::fs::write(&path, "ann:$2y$05$abcdef\n").unwrap();
        assert_eq!(files.hash_of(&path, "ann").as_deref(), Some("$2y$05$abcdef"));
        assert_eq!(files.hash_of(&path, "bob"), None);
    }
}
