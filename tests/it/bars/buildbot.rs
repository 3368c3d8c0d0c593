//! A master whose only worker is the real `buildbot-worker` from PyPI.

use super::{Place, finished_build, stdio};
use crate::support::git::Repository;
use crate::support::http::{items, request, wait_for};
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
    assert!(package.is_file(), "the worker's folder has {}", package.display());
    let workers = items(&address, "workers");
    assert_eq!(workers[0]["workerinfo"]["version"], "4.3.0", "{workers:?}");

    let forced = crate::support::starwright::run(
        &address,
        &["force", "checks", "-p", "label=second", "-p", "depth=deep", "--watch"],
    );
    assert_eq!(forced.status.code(), Some(0), "{}", crate::support::starwright::said(&forced));
    assert!(worker.base().join("checks/packages/second-2.tar").is_file());
}
