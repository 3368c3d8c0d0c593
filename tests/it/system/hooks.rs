//! A forge calls: signatures, wrong tries, pushes seen by hook and poller, functions of the configuration.
//!
//! The forge is the test: its calls have the documented shape and are signed as documented; the repository is a real one.

use ring::hmac;
use serde_json::{Value as Json, json};
use starwright::testing::master::{Handle, HookAnswer, HookCall, HookError, SubmissionResult};
use starwright::testing::model::{AlertSubject, Event, Order};

use super::house::{House, Running};
use crate::support::git::Repository;
use crate::support::hooks::Sample;

pub const SECRET: &str = "It's a Secret to Everybody";

/// A configuration whose hooks read their secret from a file.
pub fn house(config: &str) -> House {
    let head = "load(\"@stdlib//source.star\", \"git_poller\")\nload(\"@stdlib//steps.star\", \"sh\")\n\
                load(\"@stdlib//schedulers.star\", \"any_branch\")\nworker(\"w1\", password = \"secret\")\n\
                builder(\"linux\", workers = [\"w1\"], steps = [sh(\"make\", name = \"compile\")], collapse = False)\n\
                any_branch(\"all\", builders = [\"linux\"], quiet = \"0s\")\n";
    let house = House::new(&format!("{head}{config}"));
    house.write("secrets/forge", SECRET);
    house
}

fn signature(body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let tag = hmac::sign(&key, body.as_bytes());
    format!("sha256={}", tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// A signed call of GitHub.
pub fn github(event: &str, delivery: &str, body: &Json) -> HookCall {
    let body = body.to_string();
    let headers = [
        ("content-type", "application/json"),
        ("x-github-event", event),
        ("x-github-delivery", delivery),
        ("x-hub-signature-256", &signature(&body)),
    ];
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    HookCall { headers, body: body.into(), ..HookCall::default() }
}

pub async fn call(handle: &Handle, hook: &str, call: HookCall) -> Result<HookAnswer, HookError> {
    handle.hook(hook, call, Some("192.0.2.7:4000".parse().unwrap())).await
}

/// What GitHub tells of a push of one commit.
fn push(repository: &Repository, before: &str, after: &str) -> Json {
    let message = repository.git(&["log", "-1", "--format=%B", after]);
    let commit = json!({
        "id": after, "message": message.trim(), "url": format!("https://forge.example.org/app/commit/{after}"),
        "author": {"name": "Ada Lovelace", "email": "ada@example.org"}, "added": [], "modified": ["README"], "removed": [],
    });
    json!({
        "ref": "refs/heads/main", "before": before, "after": after, "created": false, "deleted": false, "forced": false,
        "commits": [commit], "head_commit": commit, "pusher": {"name": "ada"},
        "repository": {"full_name": "team/app", "clone_url": repository.path.display().to_string()},
    })
}

/// The changes so far: revision and number of buildsets that have it.
pub fn built(running: &Running) -> Vec<(String, usize)> {
    let facts = running.handle().store().recover().unwrap().facts;
    let made: Vec<_> = facts
        .iter()
        .filter_map(|fact| {
            if let Event::BuildsetMade { buildset, .. } = &fact.event { Some(buildset.changes.clone()) } else { None }
        })
        .collect();
    let changes = facts.iter().filter_map(|fact| {
        let Event::ChangeArrived { change } = &fact.event else { return None };
        let sets = made.iter().filter(|changes| changes.contains(&change.id)).count();
        Some((change.data.revision.clone().unwrap_or_default(), sets))
    });
    changes.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_becomes_a_change_for_each_commit_and_counts_once() {
    let house = house("change_hook(\"github\", secret = secret(\"forge\"))\n");
    let running = house.start().await;
    let body = Sample::named("github/push").body;
    let answer = call(running.handle(), "github", github("push", "d1", &body)).await.unwrap();
    let HookAnswer::Changes(intake) = answer else { panic!("{answer:?}") };
    assert_eq!(intake.iter().filter_map(SubmissionResult::recorded).count(), 2);
    let again = call(running.handle(), "github", github("push", "d1", &body)).await.unwrap();
    assert!(
        matches!(&again, HookAnswer::Changes(intake) if matches!(intake[0], SubmissionResult::SameDelivery(_))),
        "{again:?}"
    );
    let ping = call(running.handle(), "github", github("ping", "d2", &json!({"zen": "Keep it."}))).await.unwrap();
    assert_eq!(ping, HookAnswer::Nothing("the change hook works".to_owned()));
    let built = built(&running);
    assert_eq!(built.iter().map(|(_, sets)| *sets).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(built[1].0, "f95f852bd8fca8fcc58a9a2d6c842781e32a215e", "the head comes last");
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_signed_is_refused_and_wrong_tries_count() {
    let house = house("change_hook(\"github\", secret = secret(\"forge\"))\n");
    let running = house.start().await;
    let body = Sample::named("github/push").body;
    let mut forged = github("push", "d1", &body);
    forged.body = forged.body.iter().map(|byte| if *byte == b'a' { b'b' } else { *byte }).collect::<Vec<u8>>().into();
    let error = call(running.handle(), "github", forged.clone()).await.unwrap_err();
    assert!(error.status == 401 && error.message.contains("is wrong") && !error.message.contains(SECRET), "{error}");
    let mut unsigned = github("push", "d1", &body);
    unsigned.headers.remove("x-hub-signature-256");
    let error = call(running.handle(), "github", unsigned).await.unwrap_err();
    assert!(error.status == 401 && error.message.contains("set the secret"), "{error}");
    let mut last = error;
    for _ in 0..100 {
        last = call(running.handle(), "github", forged.clone()).await.unwrap_err();
    }
    assert!(last.status == 429 && last.wait.is_some(), "{last:?}");
    assert!(built(&running).is_empty());
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_hundred_pushes_each_commit_is_built_once_whatever_becomes_of_the_calls() {
    let scratch = tempfile::TempDir::new().unwrap();
    let repository = Repository::new(&scratch.path().join("app.git"), &[("README", "first")]);
    let house = house(&format!(
        "change_hook(\"github\", secret = secret(\"forge\"))\ngit_poller(\"{}/\", name = \"app\", branches = [\"main\"], every = \"1h\")\n",
        repository.path.display()
    ));
    let mut running = house.start().await;
    running.fact("first poll", |event| matches!(event, Event::SourcePolled { .. }).then_some(())).await;
    let mut before = repository.git(&["rev-parse", "HEAD"]).trim().to_owned();
    let (mut pushed, mut late) = (Vec::new(), Vec::new());
    for number in 0..100 {
        let after = repository.commit(&format!("push {number}"), &[("README", &number.to_string())]);
        let delivery = github("push", &format!("delivery {number}"), &push(&repository, &before, &after));
        match number % 6 {
            // Lost.
            1 => {}
            // Comes twice, once by another name: the forge was told to send it again.
            3 => {
                call(running.handle(), "github", delivery.clone()).await.unwrap();
                call(running.handle(), "github", delivery).await.unwrap();
                let again = github("push", &format!("again {number}"), &push(&repository, &before, &after));
                call(running.handle(), "github", again).await.unwrap();
            }
            // Comes when others have come.
            5 => late.push(delivery),
            _ => drop(call(running.handle(), "github", delivery).await.unwrap()),
        }
        if late.len() > 3 {
            call(running.handle(), "github", late.remove(0)).await.unwrap();
        }
        pushed.push(after.clone());
        before = after;
    }
    for delivery in late {
        call(running.handle(), "github", delivery).await.unwrap();
    }
    // Polls of a source come one after the other: when this commit is seen, all calls before it are dealt with.
    let last = repository.commit("last", &[("README", "last")]);
    pushed.push(last.clone());
    running.order(Order::Poll { source: Some("app".to_owned()) }).await;
    running
        .fact("the last change", |event| match event {
            Event::ChangeArrived { change } if change.data.revision.as_ref() == Some(&last) => Some(()),
            _ => None,
        })
        .await;
    let built = built(&running);
    assert!(built.iter().all(|(_, sets)| *sets == 1), "{built:?}");
    let revisions: Vec<String> = built.into_iter().map(|(revision, _)| revision).collect();
    assert_eq!(revisions, pushed, "each once, in the order of the pushes");
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hook_that_wakes_records_nothing_itself() {
    let scratch = tempfile::TempDir::new().unwrap();
    let repository = Repository::new(&scratch.path().join("app"), &[("README", "first")]);
    let house = house(&format!(
        "change_hook(\"github\", secret = secret(\"forge\"), wake = True)\ngit_poller(\"{}\", name = \"app\", every = \"1h\")\n",
        repository.path.display()
    ));
    let mut running = house.start().await;
    running.fact("first poll", |event| matches!(event, Event::SourcePolled { .. }).then_some(())).await;
    let before = repository.git(&["rev-parse", "HEAD"]).trim().to_owned();
    let after = repository.commit("second", &[("README", "second")]);
    let mut body = push(&repository, &before, &after);
    body["commits"][0]["message"] = json!("not what was committed");
    let answer = call(running.handle(), "github", github("push", "d1", &body)).await.unwrap();
    assert_eq!(answer, HookAnswer::Changes(vec![SubmissionResult::Awaited { source: "app".to_owned() }]));
    let change = running
        .fact("change", |event| if let Event::ChangeArrived { change } = event { Some(change.clone()) } else { None })
        .await;
    assert_eq!((change.data.revision.as_ref(), change.data.comments.trim()), (Some(&after), "second"));
    assert_eq!(change.data.revlink, None, "nothing of the call");
    body["repository"] = json!({"clone_url": "https://forge.example.org/other.git"});
    let answer = call(running.handle(), "github", github("push", "d2", &body)).await.unwrap();
    assert_eq!(answer, HookAnswer::Changes(vec![SubmissionResult::NobodyPolls]));
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_decides_what_is_recorded() {
    let house = house(
        "def chosen(event):\n    if event[\"event\"] == \"star\":\n        fail(\"no stars\")\n    kept = [dict(change, category = \
         event[\"payload\"][\"repository\"][\"full_name\"]) for change in event[\"changes\"] if \"Fix\" in \
         change[\"comments\"]]\n    return kept\nchange_hook(\"github\", secret = secret(\"forge\"), changes = chosen)\n",
    );
    let running = house.start().await;
    let body = Sample::named("github/push").body;
    let HookAnswer::Changes(intake) = call(running.handle(), "github", github("push", "d1", &body)).await.unwrap()
    else {
        panic!("no changes")
    };
    let id = intake[0].recorded().unwrap();
    assert_eq!(intake.len(), 1);
    let change = running.handle().store().change(id).unwrap().unwrap();
    assert_eq!(change.data.category.as_deref(), Some("acme/app"));
    let star = Sample::named("github/star").body;
    let error = call(running.handle(), "github", github("star", "d2", &star)).await.unwrap_err();
    assert!(error.status == 500 && error.message.contains("alerts"), "{error}");
    let alerts = running.handle().alerts().of(&AlertSubject::Hook("github".to_owned()));
    assert!(alerts.len() == 1 && alerts[0].text.contains("no stars"), "{alerts:?}");
    // The forge sends it again when the function is right: nothing of the failed call counts as delivered.
    let answer = call(running.handle(), "github", github("ping", "d2", &json!({}))).await.unwrap();
    assert!(matches!(answer, HookAnswer::Nothing(_)));
    let one = call(running.handle(), "github", github("push", "d2", &body)).await.unwrap();
    assert!(matches!(one, HookAnswer::Changes(intake) if intake[0].recorded().is_some()));
    assert!(running.handle().alerts().of(&AlertSubject::Hook("github".to_owned())).is_empty());
    running.master.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_comment_asks_for_a_build_also_of_a_known_commit() {
    let house = house("change_hook(\"github\", secret = secret(\"forge\"), comments = \"^/build\")\n");
    let running = house.start().await;
    for (delivery, sample, count) in
        [("d1", "pull-opened", 1), ("d2", "comment", 1), ("d3", "comment", 1), ("d4", "comment-of-a-stranger", 0)]
    {
        let sample = Sample::named(&format!("github/{sample}"));
        let event = sample.headers.iter().find(|(name, _)| name == "x-github-event").unwrap().1.clone();
        let answer = call(running.handle(), "github", github(&event, delivery, &sample.body)).await.unwrap();
        let recorded = match &answer {
            HookAnswer::Changes(intake) => intake.iter().filter_map(SubmissionResult::recorded).count(),
            HookAnswer::Nothing(_) => 0,
        };
        assert_eq!(recorded, count, "{delivery}: {answer:?}");
    }
    running.master.stop().await;
}
