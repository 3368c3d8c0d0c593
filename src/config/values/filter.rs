//! Small values that only travel from one declaration to another.

use std::fmt;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::starlark_simple_value;
use starlark::values::{NoSerialize, StarlarkPagablePanic, StarlarkValue, starlark_value};

use crate::model::{ChangeFilter, ForceParam, Matcher};

macro_rules! carried {
    ($($(#[$doc:meta])* $name:ident($inner:ty) = $word:literal),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
        pub(in crate::config) struct $name(#[allocative(skip)] pub(in crate::config) $inner);

        starlark_simple_value!($name);

        #[starlark_value(type = $word)]
        impl<'v> StarlarkValue<'v> for $name {}

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}(…)", $word)
            }
        }
    )+};
}

carried! {
    /// What `change_filter(...)` makes.
    FilterValue(ChangeFilter) = "change_filter",
    /// What `matches(...)` and `none_of(...)` make.
    MatcherValue(Matcher) = "matcher",
    /// What `param(...)` makes.
    ParamValue(ForceParam) = "param",
}
