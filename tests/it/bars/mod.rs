//! The product's first promises, seen from outside: the real program, real git, real signals.

mod buildbot;
mod logs;
mod mail;

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::git::Repository;
use crate::support::http::{control, items, request, wait_for};
use crate::support::proxy::Proxy;
use crate::support::starwright::{Running, Worker, run, said, wait_for_file};

/// A scratch directory with a repository, a configuration and a state directory.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn up(&self, config: &Path) -> Running {
        Running::start("up", config, &self.path("data"), "127.0.0.1:0", &self.path("log"))
    }
}

fn finished_build(address: &str, builder: &str, revision: Option<&str>) -> Option<serde_json::Value> {
    let path = format!("builders/{builder}/builds?complete=true&order=-number&property=got_revision");
    items(address, &path)
        .into_iter()
        .find(|build| revision.is_none_or(|wanted| build["properties"]["got_revision"][0] == wanted))
}

fn stdio(address: &str, build: &serde_json::Value, step: &str) -> String {
    let steps = items(address, &format!("builds/{}/steps", build["buildid"]));
    let step = steps.iter().find(|found| found["name"] == step).unwrap_or_else(|| panic!("no step {step}: {steps:?}"));
    let logs = items(address, &format!("steps/{}/logs", step["stepid"]));
    let log = logs.iter().find(|log| log["name"] == "stdio").unwrap_or_else(|| panic!("no stdio: {logs:?}"));
    let (status, text) = request(address, "GET", &format!("/api/v2/logs/{}/raw", log["logid"]), &[], "");
    assert_eq!(status, 200, "{text}");
    text
}

const FOUR_STEPS: &str = r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")
worker("local")
builder("four", workers = ["local"], steps = [
    sh("echo one >> COUNTS/one && echo first", name = "one"),
    sh("echo two >> COUNTS/two && cat COUNTS/gate && echo second", name = "two"),
    sh("echo three >> COUNTS/three && echo third", name = "three"),
    sh("echo four >> COUNTS/four && echo fourth", name = "four"),
])
force("by-hand", builders = ["four"])
"#;

#[test]
fn a_build_goes_on_after_its_master_was_killed() {
    let place = Place::new();
    let counts = place.path("counts");
    std::fs::create_dir_all(&counts).unwrap();
    let gate = counts.join("gate");
    make_fifo(&gate);
    let config = place.write("master.star", &FOUR_STEPS.replace("COUNTS", &counts.display().to_string()));

    let first = place.up(&config);
    let address = first.address.clone();
    assert!(said(&run(&address, &["force", "four"])).contains("waiting"));
    wait_for_file(&counts.join("two"));
    first.kill();

    let second = place.up(&config);
    // The command of the second step has waited at the gate all the time.
    std::fs::write(&gate, "open\n").unwrap();
    let build = wait_for(&second.address, "the build's end", || finished_build(&second.address, "four", None));

    assert_eq!(build["results"], 0, "{build}");
    assert_eq!(build["number"], 1, "the same build went on: {build}");
    for step in ["one", "two", "three", "four"] {
        let starts = std::fs::read_to_string(counts.join(step)).unwrap();
        assert_eq!(starts, format!("{step}\n"), "step {step} was started exactly once");
    }
    let log = stdio(&second.address, &build, "two");
    assert_eq!(log.matches("second").count(), 2, "its command line and its output, each once:\n{log}");
    assert!(log.contains("open"), "{log}");
    assert!(second.terminate().success());
}

fn make_fifo(path: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn the_example_builds_each_commit_of_the_checkout_it_lies_in() {
    let place = Place::new();
    let repository =
        Repository::new(&place.path("checkout"), &[("README.md", "# A project\n"), ("run.sh", "echo hello\n")]);
    let example = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/master.star")).unwrap();
    repository.commit("the example", &[("examples/master.star", &example)]);
    let config = repository.path.join("examples/master.star");

    let up = place.up(&config);
    let address = up.address.clone();
    wait_for(&address, "the first poll", || {
        let (_, page) = request(&address, "GET", "/api/starwright/v1/sources", &[], "");
        page.contains("\"polled_at\":1").then_some(())
    });
    let revision = repository.commit("a change", &[("src/new.c", "text\n")]);
    let build = wait_for(&address, "a build of the commit", || {
        let builders = items(&address, "builders");
        builders.iter().find_map(|builder| finished_build(&address, builder["name"].as_str().unwrap(), Some(&revision)))
    });

    assert_eq!(build["results"], 0, "{build}\n{:?}", items(&address, &format!("builds/{}/steps", build["buildid"])));
    let changes = items(&address, &format!("builds/{}/changes", build["buildid"]));
    assert_eq!(changes[0]["revision"], revision.as_str());
    assert_eq!(changes[0]["author"], "Ada Lovelace <ada@example.org>");
    let steps = items(&address, &format!("builds/{}/steps", build["buildid"]));
    assert!(steps.len() > 3, "{steps:?}");
    let (status, page) = request(&address, "GET", "/", &[("Accept", "text/html")], "");
    assert_eq!(status, 200);
    assert!(page.contains("<html"), "{page}");
}

const GATED: &str = r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")
worker("local")
builder("gated", workers = ["local"], steps = [sh("touch COUNTS/begun && cat COUNTS/gate", name = "wait"), sh("echo done", name = "after")])
force("by-hand", builders = ["gated"])
"#;

#[test]
fn a_reload_leaves_running_builds_alone_and_a_typo_changes_nothing() {
    let place = Place::new();
    let counts = place.path("counts");
    std::fs::create_dir_all(&counts).unwrap();
    make_fifo(&counts.join("gate"));
    let text = GATED.replace("COUNTS", &counts.display().to_string());
    let config = place.write("conf/master.star", &text);
    let up = place.up(&config);
    let address = up.address.clone();
    run(&address, &["force", "gated"]);
    wait_for_file(&counts.join("begun"));

    let more = format!("{text}\nbuilder(\"extra\", workers = [\"local\"], steps = [sh(\"true\")])\n")
        .replace("echo done", "echo changed");
    place.write("conf/master.star", &more);
    wait_for(&address, "the new builder", || {
        items(&address, "builders").iter().any(|builder| builder["name"] == "extra").then_some(())
    });

    place.write(
        "conf/master.star",
        &more.replace("workers = [\"local\"], steps = [sh(\"true\")]", "workers = [\"locl\"], steps = [sh(\"true\")]"),
    );
    let reload = run(&address, &["reload"]);
    let text = said(&reload);
    assert_eq!(reload.status.code(), Some(3), "{text}");
    assert!(text.contains("locl") && text.contains("`local`") && text.contains("master.star:"), "{text}");
    assert!(
        items(&address, "builders").iter().any(|builder| builder["name"] == "extra"),
        "the old configuration stays"
    );

    std::fs::write(counts.join("gate"), "open\n").unwrap();
    let build = wait_for(&address, "the build's end", || finished_build(&address, "gated", None));
    assert_eq!(build["results"], 0, "{build}");
    assert!(stdio(&address, &build, "after").contains("\ndone\n"), "the build kept the configuration it began with");
}

#[test]
fn the_command_line_starts_watches_lists_and_shows() {
    let place = Place::new();
    let config = place.write(
        "master.star",
        r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")
worker("local")
builder("good", workers = ["local"], steps = [sh("echo all is well", name = "look")])
builder("bad", workers = ["local"], steps = [sh("echo it is broken; exit 7", name = "look")])
force("by-hand", builders = ["good", "bad"])
"#,
    );
    let up = place.up(&config);
    let good = run(&up.address, &["force", "good", "--watch", "--reason", "to see"]);
    assert_eq!(good.status.code(), Some(0), "{}", said(&good));
    assert!(said(&good).contains("✓ success look"), "{}", said(&good));
    let bad = run(&up.address, &["force", "bad", "--watch"]);
    assert_eq!(bad.status.code(), Some(1), "{}", said(&bad));

    let builds = said(&run(&up.address, &["builds"]));
    assert!(builds.contains("good/1") && builds.contains("bad/1") && builds.contains("✗ failure"), "{builds}");
    assert!(said(&run(&up.address, &["log", "bad/1", "look"])).contains("it is broken"));
    assert!(said(&run(&up.address, &["log", "good"])).contains("all is well"));

    let misspelt = run(&up.address, &["force", "goood"]);
    assert_eq!(misspelt.status.code(), Some(2));
    assert!(said(&misspelt).contains("did you mean `good`?"), "{}", said(&misspelt));
}

#[test]
fn a_stop_ends_the_command_and_the_build() {
    let place = Place::new();
    let config = place.write(
        "master.star",
        r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")
worker("local")
builder("long", workers = ["local"], steps = [sh("echo begun; sleep 3600", name = "sleep")])
force("by-hand", builders = ["long"])
"#,
    );
    let up = place.up(&config);
    let address = up.address.clone();
    run(&address, &["force", "long"]);
    let build = wait_for(&address, "the step to run", || {
        let builds = items(&address, "builders/long/builds");
        let build = builds.first()?;
        let steps = items(&address, &format!("builds/{}/steps", build["buildid"]));
        steps.iter().any(|step| step["name"] == "sleep" && !step["started_at"].is_null()).then(|| build.clone())
    });
    let answer =
        control(&address, &format!("builds/{}", build["buildid"]), "stop", serde_json::json!({"reason": "enough"}));
    assert_eq!(answer["result"], serde_json::Value::Null, "{answer}");
    let build = wait_for(&address, "the build's end", || finished_build(&address, "long", None));
    assert_eq!(build["results"], 6, "{build}");
    assert!(build["state_string"].as_str().unwrap().contains("enough"), "{build}");
}

#[test]
fn a_cut_connection_loses_and_doubles_no_line() {
    let place = Place::new();
    let counts = place.path("counts");
    std::fs::create_dir_all(&counts).unwrap();
    make_fifo(&counts.join("gate"));
    let script = "touch COUNTS/begun; seq 1 20000; cat COUNTS/gate; seq 20001 40000";
    let script = script.replace("COUNTS", &counts.display().to_string());
    place.write("secrets/remote", "swordfish\n");
    let config = place.write(
        "master.star",
        &format!(
            r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")
worker("remote", password = secret("remote"))
builder("count", workers = ["remote"], steps = [sh({script:?}, name = "count")])
force("by-hand", builders = ["count"])
"#
        ),
    );
    let master = Running::start("master", &config, &place.path("data"), "127.0.0.1:0", &place.path("log"));
    let proxy = Proxy::start(master.address.clone());
    let _worker = Worker::start(&proxy.address, "remote", &place.path("secrets/remote"), &place.path("worker"));
    run(&master.address, &["force", "count"]);
    wait_for_file(&counts.join("begun"));

    proxy.cut();
    wait_for(&master.address, "the worker to come back", || {
        (proxy.accepted.load(std::sync::atomic::Ordering::SeqCst) >= 2).then_some(())
    });
    std::fs::write(counts.join("gate"), "").unwrap();
    let build = wait_for(&master.address, "the build's end", || finished_build(&master.address, "count", None));

    assert_eq!(build["results"], 0, "{build}");
    let log = stdio(&master.address, &build, "count");
    let numbers: Vec<u32> = log.lines().filter_map(|line| line.parse().ok()).collect();
    assert_eq!(numbers, (1..=40_000).collect::<Vec<u32>>(), "each line once, in order");
}
