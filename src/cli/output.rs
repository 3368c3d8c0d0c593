//! Words and signs for the terminal, and the way they get there.
//!
//! Invariant: a reader that goes away ends a client quietly, as it ends other tools, and never ends a master or worker.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, Write};

use crate::base::Span;
use crate::model::Outcome;

/// A sign and a word: never colour alone.
pub(super) fn badge(outcome: Option<Outcome>) -> String {
    let sign = match outcome {
        None => "●",
        Some(Outcome::Success) => "✓",
        Some(Outcome::Warnings) => "!",
        Some(Outcome::Failure) => "✗",
        Some(Outcome::Skipped) => "-",
        Some(Outcome::Exception) => "‼",
        Some(Outcome::Retry) => "↻",
        Some(Outcome::Cancelled) => "⊘",
    };
    format!("{sign} {}", outcome.map_or("running", Outcome::word))
}

/// How long something took, from whole seconds of the API; rounded, so short ones show as `<1s`.
pub(super) fn took(seconds: i64) -> String {
    match u64::try_from(seconds) {
        Ok(0) | Err(_) => "<1s".to_owned(),
        Ok(seconds) => Span::from_seconds(seconds).to_string(),
    }
}

/// `1 change`, `2 changes`, `12,345 changes`.
pub(super) fn count(number: u64, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{} {one}s", grouped(number)) }
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut text = digits[..first].to_owned();
    for three in digits.as_bytes()[first..].chunks(3) {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&String::from_utf8_lossy(three));
    }
    text
}

/// An amount of bytes in the unit that people would take.
pub(super) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if number < 1000 {
        return format!("{number} B");
    }
    let (mut tenths, mut unit) = (number / 100, 0);
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", grouped(tenths / 10), tenths % 10, UNITS[unit])
}

/// A word as it is typed into a shell.
pub(super) fn shell_word(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "_-./:@%+,".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// The exit code that a shell shows for a tool whose reader went away: 128 and the number of SIGPIPE.
const PIPE_CLOSED: i32 = 141;
/// The exit code for a full disk, as for other faults of the environment.
const CANNOT_WRITE: i32 = 10;

/// Writes a line to standard output; [`outln!`] is the way to call it.
pub(super) fn out(line: Arguments<'_>) {
    check(writeln!(io::stdout(), "{line}"));
}

/// Writes a line to standard error; [`errln!`] is the way to call it.
pub(super) fn err(line: Arguments<'_>) {
    check(writeln!(io::stderr(), "{line}"));
}

/// Ends the program if nobody reads any more what it says.
pub(super) fn check(written: io::Result<()>) {
    let Err(error) = written else { return };
    if error.kind() != ErrorKind::BrokenPipe {
        let _nobody_listens = writeln!(io::stderr(), "error: failed to print: {error}");
        std::process::exit(CANNOT_WRITE);
    }
    std::process::exit(PIPE_CLOSED);
}

/// Says something to whoever may still listen: for masters and workers, which go on without listeners.
pub(super) fn say(line: &str) {
    let _nobody_listens = writeln!(io::stdout(), "{line}");
}

/// Writes a report to standard error, likewise.
pub(super) fn write_report(report: &str) {
    let _nobody_listens = writeln!(io::stderr(), "{report}");
}

/// Writes a line to standard output.
macro_rules! outln {
    ($($text:tt)*) => { $crate::cli::output::out(format_args!($($text)*)) };
}

/// Writes a line to standard error.
macro_rules! errln {
    ($($text:tt)*) => { $crate::cli::output::err(format_args!($($text)*)) };
}

pub(super) use {errln, outln};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes_are_for_people() {
        let counts = [0, 1, 999, 1_000, 1_234_567].map(|number| count(number, "fact"));
        assert_eq!(counts, ["0 facts", "1 fact", "999 facts", "1,000 facts", "1,234,567 facts"]);
        let sizes = [0, 999, 1_000, 1_499_999, 999_949_999, 1_000_000_000, 5_300_000_000_000_000].map(bytes);
        let words = ["linux/12", "a b", "it's", ""].map(shell_word);
        assert_eq!(words, ["linux/12", "'a b'", "'it'\\''s'", "''"]);
        assert_eq!(sizes, ["0 B", "999 B", "1.0 kB", "1.4 MB", "999.9 MB", "1.0 GB", "5,300.0 TB"]);
    }
}
