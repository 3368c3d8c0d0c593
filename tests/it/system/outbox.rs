//! Reports: a mail server that is down loses and doubles nothing.

use std::sync::{Arc, Mutex};

use starwright::testing::base::{Clock, Span, SystemClock, Timestamp};
use starwright::testing::model::{Event, Outcome};
use tokio::net::TcpListener;

use super::house::House;
use super::worker::ScriptedWorker;
use crate::support::smtp::SmtpServer;

/// The machine's clock, moved ahead by the test.
#[derive(Debug, Default)]
struct MovedClock(Mutex<Span>);

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(*self.0.lock().unwrap())
    }
}

fn config(port: u16) -> String {
    format!(
        r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force")
load("@stdlib//notify.star", "mail")

worker("w1", password = "secret")
builder("linux", workers = ["w1"], steps = [sh("make", name = "compile")])
force("by-hand", builders = ["linux"])
mail(to = ["team@example.org"], on = ["failure"], sender = "ci@example.org", host = "127.0.0.1", port = {port})
"#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_waits_for_its_server_over_restarts_and_is_sent_once() {
    // A port where nobody listens yet.
    let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let house = House::new(&config(port));
    let clock = Arc::new(MovedClock::default());
    let mut running = house.start_at(clock.clone()).await;
    let (worker, mut commands) = ScriptedWorker::new("w1");
    worker.connect(running.handle(), "secret");
    let build = running.force("linux").await;
    let compile = commands.recv().await.unwrap();
    worker.print(&compile.id, "main.c:7: error: no such thing\n");
    worker.end(&compile.id, 2);
    assert_eq!(running.ended(build).await.0, Outcome::Failure);
    running.fact("failed delivery", |event| matches!(event, Event::ReportFailed { .. }).then_some(())).await;
    running.master.abandon().await;

    let mut server = tokio::task::spawn_blocking(move || SmtpServer::at(port)).await.unwrap();
    *clock.0.lock().unwrap() = Span::from_minutes(120);
    let mut running = house.start_at(clock).await;
    running.fact("delivery", |event| matches!(event, Event::ReportSent { .. }).then_some(())).await;
    let mail = server.mail();
    assert_eq!(mail["to"], serde_json::json!(["team@example.org"]), "{mail}");
    assert!(mail["text"].as_str().unwrap().contains("no such thing"), "{mail}");
    assert!(running.handle().store().outbox().unwrap().is_empty());
    running.master.stop().await;

    house.start().await.master.stop().await;
    assert_eq!(server.stop(), Vec::<serde_json::Value>::new(), "a second mail");
}
