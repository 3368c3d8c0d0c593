//! `check`: whether configurations are right.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::error::{CliError, REFUSED};
use super::output::{errln, outln};
use super::terminal::printable;
use crate::evaluator::{Abort, Launcher, Load, Mode, load, summary};
use crate::model::SecretsPlan;
use crate::secrets::Secrets;

/// Warnings about secrets, each on its own line; the rest is counted.
const SECRETS_SHOWN: usize = 5;

pub(super) fn run(files: &[PathBuf]) -> Result<ExitCode, CliError> {
    let mut refused = false;
    let launcher = Launcher { mode: Mode::Plain, ..Launcher::default() };
    for file in files {
        check_is_file(file)?;
        match load(&launcher, file, &Abort::default()) {
            Load::Loaded(loaded) => {
                for line in loaded.printed.lines() {
                    errln!("{}: printed: {}", file.display(), printable(line));
                }
                for warning in &loaded.warnings {
                    errln!("{}", warning.report("warning"));
                }
                for warning in secret_warnings(&loaded.plan.secrets, file) {
                    errln!("warning: {warning}");
                }
                outln!("{}: ok ({})", file.display(), summary(&loaded.plan));
            }
            Load::Refused(report) => {
                refused = true;
                errln!("{report}");
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

/// Says what is wrong with the path of a configuration that is not a file.
pub(super) fn check_is_file(path: &Path) -> Result<(), CliError> {
    let shown = path.display();
    if path.is_dir() {
        let inside = path.join("master.star");
        let error = CliError::user(format!("`{shown}` is a directory; give the configuration file"));
        return Err(if inside.is_file() {
            error.hint(format!("did you mean `{}`?", inside.display()))
        } else {
            error.hint("it is usually called master.star")
        });
    }
    match std::fs::metadata(path) {
        Ok(data) if data.is_file() => Ok(()),
        Ok(_) => Err(CliError::environment(format!("failed to read `{shown}`: it is not a regular file"))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(CliError::environment(format!("failed to read `{shown}`: no such file"))
                .hint("give the path of a configuration, for example examples/master.star"))
        }
        Err(error) => Err(CliError::environment(format!("failed to read `{shown}`: {error}"))),
    }
}
