//! Finds programs the way a shell does.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The program of this name, looked for in the directories of `path`. A name with a slash is relative to `directory`.
#[must_use]
pub fn which_in(program: &str, path: Option<&OsStr>, directory: &Path) -> Option<PathBuf> {
    if program.is_empty() {
        return None;
    }
    if program.contains(std::path::is_separator) {
        return candidates(&directory.join(program)).find(|file| is_program(file));
    }
    let directories: Vec<PathBuf> = std::env::split_paths(path?).collect();
    directories.iter().flat_map(|dir| candidates(&directory.join(dir).join(program))).find(|file| is_program(file))
}

/// The file itself; on Windows also with the usual extensions.
fn candidates(file: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let endings: &[&str] = if cfg!(windows) { &["", ".exe", ".cmd", ".bat", ".com"] } else { &[""] };
    let file = file.as_os_str().to_owned();
    endings.iter().map(move |ending| {
        let mut name = file.clone();
        name.push(ending);
        PathBuf::from(name)
    })
}

#[cfg(unix)]
fn is_program(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata().is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(file: &Path) -> bool {
    file.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::environment;

    fn which(program: &str) -> Option<PathBuf> {
        which_in(program, environment::variable_os("PATH").as_deref(), Path::new("."))
    }

    #[test]
    fn the_shell_is_found_and_nonsense_is_not() {
        assert!(which("sh").is_some_and(|path| path.is_absolute()));
        assert_eq!(which("no-such-program-anywhere"), None);
        assert_eq!(which(""), None);
    }

    #[test]
    fn a_file_that_may_not_be_executed_is_no_program() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("notes"), "text").unwrap();
        assert_eq!(which_in("notes", Some(directory.path().as_os_str()), Path::new("/")), None);
        assert_eq!(which_in("./notes", None, directory.path()), None);
    }
}
