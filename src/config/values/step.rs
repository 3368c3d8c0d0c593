//! The value that `step(...)` makes: an element of `steps = [...]`, or something for `ctx.step`.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::starlark_complex_value;
use starlark::values::{
    Coerce, Freeze, FreezeResult, Freezer, Heap, NoSerialize, StarlarkPagablePanic, StarlarkValue, Trace, Value,
    ValueLifetimeless, ValueLike, starlark_value,
};

use crate::base::Span;
use crate::model::{LockAccess, SourcePlace, StepPlan};

/// What a step's outcome means for what it is a part of, and how it is tried.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of the field")]
pub(in crate::config) struct StepFlags {
    pub(in crate::config) halt_on_failure: bool,
    pub(in crate::config) flunk_on_failure: bool,
    pub(in crate::config) flunk_on_warnings: bool,
    pub(in crate::config) warn_on_failure: bool,
    pub(in crate::config) warn_on_warnings: bool,
    pub(in crate::config) always_run: bool,
    pub(in crate::config) retries: u64,
    pub(in crate::config) retry_delay: Span,
    pub(in crate::config) locks: Vec<LockAccess>,
    pub(in crate::config) place: SourcePlace,
    /// Its plan, once a builder has it: whoever else has the same step shares that.
    pub(in crate::config) plan: OnceLock<Arc<StepPlan>>,
    /// The directory that it fills, and the repository it takes.
    pub(in crate::config) checks_out: Option<Box<(String, String)>>,
    /// The codebases that it uses, if that is known.
    pub(in crate::config) codebases: Option<BTreeSet<String>>,
}

/// A step, over values of a module in the making or of a finished one.
#[derive(Debug, Trace, Coerce, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
#[repr(C)]
pub(in crate::config) struct StepGen<V: ValueLifetimeless> {
    pub(in crate::config) name: String,
    /// The function that does it.
    pub(in crate::config) run: V,
    /// None, or a function of `ctx`.
    pub(in crate::config) do_if: V,
    /// None, or a function of `ctx` and the outcome.
    pub(in crate::config) hide_if: V,
    #[allocative(skip)]
    #[trace(unsafe_ignore)]
    pub(in crate::config) flags: Box<StepFlags>,
}

starlark_complex_value!(pub(in crate::config) Step);

impl<V: ValueLifetimeless> fmt::Display for StepGen<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step(\"{}\")", self.name)
    }
}

#[starlark_value(type = "step")]
impl<'v, V: ValueLike<'v>> StarlarkValue<'v> for StepGen<V>
where
    Self: ProvidesStaticType<'v>,
{
    fn get_attr(&self, attribute: &str, heap: Heap<'v>) -> Option<Value<'v>> {
        match attribute {
            "name" => Some(heap.alloc(self.name.as_str())),
            "run" => Some(self.run.to_value()),
            _ => None,
        }
    }

    fn dir_attr(&self) -> Vec<String> {
        vec!["name".to_owned(), "run".to_owned()]
    }
}

impl Freeze for Step<'_> {
    type Frozen = FrozenStep;

    fn freeze(self, freezer: &Freezer) -> FreezeResult<Self::Frozen> {
        Ok(StepGen {
            name: self.name,
            run: self.run.freeze(freezer)?,
            do_if: self.do_if.freeze(freezer)?,
            hide_if: self.hide_if.freeze(freezer)?,
            flags: self.flags,
        })
    }
}

impl<'v> Step<'v> {
    /// A plain function of `ctx` as a step: the flags of `sh`, the function's name.
    pub(in crate::config) fn of_function(function: Value<'v>, place: SourcePlace) -> Self {
        let name = function.function_name().unwrap_or("function").to_owned();
        let none = Value::new_none();
        let flags = Box::new(StepFlags::usual(place));
        Self { name, run: function, do_if: none, hide_if: none, flags }
    }
}

impl StepFlags {
    /// The flags of a step that says nothing: a failure ends the build and makes it a failure.
    pub(in crate::config) fn usual(place: SourcePlace) -> Self {
        Self {
            halt_on_failure: true,
            flunk_on_failure: true,
            flunk_on_warnings: false,
            warn_on_failure: false,
            warn_on_warnings: true,
            always_run: false,
            retries: 0,
            retry_delay: Span::from_seconds(10),
            locks: Vec::new(),
            place,
            plan: OnceLock::new(),
            checks_out: None,
            codebases: None,
        }
    }
}
