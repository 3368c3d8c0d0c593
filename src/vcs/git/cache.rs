//! The bare repository that a source keeps between polls.
//!
//! Branches are kept under names made of their hex form, because branches `a` (deleted since) and `a/b` could not
//! be kept under their own.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use git2::{Repository, RepositoryInitOptions, RepositoryOpenFlags};

/// Where the tips are kept.
const REFS: &str = "refs/starwright/";
/// Packs and loose objects (in one of 256 directories) beyond which git itself would tidy up; each fetch adds some.
const PACKS_MAX: usize = 50;
const LOOSE_MAX: usize = 27;
/// A file in the cache that says how untidy it was when tidying up last failed.
const TIDYING_FAILED: &str = "starwright-tidying-failed";

/// A bare repository on disk.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    pub path: PathBuf,
}

impl Cache {
    /// The cache inside a source's directory.
    pub(super) fn new(directory: &Path) -> Self {
        Self { path: directory.join("git") }
    }

    /// Makes it, if it is not there or cannot be opened.
    pub(super) fn make(&self) -> Result<(), String> {
        if self.open().is_ok() {
            self.sweep();
            return Ok(());
        }
        self.remove()?;
        fs::create_dir_all(&self.path).map_err(|error| self.fault("make", &error))?;
        let mut options = RepositoryInitOptions::new();
        options.bare(true).external_template(false);
        Repository::init_opts(&self.path, &options).map_err(|error| self.fault("make", &error.message()))?;
        Ok(())
    }

    /// Opens it. (`open_bare` would not look for the edge of a shallow history.)
    pub(super) fn open(&self) -> Result<Repository, git2::Error> {
        let flags = RepositoryOpenFlags::NO_SEARCH | RepositoryOpenFlags::BARE;
        Repository::open_ext(&self.path, flags, std::iter::empty::<&Path>())
    }

    /// Deletes it with all that it holds.
    pub(super) fn remove(&self) -> Result<(), String> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(|error| self.fault("delete", &error)),
        }
    }

    /// Where the tip of a branch is kept.
    pub(super) fn reference(branch: &str) -> String {
        let mut name = REFS.to_owned();
        for byte in branch.bytes() {
            write!(name, "{byte:02x}").expect("writing to a String cannot fail");
        }
        name
    }

    /// Forgets the tips of branches other than these, so that git can drop what only they held.
    pub(super) fn keep_only<'a>(
        repository: &Repository,
        branches: impl Iterator<Item = &'a str>,
    ) -> Result<(), git2::Error> {
        let wanted: std::collections::BTreeSet<String> = branches.map(Self::reference).collect();
        for reference in repository.references_glob(&format!("{REFS}*"))? {
            let mut reference = reference?;
            if reference.name().is_ok_and(|name| !wanted.contains(name)) {
                reference.delete()?;
            }
        }
        Ok(())
    }

    /// Whether it holds so much to tidy up that it is worth it, and twice as much as when that last failed.
    pub(super) fn needs_tidying(&self, untidiness_min: usize) -> bool {
        let untidiness = self.untidiness();
        let failed = fs::read_to_string(self.path.join(TIDYING_FAILED)).ok().and_then(|text| text.parse().ok());
        untidiness >= untidiness_min && failed.is_none_or(|failed: usize| untidiness >= failed.saturating_mul(2))
    }

    /// Remembers whether tidying up worked, so that what cannot be done in the time of a poll is not tried by each.
    pub(super) fn note_tidying(&self, is_tidy: bool) {
        let note = self.path.join(TIDYING_FAILED);
        let noted = if is_tidy { fs::remove_file(&note) } else { fs::write(&note, self.untidiness().to_string()) };
        if let (Err(error), false) = (noted, is_tidy) {
            tracing::debug!("`{}` cannot be written: {error}", note.display());
        }
    }

    /// How much there is to tidy up: from 1 on it is worth it.
    fn untidiness(&self) -> usize {
        let objects = self.path.join("objects");
        let packs = count(&objects.join("pack"), |name| name.starts_with("pack-") && name.contains(".pack"));
        let loose = count(&objects.join("17"), |_| true);
        (packs / PACKS_MAX).max(loose / LOOSE_MAX)
    }

    /// Deletes the halves of packs that fetches left which were cut off: each can be as large as the repository.
    fn sweep(&self) {
        let is_half = |name: &str| name.starts_with("tmp_") || name.starts_with(".tmp-");
        let Ok(entries) = fs::read_dir(self.path.join("objects/pack")) else { return };
        for entry in entries.flatten().filter(|entry| is_half(&entry.file_name().to_string_lossy())) {
            if let Err(error) = fs::remove_file(entry.path()) {
                tracing::debug!("a leftover of a fetch stays: `{}`: {error}", entry.path().display());
            }
        }
    }

    fn fault(&self, what: &str, error: &dyn std::fmt::Display) -> String {
        format!(
            "failed to {what} its cache directory `{}`: {error}; check space and permissions there",
            self.path.display()
        )
    }
}

fn count(directory: &Path, wanted: impl Fn(&str) -> bool) -> usize {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    entries.flatten().filter(|entry| wanted(&entry.file_name().to_string_lossy())).count()
}
