//! Changes as plain data, for a function of the configuration, and what it makes of them.

use std::collections::BTreeMap;

use crate::base::Timestamp;
use crate::model::{NewChange, Properties, Value};

/// What a record of a change may have.
const FIELDS: [&str; 14] = [
    "author",
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
    "when",
    "properties",
    "always",
];
/// The source of properties of changes.
const SOURCE: &str = "Change";

/// A change as a record.
pub fn record_of(change: &NewChange) -> Value {
    let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::Str);
    let properties = change.properties.0.iter().map(|(name, property)| (name.clone(), property.value.clone()));
    let record = [
        ("author", Value::Str(change.author.clone())),
        ("committer", text(&change.committer)),
        ("comments", Value::Str(change.comments.clone())),
        ("files", Value::List(change.files.iter().map(|file| Value::Str(file.clone())).collect())),
        ("branch", text(&change.branch)),
        ("revision", text(&change.revision)),
        ("revlink", text(&change.revlink)),
        ("category", text(&change.category)),
        ("repository", Value::Str(change.repository.clone())),
        ("project", Value::Str(change.project.clone())),
        ("codebase", Value::Str(change.codebase.clone())),
        ("when", change.when.map_or(Value::Null, |when| Value::Int(when.as_seconds()))),
        ("properties", Value::Map(properties.collect())),
    ];
    Value::Map(record.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// The change that a record describes, and whether it counts in any case (`always`).
///
/// # Errors
/// What is wrong with it, in words that a person who wrote the function understands.
pub fn change_of(record: &Value) -> Result<(NewChange, bool), String> {
    let Value::Map(record) = record else { return Err("a change must be a dict".to_owned()) };
    if let Some(unknown) = record.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let shown: String = unknown.chars().take(64).collect();
        return Err(format!("a change has no field `{shown}`; there are {}", FIELDS.join(", ")));
    }
    let text = |name: &str| text_of(record, name);
    let change = NewChange {
        author: text("author")?.unwrap_or_default(),
        committer: text("committer")?,
        comments: text("comments")?.unwrap_or_default(),
        files: files(record.get("files"))?,
        branch: text("branch")?,
        revision: text("revision")?,
        revlink: text("revlink")?,
        category: text("category")?,
        repository: text("repository")?.unwrap_or_default(),
        project: text("project")?.unwrap_or_default(),
        codebase: text("codebase")?.unwrap_or_default(),
        when: when(record.get("when"))?,
        properties: properties(record.get("properties"))?,
    };
    match record.get("always") {
        None | Some(Value::Null) => Ok((change, false)),
        Some(Value::Bool(always)) => Ok((change, *always)),
        Some(_) => Err("`always` of a change must be True or False".to_owned()),
    }
}

/// A text that is not empty.
fn text_of(record: &BTreeMap<String, Value>, name: &str) -> Result<Option<String>, String> {
    match record.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Str(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(_) => Err(format!("`{name}` of a change must be a text")),
    }
}

fn files(value: Option<&Value>) -> Result<Vec<String>, String> {
    let wrong = || "`files` of a change must be a list of paths".to_owned();
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::List(files)) => {
            files.iter().map(|file| file.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
        }
        Some(_) => Err(wrong()),
    }
}

fn when(value: Option<&Value>) -> Result<Option<Timestamp>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Int(seconds)) => Ok(Some(Timestamp::from_seconds(*seconds))),
        Some(Value::Str(text)) => {
            let moment: Result<jiff::Timestamp, _> = text.parse();
            let moment = moment.map_err(|_| "`when` of a change is no time such as \"2026-11-27T19:00:00Z\"")?;
            Ok(Some(Timestamp::from_millis(moment.as_millisecond())))
        }
        Some(_) => Err("`when` of a change must be a whole number of seconds since 1970, or a time".to_owned()),
    }
}

fn properties(value: Option<&Value>) -> Result<Properties, String> {
    let mut properties = Properties::default();
    match value {
        None | Some(Value::Null) => {}
        Some(Value::Map(values)) => {
            for (name, value) in values {
                properties.set(name, value.clone(), SOURCE);
            }
        }
        Some(_) => return Err("`properties` of a change must be a dict".to_owned()),
    }
    Ok(properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_survives_the_round_trip() {
        let mut change = NewChange {
            author: "Ann".into(),
            committer: Some("Bob".into()),
            comments: "text".into(),
            files: vec!["a".into()],
            branch: Some("main".into()),
            revision: Some("f00d".into()),
            revlink: Some("https://example.org".into()),
            category: Some("pull".into()),
            repository: "r".into(),
            project: "p".into(),
            codebase: "c".into(),
            when: Some(Timestamp::from_seconds(5)),
            properties: Properties::default(),
        };
        change.properties.set("k", Value::List(vec![1.into()]), SOURCE);
        assert_eq!(change_of(&record_of(&change)), Ok((change, false)));
        assert_eq!(change_of(&record_of(&NewChange::default())), Ok((NewChange::default(), false)));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |name: &str, value: Value| change_of(&Value::Map([(name.to_owned(), value)].into())).unwrap_err();
        assert!(wrong("brnach", "x".into()).contains("no field `brnach`"));
        for (name, value) in [
            ("branch", Value::Int(1)),
            ("files", "a".into()),
            ("files", Value::List(vec![Value::Null])),
            ("when", "soon".into()),
            ("when", Value::Float(1.5)),
            ("properties", Value::List(Vec::new())),
            ("always", "yes".into()),
        ] {
            assert!(wrong(name, value).contains(&format!("`{name}`")), "{name}");
        }
        assert!(change_of(&Value::Null).is_err());
    }
}
