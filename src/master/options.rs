//! How to run a master.

use std::path::{Path, PathBuf};

use crate::evaluator::Launcher;

/// How to run a master.
#[derive(Clone, Debug)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// The state directory.
    pub data: PathBuf,
    /// The address in links, if the configuration names none (ends with `/`).
    pub url: String,
    /// Watch the configuration's files.
    pub watch: bool,
    /// Whether local workers (those without password) are expected.
    pub local_workers: bool,
    /// How evaluator processes are started.
    pub launcher: Launcher,
}

impl Options {
    /// The directory of the configuration.
    pub(super) fn base(&self) -> PathBuf {
        self.config.parent().unwrap_or(Path::new(".")).to_owned()
    }
}
