//! What a build script can see of its build.

use starlark::environment::MethodsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::dict::AllocDict;
use starlark::values::list::AllocList;
use starlark::values::none::NoneOr;
use starlark::values::tuple::UnpackTuple;
use starlark::values::{Heap, Value};

use super::Ctx;
use crate::config::convert::to_starlark;
use crate::config::evaluate::facts;
use crate::config::evaluate::run::Run;

#[starlark_module]
pub(super) fn methods(builder: &mut MethodsBuilder) {
    /// The builder's name.
    #[starlark(attribute)]
    fn builder(this: &Ctx) -> anyhow::Result<String> {
        Ok(this.context.builder.clone())
    }

    /// The build's number.
    #[starlark(attribute)]
    fn number(this: &Ctx) -> anyhow::Result<u64> {
        Ok(this.context.number)
    }

    /// The build's id, which is unique across all builders.
    #[starlark(attribute)]
    fn build_id(this: &Ctx) -> anyhow::Result<u64> {
        Ok(this.context.build.0)
    }

    /// The branch to build; None for the default branch.
    #[starlark(attribute)]
    fn branch(this: &Ctx) -> anyhow::Result<NoneOr<String>> {
        Ok(NoneOr::from_option(this.stamp().and_then(|stamp| stamp.spec.branch.clone())))
    }

    /// The revision to build; None for the newest one.
    #[starlark(attribute)]
    fn revision(this: &Ctx) -> anyhow::Result<NoneOr<String>> {
        Ok(NoneOr::from_option(this.stamp().and_then(|stamp| stamp.spec.revision.clone())))
    }

    /// The repository to build; empty if it is not known.
    #[starlark(attribute)]
    fn repository(this: &Ctx) -> anyhow::Result<String> {
        Ok(this.stamp().map(|stamp| stamp.spec.repository.clone()).unwrap_or_default())
    }

    /// What to check out, for each codebase: `codebase`, `repository`, `project`, `branch`, `revision`.
    #[starlark(attribute)]
    fn stamps<'v>(this: &Ctx, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        Ok(heap.alloc(AllocList(this.context.stamps.iter().map(|stamp| facts::stamp(stamp, heap)))))
    }

    /// The changes that are new in this build, oldest first: `author`, `comments`, `files`, `branch`, `revision`, ….
    #[starlark(attribute)]
    fn changes<'v>(this: &Ctx, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        Ok(heap.alloc(AllocList(this.context.changes.iter().map(|change| facts::change(change, heap)))))
    }

    /// The worker: `name`, `tags`, `system` ("posix" or "nt"), `cpus`, `dir`, `info`.
    #[starlark(attribute)]
    fn worker<'v>(this: &Ctx, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        Ok(facts::worker(&this.context.worker, heap))
    }

    /// Why the build runs.
    #[starlark(attribute)]
    fn reason(this: &Ctx) -> anyhow::Result<String> {
        Ok(this.context.reason.clone())
    }

    /// The steps that ended before this one: `name`, `outcome`, `summary`.
    #[starlark(attribute)]
    fn steps<'v>(this: &Ctx, heap: Heap<'v>) -> anyhow::Result<Value<'v>> {
        Ok(heap.alloc(AllocList(this.context.steps.iter().map(|step| facts::step(step, heap)))))
    }

    /// The build's outcome so far.
    #[starlark(attribute)]
    fn outcome(this: &Ctx) -> anyhow::Result<&'static str> {
        Ok(this.context.outcome.word())
    }

    /// The address of the web pages; it ends with `/`.
    #[starlark(attribute)]
    fn url(this: &Ctx) -> anyhow::Result<String> {
        Ok(this.context.url.clone())
    }

    /// Whether one of the build's new changes touches a file that matches one of these patterns.
    ///
    /// `otherwise` is returned when this cannot be known: there are no changes (a forced build), or a change has no
    /// list of files.
    fn changed<'v>(
        this: &Ctx,
        #[starlark(args)] patterns: UnpackTuple<String>,
        #[starlark(require = named, default = true)] otherwise: bool,
    ) -> anyhow::Result<bool> {
        let changes = &this.context.changes;
        if changes.is_empty() || changes.iter().any(|change| change.data.files.is_empty()) {
            return Ok(otherwise);
        }
        let globs = crate::config::pure::globs(patterns.items.iter().map(String::as_str))?;
        Ok(changes.iter().flat_map(|change| &change.data.files).any(|file| globs.is_match(file)))
    }

    /// A property of the build, including those that this step has set so far.
    fn property<'v>(
        #[starlark(this)] _this: &Ctx,
        #[starlark(require = pos)] name: &str,
        default: Option<Value<'v>>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Value<'v>> {
        let value = Run::of(eval)?.property(name);
        Ok(value.map_or_else(|| default.unwrap_or_else(Value::new_none), |value| to_starlark(&value, eval.heap())))
    }

    /// All properties of the build as a dict, including those that this step has set so far.
    fn properties<'v>(#[starlark(this)] _this: &Ctx, eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<Value<'v>> {
        let (all, heap) = (Run::of(eval)?.properties(), eval.heap());
        Ok(heap.alloc(AllocDict(all.iter().map(|(name, value)| (name.as_str(), to_starlark(value, heap))))))
    }
}
