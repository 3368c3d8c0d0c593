//! `regex`: regular expressions in linear time (no look-around, no back-references).

use std::cell::RefCell;
use std::collections::BTreeMap;

use regex::{Captures, Regex, RegexBuilder};
use starlark::environment::GlobalsBuilder;
use starlark::starlark_module;
use starlark::values::dict::AllocDict;
use starlark::values::list::AllocList;
use starlark::values::none::NoneOr;
use starlark::values::structs::AllocStruct;
use starlark::values::{Heap, Value};

/// Size of a compiled pattern: large enough for real ones, small enough that compiling is quick.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// Compiled patterns that a thread keeps: a script is evaluated again and again with the same ones.
const KEPT_MAX: usize = 100;

fn compile(pattern: &str) -> anyhow::Result<Regex> {
    thread_local! {
        static KEPT: RefCell<BTreeMap<String, Regex>> = const { RefCell::new(BTreeMap::new()) };
    }
    KEPT.with_borrow_mut(|kept| {
        if let Some(regex) = kept.get(pattern) {
            return Ok(regex.clone());
        }
        let regex = RegexBuilder::new(pattern).size_limit(COMPILED_BYTES_MAX).build().map_err(|error| {
            let text = error.to_string();
            let why = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
            anyhow::anyhow!("`{pattern}` is not a valid regular expression: {why}")
        })?;
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(pattern.to_owned(), regex.clone());
        Ok(regex)
    })
}

/// A match: `text`, `groups` (None for those that took no part), `named`, `start` and `end` in bytes.
fn found<'v>(regex: &Regex, captures: &Captures<'_>, heap: Heap<'v>) -> Value<'v> {
    let group = |part: Option<regex::Match<'_>>| part.map_or(Value::new_none(), |part| heap.alloc(part.as_str()));
    let whole = captures.get(0);
    let groups = captures.iter().skip(1).map(group);
    let named = regex.capture_names().flatten().map(|name| (name, group(captures.name(name))));
    heap.alloc(AllocStruct([
        ("text", group(whole)),
        ("groups", heap.alloc(AllocList(groups))),
        ("named", heap.alloc(AllocDict(named))),
        ("start", heap.alloc(whole.map_or(0, |part| part.start()))),
        ("end", heap.alloc(whole.map_or(0, |part| part.end()))),
    ]))
}

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    /// The match of a pattern at the beginning of a string, or None.
    ///
    /// A match has `text`, `groups` (a list), `named` (a dict), `start` and `end`.
    fn r#match<'v>(
        #[starlark(require = pos)] pattern: &str,
        #[starlark(require = pos)] text: &str,
        heap: Heap<'v>,
    ) -> anyhow::Result<NoneOr<Value<'v>>> {
        let regex = compile(&format!("\\A(?:{pattern})"))?;
        Ok(NoneOr::from_option(regex.captures(text).map(|captures| found(&regex, &captures, heap))))
    }

    /// The first match of a pattern anywhere in a string, or None.
    fn search<'v>(
        #[starlark(require = pos)] pattern: &str,
        #[starlark(require = pos)] text: &str,
        heap: Heap<'v>,
    ) -> anyhow::Result<NoneOr<Value<'v>>> {
        let regex = compile(pattern)?;
        Ok(NoneOr::from_option(regex.captures(text).map(|captures| found(&regex, &captures, heap))))
    }

    /// All matches of a pattern in a string.
    fn find_all<'v>(
        #[starlark(require = pos)] pattern: &str,
        #[starlark(require = pos)] text: &str,
        heap: Heap<'v>,
    ) -> anyhow::Result<Value<'v>> {
        let regex = compile(pattern)?;
        let all = regex.captures_iter(text).map(|captures| found(&regex, &captures, heap));
        Ok(heap.alloc(AllocList(all)))
    }

    /// A string with every match of a pattern replaced; `$1` and `${name}` refer to groups.
    fn replace(
        #[starlark(require = pos)] pattern: &str,
        #[starlark(require = pos)] replacement: &str,
        #[starlark(require = pos)] text: &str,
    ) -> anyhow::Result<String> {
        Ok(compile(pattern)?.replace_all(text, replacement).into_owned())
    }

    /// The parts of a string between the matches of a pattern.
    fn split(
        #[starlark(require = pos)] pattern: &str,
        #[starlark(require = pos)] text: &str,
    ) -> anyhow::Result<Vec<String>> {
        Ok(compile(pattern)?.split(text).map(str::to_owned).collect())
    }

    /// A pattern that matches exactly this string.
    fn escape(#[starlark(require = pos)] text: &str) -> anyhow::Result<String> {
        Ok(regex::escape(text))
    }
}
