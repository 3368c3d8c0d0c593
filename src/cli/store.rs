//! `store`: care of a state directory that no master holds. What is done is the store's; here are words, files and exit
//! codes.
//!
//! Standard output has the result in words (the dump itself for `export -`), standard error progress and findings.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::args::{DataDirectory, StoreCommand};
use super::error::CliError;
use super::output::{bytes, check as check_written, count, errln, outln};
use super::progress::ProgressBar;
use super::terminal::printable;
use crate::base::{Clock as _, LogForm, SystemClock, files, init_logging};
use crate::master::{EndBuildError, Launcher, end_build_offline};
use crate::store::StoreError;
use crate::store::maintain::{self, CheckReport, DumpReport};

/// Exit code when something was found damaged.
const DAMAGED: u8 = 1;

pub(super) fn run(command: &StoreCommand, form: LogForm) -> Result<ExitCode, CliError> {
    init_logging(form, "warn,sled=off");
    match command {
        StoreCommand::Check { state } => check(&absolute(&state.data)?),
        StoreCommand::Compact { state } => compact(&absolute(&state.data)?),
        StoreCommand::Export { file, state } => export(file, state),
        StoreCommand::Import { file, state } => import(file, state),
        StoreCommand::EndBuild { build, reason, state } => end_build(build, reason, &absolute(&state.data)?),
        StoreCommand::Rebuild { force, state } => rebuild(&absolute(&state.data)?, *force),
    }
}

fn check(dir: &Path) -> Result<ExitCode, CliError> {
    let mut bar = ProgressBar::new("checked");
    let report = maintain::check(dir, &mut |progress| bar.show(progress)).map_err(failed)?;
    bar.end();
    for problem in &report.problems {
        outln!("{problem}");
    }
    let read = format!(
        "{}, {}, {}",
        count(report.facts, "fact"),
        count(report.records, "record"),
        count(report.log_files, "log file")
    );
    if report.problems.is_empty() {
        outln!("{}: OK ({read})", dir.display());
        return Ok(ExitCode::SUCCESS);
    }
    outln!("{}: {} ({read})", dir.display(), count(report.problems.len() as u64, "problem"));
    outln!("{}", advice(&report));
    Ok(ExitCode::from(DAMAGED))
}

/// What would do about a damaged store: one thing, because two of them may contradict each other.
const fn advice(report: &CheckReport) -> &'static str {
    match (report.database_lacks, report.facts_lack, report.has_gaps) {
        (true, false, false) => {
            "Packs and journal are intact: `starwright store rebuild` rebuilds the database from them."
        }
        (true, _, _) => {
            "The database is damaged, and so are packs or journal: restore a backup, or use `starwright store rebuild` to \
             recover whatever is readable."
        }
        (false, true, _) => {
            "The database is intact and stays usable; do not rebuild it. An export would lack what packs and journal lack. Put \
             files that are damaged or gone back from a backup while no master runs, and check again. Without a backup, go on \
             with this directory, and back it up as a whole."
        }
        (false, false, true) => {
            "Files of the store are gone, and with them logs; everything else is intact. Put them back from a backup while no \
             master runs, and check again. Without a backup, what only they held is lost: `starwright store export` and \
             `starwright store import` into a new directory make a store without gaps from the rest."
        }
        (false, false, false) => "Damaged entries are skipped when read; everything else is intact.",
    }
}

fn compact(dir: &Path) -> Result<ExitCode, CliError> {
    let mut bar = ProgressBar::new("copied");
    let report = maintain::compact(dir, &mut |progress| bar.show(progress)).map_err(failed)?;
    bar.end();
    outln!(
        "{}: {} before, {} now; dropped {} of removed builds",
        dir.display(),
        bytes(report.bytes_before),
        bytes(report.bytes_after),
        count(report.facts_dropped, "fact")
    );
    Ok(ExitCode::SUCCESS)
}

fn export(file: &Path, state: &DataDirectory) -> Result<ExitCode, CliError> {
    let dir = absolute(&state.data)?;
    let mut bar = ProgressBar::new("exported");
    let report = if file == Path::new("-") {
        let out = io::stdout();
        if out.is_terminal() {
            return Err(
                CliError::user("a dump cannot be written to a terminal").hint("name a file, or redirect the output")
            );
        }
        maintain::export(&dir, &mut BufWriter::new(out.lock()), &mut |progress| bar.show(progress)).map_err(unread)?
    } else {
        export_to_file(&dir, &absolute(file)?, &mut bar)?
    };
    bar.end();
    let lost = match report.facts_lost {
        0 => String::new(),
        lost => format!("; {} are lost and missing from it", count(lost, "fact")),
    };
    errln!("{}: exported {}{lost}", dir.display(), held(&report));
    Ok(ended_with(&report.damage, "could not be read and are missing from the dump"))
}

fn export_to_file(dir: &Path, file: &Path, bar: &mut ProgressBar) -> Result<DumpReport, CliError> {
    if file.is_dir() {
        return Err(CliError::user(format!("failed to write `{}`: it is a directory; name a file", file.display())));
    }
    let part = beside(file);
    let io_failed = |error: io::Error| CliError::environment(format!("failed to write `{}`: {error}", part.display()));
    let mut whole = || -> Result<DumpReport, CliError> {
        let mut out = BufWriter::new(File::create(&part).map_err(io_failed)?);
        let report = maintain::export(dir, &mut out, &mut |progress| bar.show(progress)).map_err(failed)?;
        out.flush().map_err(io_failed)?;
        files::sync_file(&part).map_err(io_failed)?;
        fs::rename(&part, file).map_err(|error| {
            CliError::environment(format!("failed to rename `{}` to `{}`: {error}", part.display(), file.display()))
        })?;
        Ok(report)
    };
    whole().inspect_err(|_| {
        // A half dump is of no use, and takes room; what cannot be removed does no harm.
        let _ = fs::remove_file(&part);
    })
}

fn beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn import(file: &Path, state: &DataDirectory) -> Result<ExitCode, CliError> {
    let dir = absolute(&state.data)?;
    let mut bar = ProgressBar::new("imported");
    let report = if file == Path::new("-") {
        maintain::import(&dir, &mut io::stdin().lock(), &mut |progress| bar.show(progress))
    } else {
        let opened = File::open(file).and_then(|opened| {
            if opened.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(opened) }
        });
        let opened = opened
            .map_err(|error| CliError::environment(format!("failed to read the dump `{}`: {error}", file.display())))?;
        maintain::import(&dir, &mut BufReader::new(opened), &mut |progress| bar.show(progress))
    };
    let report = report.map_err(failed)?;
    bar.end();
    outln!("{}: imported {}", dir.display(), held(&report));
    Ok(ended_with(&report.damage, "could not be read"))
}

fn rebuild(dir: &Path, force: bool) -> Result<ExitCode, CliError> {
    let mut bar = ProgressBar::new("read");
    let tell = &mut |progress| bar.show(progress);
    let report = if force { maintain::rebuild(dir, tell) } else { maintain::rebuild_unless_poorer(dir, tell) };
    let report = report.map_err(failed)?;
    bar.end();
    outln!(
        "{}: rebuilt the database: {}, {}",
        dir.display(),
        count(report.facts, "fact"),
        count(report.builds, "build")
    );
    for torn in &report.torn {
        outln!("{torn}: expected after a kill; these records were never acknowledged");
    }
    if let Some(aside) = &report.set_aside {
        outln!("the old database is in {}; delete it once everything works", aside.display());
    }
    let (mut lost, has_gaps) = (report.damage, !report.missing.is_empty());
    lost.extend(report.missing);
    let code = ended_with(&lost, "could not be read; their content is lost");
    if has_gaps {
        errln!(
            "hint: put the missing files back from a backup and rebuild again; without a backup, `starwright store export` and \
             `starwright store import` into a new directory make a store without gaps"
        );
    }
    Ok(code)
}

/// Ends a build in a store that no master holds.
fn end_build(build: &str, reason: &str, dir: &Path) -> Result<ExitCode, CliError> {
    maintain::require(dir).map_err(failed)?;
    let ended =
        end_build_offline(dir, Launcher::default(), build, reason, SystemClock.now()).map_err(|error| match error {
            EndBuildError::Store(error) => failed(error),
            EndBuildError::Unknown { .. } | EndBuildError::Over { .. } | EndBuildError::Restore(_) => {
                CliError::of(&error)
            }
        })?;
    outln!("{}: ended build {}/{} as an exception: {}", dir.display(), ended.builder, ended.number, printable(reason));
    Ok(ExitCode::SUCCESS)
}

fn held(report: &DumpReport) -> String {
    format!(
        "{}, {}, {} with {}",
        count(report.facts, "fact"),
        count(report.configs, "configuration"),
        count(report.log_files, "log file"),
        bytes(report.log_bytes)
    )
}

/// Names what could not be read; the exit code says whether there was something.
fn ended_with(damage: &[String], what: &str) -> ExitCode {
    if damage.is_empty() {
        return ExitCode::SUCCESS;
    }
    for place in damage {
        errln!("{place}");
    }
    errln!("warning: {} {what}", count(damage.len() as u64, "place"));
    ExitCode::from(DAMAGED)
}

/// Why a dump was not written to standard output. If its reader went away, the program ends here.
fn unread(error: StoreError) -> CliError {
    if let StoreError::Io { source, .. } = &error
        && source.kind() == io::ErrorKind::BrokenPipe
    {
        check_written(Err(io::ErrorKind::BrokenPipe.into()));
    }
    failed(error)
}

fn failed(error: StoreError) -> CliError {
    CliError::of(&error)
}

fn absolute(path: &Path) -> Result<PathBuf, CliError> {
    std::path::absolute(path)
        .map_err(|error| CliError::environment(format!("failed to find `{}`: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intact_database_beside_damaged_packs_is_kept() {
        let told = |database_lacks, facts_lack, has_gaps| {
            advice(&CheckReport { database_lacks, facts_lack, has_gaps, ..CheckReport::default() })
        };
        for has_gaps in [false, true] {
            let text = told(false, true, has_gaps);
            assert!(text.contains("do not rebuild") && !text.contains("store import"), "{text}");
            assert!(told(true, true, has_gaps).contains("restore a backup"));
        }
        assert!(told(false, false, true).contains("store import"));
        assert!(told(true, false, false).contains("Packs and journal are intact"));
        assert!(!told(true, false, true).contains("intact"));
    }
}
