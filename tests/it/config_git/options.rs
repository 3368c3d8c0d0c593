//! What the arguments of `git` change.

use starwright::testing::model::*;

use super::world::World;

#[test]
fn a_copy_is_made_anew_and_its_source_is_kept() {
    let mut world = World::new(", mode = \"copy\"");
    assert_eq!(world.build().0, Outcome::Success);
    let build = world.builder_dir().join("build");
    std::fs::write(build.join("one"), "changed").unwrap();
    std::fs::write(build.join("made"), "x").unwrap();
    world.commit("two", "two");
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!((world.file("one").as_deref(), world.file("two").as_deref()), (Some("one"), Some("two")));
    assert_eq!(world.file("made"), None);
    assert_eq!(world.git(&["status", "--porcelain"]), "");
    assert!(world.builder_dir().join("build.git-copy/.git").is_dir());
    assert!(!world.ran.iter().any(|words| words.starts_with("init")), "what is kept is brought up to date");
}

#[test]
fn a_partial_clone_fetches_files_when_they_are_checked_out() {
    let scratch = tempfile::tempdir().unwrap();
    // Git leaves objects out only for what it takes for another machine.
    let repository = format!("\"file://{}\"", scratch.path().join("origin").display());
    let mut world = World::of(scratch, &repository, ", filter = \"blob:none\"");
    world.origin(&["config", "uploadpack.allowFilter", "true"]);
    world.origin(&["config", "uploadpack.allowAnySHA1InWant", "true"]);
    world.commit("one", "another text");
    let old = world.origin(&["rev-parse", "HEAD~1:one"]);
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(world.file("one").as_deref(), Some("another text"));
    let missing = world.git(&["rev-list", "--objects", "--all", "--missing=print"]);
    assert!(missing.lines().any(|line| line == format!("?{old}")), "{missing}");

    let first = world.origin(&["rev-parse", "HEAD~1"]);
    world.revision = Some(first);
    assert_eq!(world.build().0, Outcome::Success);
    assert_eq!(world.file("one").as_deref(), Some("one"), "it is fetched now");
}

#[test]
fn the_latest_commit_is_built_on_demand() {
    for (arguments, wanted) in [(", latest = True", Some("two")), ("", None)] {
        let mut world = World::new(arguments);
        world.revision = Some(world.origin(&["rev-parse", "HEAD"]));
        world.commit("two", "two");
        assert_eq!(world.build().0, Outcome::Success);
        assert_eq!(world.file("two").as_deref(), wanted, "{arguments}");
    }
}

#[test]
fn the_commit_is_described() {
    for (arguments, wanted) in [
        (", describe = True", "v1-1-g"),
        (", describe = [\"--abbrev=0\", \"--tags\"]", "v1"),
        (", describe = True, codebase = \"app\"", "v1-1-g"),
    ] {
        let mut world = World::new(arguments);
        world.origin(&["tag", "v1"]);
        world.commit("two", "two");
        assert_eq!(world.build().0, Outcome::Success);
        let said = world.properties.get("commit-description").unwrap().clone();
        let said = match &said {
            Value::Map(all) => all["app"].to_string(),
            other => other.to_string(),
        };
        assert!(said.starts_with(wanted), "{arguments}: {said}");
    }
    // A repository without tags is no reason to fail.
    let mut world = World::new(", describe = True");
    assert_eq!(world.build().0, Outcome::Success);
    let mut world = World::new(", describe = [\"--exact-match\"]");
    assert_eq!(world.build().0, Outcome::Failure);
}

/// With the real git-lfs, which tests/tools installs.
#[test]
fn large_files_come_from_their_store() {
    let mut world = World::new(", lfs = True");
    world.origin(&["lfs", "install", "--local"]);
    world.origin(&["lfs", "track", "*.bin"]);
    world.commit("big.bin", "large file");
    let pointer = world.origin(&["show", "HEAD:big.bin"]);
    assert!(pointer.starts_with("version https://git-lfs"), "{pointer}");
    let (outcome, summary) = world.build();
    assert_eq!(outcome, Outcome::Success, "{summary:?}");
    assert_eq!(world.file("big.bin").as_deref(), Some("large file"));
}
