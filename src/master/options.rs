//! How to run a master.

use std::path::{Path, PathBuf};

use crate::evaluator::Launcher;
use crate::model::RightsPlan;

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
    /// Who can reach the address at which it listens.
    pub reach: Reach,
    /// How evaluator processes are started.
    pub launcher: Launcher,
}

/// From where the master can be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// From this machine only: everybody who is on it may do everything, unless the configuration says otherwise.
    Machine,
    /// From elsewhere: the configuration has to say who may do what.
    Network,
}

impl Reach {
    /// Whether a configuration says enough about rights for a master that is reached from there.
    pub(super) fn fits(self, rights: &RightsPlan) -> bool {
        self == Self::Machine || rights.is_declared()
    }
}

impl Options {
    /// The directory of the configuration.
    pub(super) fn base(&self) -> PathBuf {
        self.config.parent().unwrap_or(Path::new(".")).to_owned()
    }
}
