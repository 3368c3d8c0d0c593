//! A master whose only worker is the real `buildbot-worker` from PyPI.

use super::{Place, finished_build, stdio};
use crate::support::git::Repository;
use crate::support::http::{control, items, request, wait_for};
use crate::support::starwright::Running;
use crate::support::stock_worker::StockWorker;

/// The example, but that its worker connects with a password.
fn example_for(worker: &str) -> String {
    let example = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/master.star")).unwrap();
    let local = "worker(\"local\", tags = [\"unix\"], slots = 2)";
    assert!(example.contains(local), "the example declares its worker otherwise");
    example.replace(local, worker)
}

#[test]
fn the_example_runs_on_an_unmodified_buildbot_worker() {
    let place = Place::new();
    let files = [("README.md", "# A project\n"), ("run.sh", "echo hello\n"), ("lib/more.sh", "true\n")];
    let repository = Repository::new(&place.path("checkout"), &files);
    let text = example_for("worker(\"local\", tags = [\"unix\"], slots = 2, password = \"swordfish\")");
    repository.commit("the example", &[("examples/master.star", &text)]);
    let config = repository.path.join("examples/master.star");
    let master = Running::start("master", &config, &place.path("data"), "127.0.0.1:0", &place.path("log"));
    let address = master.address.clone();
    let port = address.rsplit(':').next().unwrap().parse().unwrap();
    let worker = StockWorker::start(port, "local", "swordfish");
    wait_for(&address, "the worker to connect and the first poll", || {
        let connected = items(&address, "workers").iter().any(|worker| worker["connected_to"][0].is_object());
        let (_, sources) = request(&address, "GET", "/api/starwright/v1/sources", &[], "");
        (connected && sources.contains("\"polled_at\":1")).then_some(())
    });

    let revision = repository.commit("a change", &[("run.sh", "echo hello again\n"), ("src/new.c", "text\n")]);
    let build = wait_for(&address, "a build of the commit", || finished_build(&address, "checks", Some(&revision)));

    let steps = items(&address, &format!("builds/{}/steps", build["buildid"]));
    assert_eq!(build["results"], 0, "{build}\n{steps:?}");
    assert!(stdio(&address, &build, "what is it").contains("a change"));
    let summary = |name: &str| {
        let step = steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("no step {name}"));
        step["state_string"].as_str().unwrap().to_owned()
    };
    assert_eq!(summary("look_at_scripts"), "2 scripts are fine");
    assert!(summary("pack").ends_with("files in checkout-1.tar"), "{}", summary("pack"));
    let package = worker.base().join("checks/packages/checkout-1.tar");
    assert!(package.is_file(), "the worker's directory has {}", package.display());
    let workers = items(&address, "workers");
    assert_eq!(workers[0]["workerinfo"]["version"], "4.3.0", "{workers:?}");

    let forced = crate::support::starwright::run(
        &address,
        &["force", "checks", "-p", "label=second", "-p", "depth=deep", "--watch"],
    );
    assert_eq!(forced.status.code(), Some(0), "{}", crate::support::starwright::said(&forced));
    assert!(worker.base().join("checks/packages/second-2.tar").is_file());
}

const REMOTE: &str = r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")
worker("w", password = "swordfish")
builder("kept", workers = ["w"], steps = [sh("echo fine", name = "look")])
force("by-hand", builders = ["kept"])
"#;

/// A master with one worker to come, and the port that it comes to.
fn waiting(place: &Place) -> (Running, u16) {
    let config = place.write("master.star", REMOTE);
    let master = Running::start("master", &config, &place.path("data"), "127.0.0.1:0", &place.path("log"));
    let port = master.address.rsplit(':').next().unwrap().parse().unwrap();
    (master, port)
}

fn is_connected(address: &str) -> bool {
    items(address, "workers").iter().any(|worker| worker["connected_to"][0].is_object())
}

#[test]
fn a_stock_worker_is_started_by_hand_and_its_start_succeeds() {
    let place = Place::new();
    let (master, port) = waiting(&place);
    let worker = StockWorker::make(port, "w", "swordfish", &["--delete-leftover-dirs"]);
    std::fs::create_dir_all(worker.base().join("leftover/deep")).unwrap();
    std::fs::create_dir_all(worker.base().join("kept/build")).unwrap();
    std::fs::write(worker.base().join("a-file"), "stays").unwrap();
    let started = worker.by_hand("start");
    let log = std::fs::read_to_string(worker.base().join("twistd.log")).unwrap_or_default();
    assert!(started.status.success(), "{started:?}\n{log}");
    assert!(log.contains("message from master: attached"), "{log}");
    wait_for(&master.address, "the leftovers to go", || (!worker.base().join("leftover").exists()).then_some(()));
    for kept in ["kept/build", "a-file", "info", "buildbot.tac"] {
        assert!(worker.base().join(kept).exists(), "{kept}");
    }
    assert!(worker.by_hand("stop").status.success());
}

#[test]
fn a_kill_ends_a_stock_worker_s_process() {
    let place = Place::new();
    let (master, port) = waiting(&place);
    let mut worker = StockWorker::start(port, "w", "swordfish");
    wait_for(&master.address, "the worker to connect", || is_connected(&master.address).then_some(()));
    let id = items(&master.address, "workers")[0]["workerid"].clone();
    let answer = control(&master.address, &format!("workers/{id}"), "kill", serde_json::json!({"reason": "enough"}));
    assert_eq!(answer["result"], serde_json::Value::Null, "{answer}");
    wait_for(&master.address, "the process to end", || worker.has_ended().filter(|ended| *ended));
    assert!(!is_connected(&master.address));
}

#[test]
fn a_stock_worker_of_a_taken_name_reads_why_in_its_own_log() {
    let place = Place::new();
    let (master, port) = waiting(&place);
    let _first = StockWorker::start(port, "w", "swordfish");
    wait_for(&master.address, "the worker to connect", || is_connected(&master.address).then_some(()));
    let second = StockWorker::start(port, "w", "swordfish");
    let log = || std::fs::read_to_string(second.base().join("twistd.log")).unwrap_or_default();
    wait_for(&master.address, "the refusal", || log().contains("two workers share the name `w`").then_some(()));
}
