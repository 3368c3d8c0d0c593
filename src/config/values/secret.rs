//! Texts with secrets: nameable, joinable, never readable.
//!
//! The value of a secret is not here at all; only its name is. What prints shows `<secret "name">`, and a
//! plain text that holds these marks is refused where texts are taken, because it would reach the worker
//! without the secret's value.

use std::fmt;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::values::tuple::UnpackTuple;
use starlark::values::{NoSerialize, StarlarkPagablePanic, StarlarkValue, Value, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use super::super::collect::Collector;
use super::super::convert::to_text;
use crate::model::{Piece, Text};

/// How the printed form of a secret begins.
pub(in crate::config) const SECRET_MARK: &str = "<secret \"";

/// A text that may hold secrets.
#[derive(Clone, Debug, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(in crate::config) struct TextValue(#[allocative(skip)] pub(in crate::config) Text);

starlark_simple_value!(TextValue);

#[starlark_value(type = "secret_text")]
impl<'v> StarlarkValue<'v> for TextValue {}

impl fmt::Display for TextValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.0.0 {
            match piece {
                Piece::Plain(text) => f.write_str(text)?,
                Piece::Secret(name) | Piece::QuotedSecret(name, _) => write!(f, "{SECRET_MARK}{name}\">")?,
                // As good as a secret: its value is not there yet.
                Piece::Address { of, .. } => write!(f, "{SECRET_MARK}{}\">", of.masked())?,
            }
        }
        Ok(())
    }
}

#[starlark_module]
pub(in crate::config) fn secret_functions(builder: &mut GlobalsBuilder) {
    /// Names a secret: a password or token whose value is found when it is handed out, and is never shown.
    ///
    /// Taken wherever a text may hold secrets: passwords, values of `env`, words of a command, `stdin`.
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

    /// Joins texts and secrets to one text: `concat("Bearer ", secret("token"))`.
    fn concat<'v>(#[starlark(args)] parts: UnpackTuple<Value<'v>>) -> anyhow::Result<TextValue> {
        let mut pieces = Vec::new();
        for (index, part) in parts.items.iter().enumerate() {
            let text = to_text(*part).map_err(|why| anyhow::anyhow!("part {} of concat {why}", index + 1))?;
            pieces.extend(text.0);
        }
        Ok(TextValue(Text(pieces)))
    }
}
