//! Walks through the JSON of a call, and knows where it is: what must be there and is not is named by its path.

use serde_json::Value as Json;

use super::HookError;
use crate::base::Timestamp;

/// Digits of a hash that name a commit: the fewest that git itself writes, and all of SHA-256.
const DIGITS_MIN: usize = 7;
const DIGITS_MAX: usize = 64;

/// A place in a JSON text, whether or not something is there.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    value: Option<&'a Json>,
    path: String,
}

impl<'a> Node<'a> {
    /// The whole text.
    pub(super) fn root(json: &'a Json) -> Self {
        Self { value: Some(json), path: "$".to_owned() }
    }

    /// A field; of what is no object it is missing.
    pub(super) fn get(&self, name: &str) -> Self {
        let value = self.value.and_then(|value| value.as_object()?.get(name));
        Self { value: value.filter(|value| !value.is_null()), path: format!("{}.{name}", self.path) }
    }

    /// A field of a field, and so on.
    pub(super) fn at(&self, names: &[&str]) -> Self {
        names.iter().fold(self.clone(), |node, name| node.get(name))
    }

    /// The elements of a list; none if it is missing, or no list.
    pub(super) fn items(&self) -> Vec<Self> {
        let items = self.value.and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let item = |(index, value)| Self { value: Some(value), path: format!("{}[{index}]", self.path) };
        items.iter().enumerate().map(item).collect()
    }

    /// Whether there is a list.
    pub(super) fn is_list(&self) -> bool {
        self.value.is_some_and(Json::is_array)
    }

    /// Whether something other than null is there.
    pub(super) const fn is_there(&self) -> bool {
        self.value.is_some()
    }

    /// A text that is not empty, if there is one.
    pub(super) fn text(&self) -> Option<&'a str> {
        self.value.and_then(Json::as_str).filter(|text| !text.is_empty())
    }

    /// The same as a text of our own.
    pub(super) fn string(&self) -> Option<String> {
        self.text().map(str::to_owned)
    }

    /// Whether it is the value `true`.
    pub(super) fn is_true(&self) -> bool {
        self.value.and_then(Json::as_bool).unwrap_or(false)
    }

    /// A whole number, if there is one.
    pub(super) fn number(&self) -> Option<i64> {
        self.value.and_then(Json::as_i64)
    }

    /// The texts of a list.
    pub(super) fn texts(&self) -> Vec<&'a str> {
        let items = self.value.and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        items.iter().filter_map(Json::as_str).collect()
    }

    /// A moment: a text as of RFC 3339, or milliseconds since 1970.
    pub(super) fn moment(&self) -> Option<Timestamp> {
        let written = self.text().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        written.map(|moment| Timestamp::from_millis(moment.as_millisecond())).or_else(|| {
            let known = jiff::Timestamp::from_millisecond(self.number()?).ok()?;
            Some(Timestamp::from_millis(known.as_millisecond()))
        })
    }

    /// A text that must be there.
    pub(super) fn need_text(&self) -> Result<&'a str, HookError> {
        self.text().ok_or_else(|| self.fault("a text"))
    }

    /// The name of a commit that must be there: at least the first digits of its hash, as git takes it. Whatever else is
    /// sent would reach the git program as a name of something.
    pub(super) fn need_revision(&self) -> Result<&'a str, HookError> {
        let text = self.need_text()?;
        let is_revision =
            (DIGITS_MIN..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_revision { Ok(text) } else { Err(HookError::bad(format!("`{}` is not the hash of a commit", self.path))) }
    }

    /// A whole number that must be there.
    pub(super) fn need_number(&self) -> Result<i64, HookError> {
        self.number().ok_or_else(|| self.fault("a whole number"))
    }

    /// An object that must be there.
    pub(super) fn need_object(&self) -> Result<&Self, HookError> {
        if self.value.is_some_and(Json::is_object) { Ok(self) } else { Err(self.fault("an object")) }
    }

    /// A list that must be there.
    pub(super) fn need_items(&self) -> Result<Vec<Self>, HookError> {
        if self.is_list() { Ok(self.items()) } else { Err(self.fault("a list")) }
    }

    /// What is wrong here.
    pub(super) fn fault(&self, wanted: &str) -> HookError {
        let found = match self.value {
            None | Some(Json::Null) => {
                return HookError::bad(format!("`{}` is missing: it must be {wanted}", self.path));
            }
            Some(Json::Bool(_)) => "a truth value",
            Some(Json::Number(_)) => "a number",
            Some(Json::String(text)) if text.is_empty() => "an empty text",
            Some(Json::String(_)) => "a text",
            Some(Json::Array(_)) => "a list",
            Some(Json::Object(_)) => "an object",
        };
        HookError::bad(format!("`{}` must be {wanted}, not {found}", self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_or_of_another_kind_is_named_by_its_path() {
        let json = serde_json::json!({"a": [{"b": 1}, {"b": null}], "c": "", "d": "x"});
        let root = Node::root(&json);
        let first = &root.get("a").items()[0];
        assert_eq!(first.get("b").need_text().unwrap_err().message, "`$.a[0].b` must be a text, not a number");
        let second = &root.get("a").items()[1];
        let error = second.at(&["b", "e"]).need_text().unwrap_err();
        assert_eq!(error.message, "`$.a[1].b.e` is missing: it must be a text");
        assert_eq!(root.get("c").need_text().unwrap_err().message, "`$.c` must be a text, not an empty text");
        assert_eq!(root.get("d").need_items().unwrap_err().message, "`$.d` must be a list, not a text");
        assert!(root.get("d").at(&["e", "f"]).text().is_none());
    }

    #[test]
    fn a_revision_is_a_hash() {
        let json = serde_json::json!([
            "f95f852bd8fca8fcc58a9a2d6c842781e32a215e",
            "f95f852",
            "f95f85",
            "--help.",
            "HEAD~12",
            ""
        ]);
        let items = Node::root(&json).items();
        assert!(items[..2].iter().all(|item| item.need_revision().is_ok()));
        assert!(items[2..].iter().all(|item| item.need_revision().is_err()));
        assert_eq!(items[3].need_revision().unwrap_err().message, "`$[3]` is not the hash of a commit");
    }

    #[test]
    fn moments_are_written_or_counted() {
        let json =
            serde_json::json!(["2015-05-05T19:40:15-04:00", 1_430_869_215_000_i64, "2013-12-03 17:23:34 UTC", 1e300]);
        let items = Node::root(&json).items();
        assert_eq!(items[0].moment(), Some(Timestamp::from_seconds(1_430_869_215)));
        assert_eq!(items[0].moment(), items[1].moment());
        assert_eq!((items[2].moment(), items[3].moment()), (None, None));
    }
}
