//! What `check` remarks without refusing the configuration.

use starwright::testing::config;

/// The warnings about a configuration, each on a line.
fn warnings(text: &str) -> Vec<String> {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("master.star");
    std::fs::write(&file, text).unwrap();
    let loaded = config::load(&file).unwrap_or_else(|refused| panic!("{refused}"));
    loaded.warnings.iter().map(config::Problem::line).collect()
}

const HEAD: &str = "load(\"@stdlib//source.star\", \"git_poller\")\nload(\"@stdlib//steps.star\", \"sh\")\n\
                    load(\"@stdlib//schedulers.star\", \"on_change\")\nworker(\"w\")\n\
                    builder(\"b\", workers = [\"w\"], steps = [sh(\"make\")])\n";

#[test]
fn a_source_that_no_scheduler_listens_to_is_told() {
    let with = |rest: &str| warnings(&format!("{HEAD}{rest}"));
    let poller = "git_poller(\"https://example.org/app.git\", codebase = \"app\", branches = [\"main\"])\n";
    let [codebase] = &*with(&format!("{poller}on_change(\"main\", branches = [\"main\"], builders = [\"b\"])\n"))
    else {
        panic!("one warning")
    };
    assert!(codebase.starts_with("master.star:6:1: change source `app`: no scheduler takes its changes"), "{codebase}");
    assert!(codebase.contains("codebases = {\"app\": {}}"), "{codebase}");
    assert_eq!(
        with(&format!(
            "{poller}on_change(\"main\", branches = [\"main\"], builders = [\"b\"], codebases = {{\"app\": {{}}}})\n"
        )),
        Vec::<String>::new()
    );
    let [nobody] = &*with("git_poller(\"https://example.org/app.git\")\n") else { panic!("one warning") };
    assert!(nobody.contains("on_change(…)"), "{nobody}");
}

#[test]
fn a_branch_that_is_polled_for_nothing_is_told() {
    let told = warnings(&format!(
        "{HEAD}git_poller(\"https://example.org/app.git\", branches = [\"main\", \"relaese\"])\n\
         on_change(\"all\", branches = [\"main\", \"release\"], builders = [\"b\"])\n"
    ));
    let [branch] = &*told else { panic!("{told:?}") };
    assert!(branch.contains("no scheduler takes changes of branch `relaese`"), "{branch}");
}

#[test]
fn a_place_in_a_plain_text_and_pythons_exit_code_are_told() {
    let told = warnings(
        "load(\"@stdlib//steps.star\", \"sh\")\nload(\"@stdlib//text.star\", \"interpolate\")\nworker(\"w\")\n\
         def tests(ctx):\n    r = ctx.run(\"make\", check = False)\n    if r.returncode != 0:\n        ctx.fail(\"no\")\n\
         builder(\"b\", workers = [\"w\"], steps = [\n    sh(\"echo %(prop:version)s\"),\n\
         \x20   sh([\"echo\", \"%(src::branch)s\"]),\n    sh(interpolate(\"echo %(prop:version)s\")),\n    tests,\n])\n",
    );
    let starts = [
        "master.star:6:10: the result of a command has no `returncode` (hint: the exit code is `.rc`",
        "master.star:9:8: `%(prop:version)s` is not filled in",
        "master.star:10:17: `%(src::branch)s` is not filled in",
    ];
    assert_eq!(told.len(), starts.len(), "{told:#?}");
    for (line, start) in told.iter().zip(starts) {
        assert!(line.starts_with(start), "{line}");
    }
}
