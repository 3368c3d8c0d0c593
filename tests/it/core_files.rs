//! Core files: a crash of our own processes leaves none, because their memory holds secrets. Commands of builds keep the
//! limit that the program was started with.

use std::process::Command;

use serde_json::json;
use tempfile::TempDir;

use crate::support::http::{control, items, request, wait_for};
use crate::support::starwright::{PROGRAM, Running};

const CONFIG: &str = r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")
worker("w1")
builder("look", workers = ["w1"], steps = [
    sh("ulimit -S -c; for look in $(seq 10000); do grep 'core file size  *0 ' /proc/$PPID/limits && break; done", name = "look"),
])
force("by-hand", builders = ["look"])
"#;

#[test]
fn our_processes_leave_no_core_files_and_commands_may() {
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("master.star");
    std::fs::write(&config, CONFIG).unwrap();
    let mut shell = Command::new("sh");
    // Most systems start with a soft limit of 0, which would hide a limit that is not given back.
    shell.args(["-c", "ulimit -S -c $(ulimit -H -c); exec \"$@\"", "sh", PROGRAM]);
    let running =
        Running::start_by(shell, "up", &config, &dir.path().join("data"), "127.0.0.1:0", &dir.path().join("log"));
    let address = &running.address;
    let answer = control(address, "forceschedulers/by-hand", "force", json!({"builderNames": ["look"]}));
    assert!(answer["error"].is_null(), "{answer}");
    let build = wait_for(address, "the build's end", || {
        items(address, "builders/look/builds").into_iter().find(|build| build["complete"] == true)
    });

    let path = format!("/api/v2/builds/{}/steps/look/logs/stdio/raw", build["buildid"]);
    let (_, log) = request(address, "GET", &path, &[], "");
    let allowed = Command::new("sh").args(["-c", "ulimit -H -c"]).output().unwrap().stdout;
    // The command looks until the runner, which gave it the limit, has lowered its own again. The head of a log ends with
    // the line that names the directory.
    let lines: Vec<&str> = log.lines().skip_while(|line| !line.starts_with(" in ")).skip(1).collect();
    assert_eq!(lines[0], String::from_utf8_lossy(&allowed).trim(), "the command's limit: {log}");
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", running.child.id())).unwrap();
    let of_master = limits.lines().find(|line| line.contains("core file")).unwrap();
    assert!(lines[1].starts_with("Max core file size"), "the runner has its own limit: {log}");
    assert_eq!(of_master.split_whitespace().nth(4), Some("0"), "{of_master}");
}
