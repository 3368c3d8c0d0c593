//! The audit log: its page, the API, and the export.

use serde_json::{Value as Json, json};
use starwright::testing::model::{
    Actor, AuthorClass, BuildId, Event, LoginMethod, Outcome, RequestId, StopReason, Via, WorkerId,
};

use super::filled::{ODD, filled};
use super::served::Served;
use super::world::BEGIN;

fn user(name: &str) -> Actor {
    Actor::User { name: name.to_owned(), via: Via::Page, login: LoginMethod::Password, class: AuthorClass::Person }
}

/// A site whose builders had some orders.
fn served() -> Served {
    let mut filled = filled();
    let (build, request) = (BuildId(filled.running.build), RequestId(filled.waiting));
    let world = &mut filled.world;
    let stopping = Event::BuildStopping {
        build,
        why: "wrong <branch>".to_owned(),
        reason: StopReason::Ordered,
        outcome: Outcome::Cancelled,
    };
    world.ordered(user("ann"), stopping);
    let token = Actor::Token { name: "deploy".to_owned(), class: AuthorClass::Bot };
    world.ordered(token, Event::RequestPriority { request, priority: 7 });
    let paused = Event::WorkerPaused { worker: WorkerId(1), paused: true, reason: Some("disk".to_owned()) };
    world.ordered(Actor::person("bob", Via::CommandLine), paused.clone());
    // What follows from an order is none, and neither is what the clock brings.
    world.ordered(user("ann"), Event::BuildState { build, state: "stopping".to_owned() });
    world.fact(paused);
    Served::new(world.master())
}

fn get(served: &Served, path: &str) -> String {
    let answer = served.ask("GET", path, &[], "");
    assert_eq!(answer.status, 200, "GET {path}");
    String::from_utf8(answer.body).unwrap()
}

#[test]
fn orders_are_told_newest_first_with_who_gave_them_and_how() {
    let served = served();
    let log: Json = serde_json::from_str(&get(&served, "/api/starwright/v1/audit")).unwrap();
    let told = |entry: &Json| {
        ["who", "how", "action", "text"].map(|field| entry[field].as_str().unwrap().to_owned()).join(" | ")
    };
    let entries: Vec<String> = log["entries"].as_array().unwrap().iter().map(told).collect();
    let stopped = format!("ann | page, by password | stop | stopped build {ODD}/1: wrong <branch>");
    let request = log["entries"][1]["text"].as_str().unwrap();
    assert_eq!(
        entries,
        [
            "bob | command line, not logged in | pause | paused worker `w1`: disk".to_owned(),
            format!("token `deploy` | API, by token | prioritise | {request}"),
            stopped,
        ]
    );
    assert!(request.ends_with("to 7"), "{request}");
    assert_eq!(log["more"], json!(false));
    assert!(log["entries"][0]["at"].as_i64().unwrap() > BEGIN * 1000);

    let last = &log["entries"][1]["seq"];
    let older: Json = serde_json::from_str(&get(&served, &format!("/api/starwright/v1/audit?before={last}"))).unwrap();
    assert_eq!(older["entries"].as_array().unwrap().len(), 1);
}

#[test]
fn the_export_has_each_order_on_a_line_oldest_first() {
    let served = served();
    let text = get(&served, "/api/starwright/v1/audit.ndjson");
    let lines: Vec<Json> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let actions: Vec<&str> = lines.iter().map(|line| line["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["stop", "prioritise", "pause"]);
}

#[test]
fn the_page_shows_who_did_what_and_escapes_it() {
    let page = get(&served(), "/audit");
    for part in ["ann", "page, by password", "wrong &#60;branch&#62;", "token `deploy`"] {
        assert!(page.contains(part), "{part} in {page}");
    }
}
