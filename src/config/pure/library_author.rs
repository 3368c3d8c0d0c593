//! What library functions need to be as careful as native declarations: report a problem at the user's
//! line and go on, check a name against what is declared, know where the configuration is.

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::none::{NoneOr, NoneType};

use super::super::collect::{Collector, ReferenceKind};
use super::super::place::{ArgRef, CallSite};

/// Kinds of names that `refer` checks.
const WANTED: [(&str, ReferenceKind); 6] = [
    ("worker", ReferenceKind::Worker),
    ("builder", ReferenceKind::Builder),
    ("builder tag", ReferenceKind::BuilderTag),
    ("scheduler", ReferenceKind::Scheduler),
    ("triggerable", ReferenceKind::Triggerable),
    ("lock", ReferenceKind::Lock),
];

fn site(eval: &Evaluator<'_, '_, '_>, argument: Option<&str>) -> CallSite {
    let site = CallSite::of_helper(eval);
    match argument {
        Some(name) => site.at(ArgRef::named(name)),
        None => site,
    }
}

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    /// Reports a mistake at the user's line and continues, so that all mistakes are reported together.
    ///
    /// For authors of library functions; `argument` names the wrong argument. In a build, it ends the step.
    fn problem<'v>(
        #[starlark(require = pos)] message: &str,
        #[starlark(require = named, default = NoneOr::None)] hint: NoneOr<&str>,
        #[starlark(require = named, default = NoneOr::None)] argument: NoneOr<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let Some(collector) = Collector::of(eval) else { anyhow::bail!("{message}") };
        let site = site(eval, argument.into_option());
        collector.note(site, message, hint.into_option().map(str::to_owned));
        Ok(NoneType)
    }

    /// Registers a reference to a name, which is checked once everything is declared.
    ///
    /// `by` says, for the message, what refers to it; `kind` is "worker", "builder", "builder tag", "scheduler",
    /// "triggerable" or "lock".
    fn refer<'v>(
        #[starlark(require = pos)] by: &str,
        #[starlark(require = pos)] kind: &str,
        #[starlark(require = pos)] name: &str,
        #[starlark(require = named, default = NoneOr::None)] argument: NoneOr<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<NoneType> {
        let wanted = WANTED.iter().find(|(word, _)| *word == kind).map(|(_, wanted)| *wanted);
        let wanted = wanted.ok_or_else(|| anyhow::anyhow!("nothing can refer to a `{kind}`"))?;
        // In a build the effect itself looks the name up.
        if let Some(collector) = Collector::of(eval) {
            collector.refer(by, wanted, name, site(eval, argument.into_option()));
        }
        Ok(NoneType)
    }

    /// The absolute path of the configuration's directory.
    ///
    /// A build keeps this path together with its configuration.
    fn config_dir<'v>(eval: &mut Evaluator<'v, '_, '_>) -> anyhow::Result<String> {
        let Some(collector) = Collector::of(eval) else {
            anyhow::bail!("call config_dir() at top level and keep its value: builds may run elsewhere");
        };
        collector.directory_asked.set(true);
        let directory = collector.directory.borrow().clone();
        directory
            .ok_or_else(|| anyhow::anyhow!("the configuration's directory is not known here, or its path is not UTF-8"))
    }
}
