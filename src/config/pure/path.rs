//! `path`: paths with `/`, as text; nothing is looked at on any disk.

use starlark::environment::GlobalsBuilder;
use starlark::starlark_module;
use starlark::values::tuple::UnpackTuple;

/// The last part, and where it begins.
fn last(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

fn normal(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let absolute = path.starts_with('/');
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if absolute => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    /// Joins parts with `/`; an absolute part discards those before it.
    fn join(#[starlark(args)] parts: UnpackTuple<String>) -> anyhow::Result<String> {
        let join = |whole: String, part: &String| match (part.starts_with('/'), whole.is_empty()) {
            (true, _) | (_, true) => part.clone(),
            _ => format!("{}/{part}", whole.trim_end_matches('/')),
        };
        Ok(parts.items.iter().filter(|part| !part.is_empty()).fold(String::new(), join))
    }

    /// The last component: `base("a/b.txt")` is "b.txt".
    fn base(#[starlark(require = pos)] path: &str) -> anyhow::Result<String> {
        Ok(last(path).to_owned())
    }

    /// Everything before the last component: `dir("a/b.txt")` is "a".
    fn dir(#[starlark(require = pos)] path: &str) -> anyhow::Result<String> {
        let trimmed = path.trim_end_matches('/');
        Ok(match trimmed.rfind('/') {
            Some(0) => "/".to_owned(),
            Some(slash) => trimmed[..slash].to_owned(),
            None => String::new(),
        })
    }

    /// The extension with its dot: `ext("a/b.txt")` is ".txt"; empty if there is none.
    fn ext(#[starlark(require = pos)] path: &str) -> anyhow::Result<String> {
        let name = last(path);
        Ok(name.rfind('.').filter(|dot| *dot > 0).map_or(String::new(), |dot| name[dot..].to_owned()))
    }

    /// A path without `.`, `..` and repeated `/`, as far as the path alone determines this.
    fn normalize(#[starlark(require = pos)] path: &str) -> anyhow::Result<String> {
        Ok(normal(path))
    }
}
