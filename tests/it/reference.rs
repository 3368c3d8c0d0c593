//! References are made from the program; the pages in `docs` must be what it makes.

use std::path::Path;

#[test]
fn the_starlark_reference_is_fresh() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/reference/starlark.md");
    let made = starwright::testing::config::reference();
    if std::env::var_os("STARWRIGHT_BLESS").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(made == kept, "docs/reference/starlark.md is stale: STARWRIGHT_BLESS=1 writes it anew");
}

#[test]
fn the_example_is_right() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/master.star");
    let loaded = starwright::testing::config::load(&path).unwrap_or_else(|refused| panic!("{refused}"));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert!(loaded.plan.builders.contains_key("checks"));
}
