//! Trouble is told, and told as over: the real program, from a failing poller to a mail that was given up.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use tempfile::TempDir;

use crate::support::fake_http::{Answer, FakeHttp};
use crate::support::git::{Repository, sealed};
use crate::support::http::{PATIENCE, control, request};
use crate::support::smtp::SmtpServer;
use crate::support::starwright::{PROGRAM, Running, run, said};

struct Place {
    dir: TempDir,
}

impl Place {
    fn new(config: &str) -> Self {
        let place = Self { dir: TempDir::new().unwrap() };
        std::fs::write(place.path("master.star"), config).unwrap();
        std::fs::create_dir(place.path("secrets")).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start(&self, subcommand: &str) -> Running {
        let config = self.path("master.star");
        Running::start(subcommand, &config, &self.path("data"), "127.0.0.1:0", &self.path("log"))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }
}

/// Waits until something shows that no event tells of.
fn until(what: &str, mut look: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !look() {
        assert!(begun.elapsed() < PATIENCE, "waiting for {what}: it never came");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn told(address: &str, what: &str) -> Json {
    let (status, body) = request(address, "GET", &format!("/api/starwright/v1/{what}"), &[], "");
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// The text of an alert.
fn alert(address: &str, subject: &str, name: &str) -> Option<String> {
    let alerts = told(address, "alerts");
    let found = alerts["alerts"].as_array().unwrap().iter().find(|alert| {
        alert["subject"]["kind"] == subject && alert["subject"]["name"].as_str().unwrap_or_default() == name
    });
    found.map(|alert| alert["text"].as_str().unwrap().to_owned())
}

#[test]
fn what_needs_a_person_is_told_everywhere_until_it_is_over() {
    let place = Place::new("");
    let repository = place.path("repository");
    let config = format!(
        r#"
load("@stdlib//source.star", "git_poller")
load("@stdlib//steps.star", "sh")
worker("orphan")
worker("remote", password = secret("remote"))
git_poller("{}", name = "code", every = "1s")
load("@stdlib//schedulers.star", "force")
builder("b", workers = ["orphan", "remote"], steps = [sh("true")])
force("f", builders = ["b"])
"#,
        repository.display()
    );
    std::fs::write(place.path("master.star"), config).unwrap();
    let master = place.start("master");
    let address = &master.address;
    let shown = |kind: &str, name: &str, part: &str| alert(address, kind, name).is_some_and(|text| text.contains(part));
    until("the failing source", || shown("source", "code", "polling failed"));
    until("the missing secret", || shown("secret", "remote", "secret `remote` is missing"));
    until("the worker that nobody starts", || shown("worker", "orphan", "nothing starts it"));
    let (_, home) = request(address, "GET", "/", &[("Accept", "text/html")], "");
    for part in ["3 alerts", "Source `code`", "polling failed", "/workers/orphan"] {
        assert!(home.contains(part), "{part} in\n{home}");
    }
    assert!(run(address, &["force", "b"]).status.success());
    let status = run(address, &["status"]);
    assert_eq!(status.status.code(), Some(1), "{}", said(&status));
    let why = "    worker `orphan`: ";
    for part in ["3 alerts", "source `code`", "0 running", "b  1 request, oldest", why, "0 of 2 workers connected"] {
        assert!(said(&status).contains(part), "{part} in\n{}", said(&status));
    }
    let json: Json = serde_json::from_slice(&run(address, &["status", "--json"]).stdout).unwrap();
    assert_eq!((json["alerts"].as_array().unwrap().len(), json["workers"][0]["connected"].as_bool()), (3, Some(false)));

    let files = Repository::new(&repository, &[("README", "first")]);
    std::fs::write(place.path("secrets/remote"), "correct horse\n").unwrap();
    until("the source to work", || alert(address, "source", "code").is_none());
    until("the secret to be there", || alert(address, "secret", "remote").is_none());
    drop(files);

    std::fs::write(place.path("wrong"), "battery staple\n").unwrap();
    let mut worker = Command::new(PROGRAM);
    worker.args(["worker", "--master", address, "--name", "remote", "--dir"]).arg(place.path("worker"));
    let mut worker = sealed(worker.arg("--password-file").arg(place.path("wrong"))).spawn().unwrap();
    until("the refused worker", || shown("worker", "remote", "wrong password"));
    worker.kill().unwrap();
    worker.wait().unwrap();

    let log = place.log();
    let begun = log.matches("polling failed").count() - log.matches("resolved: polling failed").count();
    assert!((1..=3).contains(&begun), "each text once:\n{log}");
    assert!(log.contains("resolved: polling failed"), "{log}");
    assert!(!log.contains("battery") && !log.contains("correct horse"));
}

#[test]
fn a_configuration_that_was_corrected_while_no_master_ran_is_not_told_as_wrong() {
    const GOOD: &str = "load('@stdlib//steps.star', 'sh')\nworker('orphan')\n";
    let place = Place::new(&format!("{GOOD}builder('b', workers = ['orphan'], steps = [sh('true')])\n"));
    let master = place.start("master");
    std::fs::write(place.path("master.star"), "builder(").unwrap();
    let rejected = |address: &str| alert(address, "configuration", "");
    until("the alert", || rejected(&master.address).is_some());
    assert!(master.terminate().success());
    let before = place.log().len();

    let corrected = format!("{GOOD}builder('c', workers = ['orphan'], steps = [sh('true')])\n");
    std::fs::write(place.path("master.star"), corrected).unwrap();
    let master = place.start("master");
    // The alerts are looked for together.
    until("the other alert", || alert(&master.address, "worker", "orphan").is_some());
    assert_eq!(rejected(&master.address), None);
    let log = place.log().split_off(before);
    assert!(!log.contains("builder(") && !log.contains("resolved: "), "{log}");
}

const MAILED: &str = r#"
load("@stdlib//notify.star", "mail")
load("@stdlib//schedulers.star", "force")
load("@stdlib//steps.star", "sh")
def shout(message):
    return message["no such key"]
worker("local")
builder("b", workers = ["local"], steps = [sh("exit 1", name = "compile")])
force("f", builders = ["b"])
mail(to = TO, on = ["failure"], OPTIONShost = "127.0.0.1", port = PORT, sender = "ci@example.org")
"#;

fn mailed(port: u16, to: &str, options: &str) -> Place {
    Place::new(&MAILED.replace("PORT", &port.to_string()).replace("TO", to).replace("OPTIONS", options))
}

fn force(address: &str) {
    control(address, "forceschedulers/f", "force", serde_json::json!({"builderNames": ["b"]}));
}

#[test]
fn a_mail_that_is_given_up_leaves_the_words_of_the_server() {
    let server = SmtpServer::answering(&["DATA=554 5.7.1 content refused by policy 4711"]);
    let place = mailed(server.port, r#"["team@example.org"]"#, "");
    let up = place.start("up");
    force(&up.address);
    let told_of = |address: &str| alert(address, "notifier", "mail").is_some_and(|text| text.contains("4711"));
    until("the alert", || told_of(&up.address));
    let outbox = told(&up.address, "deliveries");
    assert_eq!(outbox["reports"], serde_json::json!([]));
    let [given_up] = &**outbox["undelivered"].as_array().unwrap() else { panic!("one report: {outbox}") };
    assert_eq!((given_up["given_up"].as_bool(), given_up["builder"].as_str()), (Some(true), Some("b")));
    assert!(given_up["error"].as_str().unwrap().contains("content refused by policy 4711"), "{given_up}");
    let (_, page) = request(&up.address, "GET", "/builders/b/builds/1", &[("Accept", "text/html")], "");
    assert!(page.contains("A report could not be delivered") && page.contains("4711"), "{page}");
    assert!(place.log().contains("4711"));
    up.kill();

    let up = place.start("up");
    until("the alert after a restart", || told_of(&up.address));
}

#[test]
fn a_recipient_who_cannot_be_served_and_a_template_that_fails_cost_nobody_the_mail() {
    let mut server = SmtpServer::old();
    let place = mailed(server.port, r#"["jörg@example.com", "team@example.org"]"#, "body = shout, ");
    let up = place.start("up");
    force(&up.address);
    let mail = server.mail();
    assert_eq!(mail["to"], serde_json::json!(["team@example.org"]));
    let text = mail["text"].as_str().unwrap();
    assert!(text.contains("b #1 failed in compile") && text.contains("the function given as `body` failed"), "{text}");
    until("the alert", || alert(&up.address, "notifier", "mail").is_some());
    let told = alert(&up.address, "notifier", "mail").unwrap();
    assert!(told.contains("`jörg@example.com` did not get it") && told.contains("`body` failed"), "{told}");
    let (_, page) = request(&up.address, "GET", "/builders/b/builds/1", &[("Accept", "text/html")], "");
    assert!(page.contains("A report was delivered only in part") && page.contains("jörg@example.com"), "{page}");
}

#[test]
fn a_report_that_was_given_up_is_listed_everywhere_and_can_be_sent_again() {
    let server = FakeHttp::new();
    server.answers(Answer::Http(422, Vec::new(), "no such commit 4711"));
    let config = r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")
load("@stdlib//notify.star", "http")
worker("w")
builder("b", workers = ["w"], steps = [sh("true")])
force("f", builders = ["b"])
http("URL", name = "dashboard")
"#;
    let place = Place::new(&config.replace("URL", &server.url));
    let up = place.start("up");
    force(&up.address);
    let undelivered = || told(&up.address, "deliveries")["undelivered"].as_array().unwrap().clone();
    until("the first refusal", || undelivered().len() == 1);
    let first = undelivered()[0].clone();
    let keys = ["id", "notifier", "event", "builder", "tries", "given_up"].map(|key| first[key].clone());
    assert_eq!(serde_json::json!(keys), serde_json::json!([1, "dashboard", "end", "b", 1, true]));

    let list = said(&run(&up.address, &["deliveries"]));
    assert!(list.contains("1 dashboard: b, end") && list.contains("no such commit 4711"), "{list}");
    let (_, page) = request(&up.address, "GET", "/deliveries", &[("Accept", "text/html")], "");
    assert!(page.contains("no such commit 4711") && page.contains("/deliveries/1/resend"), "{page}");
    let origin = format!("http://{}", up.address);
    let form = [("Content-Type", "application/x-www-form-urlencoded"), ("Origin", origin.as_str())];
    assert_eq!(request(&up.address, "POST", "/deliveries/1/resend", &form, "").0, 303);
    until("the second refusal", || undelivered().iter().any(|report| report["id"] == 2));
    assert_eq!(undelivered().len(), 1, "the first one became the second");

    assert!(said(&run(&up.address, &["deliveries", "--resend", "1"])).contains("no report 1 was given up"));
    server.answers(Answer::status(201));
    let sent = said(&run(&up.address, &["deliveries", "--resend", "2"]));
    assert!(sent.contains("report 2 is sent again"), "{sent}");
    until("the delivery", || told(&up.address, "deliveries") == serde_json::json!({"reports": [], "undelivered": []}));
    assert_eq!(server.one().json()["outcome"], "success");
    assert!(said(&run(&up.address, &["deliveries"])).contains("every report is delivered"));
}
