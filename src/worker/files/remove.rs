//! Removes trees, even if permissions of their directories forbid it.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use super::check;

/// What could not be removed, and why.
pub(super) type Failed = (String, io::Error);

/// Removes a file, a link, or a directory with its content. A missing one is fine.
pub(super) fn remove(path: &Path, cancelled: &AtomicBool) -> Result<(), Failed> {
    let failed = |error: io::Error| (path.to_string_lossy().into_owned(), error);
    check(cancelled).map_err(failed)?;
    let is_directory = match path.symlink_metadata() {
        Ok(data) => data.is_dir(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !is_directory {
        return gone(fs::remove_file(path)).map_err(failed);
    }
    // Only a directory that refuses gets more permissions, and only for its owner.
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path).and_then(|()| fs::read_dir(path))
        }
        entries => entries,
    };
    // Names first: some file systems skip entries when others are removed while they are listed.
    let entries: Vec<_> = entries.and_then(Iterator::collect).map_err(failed)?;
    let mut opened = false;
    for entry in entries {
        let inside = entry.path();
        match remove(&inside, cancelled) {
            Err((_, error)) if error.kind() == io::ErrorKind::PermissionDenied && !opened => {
                opened = true;
                open_up(path).map_err(failed)?;
                remove(&inside, cancelled)?;
            }
            result => result?,
        }
    }
    gone(fs::remove_dir(path)).map_err(failed)
}

fn open_up(directory: &Path) -> io::Result<()> {
    let mode = directory.symlink_metadata()?.permissions().mode();
    fs::set_permissions(directory, Permissions::from_mode(mode | 0o700))
}

fn gone(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_goes_but_not_what_its_links_lead_to() {
        let dir = tempfile::tempdir().unwrap();
        let (tree, kept) = (dir.path().join("tree"), dir.path().join("kept"));
        fs::create_dir_all(tree.join("a/b/c")).unwrap();
        fs::create_dir_all(&kept).unwrap();
        fs::write(kept.join("file"), "").unwrap();
        std::os::unix::fs::symlink(&kept, tree.join("link")).unwrap();
        fs::set_permissions(tree.join("a/b"), Permissions::from_mode(0o000)).unwrap();
        fs::set_permissions(tree.join("a"), Permissions::from_mode(0o500)).unwrap();
        remove(&tree, &AtomicBool::new(false)).unwrap();
        assert!(!tree.exists() && kept.join("file").exists());
    }
}
