//! What visitors see who may read only some of the installation: every path of pages and API is walked, and events are heard.
//!
//! The world has a builder that everybody may read, and one that is hidden. All that belongs to the hidden one has a word in it
//! that must not reach the visitor.

use std::io::{BufRead as _, BufReader, Write as _};

use serde_json::json;
use starwright::testing::model::{
    Actor, AlertSubject, Change, Event, LogKind, Object, Order, Outcome, RightsPlan, RulePlan, Via, WorkerId,
};
use starwright::testing::web::{Control as _, api_paths, own_api_paths, page_paths};

use super::served::{Answer, Served};
use super::world::{Made, World, force_scheduler};

/// The word of what is hidden.
const MARK: &str = "hush";
/// Answers to walk with: the walk finds nothing if the hidden things are not there at all.
const TOLD_MIN: usize = 40;

/// A builder with a build, and all that belongs to it.
struct Side {
    builder: &'static str,
    builder_id: u64,
    worker: &'static str,
    worker_id: u64,
    change: Change,
    build: Made,
    step: u64,
    log: u64,
    waiting: u64,
}

struct Walk {
    world: World,
    shown: Side,
    hidden: Side,
}

fn side(world: &mut World, names: (&'static str, &'static str), id: u64, word: &str) -> Side {
    let (builder, worker) = names;
    world.connect(worker);
    let change = world.change("main", &format!("{word} commit"), &[&format!("{word}.c")]);
    let build = world.start(id, 1, id, &format!("{word} reason"), Some(&change));
    let step = world.step(&build, 1, &format!("{word}-step"));
    let text = format!("{word} output");
    let lines: [(char, &[u8]); 1] = [('o', text.as_bytes())];
    let log = world.log(&build, step, "stdio", LogKind::Stdio, &lines);
    if id == 1 {
        // What a public build triggers may be hidden.
        world.link(&build, step, "hush triggered", "/builders/2/builds/1");
    }
    world.close(&build, step, log);
    world.artifact(&build, "notes.txt", format!("{word} artifact").as_bytes());
    world.end_step(&build, step, Outcome::Failure, &format!("{word} failed"));
    world.end(&build, Outcome::Failure, &format!("{word} failed"));
    let waiting = world.request(id, &format!("{word} waits"), None).request;
    Side { builder, builder_id: id, worker, worker_id: id, change, build, step: step.0, log: log.0, waiting }
}

impl Walk {
    fn new() -> Self {
        let mut world = World::empty();
        let builders: [(&str, &[&str]); 2] = [("open", &["w1", "hush-worker"]), ("hush-tests", &["hush-worker"])];
        world.adopt(&builders, &["w1", "hush-worker"], Some(force_scheduler(&["open", "hush-tests"])));
        world.plan.rights = RightsPlan { rules: vec![RulePlan::default()], ..RightsPlan::default() };
        let shown = side(&mut world, ("open", "w1"), 1, "plain");
        let hidden = side(&mut world, ("hush-tests", "hush-worker"), 2, MARK);
        let paused = Event::WorkerPaused { worker: WorkerId(2), paused: true, reason: Some("hush pause".to_owned()) };
        world.ordered(Actor::person("eve", Via::Page), paused);
        Self { world, shown, hidden }
    }

    /// Served to somebody who may read `objects`; none: everything.
    fn served(&self, objects: Option<Vec<Object>>) -> Served {
        let master = self.world.master();
        if let Some(objects) = objects {
            master.show_only(objects);
        }
        master.alerts().raise(AlertSubject::Builder("hush-tests".to_owned()), "test", "hush alert", None);
        // What is public may wait for what is hidden.
        let waits = AlertSubject::Builder("open".to_owned());
        master.alerts().raise(waits, "workers", "worker hush-worker is away", Some("connect hush-worker".to_owned()));
        master.alerts().raise(AlertSubject::Master, "test", "hush alert of the master", None);
        Served::new(master)
    }

    /// Every path, as it leads to what belongs to a side.
    fn paths(side: &Side) -> Vec<String> {
        let pages = page_paths().map(|path| format!("/{path}"));
        let own = own_api_paths().map(|path| format!("/api/starwright/v1/{path}"));
        let api = api_paths().map(|path| format!("/api/v2/{path}"));
        pages.chain(own).chain(api).map(|pattern| filled(&pattern, side)).collect()
    }
}

/// A pattern with its variable elements filled in: `:name` of pages, `n:name` of the API.
fn filled(pattern: &str, side: &Side) -> String {
    let element = |element: &str| match element.split_once(':') {
        None => element.to_owned(),
        Some((_, name)) => value(name, pattern, side),
    };
    pattern.split('/').map(element).collect::<Vec<_>>().join("/")
}

fn value(name: &str, pattern: &str, side: &Side) -> String {
    let made = &side.build;
    match name {
        "builder" | "builderid" => side.builder_id.to_string(),
        "buildername" => side.builder.to_owned(),
        "build" | "buildid" => made.build.to_string(),
        "build_number" | "step_number" | "number" | "masterid" | "changesourceid" | "schedulerid" => "1".to_owned(),
        "request" | "buildrequestid" if pattern.ends_with("waiting") => side.waiting.to_string(),
        "request" | "buildrequestid" => made.request.to_string(),
        "bsid" => made.buildset.to_string(),
        "change" | "changeid" => side.change.id.0.to_string(),
        "ssid" => side.change.stamp.id.0.to_string(),
        "project" | "codebase" => side.builder.to_owned(),
        "worker" | "name" => side.worker.to_owned(),
        "workerid" => side.worker_id.to_string(),
        "step" | "step_name" => format!("{}-step", if side.builder == "open" { "plain" } else { MARK }),
        "stepid" => side.step.to_string(),
        "log" | "log_slug" => "stdio".to_owned(),
        "logid" => side.log.to_string(),
        "artifact" => "notes.txt".to_owned(),
        "schedulername" => "by-hand".to_owned(),
        // What does not exist yet.
        "branchid" | "codebaseid" | "codebasename" | "commitid" | "commitid1" | "commitid2" | "projectid"
        | "projectname" | "revision" | "test_result_setid" | "test_resultid" => "1".to_owned(),
        other => panic!("`{pattern}` is new: say here what stands for `{other}`, and think about who may read it"),
    }
}

fn get(served: &Served, path: &str) -> Answer {
    served.ask("GET", path, &[("Accept", "application/json")], "")
}

/// What an answer says, without the words of the path that it repeats.
fn said(answer: &Answer, side: &Side) -> String {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    [side.builder, side.worker, "hush-step"].iter().fold(text, |text, word| text.replace(word, "…"))
}

/// What everybody may read.
fn public() -> Vec<Object> {
    vec![Object::Installation, Object::builder("open"), Object::worker("w1")]
}

#[test]
fn no_path_tells_what_a_visitor_may_not_read() {
    let walk = Walk::new();
    let (all, some) = (walk.served(None), walk.served(Some(public())));
    let mut told = 0;
    for path in Walk::paths(&walk.hidden) {
        told += usize::from(said(&get(&all, &path), &walk.hidden).contains(MARK));
        let answer = get(&some, &path);
        let text = said(&answer, &walk.hidden);
        assert!(!text.contains(MARK), "GET {path} tells what is hidden: {} {text}", answer.status);
        assert!(answer.status < 500, "GET {path}: {}", answer.status);
    }
    assert!(told >= TOLD_MIN, "only {told} answers tell anything of the hidden builder: the walk proves nothing");
    let mut seen = 0;
    for path in Walk::paths(&walk.shown) {
        let text = String::from_utf8_lossy(&get(&some, &path).body).into_owned();
        assert!(!text.contains(MARK), "GET {path} tells what is hidden: {text}");
        assert!(!text.contains("/srv/master"), "GET {path} tells where the master runs: {text}");
        // Nothing is offered that is denied.
        assert!(!text.contains("method=\"post\"") || path == "/login", "GET {path} offers a form: {text}");
        seen += usize::from(text.contains("plain"));
    }
    assert!(seen >= TOLD_MIN / 2, "only {seen} answers tell anything of the builder that is public");
}

#[test]
fn who_may_read_nothing_is_asked_to_log_in_everywhere() {
    let walk = Walk::new();
    let none = walk.served(Some(Vec::new()));
    // Whoever logs in has no rights yet.
    let open = ["/login", "/api/starwright/v1/whoami"];
    open.iter().for_each(|path| assert_eq!(get(&none, path).status, 200, "GET {path}"));
    let paths = Walk::paths(&walk.shown).into_iter().chain(["/events".to_owned(), "/api".to_owned()]);
    for path in paths.filter(|path| !open.contains(&path.as_str())) {
        let answer = get(&none, &path);
        assert_eq!(answer.status, 401, "GET {path}");
        assert!(String::from_utf8_lossy(&answer.body).contains("log in first"), "GET {path}");
    }
    assert_eq!(get(&none, "/favicon.ico").status, 200);
}

#[test]
fn orders_about_what_is_hidden_are_about_nothing() {
    let walk = Walk::new();
    let some = walk.served(Some(public()));
    let hidden = &walk.hidden;
    for (path, method, params) in [
        (format!("builds/{}", hidden.build.build), "rebuild", json!({})),
        (format!("buildrequests/{}", hidden.waiting), "cancel", json!({})),
        (format!("workers/{}", hidden.worker_id), "pause", json!({})),
    ] {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let answer = some.ask("POST", &format!("/api/v2/{path}"), &[("Content-Type", "application/json")], &call);
        assert_eq!(answer.status, 404, "{method} {path}: {}", String::from_utf8_lossy(&answer.body));
    }
    for path in [
        format!("builds/{}/stop", hidden.build.build),
        format!("builds/{}/rebuild", hidden.build.build),
        format!("requests/{}/cancel", hidden.waiting),
        format!("workers/{}/pause", hidden.worker),
    ] {
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let answer = some.ask("POST", &format!("/{path}"), &form, "reason=x");
        assert_eq!(answer.status, 404, "POST {path}: {}", String::from_utf8_lossy(&answer.body));
    }
    let call = |scheduler: &str, params: serde_json::Value| {
        let call = json!({"jsonrpc": "2.0", "id": 1, "method": "force", "params": params}).to_string();
        let path = format!("/api/v2/forceschedulers/{scheduler}");
        let answer = some.ask("POST", &path, &[("Content-Type", "application/json")], &call);
        (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
    };
    let (hidden, missing) = (
        call("by-hand", json!({"builderNames": ["hush-tests"], "version": "1"})),
        call("by-hand", json!({"builderNames": ["nope-tests"], "version": "1"})),
    );
    assert_eq!(hidden, missing);
    assert_eq!(some.master.orders(), []);
    assert_eq!(call("by-hand", json!({"version": "1"})).0, 200);
    let [Order::Force(force)] = &*some.master.orders() else { panic!("one order") };
    assert_eq!(force.builders, ["open"]);
}

#[test]
fn events_tell_only_what_the_visitor_may_read() {
    let mut walk = Walk::new();
    let some = walk.served(Some(public()));
    let mut stream = some.connect();
    stream.write_all(format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", some.address).as_bytes()).unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    lines.find(|line| line.contains("hello")).unwrap();
    walk.world.start(2, 2, 2, "hush again", None);
    let seen = walk.world.start(1, 2, 1, "plain again", None);
    let mut events = lines.filter_map(|line| line.strip_prefix("data: ").map(str::to_owned));
    let first: serde_json::Value = serde_json::from_str(&events.next().unwrap()).unwrap();
    assert_eq!((first["kind"].as_str(), first["builder"].as_u64()), (Some("buildset_made"), Some(1)), "{first}");
    let second: serde_json::Value = serde_json::from_str(&events.next().unwrap()).unwrap();
    assert_eq!((second["kind"].as_str(), second["build"].as_u64()), (Some("build_started"), Some(seen.build)));
}

#[test]
fn nothing_is_said_of_what_may_be_hidden() {
    let walk = Walk::new();
    let some = walk.served(Some(public()));
    for (path, wrong) in [
        ("/", "No changes yet"),
        ("/changes", "No changes yet"),
        ("/deliveries", "Every report arrived"),
        ("/deliveries", "No reports are waiting"),
    ] {
        let text = some.page(path).text();
        assert!(!text.contains(wrong) && text.contains("that you may see"), "GET {path}: {text}");
    }
    // A build shows its change, whose own page is not for everybody.
    let build = some.page("/builders/1/builds/1").text();
    assert!(build.contains("plain commit") && !build.contains("href=\"/changes/"), "{build}");
    let all = walk.served(None).page("/builders/1/builds/1").text();
    assert!(all.contains("href=\"/changes/") && all.contains("/rebuild"), "{all}");
}
