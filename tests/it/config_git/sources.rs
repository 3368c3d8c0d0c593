//! One table of cases for all source steps, each with the real tool and a repository that it made.

use std::path::{Path, PathBuf};
use std::process::Command;

use starwright::testing::model::*;

use super::world::{World, sealed};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tool {
    Git,
    Hg,
    Svn,
    Bzr,
}

const TOOLS: [Tool; 4] = [Tool::Git, Tool::Hg, Tool::Svn, Tool::Bzr];

/// A repository of one of the tools, and a builder that checks it out.
struct Bench {
    tool: Tool,
    world: World,
}

fn tool(directory: &Path, words: &[&str]) -> String {
    let output = sealed(Command::new(words[0]).args(&words[1..]).current_dir(directory)).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Bench {
    fn new(tool: Tool, arguments: &str) -> Self {
        let bench = Self::empty(tool, arguments);
        bench.create();
        bench.commit("one", b"one");
        bench
    }

    fn empty(tool: Tool, arguments: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let origin = scratch.path().join("origin").to_str().unwrap().to_owned();
        let (file, function, main) = match tool {
            Tool::Git => ("source", "git", ""),
            Tool::Hg => ("hg", "hg", ""),
            Tool::Svn => ("svn", "svn", ", branch = \"trunk\""),
            Tool::Bzr => ("bzr", "bzr", ", branch = \"trunk\""),
        };
        let address = if tool == Tool::Svn { format!("file://{origin}") } else { origin.clone() };
        let text = format!(
            "load(\"@stdlib//{file}.star\", \"{function}\")\nworker(\"w\")\n\
             builder(\"b\", workers = [\"w\"], steps = [{function}({address:?}, fetch_delay = \"1ms\"{main}{arguments})])\n",
        );
        std::fs::create_dir(&origin).unwrap();
        let mut world = World::loaded(scratch, &text);
        world.branch = None;
        Self { tool, world }
    }

    /// An empty repository.
    fn create(&self) {
        match self.tool {
            Tool::Git => drop(self.at(&["git", "init", "--quiet", "--initial-branch=main", "."])),
            Tool::Hg => drop(self.at(&["hg", "init", "."])),
            Tool::Svn => {
                self.at(&["svnadmin", "create", "."]);
                self.svn(&["mkdir", "trunk", "mkdir", "branches"]);
            }
            Tool::Bzr => {
                self.at(&["brz", "init-shared-repository", "--quiet", "."]);
                self.at(&["brz", "init", "--quiet", "trunk"]);
            }
        }
    }

    fn at(&self, words: &[&str]) -> String {
        tool(&self.origin(), words)
    }

    fn origin(&self) -> PathBuf {
        self.world.scratch.path().join("origin")
    }

    /// Changes the repository without a working copy.
    fn svn(&self, words: &[&str]) -> String {
        let url = format!("file://{}", self.origin().display());
        let mut all = vec!["svnmucc", "--non-interactive", "-m", "a change", "-U", &url];
        all.extend(words);
        self.at(&all);
        self.at(&["svnlook", "youngest", "."])
    }

    /// The branch that commits go to, as builds name it.
    fn main(&self) -> &'static str {
        match self.tool {
            Tool::Git => "main",
            Tool::Hg => "default",
            Tool::Svn | Tool::Bzr => "trunk",
        }
    }

    fn commit(&self, name: &str, content: &[u8]) -> String {
        self.commit_on(self.main(), name, content)
    }

    /// Writes a file on a branch; the revision.
    fn commit_on(&self, branch: &str, name: &str, content: &[u8]) -> String {
        let scratch = self.world.scratch.path().join("content");
        match self.tool {
            Tool::Git => {
                if self.is_born() {
                    self.at(&["git", "checkout", "--quiet", branch, "--"]);
                }
                std::fs::write(self.origin().join(name), content).unwrap();
                self.at(&["git", "add", "."]);
                self.at(&["git", "commit", "--quiet", "-m", "a change"]);
                self.at(&["git", "rev-parse", "HEAD"])
            }
            Tool::Hg => {
                if self.is_born() {
                    self.at(&["hg", "update", "--quiet", "--clean", branch]);
                }
                std::fs::write(self.origin().join(name), content).unwrap();
                self.at(&["hg", "addremove", "--quiet", "."]);
                self.at(&["hg", "commit", "--quiet", "-m", "a change"]);
                self.at(&["hg", "log", "--rev=.", "--template", "{node}"])
            }
            Tool::Svn => {
                std::fs::write(&scratch, content).unwrap();
                self.svn(&["put", scratch.to_str().unwrap(), &format!("{branch}/{name}")])
            }
            Tool::Bzr => {
                let place = self.origin().join(branch);
                std::fs::write(place.join(name), content).unwrap();
                tool(&place, &["brz", "add", "--quiet", "."]);
                tool(&place, &["brz", "commit", "--quiet", "-m", "a change"]);
                tool(&place, &["brz", "revno"])
            }
        }
    }

    /// Whether it has a commit.
    fn is_born(&self) -> bool {
        let words: &[&str] = match self.tool {
            Tool::Hg => &["hg", "log", "--limit=1"],
            _ => &["git", "rev-parse", "--verify", "--quiet", "HEAD"],
        };
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).current_dir(self.origin());
        !sealed(&mut command).output().unwrap().stdout.is_empty()
    }

    /// Makes a branch of what is on the main one.
    fn branch(&self, name: &str) {
        match self.tool {
            Tool::Git => drop(self.at(&["git", "branch", name, "main"])),
            Tool::Hg => {
                self.at(&["hg", "update", "--quiet", "--clean", "default"]);
                self.at(&["hg", "branch", "--quiet", name]);
                self.at(&["hg", "commit", "--quiet", "-m", "a branch"]);
            }
            Tool::Svn => drop(self.svn(&["cp", "HEAD", "trunk", name])),
            Tool::Bzr => drop(self.at(&["brz", "branch", "--quiet", "trunk", name])),
        }
    }

    /// A branch's name where several can be.
    fn side(&self) -> &'static str {
        if self.tool == Tool::Svn { "branches/side line" } else { "side-line" }
    }

    fn build(&mut self) -> (Outcome, String) {
        let (outcome, summary) = self.world.build();
        (outcome, summary.unwrap_or_default())
    }

    fn builds(&mut self) {
        let (outcome, summary) = self.build();
        assert_eq!(outcome, Outcome::Success, "{:?}: {summary} {} {:?}", self.tool, self.world.told, self.world.ran);
    }

    fn got(&self) -> String {
        self.world.properties.get("got_revision").unwrap().to_string()
    }

    fn file(&self, name: &str) -> Option<String> {
        self.world.file(name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.world.builder_dir().join("build").join(name)
    }

    fn marker(&self) -> &'static str {
        match self.tool {
            Tool::Git => ".git",
            Tool::Hg => ".hg",
            Tool::Svn => ".svn",
            Tool::Bzr => ".bzr",
        }
    }
}

#[test]
fn the_first_commit_and_the_next_are_checked_out() {
    for tool in TOOLS {
        let mut bench = Bench::new(tool, "");
        bench.builds();
        assert_eq!(bench.file("one").as_deref(), Some("one"), "{tool:?}");

        let second = bench.commit("two", b"two");
        std::fs::write(bench.path("made"), "by a build").unwrap();
        bench.builds();
        assert_eq!(bench.got(), second, "{tool:?}");
        assert_eq!(bench.file("two").as_deref(), Some("two"), "{tool:?}");
        assert_eq!(bench.file("made").as_deref(), Some("by a build"), "{tool:?}: incremental keeps what builds made");
    }
}

#[test]
fn an_older_revision_is_built_and_the_newest_on_demand() {
    for tool in TOOLS {
        for (arguments, wanted) in [("", None), (", latest = True", Some("two"))] {
            let mut bench = Bench::new(tool, arguments);
            let first = bench.commit("again", b"x");
            let second = bench.commit("two", b"two");
            for revision in [second.clone(), first.clone()] {
                bench.world.revision = Some(revision);
                bench.builds();
            }
            assert_eq!(bench.file("two").as_deref(), wanted, "{tool:?}{arguments}");
            assert_eq!(bench.got() == second, wanted.is_some(), "{tool:?}{arguments}");
        }
    }
}

#[test]
fn branches_are_built_in_turn_also_new_ones() {
    for tool in TOOLS {
        let mut bench = Bench::new(tool, "");
        bench.builds();
        let side = bench.side();
        bench.branch(side);
        let on_side = bench.commit_on(side, "of the side", b"x");
        bench.world.branch = Some(side.to_owned());
        bench.builds();
        assert_eq!(bench.got(), on_side, "{tool:?}");
        assert_eq!(bench.file("of the side").as_deref(), Some("x"), "{tool:?}");
        bench.world.branch = Some(bench.main().to_owned());
        bench.builds();
        assert_eq!((bench.file("of the side"), bench.file("one").as_deref()), (None, Some("one")), "{tool:?}");
    }
}

#[test]
fn what_the_server_does_not_have_fails_at_once_and_keeps_the_checkout() {
    for tool in TOOLS {
        let mut bench = Bench::new(tool, "");
        bench.builds();
        let gone = match tool {
            Tool::Git | Tool::Hg => "1234567890123456789012345678901234567890",
            Tool::Svn | Tool::Bzr => "4711",
        };
        bench.world.branch = Some("no-such-branch".to_owned());
        let (outcome, summary) = bench.build();
        assert_eq!(outcome, Outcome::Failure, "{tool:?}");
        assert!(summary.contains("there is no") && summary.contains("no-such-branch"), "{tool:?}: {summary}");
        bench.world.branch = None;
        bench.world.revision = Some(gone.to_owned());
        let (outcome, summary) = bench.build();
        assert_eq!(outcome, Outcome::Failure, "{tool:?}");
        assert!(summary.contains("there is no") && summary.contains(gone), "{tool:?}: {summary}");
        assert_eq!(bench.file("one").as_deref(), Some("one"), "{tool:?}");
        assert!(!bench.world.told.contains("made anew"), "{tool:?}: {}", bench.world.told);
    }
}

#[test]
fn names_that_could_be_options_or_expressions_are_refused() {
    for tool in TOOLS {
        let mut bench = Bench::new(tool, "");
        let wrong = [(Some("--config=x"), None), (None, Some("--help")), (None, Some("all()"))];
        let expressions = [(Some("null"), None), (Some("all()"), None), (Some("wdir()"), None)];
        let expressions = if tool == Tool::Hg { &expressions[..] } else { &[] };
        for (branch, revision) in wrong.iter().chain(expressions).copied() {
            bench.world.branch = branch.map(str::to_owned);
            bench.world.revision = revision.map(str::to_owned);
            let (outcome, summary) = bench.build();
            assert_eq!(outcome, Outcome::Failure, "{tool:?}");
            let refused = summary.contains("cannot be the") || summary.contains("is not a revision");
            assert!(refused, "{tool:?} {branch:?} {revision:?}: {summary}");
        }
    }
}

#[test]
fn bookmarks_and_tags_of_mercurial_are_names_and_differences_are_not() {
    let mut bench = Bench::new(Tool::Hg, "");
    bench.branch("b");
    bench.at(&["hg", "bookmark", "--rev=0", "mark"]);
    bench.at(&["hg", "tag", "--rev=0", "v1"]);
    for (name, wanted) in [("mark", Outcome::Success), ("v1", Outcome::Success), ("b - default", Outcome::Failure)] {
        bench.world.branch = Some(name.to_owned());
        let (outcome, summary) = bench.build();
        assert_eq!(outcome, wanted, "{name}: {summary}");
    }
}

#[test]
fn changed_files_are_put_right_and_what_builds_made_goes_or_stays() {
    for tool in TOOLS {
        for (arguments, made) in [
            ("", true),
            (", mode = \"full\"", false),
            (", mode = \"full\", clean = \"clobber\"", false),
            (", mode = \"copy\"", false),
        ] {
            let mut bench = Bench::new(tool, arguments);
            bench.builds();
            std::fs::write(bench.path("one"), "changed").unwrap();
            std::fs::write(bench.path("made"), "x").unwrap();
            bench.commit("two", b"two");
            bench.builds();
            assert_eq!(bench.file("one").as_deref(), Some("one"), "{tool:?}{arguments}");
            assert_eq!(bench.file("two").as_deref(), Some("two"), "{tool:?}{arguments}");
            assert_eq!(bench.file("made").is_some(), made, "{tool:?}{arguments}");
        }
    }
}

#[test]
fn odd_names_and_binary_files_arrive() {
    let binary: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    for tool in TOOLS {
        let mut bench = Bench::new(tool, "");
        bench.commit("with space", b"x");
        bench.commit("-dash", b"x");
        bench.commit("binary", &binary);
        bench.builds();
        for name in ["with space", "-dash"] {
            assert_eq!(bench.file(name).as_deref(), Some("x"), "{tool:?}: {name}");
        }
        assert_eq!(std::fs::read(bench.path("binary")).unwrap(), binary, "{tool:?}");
    }
}

#[test]
fn a_broken_checkout_is_made_anew() {
    for tool in TOOLS {
        let mut bench = Bench::new(tool, "");
        bench.builds();
        let broken = match tool {
            Tool::Git => ".git/HEAD",
            Tool::Hg => ".hg/store/00changelog.i",
            Tool::Svn => ".svn/wc.db",
            Tool::Bzr => ".bzr/branch/format",
        };
        std::fs::write(bench.path(broken), "nonsense").unwrap();
        bench.commit("two", b"two");
        bench.builds();
        assert_eq!(bench.file("two").as_deref(), Some("two"), "{tool:?}");
        assert!(bench.world.told.contains("made anew"), "{tool:?}: {}", bench.world.told);
    }
}

#[test]
fn a_checkout_that_was_cut_off_goes_on() {
    for tool in TOOLS {
        let mut bench = Bench::new(tool, "");
        std::fs::create_dir_all(bench.path(bench.marker())).unwrap();
        std::fs::write(bench.path("half"), "x").unwrap();
        bench.builds();
        assert_eq!(bench.file("one").as_deref(), Some("one"), "{tool:?}");
    }
}

#[test]
fn a_repository_that_is_away_or_empty_fails_with_a_word_for_it() {
    for tool in TOOLS {
        let mut bench = Bench::new(tool, ", fetch_retries = 1");
        bench.builds();
        std::fs::rename(bench.origin(), bench.world.scratch.path().join("away")).unwrap();
        let (outcome, summary) = bench.build();
        assert_eq!(outcome, Outcome::Failure, "{tool:?}");
        assert!(!summary.is_empty(), "{tool:?}");
        assert_eq!(bench.file("one").as_deref(), Some("one"), "{tool:?}: the checkout is kept ({summary})");
    }
    for tool in [Tool::Git, Tool::Hg] {
        let mut bench = Bench::empty(tool, "");
        bench.create();
        let (outcome, summary) = bench.build();
        assert_eq!(outcome, Outcome::Failure, "{tool:?}");
        assert!(summary.contains("has no commits"), "{tool:?}: {summary}");
    }
}

#[test]
fn two_codebases_are_told_apart() {
    for tool in TOOLS {
        let mut bench = Bench::new(tool, ", codebase = \"app\"");
        bench.world.properties.set("got_revision", Value::Map([("lib".to_owned(), "x".into())].into()), "Build");
        bench.builds();
        let Some(Value::Map(all)) = bench.world.properties.get("got_revision") else { panic!("{tool:?}") };
        assert_eq!(all.keys().collect::<Vec<_>>(), ["app", "lib"], "{tool:?}");
    }
}
