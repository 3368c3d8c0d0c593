//! `check`: whether configurations are right.

use std::path::PathBuf;
use std::process::ExitCode;

use super::error::{CliError, REFUSED};
use crate::config;

pub(super) fn run(files: &[PathBuf]) -> Result<ExitCode, CliError> {
    let mut refused = false;
    for file in files {
        if !file.is_file() {
            return Err(CliError::environment(format!("failed to read `{}`: no such file", file.display())));
        }
        match config::load(file) {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    eprintln!("{}", warning.report("warning"));
                }
                println!("{}: ok ({})", file.display(), config::summary(&loaded.plan));
            }
            Err(report) => {
                refused = true;
                eprintln!("{report}");
            }
        }
    }
    Ok(ExitCode::from(if refused { REFUSED } else { 0 }))
}
