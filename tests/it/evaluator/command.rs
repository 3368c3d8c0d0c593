//! The command line with configurations that hang or crash, and builds that cannot go on.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::bench::with_builder;
use crate::support::git::sealed;
use crate::support::http::{control, items, wait_for};
use crate::support::starwright::{PROGRAM, Running, evaluators_below, said};

fn starwright(args: &[&str], path: &Path) -> Output {
    sealed(Command::new(PROGRAM).args(args).arg(path)).output().unwrap()
}

fn write(dir: &TempDir, text: &str) -> std::path::PathBuf {
    let path = dir.path().join("master.star");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn check_of_a_configuration_that_kills_its_process_is_refused_with_words() {
    let dir = TempDir::new().unwrap();
    for text in
        ["x = ('x' * 10000000).join(['a'] * 10000000)\n".to_owned(), format!("x = {}1\n", "not ".repeat(3_000_000))]
    {
        let output = starwright(&["check"], &write(&dir, &text));
        assert_eq!(output.status.code(), Some(3), "{:.500}", said(&output));
        assert!(said(&output).contains("`master.star`"), "{:.500}", said(&output));
    }
}

#[test]
fn check_of_types_that_grow_without_end_warns_and_passes() {
    let dir = TempDir::new().unwrap();
    let text = with_builder("def f(ctx):\n    x = ()\n    for n in range(3):\n        x = (x, n)\n    return None\n");
    let output = starwright(&["check"], &write(&dir, &text));
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("the types in `master.star` are not checked"), "{}", said(&output));
}

#[test]
fn an_evaluator_ends_with_a_check_that_is_killed() {
    let dir = TempDir::new().unwrap();
    // Some minutes of work, so that it does not end by itself within the patience of this test.
    let path = write(&dir, "x = [int('9' * 5000000) for _ in range(9)]\n");
    let mut check = sealed(Command::new(PROGRAM).arg("check").arg(&path)).spawn().unwrap();
    let evaluator = until(|| evaluators_below(check.id()).first().copied());
    check.kill().unwrap();
    check.wait().unwrap();
    until(|| (!Path::new(&format!("/proc/{evaluator}")).exists()).then_some(()));
}

/// Looks until there is something to see; far longer than it takes, and far shorter than the work above.
fn until<T>(look: impl Fn() -> Option<T>) -> T {
    let began = std::time::Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(30), "it did not come");
        std::thread::yield_now();
    }
}

const DEEP: &str =
    "def f(ctx):\n    x = []\n    for _ in range(300000):\n        x = [x]\n    ctx.log('stdio', str(x))\n";

fn force(address: &str, builder: &str) {
    control(address, "forceschedulers/force", "force", json!({ "builderNames": [builder] }));
}

fn results(address: &str, builder: &str) -> Option<Json> {
    let builds = items(address, &format!("builders/{builder}/builds"));
    builds.first().map(|build| build["results"].clone()).filter(|results| !results.is_null())
}

#[test]
fn a_script_that_kills_its_process_ends_its_build_and_no_other() {
    let dir = TempDir::new().unwrap();
    let config = write(
        &dir,
        &format!(
            "load(\"@stdlib//schedulers.star\", \"force\")\nload(\"@stdlib//steps.star\", \"sh\")\n{DEEP}worker(\"local\")\nbuilder(\"b\", workers = [\"local\"], steps = [step(\"s\", run = f)])\nbuilder(\"other\", workers = [\"local\"], steps = [sh(\"true\")])\nforce(\"force\", builders = [\"b\", \"other\"])\n"
        ),
    );
    let master = Running::start("up", &config, &dir.path().join("data"), "127.0.0.1:0", &dir.path().join("log"));
    force(&master.address, "b");
    let bad = wait_for(&master.address, "the end of the bad build", || results(&master.address, "b"));
    assert_eq!(bad, json!(4));
    force(&master.address, "other");
    let good = wait_for(&master.address, "the end of the good build", || results(&master.address, "other"));
    assert_eq!(good, json!(0));
    assert!(master.terminate().success());
}

#[test]
fn a_build_is_ended_while_no_master_runs() {
    let dir = TempDir::new().unwrap();
    let config = write(
        &dir,
        "load(\"@stdlib//schedulers.star\", \"force\")\nload(\"@stdlib//steps.star\", \"sh\")\nworker(\"local\")\nbuilder(\"b\", workers = [\"local\"], steps = [sh(\"sleep 600\")])\nforce(\"force\", builders = [\"b\"])\n",
    );
    let data = dir.path().join("data");
    let start = || Running::start("up", &config, &data, "127.0.0.1:0", &dir.path().join("log"));
    let end = |build: &str| {
        let args = ["store", "end-build", build, "--reason", "it hangs", "--data"];
        starwright(&args, &data)
    };
    let missing = end("b/1");
    assert_eq!(missing.status.code(), Some(10), "{}", said(&missing));
    let master = start();
    force(&master.address, "b");
    wait_for(&master.address, "the command", || {
        items(&master.address, "builds/1/steps").first().filter(|step| !step["started_at"].is_null()).cloned()
    });
    let locked = end("b/1");
    assert_eq!(locked.status.code(), Some(10), "{}", said(&locked));
    master.kill();

    let unknown = end("b/7");
    assert!(said(&unknown).contains("find build `b/7`: there is none"), "{}", said(&unknown));
    let ended = end("b/1");
    assert!(ended.status.success(), "{}", said(&ended));
    assert!(said(&ended).contains("ended build b/1 as an exception: it hangs"), "{}", said(&ended));
    let again = end("1");
    assert!(said(&again).contains("is not running"), "{}", said(&again));

    let master = start();
    let build = items(&master.address, "builds/1").remove(0);
    assert_eq!(build["results"], json!(4));
    assert!(build["state_string"].as_str().unwrap().contains("it hangs"), "{build}");
    let requests = items(&master.address, "buildrequests");
    assert!(requests.iter().all(|request| request["complete"] == json!(true)), "{requests:?}");
    let sets = items(&master.address, "buildsets");
    assert!(sets.iter().all(|set| set["complete"] == json!(true)), "{sets:?}");
    let output = sealed(Command::new(PROGRAM).args(["store", "check", "--data"]).arg(&data)).output().unwrap();
    assert_eq!(output.status.code(), Some(10), "a running master holds it: {}", said(&output));
    assert!(master.terminate().success());
}
