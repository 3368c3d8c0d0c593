//! What is wrong in a configuration, in the form in which people read it.
//!
//! Pure text: knows no Starlark. The order of problems is that of files and lines.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::SourcePlace;

/// Something wrong in a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where; none for what has no line (a missing file).
    pub place: Option<SourcePlace>,
    /// What is wrong, naming the thing.
    pub message: String,
    /// What would do.
    pub hint: Option<String>,
    /// The lines, with a marker below; ready to print.
    pub excerpt: String,
}

impl Problem {
    /// A problem without a line.
    #[must_use]
    pub fn placeless(message: impl Into<String>, hint: Option<String>) -> Self {
        Self { place: None, message: message.into(), hint, excerpt: String::new() }
    }

    /// Place, message and hint on one line, for a log.
    #[must_use]
    pub fn line(&self) -> String {
        let place = self.place.as_ref().map(|place| format!("{}:{}:{}: ", place.file, place.line, place.column));
        let hint = self.hint.as_ref().map(|hint| format!(" (hint: {hint})"));
        format!("{}{}{}", place.unwrap_or_default(), self.message, hint.unwrap_or_default())
    }

    /// The report, opened by a word such as `error` or `warning`.
    #[must_use]
    pub fn report(&self, word: &str) -> String {
        let mut text = format!("{word}: {}\n", self.message);
        if let Some(place) = &self.place {
            text += &format!("  --> {}:{}:{}\n", place.file, place.line, place.column);
        }
        if !self.excerpt.is_empty() {
            text += self.excerpt.trim_end();
            text.push('\n');
        }
        if let Some(hint) = &self.hint {
            text += &format!("hint: {hint}\n");
        }
        text
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.report("error").trim_end())
    }
}

/// Problems, and likewise warnings, that one load keeps. A loop may find something wrong millions of times, and a report
/// shows far fewer.
pub(super) const NOTED_MAX: usize = 10_000;

/// Problems that a report shows. One mistake in a loop makes thousands of them, and nobody reads on.
const SHOWN_MAX: usize = 200;

/// All problems of a configuration; `Display` is the report for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// At least one, in order of files and lines.
    pub problems: Vec<Problem>,
}

impl std::error::Error for Refused {}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.problems.iter().take(SHOWN_MAX) {
            writeln!(f, "{problem}\n")?;
        }
        match self.problems.len() {
            1 => f.write_str("the configuration has 1 problem"),
            n if n >= NOTED_MAX => {
                write!(f, "the configuration has {n} problems or more; the first {SHOWN_MAX} are shown")
            }
            n if n > SHOWN_MAX => write!(f, "the configuration has {n} problems; the first {SHOWN_MAX} are shown"),
            n => write!(f, "the configuration has {n} problems"),
        }
    }
}

/// Letters of a line that are shown: more do not fit on a screen.
const LINE_MAX: usize = 160;

/// The part of a long line around a column, and where the column is in it.
fn window(line: &str, column: u32) -> (String, u32) {
    if line.chars().nth(LINE_MAX).is_none() {
        return (line.to_owned(), column);
    }
    let at = column.saturating_sub(1) as usize;
    let begin = at.saturating_sub(LINE_MAX / 2);
    let part: String = line.chars().skip(begin).take(LINE_MAX).collect();
    let (open, shift) = if begin > 0 { ("…", 1) } else { ("", 0) };
    let close = if line.chars().nth(begin + LINE_MAX).is_some() { "…" } else { "" };
    (format!("{open}{part}{close}"), u32::try_from(at - begin + shift + 1).unwrap_or(column))
}

/// A line of source with a marker below `width` characters from `column` (counted from 1).
pub(super) fn excerpt(line_number: u32, line: &str, column: u32, width: usize) -> String {
    let (line, column) = &window(line, column);
    let column = *column;
    let number = line_number.to_string();
    let gutter = " ".repeat(number.len());
    // Tabs and wide characters would push the marker aside; one column a character is near enough.
    let shown: String = line.chars().map(|c| if c == '\t' { ' ' } else { c }).collect();
    let before = " ".repeat(column.saturating_sub(1) as usize);
    let room = shown.chars().count().saturating_sub(before.len()).max(1);
    let marker = "^".repeat(width.clamp(1, room));
    format!("{gutter} |\n{number} | {shown}\n{gutter} | {before}{marker}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_names_place_line_and_what_would_do() {
        let problem = Problem {
            place: Some(SourcePlace { file: "master.star".into(), line: 12, column: 5 }),
            message: "there is no worker `linx`".to_owned(),
            hint: Some("did you mean `linux`?".to_owned()),
            excerpt: excerpt(12, "x = [linx]", 6, 4),
        };
        let text = "\
error: there is no worker `linx`
  --> master.star:12:5
   |
12 | x = [linx]
   |      ^^^^
hint: did you mean `linux`?";
        assert_eq!(problem.to_string(), text);
        let line = "master.star:12:5: there is no worker `linx` (hint: did you mean `linux`?)";
        assert_eq!(problem.line(), line);
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = excerpt(1, &format!("{}HERE{}", "x".repeat(1_000), "y".repeat(1_000)), 1_001, 4);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].chars().count() < 180);
        assert_eq!(lines[1].find("HERE").map(|at| lines[1][..at].chars().count()), Some(lines[2].find('^').unwrap()));
    }

    #[test]
    fn marker_stays_below_its_line() {
        assert_eq!(excerpt(3, "ab", 2, 90), "  |\n3 | ab\n  |  ^\n");
        assert_eq!(excerpt(3, "", 1, 1), "  |\n3 | \n  | ^\n");
    }
}
