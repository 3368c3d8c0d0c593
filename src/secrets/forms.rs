//! The forms in which a value can appear in output: unchanged, line by line, and as tools encode it.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The shortest value, line and encoded piece to look for. Shorter ones appear everywhere by chance.
pub(super) const CHARS_MIN: usize = 4;
/// Shortest piece of base64 from inside a longer text.
const BASE64_INSIDE_MIN: usize = 6;

/// All forms of a value; none if it is too short.
pub(super) fn forms(value: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for part in std::iter::once(value).chain(lines(value)).filter(|part| part.chars().count() >= CHARS_MIN) {
        found.insert(part.to_owned());
        found.extend(base64_forms(part.as_bytes()));
        found.extend(url_forms(part));
        found.extend(json_forms(part));
        found.extend(quoted_forms(part));
    }
    found.retain(|form| form.chars().count() >= CHARS_MIN);
    found
}

/// The lines of a multi-line value, with and without surrounding spaces.
fn lines(value: &str) -> impl Iterator<Item = &str> {
    let several = value.contains(['\n', '\r']);
    value.split(['\n', '\r']).filter(move |_| several).flat_map(|line| [line, line.trim()])
}

/// Base64 without padding, in both alphabets: alone, and as part of a longer text (for example `user:VALUE` of
/// an HTTP header), where the value begins at any of three places within a group.
fn base64_forms(value: &[u8]) -> Vec<String> {
    let mut forms = Vec::new();
    for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
        forms.push(engine.encode(value));
        for before in 0..3 {
            let coded = engine.encode([&[0; 2][..before], value].concat());
            // Only letters all of whose six bits belong to the value.
            let inside = &coded[(before * 8).div_ceil(6)..(before + value.len()) * 8 / 6];
            if inside.len() >= BASE64_INSIDE_MIN {
                forms.push(inside.to_owned());
            }
        }
    }
    forms
}

/// Percent-encoding as the usual tools do it: they differ in what they leave unescaped.
fn url_forms(value: &str) -> Vec<String> {
    const KEPT: [&str; 4] = ["-_.~", "-_.~/", "-_.~!'()*", "-_.*"];
    let mut forms = Vec::new();
    for kept in KEPT {
        for upper in [true, false] {
            let coded = percent(value, kept, upper);
            forms.push(coded.replace("%20", "+"));
            forms.push(coded);
        }
    }
    forms
}

fn percent(value: &str, kept: &str, upper: bool) -> String {
    let byte = |byte: u8| match byte {
        _ if byte.is_ascii_alphanumeric() || kept.as_bytes().contains(&byte) => char::from(byte).to_string(),
        _ if upper => format!("%{byte:02X}"),
        _ => format!("%{byte:02x}"),
    };
    value.bytes().map(byte).collect()
}

/// JSON escapes: as few as possible, with `/` escaped, and with everything outside ASCII escaped.
fn json_forms(value: &str) -> Vec<String> {
    let quoted = serde_json::Value::from(value).to_string();
    let short = quoted[1..quoted.len() - 1].to_owned();
    let ascii = |escape: fn(&u16) -> String| {
        let letter = |letter: char| match letter {
            ' '..='~' => letter.to_string(),
            _ => letter.encode_utf16(&mut [0; 2]).iter().map(escape).collect(),
        };
        short.chars().map(letter).collect::<String>()
    };
    vec![
        short.replace('/', "\\/"),
        ascii(|unit| format!("\\u{unit:04x}")),
        ascii(|unit| format!("\\u{unit:04X}")),
        short,
    ]
}

/// In shell quotes, and in Python quotes, which a stock worker uses to show the words of a command.
fn quoted_forms(value: &str) -> Vec<String> {
    let python = |quote: u8| {
        let byte = |byte: u8| match byte {
            b'\n' => "\\n".to_owned(),
            b'\r' => "\\r".to_owned(),
            b'\t' => "\\t".to_owned(),
            b'\\' => "\\\\".to_owned(),
            _ if byte == quote => format!("\\{}", char::from(byte)),
            b' '..=b'~' => char::from(byte).to_string(),
            _ => format!("\\x{byte:02x}"),
        };
        value.bytes().map(byte).collect()
    };
    vec![value.replace('\'', "'\\''"), value.replace('\'', "'\"'\"'"), python(b'\''), python(b'"')]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_encodings_are_among_the_forms() {
        let found = forms("pä ss/w\"1");
        for form in [
            "pä ss/w\"1",
            "cMOkIHNzL3ciMQ",
            "p%C3%A4%20ss%2Fw%221",
            "p%c3%a4%20ss%2fw%221",
            "p%C3%A4+ss%2Fw%221",
            "p%C3%A4%20ss/w%221",
            "pä ss/w\\\"1",
            "p\\u00e4 ss/w\\\"1",
            "pä ss\\/w\\\"1",
            "p\\xc3\\xa4 ss/w\"1",
        ] {
            assert!(found.contains(form), "{form} is not in {found:#?}");
        }
    }

    #[test]
    fn lines_of_a_key_are_forms_of_their_own() {
        let found = forms("-----BEGIN-----\r\n  indented\n}\nlast");
        assert!(found.contains("-----BEGIN-----") && found.contains("indented") && found.contains("last"));
        assert!(!found.contains("}"));
    }

    #[test]
    fn a_short_value_has_no_form() {
        assert!(forms("abc").is_empty() && forms("").is_empty());
        assert!(forms("äöü").is_empty());
    }
}
