//! `json`: values to texts and back.

use starlark::environment::GlobalsBuilder;
use starlark::starlark_module;
use starlark::values::none::NoneOr;
use starlark::values::{Heap, Value as Star};

use super::super::convert::{to_model, to_starlark};
use crate::model::Value;

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    /// A value as JSON, with sorted keys. With `indent`, the JSON is spread over several lines.
    fn encode<'v>(
        #[starlark(require = pos)] value: Star<'v>,
        #[starlark(require = named, default = false)] indent: bool,
    ) -> anyhow::Result<String> {
        let value = to_model(value).map_err(|why| anyhow::anyhow!("the value {why}"))?.to_json();
        Ok(if indent { serde_json::to_string_pretty(&value)? } else { serde_json::to_string(&value)? })
    }

    /// The value of a JSON string. A string that is not valid JSON is an error, unless `default` is given.
    fn decode<'v>(
        #[starlark(require = pos)] text: &str,
        #[starlark(require = named)] default: Option<NoneOr<Star<'v>>>,
        heap: Heap<'v>,
    ) -> anyhow::Result<Star<'v>> {
        // In two steps: numbers are then read alike whatever features the JSON library has.
        match (serde_json::from_str::<serde_json::Value>(text), default) {
            (Ok(json), _) => Ok(to_starlark(&Value::from_json(&json), heap)),
            (Err(_), Some(default)) => Ok(default.into_option().unwrap_or_else(Star::new_none)),
            (Err(error), None) => Err(anyhow::anyhow!("the text is no JSON: {error}")),
        }
    }
}
