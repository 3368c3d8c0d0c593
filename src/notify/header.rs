//! Headers on the wire (RFC 5322 and 2047): folded between words, names quoted or encoded, nothing beyond ASCII but in
//! addresses that need it.
//!
//! Invariants: a value is one header, whatever is in it: line ends in it are spaces. Lines have at most 78 characters
//! where words allow it, and never more than 998.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use lettre::message::Mailbox;

/// Where lines are folded, if there is a place to (RFC 5322, 2.1.1).
const LINE_MAX: usize = 78;
/// A word longer than this cannot stand in a line, whose limit is 998: it is encoded in pieces.
const WORD_MAX: usize = 900;
/// Characters of an encoded word (RFC 2047, section 2): 12 for its frame, and 4 for each 3 bytes.
const ENCODED_MAX: usize = 75;
/// However long the name of a header is, its first encoded word gets so much.
const ENCODED_MIN: usize = 32;
/// Longer names are encoded, because a quoted one cannot be folded.
const QUOTED_MAX: usize = 70;
/// Headers that hold lists of addresses, which may be folded after each comma.
const ADDRESS_LISTS: [&str; 4] = ["reply-to", "errors-to", "mail-followup-to", "disposition-notification-to"];

/// A header with free text.
pub(super) fn text(name: &str, value: &str) -> String {
    let list = ADDRESS_LISTS.contains(&name.to_ascii_lowercase().as_str());
    let spaced = if list { value.replace(',', ", ") } else { value.to_owned() };
    folded(name, &encoded_text(&spaced, room_after(name)))
}

/// A header with mailboxes.
pub(super) fn mailboxes(name: &str, mailboxes: &[Mailbox]) -> String {
    let mut tokens: Vec<String> = Vec::new();
    for (index, mailbox) in mailboxes.iter().enumerate() {
        let comma = if index + 1 < mailboxes.len() { "," } else { "" };
        match &mailbox.name {
            Some(person) => {
                let room = if tokens.is_empty() { room_after(name) } else { ENCODED_MAX };
                tokens.extend(phrase(person, room));
                tokens.push(format!("<{}>{comma}", mailbox.email));
            }
            None => tokens.push(format!("{}{comma}", mailbox.email)),
        }
    }
    folded(name, &tokens)
}

/// What the first word of a header has of its line.
fn room_after(name: &str) -> usize {
    LINE_MAX.saturating_sub(name.len() + 2).clamp(ENCODED_MIN, ENCODED_MAX)
}

/// Tokens in lines.
fn folded(name: &str, tokens: &[String]) -> String {
    let mut out = format!("{name}:");
    let mut length = out.len();
    for (index, token) in tokens.iter().enumerate() {
        if index > 0 && length + 1 + token.len() > LINE_MAX {
            out.push_str("\r\n");
            length = 0;
        }
        out.push(' ');
        out.push_str(token);
        length += 1 + token.len();
    }
    out.push_str("\r\n");
    out
}

/// Free text as words; those that cannot stand as they are go in encoded words, together with the spaces between them.
/// The first of all may have `room` characters.
fn encoded_text(text: &str, room: usize) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut run = String::new();
    for word in text.split(|c: char| c.is_control() || c == ' ').filter(|word| !word.is_empty()) {
        if is_plain(word) {
            let room = if tokens.is_empty() { room } else { ENCODED_MAX };
            tokens.extend(encoded_words(&std::mem::take(&mut run), room));
            tokens.push(word.to_owned());
        } else {
            if !run.is_empty() {
                run.push(' ');
            }
            run.push_str(word);
        }
    }
    let room = if tokens.is_empty() { room } else { ENCODED_MAX };
    tokens.extend(encoded_words(&run, room));
    tokens
}

/// Whether a word can stand as it is and is not taken for an encoded one.
fn is_plain(word: &str) -> bool {
    word.is_ascii() && word.len() <= WORD_MAX && !word.contains("=?")
}

/// A name before an address: atoms, or quoted, or encoded.
fn phrase(name: &str, room: usize) -> Vec<String> {
    let name: String = name.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let is_atom = |word: &str| !word.is_empty() && word.bytes().all(is_atext);
    if name.split(' ').all(is_atom) && is_plain(&name) && name.len() <= WORD_MAX {
        return name.split(' ').map(ToOwned::to_owned).collect();
    }
    let quoted = format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
    if is_plain(&name) && quoted.len() <= QUOTED_MAX { vec![quoted] } else { encoded_words(&name, room) }
}

const fn is_atext(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'/'
                | b'='
                | b'?'
                | b'^'
                | b'_'
                | b'`'
                | b'{'
                | b'|'
                | b'}'
                | b'~'
        )
}

/// Any text as encoded words, cut between characters. The first has at most `room` characters.
fn encoded_words(text: &str, mut room: usize) -> Vec<String> {
    let mut words = Vec::new();
    let mut piece = String::new();
    for c in text.chars() {
        if piece.len() + c.len_utf8() > (room - 12) / 4 * 3 {
            words.push(encoded_word(&std::mem::take(&mut piece)));
            room = ENCODED_MAX;
        }
        piece.push(c);
    }
    if !piece.is_empty() {
        words.push(encoded_word(&piece));
    }
    words
}

fn encoded_word(text: &str) -> String {
    format!("=?utf-8?B?{}?=", BASE64_STANDARD.encode(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(name: Option<&str>, address: &str) -> Mailbox {
        Mailbox::new(name.map(ToOwned::to_owned), address.parse().unwrap())
    }

    fn longest(header: &str) -> usize {
        header.split("\r\n").map(str::len).max().unwrap()
    }

    #[test]
    fn names_are_quoted_where_the_standard_wants_it() {
        for (name, wanted) in [
            ("Ann Smith", "To: Ann Smith <a@example.org>\r\n"),
            ("O'Neil", "To: O'Neil <a@example.org>\r\n"),
            ("J. Doe", "To: \"J. Doe\" <a@example.org>\r\n"),
            ("Doe, John (home)", "To: \"Doe, John (home)\" <a@example.org>\r\n"),
            (r#"The "Boss" \o/"#, "To: \"The \\\"Boss\\\" \\\\o/\" <a@example.org>\r\n"),
            ("a@b", "To: \"a@b\" <a@example.org>\r\n"),
            ("Jörg", "To: =?utf-8?B?SsO2cmc=?= <a@example.org>\r\n"),
            ("=?utf-8?Q?x?=", "To: =?utf-8?B?PT91dGYtOD9RP3g/PQ==?= <a@example.org>\r\n"),
        ] {
            assert_eq!(mailboxes("To", &[mailbox(Some(name), "a@example.org")]), wanted);
        }
    }

    #[test]
    fn addresses_are_folded_one_from_the_other() {
        let all: Vec<Mailbox> =
            (0..300).map(|n| mailbox(Some("Some Developer"), &format!("developer{n}@example.org"))).collect();
        let header = mailboxes("To", &all);
        assert!(longest(&header) <= LINE_MAX, "{header}");
        assert_eq!(header.matches(',').count(), 299);
        assert!(header.split("\r\n").skip(1).all(|line| line.is_empty() || line.starts_with(' ')));
    }

    #[test]
    fn a_long_name_is_encoded_in_words_of_at_most_75_characters() {
        let header = mailboxes("From", &[mailbox(Some("Ж, ".repeat(33).trim()), "a@example.org")]);
        assert!(header.split_whitespace().all(|word| word.len() <= 75), "{header}");
        assert!(longest(&header) <= LINE_MAX && header.is_ascii(), "{header}");
    }

    #[test]
    fn a_text_keeps_its_plain_words_and_is_folded() {
        assert_eq!(text("Subject", "linux #1 – failed"), "Subject: linux #1 =?utf-8?B?4oCT?= failed\r\n");
        assert_eq!(text("Subject", "één töö x"), "Subject: =?utf-8?B?w6nDqW4gdMO2w7Y=?= x\r\n");
        assert!(longest(&text("References", &"<some-message-id@example.org> ".repeat(100))) <= LINE_MAX);
        assert!(longest(&text("Subject", &"Ж".repeat(5000))) <= LINE_MAX);
        assert!(longest(&text("Subject", &"x".repeat(5000))) <= LINE_MAX);
        assert_eq!(longest(&text("X-Token", &"x".repeat(800))), 809, "it may mean something, and fits");
        assert!(longest(&text("Reply-To", &"someone@example.org,".repeat(100))) <= LINE_MAX);
    }

    #[test]
    fn nothing_in_a_value_begins_another_header() {
        for evil in ["x\r\nBcc: all@example.org", "x\nBcc: y", "x\rBcc: y", "\r\n\r\nbody"] {
            let header = text("Subject", evil);
            assert_eq!(header.matches("\r\n").count(), 1, "{header:?}");
            assert_eq!(header.matches(['\r', '\n']).count(), 2, "{header:?}");
            let named = mailboxes("To", &[mailbox(Some(evil), "a@example.org")]);
            assert_eq!(named.matches(['\r', '\n']).count(), 2, "{named:?}");
        }
    }
}
