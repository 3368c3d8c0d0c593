//! Brackets that do not fit together, and texts without an end. A parser that misses a bracket complains at the end of
//! the file, far from the place where the bracket is open; one that misses a quote takes the rest for a text.

use super::omission::open_string;
use super::problem::{Problem, excerpt};
use crate::model::SourcePlace;

/// An open bracket.
#[derive(Clone, Copy, Debug)]
struct Open {
    bracket: char,
    line: u32,
    column: u32,
}

/// The bracket of a faulty text that is never closed, or that closes another one, or the quote that is missing; none if
/// all fit.
pub(super) fn problem(name: &str, text: &str) -> Option<Problem> {
    let mut reader = Reader::default();
    for (index, line) in text.lines().enumerate() {
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        if let Some((open, column, bracket)) = reader.line(number, line) {
            let message = format!("`{bracket}` does not close the `{}` of line {}", open.bracket, open.line);
            let hint = format!("`{}` is closed by `{}`", open.bracket, closing(open.bracket));
            return Some(at(name, number, column, line, message, hint));
        }
        if let Some(column) = reader.open_string {
            return Some(open_string(name, text, number, column));
        }
    }
    let open = reader.open.last()?;
    let line = text.lines().nth(open.line as usize - 1).unwrap_or_default();
    let message = format!("`{}` is never closed", open.bracket);
    let hint = format!("write `{}` after the last argument or element", closing(open.bracket));
    Some(at(name, open.line, open.column, line, message, hint))
}

fn at(name: &str, line: u32, column: u32, text: &str, message: String, hint: String) -> Problem {
    Problem {
        place: Some(SourcePlace { file: name.into(), line, column }),
        message,
        hint: Some(hint),
        excerpt: excerpt(line, text, column, 1),
    }
}

const fn closing(bracket: char) -> char {
    match bracket {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

/// Follows strings, comments and brackets.
#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    /// The quotes that end the string that we are in.
    quote: Option<&'static str>,
    /// The column of a text that its line does not end.
    open_string: Option<u32>,
}

impl Reader {
    /// Reads a line; the open bracket, and the column and kind of one that does not close it.
    fn line(&mut self, number: u32, line: &str) -> Option<(Open, u32, char)> {
        let mut rest = line;
        let mut column = 1_u32;
        let mut begin = 1;
        while let Some(next) = rest.chars().next() {
            let mut taken = next.len_utf8();
            if let Some(quote) = self.quote {
                if next == '\\' {
                    taken += rest[1..].chars().next().map_or(0, char::len_utf8);
                } else if rest.starts_with(quote) {
                    taken = quote.len();
                    self.quote = None;
                }
            } else if next == '#' {
                break;
            } else if let Some(quote) = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quote| rest.starts_with(quote)) {
                taken = quote.len();
                begin = column;
                self.quote = Some(quote);
            } else if "([{".contains(next) {
                self.open.push(Open { bracket: next, line: number, column });
            } else if ")]}".contains(next)
                && let Some(open) = self.open.pop()
                && closing(open.bracket) != next
            {
                return Some((open, column, next));
            }
            column = column.saturating_add(u32::try_from(rest[..taken].chars().count()).unwrap_or(1));
            rest = &rest[taken..];
        }
        // Only strings of three quotes reach over lines, and those whose lines end with a backslash.
        if self.quote.is_some_and(|quote| quote.len() == 1) && !line.ends_with('\\') {
            self.open_string = Some(begin);
            self.quote = None;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> Option<(String, u32, u32)> {
        problem("x.star", text).map(|problem| {
            let place = problem.place.unwrap();
            (problem.message, place.line, place.column)
        })
    }

    #[test]
    fn the_open_bracket_is_named() {
        let text = "x = 1\nbuilder(\"b\",\n    steps = [\n        sh(\"make\"),\nworker(\"w\")\n";
        assert_eq!(told(text), Some(("`[` is never closed".to_owned(), 3, 13)));
        assert_eq!(told("f(\n  g[1)\n"), Some(("`)` does not close the `[` of line 2".to_owned(), 2, 6)));
        assert_eq!(told("é = f('(', \"\"\"\n[\n\"\"\") # {\n"), None);
    }
}
