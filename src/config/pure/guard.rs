//! Bounds on what the evaluator cannot interrupt: repetitions (`"a" * n`) and ranges.
//!
//! Limits of ticks and memory are looked at between statements only; a single multiplication could take
//! the machine's memory before that. So each file's `*` is replaced by a call of ours.

use std::collections::HashMap;

use starlark::environment::GlobalsBuilder;
use starlark::starlark_module;
use starlark::syntax::AstModule;
use starlark::values::range::Range;
use starlark::values::{Heap, UnpackValue as _, Value};

use super::super::convert::items_of;

/// Bytes of a repeated text, and elements of a repeated list.
const REPEATED_MAX: u64 = 10_000_000;

/// Numbers of a range: a loop over more is stopped by the limit of ticks anyway.
const RANGE_MAX: i64 = 1_000_000;

/// The name of the function that multiplies; no user writes it.
const MULTIPLY: &str = "_multiply";

/// Replaces what is guarded in a file that is about to be evaluated.
pub(in crate::config) fn guard_operators(ast: &mut AstModule) {
    ast.replace_binary_operators(&HashMap::from([("*".to_owned(), MULTIPLY.to_owned())]));
}

/// How many bytes or elements `many` times `value` are.
fn repeated(value: Value<'_>, many: Value<'_>) -> Option<u64> {
    let length = value.unpack_str().map(str::len).or_else(|| items_of(value).map(<[_]>::len))?;
    let many = i64::unpack_value(many).ok().flatten()?;
    Some((length as u64).saturating_mul(u64::try_from(many).unwrap_or(0)))
}

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    /// `left * right`.
    fn _multiply<'v>(
        #[starlark(require = pos)] left: Value<'v>,
        #[starlark(require = pos)] right: Value<'v>,
        heap: Heap<'v>,
    ) -> starlark::Result<Value<'v>> {
        match repeated(left, right).or_else(|| repeated(right, left)) {
            Some(size) if size > REPEATED_MAX => Err(starlark::Error::new_other(anyhow::anyhow!(
                "this repetition would have {size} elements, more than {REPEATED_MAX}"
            ))),
            _ => left.mul(right, heap),
        }
    }

    /// Whole numbers from `start` (0) up to, without, `stop`, each `step` (1) after the one before.
    fn range(
        #[starlark(require = pos)] a1: i32,
        #[starlark(require = pos)] a2: Option<i32>,
        #[starlark(require = pos, default = 1)] step: i32,
    ) -> starlark::Result<Range> {
        let (start, stop) = a2.map_or((0, a1), |stop| (a1, stop));
        let Some(step) = std::num::NonZeroI32::new(step) else {
            return Err(starlark::Error::new_other(anyhow::anyhow!("the third argument of range must not be 0")));
        };
        let numbers = (i64::from(stop) - i64::from(start)) / i64::from(step.get());
        if numbers > RANGE_MAX {
            return Err(starlark::Error::new_other(anyhow::anyhow!(
                "this range would have {numbers} numbers, more than {RANGE_MAX}"
            )));
        }
        Ok(Range::new(start, stop, step))
    }
}
