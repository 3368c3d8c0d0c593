//! Steps that commit, tag, push, and find what a branch changed.

use starwright::testing::model::*;

use super::world::World;

/// A builder that checks out, and then does more. The repository is bare, as those of servers are.
fn world(steps: &str) -> World {
    let scratch = tempfile::tempdir().unwrap();
    let repository = format!("{:?}", scratch.path().join("origin").to_str().unwrap());
    let steps = steps.replace("REPOSITORY", &repository);
    let mut world = World::with_steps(scratch, &format!("git({repository}, fetch_delay = \"1ms\"), {steps}"));
    world.origin(&["config", "receive.denyCurrentBranch", "updateInstead"]);
    assert_eq!(world.build().0, Outcome::Success);
    world
}

fn write(world: &World, name: &str, text: &str) {
    std::fs::write(world.builder_dir().join("build").join(name), text).unwrap();
}

#[test]
fn what_a_build_made_is_committed_tagged_and_pushed() {
    let mut world = world(
        "git_commit(\"Update $(touch owned)\", author = \"Release bot <bot@example.org>\"), \
         git_tag(\"v1\", message = \"First\"), \
         git_push(REPOSITORY, branch = \"main\", tags = [\"v1\"])",
    );
    write(&world, "made", "by a build");
    std::fs::remove_file(world.builder_dir().join("build/one")).unwrap();
    assert_eq!(world.step(1).0, Outcome::Success);
    assert_eq!(world.step(2).0, Outcome::Success);
    let (outcome, summary) = world.step(3);
    assert_eq!((outcome, summary.as_deref()), (Outcome::Success, Some("pushed main, v1")));
    assert_eq!(
        world.origin(&["show", "--format=%an <%ae> %s", "--no-patch", "main"]),
        "Release bot <bot@example.org> Update $(touch owned)"
    );
    assert_eq!(world.origin(&["ls-tree", "--name-only", "main"]), "made");
    assert_eq!(world.origin(&["cat-file", "-t", "v1"]), "tag");
    let revision = world.origin(&["rev-parse", "main"]);
    assert_eq!(world.properties.get("commit_revision"), Some(&revision.as_str().into()));
}

#[test]
fn nothing_to_commit_is_skipped_refused_or_committed() {
    for (empty, wanted) in [("skip", Outcome::Skipped), ("fail", Outcome::Failure), ("allow", Outcome::Success)] {
        let mut world = world(&format!("git_commit(\"Nothing\", empty = \"{empty}\")"));
        assert_eq!(world.step(1).0, wanted, "{empty}");
    }
}

#[test]
fn a_push_never_overwrites_what_others_pushed() {
    for force in ["False", "True"] {
        let mut world =
            world(&format!("git_commit(\"Mine\"), git_push(REPOSITORY, branch = \"main\", force = {force})"));
        let theirs = world.commit("theirs", "theirs");
        write(&world, "mine", "mine");
        assert_eq!(world.step(1).0, Outcome::Success);
        let (outcome, summary) = world.step(2);
        assert_eq!(outcome, Outcome::Failure, "force = {force}: {summary:?}");
        assert_eq!(world.origin(&["rev-parse", "main"]), theirs);
        let pushes = world.ran.iter().filter(|words| words.starts_with("push")).count();
        assert_eq!(pushes, 1, "the answer would be the same");
    }
}

#[test]
fn a_rewritten_branch_replaces_what_this_checkout_has_seen() {
    let mut world = world("git_push(REPOSITORY, branch = \"main\", force = True)");
    world.commit("two", "two");
    assert_eq!(world.build().0, Outcome::Success);
    world.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
    let wanted = world.git(&["rev-parse", "HEAD"]);
    let (outcome, summary) = world.step(1);
    assert_eq!((outcome, summary.as_deref()), (Outcome::Success, Some("pushed main")));
    assert_eq!(world.origin(&["rev-parse", "main"]), wanted);
}

#[test]
fn names_from_outside_are_checked_when_they_are_known() {
    let mut world = world("git_tag(lambda ctx: \"--delete\"), git_tag(lambda ctx: \"a b\")");
    for step in [1, 2] {
        let (outcome, summary) = world.step(step);
        assert_eq!(outcome, Outcome::Failure);
        assert!(
            summary.as_ref().is_some_and(|text| text.contains("cannot be the name of a branch or tag")),
            "{summary:?}"
        );
    }
    assert_eq!(world.git(&["tag", "--list"]), "");
}

#[test]
fn the_files_that_a_branch_changed_are_found() {
    let mut world = world("git_changes(\"main\"), git_changes(\"nowhere\")");
    world.origin(&["checkout", "--quiet", "-b", "topic"]);
    world.commit("new file \u{e9}", "x");
    world.commit("one", "changed");
    world.origin(&["checkout", "--quiet", "main"]);
    world.commit("of main", "not of the topic");
    world.branch = Some("topic".to_owned());
    assert_eq!(world.build().0, Outcome::Success);
    let (outcome, summary) = world.step(1);
    assert_eq!((outcome, summary.as_deref()), (Outcome::Success, Some("2 files changed since `main`")));
    let wanted = Value::List(vec!["new file \u{e9}".into(), "one".into()]);
    assert_eq!(world.properties.get("changed_files"), Some(&wanted));

    let (outcome, summary) = world.step(2);
    assert_eq!(outcome, Outcome::Failure);
    assert!(summary.as_ref().is_some_and(|text| text.contains("`nowhere` cannot be fetched")), "{summary:?}");
}
