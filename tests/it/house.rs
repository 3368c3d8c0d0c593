//! Checks of the house: who imports whom, forgotten files, sizes, headers, leftovers, citations.

mod citations;
mod glossary;

use std::collections::{BTreeMap, BTreeSet};
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
    ("auth", &["secrets", "model", "base"]),
    ("web", &["master", "auth", "store", "model", "base"]),
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
            "auth",
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
    ("ring", &["base", "vcs"]),
    ("clap", &["cli"]),
    ("reqwest", &["auth", "cli", "vcs", "notify"]),
    ("openidconnect", &["auth"]),
    ("oauth2", &["auth"]),
    ("ldap3", &["auth"]),
    ("rmpv", &["protocol", "worker"]),
    ("tracing_subscriber", &["base"]),
    ("croner", &["engine", "config"]),
];

/// The engine's parts, lower ones first. A part imports only itself and those before it; what it wants of a later one it
/// marks on the turn. Explained in docs/design/engine.md.
const ENGINE_PARTS: &[(&str, &[&str])] = &[
    (
        "turn",
        &[
            "asking",
            "cause",
            "cron",
            "effect",
            "filter",
            "form",
            "in_flight",
            "input",
            "lines",
            "links",
            "state",
            "timers",
            "turn",
            "words",
        ],
    ),
    ("locks", &["locking"]),
    ("workers, sources, reports", &["workers", "sources", "watch", "deliveries", "reports"]),
    (
        "queue",
        &[
            "decide",
            "questions",
            "start",
            "request_ends",
            "collapse",
            "buildsets",
            "pending",
            "queue_retries",
            "dependents",
            "schedulers",
            "intake",
            "matching",
            "lending",
        ],
    ),
    (
        "drive",
        &[
            "journal",
            "outcomes",
            "finish",
            "stop",
            "commands",
            "step_ends",
            "ends",
            "command_ends",
            "returns",
            "triggers",
            "asks",
            "evaluate",
            "steps",
            "deadlocks",
            "waiting",
            "asked",
        ],
    ),
    ("core", &["adopt", "core", "diff", "settle", "take"]),
];

/// Files of a room that import each other in a circle, all of them. The list may only become shorter.
const CIRCLES: &[&[&str]] = &[];
/// Where a clock is chosen. Everything else is given one, so that a test can move it.
const CLOCK_CHOSEN_BY: &[&str] =
    &["src/base/", "src/cli/", "src/master/start.rs", "src/web/server.rs", "src/worker/runner/mod.rs"];

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
            #[expect(clippy::case_sensitive_file_extension_comparisons, reason = "files of ours")]
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
fn the_clock_is_injected() {
    let mut faults = Vec::new();
    for (path, _, text) in sources() {
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        if code.contains("SystemClock") && !CLOCK_CHOSEN_BY.iter().any(|place| shown(&path).starts_with(place)) {
            faults.push(shown(&path));
        }
    }
    assert!(faults.is_empty(), "take a `Clock` instead of naming the machine's:\n{}", faults.join("\n"));
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

/// A module: its path below `src/`.
type Module = Vec<String>;

/// The code of every file that is no test, by its module; comments and the tests at its end are left out.
fn modules() -> BTreeMap<Module, String> {
    let src = root().join("src");
    let mut modules = BTreeMap::new();
    for (path, _, text) in sources() {
        let inside = path.strip_prefix(&src).unwrap().with_extension("");
        let mut module: Module = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if module.iter().any(|part| part == "tests") {
            continue;
        }
        if module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        let end = text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(text.len());
        let code = text[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
        modules.insert(module, code.map(|line| format!("{line}\n")).collect());
    }
    modules
}

/// The paths of one `use`, or of one path in code: `a::{b::C, d}` are `a::b::C` and `a::d`.
fn expand(path: &str) -> Vec<Vec<String>> {
    let names = |text: &str| -> Vec<String> {
        let words = text.split("::").map(|word| word.split_whitespace().next().unwrap_or_default().to_owned());
        words.filter(|word| !word.is_empty()).collect()
    };
    let Some((head, group)) = path.split_once('{') else { return vec![names(path)] };
    let group = group.trim_end().trim_end_matches('}');
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in group.chars() {
        match c {
            ',' if depth == 0 => parts.push(String::new()),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                parts.last_mut().unwrap().push(c);
            }
        }
    }
    // A nested group keeps its own closing brace.
    let open = |part: &String| part.matches('{').count() > part.matches('}').count();
    let parts = parts.into_iter().map(|part| if open(&part) { part + "}" } else { part });
    let inner = parts.filter(|part| !part.trim().is_empty()).flat_map(|part| expand(part.trim()));
    inner.map(|rest| names(head).into_iter().chain(rest).collect()).collect()
}

/// Every path that a text names: in `use`, and in code where it begins with `super`, `crate` or `self`.
fn paths_of(text: &str) -> Vec<Vec<String>> {
    let (mut paths, mut code) = (Vec::new(), String::new());
    let mut rest = text;
    while let Some(at) = rest.find("use ") {
        let starts_word = rest[..at].chars().next_back().is_none_or(|c| c.is_whitespace() || c == ')');
        let Some(end) = rest[at..].find(';').filter(|_| starts_word) else {
            code.push_str(&rest[..at + 4]);
            rest = &rest[at + 4..];
            continue;
        };
        code.push_str(&rest[..at]);
        paths.extend(expand(&rest[at + 4..at + end]));
        rest = &rest[at + end..];
    }
    code.push_str(rest);
    for prefix in ["super::", "crate::", "self::"] {
        for (at, _) in code.match_indices(prefix) {
            let stands_alone =
                code[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':');
            let path = &code[at..];
            let end = path.find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').unwrap_or(path.len());
            if stands_alone {
                paths.extend(expand(&path[..end]));
            }
        }
    }
    paths
}

/// Which module each name of a face comes from: what it re-exports of its own files.
fn faces(modules: &BTreeMap<Module, String>) -> BTreeMap<(Module, String), Module> {
    let mut faces = BTreeMap::new();
    for (module, text) in modules {
        for mut path in paths_of(text) {
            if path.first().is_some_and(|first| first == "self") {
                path.remove(0);
            }
            let Some((name, place)) = path.split_last().filter(|(_, place)| !place.is_empty()) else { continue };
            let mut from: Module = module.iter().chain(place).cloned().collect();
            while !modules.contains_key(&from) {
                from.pop();
            }
            if from.len() > module.len() {
                faces.insert((module.clone(), name.clone()), from);
            }
        }
    }
    faces
}

/// The files of its own room that each file imports. What a file takes of the faces above it is looked up behind them;
/// a face that names its own files imports nothing.
fn imports(modules: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    let faces = faces(modules);
    let find = |from: &Module, path: &[String]| -> Option<Module> {
        let ups = path.iter().take_while(|name| *name == "super").count();
        let (mut place, rest): (Module, &[String]) = match path.first()?.as_str() {
            "crate" => (Vec::new(), &path[1..]),
            "self" => (from.clone(), &path[1..]),
            "super" => (from[..from.len().saturating_sub(ups)].to_vec(), &path[ups..]),
            _ => (from.clone(), path),
        };
        for name in rest {
            place.push(name.clone());
            if modules.contains_key(&place) {
                continue;
            }
            place.pop();
            while let Some(behind) = faces.get(&(place.clone(), name.clone())) {
                place.clone_from(behind);
            }
            break;
        }
        Some(place)
    };
    let mut imports = BTreeMap::new();
    for (module, text) in modules {
        let found = paths_of(text).into_iter().filter_map(|path| find(module, &path)).filter(|other| {
            let same_room = other.first() == module.first() && other != module;
            same_room && !module.starts_with(other) && !other.starts_with(module)
        });
        imports.insert(module.clone(), found.collect::<BTreeSet<Module>>());
    }
    imports
}

/// Everything that a file imports, directly or through others.
fn reach(from: &Module, imports: &BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<Module> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
    while let Some(next) = open.pop() {
        for other in imports.get(&next).into_iter().flatten() {
            if seen.insert(other.clone()) {
                open.push(other.clone());
            }
        }
    }
    seen
}

#[test]
fn no_room_holds_a_circle_of_files_that_is_not_listed() {
    let imports = imports(&modules());
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 300, "imports are found");
    let reach: BTreeMap<&Module, BTreeSet<Module>> = imports.keys().map(|from| (from, reach(from, &imports))).collect();
    let listed: BTreeSet<String> =
        CIRCLES.iter().flat_map(|files| files.iter().map(|file| (*file).to_owned())).collect();
    let circling: BTreeSet<String> =
        reach.iter().filter(|(from, reached)| reached.contains(**from)).map(|(from, _)| from.join("/")).collect();
    let new: Vec<&String> = circling.difference(&listed).collect();
    assert!(new.is_empty(), "these files import each other in a circle; cut it: {new:?}");
    let gone: Vec<&String> = listed.difference(&circling).collect();
    assert!(gone.is_empty(), "the circle of these files is cut: take them off the list in {}: {gone:?}", file!());
}

#[test]
fn a_part_of_the_engine_uses_only_those_before_it() {
    let modules = modules();
    let rank: BTreeMap<&str, usize> = ENGINE_PARTS
        .iter()
        .zip(0..)
        .flat_map(|((_, files), rank)| files.iter().map(move |file| (*file, rank)))
        .collect();
    let part_of = |module: &Module| rank.get(module.get(1)?.as_str()).copied();
    let mut faults = Vec::new();
    let imports = imports(&modules);
    for (module, text) in modules.iter().filter(|(module, _)| module[0] == "engine" && module.len() > 1) {
        let own = part_of(module).unwrap_or_else(|| panic!("{} belongs to no part", module.join("/")));
        for other in imports[module].iter().filter(|other| part_of(other).is_some_and(|part| part > own)) {
            faults.push(format!("{} imports {}", module.join("/"), other.join("/")));
        }
        // A method needs no import, so a call of one tells nobody what depends on what.
        if module[1] != "turn" && text.lines().any(|line| line.starts_with("impl") && line.contains("Turn<")) {
            faults.push(format!("{} gives the turn methods: write functions that take it", module.join("/")));
        }
    }
    assert!(
        faults.is_empty(),
        "a lower part sets a mark, and the core lets the higher one run:\n{}",
        faults.join("\n")
    );
}
