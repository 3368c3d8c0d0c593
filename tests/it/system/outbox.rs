//! Reports: a mail server that is down loses and doubles nothing.

use std::sync::{Arc, Mutex};

use starwright::base::{Clock, Span, SystemClock, Timestamp};
use starwright::model::{Event, Outcome};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::house::House;
use super::worker::ScriptedWorker;

/// The machine's clock, moved ahead by the test.
#[derive(Default)]
struct MovedClock(Mutex<Span>);

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(*self.0.lock().unwrap())
    }
}

/// Takes mails at a port; each comes out as its text.
fn mail_server(listener: TcpListener) -> mpsc::UnboundedReceiver<String> {
    let (mails, inbox) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(take_mail(stream, mails.clone()));
        }
    });
    inbox
}

async fn take_mail(stream: TcpStream, mails: mpsc::UnboundedSender<String>) -> std::io::Result<()> {
    let (reading, mut writing) = stream.into_split();
    let mut lines = BufReader::new(reading).lines();
    writing.write_all(b"220 test\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let answer: &[u8] = if line.starts_with("DATA") {
            writing.write_all(b"354 go on\r\n").await?;
            let mut text = String::new();
            while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                text += &line;
                text.push('\n');
            }
            mails.send(text).unwrap();
            b"250 taken\r\n"
        } else if line.starts_with("QUIT") {
            b"221 bye\r\n"
        } else {
            b"250 ok\r\n"
        };
        writing.write_all(answer).await?;
    }
    Ok(())
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

    let mut mails = mail_server(TcpListener::bind(("127.0.0.1", port)).await.unwrap());
    *clock.0.lock().unwrap() = Span::from_minutes(120);
    let mut running = house.start_at(clock).await;
    running.fact("delivery", |event| matches!(event, Event::ReportSent { .. }).then_some(())).await;
    let mail = mails.recv().await.unwrap();
    assert!(mail.contains("To: team@example.org") && mail.contains("no such thing"), "{mail}");
    assert!(running.handle().store().outbox().unwrap().is_empty());
    running.master.stop().await;

    house.start().await.master.stop().await;
    assert!(mails.try_recv().is_err(), "a second mail");
}
