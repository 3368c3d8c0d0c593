//! What people read when a configuration is wrong, and the reference of the language: golden texts.
//! `STARWRIGHT_BLESS=1` writes them anew; review the difference as you would prose.

use std::path::{Path, PathBuf};

use starwright::testing::config::{self, Refused};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Compares a text with its golden file.
pub fn assert_golden(path: &Path, text: &str) {
    if std::env::var_os("STARWRIGHT_BLESS").is_some() {
        std::fs::write(path, text).unwrap();
        return;
    }
    let golden = std::fs::read_to_string(path).unwrap_or_default();
    assert!(golden == text, "{} differs; STARWRIGHT_BLESS=1 writes it anew. Now:\n{text}", path.display());
}

fn report(file: &Path) -> String {
    match config::load(file) {
        Ok(loaded) => panic!("{} is right: {}", file.display(), config::summary(&loaded.plan)),
        Err(Refused { problems }) => format!("{}\n", Refused { problems }),
    }
}

#[test]
fn each_mistake_has_its_text() {
    let directory = root().join("tests/golden/config");
    let entries = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|ext| ext == "star")).collect();
    files.sort();
    assert!(files.len() >= 30, "{} files", files.len());
    for file in files {
        assert_golden(&file.with_extension("txt"), &report(&file));
    }
}

#[test]
fn reference_is_up_to_date() {
    assert_golden(&root().join("docs/reference/starlark.md"), &config::reference());
}

#[test]
fn guide_for_movers_has_the_table_of_names() {
    const BEGIN: &str = "<!-- names: made from the code, STARWRIGHT_BLESS=1 writes them anew -->\n";
    const END: &str = "<!-- end of names -->";
    let path = root().join("docs/guides/from-buildbot.md");
    let guide = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = guide.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    assert_golden(&path, &format!("{before}{BEGIN}{}\n{END}{after}", config::names_of_buildbot()));
}

#[test]
fn a_directory_is_named_with_what_is_in_it() {
    let error = config::load(&root().join("examples")).unwrap_err().to_string();
    assert!(error.contains("is a directory") && error.contains("master.star`"), "{error}");
}

#[test]
fn odd_files_are_read_or_refused_with_words() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("master.star");
    let outcome = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        config::load(&file).map(|_| ()).map_err(|refused| refused.to_string())
    };
    assert_eq!(outcome(b"\xef\xbb\xbfworker('w')\r\nx = 1\r\n"), Ok(()));
    assert!(outcome(b"\xff\xfex\0 \0=\0 \x001\0").unwrap_err().contains("is UTF-16"));
    let long = format!("x = '{}' 1\n", "y".repeat(100_000));
    let error = outcome(long.as_bytes()).unwrap_err();
    assert!(error.len() < 2_000, "{} bytes", error.len());
    assert!(outcome(b"if True:\n\tx = 1\n").unwrap_err().contains("a tab indents this line"));
}

#[test]
fn a_missing_configuration_is_named_with_its_neighbour() {
    let error = config::load(&root().join("examples/mastr.star")).unwrap_err().to_string();
    assert!(error.contains("mastr.star") && error.contains("hint: did you mean `master.star`?"), "{error}");
}

#[test]
fn a_file_that_is_no_text_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("master.star");
    std::fs::write(&file, b"x = 1\ny = '\xff'\n").unwrap();
    let error = config::load(&file).unwrap_err().to_string();
    assert!(error.contains("`master.star` is not UTF-8 in line 2"), "{error}");
}
