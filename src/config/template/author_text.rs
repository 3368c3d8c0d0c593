//! A text that may be given as a template.

use std::convert::Infallible;

use starlark::eval::Evaluator;
use starlark::typing::Ty;
use starlark::values::type_repr::StarlarkTypeRepr;
use starlark::values::{UnpackValue, Value};

use super::fill::{path_parts_of, text_of, text_of_parts};
use super::path::leads_out;
use super::value::{FrozenTemplate, Template};
use crate::config::evaluate::unfit;
use crate::config::marks::plain;
use crate::model::Text;

/// A text, or a template that is filled in where it is used; nothing is quoted.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct AuthorText<'v>(Value<'v>);

impl StarlarkTypeRepr for AuthorText<'_> {
    type Canonical = Self;

    fn starlark_type_repr() -> Ty {
        Ty::union2(Ty::string(), FrozenTemplate::starlark_type_repr())
    }
}

impl<'v> UnpackValue<'v> for AuthorText<'v> {
    type Error = Infallible;

    fn unpack_value_impl(value: Value<'v>) -> Result<Option<Self>, Infallible> {
        let fits = value.unpack_str().is_some() || Template::from_value(value).is_some();
        Ok(fits.then_some(Self(value)))
    }
}

impl<'v> AuthorText<'v> {
    /// The text. Secrets are refused: it is shown, or recorded.
    pub(in crate::config) fn text(
        self,
        name: &str,
        ctx: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<String> {
        if let Some(text) = self.0.unpack_str() {
            return plain(text).map(str::to_owned).map_err(|why| refused(name, &why));
        }
        let text = text_of(self.template(), ctx, eval)?;
        shown(name, &text)
    }

    /// The text, as a path on the worker. A value from outside that leads out of its directory ends the step.
    pub(in crate::config) fn path(
        self,
        name: &str,
        ctx: Value<'v>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<String> {
        if self.0.unpack_str().is_some() {
            return self.text(name, ctx, eval);
        }
        let parts = path_parts_of(self.template(), ctx, eval)?;
        if let Some(problem) = leads_out(name, &parts) {
            return Err(unfit(problem));
        }
        shown(name, &text_of_parts(parts))
    }

    fn template(self) -> &'v Template<'v> {
        Template::from_value(self.0).expect("it was unpacked as a text or a template")
    }
}

fn shown(name: &str, text: &Text) -> starlark::Result<String> {
    if text.secrets().next().is_some() {
        return Err(refused(name, "holds a secret, which would be shown here"));
    }
    Ok(text.masked())
}

fn refused(name: &str, why: &str) -> starlark::Error {
    starlark::Error::new_other(anyhow::anyhow!("`{name}` {why}"))
}
