//! Logs by the API: the table of edge cases, raw texts with their headings.

use serde_json::json;

use super::filled::{Filled, filled, stdio_lines};
use super::served::Served;

fn served() -> (Filled, Served) {
    let filled = filled();
    let served = Served::new(filled.world.master());
    (filled, served)
}

fn chunk(served: &Served, path: &str) -> (String, i64) {
    let item = served.items(path)[0].clone();
    (item["content"].as_str().unwrap().to_owned(), item["firstline"].as_i64().unwrap())
}

#[test]
fn edge_cases_of_chunks_are_those_of_the_specification() {
    let (filled, served) = served();
    let log = format!("logs/{}/contents", filled.logs.stdio);
    let n = stdio_lines().len();
    let ask = |query: &str| served.api(&format!("{log}?{query}"));
    assert_eq!(
        chunk(&served, &format!("{log}?offset=2&limit=3")).0,
        "oline 0 of output\newarn: \u{1b}[31mred\u{1b}[0m <b> unicode \u{2713} 0\noline 1 of output\n"
    );
    let (last, first) = chunk(&served, &format!("{log}?offset={}&limit=500", n - 2));
    assert_eq!((last.lines().count(), first), (2, i64::try_from(n - 2).unwrap()));
    assert!(last.ends_with("obad bytes \u{fffd}\u{fffd}\n"), "{last}");
    for offset in [n, n + 100] {
        assert_eq!(
            chunk(&served, &format!("{log}?offset={offset}&limit=5")),
            (String::new(), i64::try_from(offset).unwrap())
        );
        assert_eq!(ask(&format!("offset={offset}")).status, 404);
    }
    for query in ["limit=0", "offset=-1&limit=2", "limit=-1", "offset=0&limit=0"] {
        assert_eq!(ask(query).status, 404, "{query}");
    }
    let empty = format!("logs/{}/contents", filled.logs.empty);
    assert_eq!(chunk(&served, &empty), (String::new(), 0));
    assert_eq!(ask("limit=x").json(), json!({"error": "invalid limit"}));
    assert_eq!(ask("firstline=3").json(), json!({"error": "this is not a collection"}));
    assert_eq!(ask("field=firstline&limit=1").json()["logchunks"], json!([{"firstline": 0}]));
    assert_eq!(served.api("logs/99999/contents").status, 404);
    assert_eq!(served.api("logchunks").status, 404);
}

#[test]
fn a_whole_log_has_all_its_lines() {
    let (filled, served) = served();
    let (content, first) = chunk(&served, &format!("logs/{}/contents", filled.logs.stdio));
    let wanted: String =
        stdio_lines().iter().map(|(stream, text)| format!("{stream}{}\n", String::from_utf8_lossy(text))).collect();
    assert_eq!((content, first), (wanted, 0));
    assert_eq!(chunk(&served, &format!("logs/{}/contents", filled.logs.text)).0, "first\nsecond\nthird\n");
}

#[test]
fn a_growing_log_tells_its_present_length() {
    let (mut filled, served) = served();
    let path = format!("logs/{}", filled.growing);
    assert_eq!(served.items(&path)[0]["num_lines"], 2);
    let running = filled.running.clone();
    filled.world.append(&running, starwright::testing::model::LogId(filled.growing), 2, &[('o', b"tick 1")]);
    let log = served.items(&path)[0].clone();
    assert_eq!((&log["num_lines"], &log["complete"], &log["type"]), (&json!(3), &json!(false), &json!("s")));
    assert_eq!(chunk(&served, &format!("{path}/contents?offset=1&limit=10")).0, "otick 0\notick 1\n");
    let step = &served.items(&format!("builds/{}/steps", running.build))[0];
    assert_eq!(served.items(&format!("steps/{}/logs", step["stepid"]))[0]["num_lines"], 3);
}

#[test]
fn raw_logs_have_headings_and_names() {
    let (filled, served) = served();
    let raw = served.api(&format!("logs/{}/raw", filled.logs.header_only));
    assert_eq!(raw.text(), "Builder: ok\nBuild number: 1\nWorker name: w1\nonly header line 1\nonly header line 2\n");
    assert_eq!(raw.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(
        raw.header("content-disposition"),
        Some(
            "attachment; filename=ok_build_1_step_logs___more_log_header-only; filename*=UTF-8''ok_build_1_step_logs%20%26%20more_log_header-only"
        )
    );
    let inline = served.api(&format!("logs/{}/raw_inline?limit=1&offset=5", filled.logs.header_only));
    assert_eq!((inline.body.clone(), inline.header("content-disposition")), (raw.body, None));
    let text = served.api(&format!("logs/{}/raw", filled.logs.text));
    assert_eq!(text.text(), "first\nsecond\nthird\n");
    let refused = served.api(&format!("logs/{}/raw?nosuch=1", filled.logs.text));
    assert!(refused.text().contains("unrecognized query parameter 'nosuch'"), "{}", refused.text());
    let empty = served.api(&format!("logs/{}/raw", filled.logs.empty));
    assert_eq!(empty.text(), "Builder: ok\nBuild number: 1\nWorker name: w1\n");
    assert_eq!(served.api("logs/99999/raw").status, 404);
}

#[test]
fn raw_logs_keep_every_byte() {
    let (filled, served) = served();
    let raw = served.api(&format!("logs/{}/raw_inline", filled.logs.stdio));
    let mut wanted = b"Builder: ok\nBuild number: 1\nWorker name: w1\n".to_vec();
    for (_, text) in stdio_lines() {
        wanted.extend_from_slice(&text);
        wanted.push(b'\n');
    }
    assert_eq!(raw.body, wanted);
}

#[test]
fn logs_of_html_may_do_nothing() {
    let (filled, served) = served();
    let raw = served.api(&format!("logs/{}/raw_inline", filled.logs.html));
    assert_eq!(raw.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(raw.header("content-security-policy").unwrap().starts_with("sandbox; default-src 'none'"));
    assert_eq!(raw.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(raw.text(), "<h1>Report &amp; co</h1>\n<script>alert(1)</script>\n");
}
