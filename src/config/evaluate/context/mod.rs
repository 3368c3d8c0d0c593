//! `ctx`: what a build script can see and do.

mod arguments;
mod effects;
mod logs;
mod reads;
mod results;
mod transfers;

use std::fmt;
use std::sync::Arc;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::docs::DocType;
use starlark::environment::{GlobalsBuilder, Methods, MethodsBuilder, MethodsStatic};
use starlark::values::starlark_value_as_type::StarlarkValueAsType;
use starlark::values::{NoSerialize, StarlarkPagablePanic, StarlarkValue, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use super::result::ResultValue;
use crate::config::values::step::FrozenStep;
use crate::model::{BuildContext, SourceStamp};

/// What is given to a step's function.
#[derive(Clone, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(in crate::config) struct Ctx {
    #[allocative(skip)]
    context: Arc<BuildContext>,
}

starlark_simple_value!(Ctx);

impl Ctx {
    pub(super) const fn new(context: Arc<BuildContext>) -> Self {
        Self { context }
    }

    /// The main source tree's stamp.
    fn stamp(&self) -> Option<&SourceStamp> {
        let stamps = &self.context.stamps;
        stamps.iter().find(|stamp| stamp.spec.codebase.is_empty()).or_else(|| stamps.first())
    }
}

impl fmt::Debug for Ctx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Ctx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ctx({}/{})", self.context.builder, self.context.number)
    }
}

static METHODS: MethodsStatic = MethodsStatic::new("Ctx", methods);

fn methods(builder: &mut MethodsBuilder) {
    reads::methods(builder);
    effects::methods(builder);
    transfers::methods(builder);
    logs::methods(builder);
    results::methods(builder);
}

#[starlark_value(type = "Ctx")]
impl<'v> StarlarkValue<'v> for Ctx {
    fn get_methods() -> Option<&'static Methods> {
        Some(METHODS.methods())
    }
}

/// What `ctx` has, for checks and the reference.
pub(in crate::config) fn context_members() -> DocType {
    METHODS.methods().documentation(Ctx::get_type_starlark_repr())
}

/// Names of types, for annotations such as `def f(ctx: Ctx)`.
#[starlark_module]
pub(in crate::config) fn context_types(builder: &mut GlobalsBuilder) {
    /// The type of `ctx`.
    const Ctx: StarlarkValueAsType<Ctx> = StarlarkValueAsType::new();
    /// The type of what commands and child steps return.
    const Result: StarlarkValueAsType<ResultValue> = StarlarkValueAsType::new();
    /// The type of steps.
    const Step: StarlarkValueAsType<FrozenStep> = StarlarkValueAsType::new();
}
