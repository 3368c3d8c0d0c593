//! The `base` change hook against recorded requests and answers.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value as Json;
use starwright::testing::vcs::base_hook;

fn recorded(name: &str) -> Json {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rest/hooks").join(format!("{name}.json"));
    serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap()
}

/// Parameters of a recorded request, from its body or its query.
fn params(request: &Json) -> BTreeMap<String, Vec<String>> {
    let query = request["path"].as_str().unwrap().split_once('?').map(|(_, query)| query);
    let text = request["body"].as_str().or(query).unwrap_or("");
    let mut params: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in text.split('&').filter_map(|pair| pair.split_once('=')) {
        params.entry(decoded(name)).or_default().push(decoded(value));
    }
    params
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let hex = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}

#[test]
fn recorded_requests_are_taken_as_recorded() {
    // `hook_base_empty` is taken in the field, and refused by us: a change that says nothing would build anything.
    for name in ["hook_base", "hook_base_default_path", "hook_base_get"] {
        let changes = base_hook(&params(&recorded(name)["request"])).unwrap();
        assert_eq!(changes.len(), 1, "{name}");
        let after = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/rest/hooks/{name}_after.json"));
        if !after.exists() {
            continue;
        }
        let stored = &recorded(&format!("{name}_after"))["response"]["json"]["changes"][0];
        let change = &changes[0];
        let properties: Json = change
            .properties
            .0
            .iter()
            .map(|(name, p)| (name.clone(), serde_json::json!([p.value.to_json(), p.source])))
            .collect::<serde_json::Map<_, _>>()
            .into();
        for (field, value) in [
            ("author", Json::from(change.author.as_str())),
            ("committer", change.committer.clone().into()),
            ("comments", change.comments.as_str().into()),
            ("revision", change.revision.clone().into()),
            ("branch", change.branch.clone().into()),
            ("category", change.category.clone().into()),
            ("revlink", change.revlink.clone().into()),
            ("repository", change.repository.as_str().into()),
            ("project", change.project.as_str().into()),
            ("codebase", change.codebase.as_str().into()),
            ("files", change.files.clone().into()),
            ("properties", properties),
        ] {
            assert_eq!(stored[field], value, "{name}: {field}");
        }
        if let Some(when) = change.when {
            assert_eq!(stored["when_timestamp"], when.as_seconds(), "{name}");
        }
    }
}

#[test]
fn recorded_refusals_have_the_recorded_words() {
    for name in ["hook_base_bad_files", "hook_base_bad_when"] {
        let recorded = recorded(name);
        let error = base_hook(&params(&recorded["request"])).unwrap_err();
        assert_eq!(recorded["response"]["status"], error.status, "{name}");
        assert_eq!(recorded["response"]["text"], error.message.as_str(), "{name}");
    }
}
