//! A line for a shell with values filled in.

use super::lexer::{Context, Item, contexts, reads_code};
use super::nested;
use super::word::Word;
use crate::model::{Piece, Quote, Text, is_harmless};

/// A part of a line or word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum Part {
    /// What the configuration's author wrote.
    Syntax(String),
    /// A value that arrives as it is; `place` is how the text names it.
    Value { value: Text, place: String },
}

/// What is wrong with a place, for people: `%(prop:x)s stands in backticks`.
type Problem = (String, String);

/// The hint for a place that cannot be filled in.
const USE_ENV: &str =
    "hand the value over in `env`, and let the command use the variable: env = {\"VALUE\": …}, then \"$VALUE\"";

/// The hint for a value that cmd and PowerShell might execute.
const USE_ENV_THERE: &str = "hand it over in `env`, or write the command as a list of words";

fn items(parts: &[Part]) -> Vec<Item> {
    let each = parts.iter().flat_map(|part| match part {
        Part::Syntax(text) => text.chars().map(Item::Char).collect::<Vec<_>>(),
        Part::Value { .. } => vec![Item::Place],
    });
    each.collect()
}

fn problem(place: &str, why: &str) -> Problem {
    let place = shortened(place);
    (format!("`{place}` stands {why}, where no value can be filled in safely"), USE_ENV.to_owned())
}

/// Whether anything is filled in: else there is nothing to look for in a line, which scripts run by the thousand.
pub(in crate::config) fn has_places(parts: &[Part]) -> bool {
    parts.iter().any(|part| matches!(part, Part::Value { .. }))
}

/// The first place of a line that cannot be filled in, with a hint; none if all can.
pub(in crate::config) fn places(parts: &[Part]) -> Option<Problem> {
    if !has_places(parts) || names_windows_shell(parts) {
        return None;
    }
    let values = parts.iter().filter_map(|part| match part {
        Part::Value { place, .. } => Some(place),
        Part::Syntax(_) => None,
    });
    let mut found = contexts(&items(parts)).into_iter().zip(values);
    found.find_map(|(context, place)| Some(problem(place, context.err()?)))
}

/// The line with its values filled in. `windows`: it is for `cmd` or PowerShell.
///
/// # Errors
/// The first place or value that cannot be filled in, and a hint.
pub(in crate::config) fn render(parts: &[Part], windows: bool) -> Result<Text, Problem> {
    let checked = windows || !has_places(parts) || names_windows_shell(parts);
    let mut found = if checked { Vec::new() } else { contexts(&items(parts)) }.into_iter();
    let usual = Ok(Context { quote: Quote::Checked, plain: true });
    let mut pieces = Vec::new();
    for part in parts {
        match part {
            Part::Syntax(text) => pieces.push(Piece::Plain(text.clone())),
            Part::Value { value, place } => {
                let context = found.next().unwrap_or(usual).map_err(|why| problem(place, why))?;
                pieces.extend(fill(value, context).map_err(|why| unfit(place, why))?);
            }
        }
    }
    Ok(Text(merged(pieces)))
}

/// A place as people recognize it.
fn shortened(place: &str) -> String {
    const LETTERS_MAX: usize = 60;
    match place.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => format!("{}…", &place[..end]),
        None => place.to_owned(),
    }
}

fn unfit(place: &str, why: &str) -> Problem {
    let place = shortened(place);
    (format!("the value of `{place}` {why}"), USE_ENV_THERE.to_owned())
}

/// The pieces of one value where it stands.
fn fill(value: &Text, context: Context) -> Result<Vec<Piece>, &'static str> {
    let plain: String =
        value.0.iter().map(|piece| if let Piece::Plain(text) = piece { text.as_str() } else { "" }).collect();
    let secret = value.is_secret();
    if context.plain && !secret && !plain.is_empty() && plain.chars().all(is_harmless) {
        return Ok(vec![Piece::Plain(plain)]);
    }
    if !secret {
        return context.quote.quoted(&plain).map(|text| vec![Piece::Plain(text)]);
    }
    let each = value.0.iter().map(|piece| match piece {
        Piece::Plain(text) => context.quote.quoted(text).map(Piece::Plain),
        Piece::Secret(name) | Piece::QuotedSecret(name, _) => Ok(Piece::QuotedSecret(name.clone(), context.quote)),
        Piece::Address { .. } => Err("is a part of an address"),
    });
    each.collect()
}

/// Neighbouring plain pieces as one.
fn merged(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    for piece in pieces {
        match (out.last_mut(), piece) {
            (Some(Piece::Plain(before)), Piece::Plain(text)) => before.push_str(&text),
            (_, piece) => out.push(piece),
        }
    }
    out
}

/// The first place of a text for the standard input of a command that executes it, with a hint.
pub(in crate::config) fn check_input(command: &[Part], input: &[Part]) -> Option<Problem> {
    input_problem(input, || reads_code(&items(command)))
}

/// The same for a list command.
pub(in crate::config) fn check_input_of_words(words: &[Vec<Part>], input: &[Part]) -> Option<Problem> {
    input_problem(input, || nested::reads_code(&as_words(words).0))
}

fn input_problem(input: &[Part], executes: impl FnOnce() -> bool) -> Option<Problem> {
    let place = input.iter().find_map(|part| match part {
        Part::Value { place, .. } => Some(place),
        Part::Syntax(_) => None,
    })?;
    executes().then(|| problem(place, "in `stdin` of a command that executes it"))
}

/// The words of a list command: the first place that another shell would execute, with a hint.
pub(in crate::config) fn check_words(words: &[Vec<Part>]) -> Option<Problem> {
    if !words.iter().any(|parts| has_places(parts)) {
        return None;
    }
    let (words, all) = as_words(words);
    let found = nested::refused(&words).into_iter().next();
    found.map(|(place, why)| problem(&all[place], why))
}

/// Words whose places have numbers, and how the places are written.
fn as_words(words: &[Vec<Part>]) -> (Vec<Word>, Vec<String>) {
    let mut all = Vec::new();
    let mut as_word = |parts: &Vec<Part>| {
        let mut word = Word::default();
        for part in parts {
            match part {
                Part::Syntax(text) => word.text += text,
                Part::Value { place, .. } => {
                    word.take(all.len());
                    all.push(place.clone());
                }
            }
        }
        word
    };
    let words = words.iter().map(&mut as_word).collect();
    (words, all)
}

/// The words of a list command that runs `cmd` or PowerShell: the first value that it might execute.
pub(in crate::config) fn check_windows_words(words: &[Vec<Part>]) -> Option<Problem> {
    if !words.iter().any(|parts| has_places(parts)) {
        return None;
    }
    let line: Vec<Part> =
        words.iter().flat_map(|parts| parts.iter().cloned().chain([Part::Syntax(" ".to_owned())])).collect();
    if !names_windows_shell(&line) {
        return None;
    }
    line.iter().find_map(|part| match part {
        Part::Value { value, place } => {
            let unfit_piece = value.0.iter().find_map(|piece| match piece {
                Piece::Plain(text) => Quote::Checked.quoted(text).err(),
                Piece::Secret(_) | Piece::QuotedSecret(..) => None,
                Piece::Address { .. } => Some("is a part of an address"),
            });
            unfit_piece.map(|why| unfit(place, why))
        }
        Part::Syntax(_) => None,
    })
}

/// Whether a line has a word that names `cmd` or PowerShell.
pub(in crate::config) fn names_windows_shell(parts: &[Part]) -> bool {
    let text: String =
        parts.iter().map(|part| if let Part::Syntax(text) = part { text.as_str() } else { "\u{fffc}" }).collect();
    let marks = |c: char| c.is_whitespace() || "'\";&|()`".contains(c);
    let words: Vec<&str> = text.split(marks).filter(|word| !word.is_empty()).collect();
    words.iter().enumerate().any(|(index, text)| {
        let program = Word { text: (*text).to_owned(), ..Word::default() }.program();
        // `cmd` alone is as often somebody's variable or directory.
        let option = || words.get(index + 1).is_some_and(|next| next.starts_with('/') && next.len() <= 3);
        match program.as_str() {
            "powershell" | "pwsh" => true,
            "cmd" => text.to_lowercase().ends_with(".exe") || option(),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line whose places, written `@`, have this value.
    fn parts(line: &str, value: &str) -> Vec<Part> {
        let mut parts = Vec::new();
        for (index, text) in line.split('@').enumerate() {
            if index > 0 {
                parts.push(Part::Value { value: Text::plain(value), place: "%(prop:x)s".to_owned() });
            }
            parts.push(Part::Syntax(text.to_owned()));
        }
        parts
    }

    fn shown(line: &str, value: &str) -> String {
        match render(&parts(line, value), false) {
            Ok(text) => text.masked(),
            Err((problem, _)) => problem,
        }
    }

    #[test]
    fn values_are_quoted_as_their_surroundings_need_it() {
        assert_eq!(shown("echo @ '@' \"@\"", "it's"), "echo 'it'\\''s' 'it'\\''s' \"\"'it'\\''s'\"\"");
        assert_eq!(shown("echo @ '@' \"@\"", "main"), "echo main 'main' \"main\"");
        assert_eq!(shown("echo @", ""), "echo ''");
    }

    #[test]
    fn a_harmless_value_stands_bare_only_where_it_cannot_mean_more() {
        assert_eq!(shown("@ x", "if"), "'if' x");
        assert_eq!(shown("echo @>f", "2"), "echo '2'>f");
        assert_eq!(shown("echo $x@", "y"), "echo $x'y'");
        assert_eq!(shown("echo \"$x@\"", "y"), "echo \"$x\"'y'\"\"");
        assert_eq!(shown("echo a@/b", "y"), "echo ay/b");
    }

    #[test]
    fn windows_shells_get_harmless_values_only() {
        for line in ["cmd /c echo @", "powershell -Command \"echo @\"", "C:\\x\\CMD.EXE /s @", "env pwsh -c @"] {
            assert!(shown(line, "v1.2").ends_with(&line.replace('@', "v1.2")), "{line}");
            assert!(shown(line, "a&b").contains("may execute"), "{line}");
        }
        assert_eq!(shown("cat cmd @", "a&b"), "cat cmd 'a&b'");
        assert!(render(&parts("echo @", "%PATH%"), true).is_err());
        assert_eq!(render(&parts("echo @", "main"), true), Ok(Text::plain("echo main")));
    }

    #[test]
    fn no_value_may_hold_nul() {
        assert!(shown("echo @", "a\0b").contains("NUL"));
    }

    #[test]
    fn a_secret_keeps_its_surroundings() {
        let mut line = parts("curl -u '@'", "");
        line[1] =
            Part::Value { value: Text(vec![Piece::Secret("tok".to_owned())]), place: "%(secret:tok)s".to_owned() };
        let text = render(&line, false).unwrap();
        assert_eq!(text.0[1], Piece::QuotedSecret("tok".to_owned(), Quote::Single));
        assert_eq!(text.reveal(&mut |_| Some("a'b".to_owned())).as_deref(), Ok("curl -u 'a'\\''b'"));
    }

    #[test]
    fn words_of_a_list_are_code_for_the_shell_that_they_start() {
        let words = |words: &[&str]| words.iter().map(|word| parts(word, "x")).collect::<Vec<_>>();
        assert!(check_words(&words(&["bash", "-c", "make @"])).is_some());
        assert!(check_words(&words(&["bash", "-c", "make \"$1\"", "name", "@"])).is_none());
        let shell: Vec<Vec<Part>> = vec![parts("powershell", ""), parts("-Command", ""), parts("@", "a;b")];
        assert!(check_windows_words(&shell).is_some());
    }
}
