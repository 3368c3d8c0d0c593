//! The example, every documented example, and configurations of several files: they load, and load again
//! from what was kept of them.

use std::path::{Path, PathBuf};

use starwright::testing::config::{self, Loaded};
use starwright::testing::model::{BranchChoice, ChangeSourceKind, SchedulerKind};

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/master.star").canonicalize().unwrap()
}

fn load(path: &Path) -> Loaded {
    config::load(path).unwrap_or_else(|refused| panic!("{refused}"))
}

fn load_text(text: &str) -> Result<Loaded, String> {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("master.star");
    std::fs::write(&file, text).unwrap();
    config::load(&file).map_err(|refused| format!("{text}\n{refused}"))
}

#[test]
fn the_example_is_right_and_remarks_nothing() {
    let example = example();
    let loaded = load(&example);
    let plan = &loaded.plan;
    assert_eq!(config::summary(plan), "1 worker, 2 builders, 3 schedulers, 1 change source, 1 notifier, 1 lock");
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let ChangeSourceKind::Git(git) = &plan.change_sources["checkout"].kind else { panic!("it polls git") };
    assert_eq!(Path::new(&git.repository), example.parent().unwrap().parent().unwrap());
    assert_eq!(git.branches, BranchChoice::Default);
    let SchedulerKind::Force { params, .. } = &plan.schedulers["by-hand"].kind else { panic!() };
    assert_eq!(params.len(), 4);
    assert_eq!(loaded.watch, [example]);
}

#[test]
fn kept_sources_give_the_same_configuration_without_the_disk() {
    let example = example();
    let first = load(&example);
    let kept = config::Sources::from_bytes(&first.sources.to_bytes()).unwrap();
    let again = config::load_sources(kept).unwrap();
    assert_eq!(again.plan, first.plan);
    assert_eq!(again.sources, first.sources);
    assert_eq!(again.plan.digest, first.sources.digest());
}

#[test]
fn files_are_found_beside_and_below_and_watched() {
    let scratch = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = scratch.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write("master.star", "load(\"lib/a.star\", \"machine\")\nmachine(\"w\")\n");
    write("lib/a.star", "load(\"b.star\", \"SLOTS\")\ndef machine(name):\n    worker(name, slots = SLOTS)\n");
    write("lib/b.star", "load(\"//top.star\", \"TWO\")\nSLOTS = TWO\n");
    write("top.star", "TWO = 2\n");
    let loaded = load(&scratch.path().join("master.star"));
    assert_eq!(loaded.plan.workers["w"].slots, 2);
    let names: Vec<&str> = loaded.sources.files.keys().map(String::as_str).collect();
    assert_eq!(names, ["lib/a.star", "lib/b.star", "master.star", "top.star"]);
    let watched: Vec<PathBuf> = loaded.watch.clone();
    assert_eq!(watched.len(), 4);
    assert!(watched.iter().all(|path| path.is_file()));

    // A change in any of them is another configuration.
    write("top.star", "TWO = 3\n");
    assert_ne!(load(&scratch.path().join("master.star")).plan.digest, loaded.plan.digest);
}

#[test]
fn every_documented_example_loads() {
    const NEEDED: [(&str, &str); 5] = [
        ("worker(\"linux-1\"", "worker(\"linux-1\", tags = [\"linux\"])\n"),
        (
            "builder(\"linux\"",
            "builder(\"linux\", workers = [\"linux-1\"], steps = [step(\"s\", run = lambda ctx: None)])\n",
        ),
        (
            "\"package\"",
            "builder(\"package\", workers = [\"linux-1\"], steps = [step(\"s\", run = lambda ctx: None)])\n",
        ),
        ("dependent(", "scheduler(\"main\", \"branch\", builders = [\"linux\"])\n"),
        ("\"deploy\"", "builder(\"deploy\", workers = [\"linux-1\"], steps = [step(\"s\", run = lambda ctx: None)])\n"),
    ];
    let examples = config::examples();
    assert!(examples.len() > 35, "{} examples", examples.len());
    for (file, example) in examples {
        let mut text = String::new();
        for (index, (mark, needed)) in NEEDED.iter().enumerate() {
            // The first two are there unless the example makes them; the others if it mentions them.
            if example.contains(mark) == (index >= 2) {
                text += needed;
            }
        }
        if let Some(library) = file.strip_prefix("@stdlib//") {
            let name = example.split('(').next().unwrap();
            let inner = ["sh", "choice_param", "interpolate", "shell_quote", "go_json"]
                .into_iter()
                .filter(|inner| example.contains(inner));
            let names: std::collections::BTreeSet<&str> = inner.chain([name]).collect();
            for name in names {
                let home = match name {
                    "sh" => "steps.star",
                    "choice_param" => "schedulers.star",
                    "interpolate" | "shell_quote" => "text.star",
                    "go_json" => "test_formats.star",
                    _ => library,
                };
                text = format!("load(\"@stdlib//{home}\", \"{name}\")\n{text}");
            }
            if library == "login.star" {
                text += "web(trusted_proxies = [\"10.0.0.5\"])\nallow(roles = [\"anyone\"], actions = [\"read\"])\n";
            }
            if example.starts_with("trigger(") {
                text += "scheduler(\"deploy\", \"triggerable\", builders = [\"linux\"])\n";
            }
            let is_step = library == "steps.star" || name == "git" || name == "sh";
            if is_step {
                text += &format!("builder(\"own\", workers = [\"linux-1\"], steps = [{example}])\n");
            } else {
                text += &example;
            }
        } else {
            text += &example;
        }
        load_text(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

#[test]
fn a_thousand_builders_written_by_a_loop_load() {
    let text = "
load(\"@stdlib//steps.star\", \"sh\")
worker(\"w\")
[builder(\"b{}\".format(i), workers = [\"w\"], steps = [sh(\"make {}\".format(n)) for n in range(10)]) for i in range(1000)]
";
    let loaded = load_text(text).unwrap();
    assert_eq!(loaded.plan.builders.values().map(|builder| builder.steps.len()).sum::<usize>(), 10_000);
}
