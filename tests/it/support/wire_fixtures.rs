//! Recorded worker traffic (tests/fixtures/worker-protocol), read back into messages.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rmpv::Value;
use serde_json::Value as Json;

/// Which side sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    ToMaster,
    ToWorker,
}

/// One recorded binary message.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub file: String,
    pub line: usize,
    pub direction: Direction,
    /// The bytes of the wire where recorded, else the message encoded again.
    pub bytes: Vec<u8>,
    /// Whether `bytes` are those of the wire.
    pub exact: bool,
    /// The message; none if what was sent is no MessagePack.
    pub value: Option<Value>,
    /// Long values were replaced by stand-ins.
    pub trimmed: bool,
}

pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/worker-protocol")
}

/// Names of all recordings.
pub fn names() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory())
        .expect("the directory of recordings is part of the project")
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// All messages of one recording, in order.
pub fn messages(name: &str) -> Vec<Recorded> {
    let text = std::fs::read_to_string(directory().join(format!("{name}.jsonl"))).unwrap();
    let events = text.lines().enumerate().map(|(at, line)| (at + 1, serde_json::from_str::<Json>(line).unwrap()));
    events.filter(|(_, event)| event["kind"] == "msg").map(|(line, event)| recorded(name, line, &event)).collect()
}

fn recorded(file: &str, line: usize, event: &Json) -> Recorded {
    let value = event.get("undecodable").is_none().then(|| value(&event["msg"]));
    let raw = match &event["raw"] {
        Json::String(raw) => Some(STANDARD.decode(raw).unwrap()),
        Json::Object(stand_in) => Some(STANDARD.decode(stand_in["__bytes__"].as_str().unwrap()).unwrap()),
        _ => None,
    };
    let exact = raw.is_some();
    let trimmed = event.get("trimmed").is_some() || event["msg"].to_string().contains("__trimmed");
    let bytes = raw.unwrap_or_else(|| bytes(value.as_ref().expect("what has no message has bytes")));
    let direction = if event["dir"] == "worker->master" { Direction::ToMaster } else { Direction::ToWorker };
    Recorded { file: file.to_owned(), line, direction, bytes, exact, value, trimmed }
}

pub fn bytes(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).unwrap();
    bytes
}

/// The value that a recording's JSON stands for.
pub fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(yes) => Value::from(*yes),
        Json::Number(number) => number_of(&number.to_string()),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::Array(items.iter().map(value).collect()),
        Json::Object(entries) => match entries.get("__bytes__") {
            Some(Json::String(coded)) => Value::from(STANDARD.decode(coded).unwrap()),
            _ => Value::Map(entries.iter().map(|(key, item)| (Value::from(key.as_str()), value(item))).collect()),
        },
    }
}

fn number_of(text: &str) -> Value {
    match (text.parse::<i64>(), text.parse::<u64>()) {
        (Ok(number), _) => Value::from(number),
        (_, Ok(number)) => Value::from(number),
        _ => Value::from(text.parse::<f64>().unwrap()),
    }
}

/// The same value with all maps in order of their keys.
pub fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        Value::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().map(|(key, item)| (key.clone(), sorted(item))).collect();
            entries.sort_by_key(|(key, _)| key.to_string());
            Value::Map(entries)
        }
        other => other.clone(),
    }
}
