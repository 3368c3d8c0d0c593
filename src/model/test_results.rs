//! What tests came to, numbers measured, and named data of a build.
//!
//! A step records them in blocks: a *set* holds the results of one run of many tests, in columns. The journal of the build
//! keeps only digests, so that a script with thousands of results replays as quickly as any other (docs/design/output.md).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{BuildId, BuilderId, StepId};
use crate::base::Timestamp;

/// Results of one set: the largest suites have this many tests, and pages and parsers still take them at once.
pub const TEST_RESULTS_MAX: usize = 20_000;

/// Bytes of the texts of one set: a set is one fact, and a fact is written with one sync.
pub const TEST_SET_BYTES_MAX: usize = 4 << 20;

/// Sets, values and data that one build records.
pub const RECORDED_MAX: u64 = 1_000;

/// Bytes of all that a build records: several of the largest sets.
pub const RECORDED_BYTES_MAX: u64 = 64 << 20;

/// Bytes of one datum of a build; larger things are files.
pub const BUILD_DATUM_BYTES_MAX: usize = 1 << 20;

/// Letters of a test's name or path: parametrised tests carry their arguments in it.
pub const TEST_NAME_MAX: usize = 1_000;

/// Bytes of the message of one result: what one reads first. The log has the rest.
pub const TEST_MESSAGE_MAX: usize = 4_096;

/// What a test came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TestOutcome {
    /// It found what it wanted.
    Passed,
    /// It did not.
    Failed,
    /// It could not be run to its end.
    Error,
    /// It was not run.
    Skipped,
    /// It failed, as its author expects.
    ExpectedFailure,
    /// It passed, though its author expects a failure.
    UnexpectedSuccess,
}

impl TestOutcome {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Passed, Self::Failed, Self::Error, Self::Skipped, Self::ExpectedFailure, Self::UnexpectedSuccess];

    /// Its word in scripts, the API and on pages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Error => "error",
            Self::Skipped => "skipped",
            Self::ExpectedFailure => "expected failure",
            Self::UnexpectedSuccess => "unexpected success",
        }
    }

    /// The outcome of a word; `_` may stand for a space.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let word = word.replace('_', " ");
        Self::ALL.into_iter().find(|outcome| outcome.word() == word)
    }

    /// Whether it makes a run a failed one.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        matches!(self, Self::Failed | Self::Error | Self::UnexpectedSuccess)
    }

    /// Whether it says anything of the tested thing.
    #[must_use]
    pub const fn ran(self) -> bool {
        !matches!(self, Self::Skipped)
    }
}

/// One result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestResult {
    /// The test's name.
    pub name: String,
    /// Where it stands: a file, class or module; empty if that is not known.
    pub path: String,
    /// The line in that file.
    pub line: Option<u64>,
    /// What it came to.
    pub outcome: TestOutcome,
    /// How long it took.
    pub duration_ns: Option<u64>,
    /// Why it failed or was skipped.
    pub message: String,
}

/// Results in columns: alike things together, which compresses well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestColumns {
    names: Vec<String>,
    paths: Vec<String>,
    outcomes: Vec<TestOutcome>,
    /// 0: not known; else one more than the nanoseconds.
    durations: Vec<u64>,
    /// By the number of the result; most have none.
    lines: BTreeMap<u64, u64>,
    messages: BTreeMap<u64, String>,
}

impl TestColumns {
    /// The columns of some results. A path that is that of the result before is kept as an empty text with a mark.
    #[must_use]
    pub fn of(results: &[TestResult]) -> Self {
        let mut columns = Self::default();
        for (number, result) in (0..).zip(results) {
            columns.names.push(result.name.clone());
            let same = number > 0 && results[number as usize - 1].path == result.path && !result.path.is_empty();
            columns.paths.push(if same { SAME_PATH.to_owned() } else { result.path.clone() });
            columns.outcomes.push(result.outcome);
            columns.durations.push(result.duration_ns.map_or(0, |ns| ns.saturating_add(1)));
            if let Some(line) = result.line {
                columns.lines.insert(number, line);
            }
            if !result.message.is_empty() {
                columns.messages.insert(number, result.message.clone());
            }
        }
        columns
    }

    /// How many results there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The results, in order. Columns that do not fit together end with the shortest.
    pub fn results(&self) -> impl Iterator<Item = TestResult> {
        let mut path = String::new();
        let columns = self.names.iter().zip(&self.paths).zip(self.outcomes.iter().zip(&self.durations));
        (0..).zip(columns).map(move |(number, ((name, own), (outcome, duration)))| {
            if own != SAME_PATH {
                path.clone_from(own);
            }
            TestResult {
                name: name.clone(),
                path: path.clone(),
                line: self.lines.get(&number).copied(),
                outcome: *outcome,
                duration_ns: duration.checked_sub(1),
                message: self.messages.get(&number).cloned().unwrap_or_default(),
            }
        })
    }
}

/// Stands for the path of the result before. No path has a control character in it.
const SAME_PATH: &str = "\u{1}";

/// How many results came to what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCounts {
    pub passed: u64,
    pub failed: u64,
    pub errors: u64,
    pub skipped: u64,
    pub expected_failures: u64,
    pub unexpected_successes: u64,
}

impl TestCounts {
    /// Those of some outcomes.
    pub fn of(outcomes: impl IntoIterator<Item = TestOutcome>) -> Self {
        let mut counts = Self::default();
        for outcome in outcomes {
            *match outcome {
                TestOutcome::Passed => &mut counts.passed,
                TestOutcome::Failed => &mut counts.failed,
                TestOutcome::Error => &mut counts.errors,
                TestOutcome::Skipped => &mut counts.skipped,
                TestOutcome::ExpectedFailure => &mut counts.expected_failures,
                TestOutcome::UnexpectedSuccess => &mut counts.unexpected_successes,
            } += 1;
        }
        counts
    }

    /// All of them together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.good() + self.bad() + self.skipped
    }

    /// Those that came out as wanted.
    #[must_use]
    pub const fn good(&self) -> u64 {
        self.passed + self.expected_failures
    }

    /// Those that make a run a failed one.
    #[must_use]
    pub const fn bad(&self) -> u64 {
        self.failed + self.errors + self.unexpected_successes
    }

    /// For one line: `3 failed, 120 passed, 2 skipped`.
    #[must_use]
    pub fn text(&self) -> String {
        let counts = [
            (self.failed, "failed"),
            (self.errors, "with errors"),
            (self.unexpected_successes, "passed unexpectedly"),
            (self.passed, "passed"),
            (self.expected_failures, "failed as expected"),
            (self.skipped, "skipped"),
        ];
        let said: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        if said.is_empty() { "no tests".to_owned() } else { said.join(", ") }
    }
}

/// Content that a fact carries and the journal of a build does not: it is known by its digest.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ByDigest<T> {
    /// SHA-256 of the content's stored form, as hexadecimal digits.
    pub digest: String,
    /// Bytes of that.
    pub bytes: u64,
    /// The content; none in a journal.
    pub content: Option<T>,
}

impl<T: Serialize> ByDigest<T> {
    /// Some content.
    ///
    /// # Panics
    /// Never: plain data always serializes.
    #[must_use]
    pub fn of(content: T) -> Self {
        let bytes = rmp_serde::to_vec_named(&content).expect("plain data always serializes");
        let digest = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { digest, bytes: bytes.len() as u64, content: Some(content) }
    }
}

impl<T> ByDigest<T> {
    /// The same without its content.
    #[must_use]
    pub fn known(&self) -> Self {
        Self { digest: self.digest.clone(), bytes: self.bytes, content: None }
    }
}

impl<T> PartialEq for ByDigest<T> {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest && self.bytes == other.bytes
    }
}

impl<T> Eq for ByDigest<T> {}

/// A set of results that a script records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestSet {
    /// Its name in the build: the history of a test is that of sets of the same name.
    pub name: String,
    /// What kind of tests it has, for readers: `pass_fail`, …
    pub category: String,
    /// What they came to.
    pub counts: TestCounts,
    /// Each of them.
    pub results: ByDigest<TestColumns>,
}

/// A number that a script records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measurement {
    /// Its name: its trend is that of values of the same name.
    pub name: String,
    /// What kind of number it is: `performance`, `binary_size`, …
    pub category: String,
    /// The number, in decimal digits.
    pub value: String,
    /// Its unit: `ms`, `B`, …; may be empty.
    pub unit: String,
}

/// A named datum of a build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildDatum {
    /// Its name in the build.
    pub name: String,
    /// Where it comes from, for people.
    pub source: String,
    /// Its text.
    pub text: ByDigest<String>,
}

/// A set of results or a number, as history has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestSetRecord {
    /// The number of the fact that recorded it.
    pub id: u64,
    pub builder: BuilderId,
    pub build: BuildId,
    pub step: StepId,
    pub name: String,
    pub category: String,
    pub unit: String,
    pub counts: TestCounts,
    /// The number, if it is one; then there are no results.
    pub value: Option<String>,
    pub at: Timestamp,
}

/// A datum of a build, as history has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildDatumRecord {
    pub build: BuildId,
    pub name: String,
    pub source: String,
    pub text: String,
}

/// A test, whatever the build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TestId {
    /// In which part of an index it is.
    pub bucket: u8,
    /// What tells it from the others there.
    pub mark: u32,
}

/// Parts of the index of one builder: few enough to write all of them for one build, enough to read one quickly.
pub const TEST_BUCKETS: u8 = 64;

impl TestId {
    /// The test of this name and path, in sets of this name.
    #[must_use]
    pub fn of(set: &str, path: &str, name: &str) -> Self {
        let digest = Sha256::digest(format!("{set}\0{path}\0{name}").as_bytes());
        let mark = [digest[1], digest[2], digest[3], digest[4]];
        Self { bucket: digest[0] % TEST_BUCKETS, mark: u32::from_be_bytes(mark) }
    }
}

/// A test in one build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TestRun {
    pub build: BuildId,
    pub outcome: TestOutcome,
}

/// A number in one build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueRun {
    pub build: BuildId,
    pub value: String,
    pub unit: String,
}

/// What the runs of one test say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TestTrend {
    /// Runs in which it ran, and those of them that failed.
    pub runs: u64,
    pub failures: u64,
    /// The build in which it began to fail, if it fails now.
    pub failing_since: Option<BuildId>,
    /// The first build of those looked at in which it failed.
    pub first_failed: Option<BuildId>,
    /// Between how many neighbouring runs it changed, in a hundred.
    pub flaky_percent: u64,
}

impl TestTrend {
    /// Of runs, the oldest first.
    #[must_use]
    pub fn of(runs: &[TestRun]) -> Self {
        let ran: Vec<&TestRun> = runs.iter().filter(|run| run.outcome.ran()).collect();
        let bad = |run: &&&TestRun| run.outcome.is_bad();
        let changes = ran.windows(2).filter(|pair| pair[0].outcome.is_bad() != pair[1].outcome.is_bad()).count();
        let failing = ran.iter().rev().take_while(bad).last();
        Self {
            runs: ran.len() as u64,
            failures: ran.iter().filter(bad).count() as u64,
            failing_since: failing.map(|run| run.build),
            first_failed: ran.iter().find(bad).map(|run| run.build),
            flaky_percent: (changes as u64 * 100).checked_div(ran.len().saturating_sub(1) as u64).unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(name: &str, path: &str, outcome: TestOutcome) -> TestResult {
        TestResult {
            name: name.to_owned(),
            path: path.to_owned(),
            line: None,
            outcome,
            duration_ns: None,
            message: String::new(),
        }
    }

    #[test]
    fn columns_give_the_results_back() {
        let results = [
            result("a", "x.py", TestOutcome::Passed),
            TestResult { duration_ns: Some(0), line: Some(7), ..result("b", "x.py", TestOutcome::Failed) },
            result("c", "", TestOutcome::Skipped),
            TestResult { message: "why".to_owned(), ..result("d", "", TestOutcome::Error) },
            result("e", "x.py", TestOutcome::UnexpectedSuccess),
        ];
        assert_eq!(TestColumns::of(&results).results().collect::<Vec<_>>(), results);
    }

    #[test]
    fn recorded_content_is_compared_by_its_digest() {
        let one = ByDigest::of("one".to_owned());
        assert_eq!(one, one.known());
        assert_ne!(one, ByDigest::of("two".to_owned()));
        assert_eq!(one.known().content, None);
    }

    #[test]
    fn a_trend_tells_since_when_a_test_fails_and_how_flaky_it_is() {
        use TestOutcome::{Failed, Passed, Skipped};
        let trend = |outcomes: &[TestOutcome]| {
            let runs: Vec<TestRun> =
                (1..).zip(outcomes).map(|(id, outcome)| TestRun { build: BuildId(id), outcome: *outcome }).collect();
            TestTrend::of(&runs)
        };
        assert_eq!(trend(&[]), TestTrend::default());
        let steady = trend(&[Passed, Passed, Skipped, Failed, Failed]);
        assert_eq!((steady.failing_since, steady.first_failed), (Some(BuildId(4)), Some(BuildId(4))));
        assert_eq!((steady.runs, steady.failures, steady.flaky_percent), (4, 2, 33));
        let flaky = trend(&[Passed, Failed, Passed, Failed, Passed]);
        assert_eq!((flaky.failing_since, flaky.first_failed, flaky.flaky_percent), (None, Some(BuildId(2)), 100));
    }

    #[test]
    fn counts_read_as_a_line() {
        let counts = TestCounts::of([TestOutcome::Passed, TestOutcome::Failed, TestOutcome::Passed]);
        assert_eq!(counts.text(), "1 failed, 2 passed");
        assert_eq!(TestCounts::default().text(), "no tests");
        assert_eq!((counts.total(), counts.good(), counts.bad()), (3, 2, 1));
    }

    #[test]
    fn outcomes_have_words() {
        for outcome in TestOutcome::ALL {
            assert_eq!(TestOutcome::from_word(outcome.word()), Some(outcome));
        }
        assert_eq!(TestOutcome::from_word("expected_failure"), Some(TestOutcome::ExpectedFailure));
        assert_eq!(TestOutcome::from_word("ok"), None);
    }
}
