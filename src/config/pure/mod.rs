//! Helpers without effects: the same arguments always give the same value, in linear time.

use starlark::environment::GlobalsBuilder;

/// Adds all of them to the globals.
pub(super) fn pure_functions(_globals: &mut GlobalsBuilder) {}

/// A set of glob patterns, where `*` stays within a folder and `**` goes through all.
pub(super) fn globs<'p>(patterns: impl Iterator<Item = &'p str>) -> anyhow::Result<globset::GlobSet> {
    let mut set = globset::GlobSetBuilder::new();
    for pattern in patterns {
        let glob = globset::GlobBuilder::new(pattern).literal_separator(true).build();
        set.add(glob.map_err(|error| anyhow::anyhow!("`{pattern}` is no glob pattern: {}", error.kind()))?);
    }
    Ok(set.build()?)
}
