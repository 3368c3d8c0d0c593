//! Texts from outside on somebody's terminal: no sequence in them may do more than colour.
//!
//! A log can hold anything. What moves the cursor, renames the window, fills the clipboard or turns the reading direction
//! is left out everywhere; colours stay where they are wanted.

use std::io::{self, IsTerminal as _};
use std::iter::Peekable;
use std::str::Chars;

use clap::ValueEnum;

use crate::base::environment::variable;

const ESCAPE: char = '\x1b';

/// When to pass on colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl Colour {
    /// Whether standard output gets colours.
    pub fn is_wanted(self) -> bool {
        match self {
            Self::Auto => io::stdout().is_terminal() && variable("NO_COLOR").is_none_or(|value| value.is_empty()),
            Self::Always => true,
            Self::Never => false,
        }
    }
}

/// A name or line from outside, as plain text.
pub(super) fn printable(text: &str) -> String {
    cleaned(text, false)
}

/// A text from outside without anything that could steer a terminal, but with its colours if they are wanted.
pub(super) fn cleaned(text: &str, colours: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut letters = text.chars().peekable();
    let mut is_coloured = false;
    while let Some(letter) = letters.next() {
        match letter {
            ESCAPE => {
                let introducer = letters.next();
                if let Some(sequence) =
                    introducer.and_then(|introducer| escape(introducer, &mut letters)).filter(|_| colours)
                {
                    is_coloured = !matches!(sequence.as_str(), "" | "0");
                    out.push_str(&format!("{ESCAPE}[{sequence}m"));
                }
            }
            '\u{9b}' => drop(escape('[', &mut letters)),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut letters),
            '\t' | '\n' => out.push(letter),
            // These turn the reading direction: a line could show as another one.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            _ if letter.is_control() => {}
            _ => out.push(letter),
        }
    }
    if is_coloured {
        out.push_str(&format!("{ESCAPE}[0m"));
    }
    out
}

/// Reads over a sequence; the numbers of it if it is one of colours.
fn escape(introducer: char, letters: &mut Peekable<Chars<'_>>) -> Option<String> {
    match introducer {
        '[' => {
            let mut parameters = String::new();
            while let Some(letter) = letters.next_if(|letter| ('\x20'..='\x3f').contains(letter)) {
                parameters.push(letter);
            }
            let end = letters.next_if(|letter| ('\x40'..='\x7e').contains(letter));
            let is_colour = end == Some('m') && parameters.chars().all(|c| matches!(c, '0'..='9' | ';' | ':'));
            is_colour.then_some(parameters)
        }
        // Operating system commands, device control and other strings.
        ']' | 'P' | 'X' | '^' | '_' => {
            skip_string(letters);
            None
        }
        '\x20'..='\x2f' => {
            while letters.next_if(|letter| ('\x20'..='\x2f').contains(letter)).is_some() {}
            let _final_letter = letters.next_if(|letter| ('\x30'..='\x7e').contains(letter));
            None
        }
        _ => None,
    }
}

/// Reads over a string and its terminator; one without an end takes the rest of the line.
fn skip_string(letters: &mut Peekable<Chars<'_>>) {
    while let Some(letter) = letters.next_if(|letter| *letter != '\n') {
        match letter {
            '\x07' | '\u{9c}' => return,
            ESCAPE => {
                let _backslash = letters.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_stay_only_where_they_are_wanted() {
        let text = "\x1b[1;31mred\x1b[0m \x1b[38:5:4mblue";
        assert_eq!(cleaned(text, true), "\x1b[1;31mred\x1b[0m \x1b[38:5:4mblue\x1b[0m");
        assert_eq!(cleaned(text, false), "red blue");
    }

    #[test]
    fn nothing_else_reaches_a_terminal() {
        for (hostile, rest) in [
            ("\x1b]0;title\x07text", "text"),
            ("\x1b]52;c;ZXZpbA==\x1b\\text", "text"),
            ("\x1b]8;;http://evil/\x1b\\link\x1b]8;;\x1b\\", "link"),
            ("\x1b]0;never ends", ""),
            ("\x1bP1$r0m\x1b\\text", "text"),
            ("\x1b[2J\x1b[1;1Htext", "text"),
            ("\x1b[?1049htext", "text"),
            ("\x1b[>4;1mtext", "text"),
            ("\x1bctext", "text"),
            ("\x1b(0text", "text"),
            ("\u{9d}0;title\u{9c}text", "text"),
            ("\u{9b}2Jtext", "text"),
            ("back\x08\x08\x7fspace\rreturn\x07", "backspacereturn"),
            ("a\u{202e}b\u{2066}c", "abc"),
            ("tab\tumlaut ü 漢 \u{200d}", "tab\tumlaut ü 漢 \u{200d}"),
            ("\x1b", ""),
        ] {
            for colours in [false, true] {
                assert_eq!(cleaned(hostile, colours), rest, "{hostile:?}");
            }
        }
    }
}
