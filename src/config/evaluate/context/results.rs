//! Test results, numbers and data that a step records with its build.

use starlark::environment::MethodsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::dict::DictRef;
use starlark::values::list::UnpackList;
use starlark::values::none::{NoneOr, NoneType};
use starlark::values::structs::AllocStruct;
use starlark::values::{UnpackValue as _, Value};

use super::arguments::bounded;
use crate::base::{nearest, size_text};
use crate::config::convert::kind_of;
use crate::config::evaluate::run::Run;
use crate::config::template::AuthorText;
use crate::model::{
    Ask, BUILD_DATUM_BYTES_MAX, BuildDatum, ByDigest, Measurement, TEST_MESSAGE_MAX, TEST_NAME_MAX, TEST_RESULTS_MAX,
    TEST_SET_BYTES_MAX, TestColumns, TestCounts, TestOutcome, TestResult, TestSet,
};

/// Letters of the name of a set, number or datum.
const NAME_MAX: usize = 200;

/// What a result may say of itself.
const FIELDS: [&str; 6] = ["name", "path", "line", "outcome", "seconds", "message"];

#[starlark_module]
pub(super) fn methods(builder: &mut MethodsBuilder) {
    /// Records the results of tests with the build, as a set of this name.
    ///
    /// A result is a dict: `name` and `outcome` ("passed", "failed", "error", "skipped", "expected failure" or "unexpected
    /// success"), and if known `path` (file, class or module), `line`, `seconds` and `message`. The history of a test is
    /// that of results with the same set, path and name. Returns how many there are of each kind: `passed`, `failed`,
    /// `errors`, `skipped`, `expected_failures`, `unexpected_successes`, `total`, `bad`, and `text`, a line for people.
    fn test_results<'v>(
        this: Value<'v>,
        #[starlark(require = pos)] name: AuthorText<'v>,
        #[starlark(require = pos)] results: UnpackList<Value<'v>>,
        #[starlark(require = named, default = "pass_fail")] category: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<Value<'v>> {
        let name = name.text("name", this, eval)?;
        bounded("the name of a set of test results", &name, NAME_MAX)?;
        bounded("`category`", category, NAME_MAX)?;
        if results.items.len() > TEST_RESULTS_MAX {
            return Err(failure(format!(
                "set `{name}` has {} results, more than {TEST_RESULTS_MAX}; record them as several sets",
                results.items.len()
            )));
        }
        let mut read = Vec::with_capacity(results.items.len());
        for (number, result) in results.items.iter().enumerate() {
            read.push(test_result(*result).map_err(|why| anyhow::anyhow!("result {number} of set `{name}` {why}"))?);
        }
        bound_texts(&name, &mut read)?;
        let counts = TestCounts::of(read.iter().map(|result| result.outcome));
        let set =
            TestSet { name, category: category.to_owned(), counts, results: ByDigest::of(TestColumns::of(&read)) };
        let run = Run::of(eval)?;
        run.ask(Ask::RecordTests { step: run.step_key(), set: Box::new(set) })?;
        let heap = eval.heap();
        let number = |count: u64| heap.alloc(count);
        Ok(heap.alloc(AllocStruct([
            ("passed", number(counts.passed)),
            ("failed", number(counts.failed)),
            ("errors", number(counts.errors)),
            ("skipped", number(counts.skipped)),
            ("expected_failures", number(counts.expected_failures)),
            ("unexpected_successes", number(counts.unexpected_successes)),
            ("total", number(counts.total())),
            ("bad", number(counts.bad())),
            ("text", heap.alloc(counts.text())),
        ])))
    }

    /// Records a number with the build, whose trend pages show: a duration, a size, a count of warnings.
    fn value<'v>(
        this: Value<'v>,
        #[starlark(require = pos)] name: AuthorText<'v>,
        #[starlark(require = pos)] value: Value<'v>,
        #[starlark(require = named, default = "")] unit: &str,
        #[starlark(require = named, default = "performance")] category: &str,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        let name = name.text("name", this, eval)?;
        bounded("the name of a value", &name, NAME_MAX)?;
        bounded("`unit`", unit, NAME_MAX)?;
        bounded("`category`", category, NAME_MAX)?;
        let Some(value) = decimal(value) else {
            return Err(failure(format!("value `{name}` must be a number, not {}", kind_of(value))));
        };
        let measurement = Measurement { name, category: category.to_owned(), value, unit: unit.to_owned() };
        let run = Run::of(eval)?;
        run.ask(Ask::RecordValue { step: run.step_key(), measurement })?;
        Ok(NoneType)
    }

    /// Keeps a text of up to 1 MiB with the build, under a name of letters, digits, `-`, `_` and `.`; `source` says for
    /// people where it comes from. Larger things belong into files.
    fn set_data<'v>(
        this: Value<'v>,
        #[starlark(require = pos)] name: &str,
        #[starlark(require = pos)] text: AuthorText<'v>,
        #[starlark(require = named, default = NoneOr::None)] source: NoneOr<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> starlark::Result<NoneType> {
        bounded("the name of data", name, NAME_MAX)?;
        let letter = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !begins || !name.chars().all(letter) {
            let text = format!("`{name}` must begin with a letter, and have only letters, digits, `-`, `_` and `.`");
            return Err(failure(text));
        }
        let text = text.text("text", this, eval)?;
        if text.len() > BUILD_DATUM_BYTES_MAX {
            let (has, most) = (size_text(text.len() as u64), size_text(BUILD_DATUM_BYTES_MAX as u64));
            return Err(failure(format!("data `{name}` has {has}, more than {most}")));
        }
        let source = source.into_option().unwrap_or("Build");
        bounded("`source`", source, NAME_MAX)?;
        let datum = BuildDatum { name: name.to_owned(), source: source.to_owned(), text: ByDigest::of(text) };
        Run::of(eval)?.ask(Ask::SetData { datum })?;
        Ok(NoneType)
    }
}

fn failure(text: String) -> starlark::Error {
    starlark::Error::new_other(anyhow::Error::msg(text))
}

/// A number in decimal digits; none for what is not one.
fn decimal(value: Value<'_>) -> Option<String> {
    match value.get_type() {
        "int" => Some(value.to_string()),
        "float" => {
            let number: f64 = value.to_string().parse().ok()?;
            number.is_finite().then(|| format!("{number}"))
        }
        _ => None,
    }
}

/// A result from its dict.
fn test_result(value: Value<'_>) -> anyhow::Result<TestResult> {
    let Some(fields) = DictRef::from_value(value) else {
        anyhow::bail!(
            "must be a dict such as {{\"name\": \"test_x\", \"outcome\": \"passed\"}}, not {}",
            kind_of(value)
        );
    };
    for (field, _) in fields.iter() {
        let field = field.unpack_str().unwrap_or("?");
        if !FIELDS.contains(&field) {
            let hint = nearest(field, FIELDS).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
            anyhow::bail!("has a field `{field}`, which results do not have{hint}");
        }
    }
    let given = |field: &str| fields.get_str(field).filter(|value| !value.is_none());
    let text = |field: &str| match given(field) {
        Some(value) => match value.unpack_str() {
            Some(text) => Ok(text),
            None => Err(anyhow::anyhow!("has a `{field}` that is not a text, but {}", kind_of(value))),
        },
        None => Ok(""),
    };
    let name = text("name")?;
    anyhow::ensure!(!name.trim().is_empty(), "has no `name`");
    let word = text("outcome")?;
    let Some(outcome) = TestOutcome::from_word(word) else {
        let words = TestOutcome::ALL.map(|outcome| format!("\"{}\"", outcome.word())).join(", ");
        anyhow::bail!("has the outcome \"{word}\"; write one of {words}");
    };
    let line = match given("line") {
        Some(value) => {
            let line = u64::unpack_value(value).ok().flatten();
            Some(line.ok_or_else(|| anyhow::anyhow!("has a `line` that is not a whole number"))?)
        }
        None => None,
    };
    let duration_ns = given("seconds").map(nanoseconds).transpose()?;
    Ok(TestResult {
        name: label(name),
        path: label(text("path")?),
        line,
        outcome,
        duration_ns,
        message: shortened(&readable(text("message")?), TEST_MESSAGE_MAX),
    })
}

fn nanoseconds(value: Value<'_>) -> anyhow::Result<u64> {
    let seconds = match value.get_type() {
        "int" | "float" => value.to_string().parse::<f64>().ok(),
        _ => None,
    };
    let span = seconds.and_then(|seconds| std::time::Duration::try_from_secs_f64(seconds).ok());
    let span = span.ok_or_else(|| anyhow::anyhow!("has `seconds` that are not a number of seconds"))?;
    Ok(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}

/// A name on one line, of bounded length.
fn label(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    shortened(line.trim(), TEST_NAME_MAX)
}

/// Text for people, without control characters but line ends and tabs.
fn readable(text: &str) -> String {
    text.trim_end().chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// At most so many bytes, with a mark where it was cut.
fn shortened(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    format!("{}…", &text[..text.floor_char_boundary(bytes_max - '…'.len_utf8())])
}

/// Keeps a set within its bound: messages go first, those of good results before others.
fn bound_texts(set: &str, results: &mut [TestResult]) -> starlark::Result<()> {
    let names: usize = results.iter().map(|result| result.name.len() + result.path.len()).sum();
    let Some(mut room) = TEST_SET_BYTES_MAX.checked_sub(names) else {
        let (has, most) = (size_text(names as u64), size_text(TEST_SET_BYTES_MAX as u64));
        return Err(failure(format!(
            "the names in set `{set}` have {has}, more than {most}; record them as several sets"
        )));
    };
    for bad in [true, false] {
        for result in results.iter_mut().filter(|result| result.outcome.is_bad() == bad) {
            match room.checked_sub(result.message.len()) {
                Some(rest) => room = rest,
                None => result.message.clear(),
            }
        }
    }
    Ok(())
}
