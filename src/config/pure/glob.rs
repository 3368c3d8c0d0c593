//! `glob`: path patterns, where `*` stays within a directory and `**` goes through all.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use starlark::environment::GlobalsBuilder;
use starlark::starlark_module;
use starlark::values::list_or_tuple::UnpackListOrTuple;

/// A set of glob patterns.
pub(in crate::config) fn globs<'p>(patterns: impl Iterator<Item = &'p str>) -> anyhow::Result<GlobSet> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern).literal_separator(true).build();
        set.add(glob.map_err(|error| anyhow::anyhow!("`{pattern}` is not a valid glob pattern: {}", error.kind()))?);
    }
    Ok(set.build()?)
}

#[starlark_module]
pub(super) fn functions(builder: &mut GlobalsBuilder) {
    /// Whether a path matches a pattern.
    fn r#match(
        #[starlark(require = pos)] pattern: &str,
        #[starlark(require = pos)] path: &str,
    ) -> anyhow::Result<bool> {
        Ok(globs([pattern].into_iter())?.is_match(path))
    }

    /// The paths that match at least one of the patterns.
    fn filter(
        #[starlark(require = pos)] patterns: UnpackListOrTuple<String>,
        #[starlark(require = pos)] paths: UnpackListOrTuple<String>,
    ) -> anyhow::Result<Vec<String>> {
        let set = globs(patterns.items.iter().map(String::as_str))?;
        Ok(paths.items.into_iter().filter(|path| set.is_match(path)).collect())
    }
}
