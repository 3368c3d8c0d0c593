//! Properties: named values of a buildset or build, each with its origin.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Value;

/// Bytes of a property's name: it is a column of pages and a word of addresses.
pub const PROPERTY_NAME_MAX: usize = 200;

/// Bytes of a property's value: every build keeps all of its properties, and every evaluation of its script gets them.
pub const PROPERTY_BYTES_MAX: usize = 64 << 10;

/// Bytes of all properties of a build.
pub const PROPERTIES_BYTES_MAX: usize = 1 << 20;

/// Why something cannot be a property; `others` are the bytes of all others.
///
/// # Errors
/// The limit that it exceeds, in words that go on after the property's name.
pub fn check_property(name: &str, value: &Value, others: usize) -> Result<(), String> {
    let bytes = name.len() + value.bytes();
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err("has no name that could be shown".to_owned());
    }
    if name.len() > PROPERTY_NAME_MAX {
        return Err(format!("has a name of {} bytes, more than {PROPERTY_NAME_MAX}", name.len()));
    }
    if value.bytes() > PROPERTY_BYTES_MAX {
        return Err(format!("has a value of {} bytes, more than {PROPERTY_BYTES_MAX}", value.bytes()));
    }
    if others.saturating_add(bytes) > PROPERTIES_BYTES_MAX {
        return Err(format!("would bring the properties of this build to more than {PROPERTIES_BYTES_MAX} bytes"));
    }
    Ok(())
}

/// A value and where it came from (`Scheduler`, `Force Build Form`, `Change`, `Builder`, `Worker`,
/// `Build`, `Trigger`, or the name of a step).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Property {
    /// The value.
    pub value: Value,
    /// Who set it.
    pub source: String,
}

/// Properties by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Properties(pub BTreeMap<String, Property>);

impl Properties {
    /// Sets one, replacing an earlier value of the name.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>, source: impl Into<String>) {
        self.0.insert(name.into(), Property { value: value.into(), source: source.into() });
    }

    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).map(|property| &property.value)
    }

    /// Takes all of `later`, which win over what is here.
    pub fn update(&mut self, later: &Self) {
        self.0.extend(later.0.iter().map(|(name, property)| (name.clone(), property.clone())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_bounded_each_and_together() {
        let text = |length: usize| Value::Str("x".repeat(length));
        assert!(check_property("p", &text(1_000), 0).is_ok());
        assert!(check_property("p", &text(PROPERTY_BYTES_MAX + 1), 0).unwrap_err().contains("more than 65536"));
        assert!(check_property("p", &Value::List(vec![text(60_000), text(60_000)]), 0).is_err());
        assert!(check_property(&"p".repeat(201), &Value::Null, 0).unwrap_err().contains("name of 201 bytes"));
        assert!(check_property("", &Value::Null, 0).is_err());
        assert!(
            check_property("p", &text(1_000), PROPERTIES_BYTES_MAX).unwrap_err().contains("properties of this build")
        );
    }
}
