//! Pollers of pull requests against a fake of each forge's API: the request is the documented one, and what is answered
//! becomes changes.

use serde_json::{Value as Json, json};
use starwright::testing::base::SystemClock;
use starwright::testing::config;
use starwright::testing::model::{ChangeSourcePlan, Cursor, NewChange};
use starwright::testing::vcs::{PollError, PollTools, poll};
use tempfile::TempDir;

use crate::support::forge::{Answer, Asked, Forge};

const HEAD: &str = "f95f852bd8fca8fcc58a9a2d6c842781e32a215e";
const NEXT: &str = "59b20b8d5c6ff8d09518454d4dd8b7b30f095ab5";

/// A poller as the configuration declares it.
fn source(arguments: &str) -> ChangeSourcePlan {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("master.star");
    let text = format!("load(\"@stdlib//source.star\", \"pull_request_poller\")\npull_request_poller({arguments})\n");
    std::fs::write(&file, text).unwrap();
    let loaded = config::load(&file).unwrap_or_else(|refused| panic!("{refused}"));
    loaded.plan.change_sources.values().next().unwrap().clone()
}

struct Poller {
    source: ChangeSourcePlan,
    cache: TempDir,
    cursor: Option<Cursor>,
}

impl Poller {
    fn new(arguments: &str) -> Self {
        Self { source: source(arguments), cache: TempDir::new().unwrap(), cursor: None }
    }

    async fn poll(&mut self) -> Result<Vec<NewChange>, PollError> {
        let tools = PollTools { cache: self.cache.path(), token: Some("t0ken"), clock: &SystemClock };
        let polled = poll(&self.source, self.cursor.clone(), &tools).await;
        polled.map(|(changes, cursor)| {
            self.cursor = Some(cursor);
            changes
        })
    }
}

/// An open pull request of GitHub or Gitea.
fn github(number: i64, head: &str, base: &str) -> Json {
    json!({
        "number": number, "state": "open", "title": format!("Pull {number}"), "body": null, "draft": false,
        "html_url": format!("https://forge.example.org/acme/app/pull/{number}"), "user": {"login": "bob"},
        "labels": [{"name": "bug"}],
        "head": {"ref": "fix", "sha": head, "repo": {"clone_url": "https://forge.example.org/bob/app.git", "full_name": "bob/app"}},
        "base": {"ref": base, "sha": NEXT, "repo": {"full_name": "acme/app"}},
    })
}

fn gitlab(number: i64, head: &str) -> Json {
    json!({
        "iid": number, "title": "Fix", "description": "It", "state": "opened", "sha": head, "source_branch": "fix",
        "target_branch": "main", "author": {"username": "bob"}, "labels": ["bug"], "draft": false,
        "web_url": format!("https://gitlab.example.org/team/sub/app/-/merge_requests/{number}"),
    })
}

fn bitbucket(number: i64, head: &str) -> Json {
    json!({
        "id": number, "title": "Fix", "state": "OPEN", "author": {"nickname": "bob"},
        "source": {"branch": {"name": "fix"}, "commit": {"hash": &head[..12]}, "repository": {"full_name": "bob/app", "links": {"html": {"href": "https://bitbucket.org/bob/app"}}}},
        "destination": {"branch": {"name": "main"}, "commit": {"hash": &NEXT[..12]}, "repository": {"full_name": "team/app", "links": {"html": {"href": "https://bitbucket.org/team/app"}}}},
        "links": {"html": {"href": format!("https://bitbucket.org/team/app/pull-requests/{number}")}},
    })
}

fn bitbucket_server(number: i64, head: &str) -> Json {
    json!({
        "id": number, "title": "Fix", "open": true, "author": {"user": {"name": "bob"}},
        "fromRef": {"displayId": "fix", "latestCommit": head, "repository": {"slug": "app", "project": {"key": "~BOB"}}},
        "toRef": {"displayId": "main", "latestCommit": NEXT, "repository": {"slug": "app", "project": {"key": "TEAM"}}},
        "links": {"self": [{"href": format!("https://bb.example.org/projects/TEAM/repos/app/pull-requests/{number}")}]},
    })
}

fn text(change: &NewChange, name: &str) -> String {
    change.properties.get(name).map(ToString::to_string).unwrap_or_default()
}

/// Polls twice; the forge has `old` at first, and `new` then. Gives the first request and the change.
async fn twice(
    arguments: impl Fn(&str) -> String,
    list: fn(Vec<Json>) -> Json,
    old: Json,
    new: Json,
) -> (Asked, NewChange) {
    let (old, both) = (list(vec![old.clone()]), list(vec![new, old]));
    let forge = Forge::new(move |_| Answer::json(&old));
    let mut poller = Poller::new(&arguments(&forge.url));
    assert_eq!(poller.poll().await.unwrap(), [], "what is there at first is taken as seen");
    let asked = forge.asked();
    let empty = list(Vec::new());
    forge.answers(move |asked| Answer::json(if asked.path.ends_with("page=2") { &empty } else { &both }));
    let [change] = poller.poll().await.unwrap().try_into().unwrap();
    assert_eq!(poller.poll().await.unwrap(), []);
    (asked[0].clone(), change)
}

#[tokio::test]
async fn github_is_asked_as_documented() {
    let arguments =
        |url: &str| format!("\"github\", \"acme/app\", url = \"{url}\", branches = [\"main\"], project = \"p\"");
    let (asked, change) = twice(arguments, Json::from, github(6, NEXT, "main"), github(7, HEAD, "main")).await;
    assert_eq!(asked.path, "/api/v3/repos/acme/app/pulls?state=open&sort=updated&direction=desc&per_page=100&page=1");
    for (name, value) in [
        ("authorization", "Bearer t0ken"),
        ("accept", "application/vnd.github+json"),
        ("x-github-api-version", "2022-11-28"),
    ] {
        assert_eq!(asked.header(name), Some(value));
    }
    assert!(asked.header("user-agent").unwrap().starts_with("starwright/"));
    assert_eq!((change.branch.as_deref(), change.revision.as_deref()), (Some("refs/pull/7/merge"), Some(HEAD)));
    assert_eq!((change.category.as_deref(), change.project.as_str()), (Some("pull"), "p"));
    assert!(change.repository.ends_with("/acme/app.git"), "{}", change.repository);
    assert_eq!((text(&change, "event"), text(&change, "pull.base")), ("opened".to_owned(), "main".to_owned()));
    assert_eq!(text(&change, "github.head.repo.full_name"), "bob/app");
}

#[tokio::test]
async fn the_other_forges_are_asked_as_documented() {
    let with =
        |forge: &'static str, path: &'static str| move |url: &str| format!("\"{forge}\", \"{path}\", url = \"{url}\"");
    let (asked, change) = twice(with("gitlab", "team/sub/app"), Json::from, gitlab(6, NEXT), gitlab(7, HEAD)).await;
    assert_eq!(
        asked.path,
        "/api/v4/projects/team%2Fsub%2Fapp/merge_requests?state=opened&order_by=updated_at&sort=desc&per_page=100&page=1"
    );
    assert_eq!(asked.header("private-token"), Some("t0ken"));
    assert_eq!(
        (change.branch.as_deref(), change.revision.as_deref()),
        (Some("refs/merge-requests/7/merge"), Some(HEAD))
    );
    assert_eq!(text(&change, "pull.labels"), "[\"bug\"]");

    let list = Json::from;
    let (asked, change) =
        twice(with("gitea", "acme/app"), list, github(6, NEXT, "main"), github(7, HEAD, "main")).await;
    assert_eq!(asked.path, "/api/v1/repos/acme/app/pulls?state=open&sort=recentupdate&limit=50&page=1");
    assert_eq!(asked.header("authorization"), Some("token t0ken"));
    assert_eq!(change.branch.as_deref(), Some("refs/pull/7/head"));

    let list = |values: Vec<Json>| json!({"values": values, "pagelen": 50, "page": 1});
    let cloud = |url: &str| format!("\"bitbucket\", \"team/app\", api = \"{url}/2.0\"");
    let (asked, change) = twice(cloud, list, bitbucket(6, NEXT), bitbucket(7, HEAD)).await;
    assert_eq!(asked.path, "/2.0/repositories/team/app/pullrequests?state=OPEN&sort=-updated_on&pagelen=50&page=1");
    assert_eq!(asked.header("authorization"), Some("Bearer t0ken"));
    assert_eq!((change.branch.as_deref(), change.repository.as_str()), (Some("fix"), "https://bitbucket.org/bob/app"));

    let list = |values: Vec<Json>| json!({"values": values, "isLastPage": true, "start": 0});
    let server = with("bitbucketserver", "TEAM/app");
    let (asked, change) = twice(server, list, bitbucket_server(6, NEXT), bitbucket_server(7, HEAD)).await;
    assert_eq!(
        asked.path,
        "/rest/api/1.0/projects/TEAM/repos/app/pull-requests?state=OPEN&order=NEWEST&limit=100&start=0"
    );
    assert_eq!(change.branch.as_deref(), Some("refs/pull-requests/7/merge"));
    assert!(change.repository.ends_with("/scm/team/app.git"), "{}", change.repository);
}

#[tokio::test]
async fn an_unchanged_list_costs_one_question_and_a_push_is_an_update() {
    let list = |head: &'static str| {
        move |asked: &Asked| match asked.header("if-none-match") {
            Some(tag) if tag == format!("\"{head}\"") => Answer::status(304),
            _ => Answer::json(&json!([github(7, head, "main"), github(8, HEAD, "other")]))
                .with("ETag", &format!("\"{head}\"")),
        }
    };
    let forge = Forge::new(list(HEAD));
    let mut poller = Poller::new(&format!(
        "\"github\", \"acme/app\", url = \"{}\", branches = [\"main\", \"release/*\"]",
        forge.url
    ));
    assert_eq!(poller.poll().await.unwrap(), []);
    let before = poller.cursor.clone();
    assert_eq!(poller.poll().await.unwrap(), []);
    assert_eq!((poller.cursor.clone(), forge.asked().len()), (before, 2));
    forge.answers(list(NEXT));
    let [change] = poller.poll().await.unwrap().try_into().unwrap();
    assert_eq!((change.revision.as_deref(), text(&change, "event")), (Some(NEXT), "updated".to_owned()));
}

#[tokio::test]
async fn drafts_wait_if_they_are_to_and_pages_follow_each_other() {
    let draft = |is_draft: bool| {
        let mut pull = github(500, HEAD, "main");
        pull["draft"] = json!(is_draft);
        pull
    };
    let pages = move |is_draft: bool| {
        move |asked: &Asked| {
            let first: Vec<Json> = (1..=100).map(|number| github(number, HEAD, "main")).collect();
            let page = if asked.path.ends_with("page=1") { Json::from(first) } else { json!([draft(is_draft)]) };
            Answer::json(&page)
        }
    };
    let forge = Forge::new(pages(true));
    let mut poller = Poller::new(&format!("\"github\", \"acme/app\", url = \"{}\", drafts = False", forge.url));
    assert_eq!(poller.poll().await.unwrap(), []);
    assert_eq!((forge.asked().len(), poller.cursor.as_ref().unwrap().len()), (2, 100));
    forge.answers(pages(false));
    let [change] = poller.poll().await.unwrap().try_into().unwrap();
    assert_eq!(text(&change, "pull.number"), "500");
}

#[tokio::test]
async fn a_forge_that_wants_to_be_left_alone_is() {
    let forge = Forge::new(|_| Answer::status(429).with("Retry-After", "600"));
    let mut poller = Poller::new(&format!("\"github\", \"acme/app\", url = \"{}\"", forge.url));
    let error = poller.poll().await.unwrap_err();
    assert!(error.message.contains("too many requests") && !error.message.contains("t0ken"), "{error}");
    assert_eq!(forge.asked().len(), 1);
    let error = poller.poll().await.unwrap_err();
    assert!(error.message.contains("not before"), "{error}");
    assert_eq!(forge.asked().len(), 0, "it is not even asked");
}

#[tokio::test]
async fn what_a_forge_refuses_is_explained() {
    for (status, body, wanted) in [
        (401, r#"{"message": "Bad credentials"}"#, "(Bad credentials); the token is wrong"),
        (403, "{}", "may not read"),
        (404, "", "whether the token may see the repository"),
        (500, "<html>", "it answered 500"),
        (200, "<html>", "no JSON"),
        (200, r#"{"a": 1}"#, "no list of pull requests"),
        (200, r#"[{"number": 7}]"#, "`$.head.sha` is missing"),
    ] {
        let forge = Forge::new(move |_| Answer { status, headers: Vec::new(), body: body.to_owned() });
        let mut poller = Poller::new(&format!("\"github\", \"acme/app\", url = \"{}\"", forge.url));
        let error = poller.poll().await.unwrap_err();
        assert!(error.message.contains(wanted) && error.message.contains("/acme/app.git"), "{status}: {error}");
    }
}
