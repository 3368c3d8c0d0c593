//! Text to syntax tree, with words for what people bring along from Python.
//!
//! Refuses what would exhaust the parser's own stack before the parser sees it.

use starlark::codemap::FileSpan;
use starlark::syntax::{AstModule, Dialect, DialectTypes};

use super::brackets;
use super::foreign;
use super::omission;
use super::place::{excerpt_of, place_of};
use super::problem::{Problem, excerpt};
use crate::model::SourcePlace;

/// The language: Bazel's flavour, with type annotations, f-strings and statements at top level.
pub(super) const DIALECT: Dialect = Dialect {
    enable_f_strings: true,
    enable_types: DialectTypes::Enable,
    enable_top_level_stmt: true,
    enable_keyword_only_arguments: true,
    enable_load_reexport: false,
    ..Dialect::Standard
};

/// Brackets inside each other. The parser is recursive: 1,000 take some 2 MB of stack; nobody writes 200.
const DEPTH_MAX: usize = 200;

/// Bytes of one file: 10,000 builders written out take 8 MB.
pub(super) const FILE_BYTES_MAX: usize = 16 << 20;

pub(super) const NO_FORMATS: &str = "there are no format specifications such as `:02d` or `%02d`: write pad(n, 2) or fixed(x, 2), with load(\"@stdlib//text.star\", \"fixed\", \"pad\")";

/// Parses one file.
pub(super) fn parse(name: &str, text: &str) -> Result<AstModule, Problem> {
    if let Some(problem) = scan(name, text) {
        return Err(problem);
    }
    AstModule::parse(name, text.to_owned(), &DIALECT)
        .map_err(|error| brackets::problem(name, text).unwrap_or_else(|| parse_problem(name, &error)))
}

fn parse_problem(name: &str, error: &starlark::Error) -> Problem {
    let message = error.without_diagnostic().to_string();
    let message = message.trim_start_matches("Parse error: ").trim_end_matches('.').to_owned();
    let Some(span) = error.span() else { return Problem::placeless(format!("{name}: {message}"), None) };
    let line = span.file.source_line(span.resolve_span().begin.line);
    if foreign::syntax(line, "").is_none()
        && let Some(problem) = omission::problem(span, &message)
    {
        return problem;
    }
    let hint = hint_for(span, &message);
    Problem { place: Some(place_of(span)), message: lower_first(&message), hint, excerpt: excerpt_of(span) }
}

/// The first letter small, as in our own messages.
pub(super) fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    match (letters.next(), letters.clone().next()) {
        (Some(first), second) if !second.is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => text.to_owned(),
    }
}

/// The hint for a line that the parser does not understand.
fn hint_for(span: &FileSpan, message: &str) -> Option<String> {
    if message.to_lowercase().contains("f-string") || message.contains("format") {
        return Some(NO_FORMATS.to_owned());
    }
    let line = span.file.source_line(span.resolve_span().begin.line);
    foreign::syntax(line, message)
}

/// Looks for what the parser would choke on: tabs that indent, brackets too deep, a file too big.
fn scan(name: &str, text: &str) -> Option<Problem> {
    if text.len() > FILE_BYTES_MAX {
        let message = format!("`{name}` has {} MB, more than {}", text.len() >> 20, FILE_BYTES_MAX >> 20);
        return Some(Problem::placeless(message, Some("write loops, or several files".to_owned())));
    }
    let mut scanner = Scanner::default();
    for (index, line) in text.lines().enumerate() {
        let inside_text = scanner.quote.is_some();
        let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let at = |column: u32, message: String, hint: &str| Problem {
            place: Some(SourcePlace { file: name.into(), line: number, column }),
            message,
            hint: Some(hint.to_owned()),
            excerpt: excerpt(number, line, column, 1),
        };
        let indent = line.len() - line.trim_start().len();
        if !inside_text && line[..indent].contains('\t') {
            return Some(at(1, "a tab indents this line".to_owned(), "indent with four spaces per level"));
        }
        if let Some(column) = scanner.line(line) {
            let message = format!("brackets are nested more than {DEPTH_MAX} deep");
            return Some(at(column, message, "give inner parts names of their own"));
        }
    }
    None
}

/// Follows strings and brackets, nothing else.
#[derive(Default)]
struct Scanner {
    depth: usize,
    /// The quotes that end the string that we are in.
    quote: Option<&'static str>,
}

impl Scanner {
    /// Reads a line; the column at which brackets became too deep, if they did.
    fn line(&mut self, line: &str) -> Option<u32> {
        let mut rest = line;
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
                return None;
            } else if let Some(quote) = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|q| rest.starts_with(q)) {
                taken = quote.len();
                self.quote = Some(quote);
            } else if "([{".contains(next) {
                self.depth += 1;
                if self.depth > DEPTH_MAX {
                    return Some(u32::try_from(line.len() - rest.len() + 1).unwrap_or(u32::MAX));
                }
            } else if ")]}".contains(next) {
                self.depth = self.depth.saturating_sub(1);
            }
            rest = &rest[taken..];
        }
        // Only strings of three quotes reach over lines.
        self.quote = self.quote.filter(|quote| quote.len() == 3);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        parse("x.star", text).unwrap_err().to_string()
    }

    #[test]
    fn deep_nesting_is_refused_before_the_parser_sees_it() {
        let text = format!("x = {}1{}\n", "(".repeat(10_000), ")".repeat(10_000));
        assert!(refusal(&text).contains("nested more than 200 deep"));
        let fine = format!("x = {}1{}\n", "[".repeat(200), "]".repeat(200));
        assert!(parse("x.star", &fine).is_ok());
    }

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        let many = "[".repeat(500);
        for text in [
            format!("x = '{many}'\n"),
            format!("# {many}\n"),
            format!("x = \"\"\"\n{many}\n\"\"\"\n"),
            format!("x = 'a\\'{many}'\n"),
        ] {
            assert!(parse("x.star", &text).is_ok(), "{}", &text[..20]);
        }
    }

    #[test]
    fn a_tab_is_named_as_such() {
        let text = refusal("def f():\n\treturn 1\n");
        assert!(text.contains("a tab indents this line") && text.contains("x.star:2:1"), "{text}");
        assert!(parse("x.star", "x = \"\"\"\n\tfine here\n\"\"\"\n").is_ok());
    }

    #[test]
    fn words_of_python_get_their_counterpart() {
        for (text, hint) in
            [("while True:\n  pass\n", "for"), ("import os\n", "load("), ("class A:\n  pass\n", "struct")]
        {
            assert!(
                refusal(text).contains(&"hint: there ".to_string()) && refusal(text).contains(hint),
                "{}",
                refusal(text)
            );
        }
    }
}
