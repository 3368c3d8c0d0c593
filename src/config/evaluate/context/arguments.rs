//! Arguments of effects: read, filled in and bounded.

use starlark::eval::Evaluator;
use starlark::values::dict::{AllocDict, DictRef};
use starlark::values::structs::AllocStruct;
use starlark::values::{Heap, Value};

use crate::config::convert::to_model;
use crate::config::marks::plain;
use crate::config::template::{AuthorText, Template, text_of};
use crate::config::values::secret::TextValue;
use crate::model::{Properties, Property, StampSpec, check_property};

/// Letters of a path: systems take no longer ones.
const PATH_MAX: usize = 4_096;

/// Paths of one file command.
const PATHS_MAX: usize = 10_000;

/// Where large values belong.
pub(super) const KEEP_ELSEWHERE: &str = "\nhint: write large texts to a log (ctx.log) or to a file on the worker";

/// Texts, some of which may be templates.
pub(super) fn all_told<'v>(
    name: &str,
    texts: &[AuthorText<'v>],
    ctx: Value<'v>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<Vec<String>> {
    if texts.len() > PATHS_MAX {
        let text = format!("`{name}`: {} are more than {PATHS_MAX}", texts.len());
        return Err(starlark::Error::new_other(anyhow::Error::msg(text)));
    }
    texts.iter().map(|text| text.path(name, ctx, eval).and_then(|path| path_of(name, path))).collect()
}

/// A path of sensible length.
pub(super) fn path_of(name: &str, path: String) -> starlark::Result<String> {
    bounded(&format!("`{name}`"), &path, PATH_MAX)?;
    Ok(path)
}

/// A text that stands on one line of a page, or names something.
pub(super) fn bounded(what: &str, text: &str, letters_max: usize) -> anyhow::Result<()> {
    let letters = text.chars().count();
    anyhow::ensure!(letters <= letters_max, "{what} has {letters} letters, more than {letters_max}");
    anyhow::ensure!(!text.chars().any(char::is_control), "{what} has control characters in it");
    Ok(())
}

/// Plain data, or a template as the text that it comes to.
pub(super) fn data_of<'v>(
    value: Value<'v>,
    ctx: Value<'v>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<Value<'v>> {
    let Some(template) = Template::from_value(value) else { return Ok(value) };
    let text = text_of(template, ctx, eval)?;
    let heap = eval.heap();
    let secret = text.secrets().next().is_some();
    // A secret is refused by whoever takes plain data.
    Ok(if secret { heap.alloc(TextValue(text)) } else { heap.alloc(text.masked()) })
}

/// A dict with its templates filled in; other values as they are.
pub(super) fn entries_of<'v>(
    value: Value<'v>,
    ctx: Value<'v>,
    eval: &mut Evaluator<'v, '_, '_>,
) -> starlark::Result<Value<'v>> {
    let Some(entries) = DictRef::from_value(value) else { return Ok(value) };
    let entries: Vec<(Value<'v>, Value<'v>)> = entries.iter().collect();
    let mut filled = Vec::new();
    for (name, value) in entries {
        filled.push((name, data_of(value, ctx, eval)?));
    }
    Ok(eval.heap().alloc(AllocDict(filled)))
}

/// A text for one line of a page.
pub(super) fn one_line(text: &str) -> anyhow::Result<String> {
    const LETTERS_MAX: usize = 300;
    let text = plain(text).map_err(anyhow::Error::msg)?;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(match line.char_indices().nth(LETTERS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    })
}

pub(super) fn trigger_properties(value: Value<'_>) -> anyhow::Result<Properties> {
    match to_model(value) {
        Ok(crate::model::Value::Map(entries)) => {
            let mut bytes = 0;
            for (name, value) in &entries {
                check_property(name, value, bytes)
                    .map_err(|why| anyhow::anyhow!("property `{name}` {why}{KEEP_ELSEWHERE}"))?;
                bytes += name.len() + value.bytes();
            }
            let each = entries.into_iter();
            let each = each.map(|(name, value)| (name, Property { value, source: "Trigger".to_owned() }));
            Ok(Properties(each.collect()))
        }
        Ok(other) => anyhow::bail!("`properties` must be a dict, not {other}"),
        Err(why) => anyhow::bail!("`properties` {why}"),
    }
}

pub(super) fn stamp_spec(value: Value<'_>) -> anyhow::Result<StampSpec> {
    let mut spec = StampSpec::default();
    let fields = DictRef::from_value(value).ok_or_else(|| anyhow::anyhow!("a stamp must be a dict"))?;
    for (name, value) in fields.iter() {
        let text = value.unpack_str().map(str::to_owned);
        match name.unpack_str() {
            Some("codebase") => spec.codebase = text.unwrap_or_default(),
            Some("repository") => spec.repository = text.unwrap_or_default(),
            Some("project") => spec.project = text.unwrap_or_default(),
            Some("branch") => spec.branch = text,
            Some("revision") => spec.revision = text,
            _ => anyhow::bail!("a stamp has no {name}: it has codebase, repository, project, branch, revision"),
        }
    }
    Ok(spec)
}

/// The numbers of docs/reference/worker-protocol.md#stat: mode first, size seventh, modification ninth.
pub(super) fn stat_value<'v>(numbers: &[u64], heap: Heap<'v>) -> Value<'v> {
    let number = |place: usize| numbers.get(place).copied().unwrap_or_default();
    let kind = number(0) & 0o170_000;
    heap.alloc(AllocStruct([
        ("is_dir", Value::new_bool(kind == 0o040_000)),
        ("is_file", Value::new_bool(kind == 0o100_000)),
        ("mode", heap.alloc(number(0) & 0o7777)),
        ("size", heap.alloc(number(6))),
        ("modified", heap.alloc(number(8))),
    ]))
}
