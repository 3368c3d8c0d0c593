//! Reading `/api/v2`: shapes and errors as recorded, every path, the envelope.

use serde_json::{Value as Json, json};
use starwright::testing::model::Outcome;

use super::filled::{Filled, ODD, filled};
use super::recorded::{Recorded, differences, file};
use super::served::Served;
use super::world::World;

fn served(filled: &Filled) -> Served {
    Served::new(filled.world.master())
}

#[test]
fn resources_have_the_recorded_shapes() {
    let filled = filled();
    let served = served(&filled);
    let (good, change) = (&filled.good, filled.changes[1]);
    let paths = [
        ("builds_id", format!("builds/{}", good.build)),
        ("builds_id_running", format!("builds/{}", filled.running.build)),
        ("builders_id", "builders/1".to_owned()),
        ("buildrequests_id", format!("buildrequests/{}", good.request)),
        ("buildrequests_id_pending", format!("buildrequests/{}", filled.waiting)),
        ("buildsets_id", format!("buildsets/{}", good.buildset)),
        ("changes_id", format!("changes/{change}")),
        ("changesources_id", "changesources/1".to_owned()),
        ("masters_id", "masters/1".to_owned()),
        ("schedulers_id", "schedulers/1".to_owned()),
        ("sourcestamps_id", format!("sourcestamps/{change}")),
        ("steps_id", format!("steps/{}", filled.good_step)),
        ("logs_id", format!("logs/{}", filled.logs.stdio)),
        ("logs_id_contents", format!("logs/{}/contents", filled.logs.stdio)),
        ("workers_id", "workers/1".to_owned()),
        ("forceschedulers_name", "forceschedulers/by-hand".to_owned()),
        ("builds_id_property_list", format!("builds/{}/property_list", good.build)),
        ("root", String::new()),
    ];
    let mut faults = Vec::new();
    for (name, path) in paths {
        let recorded = Recorded::new(&format!("get/{name}"));
        let mut ours = served.json(&path);
        // Buildbot's steps have no children.
        if let Some(step) = ours.pointer_mut("/steps/0").and_then(Json::as_object_mut) {
            step.remove("parent_stepid");
        }
        differences(&ours, recorded.answer(), &["properties"], name, &mut faults);
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn root_lists_the_recorded_collections() {
    let mut recorded = Recorded::new("get/root").answer()["rootlinks"].as_array().unwrap().clone();
    recorded.sort_by_key(|link| link["name"].to_string());
    assert_eq!(Served::new(World::empty().master()).items(""), recorded);
}

#[test]
fn the_recorded_paths_are_all_served_with_their_plurals_and_fields() {
    let served = Served::new(World::empty().master());
    let ours = served.items("application.spec");
    let recorded = file("get/application.spec.json");
    let mut faults = Vec::new();
    for path in recorded["paths"].as_array().unwrap() {
        // One pattern was recorded without its type, another under another name.
        let pattern =
            path[0].as_str().unwrap().replace("/:builderid", "/n:builderid").replace("/:buildsetid", "/n:bsid");
        match ours.iter().find(|spec| spec["path"] == *pattern) {
            None => faults.push(format!("{pattern}: not served")),
            Some(spec) if spec["plural"] != path[1] || spec["type"] != path[2] => {
                faults.push(format!("{pattern}: {} of {}", spec["plural"], spec["type"]));
            }
            Some(_) => {}
        }
    }
    for (name, spec) in recorded["types"].as_object().unwrap() {
        let Some(own) = ours.iter().find(|spec| spec["type"] == *name) else { continue };
        for field in spec["fields"].as_array().into_iter().flatten() {
            let same = |other: &&Json| other["name"] == field["name"];
            match own["type_spec"]["fields"].as_array().unwrap().iter().find(same) {
                None => faults.push(format!("{name}.{}: missing", field["name"])),
                Some(other) if other["type"] != field["type"] && !known_type(name, field) => {
                    faults.push(format!("{name}.{}: {} instead of {}", field["name"], other["type"], field["type"]));
                }
                Some(_) => {}
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Where we say more exactly than the recording what comes.
fn known_type(kind: &str, field: &Json) -> bool {
    matches!(
        (kind, field["name"].as_str().unwrap()),
        ("change", "committer")
            | ("forcescheduler", _)
            // The recording calls these moments whole numbers, and says less or more of a name than is checked.
            | ("buildset", "submitted_at" | "complete_at")
            | ("_property", "value")
            | ("branch", "commitid")
            | ("build_data" | "codebase" | "worker", "name")
    )
}

#[test]
fn refusals_are_the_recorded_ones() {
    let filled = filled();
    let served = served(&filled);
    let mut faults = Vec::new();
    // A scheduler of ours may have any name, so no name is a wrong filter.
    let ours_alone = "errors/e_filter_value_identifier";
    for recorded in Recorded::all("errors", "e_").into_iter().filter(|recorded| recorded.name != ours_alone) {
        let own = headers(&recorded);
        let headers: Vec<(&str, &str)> = own.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        // The recording's own ids, where they are of account.
        let path = recorded
            .path()
            .replace("builders/7/", "builders/1/")
            .replace("builds/63", &format!("builds/{}", filled.good.build));
        let answer = served.ask(recorded.method(), &path, &headers, &recorded.body());
        let wanted = if recorded.status() == 500 { quirk(&recorded.name) } else { recorded.status() };
        if answer.status != wanted {
            faults.push(format!("{}: {} instead of {wanted}: {}", recorded.name, answer.status, answer.text()));
            continue;
        }
        if wanted >= 400 && !recorded.name.contains("e_api") {
            if answer.header("content-type") != Some("text/plain; charset=utf-8") {
                faults.push(format!("{}: {:?}", recorded.name, answer.header("content-type")));
            }
            let (ours, theirs) = (answer.json(), recorded.answer());
            let free_text =
                recorded.status() == 500 || theirs["error"].as_str().unwrap().starts_with("not found while");
            let same_path = path == recorded.path();
            // Ours may go on with what would do.
            let begins_like_theirs =
                || ours["error"].as_str().unwrap().starts_with(theirs["error"].as_str().unwrap_or_default());
            if !ours["error"].is_string() || (!free_text && same_path && !begins_like_theirs()) {
                faults.push(format!("{}: {ours} instead of {theirs}", recorded.name));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn headers(recorded: &Recorded) -> Vec<(String, String)> {
    recorded.headers().into_iter().filter(|(name, _)| !name.eq_ignore_ascii_case("host")).collect()
}

/// What we answer where the recorded server tripped over itself.
fn quirk(name: &str) -> u16 {
    match name {
        "errors/e_order_blank_500" | "errors/e_order_object_500" => 400,
        _ => 200,
    }
}

#[test]
fn a_missing_parent_has_an_empty_collection() {
    let filled = filled();
    let served = served(&filled);
    for path in [
        "builders/nosuch/builds",
        "builds/99999/steps",
        "builds/99999/changes",
        "builds/99999/test_result_sets",
        "steps/99999/logs",
        "buildrequests/99999/builds",
        "builders/999/workers",
        "builders/999/forceschedulers",
        "sourcestamps/99999/changes",
        "workers/999/builds",
        "projects",
        "codebases",
        "test_result_sets",
    ] {
        let json = served.json(path);
        assert_eq!(json["meta"], json!({"total": 0}), "{path}");
        assert_eq!(served.items(path), [] as [Json; 0], "{path}");
    }
    assert_eq!(served.api("builders/1/builds/99999/steps").status, 404);
    assert_eq!(served.json("builds/99999/properties"), json!({"meta": {}, "properties": [{}]}));
}

#[test]
fn a_build_is_found_under_three_prefixes_with_all_that_is_below() {
    let filled = filled();
    let served = served(&filled);
    let odd = "caf%C3%A9%2F%C3%BCmlaut%20%3Cb%3E%2250%25%22%3C%2Fb%3E";
    let by_name = served.items(&format!("builders/{odd}/builds/1"));
    assert_eq!(by_name, served.items(&format!("builds/{}", filled.running.build)));
    assert_eq!(by_name, served.items("builders/3/builds/1"));
    assert_eq!(served.items("builders/3")[0]["name"], ODD);
    let prefix = format!("builds/{}", filled.good.build);
    for other in ["builders/1/builds/1", "builders/ok/builds/1"] {
        for below in [
            "/steps",
            "/steps/1",
            "/steps/1/logs",
            "/steps/1/logs/stdio",
            "/steps/1/logs/stdio/contents?limit=3",
            "/changes",
            "/properties",
            "/property_list",
            "/data",
        ] {
            assert_eq!(
                served.json(&format!("{prefix}{below}")),
                served.json(&format!("{other}{below}")),
                "{other}{below}"
            );
        }
        let raw = served.api(&format!("{other}/steps/1/logs/stdio/raw_inline"));
        assert_eq!(raw.body, served.api(&format!("logs/{}/raw_inline", filled.logs.stdio)).body);
    }
    assert_eq!(served.api(&format!("{prefix}/steps/worker_preparation")).status, 200);
    assert_eq!(served.api(&format!("{prefix}/data/blob/value")).status, 404);
}

#[test]
fn json_is_compact_for_programs_and_indented_for_people() {
    let served = Served::new(filled().world.master());
    let compact = served.api("builders?field=name");
    assert_eq!(compact.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(
        compact.text(),
        r#"{"builders":[{"name":"ok"},{"name":"lonely"},{"name":"caf\u00e9/\u00fcmlaut <b>\"50%\"</b>"}],"meta":{"total":3}}"#
    );
    assert_eq!(compact.header("content-length"), Some(compact.body.len().to_string().as_str()));
    for accept in ["*/*", "text/html", ""] {
        let pretty = served.ask("GET", "/api/v2/masters?field=name", &[("Accept", accept)], "");
        assert_eq!(pretty.header("content-type"), Some("text/plain; charset=utf-8"));
        assert_eq!(
            pretty.text(),
            "{\n  \"masters\": [\n    {\n      \"name\": \"ci-host:/srv/master\"\n    }\n  ],\n  \"meta\": {\n    \"total\": 1\n  }\n}"
        );
    }
    let list = served.ask("GET", "/api/v2/masters", &[("Accept", "application/json, text/plain, */*")], "");
    assert_eq!(list.header("content-type"), Some("application/json; charset=utf-8"));
}

#[test]
fn meta_stands_where_the_alphabet_has_it() {
    let served = Served::new(filled().world.master());
    assert!(served.api("workers").text().starts_with(r#"{"meta":{"total":3},"workers":[{"#));
    assert!(served.api("workers/1").text().starts_with(r#"{"meta":{},"workers":[{"#));
    assert!(served.api("builders/1").text().ends_with(r#""meta":{}}"#));
    assert_eq!(served.api("projects").text(), r#"{"meta":{"total":0},"projects":[]}"#);
    let pretty = served.page("/api/v2/workers?field=name&limit=1").text();
    assert_eq!(
        pretty,
        "{\n  \"meta\": {\n    \"total\": 3\n  },\n  \"workers\": [\n    {\n      \"name\": \"w1\"\n    }\n  ]\n}"
    );
}

#[test]
fn heads_have_no_bodies_and_the_rest_of_the_door_is_shut() {
    let served = Served::new(filled().world.master());
    let head = served.ask("HEAD", "/api/v2/builders", &[("Accept", "application/json")], "");
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert_eq!(head.header("content-length"), Some(served.api("builders").body.len().to_string().as_str()));
    assert_eq!(served.ask("HEAD", "/api/v2/nosuch", &[], "").status, 404);
    for path in ["/api/", "/api/v1/builds", "/ws", "/metrics", "/sse/listen"] {
        assert_eq!(served.page(path).status, 404, "{path}");
    }
    let versions = served.page("/api");
    assert_eq!(versions.text(), r#"{"api_versions":{"v2":"http://ci.example.org/api/v2"}}"#);
    assert_eq!(served.page("/api/latest/builders").body, served.page("/api/v2/builders").body);
    assert_eq!(served.page("//api//v2/builders").status, 200);
}

#[test]
fn large_answers_are_compressed_for_those_who_can_read_them() {
    let served = Served::new(filled().world.master());
    let plain = served.api("builds");
    assert_eq!(plain.header("content-encoding"), None);
    let headers = [("Accept", "application/json"), ("Accept-Encoding", "gzip, deflate, br, zstd")];
    let packed = served.ask("GET", "/api/v2/builds", &headers, "");
    assert_eq!(packed.header("content-encoding"), Some("zstd"));
    assert_eq!(zstd::decode_all(packed.body.as_slice()).unwrap(), plain.body);
}

#[test]
fn origins_are_judged_as_recorded() {
    let mut world = filled().world;
    world.plan.web.allowed_origins = vec!["http://dash.*".to_owned()];
    let served = Served::new(world.master());
    let mut faults = Vec::new();
    for recorded in Recorded::all("cors", "cors_") {
        if recorded.name.contains("config") || recorded.name.contains("default_origin_bad") {
            continue;
        }
        let own = headers(&recorded);
        let headers: Vec<(&str, &str)> = own
            .iter()
            .map(|(name, value)| {
                // The recording server's own address.
                let ours = value.starts_with("http://127.0.0.1:");
                (name.as_str(), if ours { "http://ci.example.org" } else { value.as_str() })
            })
            .collect();
        let answer = served.ask(recorded.method(), recorded.path(), &headers, &recorded.body());
        let origin = answer.header("access-control-allow-origin").is_some();
        if answer.status != recorded.status() || origin != recorded.header("access-control-allow-origin").is_some() {
            faults.push(format!("{}: {} {:?}", recorded.name, answer.status, answer.headers));
        }
        if recorded.status() == 400 && answer.json() != *recorded.answer() {
            faults.push(format!("{}: {}", recorded.name, answer.text()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let allowed = served.ask("GET", "/api/v2/masters", &[("Origin", "HTTP://DASH.example.org")], "");
    assert_eq!(allowed.header("access-control-allow-origin"), Some("http://dash.example.org"));
    assert_eq!(allowed.header("access-control-allow-headers"), Some("Content-Type"));
    assert_eq!(allowed.header("access-control-max-age"), Some("3600"));
}

#[test]
fn requests_and_buildsets_say_minus_one_until_they_end() {
    let filled = filled();
    let served = served(&filled);
    let waiting = &served.items(&format!("buildrequests/{}", filled.waiting))[0];
    assert_eq!(
        (&waiting["results"], &waiting["claimed"], &waiting["properties"]),
        (&json!(-1), &json!(false), &Json::Null)
    );
    let running = &served.items(&format!("builds/{}", filled.running.build))[0];
    assert_eq!((&running["results"], &running["complete_at"]), (&Json::Null, &Json::Null));
    let bad = &served.items(&format!("builds/{}", filled.bad.build))[0];
    assert_eq!(bad["results"], Outcome::Failure.code());
    assert_eq!(bad["properties"], json!({}));
}

#[test]
fn what_belongs_together_is_found_from_each_side() {
    let filled = filled();
    let served = served(&filled);
    let (good, change) = (&filled.good, filled.changes[0]);
    let build = served.items(&format!("builds/{}", good.build));
    assert_eq!(served.items(&format!("buildrequests/{}/builds", good.request)), build);
    assert_eq!(served.items(&format!("changes/{change}/builds")), build);
    assert_eq!(served.items(&format!("builds/{}/changes", good.build))[0]["changeid"], change);
    assert_eq!(served.items(&format!("sourcestamps/{change}/changes"))[0]["changeid"], change);
    assert_eq!(served.items(&format!("buildsets/{}/sourcestamps", good.buildset))[0]["ssid"], change);
    let names = |path: &str| -> Vec<String> {
        served.items(path).iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("workers/w2/builders"), ["ok", "lonely"]);
    assert_eq!(names("builders/2/workers"), ["w2"]);
    assert_eq!(names("builders/1/forceschedulers"), ["by-hand"]);
    assert_eq!(names("builders/2/forceschedulers"), [] as [&str; 0]);
    assert_eq!(served.items("builders/1/workers/w1")[0]["configured_on"], json!([{"builderid": 1, "masterid": 1}]));
    assert_eq!(served.items("workers/w1")[0]["connected_to"], json!([{"masterid": 1}]));
    assert_eq!(served.items("workers/w-never")[0]["workerinfo"], json!({}));
    let info = served.items("workers/w1")[0]["workerinfo"].clone();
    assert_eq!(info["access_uri"], Json::Null);
    assert!(info.get("environ").is_none(), "a worker's environment stays private");
    assert_eq!(served.items("workers/w2/builds").len(), 1);
    assert_eq!(served.items("masters/1/builders").len(), 3);
    assert_eq!(served.items("masters/9/builders").len(), 0);
    assert_eq!(served.items("schedulers/1")[0]["master"]["name"], "ci-host:/srv/master");
}
