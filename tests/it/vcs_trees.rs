//! Polls of Mercurial, Subversion and Bazaar, with the real programs and repositories that they made.

use std::path::{Path, PathBuf};
use std::process::Command;

use starwright::testing::base::SystemClock;
use starwright::testing::config;
use starwright::testing::model::{ChangeSourcePlan, Cursor, NewChange};
use starwright::testing::vcs::{PollTools, poll};

fn tool(directory: &Path, words: &[&str]) -> String {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).current_dir(directory);
    command.env("HGRCPATH", "").env("HGUSER", "Ann <ann@example.org>").env("HGENCODING", "utf-8");
    command.env("BRZ_EMAIL", "Ann <ann@example.org>").env("BRZ_LOG", "/dev/null").env("LC_ALL", "C.UTF-8");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A repository, and the poller that a configuration declares for it.
struct Bench {
    scratch: tempfile::TempDir,
    source: ChangeSourcePlan,
    cursor: Option<Cursor>,
}

impl Bench {
    /// `declaration` has the repository's path in place of `PATH`.
    fn new(file: &str, declaration: &str) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let origin = scratch.path().join("origin");
        std::fs::create_dir(&origin).unwrap();
        let function = declaration.split('(').next().unwrap();
        let text = format!(
            "load(\"@stdlib//{file}.star\", \"{function}\")\n{}\n",
            declaration.replace("PATH", origin.to_str().unwrap())
        );
        let main = scratch.path().join("master.star");
        std::fs::write(&main, text).unwrap();
        let loaded = config::load(&main).unwrap_or_else(|refused| panic!("{refused}"));
        let source = loaded.plan.change_sources.values().next().unwrap().clone();
        Self { scratch, source, cursor: None }
    }

    fn origin(&self) -> PathBuf {
        self.scratch.path().join("origin")
    }

    fn at(&self, words: &[&str]) -> String {
        tool(&self.origin(), words)
    }

    async fn try_poll(&mut self) -> Result<Vec<NewChange>, String> {
        let cache = self.scratch.path().join("cache");
        let tools = PollTools { cache: &cache, token: None, clock: &SystemClock };
        let (changes, cursor) =
            poll(&self.source, self.cursor.clone(), &tools).await.map_err(|error| error.to_string())?;
        self.cursor = Some(cursor);
        Ok(changes)
    }

    /// What a poll finds: branch, message and files of each.
    async fn poll(&mut self) -> Vec<String> {
        let changes = self.try_poll().await.unwrap();
        let shown = |change: &NewChange| {
            format!("{} {} [{}]", change.branch.as_deref().unwrap_or("-"), change.comments, change.files.join(" "))
        };
        changes.iter().map(shown).collect()
    }

    fn hg(&self, name: &str) -> String {
        std::fs::write(self.origin().join(name), name).unwrap();
        self.at(&["hg", "addremove", "--quiet", "."]);
        self.at(&["hg", "commit", "--quiet", "-m", &format!("add {name}")]);
        self.at(&["hg", "log", "--rev=.", "--template", "{node}"])
    }

    fn svn(&self, words: &[&str]) {
        let url = format!("file://{}", self.origin().display());
        let mut all = vec!["svnmucc", "--non-interactive", "-m", "a \u{e9} change", "-U", &url];
        all.extend(words);
        self.at(&all);
    }

    fn bzr(&self, branch: &str, name: &str) {
        let place = self.origin().join(branch);
        std::fs::write(place.join(name), name).unwrap();
        tool(&place, &["brz", "add", "--quiet", "."]);
        tool(&place, &["brz", "commit", "--quiet", "-m", &format!("add {name}")]);
    }
}

#[tokio::test]
async fn changesets_of_mercurial_are_told_once_and_by_their_branch() {
    let mut bench = Bench::new("hg", "hg_poller(\"PATH\", branches = [\"default\", \"side\"], codebase = \"app\")");
    bench.at(&["hg", "init", "."]);
    bench.hg("one");
    assert_eq!(bench.poll().await, Vec::<String>::new(), "what is there is taken as seen");
    assert_eq!(bench.poll().await, Vec::<String>::new());

    let second = bench.hg("two words");
    bench.hg("three");
    let found = bench.try_poll().await.unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].author.as_str(), found[0].codebase.as_str()), ("Ann <ann@example.org>", "app"));
    assert_eq!((found[0].revision.as_deref(), found[0].branch.as_deref()), (Some(second.as_str()), Some("default")));
    assert_eq!(
        (found[0].comments.as_str(), found[0].files.as_slice()),
        ("add two words", &["two words".to_owned()][..])
    );
    assert_eq!(found[0].repository, bench.origin().to_str().unwrap());
    assert!(found[0].when.is_some());

    bench.at(&["hg", "branch", "--quiet", "side"]);
    bench.hg("of the side");
    bench.at(&["hg", "branch", "--quiet", "unwatched"]);
    bench.hg("unwatched");
    bench.at(&["hg", "update", "--quiet", "--clean", "default"]);
    bench.hg("four");
    assert_eq!(bench.poll().await, ["side add of the side [of the side]", "default add four [four]"]);

    // A second head, a merge, and a closed branch.
    bench.at(&["hg", "update", "--quiet", "--clean", "2"]);
    bench.hg("other head");
    assert_eq!(bench.poll().await, ["default add other head [other head]"]);
    bench.at(&["hg", "merge", "--quiet", "--rev", "5"]);
    bench.at(&["hg", "commit", "--quiet", "-m", "merge"]);
    bench.at(&["hg", "update", "--quiet", "--clean", "side"]);
    bench.at(&["hg", "commit", "--quiet", "--close-branch", "-m", "close"]);
    let found = bench.poll().await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert_eq!(bench.poll().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_cache_of_mercurial_that_is_broken_or_of_another_repository_is_made_anew() {
    let mut bench = Bench::new("hg", "hg_poller(\"PATH\")");
    bench.at(&["hg", "init", "."]);
    bench.hg("one");
    bench.poll().await;
    std::fs::write(bench.scratch.path().join("cache/hg/.hg/store/00changelog.i"), "nonsense nonsense").unwrap();
    bench.hg("two");
    assert_eq!(bench.poll().await, ["default add two [two]"]);

    std::fs::remove_dir_all(bench.origin()).unwrap();
    let failed = bench.try_poll().await.unwrap_err();
    assert!(failed.contains("failed to poll") && failed.contains("not found"), "{failed}");
    std::fs::create_dir(bench.origin()).unwrap();
    bench.at(&["hg", "init", "."]);
    bench.hg("of another history");
    assert_eq!(bench.poll().await, ["default add of another history [of another history]"]);
}

#[tokio::test]
async fn only_the_newest_of_too_many_are_told() {
    let mut bench = Bench::new("hg", "hg_poller(\"PATH\", changes_max = 2)");
    bench.at(&["hg", "init", "."]);
    bench.hg("one");
    bench.poll().await;
    for name in ["two", "three", "four"] {
        bench.hg(name);
    }
    assert_eq!(bench.poll().await, ["default add three [three]", "default add four [four]"]);
}

#[tokio::test]
async fn revisions_of_subversion_are_told_by_branch() {
    let mut bench = Bench::new("svn", "svn_poller(\"file://PATH\", layout = \"branches\")");
    bench.at(&["svnadmin", "create", "."]);
    let content = bench.scratch.path().join("content");
    std::fs::write(&content, "x").unwrap();
    let content = content.to_str().unwrap();
    bench.svn(&["mkdir", "trunk", "mkdir", "branches", "mkdir", "tags"]);
    assert_eq!(bench.poll().await, Vec::<String>::new());

    bench.svn(&["put", content, "trunk/two words"]);
    bench.svn(&["cp", "HEAD", "trunk", "branches/1.x"]);
    bench.svn(&["put", content, "branches/1.x/fix", "put", content, "trunk/fix"]);
    bench.svn(&["cp", "HEAD", "trunk", "tags/1.0"]);
    let found = bench.try_poll().await.unwrap();
    let shown: Vec<String> = found
        .iter()
        .map(|change| {
            let files = change.files.join(" ");
            format!("r{} {} [{files}]", change.revision.as_deref().unwrap(), change.branch.as_deref().unwrap())
        })
        .collect();
    assert_eq!(shown.len(), 4, "{shown:?}");
    assert_eq!(shown[..2], ["r2 trunk [two words]", "r3 branches/1.x []"]);
    assert!(
        shown[2..].contains(&"r4 trunk [fix]".to_owned()) && shown[2..].contains(&"r4 branches/1.x [fix]".to_owned())
    );
    assert_eq!(found[0].comments, "a \u{e9} change");
    assert!(found[0].when.is_some());
    assert_eq!(bench.poll().await, Vec::<String>::new());
}

#[tokio::test]
async fn projects_of_subversion_and_directories_without_branches() {
    let mut bench = Bench::new("svn", "svn_poller(\"file://PATH\", layout = \"projects\", branches = [\"trunk\"])");
    bench.at(&["svnadmin", "create", "."]);
    let content = bench.scratch.path().join("content");
    std::fs::write(&content, "x").unwrap();
    let content = content.to_str().unwrap();
    bench.svn(&["mkdir", "app", "mkdir", "app/trunk", "mkdir", "app/branches", "mkdir", "app/branches/x"]);
    bench.poll().await;
    bench.svn(&["put", content, "app/trunk/a", "put", content, "app/branches/x/a"]);
    let found = bench.try_poll().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].project.as_str(), found[0].branch.as_deref()), ("app", Some("trunk")));
    assert!(found[0].repository.ends_with("origin/app"), "{}", found[0].repository);

    // Below the repository's root, and beside a directory that begins like it.
    let mut plain = Bench::new("svn", "svn_poller(\"file://PATH/app\")");
    plain.at(&["svnadmin", "create", "."]);
    plain.svn(&["mkdir", "app", "mkdir", "application"]);
    plain.poll().await;
    plain.svn(&["put", content, "application/a"]);
    plain.svn(&["put", content, "app/a"]);
    assert_eq!(plain.poll().await, ["- a \u{e9} change [a]"]);
}

#[tokio::test]
async fn revisions_of_bazaar_are_told_by_branch() {
    let mut bench = Bench::new("bzr", "bzr_poller(\"PATH\", branches = [\"trunk\", \"side\"])");
    bench.at(&["brz", "init-shared-repository", "--quiet", "."]);
    bench.at(&["brz", "init", "--quiet", "trunk"]);
    bench.bzr("trunk", "one");
    bench.at(&["brz", "branch", "--quiet", "trunk", "side"]);
    assert_eq!(bench.poll().await, Vec::<String>::new());
    bench.bzr("trunk", "two words");
    bench.bzr("side", "of the side");
    bench.bzr("side", "more");
    let found = bench.poll().await;
    assert_eq!(
        found,
        ["trunk add two words [two words]", "side add of the side [of the side]", "side add more [more]"]
    );
    assert_eq!(bench.poll().await, Vec::<String>::new());
    std::fs::remove_dir_all(bench.origin()).unwrap();
    assert!(bench.try_poll().await.unwrap_err().contains("Not a branch"));
}

#[test]
fn wrong_declarations_are_told() {
    for (file, declaration, wanted) in [
        ("hg", "hg_poller(\"../app\")", "is a relative path"),
        ("hg", "hg_poller(\"--config=x\")", "is no address"),
        ("hg", "hg_poller(\"/r\", branches = [\"a:b\"])", "does not allow as a branch"),
        ("svn", "svn_poller(\"/srv/svn\")", "is not the address of a Subversion repository"),
        ("svn", "svn_poller(\"file:///r\", layout = \"branch\")", "\"branches\""),
        ("svn", "svn_poller(\"file:///r\", branches = [\"trunk\"])", "needs a `layout`"),
        ("svn", "svn_poller(\"file:///r\", user = \"ci\")", "belong together"),
        ("bzr", "bzr_poller(\"/r\", branches = [\"-x\"])", "is no directory of a branch"),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let main = scratch.path().join("master.star");
        let function = declaration.split('(').next().unwrap();
        std::fs::write(&main, format!("load(\"@stdlib//{file}.star\", \"{function}\")\n{declaration}\n")).unwrap();
        let refused = config::load(&main).unwrap_err().to_string();
        assert!(refused.contains(wanted), "{declaration}: {refused}");
    }
}
