//! Values of fields, and the JSON that they make: keys sorted, everything but ASCII escaped, compact or
//! indented by two spaces (docs/reference/rest-api-v2.md#requests).
//!
//! Why not `serde_json::Value`: a list of a million builds is filtered by looking at one field of each; cells
//! borrow from the record and cost nothing until they are shown.

use std::borrow::Cow;
use std::fmt::Write;

use super::view::View;
use crate::base::Timestamp;
use crate::model::{Outcome, Properties, Value};

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Cell<'a>>),
    /// In order of its keys.
    Object(Vec<(Cow<'a, str>, Cell<'a>)>),
}

impl<'a> Cell<'a> {
    /// A number; all of ours are far below the largest.
    pub fn number(number: u64) -> Self {
        Self::Int(i64::try_from(number).unwrap_or(i64::MAX))
    }

    /// A text or null.
    pub fn text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::from)
    }

    /// A moment, in seconds, or null.
    pub fn time(time: Option<Timestamp>) -> Self {
        time.map_or(Self::Null, Self::from)
    }

    /// The number of an outcome, or null.
    pub fn outcome(outcome: Option<Outcome>) -> Self {
        outcome.map_or(Self::Null, |outcome| Self::Int(outcome.code()))
    }

    /// The number of an outcome, or −1.
    pub fn outcome_or_none_yet(outcome: Option<Outcome>) -> Self {
        Self::Int(outcome.map_or(-1, Outcome::code))
    }

    /// An object; sorts the keys.
    pub fn object(mut items: Vec<(Cow<'a, str>, Self)>) -> Self {
        items.sort_by(|(left, _), (right, _)| left.cmp(right));
        Self::Object(items)
    }

    /// A value of a property.
    pub fn value(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(yes) => Self::Bool(*yes),
            Value::Int(number) => Self::Int(*number),
            Value::Float(number) => Self::Float(*number),
            Value::Str(text) => Self::from(text.as_str()),
            Value::List(items) => Self::List(items.iter().map(Self::value).collect()),
            Value::Map(items) => {
                Self::Object(items.iter().map(|(key, item)| (Cow::from(key.as_str()), Self::value(item))).collect())
            }
        }
    }

    /// Properties with their sources: all of them.
    pub fn properties(properties: &'a Properties) -> Self {
        Self::chosen_properties(properties, |_| true)
    }

    /// Those properties that were asked for.
    pub fn viewed_properties(properties: &'a Properties, view: &View) -> Self {
        Self::chosen_properties(properties, |name| match view {
            View::Plain => false,
            View::All => true,
            View::Named(names) => names.iter().any(|wanted| wanted == name),
        })
    }

    fn chosen_properties(properties: &'a Properties, wanted: impl Fn(&str) -> bool) -> Self {
        let chosen = properties.0.iter().filter(|(name, _)| wanted(name));
        Self::Object(
            chosen
                .map(|(name, property)| {
                    let pair = vec![Self::value(&property.value), Self::from(property.source.as_str())];
                    (Cow::from(name.as_str()), Self::List(pair))
                })
                .collect(),
        )
    }
}

impl From<bool> for Cell<'_> {
    fn from(yes: bool) -> Self {
        Self::Bool(yes)
    }
}

impl From<i64> for Cell<'_> {
    fn from(number: i64) -> Self {
        Self::Int(number)
    }
}

impl From<Timestamp> for Cell<'_> {
    fn from(time: Timestamp) -> Self {
        Self::Int(time.as_seconds())
    }
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Cell<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

/// How JSON is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Without any blanks.
    Compact,
    /// Indented, for people.
    Pretty,
}

/// Writes JSON into a text.
#[derive(Debug)]
pub struct Writer {
    pub out: String,
    layout: Layout,
    depth: usize,
}

impl Writer {
    /// An empty text.
    pub const fn new(layout: Layout) -> Self {
        Self { out: String::new(), layout, depth: 0 }
    }

    /// Opens a list or object.
    pub fn open(&mut self, bracket: char) {
        self.out.push(bracket);
        self.depth += 1;
    }

    /// Closes it; an empty one stays on its line.
    pub fn close(&mut self, bracket: char, empty: bool) {
        self.depth -= 1;
        if !empty {
            self.line();
        }
        self.out.push(bracket);
    }

    /// Begins an item.
    pub fn item(&mut self, first: bool) {
        if !first {
            self.out.push(',');
        }
        self.line();
    }

    /// Begins an item of an object.
    pub fn key(&mut self, first: bool, key: &str) {
        self.item(first);
        self.text(key);
        self.out.push_str(if self.layout == Layout::Pretty { ": " } else { ":" });
    }

    /// Writes a value.
    pub fn cell(&mut self, cell: &Cell<'_>) {
        match cell {
            Cell::Null => self.out.push_str("null"),
            Cell::Bool(yes) => self.out.push_str(if *yes { "true" } else { "false" }),
            Cell::Int(number) => write_display(&mut self.out, number),
            Cell::Float(number) if number.is_finite() => write_display(&mut self.out, &format_args!("{number:?}")),
            // JSON has no word for these.
            Cell::Float(_) => self.out.push_str("null"),
            Cell::Text(text) => self.text(text),
            Cell::List(items) => {
                self.open('[');
                for (at, item) in items.iter().enumerate() {
                    self.item(at == 0);
                    self.cell(item);
                }
                self.close(']', items.is_empty());
            }
            Cell::Object(items) => {
                self.open('{');
                for (at, (key, item)) in items.iter().enumerate() {
                    self.key(at == 0, key);
                    self.cell(item);
                }
                self.close('}', items.is_empty());
            }
        }
    }

    /// Writes a text.
    pub fn text(&mut self, text: &str) {
        self.out.push('"');
        self.letters(text);
        self.out.push('"');
    }

    /// Writes a part of a text, without the quotes.
    pub fn letters(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                ' '..='~' => self.out.push(c),
                _ => {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        write_display(&mut self.out, &format_args!("\\u{unit:04x}"));
                    }
                }
            }
        }
    }

    fn line(&mut self) {
        if self.layout == Layout::Pretty {
            self.out.push('\n');
            for _ in 0..self.depth {
                self.out.push_str("  ");
            }
        }
    }
}

/// The JSON text of one value, compact.
pub fn to_json(cell: &Cell<'_>) -> String {
    let mut writer = Writer::new(Layout::Compact);
    writer.cell(cell);
    writer.out
}

fn write_display(out: &mut String, what: &dyn std::fmt::Display) {
    // Writing into a text cannot fail.
    let _ = write!(out, "{what}");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn letters_beyond_ascii_are_escaped_in_pairs() {
        assert_eq!(to_json(&Cell::from("é\u{1f600}\u{7f}\"\\\n\u{1}")), r#""\u00e9\ud83d\ude00\u007f\"\\\n\u0001""#);
    }

    #[test]
    fn pretty_json_is_indented_by_two() {
        let cell = Cell::object(vec![
            ("b".into(), Cell::List(vec![Cell::Int(1), Cell::Null])),
            ("a".into(), Cell::Object(Vec::new())),
            ("c".into(), Cell::List(Vec::new())),
        ]);
        let mut writer = Writer::new(Layout::Pretty);
        writer.cell(&cell);
        assert_eq!(writer.out, "{\n  \"a\": {},\n  \"b\": [\n    1,\n    null\n  ],\n  \"c\": []\n}");
        assert_eq!(to_json(&cell), r#"{"a":{},"b":[1,null],"c":[]}"#);
    }

    #[test]
    fn numbers_that_json_cannot_hold_are_null() {
        assert_eq!(to_json(&Cell::Float(f64::NAN)), "null");
        assert_eq!(to_json(&Cell::Float(1.0)), "1.0");
        assert_eq!(to_json(&Cell::Float(-0.25)), "-0.25");
    }

    proptest! {
        #[test]
        fn every_text_is_read_back_as_it_was(text in any::<String>()) {
            let json = to_json(&Cell::from(text.as_str()));
            prop_assert!(json.is_ascii());
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
