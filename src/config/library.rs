//! The standard library, which is part of the binary.
//!
//! Configurations keep the text that they were loaded with, so a build that began under an older binary
//! goes on with the library of that one.

/// What names of library files begin with.
pub(super) const PREFIX: &str = "@stdlib//";

/// Every file of the library.
const FILES: &[(&str, &str)] = &[
    ("checks.star", include_str!("../../stdlib/checks.star")),
    ("notify.star", include_str!("../../stdlib/notify.star")),
    ("schedulers.star", include_str!("../../stdlib/schedulers.star")),
    ("source.star", include_str!("../../stdlib/source.star")),
    ("steps.star", include_str!("../../stdlib/steps.star")),
    ("testing.star", include_str!("../../stdlib/testing.star")),
    ("text.star", include_str!("../../stdlib/text.star")),
];

/// The text of a library file by its whole name (`@stdlib//steps.star`).
pub(super) fn text(name: &str) -> Option<&'static str> {
    let short = name.strip_prefix(PREFIX)?;
    FILES.iter().find(|(file, _)| *file == short).map(|(_, text)| *text)
}

/// Whole names of all files.
pub(super) fn names() -> impl Iterator<Item = String> {
    FILES.iter().map(|(name, _)| format!("{PREFIX}{name}"))
}

/// Whether a file is one of the library's.
pub(super) fn is_library(name: &str) -> bool {
    name.starts_with(PREFIX)
}

/// The library and a main file, as kept sources.
#[cfg(test)]
pub(super) fn with_main(text: &str) -> std::collections::BTreeMap<String, String> {
    let library = FILES.iter().map(|(name, text)| (format!("{PREFIX}{name}"), (*text).to_owned()));
    library.chain([("master.star".to_owned(), text.to_owned())]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_opens_with_a_docstring() {
        for name in names() {
            assert!(text(&name).is_some_and(|text| text.starts_with("\"\"\"")), "{name}");
            assert!(is_library(&name));
        }
        assert_eq!(text("steps.star"), None);
    }
}
