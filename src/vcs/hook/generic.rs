//! The dialect `generic`: any JSON. The configuration names, for each field of the change, a JSON pointer into the payload or
//! the text itself; without fields a function makes the changes.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::push::{is_zero, owned};
use super::records::change_of;
use super::{Heard, HookCall, HookError, Meaning};
use crate::model::{HookSettings, Value};

/// A pointer that ends so may point at nothing.
const MAY_MISS: char = '?';

pub(super) fn read(call: &HookCall, settings: &HookSettings) -> Result<Heard, HookError> {
    let payload = call.payload()?;
    let meaning = if settings.fields.is_empty() {
        Meaning::ignored("the configuration says nothing of the fields of this hook (`fields`)")
    } else {
        filled(&payload, settings)?
    };
    Ok(Heard { event: "call".to_owned(), meaning, payload })
}

fn filled(payload: &Json, settings: &HookSettings) -> Result<Meaning, HookError> {
    let mut record = BTreeMap::new();
    for (field, what) in &settings.fields {
        if !what.starts_with('/') {
            record.insert(field.clone(), Value::Str(what.clone()));
            continue;
        }
        let pointer = what.strip_suffix(MAY_MISS);
        match payload.pointer(pointer.unwrap_or(what)).filter(|found| !found.is_null()) {
            Some(found) => drop(record.insert(field.clone(), Value::from_json(found))),
            None if pointer.is_some() => {}
            None => {
                let advice = format!("write \"{what}?\" if it may be missing");
                return Err(HookError::bad(format!("the payload has nothing at `{what}` for `{field}`; {advice}")));
            }
        }
    }
    if record.get("revision").and_then(Value::as_str).is_some_and(|revision| !revision.is_empty() && is_zero(revision))
    {
        return Ok(Meaning::ignored("the branch was deleted"));
    }
    let (change, _) = change_of(&Value::Map(record)).map_err(HookError::bad)?;
    let project = if change.project.is_empty() { settings.project.clone() } else { change.project.clone() };
    let codebase = if change.codebase.is_empty() { settings.codebase.clone() } else { change.codebase.clone() };
    let change = owned(change, &HookSettings { project, codebase, ..HookSettings::default() });
    Ok(Meaning::Changes { changes: vec![change], addresses: Vec::new(), demanded: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(fields: &[(&str, &str)], body: &'static str) -> Result<Meaning, HookError> {
        let fields = fields.iter().map(|(name, what)| ((*name).to_owned(), (*what).to_owned())).collect();
        let headers = [("content-type".to_owned(), "application/json".to_owned())].into();
        let call = HookCall { headers, body: body.into(), ..HookCall::default() };
        read(&call, &HookSettings { fields, codebase: "lib".to_owned(), ..HookSettings::default() })
            .map(|heard| heard.meaning)
    }

    #[test]
    fn fields_point_into_the_payload_or_are_texts() {
        let fields = [("branch", "/push/ref"), ("repository", "https://example.org/r"), ("author", "/who?")];
        let Ok(Meaning::Changes { changes, .. }) = meaning(&fields, r#"{"push": {"ref": "main"}}"#) else { panic!() };
        assert_eq!((changes[0].branch.as_deref(), changes[0].codebase.as_str()), (Some("main"), "lib"));
        assert_eq!((changes[0].repository.as_str(), changes[0].author.as_str()), ("https://example.org/r", ""));
        let error = meaning(&fields, "{}").unwrap_err();
        assert!(error.message.contains("nothing at `/push/ref` for `branch`"), "{error}");
        let error = meaning(&fields, r#"{"push": {"ref": 1}}"#).unwrap_err();
        assert!(error.message.contains("`branch`"), "{error}");
    }

    #[test]
    fn a_deleted_branch_is_no_change() {
        let zeros = r#"{"after": "0000000000000000000000000000000000000000"}"#;
        assert_eq!(meaning(&[("revision", "/after")], zeros), Ok(Meaning::ignored("the branch was deleted")));
    }
}
