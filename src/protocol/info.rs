//! What a worker reports about itself (docs/reference/worker-protocol.md#info).

use std::collections::BTreeMap;

use rmpv::Value;

use super::caps::Caps;
use super::fields::{Fields, MapWriter, flag, map, natural, text, text_map};

/// The result of `get_worker_info`. All entries may be missing in unusual set-ups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerInfo {
    /// `posix` or `nt`.
    pub system: String,
    /// Absolute, in the worker's own syntax.
    pub basedir: String,
    pub version: String,
    pub numcpus: u64,
    /// The worker's whole environment.
    pub environ: BTreeMap<String, String>,
    /// Command name to version of the command set.
    pub worker_commands: BTreeMap<String, String>,
    pub delete_leftover_dirs: bool,
    /// Files of its `info` directory (`admin`, `host`, `access_uri`, …), and `os_…`.
    pub facts: BTreeMap<String, String>,
    /// The extensions that it supports.
    pub caps: Caps,
    /// Identifies the spool of one of our workers. A stock worker has none.
    pub instance: Option<String>,
}

const FIXED: [&str; 9] = [
    "system",
    "basedir",
    "version",
    "numcpus",
    "environ",
    "worker_commands",
    "delete_leftover_dirs",
    "x_caps",
    "x_instance",
];

impl WorkerInfo {
    /// Reads a result. What is missing or malformed is left empty.
    #[must_use]
    pub fn read(answer: &Value) -> Self {
        let Some(fields) = Fields::of(answer) else { return Self::default() };
        let word = |key| fields.get(key).and_then(text).unwrap_or_default().to_owned();
        Self {
            system: word("system"),
            basedir: word("basedir"),
            version: word("version"),
            numcpus: fields.get("numcpus").and_then(natural).unwrap_or(0),
            environ: fields.get("environ").and_then(text_map).unwrap_or_default(),
            worker_commands: fields.get("worker_commands").and_then(text_map).unwrap_or_default(),
            delete_leftover_dirs: fields.get("delete_leftover_dirs").and_then(flag).unwrap_or(false),
            facts: fields
                .entries()
                .filter(|(key, _)| !FIXED.contains(key))
                .filter_map(|(key, value)| Some((key.to_owned(), text(value)?.to_owned())))
                .collect(),
            caps: fields.get("x_caps").map(Caps::read_chosen).unwrap_or_default(),
            instance: fields.get("x_instance").and_then(text).map(str::to_owned),
        }
    }

    /// The result to send.
    #[must_use]
    pub fn write(&self) -> Value {
        let mut out = MapWriter::default();
        for (key, value) in &self.facts {
            out.put(key, value.as_str());
        }
        out.put("environ", strings(&self.environ))
            .put("system", self.system.as_str())
            .put("basedir", self.basedir.as_str())
            .put("numcpus", self.numcpus)
            .put("version", self.version.as_str())
            .put("worker_commands", strings(&self.worker_commands))
            .put("delete_leftover_dirs", self.delete_leftover_dirs)
            .put_some("x_caps", self.caps.write_chosen())
            .put_some("x_instance", self.instance.as_deref());
        out.end()
    }
}

fn strings(entries: &BTreeMap<String, String>) -> Value {
    map(entries.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}
