//! `property`: a property of every build.

use starlark::environment::GlobalsBuilder;
use starlark::eval::{Arguments, Evaluator};
use starlark::starlark_module;
use starlark::values::none::NoneType;

use super::super::args::Call;
use super::super::collect::Kind;
use super::super::signature::{Native, required};

pub(super) static PROPERTY: Native = Native {
    name: "property",
    doc: "Sets a property for every build. Workers, builders, schedulers and steps can override it.",
    example: "property(\"owner\", \"core team\")",
    positional: 2,
    kinds: &[],
    params: &[required("name", "text", "Its name."), required("value", "plain data", "Its value.")],
};

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    fn property<'v>(args: &Arguments<'v, '_>, eval: &mut Evaluator<'v, '_, '_>) -> starlark::Result<NoneType> {
        let mut call = Call::open(&PROPERTY, args, eval)?;
        let name = call.subject("property");
        call.collector.declare(Kind::Property, &name, &call.site);
        let value = call.data("value").unwrap_or_default();
        call.collector.plan.borrow_mut().properties.set(name, value, "Global");
        Ok(NoneType)
    }
}
