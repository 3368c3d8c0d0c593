//! The command line as people and scripts use it: pipes that close, masters that start and restart, names, forms.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value as Json, json};
use tempfile::TempDir;

use crate::support::git::sealed;
use crate::support::http::{items, request, wait_for, wait_for_listener};
use crate::support::starwright::{PROGRAM, Running, run, said};

const CONFIG: &str = r#"
load("@stdlib//steps.star", "mkdir", "sh")
load("@stdlib//schedulers.star", "bool_param", "force", "int_param", "text_param")

worker("local", slots = 4)

def quick(name, steps):
    builder(name, workers = ["local"], steps = steps)

quick("long", [sh("seq 100000")])
quick("arch_x86", [sh("echo short")])
quick("arch_x86/64", [sh("echo hello-there", name = "say/it"), sh("echo second")])
quick("arch_x86/64/2", [sh("echo numbered")])
quick("colours", [sh("printf '\\033]0;evil\\007\\033[31mred\\033[0m\\033[2J\\n'")])
quick("lint", [
    sh(["no-such-linter", "."], name = "lint", halt_on_failure = False, flunk_on_failure = False),
    sh("echo go on", name = "test"),
])
quick("broken", [sh("exit 3", name = "test")])
quick("linter", [sh(["no-such-linter", "."], name = "lint")])
quick("files", [mkdir("/proc/nope/deep")])
quick("slow", [sh("sleep 600", name = "too slow", timeout = "1s")])
quick("gated", [sh("seq 1 2000; cat GATE; seq 2001 4000", name = "gated")])
quick("form", [sh("true")])
force("by hand/plain", builders = [
    "long", "arch_x86", "arch_x86/64", "arch_x86/64/2", "colours", "lint", "broken", "linter", "files", "slow", "gated",
])
force("with-form", builders = ["form"], params = [
    bool_param("publish"),
    int_param("count", default = 1),
    text_param("version", required = True, default = "1.0"),
])
"#;

const TWO_CODEBASES: &str = r#"
load("@stdlib//source.star", "git")
load("@stdlib//schedulers.star", "force")

worker("local")
app = git("/nowhere/app.git", codebase = "app")
lib = git("/nowhere/lib.git", codebase = "lib", workdir = "lib")
builder("both", workers = ["local"], steps = [app, lib])
force("unnamed", builders = ["both"])
force("named", builders = ["both"], codebases = {"app": {}, "lib": {}})
"#;

/// A running master with its local worker.
struct Place {
    dir: TempDir,
    config: PathBuf,
    address: String,
}

impl Place {
    fn start() -> (Self, Running) {
        Self::with(CONFIG)
    }

    fn with(text: &str) -> (Self, Running) {
        let dir = TempDir::new().unwrap();
        let gate = dir.path().join("gate");
        assert!(Command::new("mkfifo").arg(&gate).status().unwrap().success());
        let config = dir.path().join("master.star");
        std::fs::write(&config, text.replace("GATE", &gate.display().to_string())).unwrap();
        let mut place = Self { dir, config, address: String::new() };
        let running = place.up("127.0.0.1:0");
        place.address.clone_from(&running.address);
        (place, running)
    }

    fn up(&self, listen: &str) -> Running {
        Running::start("up", &self.config, &self.dir.path().join("data"), listen, &self.dir.path().join("log"))
    }

    fn run(&self, args: &[&str]) -> Output {
        run(&self.address, args)
    }

    /// Forces a build and waits for its end; its record.
    fn build(&self, builder: &str) -> Json {
        let output = self.run(&["force", builder, "--watch"]);
        let newest = self.run(&["builds", "--json", "-n", "1", "--builder", builder]);
        let mut builds: Vec<Json> = serde_json::from_slice(&newest.stdout).unwrap();
        builds.pop().unwrap_or_else(|| panic!("{}", said(&output)))
    }

    fn steps(&self, build: &Json) -> Vec<Json> {
        let steps = items(&self.address, &format!("builds/{}/steps", build["buildid"]));
        steps.into_iter().filter(|step| step["name"] != "worker_preparation").collect()
    }
}

fn client(place: &Place, args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    sealed(command.args(args)).env("STARWRIGHT_MASTER", format!("http://{}", place.address));
    command
}

/// Runs with a standard output that nobody reads; exit code and standard error.
fn unread(mut command: Command) -> (Option<i32>, String) {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_reader_that_goes_away_ends_every_subcommand_quietly() {
    let (place, _running) = Place::start();
    place.build("long");
    let config = place.config.display().to_string();
    for args in [
        &["log", "long"][..],
        &["log", "long", "-f"],
        &["builds"],
        &["builds", "--json"],
        &["force", "arch_x86"],
        &["force", "arch_x86", "--watch"],
        &["rebuild", "long"],
        &["stop", "long"],
        &["check", &config],
        &["reload"],
        &["sendchange", "--author", "ann"],
        &["pause", "local"],
        &["unpause", "local"],
    ] {
        assert_eq!(unread(client(&place, args)), (Some(141), String::new()), "{args:?}");
    }
    for args in [&["--help"][..], &["force", "--help"], &["--version"]] {
        assert_eq!(unread(client(&place, args)), (Some(0), String::new()), "{args:?}");
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let unread_error = client(&place, &["force", "nobody"]).stderr(writer).output().unwrap();
    assert_eq!((unread_error.status.code(), unread_error.stdout), (Some(141), Vec::new()));
}

#[test]
fn a_master_goes_on_without_a_reader() {
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("master.star");
    std::fs::write(&config, "worker(\"local\")\n").unwrap();
    let listen = free_address();
    for subcommand in ["up", "master"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(PROGRAM);
        sealed(command.arg(subcommand).arg(&config).arg("--data").arg(dir.path().join("data")))
            .args(["--listen", &listen]);
        let mut child = command.stdout(writer).stderr(Stdio::null()).spawn().unwrap();
        wait_for_listener(&listen);
        assert_eq!(request(&listen, "GET", "/api/starwright/v1/health", &[], "").0, 200);
        crate::support::starwright::signal(child.id(), "TERM");
        assert_eq!(child.wait().unwrap().code(), Some(0), "{subcommand}");
    }
}

/// An address where nobody listens.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn names_with_slashes_and_numbers_are_found_by_every_subcommand() {
    let (place, _running) = Place::start();
    for builder in ["arch_x86", "arch_x86/64", "arch_x86/64/2"] {
        place.build(builder);
    }
    let log = |args: &[&str]| said(&place.run(&[&["log"], args].concat()));
    assert!(log(&["arch_x86"]).contains("short"));
    assert!(log(&["arch_x86/1"]).contains("short"));
    for name in ["arch_x86/64", "arch_x86/64/1"] {
        let text = log(&[name]);
        assert!(text.contains("hello-there") && text.contains("second"), "{name}: {text}");
    }
    for args in [&["arch_x86/64/1/say/it"][..], &["arch_x86/64", "say/it"], &["arch_x86/64/1/1"]] {
        let text = log(args);
        assert!(text.contains("hello-there") && !text.contains("second"), "{args:?}: {text}");
    }
    assert!(log(&["arch_x86/64/2"]).contains("numbered"), "the longest builder counts");
    assert!(log(&["arch_x86/64/2/1"]).contains("numbered"));
    let stop = said(&place.run(&["stop", "arch_x86/64/1"]));
    assert!(stop.contains("has already ended"), "{stop}");
    let wrong = place.run(&["log", "arch_x86/65"]);
    assert!(said(&wrong).contains("no build 65"), "{}", said(&wrong));
    let wrong = place.run(&["log", "arch_x87/64/1"]);
    assert!(said(&wrong).contains("there is no builder `arch_x87/64`"), "{}", said(&wrong));
    let rebuilt = place.run(&["rebuild", "arch_x86/64/1", "--watch"]);
    assert_eq!(rebuilt.status.code(), Some(0), "{}", said(&rebuilt));
    for name in ["arch_x86/64/2", "arch_x86/64/2/1"] {
        let text = log(&[name]);
        assert!(text.contains("can mean builder `arch_x86/64/2`, and build 2 of builder `arch_x86/64`"), "{text}");
    }
}

#[test]
fn colours_go_only_where_they_are_wanted_and_nothing_else_ever() {
    let (place, _running) = Place::start();
    place.build("colours");
    let plain = String::from_utf8(place.run(&["log", "colours"]).stdout).unwrap();
    assert!(plain.contains("\nred\n") && !plain.contains('\x1b'), "{plain:?}");
    let coloured = String::from_utf8(place.run(&["log", "colours", "--color", "always"]).stdout).unwrap();
    assert!(coloured.contains("\x1b[31mred\x1b[0m"), "{coloured:?}");
    assert!(!coloured.contains("evil\x07") && !coloured.contains("\x1b]") && !coloured.contains("\x1b[2J"));
}

#[test]
fn a_client_waits_for_a_master_that_is_just_starting() {
    let address = free_address();
    let mut command = Command::new(PROGRAM);
    sealed(command.args(["log", "nobody"])).env("STARWRIGHT_MASTER", format!("http://{address}"));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    assert!(line.contains("waiting up to 5 s"), "{line}");
    let listener = TcpListener::bind(&address).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    let mut head = [0; 1024];
    assert!(stream.read(&mut head).unwrap() > 0);
    let body = r#"{"builders": []}"#;
    write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
    drop(stream);
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("there is no builder `nobody`"), "{rest}");
    assert_eq!(child.wait().unwrap().code(), Some(2));
}

#[test]
fn watching_and_following_go_on_after_a_restart_of_the_master() {
    let (place, running) = Place::start();
    let mut watch = spawned(client(&place, &["force", "gated", "--watch"]));
    wait_for(&place.address, "the first lines", || {
        let output = place.run(&["log", "gated"]);
        String::from_utf8_lossy(&output.stdout).contains("\n2000\n").then_some(())
    });
    let mut follow = spawned(client(&place, &["log", "gated", "-f"]));
    wait_for_line(&mut follow, "2000");
    running.kill();
    for child in [&mut watch, &mut follow] {
        let mut errors = BufReader::new(child.stderr.as_mut().unwrap());
        let mut line = String::new();
        errors.read_line(&mut line).unwrap();
        assert!(line.contains("waiting up to 120 s for it to come back"), "{line}");
    }
    let _again = place.up(&place.address);
    std::fs::write(place.dir.path().join("gate"), "the gate is open\n").unwrap();
    let mut rest = String::new();
    follow.stdout.as_mut().unwrap().read_to_string(&mut rest).unwrap();
    let numbers: Vec<u32> = rest.lines().filter_map(|line| line.parse().ok()).collect();
    assert_eq!(numbers, (2001..=4000).collect::<Vec<_>>(), "no line is lost or doubled");
    assert_eq!(follow.wait().unwrap().code(), Some(0));
    let mut seen = String::new();
    watch.stdout.as_mut().unwrap().read_to_string(&mut seen).unwrap();
    assert_eq!(watch.wait().unwrap().code(), Some(0), "{seen}");
    assert_eq!(seen.matches("running gated").count(), 1, "{seen}");
    assert!(seen.contains("build successful"), "{seen}");
}

#[test]
fn following_a_builder_waits_for_the_build_of_a_waiting_request() {
    let (place, _running) = Place::start();
    place.build("arch_x86");
    assert!(place.run(&["pause", "local"]).status.success());
    assert!(place.run(&["force", "arch_x86"]).status.success());
    let mut follow = spawned(client(&place, &["log", "arch_x86", "-f"]));
    let mut line = String::new();
    BufReader::new(follow.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("of arch_x86 is waiting"), "{line}");
    assert!(place.run(&["unpause", "local"]).status.success());
    let mut text = String::new();
    follow.stdout.as_mut().unwrap().read_to_string(&mut text).unwrap();
    assert!(text.contains("short"), "{text}");
    assert_eq!(follow.wait().unwrap().code(), Some(0));
    assert_eq!(items(&place.address, "builds?order=-buildid&limit=1")[0]["number"], 2);
}

#[test]
fn cancelling_a_request_that_was_joined_with_another_says_so() {
    let (place, _running) = Place::start();
    assert!(place.run(&["pause", "local"]).status.success());
    let forced = || {
        let output = said(&place.run(&["force", "arch_x86"]));
        output.split_whitespace().nth(2).unwrap_or_else(|| panic!("{output}")).to_owned()
    };
    let (first, second) = (forced(), forced());
    assert!(place.run(&["unpause", "local"]).status.success());
    wait_for(&place.address, "the build of both", || {
        let waiting = items(&place.address, "buildrequests?complete=false");
        waiting.is_empty().then_some(())
    });
    let cancelled = said(&place.run(&["cancel", &first]));
    assert!(cancelled.contains("was joined with another request, whose build covers it"), "{cancelled}");
    let cancelled = said(&place.run(&["cancel", &second]));
    assert!(cancelled.contains("has already ended"), "{cancelled}");
    assert_eq!(items(&place.address, "builders/arch_x86/builds").len(), 1);
}

fn spawned(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Reads a child's standard output up to a line, byte by byte, so that nothing behind it is taken.
fn wait_for_line(child: &mut Child, wanted: &str) {
    let out = child.stdout.as_mut().unwrap();
    let (mut line, mut byte) = (Vec::new(), [0]);
    while out.read(&mut byte).unwrap() == 1 {
        if byte[0] == b'\n' {
            if line == wanted.as_bytes() {
                return;
            }
            line.clear();
        } else {
            line.push(byte[0]);
        }
    }
    panic!("`{wanted}` never came");
}

#[test]
fn a_reason_says_who_forced_a_build() {
    let (place, _running) = Place::start();
    let force = |user: &str, args: &[&str]| {
        let mut command = client(&place, &[&["force", "arch_x86", "--watch"], args].concat());
        assert!(command.env("STARWRIGHT_USER", user).output().unwrap().status.success());
        items(&place.address, "buildsets?order=-bsid&limit=1")[0]["reason"].clone()
    };
    assert_eq!(force("ann", &[]), "forced by ann");
    assert_eq!(force("ann", &["--reason", "release"]), "forced by ann: release");
    assert_eq!(force("ann", &["--owner", "eve"]), "forced by eve");
}

#[test]
fn a_line_says_which_step_failed_and_why_everywhere() {
    let (place, _running) = Place::start();
    let listed = |builder: &str| String::from_utf8(place.run(&["builds", "--builder", builder]).stdout).unwrap();
    let page = |build: &Json| {
        let path = format!("/builders/{}/builds/{}", build["builderid"], build["number"]);
        request(&place.address, "GET", &path, &[], "").1
    };
    for (builder, line) in [
        ("broken", "failed in `test`: exit code 3"),
        ("slow", "failed in `too slow`: stopped: took longer than 1s"),
        ("files", "failed in `mkdir`: mkdir: `/proc/nope/deep`: No such file or directory"),
        ("linter", "failed in `lint`: there is no program `no-such-linter` in PATH"),
        ("lint", "build successful"),
    ] {
        let build = place.build(builder);
        let state = build["state_string"].as_str().unwrap();
        assert!(state.starts_with(line), "{state}");
        assert!(listed(builder).contains(line), "{}", listed(builder));
        assert!(page(&build).contains(line), "{builder}");
        assert_eq!(page(&build).matches("(failure)").count(), 0);
    }
}

#[test]
fn a_missing_program_fails_its_step_and_the_flags_hold() {
    let (place, _running) = Place::start();
    let build = place.build("lint");
    let steps = place.steps(&build);
    let results: Vec<(&str, i64)> =
        steps.iter().map(|step| (step["name"].as_str().unwrap(), step["results"].as_i64().unwrap())).collect();
    assert_eq!(results, [("lint", 2), ("test", 0)]);
    let log = said(&place.run(&["log", "lint", "lint"]));
    assert!(log.contains("there is no program `no-such-linter`"), "{log}");
}

#[test]
fn a_file_step_that_fails_has_a_log() {
    let (place, _running) = Place::start();
    place.build("files");
    let log = String::from_utf8(place.run(&["log", "files", "mkdir"]).stdout).unwrap();
    assert_eq!(log, "mkdir: `/proc/nope/deep`: No such file or directory\n");
}

#[test]
fn forms_are_judged_alike_by_pages_api_and_command_line() {
    let (place, _running) = Place::start();
    let builder = items(&place.address, "builders?name=form")[0]["builderid"].as_u64().unwrap();
    let origin = format!("http://{}", place.address);
    let form = [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", origin.as_str())];
    for (field, wrong) in [("publish", "maybe"), ("count", "many"), ("priority", "nope"), ("nothing", "x")] {
        let cli = place.run(&["force", "form", "-p", &format!("{field}={wrong}")]);
        assert_eq!(cli.status.code(), Some(2), "{field}: {}", said(&cli));
        assert!(said(&cli).contains(field), "{}", said(&cli));
        let call =
            json!({"jsonrpc": "2.0", "id": 1, "method": "force", "params": {"builderid": builder, field: wrong}});
        let json = [("Content-Type", "application/json")];
        let path = "/api/v2/forceschedulers/with-form";
        let (status, body) = request(&place.address, "POST", path, &json, &call.to_string());
        let answer: Json = serde_json::from_str(&body).unwrap();
        assert_eq!((status, &answer["error"]["code"]), (400, &json!(-32602)), "{field}: {body}");
        assert!(answer["error"]["message"][field].is_string(), "{body}");
        let page = format!("/builders/{builder}/force/with-form");
        let (status, _) = request(&place.address, "POST", &page, &form, &format!("{field}={wrong}&version=1"));
        assert_eq!(status, 400, "{field}");
    }
    assert_eq!(items(&place.address, "builds").len(), 0, "nothing was started");
    let property = |args: &[&str], name: &str| {
        let output = place.run(&[&["force", "form", "--watch"], args].concat());
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        let build = &items(&place.address, "builds?order=-buildid&limit=1&property=*")[0];
        build["properties"][name][0].clone()
    };
    for (word, truth) in [("yes", true), ("on", true), ("1", true), ("TRUE", true), ("no", false), ("0", false)] {
        assert_eq!(property(&["-p", &format!("publish={word}")], "publish"), truth, "{word}");
    }
    assert_eq!(property(&[], "version"), "1.0", "a required field that nobody mentions takes its default");
    assert_eq!(place.run(&["force", "form", "-p", "version="]).status.code(), Some(2));
}

#[test]
fn a_branch_that_no_step_uses_is_refused() {
    let (place, _running) = Place::with(TWO_CODEBASES);
    for given in [["--branch", "nosuch"], ["--branch", "lib=main"], ["--revision", "1234567"]] {
        let refused = place.run(&["force", "both", "--scheduler", "unnamed", given[0], given[1]]);
        assert!(!refused.status.success());
        let told = said(&refused);
        assert!(told.contains("no step of `both` uses the codebase ``, but `app`, `lib`"), "{told}");
        assert!(told.contains("codebases = {\"app\": {}, \"lib\": {}}"), "{told}");
    }
    let forced = place.run(&["force", "both", "--scheduler", "named", "--branch", "lib=main", "--branch", "app=next"]);
    assert!(forced.status.success(), "{}", said(&forced));
    assert!(said(&forced).contains("is waiting; next time, `--watch` follows its build"), "{}", said(&forced));
    let set = items(&place.address, "buildsets?order=-bsid&limit=1").remove(0);
    let stamp = |codebase: &str| {
        let mut stamps = set["sourcestamps"].as_array().unwrap().iter();
        stamps.find(|stamp| stamp["codebase"] == codebase).unwrap()["branch"].clone()
    };
    assert_eq!((stamp("app"), stamp("lib")), ("next".into(), "main".into()));
}

#[test]
fn a_field_of_a_form_is_given_once() {
    let (place, _running) = Place::start();
    for twice in [["-p", "count=1", "-p", "count=2"], ["--branch", "a", "--branch", "b"]] {
        let refused = place.run(&[&["force", "form"][..], &twice].concat());
        assert!(!refused.status.success());
        assert!(said(&refused).contains("is given twice"), "{}", said(&refused));
    }
}

#[test]
fn a_directory_is_not_a_configuration_and_none_is_not_a_number_of_builds() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("master.star"), "worker(\"w\")\n").unwrap();
    let check = |path: &Path| said(&Command::new(PROGRAM).arg("check").arg(path).output().unwrap());
    let text = check(dir.path());
    assert!(text.contains("is a directory") && text.contains("master.star"), "{text}");
    let none = Command::new(PROGRAM).args(["builds", "-n", "0"]).output().unwrap();
    assert_eq!(none.status.code(), Some(2), "{}", said(&none));
}

#[test]
fn a_master_with_a_public_name_still_says_where_it_listens() {
    let dir = TempDir::new().unwrap();
    let config = dir.path().join("master.star");
    std::fs::write(&config, "master(url = \"https://ci.example.org/build/\")\nworker(\"local\")\n").unwrap();
    for subcommand in ["up", "master"] {
        let data = dir.path().join("data");
        let running = Running::start(subcommand, &config, &data, "127.0.0.1:0", &dir.path().join("log"));
        assert!(running.address.starts_with("127.0.0.1:"), "{}", running.address);
        let known = running.line().unwrap();
        assert!(known.contains("https://ci.example.org/build/"), "{known}");
    }
}
