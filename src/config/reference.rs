//! The reference of the configuration language, made from the tables of the declarations, the documentation of the
//! natives behind `ctx`, and the docstrings of the library: what is not documented there does not exist.

use std::fmt::Write as _;

use super::signature::Native;
use super::{declare, library};

/// The page, in Markdown.
pub fn reference() -> String {
    let mut page = String::from(
        "# Starlark reference\n\nMade from the program; `docs/reference/starlark.md` is checked against it.\n\n\
         Declarations are called while the configuration is loaded. Arguments after the first are given by name.\n\n\
         ## Declarations\n",
    );
    for native in declare::tables() {
        declaration(&mut page, native);
    }
    page.push_str("\n## Library\n\nLoad a name with `load(\"@stdlib//FILE\", \"NAME\")`.\n");
    for name in library::names() {
        library_file(&mut page, &name, library::text(&name).unwrap_or_default());
    }
    page
}

fn declaration(page: &mut String, native: &Native) {
    let _ = write!(page, "\n### {}\n\n{}\n\n```python\n{}\n```\n\n", native.name, native.doc, native.example);
    if native.params.is_empty() {
        return;
    }
    page.push_str("| argument | type | default | |\n|---|---|---|---|\n");
    for param in native.params {
        let default = param.default.map_or("(needed)".to_owned(), |default| format!("`{default}`"));
        let _ =
            writeln!(page, "| `{}` | {} | {} | {} |", param.name, cell(param.kind), cell(&default), cell(param.doc));
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// The docstring of a file and of each of its public functions.
fn library_file(page: &mut String, name: &str, text: &str) {
    let _ = write!(page, "\n### {name}\n\n{}\n", docstring(text).unwrap_or_default());
    let mut rest = text;
    while let Some(at) = rest.find("\ndef ") {
        rest = &rest[at + 5..];
        let Some((signature, body)) = rest.split_once(":\n") else { break };
        if !signature.starts_with('_') {
            let signature: Vec<&str> = signature.split_whitespace().collect();
            let signature = signature.join(" ").replace("( ", "(").replace(", )", ")");
            let _ = write!(
                page,
                "\n#### `{signature}`\n\n```text\n{}\n```\n",
                docstring(body.trim_start()).unwrap_or_default()
            );
        }
    }
}

/// The text between the triple quotes that `text` begins with, without the indentation of code.
fn docstring(text: &str) -> Option<String> {
    let (inside, _) = text.strip_prefix("\"\"\"")?.split_once("\"\"\"")?;
    let lines: Vec<&str> = inside.trim_end().lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
    Some(lines.join("\n"))
}
