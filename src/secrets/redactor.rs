//! Replaces values of secrets in output by their names.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};

use super::forms::forms;

/// Replaces values of secrets by `<name>`, also in base64, URL-encoded and JSON-escaped, and single lines of multi-line
/// values. Takes time linear in the text, whatever the values. Cheap to clone; its debug output shows no value.
#[derive(Clone, Default)]
pub struct Redactor {
    patterns: Option<Arc<Patterns>>,
}

struct Patterns {
    automaton: AhoCorasick,
    /// The replacement for each pattern.
    names: Vec<String>,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.patterns.as_ref().map_or(0, |patterns| patterns.names.len());
        write!(f, "Redactor({count} patterns)")
    }
}

impl Redactor {
    /// Takes pairs of name and value. Values shorter than 4 characters are ignored. If two secrets have the same value,
    /// the first name in alphabetical order replaces it.
    pub fn new(secrets: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut by_form = BTreeMap::<String, String>::new();
        let secrets: BTreeSet<(String, String)> = secrets.into_iter().collect();
        for (name, value) in &secrets {
            for form in forms(value) {
                by_form.entry(form).or_insert_with(|| format!("<{name}>"));
            }
        }
        if by_form.is_empty() {
            return Self::default();
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(by_form.keys())
            .expect("a secret is at most 64 KiB, far below what an automaton can hold");
        Self { patterns: Some(Arc::new(Patterns { automaton, names: by_form.into_values().collect() })) }
    }

    /// Whether there is nothing to look for.
    #[cfg(test)]
    const fn is_empty(&self) -> bool {
        self.patterns.is_none()
    }

    /// Redacts whole lines.
    #[must_use]
    pub fn redact<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        let Some(patterns) = &self.patterns else { return Cow::Borrowed(text) };
        let mut out = Vec::new();
        let mut done = 0;
        for found in patterns.automaton.find_iter(text) {
            out.extend_from_slice(&text[done..found.start()]);
            out.extend_from_slice(patterns.names[found.pattern()].as_bytes());
            done = found.end();
        }
        if done == 0 {
            return Cow::Borrowed(text);
        }
        out.extend_from_slice(&text[done..]);
        Cow::Owned(out)
    }

    /// Redacts a text.
    #[must_use]
    pub fn redact_str<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.redact(text.as_bytes()) {
            Cow::Borrowed(_) => Cow::Borrowed(text),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;

    use super::*;

    fn redactor(pairs: &[(&str, &str)]) -> Redactor {
        Redactor::new(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn values_are_replaced_by_their_names() {
        let redactor = redactor(&[("token", "s3cret"), ("key", "hunter2")]);
        assert_eq!(redactor.redact_str("a s3cret, hunter2s3cret!"), "a <token>, <key><token>!");
        assert_eq!(redactor.redact(b"bytes \xff s3cret \xfe"), &b"bytes \xff <token> \xfe"[..]);
        assert!(matches!(redactor.redact(b"nothing here\n"), Cow::Borrowed(_)));
    }

    #[test]
    fn an_authorization_header_gives_nothing_away() {
        let redactor = redactor(&[("password", "correct-horse")]);
        for user in ["a", "ab", "abc", "abcd"] {
            let header = format!("Authorization: Basic {}", STANDARD.encode(format!("{user}:correct-horse")));
            let shown = redactor.redact_str(&header).into_owned();
            assert!(shown.contains("<password>"), "{header} became {shown}");
        }
    }

    #[test]
    fn a_line_of_a_key_printed_alone_is_replaced() {
        let redactor = redactor(&[("key", "-----BEGIN KEY-----\nMIIabcdef\nMIIuvwxyz\n-----END KEY-----\n")]);
        assert_eq!(redactor.redact_str("line: MIIuvwxyz\n"), "line: <key>\n");
    }

    #[test]
    fn without_values_nothing_is_looked_for() {
        assert!(redactor(&[]).is_empty() && redactor(&[("short", "abc")]).is_empty());
        assert_eq!(redactor(&[("short", "abc")]).redact_str("abc"), "abc");
    }

    #[test]
    fn the_longer_of_two_values_wins_where_both_begin() {
        let redactor = redactor(&[("short", "pass"), ("long", "password")]);
        assert_eq!(redactor.redact_str("password pass"), "<long> <short>");
    }

    #[test]
    fn shows_no_value() {
        assert!(!format!("{:?}", redactor(&[("token", "s3cret")])).contains("s3cret"));
    }

    fn value() -> impl Strategy<Value = String> {
        // Few letters, so that values overlap; none of a name's.
        "[ab/\"\\\\ä \n]{4,12}"
    }

    proptest! {
        #[test]
        fn no_value_survives(values in prop::collection::vec(value(), 1..4), between in prop::collection::vec("[ab/ä\n ]{0,6}", 4..8)) {
            let pairs: Vec<(String, String)> = values.iter().enumerate().map(|(n, value)| (format!("S{n}"), value.clone())).collect();
            let redactor = Redactor::new(pairs);
            let mut text = String::new();
            for (n, piece) in between.iter().enumerate() {
                let value = &values[n % values.len()];
                text.push_str(piece);
                text.push_str(&match n % 3 {
                    0 => value.clone(),
                    1 => STANDARD.encode(value),
                    _ => serde_json::to_string(value).unwrap(),
                });
            }
            let shown = redactor.redact_str(&text).into_owned();
            for value in &values {
                prop_assert!(!shown.contains(value.as_str()), "{value:?} is in {shown:?}");
                let coded = STANDARD.encode(value);
                prop_assert!(!shown.contains(coded.trim_end_matches('=')), "{coded:?} is in {shown:?}");
                for line in value.split('\n').filter(|line| line.chars().count() >= 4) {
                    prop_assert!(!shown.contains(line), "{line:?} is in {shown:?}");
                }
            }
        }

        #[test]
        fn other_text_is_left_as_it_is(text in "[c-z\n]{0,200}") {
            let redactor = redactor(&[("S", "abab"), ("T", "a\nb b b\nb")]);
            prop_assert_eq!(redactor.redact_str(&text), text.as_str());
        }
    }
}
