//! Recorded requests and answers of the field's server, and comparison of shapes.

use std::path::PathBuf;

use serde_json::Value as Json;

/// One recorded request with its answer.
pub struct Recorded {
    pub name: String,
    json: Json,
}

impl Recorded {
    /// The recording of a name, for example `get/builds_id`.
    pub fn new(name: &str) -> Self {
        let path = directory().join(format!("{name}.json"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self { name: name.to_owned(), json: serde_json::from_str(&text).unwrap() }
    }

    /// All recordings of a directory whose names begin in some way.
    pub fn all(part: &str, begin: &str) -> Vec<Self> {
        let mut names: Vec<String> = std::fs::read_dir(directory().join(part))
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .filter(|name| name.starts_with(begin))
            .collect();
        names.sort();
        assert!(!names.is_empty(), "no recordings {part}/{begin}*");
        names.into_iter().map(|name| Self::new(&format!("{part}/{name}"))).collect()
    }

    pub fn method(&self) -> &str {
        self.json["request"]["method"].as_str().unwrap()
    }

    pub fn path(&self) -> &str {
        self.json["request"]["path"].as_str().unwrap()
    }

    pub fn headers(&self) -> Vec<(String, String)> {
        let headers = self.json["request"]["headers"].as_object().unwrap();
        headers.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
    }

    /// The body as it was sent; what was recorded as JSON was sent as JSON.
    pub fn body(&self) -> String {
        match &self.json["request"]["body"] {
            Json::Null => String::new(),
            Json::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    pub fn status(&self) -> u16 {
        u16::try_from(self.json["response"]["status"].as_u64().unwrap()).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let headers = self.json["response"]["headers"].as_array().unwrap();
        let found = headers.iter().find(|pair| pair[0].as_str().unwrap().eq_ignore_ascii_case(name));
        found.map(|pair| pair[1].as_str().unwrap())
    }

    pub fn answer(&self) -> &Json {
        &self.json["response"]["json"]
    }
}

/// Any file beside the recordings.
pub fn file(name: &str) -> Json {
    serde_json::from_str(&std::fs::read_to_string(directory().join(name)).unwrap()).unwrap()
}

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rest")
}

/// Where two values differ in shape: keys, or types where neither is null. Lists are compared by their first items;
/// objects whose keys are data (`free`) only by type.
pub fn differences(ours: &Json, theirs: &Json, free: &[&str], at: &str, out: &mut Vec<String>) {
    match (ours, theirs) {
        (Json::Null, _) | (_, Json::Null) => {}
        (Json::Object(left), Json::Object(right)) => {
            for key in left.keys().filter(|key| !right.contains_key(*key)) {
                out.push(format!("{at}.{key}: only ours has it"));
            }
            for (key, value) in right {
                match left.get(key) {
                    None => out.push(format!("{at}.{key}: missing")),
                    Some(_) if free.contains(&key.as_str()) => {}
                    Some(own) => differences(own, value, free, &format!("{at}.{key}"), out),
                }
            }
        }
        (Json::Array(left), Json::Array(right)) => {
            if let (Some(left), Some(right)) = (left.first(), right.first()) {
                differences(left, right, free, &format!("{at}[]"), out);
            }
        }
        (left, right) if kind(left) != kind(right) => out.push(format!("{at}: {left} is no {}", kind(right))),
        _ => {}
    }
}

fn kind(json: &Json) -> &'static str {
    match json {
        Json::Null => "null",
        Json::Bool(_) => "truth value",
        Json::Number(number) if number.is_f64() && !number.is_i64() => "fraction",
        Json::Number(_) => "number",
        Json::String(_) => "text",
        Json::Array(_) => "list",
        Json::Object(_) => "object",
    }
}
