//! Texts with secrets: nameable, joinable, never readable.
//!
//! The value of a secret is not here at all; only its name is. What prints shows `<secret "name">`, and a
//! plain text that holds these marks is refused where texts are taken, because it would reach the worker
//! without the secret's value.

use std::fmt;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::starlark_simple_value;
use starlark::values::{NoSerialize, StarlarkPagablePanic, StarlarkValue, starlark_value};

use super::super::marks::SECRET_MARK;
use crate::model::{Piece, Text};

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
