//! Calls of the forges, read: what becomes of each documented event, and of one that lacks something.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value as Json;
use starwright::testing::model::NewChange;
use starwright::testing::vcs::{HookError, Meaning, hear};

use crate::config_golden::assert_golden;
use crate::support::hooks::{Sample, plan};

/// What a call means, for people.
fn told(sample: &Sample) -> String {
    let mut text = format!("## {}\n", sample.name);
    match hear(&plan(sample.dialect), &sample.call()) {
        Err(error) => writeln!(text, "{}: {error}", error.status).unwrap(),
        Ok(heard) => {
            writeln!(text, "event {}", heard.event).unwrap();
            match heard.meaning {
                Meaning::Ping => text.push_str("ping\n"),
                Meaning::Ignored(why) => writeln!(text, "ignored: {why}").unwrap(),
                Meaning::Changes { changes, addresses, demanded } => {
                    writeln!(text, "addresses {}", addresses.join(" ")).unwrap();
                    if demanded {
                        text.push_str("in any case\n");
                    }
                    changes.iter().for_each(|change| text.push_str(&shown(change)));
                }
            }
        }
    }
    text
}

fn shown(change: &NewChange) -> String {
    let mut text = String::from("change\n");
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            writeln!(text, "  {name}: {}", value.replace('\n', "⏎")).unwrap();
        }
    };
    line("author", &change.author);
    line("committer", change.committer.as_deref().unwrap_or_default());
    line("comments", &change.comments);
    line("files", &change.files.join(" "));
    line("branch", change.branch.as_deref().unwrap_or_default());
    line("revision", change.revision.as_deref().unwrap_or_default());
    line("revlink", change.revlink.as_deref().unwrap_or_default());
    line("category", change.category.as_deref().unwrap_or_default());
    line("repository", &change.repository);
    line("when", &change.when.map_or_else(String::new, |when| when.to_string()));
    for (name, property) in &change.properties.0 {
        assert_eq!(property.source, "Change", "{name}");
        line(name, &property.value.to_json().to_string());
    }
    text
}

#[test]
fn each_documented_event_means_what_is_recorded() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hooks");
    let samples = Sample::all();
    assert!(samples.len() > 80, "{}", samples.len());
    for dialect in ["github", "gitlab", "gitea", "bitbucket", "bitbucketserver"] {
        let of = samples.iter().filter(|sample| sample.dialect.word() == dialect);
        let text: Vec<String> = of.map(told).collect();
        assert_golden(&folder.join(format!("{dialect}.txt")), &text.join("\n"));
    }
}

/// The changes of a call, as far as builds depend on them. A tag says its commit when it is fetched.
fn essence(result: &Result<Meaning, HookError>) -> Vec<(Option<String>, Option<String>)> {
    match result {
        Ok(Meaning::Changes { changes, .. }) => {
            let is_tag = |change: &NewChange| change.category.as_deref() == Some("tag");
            let revision = |change: &NewChange| change.revision.clone().filter(|_| !is_tag(change));
            changes.iter().map(|change| (change.branch.clone(), revision(change))).collect()
        }
        _ => Vec::new(),
    }
}

/// All places in a JSON text, as pointers.
fn places(json: &Json, at: &str, found: &mut Vec<String>) {
    let children: Vec<(String, &Json)> = match json {
        Json::Object(fields) => {
            fields.iter().map(|(name, value)| (name.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Json::Array(items) => items.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (name, value) in children {
        let place = format!("{at}/{name}");
        places(value, &place, found);
        found.push(place);
    }
}

/// Fields without which a call says nothing that could be built, whatever the dialect; or that say what happened.
const TELLING: [&str; 27] = [
    "ref",
    "refId",
    "after",
    "deleted",
    "commits",
    "id",
    "hash",
    "toHash",
    "type",
    "name",
    "target",
    "new",
    "push",
    "changes",
    "action",
    "object_kind",
    "object_attributes",
    "pull_request",
    "pullrequest",
    "pullRequest",
    "number",
    "iid",
    "head",
    "sha",
    "source",
    "issue",
    "comment",
];

#[test]
fn what_may_be_missing_loses_no_change_and_what_may_not_is_named() {
    for sample in Sample::all() {
        let plan = plan(sample.dialect);
        let read = |body: &Json| hear(&plan, &sample.call_with(body.to_string())).map(|heard| heard.meaning);
        let whole = essence(&read(&sample.body));
        if whole.is_empty() {
            continue;
        }
        let mut all = Vec::new();
        places(&sample.body, "", &mut all);
        for place in all {
            let mut body = sample.body.clone();
            *body.pointer_mut(&place).unwrap() = Json::Null;
            let result = read(&body);
            let is_telling = place.split('/').any(|part| TELLING.contains(&part));
            match &result {
                Err(error) => {
                    assert_eq!(error.status, 400);
                    assert!(error.message.contains("`$."), "{} without {place}: {error}", sample.name);
                }
                Ok(_) if is_telling => {}
                Ok(meaning) => {
                    let lost = format!("{} without {place}: {meaning:?}", sample.name);
                    // Whether a comment asks, and who may, is not told any more.
                    let asks =
                        place.contains("author_association") || place.contains("user") || place.contains("actor");
                    assert!(essence(&result) == whole || asks || sample.name.contains("note"), "{lost}");
                }
            }
        }
    }
}

#[test]
fn a_call_of_another_forge_is_refused_by_what_it_lacks() {
    for sample in Sample::all() {
        for other in ["github", "gitlab", "gitea", "bitbucket", "bitbucketserver"] {
            let stranger = Sample::named(&format!("{other}/push"));
            if stranger.dialect == sample.dialect {
                continue;
            }
            if let Err(error) = hear(&plan(stranger.dialect), &sample.call()) {
                assert_eq!(error.status, 400, "{}: {error}", sample.name);
            }
        }
    }
    let call = Sample::named("gitlab/push").call();
    let error = hear(&plan(Sample::named("github/push").dialect), &call).unwrap_err();
    assert!(error.message.contains("`X-GitHub-Event` is missing"), "{error}");
}
