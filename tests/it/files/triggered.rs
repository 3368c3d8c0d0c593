//! A build that is triggered uses what its trigger made, while that one still runs: the real program.

use std::fs;

use crate::support::http::{items, wait_for};
use crate::support::starwright::{Running, run};

const CONFIG: &str = r#"
load("@stdlib//steps.star", "download", "sh", "trigger", "upload")
load("@stdlib//schedulers.star", "force", "triggerable")
worker("w", slots = 3)
builder("compile", workers = ["w"], steps = [
    sh(lambda ctx: "echo {} > made".format(ctx.number), name = "make"),
    upload("build/made"),
    trigger(["middle"]),
])
builder("middle", workers = ["w"], steps = [trigger(["test-it"])])
builder("test", workers = ["w"], steps = [
    download("made", "build/made", builder = "compile"),
    sh(lambda ctx: "grep -x {} made".format(ctx.number), name = "the one that its trigger made"),
])
triggerable("middle", builders = ["middle"])
triggerable("test-it", builders = ["test"])
force("by-hand", builders = ["compile"])
"#;

#[test]
fn a_triggered_build_gets_the_artifact_of_the_build_that_led_to_it() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("master.star"), CONFIG).unwrap();
    let up = Running::start(
        "up",
        &dir.path().join("master.star"),
        &dir.path().join("data"),
        "127.0.0.1:0",
        &dir.path().join("log"),
    );
    for number in 1..=2 {
        run(&up.address, &["force", "compile"]);
        let path = format!("builders/compile/builds/{number}");
        let build = wait_for(&up.address, "the build's end", || {
            items(&up.address, &path).into_iter().find(|build| build["complete"] == true)
        });
        assert_eq!(build["results"], 0, "{:#?}", items(&up.address, "builders/test/builds"));
    }
}
