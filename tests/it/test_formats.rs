//! Parsers of the standard library on reports of real programs (tests/fixtures/test-reports), whole, cut off and garbled.

use std::path::Path;

use starwright::testing::config;

/// What a parser makes of a report, one line for each result.
fn parsed(parser: &str, report: &str) -> Vec<String> {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/test-reports").join(report))
            .unwrap();
    let literal = serde_json::to_string(&text).unwrap();
    let config = format!(
        r#"
load("@stdlib//test_formats.star", "{parser}")
worker("w")
TEXT = {literal}
def shown(results):
    return ["{{}} | {{}} | {{}} | {{}}".format(r["outcome"], r["path"], r["name"], (r["message"].splitlines() or [""])[-1].strip()) for r in results]
property("results", shown({parser}(TEXT)))
def lengths():
    # Cut off at many places, and with every seventh line replaced: whatever it gives, it gives it without an error.
    whole = len({parser}(TEXT))
    counts = [len({parser}(TEXT[:at])) for at in range(0, len(TEXT), len(TEXT) // 60 + 1)]
    lines = [line if n % 7 else "\x00<<>&]]> not ok 9 {{\"Action\":\"fail\"" for n, line in enumerate(TEXT.split("\n"))]
    {parser}("\n".join(lines))
    return [whole] + counts
property("lengths", lengths())
builder("b", workers = ["w"], steps = [step("s", run = lambda ctx: None)])
"#
    );
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("master.star");
    std::fs::write(&file, config).unwrap();
    let loaded = config::load(&file).unwrap_or_else(|refused| panic!("{parser} {report}: {refused}"));
    let list = |name: &str| {
        let value = loaded.plan.properties.get(name).unwrap().to_string();
        serde_json::from_str::<Vec<serde_json::Value>>(&value).unwrap()
    };
    let lengths: Vec<u64> = list("lengths").iter().map(|length| length.as_u64().unwrap()).collect();
    assert!(lengths[1..].iter().all(|length| *length <= lengths[0] + 1), "{parser}: {lengths:?}");
    list("results").iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

#[test]
fn junit_reports_are_read() {
    let found = parsed("junit", "pytest-8.4.2.xml");
    assert_eq!(found.len(), 9, "{found:#?}");
    assert_eq!(found[0], "passed | test_sample | test_passes | ");
    assert_eq!(found[1], "failed | test_sample | test_fails | test_sample.py:11: AssertionError");
    assert!(found[2].starts_with("skipped | test_sample | test_skipped | not today"), "{}", found[2]);
    assert_eq!(found[3], "expected failure | test_sample | test_expected | ");
    assert!(found[5].starts_with("error | test_sample | test_error | "), "{}", found[5]);
    assert_eq!(found[8], "passed | test_sample.TestGroup | test_inside | ");
    let found = parsed("junit", "ctest-3.31.6.xml");
    let outcomes: Vec<&str> = found.iter().map(|line| line.split(" | ").next().unwrap()).collect();
    assert_eq!(outcomes, ["passed", "failed", "passed", "skipped", "skipped", "skipped", "failed"]);
}

#[test]
fn reports_of_python_programs_are_read() {
    let found = parsed("pytest", "pytest-8.4.2.txt");
    assert_eq!(
        found,
        [
            "passed | test_sample.py | test_passes | ",
            "failed | test_sample.py | test_fails | AssertionError: they differ <&>",
            "skipped | test_sample.py | test_skipped | not today",
            "expected failure | test_sample.py | test_expected | ",
            "unexpected success | test_sample.py | test_unexpected | ",
            "error | test_sample.py | test_error | RuntimeError: no such thing",
            "passed | test_sample.py | test_with[a b] | ",
            "passed | test_sample.py | test_with[\\xfc/\\xf6] | ",
            "passed | test_sample.py | TestGroup::test_inside | ",
        ]
    );
    let found = parsed("unittest", "unittest-3.11.7.txt");
    assert_eq!(
        found,
        [
            "error | plain_unittest.Sample | test_error | RuntimeError: broken",
            "expected failure | plain_unittest.Sample | test_expected | ",
            "failed | plain_unittest.Sample | test_fails | AssertionError: 1 != 2",
            "passed | plain_unittest.Sample | test_passes | ",
            "skipped | plain_unittest.Sample | test_skipped | not today",
            "unexpected success | plain_unittest.Sample | test_unexpected | ",
        ]
    );
    let found = parsed("unittest", "pynose-1.5.5.txt");
    assert!(
        found.contains(&"failed | plain_unittest.Sample | test_fails | AssertionError: 1 != 2".to_owned()),
        "{found:#?}"
    );
    let found = parsed("trial", "trial-26.10.0.txt");
    assert_eq!(
        found,
        [
            "error | test_trial_sample.Sample | test_error | builtins.RuntimeError: broken",
            "expected failure | test_trial_sample.Sample | test_expected | twisted.trial.unittest.FailTest: as expected",
            "failed | test_trial_sample.Sample | test_fails | twisted.trial.unittest.FailTest: 1 != 2",
            "passed | test_trial_sample.Sample | test_passes | ",
            "skipped | test_trial_sample.Sample | test_skipped | not today",
            "unexpected success | test_trial_sample.Sample | test_unexpected | Reason: 'later'",
        ]
    );
}

#[test]
fn reports_of_other_programs_are_read() {
    assert_eq!(
        parsed("tap", "tap-test-more-1.302190.txt"),
        [
            "passed |  | adds | ",
            "failed |  | subtracts | at taps/a.t line 3.",
            "skipped |  | test 3 | no network",
            "expected failure |  | flies | not written",
            "unexpected success |  | swims | not written",
            "failed |  | compares | Looks like you failed 2 tests of 6.",
        ]
    );
    let found = parsed("cargo", "cargo-test-1.95.0.txt");
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found.contains(&"skipped | unittests src/lib.rs | tests::ignored | slow".to_owned()), "{found:#?}");
    assert!(found.iter().any(|line| line.starts_with("failed | unittests src/lib.rs | tests::fails | ")), "{found:#?}");
    let found = parsed("go_json", "go-test-1.27.3.json");
    assert!(
        found.contains(&"failed | example.org/sample | TestFails | sample_test.go:7: got 1, want 2".to_owned()),
        "{found:#?}"
    );
    assert!(
        found.contains(&"skipped | example.org/sample | TestSkipped | sample_test.go:9: not today".to_owned()),
        "{found:#?}"
    );
    assert!(found.iter().any(|line| line.starts_with("error | example.org/sample/broken | build | ")), "{found:#?}");
    assert!(
        found.iter().any(|line| line.starts_with("failed | example.org/sample | TestGroup/inner_two | ")),
        "{found:#?}"
    );
    let found = parsed("ctest", "ctest-3.31.6.txt");
    let shown: Vec<String> = found.iter().map(|line| line.split(" | ").collect::<Vec<_>>()[..3].join("|")).collect();
    assert_eq!(
        shown,
        [
            "passed||passes",
            "failed||fails",
            "passed||with spaces",
            "error||missing",
            "skipped||skipped",
            "skipped||disabled",
            "error||slow"
        ]
    );
    let found = parsed("lit", "lit-18.1.8.txt");
    let shown: Vec<String> = found.iter().map(|line| line.split(" | ").collect::<Vec<_>>()[..3].join("|")).collect();
    assert_eq!(
        shown,
        [
            "failed|sample|fails.test",
            "error|sample|unres.test",
            "skipped|sample|unsup.test",
            "passed|sample|passes.test",
            "expected failure|sample|xfail.test",
            "unexpected success|sample|xpass.test"
        ]
    );
}
