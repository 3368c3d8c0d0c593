//! A text that may be given as a template.

use std::convert::Infallible;

use starlark::eval::Evaluator;
use starlark::typing::Ty;
use starlark::values::type_repr::StarlarkTypeRepr;
use starlark::values::{UnpackValue, Value};

use super::fill::text_of;
use super::value::{FrozenTemplate, Template};
use crate::config::convert::plain;

/// A text, or a template that is filled in where it is used; nothing is quoted.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Told<'v>(Value<'v>);

impl StarlarkTypeRepr for Told<'_> {
    type Canonical = Self;

    fn starlark_type_repr() -> Ty {
        Ty::union2(Ty::string(), FrozenTemplate::starlark_type_repr())
    }
}

impl<'v> UnpackValue<'v> for Told<'v> {
    type Error = Infallible;

    fn unpack_value_impl(value: Value<'v>) -> Result<Option<Self>, Infallible> {
        let fits = value.unpack_str().is_some() || Template::from_value(value).is_some();
        Ok(fits.then_some(Self(value)))
    }
}

impl<'v> Told<'v> {
    /// The text. Secrets are refused: it is shown, or recorded.
    pub(in crate::config) fn text(
        self,
        name: &str,
        ctx: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<String> {
        let refuse = |why: String| starlark::Error::new_other(anyhow::anyhow!("`{name}` {why}"));
        if let Some(text) = self.0.unpack_str() {
            return plain(text).map(str::to_owned).map_err(refuse);
        }
        let template = Template::from_value(self.0).expect("it was unpacked as a text or a template");
        let text = text_of(template, ctx, eval)?;
        if text.secrets().next().is_some() {
            return Err(refuse("holds a secret, which would be shown here".to_owned()));
        }
        Ok(text.masked())
    }
}
