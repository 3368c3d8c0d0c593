//! Copies trees as `cp -R -P -p` does: links as links, with modes and times; into the target if that is a directory.

use std::ffi::OsString;
use std::fs::{self, File, FileTimes, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::check;
use crate::base::process::{users_umask, with_umask};

/// What could not be copied, and why.
pub(super) type Failed = (PathBuf, io::Error);

/// Copies a tree. Creates the parents of the target.
pub(super) fn copy(from: &Path, to: &Path, cancelled: &AtomicBool) -> Result<(), Failed> {
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    if let Some(parent) = to.parent() {
        with_umask(users_umask(), || fs::create_dir_all(parent)).map_err(fail(parent))?;
    }
    let inside = if to.is_dir() { from.file_name().map(OsString::from) } else { None };
    let to = inside.map_or_else(|| to.to_owned(), |name| to.join(name));
    let data = from.symlink_metadata().map_err(fail(from))?;
    if data.is_dir() && is_below(from, &to) {
        return Err((to, io::Error::other("a directory cannot be copied into itself")));
    }
    copy_entry(from, &to, &data, cancelled)
}

fn copy_entry(from: &Path, to: &Path, data: &Metadata, cancelled: &AtomicBool) -> Result<(), Failed> {
    let fail = |error| (from.to_owned(), error);
    check(cancelled).map_err(fail)?;
    let kind = data.file_type();
    if kind.is_dir() {
        match fs::create_dir(to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && to.is_dir() => {}
            made => made.map_err(fail)?,
        }
        for entry in fs::read_dir(from).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let data = entry.path().symlink_metadata().map_err(fail)?;
            copy_entry(&entry.path(), &to.join(entry.file_name()), &data, cancelled)?;
        }
    } else if kind.is_symlink() {
        let target = fs::read_link(from).map_err(fail)?;
        gone(fs::remove_file(to)).and_then(|()| std::os::unix::fs::symlink(target, to)).map_err(fail)?;
    } else if kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device() {
        return Err(fail(io::Error::other("it is a device, pipe or socket, which is not copied")));
    } else {
        fs::copy(from, to).map_err(fail)?;
    }
    keep_facts(to, data).map_err(fail)
}

/// Owner (if we may), mode and times of the original.
fn keep_facts(to: &Path, data: &Metadata) -> io::Result<()> {
    // Only root may change the owner; others keep the files, as `cp -p` does.
    let _not_allowed = std::os::unix::fs::lchown(to, Some(data.uid()), Some(data.gid()));
    if data.is_symlink() {
        return Ok(());
    }
    let times = FileTimes::new().set_accessed(data.accessed()?).set_modified(data.modified()?);
    // The times first: the mode may forbid opening it.
    File::open(to)?.set_times(times)?;
    fs::set_permissions(to, data.permissions())
}

/// Whether `inner` lies in `outer`, whatever links lead there. What is not there yet counts by its parent.
fn is_below(outer: &Path, inner: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().ok();
    let inner = real(inner).or_else(|| real(inner.parent()?));
    real(outer).zip(inner).is_some_and(|(outer, inner)| inner.starts_with(outer))
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn a_tree_is_copied_with_links_modes_and_times() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("deep/to"));
        fs::create_dir_all(from.join("sub")).unwrap();
        fs::write(from.join("sub/tool"), "text").unwrap();
        fs::set_permissions(from.join("sub/tool"), fs::Permissions::from_mode(0o750)).unwrap();
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        File::open(from.join("sub/tool")).unwrap().set_modified(then).unwrap();
        std::os::unix::fs::symlink("nowhere", from.join("link")).unwrap();
        copy(&from, &to, &AtomicBool::new(false)).unwrap();
        assert_eq!(fs::read(to.join("sub/tool")).unwrap(), b"text");
        let data = to.join("sub/tool").metadata().unwrap();
        assert_eq!((data.permissions().mode() & 0o777, data.modified().unwrap()), (0o750, then));
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("nowhere"));
        copy(&from, &to, &AtomicBool::new(false)).unwrap();
        assert!(to.join("from/sub/tool").exists(), "a directory takes the copy inside");
    }

    #[test]
    fn a_directory_is_not_copied_into_itself() {
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::create_dir(&from).unwrap();
        assert!(copy(&from, &from.join("to"), &AtomicBool::new(false)).is_err());
        assert!(copy(&dir.path().join("missing"), &dir.path().join("x"), &AtomicBool::new(false)).is_err());
    }
}
