//! The poller of pull requests and the hook of the same forge, which is a fake: one pull request, one build.

use serde_json::{Value as Json, json};
use starwright::testing::master::{HookAnswer, SubmissionResult};
use starwright::testing::model::Event;

use super::hooks::{SECRET, built, call, github, house};
use crate::support::forge::{Answer, Forge};
use crate::support::hooks::Sample;

/// The pull request of a call, as the forge lists it.
fn listed(call: &Json) -> Json {
    json!([call["pull_request"]])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pull_request_seen_by_hook_and_poller_is_built_once() {
    let forge = Forge::new(|_| Answer::json(&json!([])));
    let house = house(&format!(
        "load(\"@stdlib//source.star\", \"pull_request_poller\")\nchange_hook(\"github\", secret = secret(\"forge\"))\n\
         pull_request_poller(\"github\", \"acme/app\", url = \"{}\", token = secret(\"forge\"), every = \"1h\")\n",
        forge.url
    ));
    let mut running = house.start().await;
    running.fact("first poll", |event| matches!(event, Event::SourcePolled { .. }).then_some(())).await;
    assert_eq!(forge.asked()[0].header("authorization"), Some(format!("Bearer {SECRET}").as_str()));

    let mut body = Sample::named("github/pull-opened").body;
    body["repository"]["clone_url"] = json!(format!("{}/ACME/app.git", forge.url));
    let list = listed(&body);
    forge.answers(move |_| Answer::json(&list));
    let opened = github("pull_request", "d1", &body);
    let awaited = HookAnswer::Changes(vec![SubmissionResult::Awaited { source: "app-pulls".to_owned() }]);
    assert_eq!(call(running.handle(), "github", opened).await.unwrap(), awaited);
    let change = running
        .fact("change", |event| if let Event::ChangeArrived { change } = event { Some(change.clone()) } else { None })
        .await;
    assert_eq!(change.data.branch.as_deref(), Some("refs/pull/7/merge"));
    assert_eq!(change.data.repository, format!("{}/acme/app.git", forge.url));
    assert!(change.source.is_some());

    let again = github("pull_request", "d2", &body);
    let known = SubmissionResult::Known { change: change.id, source: "app-pulls".to_owned() };
    assert_eq!(call(running.handle(), "github", again).await.unwrap(), HookAnswer::Changes(vec![known]));
    assert_eq!(built(&running).into_iter().map(|(_, sets)| sets).collect::<Vec<_>>(), [1]);
    running.master.stop().await;
}
