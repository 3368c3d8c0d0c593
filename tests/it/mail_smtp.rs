//! Mails over the wire: a real SMTP server, each way of encryption, each kind of refusal.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::Duration;

use starwright::testing::base::Timestamp;
use starwright::testing::model::{MailPlan, MailTls, Recipients};
use starwright::testing::notify::{DeliveryError, MailMessage, SendOptions, send_mail, send_mail_with};

use crate::support::smtp::{CERTIFICATE, SmtpServer};

fn plan(port: u16) -> MailPlan {
    MailPlan {
        host: "127.0.0.1".into(),
        port,
        tls: MailTls::None,
        user: None,
        password: None,
        from: "Starwright <ci@example.org>".into(),
        recipients: Recipients::default(),
        headers: BTreeMap::new(),
        subject: None,
        body: None,
        html: None,
        log_lines: 20,
    }
}

fn message(to: &[&str]) -> MailMessage {
    MailMessage {
        message_id: "<report-1.abc@starwright>".into(),
        date: Timestamp::from_seconds(1_795_000_000),
        from: "Starwright <ci@example.org>".into(),
        to: to.iter().map(|&to| to.to_owned()).collect(),
        subject: "linux #1 failed – Żółw".into(),
        text: "It broke.\n.\nFrom here on, Łukasz.\n".into(),
        html: Some("<p>It <b>broke</b>.</p>".into()),
        headers: [("X-Starwright-Builder".to_owned(), "Größe".to_owned())].into(),
        remarks: Vec::new(),
        wait_for_all: true,
    }
}

fn trusting() -> SendOptions {
    SendOptions { authorities: vec![std::fs::read_to_string(CERTIFICATE).unwrap()], ..SendOptions::default() }
}

async fn refused(plan: &MailPlan, password: Option<&str>, message: &MailMessage) -> DeliveryError {
    send_mail(plan, password.map(ToOwned::to_owned), message).await.unwrap_err()
}

#[tokio::test]
async fn a_mail_arrives_with_both_parts_and_its_headers() {
    let mut server = SmtpServer::plain();
    let sent = message(&["Łukasz Żak <lz@example.org>", "ann@example.org"]);
    send_mail(&plan(server.port), None, &sent).await.unwrap();

    let mail = server.mail();
    assert_eq!(mail["from"], "ci@example.org");
    assert_eq!(mail["to"], serde_json::json!(["lz@example.org", "ann@example.org"]));
    let headers = &mail["headers"];
    assert_eq!(headers["Subject"], sent.subject.as_str());
    assert_eq!(headers["From"], "Starwright <ci@example.org>");
    assert_eq!(headers["To"], "Łukasz Żak <lz@example.org>, ann@example.org");
    assert_eq!(headers["Message-ID"], "<report-1.abc@starwright>");
    assert_eq!(headers["Date"], "Wed, 18 Nov 2026 11:06:40 +0000");
    assert_eq!(headers["X-Starwright-Builder"], "Größe");
    assert_eq!(mail["text"].as_str().unwrap().replace("\r\n", "\n"), sent.text);
    assert_eq!(mail["html"].as_str().unwrap().trim_end(), "<p>It <b>broke</b>.</p>");
    assert!(mail["raw"].as_str().unwrap().is_ascii());
}

#[tokio::test]
async fn a_mail_without_html_is_plain_text() {
    let mut server = SmtpServer::plain();
    send_mail(&plan(server.port), None, &MailMessage { html: None, ..message(&["ann@example.org"]) }).await.unwrap();
    let mail = server.mail();
    assert!(mail["headers"]["Content-Type"].as_str().unwrap().starts_with("text/plain"), "{mail}");
    assert_eq!(mail["html"], serde_json::Value::Null);
}

#[tokio::test]
async fn encryption_works_with_a_certificate_that_is_trusted() {
    for (name, tls) in [("starttls", MailTls::StartTls), ("tls", MailTls::Tls)] {
        let mut server = SmtpServer::encrypted(name);
        let plan = MailPlan { tls, ..plan(server.port) };
        send_mail_with(&plan, None, &message(&["ann@example.org"]), &trusting()).await.unwrap();
        assert_eq!(server.mail()["encrypted"], true, "{name}");
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_refused_and_the_mail_may_be_tried_again() {
    for (name, tls) in [("starttls", MailTls::StartTls), ("tls", MailTls::Tls)] {
        let server = SmtpServer::encrypted(name);
        let plan = MailPlan { tls, ..plan(server.port) };
        let error = refused(&plan, None, &message(&["ann@example.org"])).await;
        assert!(!error.final_, "{error}");
        assert!(error.message.contains("not signed by an authority that this machine knows"), "{error}");
        assert!(error.message.contains(&format!("`127.0.0.1:{}`", server.port)), "{error}");
        assert_eq!(server.stop(), Vec::<serde_json::Value>::new());
    }
}

#[tokio::test]
async fn a_server_without_starttls_gets_nothing_in_the_clear() {
    let server = SmtpServer::plain();
    let plan = MailPlan { tls: MailTls::StartTls, ..plan(server.port) };
    let error = refused(&plan, None, &message(&["ann@example.org"])).await;
    assert!(!error.final_ && error.message.contains("it offers no STARTTLS: set `tls` to what it has"), "{error}");
    assert_eq!(server.stop(), Vec::<serde_json::Value>::new());
}

#[tokio::test]
async fn a_login_is_given_where_it_is_wanted() {
    let mut server = SmtpServer::with_login("ci", "correct horse");
    let with_user = MailPlan { user: Some("ci".into()), ..plan(server.port) };
    send_mail(&with_user, Some("correct horse".into()), &message(&["ann@example.org"])).await.unwrap();
    assert_eq!(server.mail()["user"], "ci");

    let error = refused(&with_user, Some("battery staple"), &message(&["ann@example.org"])).await;
    assert!(!error.final_, "the password may be put right: {error}");
    assert!(error.message.contains("while logging in: 535"), "{error}");
    assert!(error.message.contains("check `user` and `password`") && !error.message.contains("battery"), "{error}");

    let error = refused(&plan(server.port), None, &message(&["ann@example.org"])).await;
    assert!(!error.final_, "{error}");
    assert!(error.message.contains("530") && error.message.contains("set `user` and `password`"), "{error}");
}

#[tokio::test]
async fn a_password_that_the_server_repeats_stays_secret() {
    let server = SmtpServer::answering(&["MAIL=550 battery staple is not welcome"]);
    let error = refused(&plan(server.port), Some("battery staple"), &message(&["ann@example.org"])).await;
    assert!(error.message.contains("*** is not welcome"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_down_may_come_back() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = refused(&plan(port), None, &message(&["ann@example.org"])).await;
    assert!(!error.final_, "{error}");
    assert!(
        error.message.contains(&format!("`127.0.0.1:{port}`")) && error.message.contains("is it running"),
        "{error}"
    );

    let unknown = MailPlan { host: "no-such-host.invalid".into(), ..plan(25) };
    let error = refused(&unknown, None, &message(&["ann@example.org"])).await;
    assert!(!error.final_ && error.message.contains("check `host`"), "{error}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    // The system completes the connection; nobody ever reads from it.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let plan = plan(silent.local_addr().unwrap().port());
    let options = SendOptions { timeout: Duration::from_millis(50), ..SendOptions::default() };
    let error = send_mail_with(&plan, None, &message(&["ann@example.org"]), &options).await.unwrap_err();
    assert!(!error.final_ && error.message.contains("did not answer within 50ms while connecting"), "{error}");
}

#[tokio::test]
async fn what_the_server_refuses_for_good_is_final_and_what_it_puts_off_is_not() {
    for (answer, stage, is_final) in [
        ("MAIL=553 no such sender", "naming the sender: 553", true),
        ("MAIL=451 later", "naming the sender: 451", false),
        ("ann@example.org=550 no such user", "naming the recipients: 550", true),
        ("ann@example.org=450 greylisted", "naming the recipients: 450", false),
        ("DATA=554 looks like spam", "handing over the mail: 554", true),
        ("DATA=452 disk full", "handing over the mail: 452", false),
    ] {
        let server = SmtpServer::answering(&[answer]);
        let error = refused(&plan(server.port), None, &message(&["ann@example.org"])).await;
        assert_eq!(error.final_, is_final, "{answer}: {error}");
        assert!(error.message.contains(stage), "{answer}: {error}");
        assert!(error.message.contains(answer.split_once('=').unwrap().1), "{answer}: {error}");
    }
}

#[tokio::test]
async fn a_recipient_that_does_not_exist_keeps_nobody_else_from_the_mail() {
    let mut server = SmtpServer::answering(&["gone@example.org=550 no such user"]);
    let left_out =
        send_mail(&plan(server.port), None, &message(&["gone@example.org", "ann@example.org"])).await.unwrap();
    assert_eq!(server.mail()["to"], serde_json::json!(["ann@example.org"]));
    assert!(left_out.len() == 1 && left_out[0].contains("`gone@example.org` did not get it: "), "{left_out:?}");
    assert!(left_out[0].contains("550 no such user"), "{left_out:?}");

    let nobody = SmtpServer::answering(&["a@example.org=550 no such user", "b@example.org=551 moved"]);
    let error = refused(&plan(nobody.port), None, &message(&["a@example.org", "b@example.org"])).await;
    assert!(error.final_ && error.message.ends_with("for a@example.org and 1 other"), "{error}");
}

#[tokio::test]
async fn a_recipient_that_is_put_off_holds_the_mail_so_that_nobody_gets_it_twice() {
    let mut server = SmtpServer::answering(&["slow@example.org=450 greylisted"]);
    let waiting = message(&["ann@example.org", "slow@example.org"]);
    let error = refused(&plan(server.port), None, &waiting).await;
    assert!(!error.final_ && error.message.contains("for slow@example.org"), "{error}");

    send_mail(&plan(server.port), None, &MailMessage { wait_for_all: false, ..waiting }).await.unwrap();
    assert_eq!(server.mail()["to"], serde_json::json!(["ann@example.org"]));
    assert_eq!(server.stop(), Vec::<serde_json::Value>::new());
}

#[tokio::test]
async fn a_mail_to_nobody_is_final() {
    let error = refused(&plan(1), None, &message(&[])).await;
    assert!(error.final_ && error.message.contains("there is nobody to write to"), "{error}");
    let error = refused(&plan(1), None, &MailMessage { from: "ci".into(), ..message(&["ann@example.org"]) }).await;
    assert!(error.final_ && error.message.contains("the sender `ci` is not a valid mail address"), "{error}");
}

/// Addresses that are not ASCII need an extension, which this server has not.
#[tokio::test]
async fn an_address_that_the_server_cannot_take_keeps_nobody_else_from_the_mail() {
    let mut server = SmtpServer::old();
    let sent = message(&["jörg@example.com", "Idn <user@exämple.org>", "team@example.org"]);
    let left_out = send_mail(&plan(server.port), None, &sent).await.unwrap();
    let mail = server.mail();
    assert_eq!(mail["to"], serde_json::json!(["user@xn--exmple-cua.org", "team@example.org"]));
    assert_eq!(mail["headers"]["To"], "Idn <user@xn--exmple-cua.org>, team@example.org");
    assert!(mail["raw"].as_str().unwrap().is_ascii());
    assert!(left_out.len() == 1 && left_out[0].contains("`jörg@example.com` did not get it: "), "{left_out:?}");

    let error = refused(&plan(server.port), None, &message(&["jörg@example.com"])).await;
    assert!(error.final_ && error.message.contains("takes no address with letters beyond ASCII"), "{error}");
    let odd = MailMessage { from: "jörg@example.com".into(), ..message(&["team@example.org"]) };
    let error = refused(&plan(server.port), None, &odd).await;
    assert!(error.final_ && error.message.contains("jörg@example.com"), "{error}");
}

#[tokio::test]
async fn an_address_in_any_script_is_written_to_where_the_server_can() {
    let mut server = SmtpServer::plain();
    let sent = message(&["Jörg <jörg@exämple.org>", "team@example.org"]);
    assert_eq!(send_mail(&plan(server.port), None, &sent).await.unwrap(), Vec::<String>::new());
    assert_eq!(server.mail()["to"], serde_json::json!(["jörg@xn--exmple-cua.org", "team@example.org"]));
}

#[tokio::test]
async fn no_line_is_too_long_for_a_strict_server() {
    let mut server = SmtpServer::strict();
    let many: Vec<String> = (0..90).map(|n| format!("\"Doe, J. ({n})\" <developer{n}@example.org>")).collect();
    let sent = MailMessage {
        subject: "é".repeat(500),
        text: format!("{}\n{}\r\nlone\rreturn\n", "x".repeat(2000), "ж".repeat(1200)),
        headers: [
            ("References".to_owned(), "<some-message@example.org> ".repeat(100)),
            ("Reply-To".to_owned(), "dev@example.org,".repeat(100)),
            ("X-Long".to_owned(), "x".repeat(1500)),
        ]
        .into(),
        ..message(&many.iter().map(String::as_str).collect::<Vec<_>>())
    };
    send_mail(&plan(server.port), None, &sent).await.unwrap();
    let mail = server.mail();
    assert_eq!(mail["to"].as_array().unwrap().len(), 90);
    assert_eq!(mail["headers"]["Subject"].as_str().unwrap(), sent.subject);
    assert_eq!(mail["headers"]["X-Long"].as_str().unwrap(), "x".repeat(1500));
    assert_eq!(mail["headers"]["To"].as_str().unwrap().matches("\"Doe, J. (").count(), 90);
    let head = mail["raw"].as_str().unwrap().split("\r\n\r\n").next().unwrap().to_owned();
    assert!(head.lines().all(|line| line.len() <= 78), "{head}");
    assert!(mail["text"].as_str().unwrap().contains(&"ж".repeat(1200)));
}

#[tokio::test]
async fn hundreds_of_recipients_get_it_in_parts_that_every_server_takes() {
    let mut server = SmtpServer::strict();
    let many: Vec<String> = (0..250).map(|n| format!("developer{n}@example.org")).collect();
    let sent = message(&many.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(send_mail(&plan(server.port), None, &sent).await.unwrap(), Vec::<String>::new());
    let parts: Vec<usize> = (0..3).map(|_| server.mail()["to"].as_array().unwrap().len()).collect();
    assert_eq!(parts, [100, 100, 50]);
}
