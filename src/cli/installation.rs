//! Whether a state directory is that of an installation, before users and tokens are kept in it.

use std::path::Path;

use super::args::DataDirectory;
use super::error::CliError;
use super::output::errln;

/// Where state is if nothing else is said: beside the configuration.
const USUAL: &str = ".starwright";
/// The usual name of a configuration.
const CONFIGURATION: &str = "master.star";

/// What a command does with the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// It needs what is there.
    Existing,
    /// It may be the first command of an installation.
    MayBegin,
}

/// Makes sure that a command works on an installation, and does not begin one in a directory where somebody happens to be.
pub(super) fn check(state: &DataDirectory, how: Use) -> Result<(), CliError> {
    let data = state.data.as_path();
    if data.is_dir() {
        return Ok(());
    }
    let is_chosen = data != Path::new(USUAL) || Path::new(CONFIGURATION).exists();
    if how == Use::MayBegin && is_chosen {
        errln!("note: there is no state directory `{}` yet; it is created", data.display());
        return Ok(());
    }
    let error = CliError::user(format!("there is no state directory `{}`", data.display()));
    Err(error.hint("run this in the directory of the master's configuration, or name its state directory: --data DIR"))
}
