//! The checkout of the standard library against real repositories: a build's asks are carried out with
//! the git program in a scratch directory, step by step, as master and worker would.

mod options;
mod sources;
mod steps;
mod world;

use std::path::Path;
use std::process::Command;

use starwright::testing::model::*;

use world::{TOKEN, World, git_in, sealed};

#[test]
fn the_tip_of_a_branch_is_checked_out_and_brought_up_to_date() {
    let mut world = World::new("");
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(world.file("one").as_deref(), Some("one"));

    let second = world.commit("two", "two");
    std::fs::write(world.builder_dir().join("build/made"), "by a build").unwrap();
    let (outcome, summary) = world.build();
    assert_eq!(outcome, Outcome::Success);
    assert_eq!(summary, Some(format!("{} of main", &second[..10])));
    assert_eq!(world.properties.get("got_revision"), Some(&second.as_str().into()));
    assert_eq!(world.file("two").as_deref(), Some("two"));
    assert_eq!(world.file("made").as_deref(), Some("by a build"), "incremental keeps what builds made");
    assert!(!world.ran.iter().any(|words| words.starts_with("init")));
}

#[test]
fn a_revision_is_checked_out_even_if_its_branch_moved_away() {
    let mut world = World::new("");
    let lost = world.commit("two", "two");
    world.origin(&["reset", "--quiet", "--hard", "HEAD~1"]);
    world.commit("other", "other");
    world.revision = Some(lost.clone());
    // Servers give a revision that no branch leads to only if they are told so.
    world.origin(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(world.properties.get("got_revision"), Some(&lost.as_str().into()));
    assert_eq!(world.file("two").as_deref(), Some("two"));
    assert_eq!(world.file("other"), None);
}

#[test]
fn a_forced_push_is_followed() {
    let mut world = World::new("");
    world.commit("two", "two");
    world.build();
    world.origin(&["reset", "--quiet", "--hard", "HEAD~1"]);
    world.commit("three", "three");
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!((world.file("two"), world.file("three").as_deref()), (None, Some("three")));
}

#[test]
fn changed_files_are_put_right_and_full_mode_cleans() {
    for (arguments, made, ignored) in [
        ("", true, true),
        (", mode = \"full\", clean = \"untracked\"", false, true),
        (", mode = \"full\"", false, false),
        (", mode = \"full\", clean = \"clobber\"", false, false),
    ] {
        let mut world = World::new(arguments);
        world.commit(".gitignore", "ignored\n");
        world.build();
        let build = world.builder_dir().join("build");
        std::fs::write(build.join("one"), "changed").unwrap();
        std::fs::write(build.join("made"), "x").unwrap();
        std::fs::write(build.join("ignored"), "x").unwrap();
        assert_eq!(world.build().0, Outcome::Success);
        assert_eq!(world.file("one").as_deref(), Some("one"), "{arguments}");
        assert_eq!((world.file("made").is_some(), world.file("ignored").is_some()), (made, ignored), "{arguments}");
    }
}

#[test]
fn a_broken_checkout_is_made_anew() {
    let mut world = World::new("");
    world.build();
    let git_dir = world.builder_dir().join("build/.git");
    std::fs::remove_file(git_dir.join("HEAD")).unwrap();
    std::fs::write(git_dir.join("index"), "nonsense").unwrap();
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(world.file("one").as_deref(), Some("one"));

    // So is one that a killed git left locked.
    std::fs::write(world.builder_dir().join("build/.git/index.lock"), "").unwrap();
    world.commit("two", "two");
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(world.file("two").as_deref(), Some("two"));
}

#[test]
fn a_repository_around_the_worker_is_left_alone() {
    let mut world = World::new("");
    git_in(world.scratch.path(), &["init", "--quiet", "."]);
    world.build();
    std::fs::remove_file(world.builder_dir().join("build/.git/HEAD")).unwrap();
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(git_in(world.scratch.path(), &["config", "--get-all", "core.bare"]), "false");
    let remote = Command::new("git").args(["config", "remote.origin.url"]).current_dir(world.scratch.path()).output();
    assert!(remote.unwrap().stdout.is_empty(), "the outer repository was changed");
}

#[test]
fn an_unreachable_repository_fails_and_keeps_the_checkout() {
    let mut world = World::new(", fetch_retries = 1");
    world.build();
    std::fs::rename(world.scratch.path().join("origin"), world.scratch.path().join("away")).unwrap();
    let (outcome, summary) = world.build();
    assert_eq!(outcome, Outcome::Failure);
    assert!(summary.unwrap().contains("does not appear to be a git repository"));
    assert_eq!(world.fetches(), 1, "trying again cannot help");
    assert_eq!(world.file("one").as_deref(), Some("one"));
}

#[test]
fn submodules_come_along() {
    let mut world = World::new(", submodules = True, mode = \"full\"");
    let library = world.scratch.path().join("library");
    std::fs::create_dir(&library).unwrap();
    git_in(&library, &["init", "--quiet", "--initial-branch=main", "."]);
    std::fs::write(library.join("inner"), "inner").unwrap();
    git_in(&library, &["add", "."]);
    git_in(&library, &["commit", "--quiet", "-m", "inner"]);
    world.origin(&["submodule", "--quiet", "add", library.to_str().unwrap(), "library"]);
    world.origin(&["commit", "--quiet", "-m", "library"]);
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(world.file("library/inner").as_deref(), Some("inner"));
}

#[test]
fn without_a_branch_the_default_one_is_built_and_depth_is_kept() {
    let mut world = World::new(", depth = 1");
    world.commit("two", "two");
    world.branch = None;
    let (outcome, summary) = world.build();
    assert_eq!(outcome, Outcome::Success);
    assert!(summary.unwrap().ends_with("of main"));
    assert_eq!(world.file("two").as_deref(), Some("two"));
}

#[test]
fn an_empty_repository_fails() {
    let mut world = World::new("");
    std::fs::remove_dir_all(world.scratch.path().join("origin")).unwrap();
    std::fs::create_dir(world.scratch.path().join("origin")).unwrap();
    world.origin(&["init", "--quiet", "--initial-branch=main", "."]);
    world.branch = None;
    let (outcome, summary) = world.build();
    assert_eq!(outcome, Outcome::Failure);
    assert!(summary.as_ref().is_some_and(|text| text.contains("has no commits")), "{summary:?}");
}

/// Makes pull request 7 as forges keep it: a head of one commit on top of `main`, and its merge with a `main` that went on.
/// Gives the head and the merge.
fn pull_request(world: &World, kind: &str, head: &str) -> (String, String) {
    world.origin(&["checkout", "--quiet", "-b", "pull"]);
    let tip = world.commit("pulled", "pulled");
    world.origin(&["checkout", "--quiet", "main"]);
    world.commit("base", "base");
    world.origin(&["checkout", "--quiet", "--detach"]);
    world.origin(&["merge", "--quiet", "--no-ff", "-m", "merge", "pull"]);
    let merge = world.origin(&["rev-parse", "HEAD"]);
    world.origin(&["update-ref", &format!("refs/{kind}/7/{head}"), &tip]);
    world.origin(&["update-ref", &format!("refs/{kind}/7/merge"), &merge]);
    world.origin(&["checkout", "--quiet", "main"]);
    world.origin(&["branch", "--quiet", "-D", "pull"]);
    (tip, merge)
}

#[test]
fn pull_requests_are_checked_out_as_the_merge_result_or_the_head() {
    for (kind, head) in [("pull", "head"), ("merge-requests", "head"), ("pull-requests", "from")] {
        for depth in ["", ", depth = 1"] {
            let mut world = World::new(depth);
            let (tip, merge) = pull_request(&world, kind, head);
            for (branch, wanted) in [("merge", &merge), (head, &tip)] {
                world.branch = Some(format!("refs/{kind}/7/{branch}"));
                for revision in [Some(tip.clone()), None] {
                    world.revision = revision;
                    assert_eq!(world.build().0, Outcome::Success, "{kind} {branch}{depth}: {}", world.told);
                    assert_eq!(&world.git(&["rev-parse", "HEAD"]), wanted, "{kind} {branch}{depth}");
                    assert_eq!(world.file("base").is_some(), branch == "merge");
                    assert_eq!(world.properties.get("got_revision"), Some(&Value::from(wanted.as_str())));
                    assert_eq!(world.told, "");
                }
            }
        }
    }
}

#[test]
fn a_merge_result_that_is_late_or_gone_gives_way_to_the_head() {
    let mut world = World::new("");
    let (old, merge) = pull_request(&world, "pull", "head");
    world.origin(&["checkout", "--quiet", "--detach", &old]);
    let tip = world.commit("more", "more");
    world.origin(&["update-ref", "refs/pull/7/head", &tip]);
    world.origin(&["checkout", "--quiet", "main"]);
    world.branch = Some("refs/pull/7/merge".to_owned());
    world.revision = Some(tip.clone());
    assert_eq!(world.build().0, Outcome::Success, "{}", world.told);
    assert_eq!(world.git(&["rev-parse", "HEAD"]), tip);
    assert!(world.told.contains(&format!("is not the merge of {tip}")), "{}", world.told);
    assert_eq!(world.fetches(), 4, "the forge gets some time");

    world.origin(&["update-ref", "-d", "refs/pull/7/merge", &merge]);
    for revision in [Some(tip.clone()), None] {
        world.revision = revision;
        assert_eq!(world.build().0, Outcome::Success, "{}", world.told);
        assert_eq!(world.git(&["rev-parse", "HEAD"]), tip);
        assert!(world.told.contains("does not have it"), "{}", world.told);
    }
    // A closed pull request whose refs were pruned: the commit may still be there.
    world.origin(&["update-ref", "-d", "refs/pull/7/head"]);
    assert_eq!(world.build().0, Outcome::Failure);
}

#[test]
fn what_an_earlier_step_of_the_build_checked_out_is_not_replaced() {
    let mut world = World::new("");
    assert_eq!(world.build().0, Outcome::Success);
    world.git(&["config", "remote.origin.url", "https://example.org/lib.git"]);
    let (outcome, summary) = world.build();
    assert_eq!(outcome, Outcome::Failure);
    assert!(summary.as_ref().is_some_and(|text| text.contains("needs a directory of its own")), "{summary:?}");
    world.git(&["config", "starwright.build", "b/0"]);
    assert_eq!(world.build().0, Outcome::Success);
}

#[test]
fn a_branch_that_is_not_there_fails_with_gits_own_words() {
    let mut world = World::new("");
    world.build();
    let marker = world.builder_dir().join("build/.git/marker");
    std::fs::write(&marker, "").unwrap();
    world.branch = Some("nowhere".to_owned());
    let (outcome, summary) = world.build();
    let summary = summary.unwrap();
    assert_eq!(outcome, Outcome::Failure);
    assert!(summary.starts_with("there is no branch or tag `nowhere` in ") && summary.contains("origin"), "{summary}");
    assert!(summary.contains("couldn't find remote ref refs/heads/nowhere"), "{summary}");
    assert!(marker.exists() && world.fetches() == 2, "a branch and a tag are asked for, once");

    world.branch = Some("main".to_owned());
    world.revision = Some("deadbeef".repeat(5));
    let summary = world.build().1.unwrap();
    assert!(summary.contains("there is no revision `deadbeef") && summary.contains("not our ref"), "{summary}");
    world.revision = Some("deadbeef".to_owned());
    assert!(world.build().1.unwrap().contains("write all of its digits"));
    assert!(marker.exists());
}

#[test]
fn the_checkout_is_an_ordinary_clone() {
    let mut world = World::new("");
    world.origin(&["tag", "-a", "-m", "first", "v1.0"]);
    let second = world.commit("two", "two");
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(world.git(&["rev-parse", "--abbrev-ref", "HEAD"]), "main");
    assert_eq!(world.git(&["describe", "--always"]), format!("v1.0-1-g{}", &second[..7]));
    world.git(&["branch", "-u", "origin/main"]);
    world.git(&["fetch", "--quiet"]);
    assert_eq!(world.git(&["rev-parse", "@{upstream}"]), second);

    // A revision in the middle of a branch is on it, too.
    world.revision = Some(world.origin(&["rev-parse", "HEAD~1"]));
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(world.git(&["rev-parse", "--abbrev-ref", "HEAD"]), "main");
    assert_eq!(world.fetches(), 0, "it is there");
}

#[test]
fn tags_are_built_and_a_branch_of_the_name_wins() {
    let mut world = World::new("");
    let first = world.origin(&["rev-parse", "HEAD"]);
    world.origin(&["tag", "v1"]);
    world.origin(&["tag", "-a", "-m", "second", "v2"]);
    world.origin(&["tag", "both"]);
    let second = world.commit("two", "two");
    world.origin(&["branch", "both"]);
    for (branch, revision) in
        [("v1", &first), ("v2", &first), ("refs/tags/v2", &first), ("tags/v1", &first), ("both", &second)]
    {
        world.branch = Some(branch.to_owned());
        assert_eq!(world.build().0, Outcome::Success, "{branch}");
        assert_eq!(world.git(&["rev-parse", "HEAD"]), *revision, "{branch}");
    }
    world.branch = Some("refs/tags/both".to_owned());
    world.revision = Some(first.clone());
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(world.git(&["rev-parse", "HEAD"]), first);
}

#[test]
fn all_tags_are_as_the_server_has_them() {
    let mut world = World::new(", tags = True");
    let first = world.origin(&["rev-parse", "HEAD"]);
    world.origin(&["tag", "gone"]);
    world.origin(&["tag", "moved"]);
    world.revision = Some(first);
    world.build();
    let second = world.commit("two", "two");
    world.origin(&["tag", "-d", "gone"]);
    world.origin(&["tag", "-f", "moved"]);
    world.origin(&["tag", "late", "HEAD~1"]);
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(world.git(&["tag", "--list"]), "late\nmoved");
    assert_eq!(world.git(&["rev-parse", "moved"]), second);
}

#[test]
fn what_is_no_name_is_refused_before_git_sees_it() {
    let mut world = World::new("");
    for name in [
        "refs/heads/*:refs/heads/*",
        "main:refs/heads/evil",
        "--upload-pack=touch evil",
        "^x",
        "HEAD",
        "@{-1}",
        "a..b",
        ":/text",
        "a.lock",
        "a b",
        "a\nb",
    ] {
        world.branch = Some(name.to_owned());
        let (outcome, summary) = world.build();
        assert_eq!(outcome, Outcome::Failure, "{name}");
        assert!(summary.unwrap().contains("cannot be the name of a branch or tag"), "{name}");
        assert!(world.ran.is_empty(), "{name}: {:?}", world.ran);
    }
    world.branch = Some("main".to_owned());
    for revision in ["HEAD", "main", "HEAD; touch evil", "--upload-pack=x", "+abcd", "abcd^"] {
        world.revision = Some(revision.to_owned());
        assert!(world.build().1.unwrap().contains("is not a revision"), "{revision}");
        assert!(world.ran.is_empty(), "{revision}");
    }
    world.revision = None;
    for name in ["+x", "ümläut", "a@b", "$(x)"] {
        world.origin(&["branch", name]);
        world.branch = Some(name.to_owned());
        assert_eq!(world.build().0, Outcome::Success, "{name}");
        assert_eq!(world.git(&["rev-parse", "--abbrev-ref", "HEAD"]), *name);
    }
}

#[test]
fn a_branch_may_become_a_directory_of_branches() {
    let mut world = World::new("");
    world.origin(&["branch", "a"]);
    world.branch = Some("a".to_owned());
    world.build();
    world.origin(&["branch", "-m", "a", "a/b"]);
    world.branch = Some("a/b".to_owned());
    let marker = world.builder_dir().join("build/.git/marker");
    std::fs::write(&marker, "").unwrap();
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(world.git(&["rev-parse", "--abbrev-ref", "HEAD"]), "a/b");
    assert!(marker.exists(), "the checkout is kept");
}

#[test]
fn a_build_of_another_repository_leaves_this_one_at_its_own_branch() {
    let mut world = World::new(", branch = \"dev\"");
    world.origin(&["branch", "dev"]);
    let first = world.origin(&["rev-parse", "HEAD"]);
    world.commit("two", "two");
    world.of = "https://example.org/app.git".to_owned();
    world.revision = Some("deadbeef".repeat(5));
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(world.git(&["rev-parse", "HEAD"]), first);
    assert!(world.told.contains("The build is for https://example.org/app.git"), "{}", world.told);
    assert_eq!(world.properties.get("got_revision"), None, "it is not the revision of what is built");
}

#[test]
fn a_revision_that_is_not_on_its_branch_is_told() {
    let mut world = World::new("");
    world.origin(&["checkout", "--quiet", "-b", "dev"]);
    let other = world.commit("two", "two");
    world.revision = Some(other.clone());
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(world.git(&["rev-parse", "HEAD"]), other);
    assert!(world.told.contains("is not on `main`"), "{}", world.told);
    assert_eq!(
        world.git(&["rev-parse", "--abbrev-ref", "HEAD"]),
        "HEAD",
        "it is not called by the name of that branch"
    );
}

#[test]
fn a_login_is_in_no_file_and_no_argument() {
    let scratch = tempfile::tempdir().unwrap();
    let server = GitServer::start(scratch.path(), "ci", TOKEN);
    let repository = format!("concat(\"http://ci:\", secret(\"token\"), \"@{}/origin\")", server.address);
    let mut world = World::of(scratch, &repository, ", submodules = True");
    let inner = world.scratch.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    git_in(&inner, &["init", "--quiet", "--initial-branch=main", "."]);
    git_in(&inner, &["commit", "--quiet", "--allow-empty", "-m", "inner"]);
    world.origin(&["-c", "protocol.file.allow=always", "submodule", "--quiet", "add", "../inner", "inner"]);
    world.origin(&["commit", "--quiet", "-m", "inner"]);
    // What an older version left behind is cleaned.
    let build = world.builder_dir().join("build");
    std::fs::create_dir_all(&build).unwrap();
    git_in(&build, &["init", "--quiet", "."]);
    git_in(&build, &["config", "remote.origin.url", &format!("http://ci:{TOKEN}@{}/origin", server.address)]);

    let (outcome, summary) = world.build();
    assert_eq!(outcome, Outcome::Success, "{summary:?}");
    assert!(build.join("inner/.git").exists());
    assert!(!world.ran.iter().any(|words| words.contains(TOKEN)));
    assert_eq!(world.git(&["config", "remote.origin.url"]), format!("http://{}/origin", server.address));
    let grep = Command::new("grep").args(["-rl", "-e", TOKEN, "-e", "Y2k6", "."]).current_dir(&build).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&grep.stdout), "");
}

/// `git http-backend` behind a login.
struct GitServer {
    address: String,
    child: std::process::Child,
}

impl GitServer {
    fn start(root: &Path, user: &str, password: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/git_http.py");
        let mut command = Command::new("python3");
        command.arg(script).args([root.to_str().unwrap(), user, password]).stdout(std::process::Stdio::piped());
        let mut child = sealed(&mut command).spawn().unwrap();
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
        Self { address: line.trim().to_owned(), child }
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
