//! Statuses, comments and chats: what `@stdlib//forges.star` and `@stdlib//chats.star` send.
//!
//! The server is a fake, because forges and chats cannot be had here. Each test says which documented request it checks:
//! method, path, headers, fields, and the words that are allowed in them.

use serde_json::{Value as Json, json};
use starwright::testing::config::{self, Loaded};
use starwright::testing::model::{
    BuilderRecord, BuildsetId, Outcome, Report, ReportReason, ReportSubject, RequestId, RequestRecord, StampSpec, Value,
};
use starwright::testing::notify::{
    self, BuildFacts, DeliveryError, Makers, ReportFacts, RequestFacts, SetBuild, SetFacts,
};
use starwright::testing::secrets::Secrets;
use tempfile::TempDir;

use crate::mail::facts;
use crate::support::fake_http::{Answer, FakeHttp, Received};
use crate::support::https::HttpsServer;
use crate::support::smtp::{CERTIFICATE, KEY};

const SHA: &str = "4f3a2b1c9d00112233445566778899aabbccddee";
const PAGE: &str = "http://ci.example.org/builders/3/builds/12";
const OUTCOMES: [Outcome; 6] =
    [Outcome::Success, Outcome::Warnings, Outcome::Failure, Outcome::Exception, Outcome::Cancelled, Outcome::Skipped];

/// A configuration with one notifier, and the server that it speaks to.
struct Scene {
    place: TempDir,
    loaded: Loaded,
    server: FakeHttp,
}

impl Scene {
    /// `SERVER` in the declaration is the server's address. There are the secrets `token` and `hook`.
    fn new(declaration: &str) -> Self {
        let server = FakeHttp::new();
        let place = TempDir::new().unwrap();
        std::fs::create_dir(place.path().join("secrets")).unwrap();
        std::fs::write(place.path().join("secrets/token"), "t0p-s3cret\n").unwrap();
        std::fs::write(place.path().join("secrets/hook"), format!("{}/hooks/s3cret-path\n", server.url)).unwrap();
        let file = place.path().join("master.star");
        let (call, _) = declaration.split_once('(').unwrap();
        let library = ["forges", "chats", "notify"].into_iter().find(|name| {
            let text = std::fs::read_to_string(format!("{}/stdlib/{name}.star", env!("CARGO_MANIFEST_DIR"))).unwrap();
            text.contains(&format!("\ndef {call}("))
        });
        let text = format!(
            "load(\"@stdlib//{}.star\", \"{call}\")\nworker(\"w\")\n{}\n",
            library.unwrap(),
            declaration.replace("SERVER", &server.url)
        );
        std::fs::write(&file, text).unwrap();
        let loaded = config::load(&file).unwrap_or_else(|refused| panic!("{refused}"));
        Self { place, loaded, server }
    }

    async fn deliver(&self, facts: ReportFacts) -> Result<(), DeliveryError> {
        let kind = &self.loaded.plan.notifiers.values().next().unwrap().kind;
        let scripts = &self.loaded.scripts;
        let makers = Makers {
            text: &|function, facts| scripts.render(function, facts).map_err(|error| error.message),
            data: &|function, facts| scripts.compute(function, facts).map_err(|error| error.message),
        };
        let letter = notify::write(kind, &facts, &makers).unwrap_or_else(|why| panic!("{why}"));
        let secrets = Secrets::new(&self.loaded.plan.secrets, self.place.path());
        let mut reveal = |text: &_| secrets.reveal(text).map(|(text, _)| text).map_err(|error| error.message);
        let credentials = notify::credentials(kind, self.place.path(), &mut reveal).unwrap();
        letter.deliver(credentials).await.map(drop)
    }

    /// The request that a build becomes which ended like this.
    async fn ended(&self, outcome: Outcome) -> Received {
        self.sent(ended(outcome)).await
    }

    async fn sent(&self, facts: BuildFacts) -> Received {
        self.deliver(ReportFacts::Build(Box::new(facts))).await.unwrap();
        self.server.one()
    }

    /// The word that stands at this place of the JSON for a request, a start and each outcome.
    async fn words(&self, place: &str) -> Vec<String> {
        self.deliver(requested(None)).await.unwrap();
        let mut all = vec![self.server.one().json()];
        all.push(self.sent(started()).await.json());
        for outcome in OUTCOMES {
            all.push(self.ended(outcome).await.json());
        }
        all.iter().map(|json| json.pointer(place).map_or("-", |word| word.as_str().unwrap()).to_owned()).collect()
    }
}

fn with_subject(subject: ReportSubject, reason: ReportReason) -> BuildFacts {
    let facts = facts();
    BuildFacts { report: Report { subject, reason, ..facts.report.clone() }, ..facts }
}

fn started() -> BuildFacts {
    let facts = facts();
    with_subject(ReportSubject::Start { build: facts.build.id, builder: facts.builder.id }, ReportReason::Start)
}

fn ended(outcome: Outcome) -> BuildFacts {
    let facts = facts();
    let (build, builder) = (facts.build.id, facts.builder.id);
    with_subject(ReportSubject::Build { build, builder, outcome, previous: None }, ReportReason::Always)
}

/// A request that was made, or that ended without a build.
fn requested(outcome: Option<Outcome>) -> ReportFacts {
    let facts = facts();
    let (request, buildset, builder) = (RequestId(9), BuildsetId(5), facts.builder.id);
    let subject = ReportSubject::Request { request, builder, buildset, outcome };
    ReportFacts::Request(Box::new(RequestFacts {
        report: Report { subject, reason: ReportReason::Pending, ..facts.report },
        installation: facts.installation,
        title: facts.title,
        url: facts.url,
        request: RequestRecord {
            id: request,
            buildset,
            builder,
            priority: 0,
            submitted: facts.build.started,
            claimed: None,
            completed: None,
            outcome,
            waited_for: false,
            collapsed_into: None,
            properties: facts.build.properties,
        },
        builder: facts.builder,
        buildset: facts.buildset,
        scheduler: facts.scheduler,
        changes: facts.changes,
        now: facts.now,
    }))
}

/// A failed build of this branch.
fn of_branch(branch: &str) -> BuildFacts {
    let mut facts = ended(Outcome::Failure);
    facts.buildset.as_mut().unwrap().stamps[0].spec.branch = Some(branch.to_owned());
    facts
}

/// `POST /repos/{owner}/{repo}/statuses/{sha}` of GitHub's REST API, version 2022-11-28.
#[tokio::test]
async fn github_gets_commit_statuses() {
    let scene = Scene::new(
        r#"github_status(token = secret("token"), api = "SERVER", host = "example.org", repository = "acme/app")"#,
    );
    let request = scene.ended(Outcome::Failure).await;
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", &*format!("/repos/acme/app/statuses/{SHA}")));
    assert_eq!(request.headers["authorization"], "Bearer t0p-s3cret");
    assert_eq!(request.headers["accept"], "application/vnd.github+json");
    assert_eq!(request.headers["x-github-api-version"], "2022-11-28");
    assert!(request.headers["user-agent"].starts_with("starwright/"), "GitHub refuses requests without it");
    let want = json!({
        "state": "failure",
        "target_url": PAGE,
        "description": "'make' ended with exit code 2 (after 3m 20s)",
        "context": "starwright/linux",
    });
    assert_eq!(request.json(), want);
    let words = scene.words("/state").await;
    assert_eq!(words, ["pending", "pending", "success", "success", "failure", "error", "error", "success"]);
}

#[tokio::test]
async fn a_status_is_for_the_revision_that_was_checked_out_at_this_forge() {
    let scene = Scene::new(r#"github_status(token = secret("token"), api = "SERVER", host = "example.org")"#);
    let got = "a".repeat(40);
    let mut facts = ended(Outcome::Success);
    facts.build.properties.set("got_revision", got.as_str(), "git");
    assert_eq!(scene.sent(facts.clone()).await.path, format!("/repos/sysgrove/statuses/{got}"));
    for (repository, path) in [
        ("git@example.org:acme/app.git", Some("acme/app")),
        ("ssh://git@example.org:2222/acme/app", Some("acme/app")),
        ("https://ann@EXAMPLE.org/acme/app.git/", Some("acme/app")),
        ("https://elsewhere.org/acme/app.git", None),
        ("", None),
    ] {
        facts.buildset.as_mut().unwrap().stamps[0].spec.repository = repository.to_owned();
        scene.deliver(ReportFacts::Build(Box::new(facts.clone()))).await.unwrap();
        let paths: Vec<String> = scene.server.taken().into_iter().map(|request| request.path).collect();
        let want: Vec<String> = path.iter().map(|path| format!("/repos/{path}/statuses/{got}")).collect();
        assert_eq!(paths, want, "{repository}");
    }
    let mut unknown = started();
    unknown.buildset.as_mut().unwrap().stamps[0].spec.revision = None;
    scene.deliver(ReportFacts::Build(Box::new(unknown))).await.unwrap();
    assert_eq!(scene.server.taken().len(), 0, "nothing is said about a revision that is not known");
}

#[tokio::test]
async fn a_build_that_no_change_started_is_for_the_repository_that_was_checked_out() {
    let scene = Scene::new(r#"github_status(token = secret("token"), api = "SERVER", host = "example.org")"#);
    let got = "a".repeat(40);
    let mut facts = ended(Outcome::Success);
    facts.buildset.as_mut().unwrap().stamps[0].spec = StampSpec::default();
    facts.build.properties.set("got_revision", got.as_str(), "git");
    facts.build.properties.set("got_repository", "https://example.org/acme/app.git", "git");
    assert_eq!(scene.sent(facts.clone()).await.path, format!("/repos/acme/app/statuses/{got}"));
    let by_codebase = [(String::new(), Value::Str("https://example.org/acme/lib.git".to_owned()))];
    facts.build.properties.set("got_repository", Value::Map(by_codebase.into()), "git");
    assert_eq!(scene.sent(facts.clone()).await.path, format!("/repos/acme/lib/statuses/{got}"));
    facts.build.properties.set("got_repository", "https://elsewhere.org/acme/app.git", "git");
    scene.deliver(ReportFacts::Build(Box::new(facts))).await.unwrap();
    assert_eq!(scene.server.taken().len(), 0, "it is on another host");
}

#[tokio::test]
async fn each_codebase_gets_its_status() {
    let scene = Scene::new(r#"github_status(token = secret("token"), api = "SERVER", host = "example.org")"#);
    let mut facts = ended(Outcome::Success);
    let stamps = &mut facts.buildset.as_mut().unwrap().stamps;
    stamps.push(stamps[0].clone());
    stamps[0].spec.codebase = "app".to_owned();
    stamps[1].spec.codebase = "lib".to_owned();
    stamps[1].spec.repository = "https://example.org/lib".to_owned();
    let got = [("app", "a"), ("lib", "b")].map(|(name, letter)| (name.to_owned(), Value::Str(letter.repeat(40))));
    facts.build.properties.set("got_revision", Value::Map(got.into()), "git");
    scene.deliver(ReportFacts::Build(Box::new(facts))).await.unwrap();
    let paths: Vec<String> = scene.server.taken().into_iter().map(|request| request.path).collect();
    let want =
        [("sysgrove", "a"), ("lib", "b")].map(|(repo, sha)| format!("/repos/{repo}/statuses/{}", sha.repeat(40)));
    assert_eq!(paths, want);
}

#[tokio::test]
async fn a_cancelled_request_is_no_longer_pending() {
    let scene = Scene::new(r#"github_status(token = secret("token"), api = "SERVER", host = "example.org")"#);
    scene.deliver(requested(Some(Outcome::Cancelled))).await.unwrap();
    let status = scene.server.one().json();
    assert_eq!(
        (&status["state"], &status["target_url"]),
        (&json!("error"), &json!("http://ci.example.org/requests/9"))
    );
}

/// `POST /repos/{owner}/{repo}/check-runs` of GitHub's REST API, version 2022-11-28.
#[tokio::test]
async fn github_gets_check_runs_with_annotations() {
    let scene = Scene::new(
        r#"github_checks(token = secret("token"), api = "SERVER", host = "example.org", repository = "acme/app")"#,
    );
    let annotation = |line: i64| json!({"path": "parser.c", "start_line": line, "end_line": line, "annotation_level": "failure", "message": "no"});
    let mut facts = ended(Outcome::Failure);
    let annotations: Vec<Value> = (1..=60).map(|line| Value::from_json(&annotation(line))).collect();
    facts.build.properties.set("annotations", Value::List(annotations), "lint");
    let request = scene.sent(facts).await;
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/repos/acme/app/check-runs"));
    let check = request.json();
    for (key, want) in [
        ("name", json!("starwright/linux")),
        ("head_sha", json!(SHA)),
        ("details_url", json!(PAGE)),
        ("external_id", json!("report-7.5f0c1a")),
        ("status", json!("completed")),
        ("conclusion", json!("failure")),
    ] {
        assert_eq!(check[key], want, "{key}");
    }
    assert_eq!(check["output"]["annotations"].as_array().unwrap().len(), 50, "GitHub takes no more");
    assert_eq!(check["output"]["annotations"][0], annotation(1));
    let summary = check["output"]["summary"].as_str().unwrap();
    assert!(summary.contains("10 more annotations") && summary.contains("expected ';'"), "{summary}");
    let started = scene.sent(started()).await.json();
    assert_eq!((&started["status"], started.get("conclusion")), (&json!("in_progress"), None));
    let words = scene.words("/status").await;
    assert_eq!(words[..3], ["queued", "in_progress", "completed"]);
    let words = scene.words("/conclusion").await;
    assert_eq!(words, ["-", "-", "success", "neutral", "failure", "failure", "cancelled", "skipped"]);
}

/// `POST /projects/:id/statuses/:sha` of GitLab's API, version 4; the id may be the path, URL-encoded.
#[tokio::test]
async fn gitlab_gets_commit_statuses() {
    let scene = Scene::new(
        r#"gitlab_status(token = secret("token"), api = "SERVER", host = "example.org", repository = "group/sub/app")"#,
    );
    let request = scene.ended(Outcome::Failure).await;
    let path = format!("/api/v4/projects/group%2Fsub%2Fapp/statuses/{SHA}");
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", path.as_str()));
    assert_eq!(request.headers["authorization"], "Bearer t0p-s3cret");
    let status = request.json();
    assert_eq!((&status["name"], &status["target_url"]), (&json!("starwright/linux"), &json!(PAGE)));
    assert_eq!((&status["ref"], &status["state"]), (&json!("main"), &json!("failed")));
    assert_eq!(scene.sent(of_branch("refs/merge-requests/7/head")).await.json().get("ref"), None);
    let words = scene.words("/state").await;
    assert_eq!(words, ["pending", "running", "success", "success", "failed", "failed", "canceled", "skipped"]);
}

#[tokio::test]
async fn a_status_that_gitlab_has_already_is_no_failure() {
    let scene = Scene::new(r#"gitlab_status(token = secret("token"), api = "SERVER", host = "example.org")"#);
    let answer = |text| Answer::Http(400, Vec::new(), text);
    let facts = || ReportFacts::Build(Box::new(started()));
    let known = r#"{"message":"Cannot transition status via :run from :running (Reason(s): Status cannot transition via \"run\")"}"#;
    scene.server.answers(answer(known));
    scene.deliver(facts()).await.unwrap();
    scene.server.answers(answer(r#"{"error":"state does not have a valid value"}"#));
    assert!(scene.deliver(facts()).await.unwrap_err().final_);
}

/// `POST /repos/{owner}/{repo}/statuses/{sha}` of Gitea's and Forgejo's API, version 1.
#[tokio::test]
async fn gitea_gets_commit_statuses() {
    let scene = Scene::new(
        r#"gitea_status(token = secret("token"), api = "SERVER", host = "example.org", repository = "acme/app")"#,
    );
    let request = scene.ended(Outcome::Failure).await;
    let path = format!("/api/v1/repos/acme/app/statuses/{SHA}");
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", path.as_str()));
    assert_eq!(request.headers["authorization"], "Bearer t0p-s3cret");
    let status = request.json();
    assert_eq!((&status["context"], &status["target_url"]), (&json!("starwright/linux"), &json!(PAGE)));
    let words = scene.words("/state").await;
    assert_eq!(words, ["pending", "pending", "success", "warning", "failure", "error", "error", "success"]);
}

/// `POST /2.0/repositories/{workspace}/{repo_slug}/commit/{commit}/statuses/build` of Bitbucket Cloud.
#[tokio::test]
async fn bitbucket_gets_build_statuses() {
    let scene = Scene::new(
        r#"bitbucket_status(user = "ann", password = secret("token"), api = "SERVER", host = "example.org", repository = "acme/app",
            context = "starwright/a builder with a very long name indeed")"#,
    );
    let request = scene.ended(Outcome::Failure).await;
    let path = format!("/2.0/repositories/acme/app/commit/{SHA}/statuses/build");
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", path.as_str()));
    assert_eq!(request.headers["authorization"], "Basic YW5uOnQwcC1zM2NyZXQ=");
    let status = request.json();
    assert_eq!((&status["url"], &status["refname"]), (&json!(PAGE), &json!("main")));
    let key = status["key"].as_str().unwrap();
    assert!(key.len() <= 40 && key.starts_with("starwright/a builder"), "{key}: Bitbucket takes 40 characters");
    let words = scene.words("/state").await;
    let want = ["INPROGRESS", "INPROGRESS", "SUCCESSFUL", "SUCCESSFUL", "FAILED", "FAILED", "STOPPED", "STOPPED"];
    assert_eq!(words, want);
}

/// `POST /rest/build-status/1.0/commits/{commitId}` of Bitbucket Server and Data Center, which answers 204.
#[tokio::test]
async fn bitbucket_server_gets_build_statuses() {
    let scene = Scene::new(
        r#"bitbucketserver_status(token = secret("token"), api = "SERVER", host = "example.org", repository = "ACME/app")"#,
    );
    scene.server.answers(Answer::status(204));
    let request = scene.ended(Outcome::Failure).await;
    let path = format!("/rest/build-status/1.0/commits/{SHA}");
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", path.as_str()));
    let status = request.json();
    for key in ["key", "name", "url", "description"] {
        assert!(status[key].is_string(), "{key}");
    }
    let words = scene.words("/state").await;
    assert!(words.iter().all(|word| ["INPROGRESS", "SUCCESSFUL", "FAILED"].contains(&word.as_str())), "{words:?}");
}

/// `POST /a/changes/{change-id}/revisions/{revision-id}/review` of Gerrit's REST API.
#[tokio::test]
async fn gerrit_gets_votes() {
    let scene = Scene::new(r#"gerrit_review(api = "SERVER", user = "ci", password = secret("token"))"#);
    let request = scene.sent(of_branch("refs/changes/34/1234/5")).await;
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/a/changes/1234/revisions/5/review"));
    assert_eq!(request.headers["authorization"], "Basic Y2k6dDBwLXMzY3JldA==");
    let review = request.json();
    assert_eq!((&review["labels"], &review["notify"]), (&json!({"Verified": -1}), &json!("OWNER")));
    assert_eq!(review["tag"], json!("autogenerated:starwright"));
    assert!(review["message"].as_str().unwrap().contains(PAGE), "{review}");
    let mut facts = started();
    for (name, value) in [("event.change.number", 1234), ("event.patchSet.number", 6)] {
        facts.build.properties.set(name, i64::from(value), "Change");
    }
    let review = scene.sent(facts).await;
    assert_eq!(review.path, "/a/changes/1234/revisions/6/review");
    assert_eq!((review.json().get("labels"), &review.json()["notify"]), (None, &json!("NONE")));
    scene.deliver(ReportFacts::Build(Box::new(ended(Outcome::Success)))).await.unwrap();
    assert_eq!(scene.server.taken().len(), 0, "a build of no change votes on none");
}

/// Comments on pull and merge requests, as each forge documents them.
#[tokio::test]
async fn pull_requests_get_comments() {
    for (forge, branch, path, place) in [
        ("github", "refs/pull/7/merge", "/repos/sysgrove/issues/7/comments", "/body"),
        ("gitlab", "refs/merge-requests/7/head", "/api/v4/projects/sysgrove/merge_requests/7/notes", "/body"),
        ("gitea", "refs/pull/7/head", "/api/v1/repos/sysgrove/issues/7/comments", "/body"),
        ("bitbucket", "refs/pull/7/head", "/2.0/repositories/sysgrove/pullrequests/7/comments", "/content/raw"),
    ] {
        let scene = Scene::new(&format!(
            r#"pull_request_comment("{forge}", token = secret("token"), api = "SERVER", host = "example.org")"#
        ));
        let request = scene.sent(of_branch(branch)).await;
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", path));
        let text = request.json().pointer(place).unwrap().as_str().unwrap().to_owned();
        assert!(text.contains(PAGE) && text.contains("expected ';' before '}'"), "{text}");
        scene.deliver(ReportFacts::Build(Box::new(of_branch("main")))).await.unwrap();
        assert_eq!(scene.server.taken().len(), 0, "{forge}: a build of a branch has nowhere to comment");
    }
    let scene = Scene::new(
        r#"pull_request_comment("bitbucketserver", token = secret("token"), api = "SERVER", host = "example.org",
            repository = "scm/ACME/app", text = lambda m: "hi")"#,
    );
    let mut facts = ended(Outcome::Failure);
    facts.build.properties.set("pull.number", 7_i64, "Change");
    let request = scene.sent(facts).await;
    assert_eq!(request.path, "/rest/api/1.0/projects/ACME/repos/app/pull-requests/7/comments");
    assert_eq!(request.json(), json!({"text": "hi"}));
}

/// Incoming web hooks of Slack (and Mattermost) and of Discord, a workflow of Teams: each a secret address.
#[tokio::test]
async fn chats_with_web_hooks_get_their_messages() {
    for (chat, place) in [("slack", "/text"), ("discord", "/content"), ("teams", "/attachments/0/content/body/0/text")]
    {
        let scene = Scene::new(&format!(r#"{chat}(url = secret("hook"))"#));
        let request = scene.ended(Outcome::Failure).await;
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/hooks/s3cret-path"));
        let json = request.json();
        let text = json.pointer(place).and_then(Json::as_str).unwrap();
        assert!(text.contains("linux #12 failed in compile"), "{chat}: {text}");
        match chat {
            "slack" => assert!(text.starts_with(&format!("<{PAGE}|")), "{text}"),
            "discord" => assert_eq!(json["allowed_mentions"], json!({"parse": []})),
            _ => {
                let attachment = &json["attachments"][0];
                assert_eq!(json["type"], json!("message"));
                assert_eq!(attachment["contentType"], json!("application/vnd.microsoft.card.adaptive"));
                assert_eq!(attachment["content"]["actions"][0]["url"], json!(PAGE));
            }
        }
    }
}

/// `PUT /_matrix/client/v3/rooms/{roomId}/send/{eventType}/{txnId}` of Matrix's client-server API.
#[tokio::test]
async fn matrix_gets_its_messages_once() {
    let scene = Scene::new(r#"matrix(server = "SERVER", room = "!abc:example.org", token = secret("token"))"#);
    let request = scene.ended(Outcome::Failure).await;
    let path = "/_matrix/client/v3/rooms/%21abc%3Aexample.org/send/m.room.message/report-7.5f0c1a";
    assert_eq!((request.method.as_str(), request.path.as_str()), ("PUT", path));
    assert_eq!(request.headers["authorization"], "Bearer t0p-s3cret");
    assert_eq!(request.json()["msgtype"], json!("m.notice"));
    assert_eq!(scene.ended(Outcome::Failure).await.path, path, "the same report has the same transaction");
}

/// `POST /api/v1/messages` of Zulip's REST API, as a form.
#[tokio::test]
async fn zulip_gets_its_messages() {
    let scene = Scene::new(
        r#"zulip(server = "SERVER", stream = "ci & more", user = "bot@example.org", password = secret("token"))"#,
    );
    let request = scene.ended(Outcome::Failure).await;
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/api/v1/messages"));
    assert_eq!(request.headers["content-type"], "application/x-www-form-urlencoded");
    assert!(request.headers["authorization"].starts_with("Basic "));
    assert!(
        request.body.contains("type=stream&to=ci%20%26%20more&topic=linux&content=%5Blinux%20%2312"),
        "{}",
        request.body
    );
}

#[tokio::test]
async fn a_plain_notifier_posts_all_that_a_message_can_tell() {
    let scene = Scene::new(r#"http("SERVER/builds", token = secret("token"), headers = {"X-Key": secret("token")})"#);
    let request = scene.ended(Outcome::Failure).await;
    assert_eq!((request.path.as_str(), request.headers["x-key"].as_str()), ("/builds", "t0p-s3cret"));
    let message = request.json();
    for (key, want) in [
        ("event", json!("end")),
        ("builder", json!("linux")),
        ("number", json!(12)),
        ("outcome", json!("failure")),
        ("url", json!(PAGE)),
        ("id", json!("report-7.5f0c1a")),
    ] {
        assert_eq!(message[key], want, "{key}");
    }
}

#[tokio::test]
async fn an_answer_says_why_it_was_not_taken_and_no_more_than_it_may() {
    let scene = Scene::new(r#"slack(url = secret("hook"))"#);
    let facts = || ReportFacts::Build(Box::new(ended(Outcome::Failure)));
    scene.server.answers(Answer::Http(404, Vec::new(), "no_such_channel"));
    let error = scene.deliver(facts()).await.unwrap_err();
    assert!(error.final_ && error.message.contains("404") && error.message.contains("no_such_channel"), "{error}");
    for answer in [Answer::Garbage, Answer::Nothing, Answer::status(500), Answer::status(429)] {
        scene.server.answers(answer.clone());
        let error = scene.deliver(facts()).await.unwrap_err();
        assert!(!error.final_, "{answer:?}: {error}");
    }
    let moved = vec![("Location", "http://elsewhere.example.org/".to_owned())];
    scene.server.answers(Answer::Http(302, moved, ""));
    let error = scene.deliver(facts()).await.unwrap_err();
    assert!(error.final_ && error.message.contains("redirects are not followed"), "{error}");
}

#[tokio::test]
async fn a_login_goes_to_no_other_server() {
    let scene = Scene::new(
        r#"http("SERVER", token = secret("token"), request = lambda m: {"url": "http://127.0.0.2:1/x", "json": 1})"#,
    );
    let error = scene.deliver(ReportFacts::Build(Box::new(ended(Outcome::Failure)))).await.unwrap_err();
    assert!(error.final_ && error.message.contains("`127.0.0.2`"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_is_shown_to_a_server_that_is_trusted_by_its_authority() {
    let mut server = HttpsServer::new();
    let url = format!("https://127.0.0.1:{}/builds", server.port);
    let with = |options: &str| {
        let scene = Scene::new(&format!("http(\"{url}\"{options})"));
        for (name, file) in [("secrets/certificate", CERTIFICATE), ("secrets/key", KEY), ("ca.pem", CERTIFICATE)] {
            std::fs::copy(file, scene.place.path().join(name)).unwrap();
        }
        scene
    };
    let facts = || ReportFacts::Build(Box::new(ended(Outcome::Failure)));
    let error = with("").deliver(facts()).await.unwrap_err();
    assert!(!error.final_ && error.message.contains("certificate"), "{error}");
    let both = r#", ca_file = "ca.pem", client_certificate = secret("certificate"), client_key = secret("key")"#;
    with(both).deliver(facts()).await.unwrap();
    assert_eq!(server.client(), json!("127.0.0.1"));
    let error = with(r#", ca_file = "ca.pem""#).deliver(facts()).await.unwrap_err();
    assert!(!error.final_, "{error}");
}

#[tokio::test]
async fn a_buildset_tells_of_its_builds() {
    let scene = Scene::new(r#"http("SERVER/sets", on = ["set"])"#);
    let facts = facts();
    let subject = ReportSubject::Set { buildset: BuildsetId(5), outcome: Outcome::Failure };
    let build = |name: &str, number, outcome| SetBuild {
        builder: BuilderRecord { name: name.to_owned(), ..facts.builder.clone() },
        build: Some((facts.build.id, number)),
        outcome: Some(outcome),
    };
    let builds = vec![build("linux", 12, Outcome::Failure), build("docs", 3, Outcome::Success)];
    let set = SetFacts {
        report: Report { subject, reason: ReportReason::Set, ..facts.report.clone() },
        installation: facts.installation.clone(),
        title: facts.title.clone(),
        url: facts.url.clone(),
        buildset: facts.buildset.clone().unwrap(),
        scheduler: facts.scheduler.clone(),
        changes: facts.changes.clone(),
        builds,
        now: facts.now,
    };
    scene.deliver(ReportFacts::Set(Box::new(set))).await.unwrap();
    let message = scene.server.one().json();
    assert_eq!((&message["event"], &message["outcome"]), (&json!("set"), &json!("failure")));
    assert_eq!(message["headline"], json!("linux and docs failed"));
    assert_eq!(message["builds"][0], json!({"builder": "linux", "number": 12, "outcome": "failure", "url": PAGE}));
    let text = message["text"].as_str().unwrap();
    assert!(text.contains("docs #3: success") && text.contains("reports buildsets that ended"), "{text}");
}

#[tokio::test]
async fn every_message_has_every_key() {
    let scene = Scene::new(r#"http("SERVER/all", on = ["start", "pending"])"#);
    let keys = |json: &Json| json.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let end = keys(&scene.ended(Outcome::Success).await.json());
    let start = scene.sent(started()).await.json();
    assert_eq!(keys(&start), end);
    assert_eq!((&start["headline"], &start["outcome"]), (&json!("linux #12 started"), &Json::Null));
    scene.deliver(requested(None)).await.unwrap();
    let pending = scene.server.one().json();
    assert_eq!(keys(&pending), end);
    assert_eq!((&pending["headline"], &pending["request"]), (&json!("a build of linux is requested"), &json!(9)));
}
