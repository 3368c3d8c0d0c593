//! Reading the logs of the build.

use starlark::environment::MethodsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::none::NoneOr;

use super::Ctx;
use super::arguments::bounded;
use crate::config::evaluate::reading::text_bytes;
use crate::config::evaluate::run::Run;
use crate::model::{LogPlaces, LogRequest, OUTPUT_BYTES_MAX, TextEnd};

/// Letters of the name of a log or step.
const NAME_MAX: usize = 200;

#[starlark_module]
pub(super) fn methods(builder: &mut MethodsBuilder) {
    /// The text of a log of this build, as it is now: all lines, those from line `first` on, or the `last` ones.
    ///
    /// Without `step`, it is the newest log of this name. Lines that say how a command was run are left out. If the text is
    /// longer than `max` (at most 8 MiB), its end is cut off, or its beginning if `last` is given.
    fn read_log<'v>(
        #[starlark(this)] _this: &Ctx,
        #[starlark(require = pos)] name: &str,
        #[starlark(require = named, default = NoneOr::None)] step: NoneOr<&str>,
        #[starlark(require = named, default = 0)] first: u64,
        #[starlark(require = named, default = NoneOr::None)] last: NoneOr<u64>,
        #[starlark(require = named, default = NoneOr::None)] max: NoneOr<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<String> {
        bounded("the name of a log", name, NAME_MAX)?;
        let step = step.into_option();
        step.map_or(Ok(()), |step| bounded("the name of a step", step, NAME_MAX))?;
        let bytes_max = max.into_option().map(|text| text_bytes("max", text)).transpose()?;
        let (part, end) = match last.into_option() {
            Some(last) => (LogPlaces::Last(last), TextEnd::Tail),
            None => (LogPlaces::From(first), TextEnd::Head),
        };
        let request = LogRequest {
            log: name.to_owned(),
            step: step.map(str::to_owned),
            part,
            end,
            bytes_max: bytes_max.unwrap_or(OUTPUT_BYTES_MAX),
        };
        Ok(Run::of(eval)?.read_log(request)?.as_ref().to_owned())
    }
}
