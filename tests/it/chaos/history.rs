//! What a master tells of a round: builds, steps, results, logs by their hashes; and how two such tales differ.

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use super::client::items;
use super::recipe::Known;

/// The number of the result "retry".
const RETRY: i64 = 5;

/// A round, by job.
pub type Tale = BTreeMap<String, Vec<Build>>;

/// A build that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    pub id: u64,
    pub worker: String,
    pub result: i64,
    pub steps: Vec<Step>,
}

/// A step, in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub name: String,
    pub result: i64,
    pub logs: BTreeMap<String, Log>,
}

/// A log, by stream: standard output, standard error, header, or the whole of a log that has none.
pub type Log = BTreeMap<char, Text>;

/// Lines with their hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Text {
    pub lines: usize,
    pub bytes: usize,
    /// None for headers, which tell directories, variables and times.
    pub hash: Option<String>,
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = self.hash.as_deref().map_or("-", |hash| &hash[..8]);
        write!(f, "{} lines, {} bytes, {hash}", self.lines, self.bytes)
    }
}

impl Build {
    /// Whether it was cut off and its request waited again.
    pub const fn is_retried(&self) -> bool {
        self.result == RETRY
    }
}

/// The builds of a round that ended, by job, without their steps.
pub fn ended(address: &str, round: &str) -> io::Result<BTreeMap<String, Vec<Json>>> {
    let mut jobs: BTreeMap<String, Vec<Json>> = BTreeMap::new();
    // More than a round has, however often a stock worker is cut off.
    let path = "builds?order=-buildid&limit=400&property=round&property=job";
    for build in items(address, path)? {
        if build["properties"]["round"][0] == round && build["complete"] == true {
            let job = build["properties"]["job"][0].as_str().unwrap_or_default().to_owned();
            jobs.entry(job).or_default().push(build);
        }
    }
    Ok(jobs)
}

/// Everything of a round.
pub fn tale(address: &str, round: &str) -> io::Result<Tale> {
    let workers = items(address, "workers")?;
    let name = |id: &Json| workers.iter().find(|worker| &worker["workerid"] == id).map(|worker| &worker["name"]);
    let mut tale = Tale::new();
    for (job, builds) in ended(address, round)? {
        for build in builds.iter().rev() {
            let id = build["buildid"].as_u64().unwrap();
            let worker = name(&build["workerid"]).and_then(Json::as_str).unwrap_or_default().to_owned();
            let result = build["results"].as_i64().unwrap();
            tale.entry(job.clone()).or_default().push(Build { id, worker, result, steps: steps(address, id)? });
        }
    }
    Ok(tale)
}

fn steps(address: &str, build: u64) -> io::Result<Vec<Step>> {
    let mut steps = Vec::new();
    for step in items(address, &format!("builds/{build}/steps"))? {
        let mut logs = BTreeMap::new();
        for log in items(address, &format!("steps/{}/logs", step["stepid"]))? {
            assert_eq!(log["complete"], true, "a log of a build that ended is complete: {log}");
            logs.insert(log["name"].as_str().unwrap().to_owned(), read(address, &log)?);
        }
        let name = step["name"].as_str().unwrap().to_owned();
        steps.push(Step { name, result: step["results"].as_i64().unwrap_or(-1), logs });
    }
    Ok(steps)
}

fn read(address: &str, log: &Json) -> io::Result<Log> {
    let mut streams: BTreeMap<char, String> = BTreeMap::new();
    for chunk in items(address, &format!("logs/{}/contents", log["logid"]))? {
        for line in chunk["content"].as_str().unwrap_or_default().split_inclusive('\n') {
            let (stream, line) =
                if log["type"] == "s" { (line.chars().next().unwrap(), &line[1..]) } else { ('t', line) };
            streams.entry(stream).or_default().push_str(line);
        }
    }
    let text = |(stream, text): (char, String)| {
        let hash = (stream != 'h').then(|| hash(text.as_bytes()));
        (stream, Text { lines: text.lines().count(), bytes: text.len(), hash })
    };
    Ok(streams.into_iter().map(text).collect())
}

fn hash(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where logs do not hold what the commands print.
pub fn wrong_logs(tale: &Tale, known: &mut Known) -> Vec<String> {
    let mut wrong = Vec::new();
    for (job, builds) in tale {
        for build in builds.iter().filter(|build| !build.is_retried()) {
            for step in &build.steps {
                let found = step.logs.get("stdio").and_then(|log| log.get(&'o'));
                if let (Some(expected), Some(found)) = (known.stdout(job, &step.name), found) {
                    let mut expected = expected.to_vec();
                    expected.push(b'\n');
                    if found.hash.as_deref() != Some(&hash(&expected)) {
                        wrong.push(format!("{job}, step {}: {found:?} instead of {} bytes", step.name, expected.len()));
                    }
                }
            }
        }
    }
    wrong
}

/// How two builds of a job differ; `headers` says whether the number of header lines counts.
pub fn differences(job: &str, expected: &Build, found: &Build, headers: bool) -> Vec<String> {
    let mut differences = Vec::new();
    let mut differ = |what: String| differences.push(format!("{job} (build {} on {}): {what}", found.id, found.worker));
    if expected.result != found.result {
        differ(format!("result {} instead of {}", found.result, expected.result));
    }
    let list = |build: &Build| -> Vec<(String, i64)> {
        build.steps.iter().map(|step| (step.name.clone(), step.result)).collect()
    };
    if list(expected) != list(found) {
        differ(format!("steps {:?} instead of {:?}", list(found), list(expected)));
        return differences;
    }
    for (expected, found) in expected.steps.iter().zip(&found.steps) {
        let (expected_logs, found_logs) = (comparable(expected, headers), comparable(found, headers));
        if expected_logs != found_logs {
            differ(format!("step {}: logs {found_logs:?} instead of {expected_logs:?}", found.name));
        }
    }
    differences
}

fn comparable(step: &Step, headers: bool) -> BTreeMap<&str, Vec<(char, Text)>> {
    let text = |(stream, text): (&char, &Text)| {
        // Lengths of headers differ with the names of directories and the digits of times.
        let bytes = if *stream == 'h' { 0 } else { text.bytes };
        (*stream, Text { bytes, ..text.clone() })
    };
    let log = |log: &Log| log.iter().filter(|(stream, _)| headers || **stream != 'h').map(text).collect();
    step.logs.iter().map(|(name, found)| (name.as_str(), log(found))).collect()
}

/// Bytes of all logs, headers left out.
pub fn log_bytes(tale: &Tale) -> u64 {
    let steps = tale.values().flatten().flat_map(|build| &build.steps);
    let logs = steps.flat_map(|step| step.logs.values().flatten());
    logs.filter(|(stream, _)| **stream != 'h').map(|(_, text)| text.bytes as u64).sum()
}
