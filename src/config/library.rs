//! The standard library, which is part of the binary.
//!
//! Configurations keep the text that they were loaded with, so a build that began under an older binary
//! goes on with the library of that one.

use std::collections::BTreeMap;
use std::sync::OnceLock;

/// What names of library files begin with.
pub(super) const PREFIX: &str = "@stdlib//";

/// Every file of the library.
const FILES: &[(&str, &str)] = &[
    ("bzr.star", include_str!("../../stdlib/bzr.star")),
    ("chats.star", include_str!("../../stdlib/chats.star")),
    ("checkout.star", include_str!("../../stdlib/checkout.star")),
    ("checks.star", include_str!("../../stdlib/checks.star")),
    ("forges.star", include_str!("../../stdlib/forges.star")),
    ("git_checkout.star", include_str!("../../stdlib/git_checkout.star")),
    ("git_refs.star", include_str!("../../stdlib/git_refs.star")),
    ("git_steps.star", include_str!("../../stdlib/git_steps.star")),
    ("git_words.star", include_str!("../../stdlib/git_words.star")),
    ("hg.star", include_str!("../../stdlib/hg.star")),
    ("login.star", include_str!("../../stdlib/login.star")),
    ("notify.star", include_str!("../../stdlib/notify.star")),
    ("schedulers.star", include_str!("../../stdlib/schedulers.star")),
    ("source.star", include_str!("../../stdlib/source.star")),
    ("steps.star", include_str!("../../stdlib/steps.star")),
    ("svn.star", include_str!("../../stdlib/svn.star")),
    ("testing.star", include_str!("../../stdlib/testing.star")),
    ("text.star", include_str!("../../stdlib/text.star")),
    ("test_formats.star", include_str!("../../stdlib/test_formats.star")),
    ("test_steps.star", include_str!("../../stdlib/test_steps.star")),
    ("tools.star", include_str!("../../stdlib/tools.star")),
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

/// The functions that the library offers, with the file that each is in.
pub(super) fn exports() -> &'static BTreeMap<&'static str, String> {
    static EXPORTS: OnceLock<BTreeMap<&'static str, String>> = OnceLock::new();
    EXPORTS.get_or_init(|| {
        let mut found = BTreeMap::new();
        // What people write in configurations comes before what authors of libraries and tests need.
        for file in [
            "steps",
            "test_steps",
            "tools",
            "source",
            "git_steps",
            "hg",
            "svn",
            "bzr",
            "schedulers",
            "notify",
            "forges",
            "chats",
            "login",
            "text",
            "checks",
            "testing",
            "test_formats",
            "checkout",
            "git_checkout",
            "git_refs",
            "git_words",
        ] {
            let name = format!("{PREFIX}{file}.star");
            let lines = text(&name).unwrap_or_default().lines();
            for function in lines.filter_map(|line| line.strip_prefix("def ")?.split('(').next()) {
                if !function.starts_with('_') {
                    found.entry(function).or_insert_with(|| name.clone());
                }
            }
        }
        found
    })
}

/// The line that loads a function of the library.
pub(super) fn load_line(name: &str) -> Option<String> {
    exports().get(name).map(|file| format!("load(\"{file}\", \"{name}\")"))
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
    fn functions_are_found_with_their_files() {
        assert_eq!(load_line("sh").as_deref(), Some("load(\"@stdlib//steps.star\", \"sh\")"));
        assert_eq!(load_line("_title"), None);
        let with_functions: Vec<String> =
            names().filter(|name| text(name).is_some_and(|text| text.contains("\ndef "))).collect();
        for file in with_functions {
            assert!(exports().values().any(|known| *known == file), "{file} is not among the exports");
        }
    }

    #[test]
    fn every_file_opens_with_a_docstring() {
        for name in names() {
            assert!(text(&name).is_some_and(|text| text.starts_with("\"\"\"")), "{name}");
            assert!(is_library(&name));
        }
        assert_eq!(text("steps.star"), None);
    }
}
