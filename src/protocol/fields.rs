//! Reads and writes the maps that messages consist of.

use std::collections::BTreeMap;

use rmpv::Value;

use super::codec::kind;

/// What is wrong with a map. Its envelope is valid, so the peer gets this as the response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    #[error("the key `{key}` is missing")]
    Missing { key: String },
    #[error("`{key}` is {got}, not {want}")]
    Wrong { key: String, got: &'static str, want: &'static str },
    #[error("`{key}` cannot be read: {why}")]
    Unreadable { key: String, why: String },
    #[error("there is no command `{name}`")]
    UnknownCommand { name: String },
}

/// The entries of a map by name. If a name repeats, the last entry counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(&'a [(Value, Value)]);

impl<'a> Fields<'a> {
    pub(super) const fn new(entries: &'a [(Value, Value)]) -> Self {
        Self(entries)
    }

    /// The entries of a value; none if it is not a map.
    pub(super) fn of(value: &'a Value) -> Option<Self> {
        value.as_map().map(|entries| Self(entries))
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.0.iter().rfind(|(name, _)| name.as_slice() == Some(key.as_bytes())).map(|(_, value)| value)
    }

    /// All entries whose keys are strings.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, &'a Value)> {
        self.0.iter().filter_map(|(name, value)| Some((text(name)?, value)))
    }

    /// A mandatory entry, converted by `read`.
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

    /// A boolean, also as 1 or 0; `default` if missing.
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

/// Bytes; a string stands for its UTF-8.
pub(super) fn bytes(value: &Value) -> Option<bytes::Bytes> {
    value.as_slice().map(bytes::Bytes::copy_from_slice)
}

pub(super) fn flag(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| int(value).map(|number| number != 0))
}

/// An integer. A float counts as one, without its fraction.
#[expect(clippy::cast_possible_truncation, reason = "saturates, which is what is wanted")]
pub(super) fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => Some(number.as_i64().unwrap_or(i64::MAX)),
        Value::F32(number) if number.is_finite() => Some(*number as i64),
        Value::F64(number) if number.is_finite() => Some(*number as i64),
        _ => None,
    }
}

/// An unsigned integer. A negative number counts as 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is what is wanted")]
pub(super) fn natural(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(number) => Some(number.as_u64().unwrap_or(0)),
        Value::F32(number) if number.is_finite() => Some(*number as u64),
        Value::F64(number) if number.is_finite() => Some(*number as u64),
        _ => None,
    }
}

/// An integer or a float.
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

    /// Writes the entry if there is a value.
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

/// A number, as an integer if it has no fraction.
#[expect(clippy::cast_possible_truncation, reason = "checked to be an integer, and small")]
pub(super) fn shortest(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0; // 2^53: below it, floats represent every integer
    if number.fract() == 0.0 && number.abs() < EXACT { Value::from(number as i64) } else { Value::F64(number) }
}

pub(super) fn array<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Value {
    Value::Array(items.into_iter().map(Into::into).collect())
}

pub(super) fn map<K: Into<Value>, V: Into<Value>>(entries: impl IntoIterator<Item = (K, V)>) -> Value {
    Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
}
