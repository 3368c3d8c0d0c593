//! Checks what the history says of itself: each commit since the rules came explains one matter to its reader.
//!
//! The rules stand in `docs/ARCHITECTURE.md`, section *Commits*. Only commits that this checkout holds are read, so a
//! shallow clone checks fewer, and an unpacked archive, which has no history, none.

use std::path::Path;
use std::process::Command;

/// Older commits were made before there were rules.
const RULES_SINCE: &str = "2026-11-23T00:00:00Z";
/// What `git log --oneline` and most forges show without cutting it off.
const TITLE_CHARS_MAX: usize = 72;
/// Shorter bodies say no more than the title.
const BODY_CHARS_MIN: usize = 40;

const FIELD_END: char = '\u{1f}';
const COMMIT_END: char = '\u{1e}';

/// What is wrong with one commit's message, and what to write instead.
fn faults_of(title: &str, body: &str, parents: usize) -> Vec<String> {
    let mut faults = Vec::new();
    if parents > 1 {
        faults.push("is a merge: rebase, so that the history stays linear".to_owned());
    }
    let chars = title.chars().count();
    if chars > TITLE_CHARS_MAX {
        faults.push(format!("its title has {chars} characters: write at most {TITLE_CHARS_MAX}"));
    }
    if title.contains(';') {
        faults.push("its title joins two matters with `;`: make two commits".to_owned());
    }
    if title.ends_with('.') {
        faults.push("its title ends with a full stop: leave it out".to_owned());
    }
    if !names_its_area(title) {
        faults.push("its title does not begin with `area: `".to_owned());
    }
    if body.trim().chars().count() < BODY_CHARS_MIN {
        faults.push("its body does not say why: write what was, why it hurt and what is now".to_owned());
    }
    faults
}

/// `store: a log ends once`, `docs, cli: …`.
fn names_its_area(title: &str) -> bool {
    title.split_once(": ").is_some_and(|(area, rest)| {
        let known = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || " ,-_/.".contains(letter);
        !area.is_empty() && area.chars().all(known) && !rest.trim().is_empty()
    })
}

#[test]
fn each_commit_says_one_thing_and_why() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if !root.join(".git").exists() {
        return;
    }
    let format = format!("--format=%h{FIELD_END}%P{FIELD_END}%s{FIELD_END}%b{COMMIT_END}");
    let output = Command::new("git")
        .args(["log", &format!("--since={RULES_SINCE}"), &format])
        .current_dir(root)
        .output()
        .expect("git is one of the tools that the tests need");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let mut faults = Vec::new();
    for commit in String::from_utf8_lossy(&output.stdout).split(COMMIT_END).filter(|text| !text.trim().is_empty()) {
        let [hash, parents, title, body] = fields_of(commit);
        for fault in faults_of(title, body, parents.split_whitespace().count()) {
            faults.push(format!("{hash} {title}: {fault}"));
        }
    }
    assert!(faults.is_empty(), "rewrite these commits before they land:\n{}", faults.join("\n"));
}

fn fields_of(commit: &str) -> [&str; 4] {
    let mut fields = commit.trim_start().splitn(4, FIELD_END);
    std::array::from_fn(|_| fields.next().expect("git prints four fields"))
}

#[test]
fn a_commit_that_breaks_a_rule_is_found() {
    let body = "Two readers could close one log, and the second one lost lines.";
    assert_eq!(faults_of("store: a log ends once", body, 1), Vec::<String>::new());

    let long = format!("store: {}", "a".repeat(TITLE_CHARS_MAX));
    for (title, body, parents, wanted) in [
        ("store: a log ends once", body, 2, "is a merge"),
        (long.as_str(), body, 1, "characters"),
        ("store: a log ends once; web: a page less", body, 1, "two matters"),
        ("store: a log ends once.", body, 1, "full stop"),
        ("format", body, 1, "does not begin with"),
        ("Store: a log ends once", body, 1, "does not begin with"),
        ("store: a log ends once", "\n", 1, "does not say why"),
    ] {
        let faults = faults_of(title, body, parents);
        assert!(matches!(faults.as_slice(), [fault] if fault.contains(wanted)), "{title}: {faults:?}");
    }
}
