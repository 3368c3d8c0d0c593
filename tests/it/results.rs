//! Test results, numbers and data, from a script to API, pages and command line: the real program.

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::support::http::{items, request, wait_for};
use crate::support::starwright::{Running, run, said};

const CONFIG: &str = r#"
load("@stdlib//schedulers.star", "force")
load("@stdlib//test_steps.star", "compile", "junit", "test")
load("@stdlib//test_formats.star", "tap")
worker("w")

def many(ctx):
    bad = ctx.number == 2
    results = [{"name": "test {}".format(n), "path": "suite.c", "outcome": "passed", "seconds": 0.25} for n in range(10000)]
    if bad:
        results[7] = {"name": "test 7", "path": "suite.c", "outcome": "failed", "message": "2 + 2 is 5 <b>", "line": 9}
    counts = ctx.test_results("suite", results)
    ctx.value("size", 1000 + ctx.number, unit = "B", category = "binary_size")
    ctx.set_data("notes", "<script>alert(1)</script>", source = "many")
    ctx.set_summary(counts.text)

builder("b", workers = ["w"], steps = [
    step("many", run = many),
    test("printf 'ok 1 - adds\\nnot ok 2 - flies\\n'", parser = tap, name = "tap", halt_on_failure = False, flunk_on_failure = False),
    compile("echo 'a.c:3:4: warning: unused x'; echo 'third/b.c:1: warning: y'", ignore = ["^third/"]),
    junit("*.xml", must_exist = False),
])
force("by-hand", builders = ["b"])
"#;

fn build(address: &str, number: u64) -> Json {
    run(address, &["force", "b"]);
    wait_for(address, "the build's end", || {
        items(address, &format!("builders/b/builds/{number}")).into_iter().find(|build| build["complete"] == true)
    })
}

#[test]
fn results_reach_api_pages_and_command_line() {
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("master.star");
    std::fs::write(&config, CONFIG).unwrap();
    let up = Running::start("up", &config, &dir.path().join("data"), "127.0.0.1:0", &dir.path().join("log"));
    let address = up.address.clone();
    let steps = |build: &Json| items(&address, &format!("builds/{}/steps", build["buildid"]));
    let builds: Vec<Json> = (1..=3).map(|number| build(&address, number)).collect();
    assert_eq!(builds[1]["results"], 1, "{:#?}", steps(&builds[1]));
    let states: Vec<Json> = steps(&builds[1]).iter().map(|step| step["state_string"].clone()).collect();
    assert_eq!(states[1], "1 failed, 9999 passed");
    assert_eq!(states[2], "1 failed, 1 passed");
    assert!(states[3].as_str().unwrap().starts_with("1 warning"), "{states:?}");

    let sets = items(&address, &format!("builds/{}/test_result_sets", builds[1]["buildid"]));
    let names: Vec<&str> = sets.iter().map(|set| set["description"].as_str().unwrap()).collect();
    assert_eq!(names, ["suite", "size", "tap", "warnings of compile"]);
    assert_eq!((&sets[0]["tests_failed"], &sets[0]["tests_passed"]), (&1.into(), &9_999.into()));
    assert_eq!((&sets[1]["value"], &sets[1]["value_unit"]), (&"1002".into(), &"B".into()));
    let results = items(&address, &format!("test_result_sets/{}/results?value=0", sets[0]["test_result_setid"]));
    assert_eq!(results.len(), 1, "{results:?}");
    assert_eq!(results[0]["test_name"], "test 7");
    assert_eq!((&results[0]["line"], &results[0]["outcome"]), (&9.into(), &"failed".into()));
    let all = items(&address, &format!("steps/{}/test_result_sets", sets[0]["stepid"]));
    assert_eq!(all.len(), 2, "those of the step");
    assert_eq!(items(&address, "test_result_sets").len(), 12);
    assert_eq!(items(&address, "builders/b/test_result_sets").len(), 12);

    let data = items(&address, &format!("builds/{}/data", builds[1]["buildid"]));
    assert_eq!((&data[0]["name"], &data[0]["length"]), (&"notes".into(), &25.into()));
    let (status, text) = request(&address, "GET", "/api/v2/builders/b/builds/2/data/notes/value", &[], "");
    assert_eq!((status, text.as_str()), (200, "<script>alert(1)</script>"));

    let (_, page) = request(&address, "GET", "/builders/b/builds/2", &[("Accept", "text/html")], "");
    assert!(page.contains("1 failed, 9999 passed") && page.contains("2 + 2 is 5 &#60;b&#62;"), "{page}");
    let (status, page) = request(&address, "GET", "/builders/b/tests?set=suite&path=suite.c&name=test%207", &[], "");
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("#3") && page.contains("failed") && page.contains("100 %"), "{page}");
    let (status, page) = request(&address, "GET", "/builders/b/tests?set=size", &[], "");
    assert!(status == 200 && page.contains("1003 B"), "{page}");

    let told = run(&address, &["tests", "b/2"]);
    assert!(said(&told).contains("test 7 (suite.c)") && said(&told).contains("size: 1002 B"), "{}", said(&told));
    assert_eq!(told.status.code(), Some(1));

    // Another master reads the same from the disk.
    up.kill();
    let up = Running::start("up", &config, &dir.path().join("data"), "127.0.0.1:0", &dir.path().join("log"));
    assert_eq!(items(&up.address, &format!("builds/{}/test_result_sets", builds[1]["buildid"])), sets);
}
