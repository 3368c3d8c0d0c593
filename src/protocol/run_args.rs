//! A command for one of our workers: the model's specification as it is, and the secrets that it names
//! (docs/reference/worker-protocol.md#start).
//!
//! A change to the specification changes these bytes, so it needs a new [`super::RESUME_VERSION`]; the golden messages
//! of `tests/it/wire_golden.rs` notice.

use std::collections::BTreeMap;
use std::fmt;

use rmpv::Value;

use super::fields::{FieldError, Fields, MapWriter, array, map, text_map, texts};
use crate::model::CommandSpec;

/// Arguments of `x_run`.
#[derive(Clone, PartialEq, Eq)]
pub struct RunArgs {
    /// What to run. Its `workdir` is absolute, and its environment includes the builder's.
    pub spec: CommandSpec,
    /// The values of the secrets that its texts name.
    pub secrets: BTreeMap<String, String>,
    /// Names and values of everything that is replaced by `<name>` in its output: the secrets above, and those that the
    /// worker got earlier.
    pub masks: Vec<(String, String)>,
}

impl fmt::Debug for RunArgs {
    /// Leaves out the values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.secrets.keys().collect::<Vec<_>>();
        f.debug_struct("RunArgs").field("spec", &self.spec).field("secrets", &names).finish_non_exhaustive()
    }
}

impl RunArgs {
    /// A command without secrets.
    #[must_use]
    pub const fn new(spec: CommandSpec) -> Self {
        Self { spec, secrets: BTreeMap::new(), masks: Vec::new() }
    }

    pub(super) fn read(fields: Fields<'_>) -> Result<Self, FieldError> {
        let bytes = fields.need("spec", "a bin", Value::as_slice)?;
        let unreadable = |error: rmp_serde::decode::Error| FieldError::Unreadable {
            key: "spec".to_owned(),
            why: format!("{error}; use the same version of starwright for the master and its workers"),
        };
        Ok(Self {
            spec: rmp_serde::from_slice(bytes).map_err(unreadable)?,
            secrets: fields.optional("secrets", "a map of str", text_map)?.unwrap_or_default(),
            masks: fields.optional("masks", "an array of pairs", read_pairs)?.unwrap_or_default(),
        })
    }

    pub(super) fn write(&self, out: &mut MapWriter) {
        let spec = rmp_serde::to_vec_named(&self.spec).expect("plain data in memory can be encoded");
        out.put("spec", spec);
        if !self.secrets.is_empty() {
            out.put("secrets", map(self.secrets.iter().map(|(name, value)| (name.as_str(), value.as_str()))));
        }
        if !self.masks.is_empty() {
            let pairs = self.masks.iter().map(|(name, value)| array([name.as_str(), value.as_str()]));
            out.put("masks", array(pairs));
        }
    }
}

fn read_pairs(value: &Value) -> Option<Vec<(String, String)>> {
    let pair = |item: &Value| match texts(item)?.as_slice() {
        [name, value] => Some((name.clone(), value.clone())),
        _ => None,
    };
    value.as_array()?.iter().map(pair).collect()
}
