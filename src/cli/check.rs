//! `check`: whether configurations are right.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::error::{CliError, REFUSED};
use crate::evaluator::{Abort, Folder, Launcher, Load, Mode, load, summary};
use crate::model::SecretsPlan;
use crate::secrets::Secrets;

/// Warnings about secrets, each on its own line; the rest is counted.
const SECRETS_SHOWN: usize = 5;

pub(super) fn run(files: &[PathBuf]) -> Result<ExitCode, CliError> {
    let mut refused = false;
    let launcher = Launcher { mode: Mode::Plain, ..Launcher::default() };
    for file in files {
        if let Some(error) = unreadable(file) {
            return Err(error);
        }
        match load(&launcher, file, &Abort::default()) {
            Load::Loaded(loaded) => {
                for warning in &loaded.warnings {
                    eprintln!("{}", warning.report("warning"));
                }
                for warning in secret_warnings(&loaded.plan.secrets, file) {
                    eprintln!("warning: {warning}");
                }
                println!("{}: ok ({})", file.display(), summary(&loaded.plan));
            }
            Load::Refused(report) => {
                refused = true;
                eprintln!("{report}");
            }
            Load::Aborted => unreachable!("nobody else has the abort"),
        }
    }
    Ok(ExitCode::from(if refused { REFUSED } else { 0 }))
}

/// Secrets that the configuration names and that have no proper value here. The master's machine may have them, so that
/// refuses nothing.
fn secret_warnings(plan: &SecretsPlan, file: &Path) -> Vec<String> {
    let secrets = Secrets::new(plan, file.parent().unwrap_or(Path::new(".")));
    let names: BTreeSet<&String> = plan.names.iter().collect();
    let mut faults: Vec<String> =
        names.into_iter().filter_map(|name| secrets.fault(name)).map(|fault| fault.message).collect();
    let more = faults.len().saturating_sub(SECRETS_SHOWN);
    faults.truncate(SECRETS_SHOWN);
    faults.extend((more > 0).then(|| format!("{more} more secrets have no proper value")));
    faults
}

/// Why a path is no configuration, before anything of it is read.
fn unreadable(path: &Path) -> Option<CliError> {
    if path.is_file() {
        return None;
    }
    if path.exists() && !path.is_dir() {
        let message = format!("failed to read `{}`: it is not a regular file", path.display());
        return Some(CliError::environment(message));
    }
    let problem = Folder::of(path).err()?.problems.into_iter().next()?;
    let hint = problem.hint.map_or_else(String::new, |hint| format!("\nhint: {hint}"));
    Some(CliError::environment(format!("{}{hint}", problem.message)))
}
