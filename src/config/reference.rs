//! The reference of the configuration language, made from what the code itself says.
//!
//! Pure: tables of declarations, documentation of helpers and of `ctx`, docstrings of the library.

use starlark::docs::{DocFunction, DocItem, DocMember, DocModule, DocParam, DocString};

use super::check::{CHANGE, OBJECT, REQUEST, USER, WORKER};
use super::declare;
use super::evaluate::{context_members, result_members};
use super::globals::globals;
use super::library;
use super::loader::library_documentation;
use super::signature::Native;
use crate::model::FunctionKind;

const HEAD: &str = "\
# Reference of the configuration language

*Generated from the code; `STARWRIGHT_BLESS=1 cargo test --test it` regenerates it.*

A configuration is a Starlark file. Starlark is the language of Bazel's BUILD files; here it also has f-strings, type
annotations and top-level statements. A declaration takes effect when it is called. `load(\"lib/file.star\", \"name\")`
loads a name from a file relative to the loading file; `//lib/file.star` is relative to the configuration's directory.
The standard library is loaded with `load(\"@stdlib//steps.star\", \"sh\")`.

In the tables, *text* is a string, *whole number* is an integer, and *length of time* is a duration, a string such as
`\"90s\"`, `\"5m\"`, `\"1h30m\"` or `\"2d\"`. Outcomes are strings, too: `success`, `warnings`, `failure`, `skipped`,
`exception`, `retry`, `cancelled`.
";

/// The whole reference as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = HEAD.to_owned();
    text += "\n## Declarations\n\nArguments after `*` must be passed by name.\n";
    declare::tables().for_each(|native| text += &of_native(native));
    text += "\n## Values\n";
    text += &helpers(|item| matches!(item, DocItem::Member(DocMember::Function(_))));
    text += "\n## `ctx`: a build\n\nThe argument of a step's function. Attributes describe the build. Functions have effects, which are\n";
    text += "recorded, so a build continues where it stopped, whatever happens to the master.\n\n";
    text += &members("ctx", context_members().members.iter());
    text += "\n## Results\n\nWhat `ctx.run`, `ctx.step` and similar functions return.\n\n";
    text += &members("result", result_members().members.iter());
    text += &records();
    text += "\n## Helpers\n\nThese functions are pure: they use no clock, no files and no network.\n";
    text += &helpers(|item| matches!(item, DocItem::Module(_)));
    for (name, module) in library_documentation() {
        text += &of_file(&name, &module);
    }
    text
}

/// What Buildbot's names are here, as Markdown tables for the guide.
#[must_use]
pub fn names_of_buildbot() -> String {
    super::foreign::guide_table()
}

/// What user functions of schedulers and builders get.
fn records() -> String {
    let mut text =
        "\n## Requests, workers, changes and users\n\nThe arguments of the functions of builders (`can_start`, "
            .to_owned();
    text += "`next_build`, `next_worker`, `collapse`), of schedulers, and of `rights`.\n";
    text += "`starwright check` reports fields that do not exist.\n";
    for (name, fields) in [
        ("request", &REQUEST[..]),
        ("worker", &WORKER[..]),
        ("change", &CHANGE[..]),
        ("user", &USER[..]),
        ("object", &OBJECT[..]),
    ] {
        text += &format!("\n### `{name}`\n\n");
        fields.iter().for_each(|(field, doc)| text += &format!("* `{name}.{field}`: {doc}\n"));
    }
    text += "\nA function may give no answer, because it fails or takes too long. An alert then names the function, its error, and\n";
    text += "what happens meanwhile:\n\n";
    for (kinds, doc) in [
        ("`filter`, `important`", FunctionKind::Filter.meanwhile()),
        ("`properties`", FunctionKind::Properties.meanwhile()),
        ("`can_start`", FunctionKind::CanStart.meanwhile()),
        ("`next_build`", FunctionKind::NextBuild.meanwhile()),
        ("`next_worker`", FunctionKind::NextWorker.meanwhile()),
        ("`priority`", FunctionKind::Priority.meanwhile()),
        ("`collapse`", FunctionKind::Collapse.meanwhile()),
    ] {
        text += &format!("* {kinds}: {doc}\n");
    }
    text
}

fn of_native(native: &Native) -> String {
    let mut signature: Vec<String> = Vec::new();
    for (place, param) in native.params.iter().enumerate() {
        if place == native.positional {
            signature.push("*".to_owned());
        }
        signature.push(param.default.map_or_else(|| param.name.to_owned(), |_| format!("{} = …", param.name)));
    }
    let mut text = format!("\n### `{}({})`\n\n{}\n\n", native.name, signature.join(", "), native.doc);
    text += "| argument | type | default | meaning |\n|---|---|---|---|\n";
    for param in native.params {
        let default = param.default.unwrap_or("*required*");
        text += &format!("| `{}` | {} | {} | {} |\n", param.name, cell(param.kind), cell(default), cell(param.doc));
    }
    text + &format!("\n```python\n{}\n```\n", native.example)
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Natives that are documented where they are written.
fn helpers(wanted: impl Fn(&DocItem) -> bool) -> String {
    let documentation = globals().documentation();
    let declared: Vec<&str> = declare::tables().map(|native| native.name).collect();
    let mut text = String::new();
    let mut items: Vec<(&String, &DocItem)> = documentation.members.iter().collect();
    items.sort_by_key(|(name, _)| name.as_str());
    for (name, item) in items.into_iter().filter(|(name, item)| is_ours(name) && wanted(item)) {
        match item {
            DocItem::Module(module) => {
                text += &format!("\n### `{name}`\n\n");
                let mut members: Vec<(&String, &DocItem)> = module.members.iter().collect();
                members.sort_by_key(|(name, _)| name.as_str());
                for (member, item) in members {
                    if let DocItem::Member(DocMember::Function(function)) = item {
                        text += &line(&format!("{name}.{member}"), function);
                    }
                }
            }
            DocItem::Member(DocMember::Function(function)) if !declared.contains(&name.as_str()) => {
                text += &format!("\n{}", line(name, function));
            }
            _ => {}
        }
    }
    text
}

/// Whether a global is one of ours: what Starlark brings along stands in its own specification.
fn is_ours(name: &str) -> bool {
    const OURS: [&str; 13] = [
        "secret",
        "concat",
        "matches",
        "none_of",
        "config_dir",
        "data",
        "problem",
        "refer",
        "regex",
        "json",
        "glob",
        "duration",
        "path",
    ];
    OURS.contains(&name)
}

/// A function in one line, and what it says.
fn line(name: &str, function: &DocFunction) -> String {
    format!("* `{name}({})`: {}\n", parameters(function), flat(function.docs.as_ref()))
}

fn members<'m>(owner: &str, members: impl Iterator<Item = (&'m String, &'m DocMember)>) -> String {
    let mut members: Vec<_> = members.collect();
    members.sort_by_key(|(name, member)| (matches!(member, DocMember::Function(_)), name.as_str()));
    let each = members.into_iter().map(|(name, member)| match member {
        DocMember::Property(property) => format!("* `{owner}.{name}`: {}\n", flat(property.docs.as_ref())),
        DocMember::Function(function) => line(&format!("{owner}.{name}"), function),
    });
    each.collect()
}

fn parameters(function: &DocFunction) -> String {
    let params = &function.params;
    let plain = |param: &DocParam| match &param.default_value {
        None => param.name.clone(),
        Some(value) if value == "..." => format!("{} = …", param.name),
        Some(value) => format!("{} = {value}", param.name),
    };
    let mut words: Vec<String> = params.pos_only.iter().chain(&params.pos_or_named).map(plain).collect();
    match &params.args {
        Some(args) => words.push(format!("*{}", args.name)),
        None if !params.named_only.is_empty() => words.push("*".to_owned()),
        None => {}
    }
    words.extend(params.named_only.iter().map(plain));
    words.extend(params.kwargs.iter().map(|kwargs| format!("**{}", kwargs.name)));
    words.join(", ")
}

/// A docstring in one paragraph.
fn flat(docs: Option<&DocString>) -> String {
    let Some(docs) = docs else { return String::new() };
    let details = docs.details.as_deref().unwrap_or_default();
    let words = format!("{} {details}", docs.summary);
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn of_file(name: &str, module: &DocModule) -> String {
    let mut text = format!("\n## `{name}`\n");
    text += &paragraphs(module.docs.as_ref());
    for (name, item) in &module.members {
        let DocItem::Member(DocMember::Function(function)) = item else { continue };
        text += &format!("\n### `{name}({})`\n", parameters(function));
        text += &paragraphs(function.docs.as_ref());
        text += &arguments(function);
    }
    text
}

fn paragraphs(docs: Option<&DocString>) -> String {
    let Some(docs) = docs else { return String::new() };
    let details = docs.details.as_ref().map_or_else(String::new, |details| format!("\n{}\n", details.trim()));
    format!("\n{}\n{details}", docs.summary)
}

/// The `Args:` of a docstring.
fn arguments(function: &DocFunction) -> String {
    let params = &function.params;
    let all = params.pos_only.iter().chain(&params.pos_or_named).chain(&params.args);
    let all = all.chain(&params.named_only).chain(&params.kwargs);
    let told = all.filter_map(|param| Some((param, param.docs.as_ref()?)));
    let lines: String = told.map(|(param, docs)| format!("* `{}`: {}\n", param.name, flat(Some(docs)))).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

/// Library functions' examples, with the file that each is in: the text after `Example:`, between
/// back-ticks.
#[must_use]
pub fn examples() -> Vec<(String, String)> {
    let natives = declare::tables().map(|native| ("native".to_owned(), native.example.to_owned()));
    let files = library::names().filter_map(|name| Some((name.clone(), library::text(&name)?)));
    let library = files.flat_map(|(name, text)| {
        let found = text.split("Example: `").skip(1).filter_map(|rest| rest.split('`').next());
        found.map(|example| (name.clone(), example.to_owned())).collect::<Vec<_>>()
    });
    natives.chain(library).collect()
}
