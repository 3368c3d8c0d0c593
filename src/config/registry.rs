//! The functions that a module's declarations name, kept alive by the module itself.
//!
//! Ids are given by the collector, in order of declaration over all files, so the same sources always
//! give the same ids.

use std::cell::RefCell;
use std::fmt;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::environment::{FrozenModule, Module};
use starlark::eval::Evaluator;
use starlark::values::{
    AllocValue, Freeze, FreezeResult, Freezer, FrozenValue, Heap, NoSerialize, OwnedFrozenValue, StarlarkPagablePanic,
    StarlarkValue, Trace, Value, ValueLike, starlark_value,
};

use super::collect::Collector;
use crate::model::FnId;

/// Functions of a module that is being evaluated.
#[derive(Debug, Default, Trace, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(super) struct Registry<'v> {
    items: RefCell<Vec<(u64, Value<'v>)>>,
}

/// The same of a finished module.
#[derive(Debug, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(super) struct FrozenRegistry {
    items: Vec<(u64, FrozenValue)>,
}

impl fmt::Display for Registry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("functions")
    }
}

impl fmt::Display for FrozenRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("functions")
    }
}

#[starlark_value(type = "functions", skip_vtable)]
impl<'v> StarlarkValue<'v> for Registry<'v> {
    type Canonical = FrozenRegistry;
}

#[starlark_value(type = "functions")]
impl<'v> StarlarkValue<'v> for FrozenRegistry {
    type Canonical = Self;
}

impl<'v> AllocValue<'v> for Registry<'v> {
    fn alloc_value(self, heap: Heap<'v>) -> Value<'v> {
        heap.alloc_complex(self)
    }
}

impl Freeze for Registry<'_> {
    type Frozen = FrozenRegistry;

    fn freeze(self, freezer: &Freezer) -> FreezeResult<Self::Frozen> {
        let items = self.items.into_inner().into_iter();
        let items = items.map(|(id, value)| Ok((id, value.freeze(freezer)?))).collect::<FreezeResult<_>>()?;
        Ok(FrozenRegistry { items })
    }
}

/// Gives a module a registry of its own.
pub(super) fn install(module: &Module<'_>) {
    module.set_extra_value(module.heap().alloc(Registry::default()));
}

/// Registers a function with the module that is being evaluated.
pub(super) fn register<'v>(eval: &Evaluator<'v, '_, '_>, collector: &Collector, function: Value<'v>) -> FnId {
    let id = collector.next_function();
    let registry = eval.module().extra_value().and_then(starlark::values::ValueLike::downcast_ref::<Registry<'v>>);
    let registry = registry.expect("the loader gives every module a registry");
    registry.items.borrow_mut().push((id.0, function));
    id
}

/// The functions of a finished module with their ids.
pub(super) fn functions(module: &FrozenModule) -> Vec<(u64, OwnedFrozenValue)> {
    let Some(owner) = module.owned_extra_value() else { return Vec::new() };
    let Some(registry) = owner.value().downcast_ref::<FrozenRegistry>() else { return Vec::new() };
    registry.items.iter().map(|(id, function)| (*id, owner.map(|_| *function))).collect()
}
