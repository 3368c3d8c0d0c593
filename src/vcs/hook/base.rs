//! The dialect `base`: a change as the fields of a form.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value as Json;

use super::{Heard, HookCall, HookError, Meaning};
use crate::base::{Timestamp, nearest};
use crate::model::{HookSettings, NewChange, Properties, Value};

/// The dialect itself: what is not a form is refused.
pub(super) fn read(call: &HookCall, _: &HookSettings) -> Result<Heard, HookError> {
    let kind = call.header("content-type").map(|kind| kind.split(';').next().unwrap_or_default().trim());
    if !call.body.is_empty() && !kind.is_some_and(|kind| kind.eq_ignore_ascii_case(FORM)) {
        let kind: String = kind.unwrap_or("no type at all").chars().take(NAME_CHARS_MAX).collect();
        return Err(HookError::bad(format!(
            "the hook `base` takes the fields of a form ({FORM}), not a body of {kind}; for example: curl -d branch=main -d \
             revision=4f3a2b1 …"
        )));
    }
    let changes = base_hook(&call.params)?;
    let payload = call.params.iter().map(|(name, values)| (name.clone(), Json::from(values.as_slice()))).collect();
    let meaning = Meaning::Changes { changes, addresses: Vec::new(), demanded: false };
    Ok(Heard { event: "change".to_owned(), meaning, payload: Json::Object(payload) })
}

const FORM: &str = "application/x-www-form-urlencoded";

/// The `base` dialect of `/change_hook`: parameters of a form or query, of which the first value of each name counts.
/// An empty value is as good as none. A name that is not known is refused: a misspelt `branch` would build something
/// else.
pub fn base_hook(params: &BTreeMap<String, Vec<String>>) -> Result<Vec<NewChange>, HookError> {
    if let Some(unknown) = params.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let shown: String = unknown.chars().take(NAME_CHARS_MAX).collect();
        let near = nearest(&shown, FIELDS.iter().copied()).map(|near| format!("; did you mean `{near}`?"));
        let rest = near.unwrap_or_else(|| format!("; known are {}", FIELDS.join(", ")));
        return Err(HookError::bad(format!("the field `{shown}` is not known{rest}")));
    }
    let first = |name: &str| params.get(name).and_then(|values| values.first()).filter(|value| !value.is_empty());
    let text = |name: &str| first(name).cloned();
    Ok(vec![NewChange {
        author: text("author").or_else(|| text("who")).unwrap_or_default(),
        committer: text("committer"),
        comments: text("comments").unwrap_or_default(),
        files: first("files").map_or_else(|| Ok(Vec::new()), |json| files(json))?,
        branch: text("branch"),
        revision: text("revision"),
        revlink: text("revlink"),
        category: text("category"),
        repository: text("repository").unwrap_or_default(),
        project: text("project").unwrap_or_default(),
        codebase: text("codebase").unwrap_or_default(),
        when: first("when_timestamp").or_else(|| first("when")).map(|number| moment(number)).transpose()?,
        properties: first("properties").map_or_else(|| Ok(Properties::default()), |json| properties(json))?,
    }])
}

const FIELDS: [&str; 16] = [
    "author",
    "who",
    "committer",
    "comments",
    "files",
    "branch",
    "revision",
    "revlink",
    "category",
    "repository",
    "project",
    "codebase",
    "when_timestamp",
    "when",
    "properties",
    "delivery",
];
/// A name that comes back in a refusal.
const NAME_CHARS_MAX: usize = 64;

fn files(json: &str) -> Result<Vec<String>, HookError> {
    let wrong = || HookError::bad("`files` must be a JSON list of paths, for example [\"src/a.c\"]");
    // A bare name is what people try first.
    if !json.trim_start().starts_with('[') {
        return Err(wrong());
    }
    let Json::Array(files) = parse(json)? else { return Err(wrong()) };
    files.into_iter().map(|file| if let Json::String(path) = file { Ok(path) } else { Err(wrong()) }).collect()
}

fn properties(json: &str) -> Result<Properties, HookError> {
    let wrong = || HookError::bad("`properties` must be a JSON object, for example {\"debug\": true}");
    if !json.trim_start().starts_with('{') {
        return Err(wrong());
    }
    let Json::Object(values) = parse(json)? else { return Err(wrong()) };
    let mut properties = Properties::default();
    for (name, value) in &values {
        properties.set(name, Value::from_json(value), "Change");
    }
    Ok(properties)
}

/// Seconds since 1970, with a fraction if need be.
fn moment(number: &str) -> Result<Timestamp, HookError> {
    let wrong = || HookError::bad(format!("could not convert string to float: '{number}'"));
    let seconds: f64 = number.trim().parse().map_err(|_| wrong())?;
    let length = Duration::try_from_secs_f64(seconds.abs()).map_err(|_| wrong())?;
    let millis = i64::try_from(length.as_millis()).map_err(|_| wrong())?;
    Ok(Timestamp::from_millis(if seconds < 0.0 { -millis } else { millis }))
}

/// Parses JSON; the error is worded and counted as scripts that talk to such hooks know it.
fn parse(json: &str) -> Result<Json, HookError> {
    serde_json::from_str(json).map_err(|error| {
        let said = error.to_string();
        let what = REASONS.iter().find(|(sign, _)| said.starts_with(sign)).map_or("Expecting value", |(_, what)| what);
        // The end of the text is told by its last character; what is missing comes after it.
        let column = if error.is_eof() { error.column() + 1 } else { error.column().max(1) };
        let before: usize =
            json.lines().take(error.line().saturating_sub(1)).map(|line| line.chars().count() + 1).sum();
        HookError::bad(format!("{what}: line {} column {column} (char {})", error.line(), before + column - 1))
    })
}

const REASONS: &[(&str, &str)] = &[
    ("trailing characters", "Extra data"),
    ("key must be a string", "Expecting property name enclosed in double quotes"),
    ("EOF while parsing an object", "Expecting property name enclosed in double quotes"),
    ("expected `:`", "Expecting ':' delimiter"),
    ("expected `,` or", "Expecting ',' delimiter"),
    ("EOF while parsing a list", "Expecting ',' delimiter"),
    ("EOF while parsing a string", "Unterminated string starting at"),
    ("control character", "Invalid control character at"),
    ("invalid escape", "Invalid \\escape"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<String>> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned(), "second".to_owned()])).collect()
    }

    fn refused(name: &str, value: &str) -> String {
        let error = base_hook(&params(&[(name, value)])).unwrap_err();
        assert_eq!(error.status, 400);
        error.message
    }

    #[test]
    fn every_field_is_taken() {
        let changes = base_hook(&params(&[
            ("author", "Ann <ann@example.org>"),
            ("who", "somebody else"),
            ("committer", "Cy <cy@example.org>"),
            ("files", r#"["a.c","b.c"]"#),
            ("comments", "hook commit"),
            ("revision", "f00d"),
            ("branch", "dev"),
            ("category", "push"),
            ("revlink", "https://example.org/f00d"),
            ("repository", "https://example.org/r.git"),
            ("project", "hooked"),
            ("codebase", ""),
            ("when_timestamp", "1700000500"),
            ("properties", r#"{"k":1,"list":[1.5,null]}"#),
        ]));
        let mut properties = Properties::default();
        properties.set("k", 1, "Change");
        properties.set("list", Value::List(vec![Value::Float(1.5), Value::Null]), "Change");
        let expected = NewChange {
            author: "Ann <ann@example.org>".into(),
            committer: Some("Cy <cy@example.org>".into()),
            comments: "hook commit".into(),
            files: vec!["a.c".into(), "b.c".into()],
            branch: Some("dev".into()),
            revision: Some("f00d".into()),
            revlink: Some("https://example.org/f00d".into()),
            category: Some("push".into()),
            repository: "https://example.org/r.git".into(),
            project: "hooked".into(),
            codebase: String::new(),
            when: Some(Timestamp::from_seconds(1_700_000_500)),
            properties,
        };
        assert_eq!(changes, Ok(vec![expected]));
    }

    #[test]
    fn older_names_and_fractions_of_seconds_are_understood() {
        let changes = base_hook(&params(&[("who", "Old <old@example.org>"), ("when", "1700000501.5")])).unwrap();
        assert_eq!(changes[0].author, "Old <old@example.org>");
        assert_eq!(changes[0].when, Some(Timestamp::from_millis(1_700_000_501_500)));
    }

    #[test]
    fn a_request_without_anything_is_a_change_without_anything() {
        assert_eq!(base_hook(&BTreeMap::new()), Ok(vec![NewChange::default()]));
    }

    #[test]
    fn what_is_wrong_is_said_in_the_words_that_scripts_know() {
        assert!(refused("files", "a.c").contains("list of paths"));
        assert_eq!(refused("files", "[bad"), "Expecting value: line 1 column 2 (char 1)");
        assert_eq!(refused("files", "[\"a\" \"b\"]"), "Expecting ',' delimiter: line 1 column 6 (char 5)");
        assert_eq!(refused("files", "[] x"), "Extra data: line 1 column 4 (char 3)");
        assert_eq!(refused("when_timestamp", "abc"), "could not convert string to float: 'abc'");
        for number in ["nan", "inf", "1e300", "-1e300"] {
            assert!(refused("when", number).contains(number));
        }
        assert!(refused("files", "{\"a\": 1}").contains("list of paths"));
        assert!(refused("files", "[1]").contains("list of paths"));
        assert!(refused("properties", "[]").contains("JSON object"));
        assert!(
            refused("properties", "{k: 1}")
                .starts_with("Expecting property name enclosed in double quotes: line 1 column 2")
        );
    }
}
