//! File commands: create, remove, copy, inspect, find. Doing one twice is the same as doing it once, so they need no
//! spool. Each can be cancelled.

mod copy;
mod find;
mod remove;

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::base::process::{users_umask, with_umask};
use crate::protocol::CommandArgs;

/// Names in one answer: with usual names, far below the longest message.
const FILES_MAX: usize = 200_000;

/// How a file command ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FileOutcome {
    /// 0, or the error number of the system.
    pub code: i64,
    /// For people; empty if all is well.
    pub message: String,
    pub files: Vec<String>,
    /// Whether it lists names, even if there are none.
    pub lists: bool,
    pub stat: Option<Vec<u64>>,
    pub elapsed_ms: u64,
    pub cancelled: bool,
    /// The fault is ours, not that of the files.
    pub broken: bool,
    /// Of an upload: the SHA-256 of everything, and how many bytes that is.
    pub digest: Option<String>,
    pub sent: u64,
}

/// Why a file command failed.
#[derive(Debug)]
struct Failure {
    code: i64,
    message: String,
}

impl FileOutcome {
    /// The worker itself failed.
    pub fn broken(message: String) -> Self {
        Self { code: -1, message, broken: true, ..Self::default() }
    }
}

/// Performs a file command. Blocks as long as the disk takes.
pub(super) fn perform(args: &CommandArgs, cancelled: &AtomicBool) -> FileOutcome {
    let start = Instant::now();
    let mut outcome = FileOutcome::default();
    if let Err(failure) = perform_into(args, cancelled, &mut outcome) {
        outcome.code = failure.code;
        outcome.message = format!("{}: {}", verb(args), failure.message);
    }
    outcome.cancelled = outcome.code != 0 && cancelled.load(Ordering::Relaxed);
    outcome.elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    outcome
}

fn perform_into(args: &CommandArgs, cancelled: &AtomicBool, outcome: &mut FileOutcome) -> Result<(), Failure> {
    match args {
        CommandArgs::MakeDirs { paths } => {
            let make = |path: &String| with_umask(users_umask(), || std::fs::create_dir_all(path));
            paths.iter().try_for_each(|path| make(path).map_err(|error| failure(path, &error)))
        }
        CommandArgs::RemoveDirs { paths, .. } => {
            // All are tried; the last failure counts.
            let results = paths.iter().map(|path| remove::remove(Path::new(path), cancelled));
            #[expect(clippy::manual_try_fold, reason = "all are tried, also after a failure")]
            results.fold(Ok(()), |sum, result| result.map_err(|(path, error)| failure(&path, &error)).and(sum))
        }
        CommandArgs::Copy { from, to, .. } => copy::copy(Path::new(from), Path::new(to), cancelled)
            .map_err(|(path, error)| failure(&path.to_string_lossy(), &error)),
        CommandArgs::Stat { path } => {
            outcome.stat = Some(stat(path).map_err(|error| failure(path, &error))?);
            Ok(())
        }
        CommandArgs::List { path } => {
            outcome.lists = true;
            outcome.files = find::list(Path::new(path), FILES_MAX).map_err(|error| failure(path, &error))?;
            Ok(())
        }
        CommandArgs::Glob { path } => {
            outcome.lists = true;
            outcome.files = find::glob(path, FILES_MAX, cancelled).map_err(|error| failure(path, &error))?;
            Ok(())
        }
        CommandArgs::RemoveFile { path } => std::fs::remove_file(path).map_err(|error| failure(path, &error)),
        CommandArgs::Shell(_)
        | CommandArgs::Run(_)
        | CommandArgs::UploadFile { .. }
        | CommandArgs::UploadDirectory { .. }
        | CommandArgs::DownloadFile { .. } => {
            Err(Failure { code: -1, message: "this is not a file command".to_owned() })
        }
    }
}

/// The ten numbers of a path, links followed (docs/reference/worker-protocol.md#stat).
fn stat(path: &str) -> io::Result<Vec<u64>> {
    let data = std::fs::metadata(path)?;
    let time = |seconds: i64| u64::try_from(seconds).unwrap_or(0);
    Ok(vec![
        u64::from(data.mode()),
        data.ino(),
        data.dev(),
        data.nlink(),
        u64::from(data.uid()),
        u64::from(data.gid()),
        data.size(),
        time(data.atime()),
        time(data.mtime()),
        time(data.ctime()),
    ])
}

/// The name of the command in a configuration, which may differ from the one in the protocol.
fn verb(args: &CommandArgs) -> &'static str {
    match args {
        CommandArgs::MakeDirs { .. } => "mkdir",
        CommandArgs::RemoveDirs { .. } | CommandArgs::RemoveFile { .. } => "remove",
        CommandArgs::Copy { .. } => "copy",
        CommandArgs::Stat { .. } => "stat",
        CommandArgs::List { .. } => "list_dir",
        CommandArgs::Glob { .. } => "glob",
        CommandArgs::Shell(_)
        | CommandArgs::Run(_)
        | CommandArgs::UploadFile { .. }
        | CommandArgs::UploadDirectory { .. }
        | CommandArgs::DownloadFile { .. } => args.name(),
    }
}

fn failure(path: &str, error: &io::Error) -> Failure {
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or_default();
    // An error without a number is a failure as well.
    Failure { code: error.raw_os_error().map_or(1, i64::from), message: format!("`{path}`: {text}") }
}

/// The error of a command that was told to stop.
fn check(cancelled: &AtomicBool) -> io::Result<()> {
    if cancelled.load(Ordering::Relaxed) { Err(io::Error::other("stopped")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn done(args: &CommandArgs) -> FileOutcome {
        perform(args, &AtomicBool::new(false))
    }

    #[test]
    fn directories_are_made_with_their_parents_and_a_file_in_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b").display().to_string();
        assert_eq!(done(&CommandArgs::MakeDirs { paths: vec![deep.clone(), deep.clone()] }).code, 0);
        assert!(Path::new(&deep).is_dir());
        let file = dir.path().join("file").display().to_string();
        fs::write(&file, "").unwrap();
        let failed = done(&CommandArgs::MakeDirs { paths: vec![file.clone()] });
        assert_eq!(failed.code, 17);
        assert!(failed.message.starts_with("mkdir: ") && failed.message.contains(&file), "{}", failed.message);
    }

    #[test]
    fn a_file_has_ten_numbers_and_a_missing_one_an_error_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file").display().to_string();
        let args = CommandArgs::Stat { path: path.clone() };
        assert_eq!((done(&args).code, done(&args).stat), (2, None));
        fs::write(&path, "four").unwrap();
        let numbers = done(&args).stat.unwrap();
        assert_eq!((numbers.len(), numbers[0] & 0o170_000, numbers[6]), (10, 0o100_000, 4));
        assert_eq!(done(&CommandArgs::RemoveFile { path: path.clone() }).code, 0);
        assert_eq!(done(&CommandArgs::RemoveFile { path }).code, 2);
    }

    #[test]
    fn all_paths_are_removed_and_missing_ones_are_fine() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).display().to_string();
        fs::create_dir_all(path("a/b")).unwrap();
        fs::write(path("c"), "").unwrap();
        let args = CommandArgs::RemoveDirs { paths: vec![path("a"), path("missing"), path("c")], timeout: None };
        let outcome = done(&args);
        assert_eq!(outcome, FileOutcome { elapsed_ms: outcome.elapsed_ms, ..FileOutcome::default() });
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_stopped_command_says_so() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        let paths = vec![dir.path().join("a").display().to_string()];
        let outcome = perform(&CommandArgs::RemoveDirs { paths, timeout: None }, &AtomicBool::new(true));
        assert!(outcome.cancelled && outcome.code != 0);
        assert!(dir.path().join("a/b").is_dir());
    }
}
