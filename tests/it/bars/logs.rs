//! A log far larger than memory that anybody would give it.

use super::{Place, finished_build};
use crate::support::http::{items, request, wait_for};
use crate::support::starwright::run;
use crate::support::tier;

/// What stands behind the number of a line: some hundred bytes, as compilers write them.
const REST: &str = "cc -O2 -g -Wall -Wextra -Iinclude -Isrc/core -c src/core/scheduler.c -o build/obj/core/scheduler.o";
/// 4 MB, and with `make test-full` 1 GB.
const LINES: u64 = 40_000;
const LINES_FULL: u64 = 9_700_000;
/// What the master may have held at most, whatever the log's size.
const MASTER_MEGABYTES_MAX: u64 = 400;

#[test]
fn a_long_log_arrives_whole_and_its_end_is_shown() {
    let lines = if tier::is_full() { LINES_FULL } else { LINES };
    let place = Place::new();
    let config = place.write(
        "master.star",
        &format!(
            r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")
worker("local")
builder("long", workers = ["local"], steps = [sh("seq -f '%.0f {REST}' 1 {lines}", name = "count")])
force("by-hand", builders = ["long"])
"#
        ),
    );
    let up = place.up(&config);
    run(&up.address, &["force", "long"]);
    let build = wait_for(&up.address, "the build's end", || finished_build(&up.address, "long", None));
    assert_eq!(build["results"], 0, "{build}");

    let steps = items(&up.address, &format!("builds/{}/steps?name=count", build["buildid"]));
    let logs = items(&up.address, &format!("steps/{}/logs?name=stdio", steps[0]["stepid"]));
    let (status, text) = request(&up.address, "GET", &format!("/api/v2/logs/{}/raw", logs[0]["logid"]), &[], "");
    assert_eq!(status, 200);
    let numbers = text.lines().filter_map(|line| line.strip_suffix(REST)?.trim().parse::<u64>().ok());
    let mut expected = 1..=lines;
    for number in numbers {
        assert_eq!(Some(number), expected.next(), "each line once, in order");
    }
    assert_eq!(expected.next(), None, "no line is lost");

    let number = build["number"].as_u64().unwrap();
    let line = lines - 10;
    let (status, page) =
        request(&up.address, "GET", &format!("/builders/long/builds/{number}/steps/1/logs/stdio?line={line}"), &[], "");
    assert_eq!(status, 200);
    assert!(page.contains(&format!("{line} {REST}")), "the page shows the end of the log");

    let held = high_water_megabytes(up.child.id());
    assert!(held < MASTER_MEGABYTES_MAX, "the master held {held} MB for a log of {} bytes", text.len());
}

/// The most memory that a process has held (`VmHWM`, see proc(5)).
fn high_water_megabytes(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}
