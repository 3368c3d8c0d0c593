//! A call of a hook, and what it means.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde_json::Value as Json;

use crate::model::NewChange;

/// The field of a form in which forges send their JSON.
const PAYLOAD: &str = "payload";
/// Of a text of the caller that comes back in a refusal.
const SHOWN_CHARS_MAX: usize = 64;

/// Headers by which senders name a delivery, so that one which they repeat is known.
const DELIVERY_HEADERS: [&str; 8] = [
    "webhook-id",
    "x-github-delivery",
    "x-gitea-delivery",
    "x-forgejo-delivery",
    "x-gogs-delivery",
    "x-gitlab-event-uuid",
    "x-request-uuid",
    "idempotency-key",
];
/// The same of Bitbucket Server. Proxies set it, too, so that it counts only where the forge is known.
const REQUEST_ID: &str = "x-request-id";
/// Only calls of Bitbucket have it.
const EVENT_KEY: &str = "x-event-key";

/// A call, complete.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HookCall {
    /// By their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Names of headers that came more than once: which of them counts is anybody's guess.
    pub repeated: BTreeSet<String>,
    /// As it came: signatures are over these bytes.
    pub body: Bytes,
    /// The fields of the query and of a form in the body.
    pub params: BTreeMap<String, Vec<String>>,
}

/// Why a call was refused (docs/reference/http-api.md#change-hooks).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HookError {
    /// HTTP status: 400 when the request is wrong, 401 without proof, 429 after too many wrong tries, 500 when we are
    /// wrong.
    pub status: u16,
    /// The body of the answer.
    pub message: String,
    /// Seconds to wait before trying again.
    pub wait: Option<u64>,
}

impl HookError {
    /// The call is wrong.
    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// With this status.
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), wait: None }
    }
}

/// A call that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// The forge's word for what happened.
    pub event: String,
    pub meaning: Meaning,
    pub payload: Json,
}

/// What a call means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The forge tries whether we are there.
    Ping,
    /// Nothing for us: why.
    Ignored(String),
    /// Changes, oldest first.
    Changes {
        changes: Vec<NewChange>,
        /// All addresses of their repository, the preferred one first; none if the changes name theirs.
        addresses: Vec<String>,
        /// Somebody asked for a build, so that it counts also if the commit is known.
        demanded: bool,
    },
}

impl Meaning {
    /// Ignored for a reason.
    pub(super) fn ignored(why: impl Into<String>) -> Self {
        Self::Ignored(why.into())
    }
}

impl HookCall {
    /// A header; the name is in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A header that proves something, so that it must not have come twice.
    ///
    /// # Errors
    /// When it did.
    pub(super) fn proving_header(&self, name: &str) -> Result<Option<&str>, String> {
        if self.repeated.contains(name) {
            return Err(format!("the header `{name}` is there more than once"));
        }
        Ok(self.header(name))
    }

    /// The sender's name of this delivery: a field of a script's form, or a header.
    pub fn delivery(&self) -> Option<String> {
        let field = self.params.get("delivery").and_then(|values| values.first()).filter(|name| !name.is_empty());
        field.cloned().or_else(|| self.forge_delivery())
    }

    /// The same by the headers alone. A forge sends no field, so one in the query would be somebody else's.
    pub fn forge_delivery(&self) -> Option<String> {
        let header = || DELIVERY_HEADERS.iter().find_map(|name| self.header(name));
        let request = || self.header(EVENT_KEY).and_then(|_| self.header(REQUEST_ID));
        header().or_else(request).map(str::to_owned)
    }

    /// The text of the JSON: the body, or the field `payload` of a form. The form is read from the body alone, because that
    /// is what the signature is over: a query can say anything.
    pub(super) fn json_text(&self) -> Result<Cow<'_, [u8]>, HookError> {
        let kind = self.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match kind.as_str() {
            "application/x-www-form-urlencoded" => {
                let mut fields = form_urlencoded::parse(&self.body).filter(|(name, _)| name == PAYLOAD);
                match (fields.next(), fields.next()) {
                    (Some((_, json)), None) => Ok(Cow::Owned(json.into_owned().into_bytes())),
                    (None, _) => Err(HookError::bad("the form has no field `payload` with the JSON")),
                    (Some(_), Some(_)) => Err(HookError::bad("the form has the field `payload` more than once")),
                }
            }
            kind if kind == "application/json" || kind.ends_with("+json") => Ok(Cow::Borrowed(&self.body)),
            kind => {
                let shown: String = kind.chars().take(SHOWN_CHARS_MAX).collect();
                let shown = if shown.is_empty() { "no type at all".to_owned() } else { format!("`{shown}`") };
                Err(HookError::bad(format!(
                    "this hook takes JSON (application/json, or the field `payload` of a form), not a body of {shown}: \
                     choose the content type application/json in the settings of the webhook"
                )))
            }
        }
    }

    /// The JSON.
    pub(super) fn payload(&self) -> Result<Json, HookError> {
        serde_json::from_slice(&self.json_text()?)
            .map_err(|error| HookError::bad(format!("the body is not valid JSON: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(headers: &[(&str, &str)], body: &'static str) -> HookCall {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        HookCall { headers, body: Bytes::from_static(body.as_bytes()), ..HookCall::default() }
    }

    #[test]
    fn a_delivery_is_named_by_a_field_or_a_header() {
        assert_eq!(call(&[("x-github-delivery", "a"), ("x-request-id", "b")], "").delivery().as_deref(), Some("a"));
        assert_eq!(call(&[("x-request-id", "b")], "").delivery(), None, "any proxy sets it");
        let server = call(&[("x-request-id", "b"), ("x-event-key", "repo:refs_changed")], "");
        assert_eq!(server.delivery().as_deref(), Some("b"));
        let mut named = server;
        named.params.insert("delivery".to_owned(), vec!["c".to_owned()]);
        assert_eq!(named.delivery().as_deref(), Some("c"));
    }

    #[test]
    fn json_comes_as_such_or_in_a_form() {
        let json = ("content-type", "application/json; charset=utf-8");
        assert_eq!(call(&[json], "{\"a\": 1}").payload().unwrap()["a"], 1);
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        assert_eq!(call(&kind, "payload=%7B%7D").payload().unwrap(), serde_json::json!({}));
        assert!(call(&kind, "payload=%7B%7D&payload=1").payload().unwrap_err().message.contains("more than once"));
        // The signature is over the body: what the query says is nobody's.
        let mut queried = call(&kind, "");
        queried.params.insert("payload".to_owned(), vec!["{}".to_owned()]);
        assert!(queried.payload().unwrap_err().message.contains("`payload`"));
        for (kind, shown) in [("text/plain", "`text/plain`"), ("", "no type at all")] {
            let error = call(&[("content-type", kind)], "{}").payload().unwrap_err();
            assert!(error.status == 400 && error.message.contains(shown), "{error}");
        }
        assert!(call(&[json], "{").payload().unwrap_err().message.contains("not valid JSON"));
    }
}
