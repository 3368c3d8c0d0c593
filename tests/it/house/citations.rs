//! Whatever a comment or a page cites exists: files, pages, and the sections of pages.
//!
//! Two forms are understood. In comments, and in the running text of pages: a path from the root of the repository
//! (`docs/design/store.md`), which may name a section by its anchor (`docs/reference/worker-protocol.md#stopping`) or by
//! its heading (`docs/design/store.md, "Opening"`). In pages: Markdown links, relative to the page.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

use super::{files_below, root, shown};

/// Directories whose files are cited by their paths.
const CITED: &str = "docs|tests|src|benches|stdlib|examples|templates";

/// Directories whose files cite, and the endings of those files.
const CITING: &[(&str, &str)] = &[
    ("src", ".rs"),
    ("tests", ".rs"),
    ("benches", ".rs"),
    ("stdlib", ".star"),
    ("examples", ".star"),
    ("docs", ".md"),
    ("tests/fixtures", ".md"),
];

/// A path from the root; a placeholder or pattern behind it (`docs/NAME.md`, `src/*.rs`) is not one.
static PATH: LazyLock<Regex> = LazyLock::new(|| {
    let path =
        format!(r#"(?:^|[\s(`"'/]|//[/!]?)((?:{CITED})/[A-Za-z0-9_./-]+)(?:#([A-Za-z0-9_-]+))?(?:`?, "([^"]+)")?"#);
    Regex::new(&path).expect("the pattern is a constant")
});
static LINK: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\]\(([^)\s#]*)(?:#([^)\s]+))?\)").expect("the pattern is a constant"));
static ANCHOR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"<a (?:id|name)="([^"]+)">"#).expect("the pattern is a constant"));
/// A section of a text that no reader has.
static SECTION: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)\bsections? [0-9]|REST specification").expect("the pattern is a constant"));
static PUBLIC: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"RFC|POSIX|SVG|HTML").expect("the pattern is a constant"));

/// The pages that were read already, with their anchors and headings.
#[derive(Default)]
struct Pages(BTreeMap<PathBuf, (BTreeSet<String>, Vec<String>)>);

impl Pages {
    /// Why a citation leads nowhere, if so.
    fn fault(&mut self, path: &Path, anchor: Option<&str>, heading: Option<&str>) -> Option<String> {
        if !path.exists() {
            return Some(format!("there is no `{}`", shown(path)));
        }
        if path.extension().is_none_or(|ending| ending != "md") {
            return None;
        }
        let (anchors, headings) = self.0.entry(path.to_owned()).or_insert_with(|| read(path));
        if let Some(anchor) = anchor.filter(|anchor| !anchors.contains(*anchor)) {
            return Some(format!("`{}` has no anchor `{anchor}`", shown(path)));
        }
        let heading = heading.filter(|heading| !headings.iter().any(|known| known.contains(heading)))?;
        Some(format!("`{}` has no heading \"{heading}\"", shown(path)))
    }
}

/// Anchors and headings of a page.
fn read(path: &Path) -> (BTreeSet<String>, Vec<String>) {
    let text = fs::read_to_string(path).unwrap();
    let mut anchors: BTreeSet<String> = ANCHOR.captures_iter(&text).map(|found| found[1].to_owned()).collect();
    let mut headings = Vec::new();
    for line in prose(&text).map(|(_, line)| line).filter(|line| line.starts_with('#')) {
        let heading = line.trim_start_matches('#').trim();
        headings.push(heading.to_owned());
        anchors.insert(slug(heading));
    }
    (anchors, headings)
}

/// The anchor that GitHub makes of a heading.
fn slug(heading: &str) -> String {
    let is_kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    heading.to_lowercase().chars().filter(is_kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The lines of a page outside its blocks of code, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        (!in_code && !fence).then_some((at + 1, line))
    })
}

/// The comments of a source file, with the numbers of their lines.
fn comments<'a>(text: &'a str, mark: &'static str) -> impl Iterator<Item = (usize, &'a str)> {
    text.lines().enumerate().filter_map(move |(at, line)| {
        let start = line.match_indices(mark).map(|(at, _)| at).find(|at| !line[..*at].ends_with([':', '"', '#']))?;
        Some((at + 1, &line[start..]))
    })
}

/// Every line that may cite, as file, number and text.
fn citing() -> Vec<(PathBuf, usize, String)> {
    let mut lines = Vec::new();
    let mut add = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let ending = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        let found: Vec<(usize, &str)> = match ending.as_str() {
            "rs" => comments(&text, "//").collect(),
            "star" => comments(&text, "#").collect(),
            _ => prose(&text).collect(),
        };
        lines.extend(found.into_iter().map(|(at, line)| (path.to_owned(), at, line.to_owned())));
    };
    for (dir, ending) in CITING {
        files_below(&root().join(dir), ending).iter().for_each(|path| add(path));
    }
    add(&root().join("README.md"));
    lines
}

#[test]
fn cited_files_pages_and_sections_exist() {
    let (mut pages, mut faults) = (Pages::default(), Vec::new());
    for (file, number, line) in citing() {
        let is_page = file.extension().is_some_and(|ending| ending == "md");
        let mut check = |path: &Path, anchor: Option<&str>, heading: Option<&str>| {
            if let Some(fault) = pages.fault(path, anchor, heading) {
                faults.push(format!("{}:{number}: {fault}", shown(&file)));
            }
        };
        // What a link shows and where it leads is checked below.
        let text = if is_page { LINK.replace_all(&line, "]").into_owned() } else { line.clone() };
        for found in PATH.captures_iter(&text) {
            let (path, end) = (found[1].trim_end_matches(['.', '-']), found.get(1).unwrap().end());
            let is_pattern = text[end..].starts_with(['*', '<', '{', '…']) || path.split('/').any(is_placeholder);
            if !is_pattern {
                check(&root().join(path), found.get(2).map(|it| it.as_str()), found.get(3).map(|it| it.as_str()));
            }
        }
        for found in LINK.captures_iter(&line).filter(|_| is_page) {
            let (target, anchor) = (&found[1], found.get(2).map(|it| it.as_str()));
            if !target.contains(':') {
                let path = if target.is_empty() { file.clone() } else { file.parent().unwrap().join(target) };
                check(&path, anchor, None);
            }
        }
    }
    assert!(faults.is_empty(), "cite what is there:\n{}", faults.join("\n"));
}

/// `NAME` in `docs/NAME.md`.
fn is_placeholder(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or_default();
    !matches!(stem, "README" | "ARCHITECTURE") && !stem.is_empty() && stem.chars().all(|c| c.is_ascii_uppercase())
}

#[test]
fn comments_cite_only_what_a_reader_can_open() {
    let faults: Vec<String> = citing()
        .into_iter()
        .filter(|(file, ..)| file.extension().is_some_and(|ending| ending != "md"))
        .filter(|(file, ..)| !file.ends_with("house/citations.rs"))
        .filter(|(_, _, line)| SECTION.is_match(line) && !PUBLIC.is_match(line))
        .map(|(file, number, line)| format!("{}:{number}: {}", shown(&file), line.trim()))
        .collect();
    assert!(faults.is_empty(), "cite a page of docs/ and its anchor:\n{}", faults.join("\n"));
}

#[test]
fn headings_become_anchors_as_on_github() {
    assert_eq!(slug("`/api/starwright/v1`"), "apistarwrightv1");
    assert_eq!(slug("What every request has to do"), "what-every-request-has-to-do");
    assert_eq!(slug("1.2 Loss & return"), "12-loss--return");
}
