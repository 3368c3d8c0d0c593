//! A Gerrit server: its changes under review are found by polls, which its events bring about.
//!
//! The server is a fake, because a real one is a program in Java of several hundred megabytes that the suite cannot have: a
//! script in place of `ssh` that answers the documented commands from files, and passes on what the test writes to a pipe.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use starwright::testing::model::{AlertSubject, Change, Event};
use starwright::testing::store::Scan;

use super::house::{House, Running};

/// The last word is the command. Where the server is away, it says so and fails.
const SSH: &str = r#"#!/bin/sh
here=$(dirname "$0")
for command; do :; done
echo "$*" >> "$here/asked"
if [ -e "$here/away" ]; then echo "ssh: connect to host review port 29418: Connection refused" >&2; exit 255; fi
case $command in
  "gerrit stream-events") exec cat "$here/events" ;;
  "gerrit query "*) cat "$here/answer" ;;
  *) echo "fatal: unknown command" >&2; exit 1 ;;
esac
"#;

struct Gerrit {
    dir: PathBuf,
}

impl Gerrit {
    fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        fs::write(dir.join("ssh"), SSH).unwrap();
        fs::set_permissions(dir.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.join("events"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
        let gerrit = Self { dir: dir.to_owned() };
        gerrit.answers(&[]);
        gerrit
    }

    /// What a query finds from now on.
    fn answers(&self, reviews: &[Json]) {
        let stats = json!({"type": "stats", "rowCount": reviews.len(), "runTimeMilliseconds": 3, "moreChanges": false});
        let lines: Vec<String> = reviews.iter().chain([&stats]).map(Json::to_string).collect();
        fs::write(self.dir.join("answer.new"), format!("{}\n", lines.join("\n"))).unwrap();
        fs::rename(self.dir.join("answer.new"), self.dir.join("answer")).unwrap();
    }

    /// The other end of a stream of events; waits until somebody listens.
    async fn stream(&self) -> File {
        let pipe = self.dir.join("events");
        let open = move || OpenOptions::new().write(true).open(pipe).unwrap();
        tokio::task::spawn_blocking(open).await.unwrap()
    }

    fn asked(&self) -> String {
        fs::read_to_string(self.dir.join("asked")).unwrap()
    }
}

/// A change under review as `gerrit query` tells it, abridged.
fn review(number: i64, patch_set: i64, at: i64, comments: &[(i64, &str, &str)]) -> Json {
    let comments: Vec<Json> = comments
        .iter()
        .map(|(at, by, text)| json!({"timestamp": at, "reviewer": {"name": by, "username": by}, "message": text}))
        .collect();
    json!({
        "project": "team/app", "branch": "main", "id": format!("I{number:040}"), "number": number, "subject": "Fix the parser",
        "owner": {"name": "Bob", "email": "bob@example.org", "username": "bob"},
        "url": format!("https://review.example.org/c/team/app/+/{number}"),
        "commitMessage": "Fix the parser\n\nIt lost the last line.\n", "createdOn": at, "lastUpdated": at, "open": true,
        "status": "NEW", "comments": comments,
        "currentPatchSet": {
            "number": patch_set, "revision": format!("{number:032x}{patch_set:08x}"),
            "ref": format!("refs/changes/{:02}/{number}/{patch_set}", number % 100), "createdOn": at,
            "author": {"name": "Bob", "email": "bob@example.org", "username": "bob"},
            "files": [{"file": "/COMMIT_MSG", "type": "ADDED"}, {"file": "src/parser.c", "type": "MODIFIED"}],
        },
    })
}

fn event(kind: &str, number: i64) -> String {
    json!({
        "type": kind, "change": {"project": "team/app", "branch": "main", "number": number},
        "patchSet": {"number": 1}, "eventCreatedOn": 1,
    })
    .to_string()
}

async fn change(running: &mut Running, branch: &str) -> Change {
    let is_it = |event: &Event| match event {
        Event::ChangeArrived { change } if change.data.branch.as_deref() == Some(branch) => Some(change.clone()),
        _ => None,
    };
    running.fact(branch, is_it).await
}

fn house(scratch: &Path) -> House {
    House::new(&format!(
        "load(\"@stdlib//source.star\", \"gerrit_poller\")\nworker(\"w1\", password = \"secret\")\n\
         gerrit_poller(\"ssh://ci@review:29418/team/app\", ssh = [\"{}\"], every = \"1h\", comments = \"^/build\", \
         comments_from = [\"@ann\"])\n",
        scratch.join("gerrit/ssh").display()
    ))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_of_gerrit_makes_its_changes_be_found_at_once() {
    let scratch = tempfile::TempDir::new().unwrap();
    let gerrit = Gerrit::new(&scratch.path().join("gerrit"));
    gerrit.answers(&[review(1, 1, 1_000, &[])]);
    let house = house(scratch.path());
    let mut running = house.start().await;
    running.fact("first poll", |event| matches!(event, Event::SourcePolled { .. }).then_some(())).await;
    let mut stream = gerrit.stream().await;

    gerrit.answers(&[review(4711, 1, 2_000, &[]), review(1, 1, 1_000, &[])]);
    writeln!(stream, "{}", event("patchset-created", 4711)).unwrap();
    let first = change(&mut running, "refs/changes/11/4711/1").await;
    assert_eq!(first.data.repository, "ssh://ci@review:29418/team/app");
    assert_eq!(
        (first.data.author.as_str(), first.data.files.as_slice()),
        ("Bob <bob@example.org>", &["src/parser.c".to_owned()][..])
    );
    let asked = gerrit.asked();
    assert!(asked.contains("BatchMode=yes") && asked.contains("-p 29418 ci@review gerrit stream-events"), "{asked}");
    assert!(asked.contains("status:open project:team/app after:{1970-01-01 00:14:40}"), "{asked}");

    // A comment of somebody who may, and one of somebody who may not.
    let comments = [(2_100, "eve", "Patch Set 1:\n\n/build"), (2_101, "ann", "Patch Set 1:\n\n/build again")];
    gerrit.answers(&[{
        let mut commented = review(4711, 1, 2_000, &comments);
        commented["lastUpdated"] = json!(2_101);
        commented
    }]);
    writeln!(stream, "not JSON at all\n{}", event("comment-added", 4711)).unwrap();
    let asked_for = running.fact("the comment's change", |event| match event {
        Event::ChangeArrived { change } if change.data.properties.get("comment.author").is_some() => {
            Some(change.clone())
        }
        _ => None,
    });
    let asked_for = asked_for.await;
    assert_eq!(asked_for.data.properties.get("comment.author"), Some(&"ann".into()));
    assert_eq!((asked_for.data.branch, asked_for.data.revision), (first.data.branch, None));
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happened_while_nobody_listened_is_found() {
    let scratch = tempfile::TempDir::new().unwrap();
    let gerrit = Gerrit::new(&scratch.path().join("gerrit"));
    gerrit.answers(&[review(1, 1, 1_000, &[])]);
    let house = house(scratch.path());
    let mut running = house.start().await;
    running.fact("first poll", |event| matches!(event, Event::SourcePolled { .. }).then_some(())).await;
    // The connection ends, and a patch set comes of which no event tells.
    fs::write(gerrit.dir.join("away"), "").unwrap();
    drop(gerrit.stream().await);
    let failed = |event: &Event| if let Event::SourceFailed { error, .. } = event { Some(error.clone()) } else { None };
    let why = running.fact("a poll that fails", failed).await;
    assert!(why.contains("failed to ask `review`") && why.contains("Connection refused"), "{why}");
    let alerts = running.handle().alerts().of(&AlertSubject::Source("app-reviews".to_owned()));
    assert!(alerts.iter().any(|alert| alert.text.contains("events of `review` do not come")), "{alerts:?}");
    gerrit.answers(&[review(2, 1, 2_000, &[])]);
    fs::remove_file(gerrit.dir.join("away")).unwrap();
    change(&mut running, "refs/changes/02/2/1").await;
    running.master.stop().await;

    // The master is away, too: its cursor is durable.
    gerrit.answers(&[review(3, 2, 3_000, &[]), review(2, 1, 2_000, &[])]);
    let mut running = house.start().await;
    change(&mut running, "refs/changes/03/3/2").await;
    let all = running.handle().store().changes(Scan { after: None, descending: false, limit: 10 }).unwrap();
    let branches: Vec<_> = all.iter().map(|change| change.data.branch.as_deref().unwrap_or_default()).collect();
    assert_eq!(branches, ["refs/changes/02/2/1", "refs/changes/03/3/2"], "each once");
    running.master.stop().await;
}
