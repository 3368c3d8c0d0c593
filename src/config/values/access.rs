//! Locks and how they are taken.

use std::fmt;

use allocative::Allocative;
use starlark::any::ProvidesStaticType;
use starlark::environment::{Methods, MethodsBuilder, MethodsStatic};
use starlark::values::{NoSerialize, StarlarkPagablePanic, StarlarkValue, starlark_value};
use starlark::{starlark_module, starlark_simple_value};

use crate::model::{LockAccess, LockMode};

/// A declared lock.
#[derive(Clone, Debug, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(in crate::config) struct LockValue {
    pub(in crate::config) name: String,
}

starlark_simple_value!(LockValue);

impl fmt::Display for LockValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lock(\"{}\")", self.name)
    }
}

#[starlark_value(type = "lock")]
impl<'v> StarlarkValue<'v> for LockValue {
    fn get_methods() -> Option<&'static Methods> {
        static METHODS: MethodsStatic = MethodsStatic::new("lock", lock_methods);
        Some(METHODS.methods())
    }
}

/// A way of taking a lock.
#[derive(Clone, Debug, ProvidesStaticType, NoSerialize, StarlarkPagablePanic, Allocative)]
pub(in crate::config) struct AccessValue(#[allocative(skip)] pub(in crate::config) LockAccess);

starlark_simple_value!(AccessValue);

impl fmt::Display for AccessValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.mode {
            LockMode::Counting(n) => write!(f, "lock(\"{}\").shared({n})", self.0.lock),
            LockMode::Exclusive => write!(f, "lock(\"{}\").exclusive()", self.0.lock),
        }
    }
}

#[starlark_value(type = "lock_access")]
impl<'v> StarlarkValue<'v> for AccessValue {}

#[starlark_module]
fn lock_methods(builder: &mut MethodsBuilder) {
    /// Takes `n` of the lock's units, beside other holders.
    fn shared(this: &LockValue, #[starlark(require = pos, default = 1)] n: u32) -> anyhow::Result<AccessValue> {
        if n == 0 {
            anyhow::bail!("a lock is taken with at least one unit");
        }
        Ok(AccessValue(LockAccess { lock: this.name.clone(), mode: LockMode::Counting(u64::from(n)) }))
    }

    /// Takes the whole lock, alone.
    fn exclusive(this: &LockValue) -> anyhow::Result<AccessValue> {
        Ok(AccessValue(LockAccess { lock: this.name.clone(), mode: LockMode::Exclusive }))
    }
}
