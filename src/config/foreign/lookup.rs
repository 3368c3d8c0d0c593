//! Finds what to write instead of something that was not understood.

use std::sync::OnceLock;

use regex::Regex;

use super::buildbot::{Place, ROWS};
use super::python::{ATTRIBUTES, NAMES, PATTERNS, STATEMENTS};

fn buildbot(place: Place, name: &str) -> Option<String> {
    let row = ROWS.iter().find(|row| row.place == place && row.name == name)?;
    Some(row.hint())
}

fn python(table: &[(&str, &str)], name: &str) -> Option<String> {
    table.iter().find(|(known, _)| *known == name).map(|(_, write)| (*write).to_owned())
}

/// Buildbot's modules: what stands behind the point says more.
const MODULES: [&str; 6] = ["util", "steps", "schedulers", "changes", "reporters", "plugins"];

/// The hint for a name that there is not; `after` is the text that follows it.
pub(in crate::config) fn name(name: &str, after: &str) -> Option<String> {
    let member = after.strip_prefix('.').unwrap_or_default();
    let end = member.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(member.len());
    let of_member = MODULES.contains(&name).then(|| word(&member[..end])).flatten();
    // Everybody has variables of one letter.
    let is_own = name == "c" && !after.starts_with('[');
    of_member.or_else(|| if is_own { None } else { word(name) })
}

/// The same without what follows.
pub(in crate::config) fn word(name: &str) -> Option<String> {
    buildbot(Place::Name, name).or_else(|| python(NAMES, name))
}

/// The hint for an argument that there is not.
pub(in crate::config) fn argument(function: &str, name: &str) -> Option<String> {
    if function.trim_matches('`') == "print" {
        return Some("print takes values only, and each call is a line of its own".to_owned());
    }
    buildbot(Place::Argument, name)
}

/// The hint for something that `ctx` does not have.
pub(in crate::config) fn member(name: &str) -> Option<String> {
    buildbot(Place::Member, name)
}

/// The hint for an attribute that a value does not have.
pub(in crate::config) fn attribute(name: &str) -> Option<String> {
    // `worker.Worker(…)`: what is a module there is a function here.
    python(ATTRIBUTES, name).or_else(|| buildbot(Place::Name, name))
}

/// The hint for a line in which the parser stopped.
pub(in crate::config) fn syntax(line: &str, message: &str) -> Option<String> {
    let start = line.trim_start();
    let begins = |word: &str| {
        let rest = start.strip_prefix(word)?;
        let ends = !word.ends_with(|c: char| c.is_alphanumeric())
            || !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
        ends.then_some(())
    };
    if let Some((_, write)) = STATEMENTS.iter().find(|(word, _)| begins(word).is_some()) {
        return Some((*write).to_owned());
    }
    if let Some(function) = bare_call(line) {
        return Some(format!("the arguments of a call stand in parentheses: write {function}(…)"));
    }
    if message.contains("unfinished string") {
        return Some(
            "a string ends with the same quote that begins it, on the same line; longer ones have three quotes"
                .to_owned(),
        );
    }
    if message.contains("string literal") && !start.starts_with("print") {
        return Some("put `+` between two strings to join them".to_owned());
    }
    let code = without_strings(line);
    compiled().iter().find(|(pattern, _)| pattern.is_match(&code)).map(|(_, write)| (*write).to_owned())
}

/// Words that a text may follow.
const BEFORE_TEXTS: [&str; 12] =
    ["and", "elif", "else", "for", "if", "in", "lambda", "load", "not", "or", "print", "return"];

/// The function that a line at top level calls without parentheses.
fn bare_call(line: &str) -> Option<&str> {
    let end = line.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    let (word, rest) = line.split_at(end);
    let is_call = !word.is_empty() && rest.starts_with(' ') && rest.trim_start().starts_with(['"', '\'']);
    (is_call && !BEFORE_TEXTS.contains(&word)).then_some(word)
}

fn compiled() -> &'static [(Regex, &'static str)] {
    static COMPILED: OnceLock<Vec<(Regex, &'static str)>> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let each =
            PATTERNS.iter().map(|row| (Regex::new(row.line).expect("the table's patterns are right"), row.write));
        each.collect()
    })
}

/// The line with its strings emptied and without its comment.
fn without_strings(line: &str) -> String {
    let mut out = String::new();
    let mut quote = None;
    let mut letters = line.chars();
    while let Some(c) = letters.next() {
        match quote {
            Some(_) if c == '\\' => drop(letters.next()),
            Some(open) if c == open => {
                quote = None;
                out.push(c);
            }
            Some(_) => {}
            None if c == '#' => break,
            None => {
                if c == '"' || c == '\'' {
                    quote = Some(c);
                }
                out.push(c);
            }
        }
    }
    out
}
