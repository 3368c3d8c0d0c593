//! Reports to a server that fails in every way: each arrives once, and in order.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::json;
use starwright::testing::base::{Clock, Span, SystemClock, Timestamp};
use starwright::testing::master::Reply;
use starwright::testing::model::{Event, ForceOrder, Order, Outcome, ReportId, StampSpec};

use super::house::{House, Running};
use super::worker::{Arrivals, ScriptedWorker};
use crate::support::fake_http::{Answer, FakeHttp, Received};

/// The machine's clock, moved ahead by the test.
#[derive(Debug, Default)]
struct MovedClock(Mutex<Span>);

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(*self.0.lock().unwrap())
    }
}

impl MovedClock {
    fn advance(&self, by: Span) {
        let mut ahead = self.0.lock().unwrap();
        *ahead = Span::from_millis(ahead.as_millis() + by.as_millis());
    }
}

const HOUSE: &str = r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")
load("@stdlib//notify.star", "http")
load("@stdlib//forges.star", "github_status")

worker("w1", password = "secret")
builder("linux", workers = ["w1"], steps = [sh("make", name = "compile")])
force("by-hand", builders = ["linux"])
"#;

const SHA: &str = "4f3a2b1c9d00112233445566778899aabbccddee";

/// One build of this revision, from start to end.
async fn build(running: &mut Running, worker: &ScriptedWorker, commands: &mut Arrivals, code: i64) {
    let revision = Some(SHA.to_owned());
    let repository = "https://example.org/acme/app.git".to_owned();
    let stamps = vec![StampSpec { revision, repository, ..StampSpec::default() }];
    let order = ForceOrder { builders: vec!["linux".to_owned()], stamps, ..ForceOrder::default() };
    let Reply::Buildset { requests, .. } = running.order(Order::Force(order)).await else { panic!("refused") };
    let request = *requests.values().next().unwrap();
    let started = |event: &Event| match event {
        Event::BuildStarted { build, requests, .. } if requests.contains(&request) => Some(*build),
        _ => None,
    };
    let build = running.fact("start of the build", started).await;
    let command = commands.recv().await.unwrap();
    worker.end(&command.id, code);
    running.ended(build).await;
}

/// Lets time pass, and waits until this report was tried in vain once more.
async fn next_try(running: &mut Running, clock: &MovedClock, report: ReportId, tries_wanted: u64) {
    clock.advance(Span::from_minutes(16));
    // Any order makes the master look at its clock.
    running.order(Order::Poll { source: None }).await;
    let failed = |event: &Event| match event {
        Event::ReportFailed { report: failed, tries, .. } => {
            (*failed == report && *tries >= tries_wanted).then_some(())
        }
        _ => None,
    };
    running.fact("failed delivery", failed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_report_arrives_once_and_in_order_after_all_that_a_server_can_do_wrong() {
    // An address where nobody listens yet.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let notifier = format!(
        "http(\"http://{address}/builds\", on = [\"start\", \"always\"], \
         json = lambda m: {{\"event\": m[\"event\"], \"number\": m[\"number\"]}})\n"
    );
    let house = House::new(&format!("{HOUSE}{notifier}"));
    let clock = Arc::new(MovedClock::default());
    let mut running = house.start_at(clock.clone()).await;
    let (worker, mut commands) = ScriptedWorker::new("w1");
    worker.connect(running.handle(), "secret");
    for code in [0, 2, 0, 2, 0, 0] {
        build(&mut running, &worker, &mut commands, code).await;
    }
    let first = ReportId(1);
    running.fact("refused connection", |event| matches!(event, Event::ReportFailed { .. }).then_some(())).await;
    let server = FakeHttp::at(TcpListener::bind(address).unwrap(), Answer::Garbage);
    let limited = vec![("Retry-After", "600".to_owned())];
    let wrongs = [
        Answer::Garbage,
        Answer::Nothing,
        Answer::status(500),
        Answer::Http(429, limited, "slow down"),
        Answer::Http(503, Vec::new(), "back soon"),
        Answer::status(401),
    ];
    for (before, wrong) in (2..).zip(wrongs) {
        server.answers(wrong);
        next_try(&mut running, &clock, first, before).await;
    }
    assert_eq!(server.taken().len(), 0);
    assert!(server.refused() < 20, "a server that is away is left alone: {} requests", server.refused());
    server.answers(Answer::status(204));
    clock.advance(Span::from_minutes(16));
    running.order(Order::Poll { source: None }).await;
    let last = |event: &Event| matches!(event, Event::ReportSent { report: ReportId(12) }).then_some(());
    running.fact("last delivery", last).await;
    let taken: Vec<_> = server.taken().iter().map(Received::json).collect();
    let both = |number| ["start", "end"].map(|event| json!({"event": event, "number": number}));
    let want: Vec<_> = (1..=6).flat_map(both).collect();
    assert_eq!(taken, want);
    assert!(running.handle().store().outbox().unwrap().is_empty());
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_gets_its_statuses_and_a_secret_shows_nowhere() {
    let server = FakeHttp::new();
    let status =
        format!("github_status(token = secret(\"token\"), api = \"{}\", host = \"example.org\")\n", server.url);
    let hook =
        "http(secret(\"hook\"), name = \"chat\", on = [\"failure\"], json = lambda m: {\"text\": m[\"headline\"]})\n";
    let house = House::new(&format!("{HOUSE}{status}{hook}"));
    house.write("secrets/token", "t0p-s3cret");
    house.write("secrets/hook", &format!("{}/hooks/s3cret-path", server.url));
    let mut running = house.start().await;
    let (worker, mut commands) = ScriptedWorker::new("w1");
    worker.connect(running.handle(), "secret");
    build(&mut running, &worker, &mut commands, 0).await;
    let sent = |id| move |event: &Event| matches!(event, Event::ReportSent { report } if report.0 == id).then_some(());
    running.fact("second status", sent(2)).await;
    let states: Vec<_> = server.taken().iter().map(|request| request.json()["state"].clone()).collect();
    assert_eq!(states, [json!("pending"), json!("success")]);

    // A server that repeats what it was sent.
    server.answers(Answer::Http(400, Vec::new(), "bad token t0p-s3cret for /hooks/s3cret-path"));
    build(&mut running, &worker, &mut commands, 2).await;
    let dropped = |event: &Event| match event {
        Event::ReportDropped { why, .. } => Some(why.clone()),
        _ => None,
    };
    let why = running.fact("given up", dropped).await;
    assert!(why.contains("400"), "{why}");
    for id in 3..=5 {
        let given_up =
            |event: &Event| matches!(event, Event::ReportDropped { report, .. } if report.0 == id).then_some(());
        running.fact("all three given up", given_up).await;
    }
    let undelivered = running.handle().store().undelivered().unwrap();
    assert_eq!(undelivered.len(), 3, "{undelivered:#?}");
    for one in &undelivered {
        let own = if one.report.notifier == "chat" { "s3cret-path" } else { "t0p-s3cret" };
        assert!(one.why.contains("bad token") && !one.why.contains(own), "{}", one.why);
    }

    server.answers(Answer::status(201));
    let end = undelivered.iter().find(|one| one.report.subject.outcome() == Some(Outcome::Failure)).unwrap();
    let reply = running.order(Order::Resend { report: end.report.id, of: None }).await;
    assert_eq!(reply, Reply::Done);
    running.fact("sent again", sent(6)).await;
    server.one();
    assert_eq!(running.handle().store().undelivered().unwrap().len(), 2);
    let again = running.order(Order::Resend { report: end.report.id, of: None }).await;
    assert!(matches!(again, Reply::Unknown(_)), "{again:?}");
    running.master.stop().await;
}
