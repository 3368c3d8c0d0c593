//! Loads that hang, crash, or are wanted no more.

use std::time::Duration;

use starwright::testing::evaluator::{Abort, Launcher, Limits, Load, load};

use super::bench::{MODES, SHORT, launcher, try_load, with_builder};

#[test]
fn a_load_that_dies_is_refused_with_words_and_its_file() {
    let limits = Limits { load: Duration::from_secs(3), ..Limits::default() };
    for mode in MODES {
        let launcher = Launcher { limits, ..launcher(mode) };
        for (text, words) in [
            ("x = ('x' * 10000000).join(['a'] * 10000000)\n", "evaluating `master.star` ran out of memory"),
            ("x = int('9' * 5000000)\n", "evaluating `master.star` took longer than 3 s of processor time"),
            (&format!("x = {}1\n", "not ".repeat(3_000_000)), "parsing `master.star` overflowed its stack"),
        ] {
            let Err(refused) = try_load(&launcher, text) else { panic!("{mode:?}: it survived, and lacks: {words}") };
            let refused = refused.to_string();
            let late = refused.contains("took longer than 3 s of processor time");
            assert!(refused.contains(words) || late, "{mode:?}: {refused}");
            assert!(refused.contains("`master.star`"), "{refused}");
        }
    }
}

#[test]
fn types_that_grow_without_end_are_left_out_with_a_warning() {
    let limits = Limits { types: SHORT, ..Limits::default() };
    let text = with_builder("def f(ctx):\n    x = ()\n    for n in range(3):\n        x = (x, n)\n    return None\n");
    for mode in MODES {
        let loaded =
            try_load(&Launcher { limits, ..launcher(mode) }, &text).unwrap_or_else(|refused| panic!("{refused}"));
        let warned = loaded.warnings.iter().any(|warning| warning.message.contains("the types in `master.star`"));
        assert!(warned, "{:?}", loaded.warnings);
        loaded.template.evaluator().unwrap();
    }
}

#[test]
fn a_chain_of_four_thousand_branches_loads() {
    let branches: String = (1..4000).map(|n| format!("    elif n == {n}:\n        return {n}\n")).collect();
    let chain = format!("def g(n):\n    if n == 0:\n        return 0\n{branches}    return 1\n");
    let text = with_builder(&format!("{chain}def f(ctx):\n    return g(7) == 7\n"));
    for mode in MODES {
        try_load(&launcher(mode), &text).unwrap_or_else(|refused| panic!("{refused}"));
    }
}

#[test]
fn files_are_read_by_the_rules_of_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("secret.star"), "x = 1\n").unwrap();
    let directory = dir.path().join("conf");
    std::fs::create_dir_all(directory.join("lib")).unwrap();
    let status = std::process::Command::new("mkfifo").arg(directory.join("fifo.star")).status().unwrap();
    assert!(status.success());
    std::fs::write(directory.join("lib/good.star"), "WORKER = \"w\"\n").unwrap();
    let main = directory.join("master.star");
    let loaded = |text: &str| {
        std::fs::write(&main, text).unwrap();
        match load(&launcher(MODES[0]), &main, &Abort::default()) {
            Load::Loaded(loaded) => Ok(loaded),
            Load::Refused(refused) => Err(refused.to_string()),
            Load::Aborted => unreachable!("nobody aborts"),
        }
    };
    let good = "load(\"lib/good.star\", \"WORKER\")\nload(\"@stdlib//steps.star\", \"sh\")\nworker(WORKER)\nbuilder(\"b\", workers = [WORKER], steps = [sh(\"true\")])\n";
    let right = loaded(good).unwrap_or_else(|refused| panic!("{refused}"));
    assert_eq!(right.watch, [directory.join("lib/good.star"), main.clone()]);
    let refused = loaded("load(\"fifo.star\", \"x\")\n").unwrap_err();
    assert!(refused.contains("`fifo.star` is a pipe, a socket or a device, not a file"), "{refused}");
    let refused = loaded("load(\"../secret.star\", \"x\")\n").unwrap_err();
    assert!(refused.contains("outside the configuration's"), "{refused}");
}

#[test]
fn a_load_that_is_aborted_ends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("master.star");
    std::fs::write(&path, "x = int('9' * 5000000)\n").unwrap();
    let abort = Abort::default();
    let other = abort.clone();
    let thread = std::thread::spawn(move || other.abort());
    let aborted = load(&launcher(MODES[0]), &path, &abort);
    thread.join().unwrap();
    assert!(matches!(aborted, Load::Aborted), "{aborted:?}");
}
