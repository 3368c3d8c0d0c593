//! Checks of the house: who imports whom, forgotten files, sizes, headers, leftovers, citations.

mod citations;
mod glossary;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Room, and the rooms it may import. Printed in docs/ARCHITECTURE.md.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("model", &["base"]),
    ("engine", &["model", "base"]),
    ("protocol", &["model", "base"]),
    ("store", &["model", "base"]),
    ("config", &["model", "base"]),
    ("evaluator", &["config", "model", "base"]),
    ("secrets", &["model", "base"]),
    ("vcs", &["model", "base"]),
    ("notify", &["model", "base"]),
    ("worker", &["protocol", "secrets", "model", "base"]),
    ("master", &["engine", "protocol", "store", "evaluator", "secrets", "vcs", "notify", "model", "base"]),
    ("web", &["master", "store", "model", "base"]),
    (
        "cli",
        &[
            "base",
            "model",
            "engine",
            "protocol",
            "store",
            "config",
            "evaluator",
            "secrets",
            "vcs",
            "notify",
            "worker",
            "master",
            "web",
        ],
    ),
];

/// Tests that may import more: the simulator evaluates real Starlark now and then, so that the engine's replay and the
/// evaluator's are seen to fit.
const TESTS_MAY_IMPORT: &[(&str, &str)] = &[("src/engine/tests/sim/", "config"), ("src/engine/tests/sim.rs", "config")];

/// Crates that one room alone may use, so that the rest stays ignorant of them.
const SOLE_USERS: &[(&str, &[&str])] = &[
    ("starlark", &["config"]),
    ("sled", &["store"]),
    ("zstd", &["store", "web"]),
    ("warp", &["web"]),
    ("askama", &["web"]),
    ("matchit", &["web"]),
    ("hyper_util", &["web"]),
    ("lettre", &["notify"]),
    ("git2", &["vcs"]),
    ("clap", &["cli"]),
    ("reqwest", &["cli"]),
    ("rmpv", &["protocol", "worker"]),
    ("tracing_subscriber", &["base"]),
    ("croner", &["engine", "config"]),
];

/// Past this many lines a file probably holds a second idea.
const LINES_MAX: usize = 700;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// Every source file with its room and its text.
fn sources() -> Vec<(PathBuf, String, String)> {
    let src = root().join("src");
    files_below(&src, ".rs")
        .into_iter()
        .filter_map(|path| {
            let inside = path.strip_prefix(&src).unwrap();
            let room = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
            let text = fs::read_to_string(&path).unwrap();
            (!room.ends_with(".rs")).then_some((path, room, text))
        })
        .collect()
}

/// The names that directly follow each `prefix` in a text's code (comment lines left out).
fn names_after<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).flat_map(move |line| {
        line.match_indices(prefix).filter_map(move |(at, _)| {
            let before = line[..at].chars().next_back();
            let stands_alone = before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':');
            let rest = &line[at + prefix.len()..];
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            (stands_alone && end > 0).then_some(&rest[..end])
        })
    })
}

#[test]
fn rooms_import_only_what_the_table_allows() {
    let table: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut faults = Vec::new();
    for (path, room, text) in sources() {
        let Some(allowed) = table.get(room.as_str()) else {
            faults.push(format!("{}: room `{room}` is not in the table", shown(&path)));
            continue;
        };
        for name in names_after(&text, "crate::") {
            let excepted =
                TESTS_MAY_IMPORT.iter().any(|(place, other)| shown(&path).starts_with(place) && *other == name);
            if name != room && table.contains_key(name) && !allowed.contains(&name) && !excepted {
                faults.push(format!("{}: `{room}` imports `{name}`", shown(&path)));
            }
        }
    }
    assert!(faults.is_empty(), "put the code where it belongs, or define a trait:\n{}", faults.join("\n"));
}

#[test]
fn crates_stay_in_their_rooms() {
    let mut faults = Vec::new();
    for (path, room, text) in sources() {
        for (name, rooms) in SOLE_USERS {
            let used = names_after(&text, &format!("{name}::")).next().is_some();
            if used && !rooms.contains(&room.as_str()) {
                faults.push(format!("{}: `{name}` belongs to {rooms:?}", shown(&path)));
            }
        }
    }
    assert!(faults.is_empty(), "ask the room that owns the crate:\n{}", faults.join("\n"));
}

#[test]
fn the_table_stands_in_the_architecture_page() {
    let page = fs::read_to_string(root().join("docs/ARCHITECTURE.md")).unwrap();
    for (room, allowed) in MAY_IMPORT {
        let names: Vec<String> = allowed.iter().map(|name| format!("`{name}`")).collect();
        let row = match (*room, names.as_slice()) {
            ("cli", _) => "| `cli` | everything |".to_owned(),
            (_, []) => format!("| `{room}` | nothing of ours |"),
            (_, names) => format!("| `{room}` | {} |", names.join(", ")),
        };
        assert!(page.contains(&row), "docs/ARCHITECTURE.md lacks the row:\n{row}");
    }
}

#[test]
fn files_open_with_their_responsibility() {
    let faults: Vec<String> = sources()
        .iter()
        .filter(|(_, _, text)| !text.starts_with("//!"))
        .map(|(path, ..)| format!("{}: begin with `//!` and what the file is responsible for", shown(path)))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn files_hold_one_idea() {
    let mut faults = Vec::new();
    for path in files_below(&root().join("src"), ".rs").into_iter().chain(files_below(&root().join("tests"), ".rs")) {
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        if lines > LINES_MAX {
            faults.push(format!("{}: {lines} lines; look for the second idea inside", shown(&path)));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn nothing_is_left_undone() {
    let words = ["todo!", "unimplemented!", concat!("FIX", "ME"), concat!("#[ign", "ore"), concat!("X", "XX")];
    let mut faults = Vec::new();
    for (path, _, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            if words.iter().any(|word| line.contains(word)) {
                faults.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
            }
        }
    }
    assert!(faults.is_empty(), "finish it or take it out:\n{}", faults.join("\n"));
}

#[test]
fn no_integration_test_is_forgotten() {
    let dir = root().join("tests/it");
    let main = fs::read_to_string(dir.join("main.rs")).unwrap();
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if name != "main" {
            assert!(main.contains(&format!("mod {name};")), "tests/it/main.rs lacks `mod {name};`");
        }
    }
}
