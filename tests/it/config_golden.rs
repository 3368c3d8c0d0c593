//! What people read when a configuration is wrong, and the reference of the language: golden texts.
//! `STARWRIGHT_BLESS=1` writes them anew; review the difference as you would prose.

use std::path::{Path, PathBuf};

use starwright::config::{self, Refused};

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
    let folder = root().join("tests/golden/config");
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
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
