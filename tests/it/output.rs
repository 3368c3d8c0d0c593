//! Output of commands and logs, as scripts read them: the real program, both kinds of workers, `kill -9`.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::support::http::{items, wait_for};
use crate::support::starwright::{Running, run, said, wait_for_file};
use crate::support::stock_worker::StockWorker;

/// 100,000 lines on standard output (588,895 bytes), some on standard error, and a pause at a gate in between.
const LONG: &str = "echo begun >> PLACE/starts; seq 1 50000; echo oops >&2; cat PLACE/gate; seq 50001 100000; \
                    seq 1 20000 >&2";

const CONFIG: &str = r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")

WORKER

def say(ctx, **values):
    for name, value in values.items():
        ctx.set_property(name, value)

def reads(ctx):
    noise = ctx.run("seq 1 10", output = False)
    all = ctx.run("LONG", output = "all")
    lines = all.stdout.splitlines()
    say(ctx, count = len(lines), first = lines[0], last = lines[-1], cut = all.cut)
    say(ctx, errors = len(all.stderr.splitlines()), first_error = all.stderr.splitlines()[0])
    tail = ctx.run(["seq", "1", "30000"], output = "tail", output_max = "1KiB")
    say(ctx, tail = tail.stdout.splitlines()[-1], tail_bytes = len(tail.stdout), tail_cut = tail.cut)
    head = ctx.run(["seq", "1", "30000"], output = "head", output_max = "100KiB")
    say(ctx, head = head.stdout.splitlines()[0], head_bytes = len(head.stdout), head_cut = head.cut)
    short = ctx.run(["echo", "short"], output = "all")
    say(ctx, short = short.stdout, short_cut = short.cut)
    usual = ctx.run(["seq", "1", "30000"])
    say(ctx, usual_bytes = len(usual.stdout), usual_cut = usual.cut)
    say(ctx, log_tail = ctx.read_log("stdio", last = 2), log_head = ctx.read_log("stdio", max = "21B"))
    say(ctx, before = ctx.read_log("stdio", step = "before"))

builder("reads", workers = ["w"], steps = [sh("echo from before", name = "before"), step("reads", run = reads)])
force("by-hand", builders = ["reads"])
"#;

struct Place {
    dir: TempDir,
}

impl Place {
    /// A place with a configuration for this worker.
    fn new(worker: &str) -> (Self, PathBuf) {
        let place = Self { dir: TempDir::new().unwrap() };
        let long = LONG.replace("PLACE", &place.dir.path().display().to_string());
        let config = place.path("master.star");
        std::fs::write(&config, CONFIG.replace("WORKER", worker).replace("LONG", &long)).unwrap();
        let made = std::process::Command::new("mkfifo").arg(place.path("gate")).status().unwrap();
        assert!(made.success());
        (place, config)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&self, subcommand: &str, config: &Path) -> Running {
        Running::start(subcommand, config, &self.path("data"), "127.0.0.1:0", &self.path("log"))
    }
}

fn finished(address: &str) -> Json {
    wait_for(address, "the build's end", || {
        items(address, "builders/reads/builds?complete=true&property=*").into_iter().next()
    })
}

/// Compares what the script read with what the commands print.
fn check(address: &str, build: &Json) {
    let steps = items(address, &format!("builds/{}/steps", build["buildid"]));
    assert_eq!(build["results"], 0, "{build}\n{steps:#?}");
    let value = |name: &str| build["properties"][name][0].clone();
    assert_eq!((value("count"), value("first"), value("last")), (100_001.into(), "1".into(), "100000".into()));
    assert_eq!((value("errors"), value("first_error"), value("cut")), (20_001.into(), "oops".into(), false.into()));
    assert_eq!((value("tail"), value("tail_cut")), ("30000".into(), true.into()));
    assert_eq!(value("tail_bytes"), 1_020, "170 whole lines of six bytes");
    assert_eq!((value("head"), value("head_cut")), ("1".into(), true.into()));
    assert!((102_390..=102_400).contains(&value("head_bytes").as_u64().unwrap()), "{build}");
    assert_eq!((value("short"), value("short_cut")), ("short\n".into(), false.into()));
    assert_eq!((value("usual_bytes"), value("usual_cut")), (65_536.into(), true.into()));
    assert_eq!(value("log_tail"), "29999\n30000\n");
    assert_eq!(value("log_head"), "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n");
    assert_eq!(value("before"), "from before\n");
}

#[test]
fn a_script_reads_long_output_also_of_a_command_that_outlived_its_master() {
    let (place, config) = Place::new("worker(\"w\")");
    let first = place.start("up", &config);
    assert!(said(&run(&first.address, &["force", "reads"])).contains("waiting"));
    wait_for_file(&place.path("starts"));
    first.kill();
    let second = place.start("up", &config);
    std::fs::write(place.path("gate"), "open\n").unwrap();
    check(&second.address, &finished(&second.address));
    assert_eq!(std::fs::read_to_string(place.path("starts")).unwrap(), "begun\n");
    assert!(second.terminate().success());
}

#[test]
fn a_script_reads_long_output_of_a_stock_worker() {
    let (place, config) = Place::new("worker(\"w\", password = \"pw\")");
    let master = place.start("master", &config);
    let port = master.address.rsplit(':').next().unwrap().parse().unwrap();
    let _worker = StockWorker::start(port, "w", "pw");
    assert!(said(&run(&master.address, &["force", "reads"])).contains("waiting"));
    wait_for_file(&place.path("starts"));
    std::fs::write(place.path("gate"), "open\n").unwrap();
    check(&master.address, &finished(&master.address));
}

#[test]
fn output_in_another_encoding_is_decoded_and_a_long_log_keeps_its_ends() {
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("master.star");
    let text = r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")
worker("w", encoding = "cp1252")

def f(ctx):
    ctx.set_property("usual", ctx.run("printf 'na\\357ve \\200\\n'").stdout)
    ctx.set_property("other", ctx.run("printf 'caf\\202\\n'", encoding = "cp866", output = "all").stdout)
    ctx.set_property("logged", ctx.read_log("stdio"))
    ctx.run("seq 1 1000000", output = False, log = "numbers", log_max = "1MiB")
    ctx.set_property("ends", [ctx.read_log("numbers", max = "4B"), ctx.read_log("numbers", last = 1)])

builder("b", workers = ["w"], steps = [step("f", run = f)])
force("by-hand", builders = ["b"])
"#;
    std::fs::write(&config, text).unwrap();
    let up = Running::start("up", &config, &dir.path().join("data"), "127.0.0.1:0", &dir.path().join("log"));
    run(&up.address, &["force", "b"]);
    let build = wait_for(&up.address, "the build's end", || {
        items(&up.address, "builders/b/builds?complete=true&property=*").into_iter().next()
    });
    let steps = items(&up.address, &format!("builds/{}/steps", build["buildid"]));
    assert_eq!(build["results"], 0, "{build}\n{steps:#?}");
    let value = |name: &str| build["properties"][name][0].clone();
    assert_eq!(value("usual"), "naïve €\n");
    assert_eq!(value("other"), "cafВ\n");
    assert_eq!(value("logged"), "naïve €\ncafВ\n");
    assert_eq!(value("ends"), serde_json::json!(["1\n2\n", "1000000\n"]));

    let logs = items(&up.address, &format!("steps/{}/logs", steps[1]["stepid"]));
    let numbers = logs.iter().find(|log| log["name"] == "numbers").unwrap();
    let path = format!("/api/v2/logs/{}/raw", numbers["logid"]);
    let (status, text) = crate::support::http::request(&up.address, "GET", &path, &[], "");
    assert_eq!(status, 200);
    assert!(text.len() < 2_500_000, "{} of 6.9 MB are kept", text.len());
    let told = text.lines().find(|line| line.contains("left out")).unwrap();
    assert!(told.contains("lines,") && told.contains("MB"), "{told}");
    assert!(text.contains("\n1000000\n"));
}
