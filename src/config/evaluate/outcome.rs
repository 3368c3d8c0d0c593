//! What a step's function came to: from what it returned, and from what happened on the way.

use starlark::values::{Value, ValueLike as _};

use super::super::convert::{items_of, kind_of};
use super::super::values::step::Step;
use super::result::ResultValue;
use super::run::Frame;
use super::stop::Stop;
use crate::model::Outcome;

/// The end of a step.
#[derive(Clone, Debug)]
pub(super) struct Finished {
    pub(super) outcome: Outcome,
    pub(super) summary: Option<String>,
    /// The command's result that the function returned, if it did.
    pub(super) result: Option<ResultValue>,
}

/// The end of a step whose function returned, or that ended itself. Other errors are handed on.
pub(super) fn finish(returned: starlark::Result<Value<'_>>, frame: Frame) -> starlark::Result<Finished> {
    let value = match returned {
        Ok(value) => value,
        Err(error) => {
            let Some(Stop::End { outcome, summary }) = Stop::of(&error).cloned() else { return Err(error) };
            let outcome = keep_warning(outcome.unwrap_or(frame.verdict), frame.warned);
            return Ok(Finished { outcome, summary: summary.or(frame.summary).or(frame.usual), result: None });
        }
    };
    let said = frame.summary.or(frame.usual);
    if value.is_none() {
        return Ok(Finished { outcome: frame.verdict, summary: said, result: None });
    }
    if let Some(result) = value.downcast_ref::<ResultValue>() {
        let outcome = keep_warning(result.outcome, frame.warned);
        let result = ResultValue { outcome, ..result.clone() };
        return Ok(Finished { outcome, summary: said.or_else(|| result.summary.clone()), result: Some(result) });
    }
    let outcome = returned_outcome(value).map_err(|text| starlark::Error::new_other(anyhow::Error::msg(text)))?;
    Ok(Finished { outcome: keep_warning(outcome, frame.warned), summary: said, result: None })
}

/// A warning stays, unless the step comes to something worse.
const fn keep_warning(outcome: Outcome, warned: bool) -> Outcome {
    match outcome {
        Outcome::Success | Outcome::Skipped if warned => Outcome::Warnings,
        Outcome::Success
        | Outcome::Skipped
        | Outcome::Warnings
        | Outcome::Failure
        | Outcome::Exception
        | Outcome::Retry
        | Outcome::Cancelled => outcome,
    }
}

fn returned_outcome(value: Value<'_>) -> Result<Outcome, String> {
    if let Some(yes) = value.unpack_bool() {
        return Ok(if yes { Outcome::Success } else { Outcome::Failure });
    }
    if let Some(word) = value.unpack_str() {
        return Outcome::from_word(word).ok_or_else(|| {
            let words = Outcome::ALL.map(Outcome::word).join(", ");
            format!("a step cannot end with \"{word}\": return one of {words}, or nothing")
        });
    }
    let results = items_of(value).unwrap_or_default().iter().map(|item| item.downcast_ref::<ResultValue>());
    let worst = results.map(|result| result.map(|result| result.outcome)).reduce(|l, r| Some(l?.worse(r?)));
    worst.flatten().ok_or_else(|| {
        let kind = kind_of(value);
        let hint = if Step::from_value(value).is_some() {
            "\nhint: write return ctx.step(sh(…)) or return ctx.run(…): a step that is only made does nothing"
        } else {
            ""
        };
        format!("a step returns nothing, True or False, an outcome's word, or the result of ctx.run; not {kind}{hint}")
    })
}
