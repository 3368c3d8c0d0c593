//! `secret` and `concat`: the functions that make texts with secrets.

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value;
use starlark::values::tuple::UnpackTuple;

use super::super::collect::Collector;
use super::super::convert::to_text;
use super::secret::TextValue;
use crate::model::{Piece, Text};

#[starlark_module]
pub(in crate::config) fn secret_functions(builder: &mut GlobalsBuilder) {
    /// Refers to a secret: a password or token whose value is looked up only when it is used, and is never shown.
    ///
    /// Accepted wherever secrets are allowed: passwords, values of `env`, arguments of a command, `stdin`.
    fn secret<'v>(
        #[starlark(require = pos)] name: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<TextValue> {
        if name.is_empty() || name.contains(['/', '\\', '\0', '"']) || name.starts_with('.') {
            anyhow::bail!("`{name}` is not a valid name for a secret: use letters, digits, `-`, `_` and `.`");
        }
        if let Some(collector) = Collector::of(eval) {
            collector.name_secret(name);
        }
        Ok(TextValue(Text(vec![Piece::Secret(name.to_owned())])))
    }

    /// Joins strings and secrets: `concat("Bearer ", secret("token"))`.
    fn concat<'v>(#[starlark(args)] parts: UnpackTuple<Value<'v>>) -> anyhow::Result<TextValue> {
        let mut pieces = Vec::new();
        for (index, part) in parts.items.iter().enumerate() {
            let text = to_text(*part).map_err(|why| anyhow::anyhow!("part {} of concat {why}", index + 1))?;
            pieces.extend(text.0);
        }
        Ok(TextValue(Text(pieces)))
    }
}
