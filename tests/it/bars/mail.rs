//! Mail through the whole house: a commit breaks a builder, a later one mends it.

use serde_json::Value as Json;

use super::{Place, finished_build};
use crate::support::git::Repository;
use crate::support::http::{items, request, wait_for};
use crate::support::smtp::SmtpServer;

const CONFIG: &str = r#"
load("@stdlib//notify.star", "mail")
load("@stdlib//schedulers.star", "on_change")
load("@stdlib//source.star", "git", "git_poller")
load("@stdlib//steps.star", "sh")
worker("local")
git_poller("REPOSITORY", name = "code", every = "1s", branches = ["main"])
builder("linux", workers = ["local"], steps = [git("REPOSITORY"), sh("sh ./check.sh", name = "check")])
on_change("commits", builders = ["linux"], quiet = "0s")
mail(blame = True, on = ["problem", "recovery"], host = "127.0.0.1", port = PORT, sender = "CI <ci@example.org>")
"#;

/// Commits a new check as somebody.
fn commit_as(repository: &Repository, author: &str, script: &str) -> String {
    std::fs::write(repository.path.join("check.sh"), script).unwrap();
    repository.git(&["commit", "-q", "-a", "--author", author, "-m", &format!("{author} changes the check")]);
    repository.git(&["rev-parse", "HEAD"]).trim().to_owned()
}

fn outcome_of(address: &str, revision: &str) -> Json {
    wait_for(address, "the commit's build", || finished_build(address, "linux", Some(revision)))["results"].clone()
}

#[test]
fn a_red_build_mails_its_author_and_the_next_green_one_mails_recovery() {
    let place = Place::new();
    let mut server = SmtpServer::plain();
    let repository = Repository::new(&place.path("code"), &[("check.sh", "echo fine\n")]);
    let text = CONFIG.replace("REPOSITORY", &repository.path.display().to_string());
    let config = place.write("master.star", &text.replace("PORT", &server.port.to_string()));
    let up = place.up(&config);
    let address = up.address.clone();
    wait_for(&address, "the first poll", || {
        let (_, page) = request(&address, "GET", "/api/starwright/v1/sources", &[], "");
        page.contains("\"polled_at\":1").then_some(())
    });
    let green = commit_as(&repository, "Cleo <cleo@example.org>", "echo still fine\n");
    assert_eq!(outcome_of(&address, &green), 0);

    let red = commit_as(
        &repository,
        "Bob Burns <bob@example.org>",
        "echo compiling\necho 'main.c:7: no such thing'\nexit 2\n",
    );
    assert_eq!(outcome_of(&address, &red), 2);
    let problem = server.mail();
    assert_eq!(problem["to"], serde_json::json!(["bob@example.org"]), "whose change broke it: {problem}");
    assert_eq!(problem["from"], "ci@example.org");
    let subject = problem["headers"]["Subject"].as_str().unwrap();
    assert!(subject.contains("linux"), "{subject}");
    for part in ["text", "html"] {
        let body = problem[part].as_str().unwrap();
        assert!(body.contains("main.c:7: no such thing"), "the {part} has the step's last lines:\n{body}");
        assert!(body.contains("Bob Burns"), "the {part} names the change:\n{body}");
        let page = format!("http://{address}/");
        assert!(body.contains(&page), "the {part} links the build's page below {page}:\n{body}");
    }

    // Red again: no news, no mail.
    let still = commit_as(&repository, "Dora <dora@example.org>", "exit 3\n");
    assert_eq!(outcome_of(&address, &still), 2);
    let mended = commit_as(&repository, "Eve Evans <eve@example.org>", "echo mended\n");
    assert_eq!(outcome_of(&address, &mended), 0);
    let recovery = server.mail();
    assert_eq!(recovery["to"], serde_json::json!(["eve@example.org"]), "{recovery}");
    let headers = &recovery["headers"];
    assert_ne!(headers["Message-ID"], problem["headers"]["Message-ID"]);
    assert!(recovery["text"].as_str().unwrap().contains("linux"), "{recovery}");

    wait_for(&address, "an empty outbox", || {
        let (status, outbox) = request(&address, "GET", "/api/starwright/v1/deliveries", &[], "");
        assert_eq!(status, 200, "{outbox}");
        outbox.contains("\"reports\":[]").then_some(())
    });
    assert_eq!(items(&address, "builders/linux/builds").len(), 4);
    drop(up);
    assert_eq!(server.stop(), Vec::<Json>::new(), "nobody else got mail");
}
