//! Pages: all of them, empty and full; what they must never let through; buttons and forms.

use starwright::testing::master::Reply;
use starwright::testing::model::{BuildId, BuilderId, BuildsetId, Event, Order, RequestId};

use super::filled::{Filled, filled};
use super::served::{Answer, Served};
use super::world::World;

fn served() -> (Filled, Served) {
    let filled = filled();
    let served = Served::new(filled.world.master());
    (filled, served)
}

const ODD: &str = "/builders/caf%C3%A9%2F%C3%BCmlaut%20%3Cb%3E%2250%25%22%3C%2Fb%3E";

/// A page that must be there; every tag that it opens is closed.
fn page(served: &Served, path: &str) -> String {
    let answer = served.page(path);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    check(path, &answer);
    answer.text()
}

fn check(path: &str, answer: &Answer) {
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"), "{path}");
    let policy = answer.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let html = answer.text();
    assert!(html.starts_with("<!DOCTYPE html>"), "{path}");
    let mut open: Vec<&str> = Vec::new();
    for tag in tags(&html) {
        let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap();
        let empty = ["meta", "link", "input", "br", "!DOCTYPE", "use"].contains(&name) || tag.ends_with('/');
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{path}: </{name}> closes another tag\n{html}");
        } else if !empty {
            open.push(name);
        }
    }
    assert_eq!(open, [] as [&str; 0], "{path}");
    for id in html.split(" id=\"").skip(1).map(|part| part.split('"').next().unwrap()) {
        assert_eq!(html.matches(&format!(" id=\"{id}\"")).count(), 1, "{path}: id {id} is used twice");
    }
}

fn tags(html: &str) -> impl Iterator<Item = &str> {
    html.split('<').skip(1).map(|part| part.split('>').next().unwrap())
}

#[test]
fn every_page_renders_on_an_empty_store() {
    let served = Served::new(World::empty().master());
    for path in ["/", "/builders", "/pending", "/changes", "/workers", "/?q=x&tag=y"] {
        page(&served, path);
    }
    for path in
        ["/builders/x", "/builds/1", "/requests/1", "/changes/1", "/workers/x", "/builders/1/builds/1", "/nosuch"]
    {
        let answer = served.page(path);
        assert_eq!(answer.status, 404, "{path}");
        check(path, &answer);
    }
}

#[test]
fn every_page_renders_on_a_full_store() {
    let (filled, served) = served();
    let build = "/builders/ok/builds/1";
    for path in [
        "/".to_owned(),
        "/?q=o&tag=linux".to_owned(),
        "/builders/ok".to_owned(),
        "/builders/1?before=3".to_owned(),
        ODD.to_owned(),
        format!("{ODD}/builds/1"),
        format!("{ODD}/builds/1/steps/1/logs/stdio"),
        build.to_owned(),
        "/builders/ok/builds/2".to_owned(),
        format!("{build}/steps/1/logs/stdio"),
        format!("{build}/steps/1/logs/stdio?line=100"),
        format!("{build}/steps/1/logs/report_html"),
        format!("{build}/steps/1/logs/plain_text__a_"),
        format!("{build}/steps/1/logs/empty"),
        "/pending".to_owned(),
        format!("/requests/{}", filled.waiting),
        format!("/requests/{}", filled.good.request),
        "/changes".to_owned(),
        "/changes?before=3".to_owned(),
        format!("/changes/{}", filled.changes[0]),
        "/workers".to_owned(),
        "/workers/w1".to_owned(),
        "/workers/w-never".to_owned(),
    ] {
        page(&served, &path);
    }
    let permalink = served.page(&format!("/builds/{}", filled.running.build));
    assert_eq!((permalink.status, permalink.header("location")), (302, Some(format!("{ODD}/builds/1").as_str())));
}

#[test]
fn the_first_page_says_what_runs_waits_and_came() {
    let (_, served) = served();
    let html = page(&served, "/");
    for text in ["1 running, 1 waiting", ">ok</a>", "#8", "commit 4", "no builds yet", "1 waiting</span>"] {
        assert!(html.contains(text), "{text}\n{html}");
    }
    assert!(!html.contains("was rejected"));
    assert!(!page(&served, "/?q=lonely").contains("href=\"/builders/ok\">ok</a> <span class=\"tag\""));
}

#[test]
fn a_refused_configuration_shows_on_the_first_page() {
    let (mut filled, served) = served();
    let message = "error: builder `linux`\n  <no worker matches>".to_owned();
    filled.world.fact(Event::PlanRefused { why: "edit".to_owned(), message });
    let html = page(&served, "/");
    assert!(html.contains("The newest configuration was rejected"), "{html}");
    assert!(html.contains("&#60;no worker matches&#62;") || html.contains("&lt;no worker matches&gt;"), "{html}");
}

#[test]
fn nothing_that_others_named_becomes_markup() {
    let (filled, served) = served();
    for path in [
        "/".to_owned(),
        "/builders/ok".to_owned(),
        ODD.to_owned(),
        "/builders/ok/builds/1".to_owned(),
        "/builders/ok/builds/2".to_owned(),
        "/builders/ok/builds/1/steps/1/logs/stdio".to_owned(),
        "/changes".to_owned(),
        format!("/changes/{}", filled.changes[0]),
        "/workers".to_owned(),
        "/builders/%3Cscript%3Ealert(1)%3C%2Fscript%3E".to_owned(),
    ] {
        let html = served.page(&path).text();
        for tag in tags(&html) {
            let name = tag.trim_start_matches('/').split([' ', '/', '\n']).next().unwrap();
            let ours = tag.starts_with("script src=\"/assets/") || tag == "/script";
            assert!(name != "b" && name != "it" && name != "nightly" && (name != "script" || ours), "{path}: <{tag}>");
        }
        assert!(!html.contains("javascript:alert(1)\""), "{path}: no link leads to a script");
    }
}

#[test]
fn a_build_shows_its_steps_logs_links_changes_and_properties() {
    let (filled, served) = served();
    let html = page(&served, "/builders/ok/builds/1");
    for text in [
        "logs &#38; more",
        "href=\"/builders/ok/builds/1/steps/1/logs/report_html\"",
        "135 lines",
        "href=\"https://example.org/a?b=c&amp;d\"",
        "commit 0",
        "Eve &#60;eve@example.org&#62;",
        "Rebuild",
        "1m 5s",
    ] {
        assert!(html.contains(text), "{text}\n{html}");
    }
    assert!(!html.contains(">Stop<"));
    let failed = page(&served, "/builders/ok/builds/2");
    assert!(failed.contains("error: &lt;it&gt; broke"), "the end of a failed step's log shows: {failed}");
    let running = page(&served, &format!("{ODD}/builds/1"));
    assert!(running.contains(">Stop<") && running.contains("tick 0"), "{running}");
    assert!(running.contains(&format!("data-events=\"/events?build={}\" data-polls", filled.running.build)));
    assert!(running.contains("http-equiv=\"refresh\""), "without scripts it is loaded again");
    assert!(!html.contains("http-equiv=\"refresh\""));
}

#[test]
fn a_log_shows_lines_numbers_times_streams_and_colours() {
    let (_, served) = served();
    let html = page(&served, "/builders/ok/builds/1/steps/1/logs/stdio");
    assert!(html.contains("<tr id=\"L3\" class=\"o\"><td class=\"n\"><a href=\"#L3\">3</a></td>"), "{html}");
    assert!(html.contains("<tr id=\"L4\" class=\"e\">"));
    assert!(html.contains("warn: <span class=\"f1\">red</span> &lt;b&gt; unicode \u{2713} 0"), "{html}");
    assert!(html.contains("bad bytes \u{fffd}\u{fffd}"));
    let later = page(&served, "/builders/ok/builds/1/steps/1/logs/stdio?line=100");
    assert!(!later.contains("id=\"L99\"") && later.contains("id=\"L100\"") && later.contains(">First</a>"));
    let frame = page(&served, "/builders/ok/builds/1/steps/1/logs/report_html");
    assert!(frame.contains("<iframe class=\"html-log\" sandbox src=\"/api/v2/logs/"), "{frame}");
    assert_eq!(served.page("/builders/ok/builds/1/steps/1/logs/nosuch").status, 404);
    assert_eq!(served.page("/builders/ok/builds/1/steps/9/logs/stdio").status, 404);
    assert_eq!(served.page("/builders/ok/builds/1/steps/1/logs/stdio?line=x").status, 400);
}

#[test]
fn a_page_follows_a_log_by_asking_for_what_came_since() {
    let (mut filled, served) = served();
    let path = format!("{ODD}/builds/1/steps/1/logs/stdio");
    assert!(page(&served, &path).contains("data-after=\"2\" data-follow"));
    let nothing = served.page(&format!("{path}?after=2"));
    assert_eq!((nothing.header("x-log-next"), nothing.header("x-log-ended")), (Some("2"), Some("no")));
    assert_eq!(nothing.text().trim(), "");
    let running = filled.running.clone();
    filled.world.append(&running, starwright::testing::model::LogId(filled.growing), 2, &[('e', b"<more>")]);
    let more = served.page(&format!("{path}?after=2"));
    assert!(more.text().starts_with("<tr id=\"L3\" class=\"e\">"), "{}", more.text());
    assert_eq!(more.header("x-log-next"), Some("3"));
    let finished = served.page("/builders/ok/builds/1/steps/1/logs/stdio?after=135");
    assert_eq!(finished.header("x-log-ended"), Some("yes"));
}

#[test]
fn buttons_tell_the_master_and_lead_back() {
    let (filled, served) = served();
    let press = |path: &str, body: &str| {
        let answer = served.form(path, body);
        assert_eq!(answer.status, 303, "{path}: {}", answer.text());
        (answer.header("location").unwrap().to_owned(), served.master.orders())
    };
    let running = BuildId(filled.running.build);
    let (place, orders) = press(&format!("/builds/{running}/stop"), "reason=too+slow");
    assert_eq!(place, format!("{ODD}/builds/1"));
    assert_eq!(orders, [Order::StopBuild { build: running, why: "too slow".to_owned() }]);
    let (place, orders) = press(&format!("/requests/{}/cancel", filled.waiting), "");
    assert_eq!(place, format!("/requests/{}", filled.waiting));
    assert_eq!(orders, [Order::CancelRequest { request: RequestId(filled.waiting), why: String::new() }]);
    let (place, orders) = press("/workers/w1/pause", "reason=disk");
    assert_eq!(place, "/workers/w1");
    let pause = Order::PauseWorker { worker: "w1".to_owned(), paused: true, reason: Some("disk".to_owned()) };
    assert_eq!(orders, [pause]);
    press("/workers/w1/unpause", "");
    press("/workers/w1/stop", "");
    press("/reload", "");
    served.master.reply(Reply::Buildset { buildset: BuildsetId(9), requests: [(BuilderId(1), RequestId(77))].into() });
    let (place, orders) = press(&format!("/builds/{}/rebuild", filled.good.build), "");
    assert_eq!(place, "/requests/77");
    assert_eq!(orders, [Order::Rebuild { build: BuildId(filled.good.build), of: None }]);
    served.master.reply(Reply::Refused("it has ended <already>".to_owned()));
    let refused = served.form(&format!("/builds/{running}/stop"), "");
    assert_eq!(refused.status, 400);
    check("refused", &refused);
    assert!(refused.text().contains("it has ended"));
}

#[test]
fn forms_of_other_sites_do_nothing() {
    let (filled, served) = served();
    let path = format!("/builds/{}/stop", filled.running.build);
    for header in [("Origin", "http://evil.example"), ("Sec-Fetch-Site", "cross-site"), ("Origin", "null")] {
        let headers = [("Content-Type", "application/x-www-form-urlencoded"), header];
        let answer = served.ask("POST", &path, &headers, "reason=x");
        assert_eq!(answer.status, 403, "{header:?}");
        check("foreign", &answer);
    }
    assert_eq!(served.master.orders(), []);
    let own = [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", "http://ci.example.org")];
    assert_eq!(served.ask("POST", &path, &own, "").status, 303);
    assert_eq!(served.form("/", "").status, 405);
    assert_eq!(served.ask("DELETE", "/", &[], "").status, 405);
}

#[test]
fn a_force_form_has_a_field_of_each_type_and_keeps_what_was_typed() {
    let (_, served) = served();
    let html = page(&served, "/builders/ok");
    for text in [
        "<h3>Start by hand</h3>",
        "action=\"/builders/1/force/by-hand\"",
        "name=\"branch\" value=\"main\"",
        "name=\"version\" value=\"1.0\" required maxlength=\"40\"",
        "<textarea id=\"by-hand-notes\" name=\"notes\" rows=\"3\">",
        "type=\"number\" step=\"1\" id=\"by-hand-jobs\" name=\"jobs\" value=\"4\"",
        "type=\"checkbox\" id=\"by-hand-clean\" name=\"clean\" checked",
        "<option value=\"release &#34;x&#34;\">",
        "name=\"targets\" multiple>",
        "what &#60;version&#62; is for",
    ] {
        assert!(html.contains(text), "{text}\n{html}");
    }
    assert!(!html.contains("name=\"secret\""), "hidden fields stay hidden");
    assert!(!page(&served, "/builders/lonely").contains("<form method=\"post\" action=\"/builders"));

    served.master.reply(Reply::Buildset { buildset: BuildsetId(9), requests: [(BuilderId(1), RequestId(77))].into() });
    let sent = "username=Eve&reason=&branch=main&revision=&version=2&notes=a%0D%0Ab&jobs=8&mode=debug&targets=debug&targets=x&priority=0";
    let answer = served.form("/builders/1/force/by-hand", sent);
    assert_eq!((answer.status, answer.header("location")), (303, Some("/requests/77")));
    let orders = served.master.orders_by();
    let [(Order::Force(ask), by)] = orders.as_slice() else { panic!("{orders:?}") };
    assert_eq!((ask.builders.as_slice(), by.name()), (["ok".to_owned()].as_slice(), "Eve"));
    assert_eq!(ask.params["clean"], false.into(), "a box that is not ticked is not sent");
    assert_eq!(ask.params["targets"], starwright::testing::model::Value::List(vec!["debug".into(), "x".into()]));
    assert!(ask.stamps.is_empty(), "the branch is the configured one");

    served.master.reply(Reply::Invalid([("version".to_owned(), "must be <new>".to_owned())].into()));
    let refused = served.form("/builders/1/force/by-hand", "version=old+one&clean=on");
    assert_eq!(refused.status, 400);
    check("refused form", &refused);
    let html = refused.text();
    for text in [
        "must be &#60;new&#62;",
        "name=\"version\" value=\"old one\"",
        "id=\"force-by-hand\" open",
        "name=\"clean\" checked",
    ] {
        assert!(html.contains(text), "{text}\n{html}");
    }
}

#[test]
fn assets_are_kept_by_browsers_as_long_as_they_stay_the_same() {
    let served = Served::new(World::empty().master());
    let html = page(&served, "/");
    let style = html.split("href=\"").find(|part| part.starts_with("/assets/starwright.css")).unwrap();
    let style = served.page(style.split('"').next().unwrap());
    assert_eq!(style.header("content-type"), Some("text/css; charset=utf-8"));
    assert!(style.header("cache-control").unwrap().contains("immutable"));
    assert_eq!(served.page("/assets/starwright.css").header("cache-control"), Some("no-cache"));
    assert_eq!(served.page("/favicon.ico").header("content-type"), Some("image/svg+xml"));
    assert_eq!(served.page("/assets/nosuch.css").status, 404);
}

#[test]
fn a_waiting_request_says_why_it_waits() {
    let (filled, served) = served();
    let html = page(&served, &format!("/requests/{}", filled.waiting));
    for text in ["Why it waits", "worker `&#60;w&#62;`: never connected", "its turn comes"] {
        assert!(html.contains(text), "{text}\n{html}");
    }
    let list = page(&served, "/pending");
    assert!(list.contains("never connected") && !list.contains("its turn comes"), "{list}");
    let ended = page(&served, &format!("/requests/{}", filled.good.request));
    assert!(!ended.contains("Why it waits"), "{ended}");

    let path = format!("/api/starwright/v1/requests/{}/waiting", filled.waiting);
    let why = r#"["worker `<w>`: never connected","its turn comes"]"#;
    assert_eq!(served.page(&path).text(), format!(r#"{{"request":{},"waits":true,"why":{why}}}"#, filled.waiting));
    for path in ["/api/starwright/v1/requests/9999999/waiting", "/api/starwright/v1/requests/x/waiting"] {
        assert_eq!(served.page(path).status, 404);
    }
}
