//! Properties: named values of a buildset or build, each with its origin.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Value;

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
