//! Converts lines of terminal output to HTML: colours become spans, all other control sequences are removed, and the
//! rest is escaped.
//!
//! Pure, and linear in the length of the line. Colours end with their line, so that each line can be shown alone.

use std::fmt::Write;

use super::show::Escaped;

/// The style of a piece of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "attributes of text that go together in any way")]
struct Style {
    fore: Option<u8>,
    back: Option<u8>,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
}

/// One line as HTML. If a line was overwritten (`\r`, as progress bars do), its last state is shown.
pub fn to_html(line: &str) -> String {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit_once('\r').map_or(line, |(_, last)| last);
    let mut out = String::with_capacity(line.len() + 16);
    let mut style = Style::default();
    let mut rest = line;
    while let Some(at) = rest.find('\u{1b}') {
        piece(&mut out, style, &rest[..at]);
        rest = sequence(&rest[at + 1..], &mut style);
    }
    piece(&mut out, style, rest);
    out
}

/// Takes a control sequence, which begins after the escape; returns what follows it.
fn sequence<'a>(rest: &'a str, style: &mut Style) -> &'a str {
    match rest.as_bytes().first() {
        Some(b'[') => {
            let body = &rest[1..];
            let end = body.find(|c: char| ('@'..='~').contains(&c));
            let Some(end) = end else { return "" };
            if body.as_bytes()[end] == b'm' {
                style.change(&body[..end]);
            }
            &body[end + 1..]
        }
        // Titles and links: up to BEL or ESC \.
        Some(b']' | b'P' | b'_' | b'^' | b'X') => match rest.find(['\u{7}', '\u{1b}']) {
            Some(end) if rest[end..].starts_with("\u{1b}\\") => &rest[end + 2..],
            Some(end) if rest[end..].starts_with('\u{7}') => &rest[end + 1..],
            Some(end) => &rest[end..],
            None => "",
        },
        // Two letters that choose a character set.
        Some(b'(' | b')' | b'*' | b'+' | b'#' | b' ') => after(rest, 2),
        Some(_) => after(rest, 1),
        None => "",
    }
}

fn after(text: &str, letters: usize) -> &str {
    text.char_indices().nth(letters).map_or("", |(at, _)| &text[at..])
}

impl Style {
    fn change(&mut self, codes: &str) {
        let mut codes = codes.split([';', ':']).map(|code| code.parse::<u32>().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => *self = Self::default(),
                1 => self.bold = true,
                2 => self.dim = true,
                3 => self.italic = true,
                4 => self.underline = true,
                22 => (self.bold, self.dim) = (false, false),
                23 => self.italic = false,
                24 => self.underline = false,
                30..=37 => self.fore = colour(code - 30),
                38 => self.fore = extended(&mut codes).or(self.fore),
                39 => self.fore = None,
                40..=47 => self.back = colour(code - 40),
                48 => self.back = extended(&mut codes).or(self.back),
                49 => self.back = None,
                90..=97 => self.fore = colour(code - 90 + 8),
                100..=107 => self.back = colour(code - 100 + 8),
                _ => {}
            }
        }
    }

    fn classes(self) -> String {
        let mut classes: Vec<String> = Vec::new();
        classes.extend(self.fore.map(|colour| format!("f{colour}")));
        classes.extend(self.back.map(|colour| format!("g{colour}")));
        let flags = [(self.bold, "b"), (self.dim, "d"), (self.italic, "i"), (self.underline, "u")];
        classes.extend(flags.into_iter().filter(|(on, _)| *on).map(|(_, class)| class.to_owned()));
        classes.join(" ")
    }
}

fn colour(code: u32) -> Option<u8> {
    u8::try_from(code).ok().filter(|code| *code < 16)
}

/// `5;n` and `2;r;g;b`: the nearest of the sixteen colours that every page has.
fn extended(codes: &mut impl Iterator<Item = u32>) -> Option<u8> {
    match codes.next()? {
        5 => match codes.next()? {
            code @ 0..=15 => colour(code),
            code @ 16..=231 => {
                let code = code - 16;
                Some(nearest(code / 36 * 51, code / 6 % 6 * 51, code % 6 * 51))
            }
            grey => Some(nearest((grey - 232) * 10, (grey - 232) * 10, (grey - 232) * 10)),
        },
        2 => Some(nearest(codes.next()?, codes.next()?, codes.next()?)),
        _ => None,
    }
}

fn nearest(red: u32, green: u32, blue: u32) -> u8 {
    let most = red.max(green).max(blue);
    let bright = most > 170;
    let on = |part: u32| u8::from(part * 2 > most && part > 40);
    let base = on(red) | on(green) << 1 | on(blue) << 2;
    match (base, bright) {
        (7, true) => 15,
        (7, false) => {
            if most > 90 {
                7
            } else {
                8
            }
        }
        (base, bright) => base + if bright { 8 } else { 0 },
    }
}

fn piece(out: &mut String, style: Style, text: &str) {
    if text.is_empty() {
        return;
    }
    let clean: String = text.chars().filter_map(shown).collect();
    let classes = style.classes();
    // Writing into a text cannot fail.
    let _ = if classes.is_empty() {
        write!(out, "{}", Escaped(&clean))
    } else {
        write!(out, "<span class=\"{classes}\">{}</span>", Escaped(&clean))
    };
}

/// Letters that would do something rather than show are shown as pictures of themselves.
fn shown(c: char) -> Option<char> {
    match c {
        '\t' => Some('\t'),
        // Bells and backspaces of spinners.
        '\u{7}' | '\u{8}' => None,
        '\0'..='\u{1f}' => char::from_u32(u32::from(c) + 0x2400),
        '\u{7f}' => Some('\u{2421}'),
        // They turn the rest of the line around, so that it reads as something else.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => Some('\u{fffd}'),
        _ => Some(c),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn colours_become_spans() {
        assert_eq!(to_html("a \u{1b}[1;31mred\u{1b}[0m b"), "a <span class=\"f1 b\">red</span> b");
        assert_eq!(to_html("\u{1b}[38;5;196mx\u{1b}[39my"), "<span class=\"f9\">x</span>y");
        assert_eq!(to_html("\u{1b}[48;2;0;0;120mx"), "<span class=\"g4\">x</span>");
    }

    #[test]
    fn other_sequences_disappear() {
        for text in ["\u{1b}[2Kx", "\u{1b}]0;title\u{7}x", "\u{1b}]8;;http://e\u{1b}\\x", "\u{1b}(Bx", "\u{1b}=x"] {
            assert_eq!(to_html(text), "x", "{text:?}");
        }
        assert_eq!(to_html("cut \u{1b}[3"), "cut ");
    }

    #[test]
    fn a_line_written_over_shows_its_last_state() {
        assert_eq!(to_html("10%\r50%\r100%\r"), "100%");
    }

    #[test]
    fn html_in_a_log_stays_text() {
        assert_eq!(to_html("<script>&\"'"), "&lt;script&gt;&amp;&quot;&#39;");
        assert_eq!(to_html("a\u{1}b\u{202e}c"), "a\u{2401}b\u{fffd}c");
    }

    const ESCAPE: char = '\u{1b}';

    proptest! {
        #[test]
        fn no_line_makes_markup_of_its_own(text in "[\u{1b}\\[0-9;m<>&\"'a-zé\r\u{7}]{0,40}") {
            let html = to_html(&text);
            let plain = html.replace("</span>", "").split("<span class=\"").map(|part| {
                part.split_once("\">").map_or(part, |(_, rest)| rest)
            }).collect::<String>();
            prop_assert!(!plain.contains('<') && !plain.contains('>'), "{html}");
            prop_assert!(!html.contains(ESCAPE), "{html:?}");
        }
    }
}
