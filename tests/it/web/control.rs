//! Control: JSON-RPC calls, our own API, change hooks.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};
use starwright::testing::master::{Reply, SubmissionResult};
use starwright::testing::model::{
    Actor, AlertSubject, BuildId, BuilderId, BuildsetId, ChangeId, ConfigDigest, Difference, Event, ForceOrder,
    HookDialect, HookPlan, Order, PlanChange, RequestId, StampSpec, Text, Value, Via,
};
use starwright::testing::web::wire::{
    AlertsResponse, ChangesResponse, HealthResponse, PlanResponse, ReloadOutcome, ReloadResponse,
};
use starwright::testing::web::{COMMAND_LINE, Control as _};

use super::filled::{Filled, filled};
use super::recorded::Recorded;
use super::served::{Answer, Served};
use super::world::World;

fn served() -> (Filled, Served) {
    let filled = filled();
    let served = Served::new(filled.world.master());
    (filled, served)
}

fn error(answer: &Answer) -> (u16, i64) {
    (answer.status, answer.json()["error"]["code"].as_i64().unwrap())
}

#[test]
fn envelopes_are_refused_as_recorded() {
    let (filled, served) = served();
    let mut faults = Vec::new();
    for recorded in Recorded::all("control", "c_env_") {
        // A build that has ended: there is nothing to stop.
        let path = recorded.path().replace("builds/1", &format!("builds/{}", filled.good.build));
        let own = recorded.headers();
        let headers: Vec<(&str, &str)> = own
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("host"))
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let answer = served.ask(recorded.method(), &path, &headers, &recorded.body());
        // The words of the JSON reader are its own.
        let same = if recorded.name.ends_with("env_parse") {
            answer.json()["error"]["code"] == recorded.answer()["error"]["code"]
        } else {
            answer.json() == *recorded.answer()
        };
        if answer.status != recorded.status()
            || !same
            || answer.header("content-type") != recorded.header("content-type")
        {
            faults.push(format!("{}: {} {}", recorded.name, answer.status, answer.text()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn builds_are_stopped_and_rebuilt() {
    let (filled, served) = served();
    let running = BuildId(filled.running.build);
    let stop = |path: &str| served.call(path, "stop", &json!({"reason": "enough", "owner": "mallory"}));
    let answer = stop(&format!("builds/{running}"));
    assert_eq!(answer.text(), r#"{"id":7,"jsonrpc":"2.0","result":null}"#);
    let wanted = Order::StopBuild { build: running, why: "enough".to_owned() };
    let nobody = Actor::Person { name: None, via: Via::Api };
    assert_eq!(served.master.orders_by(), [(wanted.clone(), nobody)]);
    assert_eq!(stop("builders/3/builds/1").status, 200);
    assert_eq!(served.master.orders(), [wanted]);
    let ended = stop(&format!("builds/{}", filled.good.build)).json();
    assert_eq!((&ended["result"], served.master.orders()), (&Json::Null, vec![]), "nothing to do");
    for unknown in ["builds/99999", "builders/1/builds/99999"] {
        let answer = stop(unknown);
        assert_eq!(error(&answer), (404, -32600));
        assert_eq!(answer.json()["error"]["message"], format!("there is no `{unknown}`"));
    }
    for (params, part) in [
        (json!({"raeson": "x"}), "did you mean 'reason'?"),
        (json!({"nonsense": 1}), "it takes 'username', 'reason'"),
        (json!({"username": 5}), "'username' must be a text"),
    ] {
        let answer = served.call(&format!("builds/{running}"), "stop", &params);
        assert_eq!(error(&answer), (400, -32602));
        assert!(answer.text().contains(part), "{}", answer.text());
    }
    assert_eq!(served.master.orders(), []);

    let reply = Reply::Buildset { buildset: BuildsetId(51), requests: [(BuilderId(1), RequestId(75))].into() };
    served.master.reply(reply);
    for path in
        [format!("builds/{}", filled.good.build), "builders/1/builds/1".to_owned(), "builders/ok/builds/1".to_owned()]
    {
        let answer = served.call(&path, "rebuild", &json!({}));
        assert_eq!(answer.json()["result"], json!([51, {"1": 75}]), "{path}");
        let wanted = Order::Rebuild { build: BuildId(filled.good.build), of: None };
        assert_eq!(served.master.orders(), [wanted]);
    }
    assert_eq!(error(&served.call("builds/99999", "rebuild", &json!({}))), (404, -32600));
    assert_eq!(error(&served.call("builds/1", "zzz", &json!({}))), (501, -32601));
    assert_eq!(error(&served.call("builds", "zzz", &json!({}))), (501, -32601));
    assert_eq!(error(&served.call("nosuch", "stop", &json!({}))), (404, -32600));
    let unknown = served.call("builds/1", "x", &json!({})).json();
    assert_eq!(
        unknown,
        json!({"jsonrpc": "2.0", "id": 7, "error": {"code": -32601, "message": "action: x is not supported"}})
    );
}

#[test]
fn requests_are_cancelled_and_moved_up() {
    let (filled, served) = served();
    let path = format!("buildrequests/{}", filled.waiting);
    assert_eq!(served.call(&path, "cancel", &json!({"reason": "no"})).json()["result"], Json::Null);
    assert_eq!(served.call(&path, "set_priority", &json!({"priority": 3})).status, 200);
    let request = RequestId(filled.waiting);
    assert_eq!(
        served.master.orders(),
        [Order::CancelRequest { request, why: "no".to_owned() }, Order::SetPriority { request, priority: 3 }]
    );
    assert_eq!(error(&served.call(&path, "set_priority", &json!({}))), (400, -32602));
    assert_eq!(error(&served.call(&path, "zzz", &json!({}))), (501, -32601));
    for (method, params) in [("cancel", json!({})), ("set_priority", json!({"priority": 1}))] {
        assert_eq!(error(&served.call("buildrequests/99999", method, &params)), (404, -32600));
    }
    assert_eq!(served.master.orders(), []);
}

#[test]
fn who_gives_an_order_and_how_goes_with_it() {
    let (_, served) = served();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "pause", "params": {"username": " ann "}}).to_string();
    let headers = [("Content-Type", "application/json"), ("User-Agent", COMMAND_LINE)];
    assert_eq!(served.ask("POST", "/api/v2/workers/w2", &headers, &body).status, 200);
    served.form("/workers/w1/unpause", "");
    let given: Vec<Actor> = served.master.orders_by().into_iter().map(|(_, by)| by).collect();
    let ann = Actor::Person { name: Some("ann".to_owned()), via: Via::CommandLine };
    assert_eq!(given, [ann, Actor::Person { name: None, via: Via::Page }]);
}

#[test]
fn an_order_that_is_denied_is_forbidden() {
    let (filled, served) = served();
    served.master.reply(Reply::Denied("eve may not".to_owned()));
    let path = format!("buildrequests/{}", filled.waiting);
    assert_eq!(error(&served.call(&path, "cancel", &json!({}))), (403, -32600));
    assert_eq!(own(&served, "POST", "reload", "").status, 403);
    assert_eq!(own(&served, "POST", "poll", "{}").status, 403);
    assert_eq!(served.form("/workers/w1/pause", "").status, 403);
    assert_eq!(served.form("/reload", "").status, 403);
}

#[test]
fn schedulers_are_switched() {
    let (_, served) = served();
    assert_eq!(served.call("schedulers/1", "enable", &json!({"enabled": false})).status, 200);
    assert_eq!(served.call("masters/1/schedulers/1", "enable", &json!({"enabled": true})).status, 200);
    let switched = |enabled| Order::EnableScheduler { scheduler: "nightly".to_owned(), enabled };
    assert_eq!(served.master.orders(), [switched(false), switched(true)]);
    assert_eq!(error(&served.call("schedulers/1", "enable", &json!({}))), (400, -32602));
    assert_eq!(error(&served.call("schedulers/999", "enable", &json!({"enabled": true}))), (404, -32600));
    for path in ["schedulers/1", "forceschedulers/by-hand"] {
        assert_eq!(error(&served.call(path, "zzz", &json!({}))), (501, -32601), "{path}");
    }
    assert_eq!(served.master.orders(), []);
}

#[test]
fn workers_are_paused_stopped_and_killed() {
    let (_, served) = served();
    for (path, method, params) in [
        ("workers/w2", "pause", json!({"reason": "maintenance"})),
        ("workers/2", "unpause", json!({"reason": ""})),
        ("builders/1/workers/w2", "stop", json!({"reason": "graceful"})),
        ("masters/1/workers/2", "kill", json!({"reason": "now"})),
    ] {
        assert_eq!(served.call(path, method, &params).status, 200, "{path} {method}");
    }
    let name = || "w2".to_owned();
    assert_eq!(
        served.master.orders(),
        [
            Order::PauseWorker { worker: name(), paused: true, reason: Some("maintenance".to_owned()) },
            Order::PauseWorker { worker: name(), paused: false, reason: None },
            Order::StopWorker { worker: name() },
            Order::KillWorker { worker: name(), why: "now".to_owned() },
        ]
    );
    assert_eq!(error(&served.call("workers/nosuch", "pause", &json!({}))), (404, -32600));
    assert_eq!(error(&served.call("workers/w2", "zzz", &json!({}))), (501, -32601));
}

#[test]
fn forms_of_force_schedulers_become_asks() {
    let (_, served) = served();
    let requests = [(BuilderId(1), RequestId(67)), (BuilderId(3), RequestId(68))];
    served.master.reply(Reply::Buildset { buildset: BuildsetId(44), requests: requests.into() });
    // What the field's web interface sends: everything, as text.
    let params = json!({
        "builderid": "1", "username": "Eve <eve@example.org>", "reason": "", "priority": "5", "branch": " ", "project": "",
        "repository": "git@example.org:demo.git", "revision": "", "version": "2.0", "jobs": 8, "clean": true, "nosuch": "x",
    });
    let answer = served.call("forceschedulers/by-hand", "force", &params);
    assert_eq!(answer.text(), r#"{"id":7,"jsonrpc":"2.0","result":[44,{"1":67,"3":68}]}"#);
    let wanted = ForceOrder {
        scheduler: Some("by-hand".to_owned()),
        builders: vec!["ok".to_owned()],
        params: [
            ("version".to_owned(), Value::from("2.0")),
            ("jobs".to_owned(), Value::Int(8)),
            ("clean".to_owned(), Value::Bool(true)),
            // The engine says that there is no such field.
            ("nosuch".to_owned(), Value::from("x")),
        ]
        .into(),
        stamps: Vec::new(),
        reason: "force build".to_owned(),
        priority: Some(Value::from("5")),
    };
    let eve = Actor::Person { name: Some("Eve <eve@example.org>".to_owned()), via: Via::Api };
    assert_eq!(served.master.orders_by(), [(Order::Force(wanted), eve)]);

    served.call(
        "forceschedulers/by-hand",
        "force",
        &json!({"builderNames": ["nosuch", "ok"], "branch": "dev", "revision": "f00"}),
    );
    let orders = served.master.orders_by();
    let [(Order::Force(ask), by)] = orders.as_slice() else { panic!("{orders:?}") };
    assert_eq!(ask.builders, ["ok"]);
    assert_eq!(by.name(), "anonymous");
    assert_eq!(
        ask.stamps,
        [StampSpec {
            repository: "git@example.org:demo.git".to_owned(),
            branch: Some("dev".to_owned()),
            revision: Some("f00".to_owned()),
            ..StampSpec::default()
        }]
    );
    served.call("forceschedulers/by-hand", "force", &json!({}));
    let orders = served.master.orders();
    assert!(matches!(&orders[..], [Order::Force(ask)] if ask.builders.is_empty()), "{orders:?}");
}

#[test]
fn wrong_forces_are_refused() {
    let (_, served) = served();
    let force = |path: &str, params: Json| served.call(path, "force", &params);
    assert_eq!(error(&force("forceschedulers/nosuch", json!({}))), (404, -32600));
    assert_eq!(error(&force("forceschedulers/nightly", json!({}))), (404, -32600));
    assert_eq!(error(&force("forceschedulers/by-hand", json!({"builderid": "999"}))), (404, -32600));
    assert_eq!(error(&force("forceschedulers/by-hand", json!({"builderid": 2}))), (400, -32602), "not its builder");
    assert_eq!(error(&force("forceschedulers/by-hand", json!({"builderNames": ["nosuch"]}))), (400, -32602));
    assert_eq!(served.master.orders(), []);
    served
        .master
        .reply(Reply::Invalid([("version".to_owned(), "'The version:' needs to be specified".to_owned())].into()));
    let answer = force("forceschedulers/by-hand", json!({"builderid": 1}));
    assert_eq!(error(&answer), (400, -32602));
    assert_eq!(answer.json()["error"]["message"], json!({"version": "'The version:' needs to be specified"}));
    assert_eq!(answer.json()["id"], 7);
}

fn own(served: &Served, method: &str, path: &str, body: &str) -> Answer {
    served.ask(method, &format!("/api/starwright/v1/{path}"), &[("Content-Type", "application/json")], body)
}

#[test]
fn our_own_api_reloads_and_tells_of_the_configuration() {
    let (mut filled, served) = served();
    let read =
        |body: &str| serde_json::from_str::<ReloadResponse>(&own(&served, "POST", "reload", body).text()).unwrap();
    assert_eq!(read("{}").outcome, ReloadOutcome::Unchanged);
    assert_eq!(served.master.orders(), [Order::Reload { why: "HTTP".to_owned() }]);
    let change = PlanChange::Builder { id: BuilderId(1), name: "x".to_owned(), how: Difference::Added, waiting: 0 };
    let digest = ConfigDigest("new".to_owned());
    served.master.reply(Reply::Adopted { digest, changes: vec![change.clone()] });
    let answer = read(r#"{"cause": "test"}"#);
    assert_eq!(
        (answer.outcome, answer.digest.as_str(), answer.changes),
        (ReloadOutcome::Adopted, "new", vec![(&change).into()])
    );
    served.master.reply(Reply::Refused("line 3".to_owned()));
    let answer = read("");
    assert_eq!((answer.outcome, answer.report.as_deref()), (ReloadOutcome::Refused, Some("line 3")));

    let plan = || serde_json::from_str::<PlanResponse>(&own(&served, "GET", "plan", "").text()).unwrap();
    assert_eq!(plan().digest, filled.world.plan.digest.0);
    assert!(plan().refused.is_none() && plan().adopted_at.is_some());
    filled.world.fact(Event::PlanRefused { why: "edit".to_owned(), message: "no such worker".to_owned() });
    assert_eq!(plan().refused.unwrap().report, "no such worker");
    let health: HealthResponse = serde_json::from_str(&own(&served, "GET", "health", "").text()).unwrap();
    assert_eq!((health.status.as_str(), health.workers_connected, health.builds_running), ("ok", 1, 1));
    assert_eq!(own(&served, "GET", "deliveries", "").json(), json!({"reports": [], "undelivered": []}));
}

#[test]
fn our_own_api_takes_changes_and_refuses_what_is_wrong() {
    let (_, served) = served();
    served.master.reply(Reply::Changes(vec![
        SubmissionResult::Recorded(ChangeId(7)),
        SubmissionResult::Recorded(ChangeId(8)),
        SubmissionResult::SameDelivery(Some(ChangeId(6))),
    ]));
    let answer =
        own(&served, "POST", "changes", r#"{"changes": [{"author": "Ann", "files": ["a"]}, {}], "delivery": "d1"}"#);
    let ids: ChangesResponse = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!(ids.changes, [7, 8]);
    assert_eq!(ids.notes, ["nothing is recorded: this delivery came before, as change 6"]);
    let orders = served.master.orders();
    let [Order::AddChanges { changes, delivery, .. }] = orders.as_slice() else { panic!("{orders:?}") };
    assert_eq!((changes.len(), changes[0].author.as_str(), delivery.as_deref()), (2, "Ann", Some("d1")));
    assert_eq!(own(&served, "POST", "changes", r#"{"author": "Bob", "branch": null}"#).status, 200);
    served.master.orders();
    for (method, path, body, status) in [
        ("POST", "changes", "{bad", 400),
        ("POST", "changes", r#"{"autor": "x"}"#, 400),
        ("GET", "changes", "", 405),
        ("POST", "plan", "{}", 405),
        ("GET", "nosuch", "", 404),
        ("GET", "health?verbose=1", "", 400),
        ("POST", "reload", r#"{"cuase": "typo"}"#, 400),
        ("POST", "poll", r#"{"sauce": "typo"}"#, 400),
    ] {
        let answer = own(&served, method, path, body);
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.json()["error"].is_string());
    }
    let form = served.form("/api/starwright/v1/changes", "author=x");
    assert_eq!(form.status, 415, "a foreign page could send a form");
    let headers = [("Content-Type", "application/json"), ("Origin", "http://evil.example")];
    assert_eq!(served.ask("POST", "/api/starwright/v1/reload", &headers, "{}").status, 403);
    assert_eq!(served.master.orders(), []);
    served.master.reply(Reply::Done);
    assert_eq!(own(&served, "POST", "poll", r#"{"source": "poller"}"#).status, 200);
    assert_eq!(served.master.orders(), [Order::Poll { source: Some("poller".to_owned()) }]);
}

const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");

/// A site whose configuration declares the hooks `base` and `guarded`, which has a password.
fn hooked() -> Served {
    let mut world = World::empty();
    for dialect in ["base", "guarded"] {
        world.plan.web.hooks.insert(dialect.to_owned(), HookPlan::default());
    }
    Served::new(world.master())
}

#[test]
fn change_hooks_are_handed_on_and_answered_in_the_usual_words() {
    let served = hooked();
    let answer = served.form("/change_hook/base", "author=Ann+%3Cann%40example.org%3E&files=%5B%22a.c%22%5D&n=1");
    assert_eq!((answer.status, answer.text().as_str()), (200, "1 change found"));
    assert_eq!(served.form("/change_hook", "n=2").text(), "2 change found");
    assert_eq!(served.form("/change_hook/", "n=2").text(), "2 change found");
    assert_eq!(served.ask("POST", "/change_hook/base?n=0&author=Query", &[], "").text(), "no change found");
    let hooks = served.master.hooks();
    assert_eq!(hooks[0].0, "base");
    assert_eq!(hooks[0].1.params["author"], ["Ann <ann@example.org>"]);
    assert_eq!(
        hooks[3].1.params,
        BTreeMap::from([("n".to_owned(), vec!["0".to_owned()]), ("author".to_owned(), vec!["Query".to_owned()])])
    );
    let guarded = served.form("/change_hook/guarded", "n=1");
    assert_eq!((guarded.status, guarded.text().as_str()), (401, "Unauthorized"));
    assert_eq!(guarded.header("www-authenticate"), Some("basic realm=\"Protected area\""));
    assert_eq!(
        served.ask("POST", "/change_hook/guarded", &[("Authorization", "Basic aG9vazpwYTpzcw=="), FORM], "n=1").status,
        200
    );
}

#[test]
fn a_hook_is_closed_until_the_configuration_declares_it() {
    let served = Served::new(World::empty().master());
    for path in ["/change_hook/base", "/change_hook", "//change_hook//base", "/change_hook/github", "/change_hook/BASE"]
    {
        let answer = served.form(path, "author=x&branch=main");
        assert_eq!(answer.status, 404, "{path}");
        let text = answer.text();
        assert!(text.contains("`change_hook`") && !text.contains("change_hook(\"base\")"), "no other is named: {text}");
        assert_eq!(served.page(&format!("{path}?author=x")).status, 404, "{path}");
    }
    assert_eq!(served.form("/change_hook/a-b", "").status, 404);
    assert_eq!(served.master.hooks(), []);
}

#[test]
fn calls_of_forges_that_prove_themselves_may_be_large() {
    let mut world = World::empty();
    let github = |secret: Option<&str>| HookPlan {
        dialect: HookDialect::GitHub,
        secret: secret.map(Text::from),
        ..HookPlan::default()
    };
    for (name, plan) in [("base", HookPlan::default()), ("github", github(Some("s"))), ("open", github(None))] {
        world.plan.web.hooks.insert(name.to_owned(), plan);
    }
    let served = Served::new(world.master());
    let json = format!("{{\"a\": \"{}\"}}", "x".repeat(1_500_000));
    let large = served.ask("POST", "/change_hook/github", &[("Content-Type", "application/json")], &json);
    assert_eq!(large.status, 200, "{}", large.text());
    for (path, length, status) in [
        ("/change_hook/base", "1000000", 413),
        ("/change_hook/open", "1000000", 413),
        ("/change_hook/none", "1000000", 404),
        ("/change_hook/github", "30000000", 413),
    ] {
        assert_eq!(served.ask("POST", path, &[("Content-Length", length)], "").status, status, "{path}");
    }
}

#[test]
fn a_hook_takes_nothing_by_get_and_nothing_from_a_foreign_page() {
    let served = hooked();
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let answer = served.ask(method, "/change_hook/base?author=x", &[], "");
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
    }
    for header in [
        ("Origin", "http://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
        ("Referer", "http://evil.example/"),
    ] {
        let answer = served.ask("POST", "/change_hook/base?author=x", &[header, FORM], "branch=main");
        assert_eq!(answer.status, 403, "{header:?}");
        assert!(answer.text().contains("other sites"), "{}", answer.text());
    }
    let rebound = [("Sec-Fetch-Site", "same-origin"), ("Origin", "http://evil.example"), FORM];
    assert_eq!(served.ask("POST", "/change_hook/base", &rebound, "branch=main").status, 403);
    assert_eq!(served.master.hooks(), []);
}

#[test]
fn nothing_that_changes_state_is_done_for_a_foreign_page() {
    let (filled, served) = served();
    let build = filled.running.build;
    for path in [
        format!("/builds/{build}/stop"),
        format!("/builds/{build}/rebuild"),
        "/requests/1/cancel".to_owned(),
        "/workers/w1/pause".to_owned(),
        "/workers/w1/kill".to_owned(),
        "/reload".to_owned(),
        "/builders/1/force/by-hand".to_owned(),
        "/api/starwright/v1/reload".to_owned(),
        "/api/starwright/v1/changes".to_owned(),
        "/api/starwright/v1/poll".to_owned(),
        format!("/api/v2/builds/{build}"),
        "/api/latest/forceschedulers/by-hand".to_owned(),
        "/any/other".to_owned(),
    ] {
        for header in
            [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site"), ("Referer", "http://evil.example/")]
        {
            for kind in ["application/json", "application/x-www-form-urlencoded"] {
                let answer = served.ask("POST", &path, &[header, ("Content-Type", kind)], "{}");
                assert!(matches!(answer.status, 400 | 403), "{path} {header:?}: {}", answer.status);
            }
        }
    }
    assert_eq!(served.master.orders(), []);
}

#[test]
fn a_page_s_form_takes_no_other_type() {
    let (_, served) = served();
    for kind in ["application/json", "text/plain", "multipart/form-data"] {
        let answer = served.ask("POST", "/builders/1/force/by-hand", &[("Content-Type", kind)], "{\"version\": \"1\"}");
        assert_eq!(answer.status, 415, "{kind}");
    }
    assert_eq!(served.master.orders(), []);
}

#[test]
fn alerts_are_told_to_programs_and_to_people() {
    let (_, served) = served();
    assert_eq!(served.page("/api/starwright/v1/alerts").text(), r#"{"alerts":[]}"#);
    let alerts = served.master.alerts();
    let hint = || Some("is the server up?".to_owned());
    alerts.raise(AlertSubject::Source("<p>".to_owned()), "poll", "no route to `git.example.org`", hint());
    alerts.raise(AlertSubject::Worker("w1".to_owned()), "password", "it gives a wrong password", None);
    let answer: AlertsResponse = serde_json::from_str(&served.page("/api/starwright/v1/alerts").text()).unwrap();
    let [source, worker] = &*answer.alerts else { panic!("two alerts: {answer:?}") };
    assert_eq!((&*source.subject.kind, source.subject.name.as_deref()), ("source", Some("<p>")));
    assert_eq!((&*source.kind, &*source.text), ("poll", "no route to `git.example.org`"));
    assert_eq!((source.hint.clone(), worker.hint.clone()), (hint(), None));

    let home = served.page("/").text();
    for part in ["2 alerts", "Source `&#60;p&#62;`", "no route to", "is the server up?", "/workers/w1"] {
        assert!(home.contains(part), "{part} in {home}");
    }
    let page = served.page("/workers/w1").text();
    assert!(page.contains("it gives a wrong password") && !page.contains("no route to"), "{page}");
    alerts.clear(&AlertSubject::Worker("w1".to_owned()), "password");
    assert!(!served.page("/workers/w1").text().contains("it gives a wrong password"));
    assert_eq!(served.ask("POST", "/api/starwright/v1/alerts", &[], "").status, 405);
}
