//! Reading and writing the maps that all messages are.

use std::collections::BTreeMap;

use rmpv::Value;

use super::codec::kind;

/// Why a map does not say what it should. The envelope is right, so the peer gets this as an answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    #[error("message lacks the key `{key}`")]
    Missing { key: String },
    #[error("`{key}` is {got}, not {want}")]
    Wrong { key: String, got: &'static str, want: &'static str },
    #[error("no command is named `{name}`")]
    UnknownCommand { name: String },
}

/// A map's entries by name. Of entries with one name the last counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(&'a [(Value, Value)]);

impl<'a> Fields<'a> {
    pub(super) const fn new(entries: &'a [(Value, Value)]) -> Self {
        Self(entries)
    }

    /// The entries of a value; none if it is no map.
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        value.as_map().map(|entries| Self(entries))
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.iter().rfind(|(name, _)| name.as_slice() == Some(key.as_bytes())).map(|(_, value)| value)
    }

    /// All entries whose names are texts.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.0.iter().filter_map(|(name, value)| Some((text(name)?, value)))
    }

    /// An entry that must be there and be what `read` reads.
    pub(super) fn need<T>(
        &self,
        key: &str,
        want: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<T, FieldError> {
        let value = self.get(key).ok_or_else(|| FieldError::Missing { key: key.to_owned() })?;
        read(value).ok_or_else(|| FieldError::Wrong { key: key.to_owned(), got: kind(value), want })
    }

    /// An entry that may be missing or nil.
    pub(super) fn optional<T>(
        &self,
        key: &str,
        want: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, FieldError> {
        match self.get(key) {
            None | Some(Value::Nil) => Ok(None),
            Some(_) => self.need(key, want, read).map(Some),
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<String, FieldError> {
        self.need(key, "a str", |value| text(value).map(str::to_owned))
    }

    pub(super) fn texts(&self, key: &str) -> Result<Vec<String>, FieldError> {
        self.need(key, "an array of str", texts)
    }

    /// True or false, also as 1 or 0; `default` if missing.
    pub(super) fn flag(&self, key: &str, default: bool) -> Result<bool, FieldError> {
        self.get(key).map_or(Ok(default), |_| self.need(key, "a bool", flag))
    }
}

/// A string; bin that is UTF-8 counts as one (docs/reference/worker-protocol.md#messagepack).
pub(super) fn text(value: &Value) -> Option<&str> {
    value.as_slice().and_then(|bytes| std::str::from_utf8(bytes).ok())
}

pub(super) fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|item| text(item).map(str::to_owned)).collect()
}

pub(super) fn text_map(value: &Value) -> Option<BTreeMap<String, String>> {
    Some(
        Fields::of(value)?.entries().filter_map(|(key, item)| Some((key.to_owned(), text(item)?.to_owned()))).collect(),
    )
}

/// Bytes; a text stands for its UTF-8.
pub(super) fn bytes(value: &Value) -> Option<bytes::Bytes> {
    value.as_slice().map(bytes::Bytes::copy_from_slice)
}

pub(super) fn flag(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| int(value).map(|number| number != 0))
}

/// A whole number; a float counts as one, its fraction is cut off.
#[expect(clippy::cast_possible_truncation, reason = "a float's whole part saturates, which is what is wanted")]
pub(super) fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(number.as_i64().unwrap_or(i64::MAX)),
        Value::F32(number) if number.is_finite() => Some(*number as i64),
        Value::F64(number) if number.is_finite() => Some(*number as i64),
        _ => None,
    }
}

/// A whole number that is not negative; a negative one counts as 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is what is wanted")]
pub(super) fn natural(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(number) => Some(number.as_u64().unwrap_or(0)),
        Value::F32(number) if number.is_finite() => Some(*number as u64),
        Value::F64(number) if number.is_finite() => Some(*number as u64),
        _ => None,
    }
}

/// A number, whole or not.
pub(super) fn number(value: &Value) -> Option<f64> {
    value.as_f64()
}

/// Writes a map, entry by entry.
#[derive(Debug, Default)]
pub(super) struct MapWriter(Vec<(Value, Value)>);

impl MapWriter {
    pub(super) fn put(&mut self, key: &str, value: impl Into<Value>) -> &mut Self {
        self.0.push((key.into(), value.into()));
        self
    }

    /// Leaves the entry out if there is nothing to say.
    pub(super) fn put_some(&mut self, key: &str, value: Option<impl Into<Value>>) -> &mut Self {
        if let Some(value) = value {
            self.put(key, value);
        }
        self
    }

    pub(super) fn put_or_nil(&mut self, key: &str, value: Option<impl Into<Value>>) -> &mut Self {
        self.put(key, value.map_or(Value::Nil, Into::into))
    }

    pub(super) fn extend(&mut self, entries: Vec<(Value, Value)>) -> &mut Self {
        self.0.extend(entries);
        self
    }

    pub(super) fn entries(self) -> Vec<(Value, Value)> {
        self.0
    }

    pub(super) fn end(self) -> Value {
        Value::Map(self.0)
    }
}

/// A number as a whole one where it is.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
pub(super) fn shortest(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53: below, floats hold every whole number
    if number.fract() == 0.0 && number.abs() < EXACT { Value::from(number as i64) } else { Value::F64(number) }
}

pub(super) fn array<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Value {
    Value::Array(items.into_iter().map(Into::into).collect())
}

pub(super) fn map<K: Into<Value>, V: Into<Value>>(entries: impl IntoIterator<Item = (K, V)>) -> Value {
    Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
}
