//! A comma, colon or quote that was left out: the parser complains at the next word, we point at the gap.

use starlark::codemap::FileSpan;

use super::problem::{Problem, excerpt};
use crate::model::SourcePlace;

/// What ends lists, calls and dicts.
const CLOSING: [&str; 3] = ["expected symbol ')'", "expected symbol ']'", "expected symbol '}'"];
/// What can be an element of them.
const ELEMENTS: [&str; 8] = [
    "identifier",
    "string literal",
    "integer literal",
    "float literal",
    "symbol '['",
    "symbol '{'",
    "keyword",
    "symbol '('",
];

/// The problem, if what the parser says at this place means that a sign is missing.
pub(super) fn problem(span: &FileSpan, message: &str) -> Option<Problem> {
    let message = message.to_lowercase();
    let unexpected = message.strip_prefix("unexpected ")?;
    let next = span.source_span();
    if message.ends_with("expected symbol ':'") {
        if unexpected.starts_with("new line") {
            let hint = "lines with `def`, `if`, `elif`, `else` and `for` end with a colon";
            return Some(gap(span, "`:` is missing at the end of the line".to_owned(), hint));
        }
        return Some(gap(span, format!("`:` is missing before `{next}`"), "an entry of a dict is `key: value`"));
    }
    let inside = CLOSING.iter().any(|end| message.ends_with(end));
    if !inside || !ELEMENTS.iter().any(|element| unexpected.starts_with(element)) {
        return None;
    }
    let hint = if unexpected.starts_with("string literal") && before(span).ends_with(['"', '\'']) {
        "a comma separates two elements; to join two texts, write `+` between them"
    } else {
        "elements and arguments are separated by commas"
    };
    Some(gap(span, format!("`,` is missing before `{next}`"), hint))
}

/// The string of a faulty text that has no end on its line; none if all have.
pub(super) fn open_string(name: &str, text: &str, line: u32, column: u32) -> Problem {
    let shown = text.lines().nth(line as usize - 1).unwrap_or_default();
    let width = shown.chars().count().saturating_sub(column as usize - 1);
    Problem {
        place: Some(SourcePlace { file: name.into(), line, column }),
        message: "a quote is missing: the text that begins here has no end".to_owned(),
        hint: Some(
            "a text ends with the quote that it begins with, on the same line; longer ones have three quotes"
                .to_owned(),
        ),
        excerpt: excerpt(line, shown, column, width),
    }
}

/// A problem at the end of what stands before a span.
fn gap(span: &FileSpan, message: String, hint: &str) -> Problem {
    let before = before(span);
    let lines = before.lines().count().max(1);
    let last = before.lines().last().unwrap_or_default();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let (line, column) = (count(lines), count(last.chars().count() + 1));
    Problem {
        place: Some(SourcePlace { file: span.filename().into(), line, column }),
        message,
        hint: Some(hint.to_owned()),
        excerpt: excerpt(line, span.file.source_line(lines - 1), column, 1),
    }
}

/// The text before a span, up to its last letter that is neither space nor comment.
fn before(span: &FileSpan) -> &str {
    let mut text = span.file.source().get(..span.span.begin().get() as usize).unwrap_or_default().trim_end();
    loop {
        let line = text.lines().last().unwrap_or_default();
        match comment(line) {
            Some(begin) => text = text[..text.len() - line.len() + begin].trim_end(),
            None => return text,
        }
    }
}

/// Where the comment of a line begins.
fn comment(line: &str) -> Option<usize> {
    let mut quote = None;
    let mut letters = line.char_indices();
    while let Some((at, letter)) = letters.next() {
        match quote {
            Some(_) if letter == '\\' => drop(letters.next()),
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None if letter == '#' => return Some(at),
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            None => {}
        }
    }
    None
}
