//! Calls of forges in their documented shapes: `tests/fixtures/hooks/DIALECT/EVENT.json`, abridged by us.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use starwright::testing::model::{HookDialect, HookPlan, HookSettings, PullEvent};
use starwright::testing::vcs::HookCall;

/// A recorded call.
#[derive(Clone, Debug)]
pub struct Sample {
    pub dialect: HookDialect,
    /// `DIALECT/EVENT`.
    pub name: String,
    pub headers: Vec<(String, String)>,
    pub body: Json,
}

impl Sample {
    /// All of them, by dialect and name.
    pub fn all() -> Vec<Self> {
        let forges = HookDialect::ALL.into_iter().filter(|dialect| !dialect.pull_refs().is_empty());
        forges.flat_map(Self::of).collect()
    }

    fn of(dialect: HookDialect) -> Vec<Self> {
        let folder = folder().join(dialect.word());
        let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| Self::read(dialect, file)).collect()
    }

    /// One by its name.
    pub fn named(name: &str) -> Self {
        Self::all().into_iter().find(|sample| sample.name == name).expect("there is such a sample")
    }

    fn read(dialect: HookDialect, file: &Path) -> Self {
        let text = std::fs::read_to_string(file).unwrap();
        let json: Json = serde_json::from_str(&text).unwrap();
        let headers = json["headers"].as_object().unwrap().iter();
        Self {
            dialect,
            name: format!("{}/{}", dialect.word(), file.file_stem().unwrap().to_string_lossy()),
            headers: headers.map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect(),
            body: json["body"].clone(),
        }
    }

    /// The call, with this body.
    pub fn call_with(&self, body: impl Into<bytes::Bytes>) -> HookCall {
        HookCall { headers: self.headers.iter().cloned().collect(), body: body.into(), ..HookCall::default() }
    }

    /// The call as recorded.
    pub fn call(&self) -> HookCall {
        self.call_with(self.body.to_string())
    }
}

/// A hook that takes whatever a forge tells.
pub fn plan(dialect: HookDialect) -> HookPlan {
    let settings = HookSettings {
        pulls: dialect.pull_refs().first().copied(),
        pull_events: PullEvent::ALL.to_vec(),
        drafts: true,
        comments: Some("^/build".to_owned()),
        comments_from: vec!["member".to_owned(), "@ann".to_owned(), "@557058:ann".to_owned()],
        url: Some("https://bitbucket.example.org/".to_owned()),
        ..HookSettings::default()
    };
    HookPlan { dialect, settings, ..HookPlan::default() }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hooks")
}
