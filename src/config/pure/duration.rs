//! `duration`: lengths of time as people write them.

use starlark::environment::GlobalsBuilder;
use starlark::starlark_module;
use starlark::values::float::UnpackFloat;

use crate::base::{ParseSpanError, Span};

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    /// The seconds in a duration such as "90s", "5m", "1h30m" or "2d".
    fn seconds(#[starlark(require = pos)] text: &str) -> anyhow::Result<f64> {
        let span: Span = text.parse().map_err(|error: ParseSpanError| anyhow::anyhow!("{error}"))?;
        Ok(span.as_seconds_f64())
    }

    /// Whether a string is a duration.
    fn is_valid(#[starlark(require = pos)] text: &str) -> anyhow::Result<bool> {
        Ok(text.parse::<Span>().is_ok())
    }

    /// A number of seconds as a readable duration, with the two largest units.
    fn text(#[starlark(require = pos)] seconds: UnpackFloat) -> anyhow::Result<String> {
        let duration = std::time::Duration::try_from_secs_f64(seconds.0);
        let duration = duration.map_err(|_| anyhow::anyhow!("{} seconds are not a valid duration", seconds.0))?;
        Ok(Span::from(duration).to_string())
    }
}
