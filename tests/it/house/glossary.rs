//! The glossary names types that exist: whoever renames one finds the page.

use std::fs;

use super::{names_after, root, sources};

#[test]
fn every_type_in_the_glossary_exists() {
    let page = fs::read_to_string(root().join("docs/glossary.md")).unwrap();
    let sources = sources();
    let named = page.lines().filter_map(|line| {
        let cell = line.strip_prefix("| ")?.split(" | ").nth(2)?;
        cell.strip_prefix('`')?.strip_suffix('`')?.split_once("::")
    });
    let mut faults = Vec::new();
    let mut count = 0;
    for (room, name) in named {
        count += 1;
        let exists = sources.iter().filter(|(_, of, _)| of == room).any(|(_, _, text)| {
            ["struct ", "enum ", "trait ", "type "]
                .iter()
                .any(|word| names_after(text, word).any(|known| known == name))
        });
        if !exists {
            faults.push(format!("`{room}::{name}` is not in src/{room}"));
        }
    }
    assert!(count > 100, "docs/glossary.md has {count} types: did its table change?");
    assert!(faults.is_empty(), "bring docs/glossary.md up to date:\n{}", faults.join("\n"));
}
