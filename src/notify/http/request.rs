//! From a report to requests. Pure: the same report gives the same requests each time that they are sent.

use std::collections::BTreeMap;

use super::super::makers::Makers;
use crate::base::nearest;
use crate::model::{FnId, HTTP_REQUEST_KEYS, HttpPlan, Value};

/// Requests that one report becomes: a build has few codebases, and a failed one sends all of them again.
const REQUESTS_MAX: usize = 10;
/// What one request may hold. Forges and chats refuse far less.
const CONTENT_BYTES_MAX: usize = 1 << 20;

/// Headers that are not for `request` to set: the request has them anyway, or they hold the login.
const RESERVED: [&str; 5] = ["host", "content-length", "transfer-encoding", "connection", "authorization"];

/// A request, but for the secrets in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRequest {
    pub method: String,
    /// Its address, whole or below the configured one; none: the configured one.
    pub url: Option<String>,
    pub headers: BTreeMap<String, String>,
    pub content: Content,
}

/// What a request holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Content {
    #[default]
    Nothing,
    Json(String),
    Text(String),
}

/// The requests of a report; none if there is nothing to say. `message` is everything that a report can tell.
///
/// # Errors
/// What is wrong with what a user's function returned.
pub fn write(plan: &HttpPlan, message: &Value, makers: &Makers<'_>) -> Result<Vec<HttpRequest>, String> {
    let Some(function) = plan.request else { return Ok(vec![usual(plan, message, makers)?]) };
    let failed = |why| format!("the function given as `request` failed: {why}");
    match (makers.data)(function, message).map_err(failed)? {
        Value::Null => Ok(Vec::new()),
        Value::List(items) if items.len() > REQUESTS_MAX => {
            Err(format!("`request` returned {} requests; at most {REQUESTS_MAX} are sent for a report", items.len()))
        }
        Value::List(items) => items.iter().map(|item| made(plan, item)).collect(),
        item => Ok(vec![made(plan, &item)?]),
    }
}

/// The request that the single settings describe.
fn usual(plan: &HttpPlan, message: &Value, makers: &Makers<'_>) -> Result<HttpRequest, String> {
    let text = |name: &str, function: FnId| {
        let failed = |why| format!("the function given as `{name}` failed: {why}");
        (makers.text)(function, message).map_err(failed)
    };
    let content = match (plan.body, plan.json) {
        (Some(body), _) => Content::Text(text("body", body)?),
        (None, Some(json)) => {
            let failed = |why| format!("the function given as `json` failed: {why}");
            Content::Json((makers.data)(json, message).map_err(failed)?.to_json().to_string())
        }
        (None, None) => Content::Json(message.to_json().to_string()),
    };
    let url = plan.url_fn.map(|function| text("url", function)).transpose()?;
    bounded(HttpRequest { method: plan.method.clone(), url, headers: BTreeMap::new(), content })
}

/// A request that the user's function described.
fn made(plan: &HttpPlan, described: &Value) -> Result<HttpRequest, String> {
    let Value::Map(entries) = described else {
        return Err(format!("`request` must return a dict, a list of dicts, or None, not {}", described.to_json()));
    };
    if let Some(key) = entries.keys().find(|key| !HTTP_REQUEST_KEYS.contains(&key.as_str())) {
        let like = nearest(key, HTTP_REQUEST_KEYS).map(|like| format!("; did you mean `{like}`?")).unwrap_or_default();
        return Err(format!("`request` returned a dict with `{key}`, which is not part of a request{like}"));
    }
    let entry = |key: &str| entries.get(key).filter(|value| **value != Value::Null);
    let text = |key: &str| match entry(key) {
        None => Ok(None),
        Some(Value::Str(text)) => Ok(Some(text.clone())),
        Some(other) => Err(format!("`{key}` of a request must be a text, not {}", other.to_json())),
    };
    let content = match (entry("json"), text("body")?) {
        (Some(_), Some(_)) => return Err("a request has either `json` or `body`".to_owned()),
        (Some(json), None) => Content::Json(json.to_json().to_string()),
        (None, Some(body)) => Content::Text(body),
        (None, None) => Content::Nothing,
    };
    let method = text("method")?.unwrap_or_else(|| plan.method.clone());
    if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(format!("`method` of a request must be a word such as \"POST\", not \"{method}\""));
    }
    bounded(HttpRequest { method, url: text("url")?, headers: headers(entry("headers"))?, content })
}

fn headers(given: Option<&Value>) -> Result<BTreeMap<String, String>, String> {
    let entries = match given {
        None => return Ok(BTreeMap::new()),
        Some(Value::Map(entries)) => entries,
        Some(other) => return Err(format!("`headers` of a request must be a dict of text, not {}", other.to_json())),
    };
    let one = |(name, value): (&String, &Value)| match value {
        _ if RESERVED.contains(&name.to_ascii_lowercase().as_str()) => {
            Err(format!("header `{name}` cannot be set by `request`; set the login in the notifier itself"))
        }
        Value::Str(text) if !text.contains(['\r', '\n']) => Ok((name.clone(), text.clone())),
        other => Err(format!("header `{name}` of a request must be one line of text, not {}", other.to_json())),
    };
    entries.iter().map(one).collect()
}

fn bounded(request: HttpRequest) -> Result<HttpRequest, String> {
    let bytes = match &request.content {
        Content::Nothing => 0,
        Content::Json(text) | Content::Text(text) => text.len(),
    };
    if bytes > CONTENT_BYTES_MAX {
        return Err(format!("a request would hold {bytes} bytes; at most {CONTENT_BYTES_MAX} are sent"));
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Span;
    use crate::model::HttpLogin;

    fn plan(request: bool) -> HttpPlan {
        HttpPlan {
            method: "POST".to_owned(),
            url: None,
            url_fn: None,
            headers: BTreeMap::new(),
            json: None,
            body: None,
            request: request.then_some(FnId(0)),
            login: HttpLogin::None,
            ca_file: None,
            client_certificate: None,
            client_key: None,
            timeout: Span::from_seconds(30),
            accepted: Vec::new(),
            harmless: None,
            log_lines: 0,
        }
    }

    fn value(json: &str) -> Value {
        Value::from_json(&serde_json::from_str(json).unwrap())
    }

    /// What becomes of what `request` returned.
    fn returned(json: &str) -> Result<Vec<HttpRequest>, String> {
        let data = |_, _: &Value| Ok(value(json));
        write(&plan(true), &Value::Null, &Makers { text: &|_, _| panic!("nothing makes a text"), data: &data })
    }

    #[test]
    fn without_functions_the_message_itself_is_sent() {
        let makers = Makers { text: &|_, _| panic!("no function"), data: &|_, _| panic!("no function") };
        let requests = write(&plan(false), &value(r#"{"builder": "linux"}"#), &makers).unwrap();
        assert_eq!(requests.len(), 1);
        assert_eq!(requests[0].content, Content::Json(r#"{"builder":"linux"}"#.to_owned()));
        assert_eq!((requests[0].method.as_str(), requests[0].url.as_deref()), ("POST", None));
    }

    #[test]
    fn a_function_says_what_to_send_in_which_order() {
        assert_eq!(returned("null"), Ok(Vec::new()));
        let two =
            returned(r#"[{"url": "/a", "json": {"x": 1}}, {"method": "PUT", "body": "b", "headers": {"X": "y"}}]"#);
        let two = two.unwrap();
        assert_eq!((two[0].url.as_deref(), &two[0].content), (Some("/a"), &Content::Json(r#"{"x":1}"#.to_owned())));
        assert_eq!((two[1].method.as_str(), &two[1].content), ("PUT", &Content::Text("b".to_owned())));
        assert_eq!(two[1].headers["X"], "y");
    }

    #[test]
    fn what_is_no_request_is_told_in_words() {
        for (json, words) in [
            (r#"{"metod": "PUT"}"#, "did you mean `method`?"),
            (r#""x""#, "must return a dict"),
            (r#"{"json": 1, "body": "x"}"#, "either `json` or `body`"),
            (r#"{"url": 3}"#, "`url` of a request must be a text, not 3"),
            (r#"{"method": "post"}"#, "such as \"POST\""),
            (r#"{"headers": {"Authorization": "x"}}"#, "set the login in the notifier"),
            (r#"{"headers": {"X": "a\nb"}}"#, "one line"),
            ("[{}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}]", "11 requests"),
        ] {
            let error = returned(json).unwrap_err();
            assert!(error.contains(words), "{json}: {error}");
        }
    }
}
