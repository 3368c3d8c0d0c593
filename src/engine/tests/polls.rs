//! Change sources are polled.

use super::plans::{any_branch, branch, plan, source};
use super::world::World;
use crate::engine::watch::watches;
use crate::engine::{PollResult, Reply, SubmissionResult};
use crate::model::{
    BranchChoice, ChangeSourceId, ChangeSourceKind, Cursor, Event, GitPlan, HookDialect, Intake, NewChange, Order,
    PullRef, PullsPlan,
};

fn world() -> World {
    World::new(
        plan().builder("linux", ["w1"]).scheduler(branch("main", &["linux"], "0s")).poller("repo", "git:core", "5m"),
    )
}

fn cursor(tip: &str) -> Cursor {
    Cursor::from([("main".to_owned(), tip.to_owned())])
}

fn report(revisions: &[&str]) -> PollResult {
    let change = |revision: &&str| NewChange {
        branch: Some("main".into()),
        revision: Some((*revision).to_owned()),
        ..NewChange::default()
    };
    PollResult { changes: revisions.iter().map(change).collect(), cursor: cursor(revisions.last().unwrap()) }
}

fn unchanged(tip: &str) -> PollResult {
    PollResult { changes: vec![], cursor: cursor(tip) }
}

fn polled_facts(world: &World) -> usize {
    world.events().filter(|event| matches!(event, Event::SourcePolled { .. })).count()
}

#[test]
fn a_source_is_polled_at_once_and_then_at_its_interval() {
    let mut world = world();
    assert_eq!(world.polls, [("repo".to_owned(), None)]);
    world.polled("repo", Ok(unchanged("a")));
    world.advance("4m59s");
    assert!(world.polls.is_empty());
    world.advance("1s");
    assert_eq!(world.polls, [("repo".to_owned(), Some(cursor("a")))]);
}

#[test]
fn new_changes_start_builds_and_move_the_cursor_in_one_turn() {
    let mut world = world();
    world.polled("repo", Ok(report(&["a", "b"])));
    assert_eq!(world.buildsets("main").len(), 2);
    world.advance("5m");
    assert_eq!(world.polls[0].1, Some(cursor("b")));
    let source = world.events().find_map(|event| match event {
        Event::ChangeArrived { change } => Some(change.source),
        _ => None,
    });
    assert_eq!(source, Some(Some(ChangeSourceId(1))));
}

#[test]
fn polls_that_find_nothing_are_recorded_seldom() {
    let mut world = world();
    world.polled("repo", Ok(unchanged("a")));
    for _ in 0..12 {
        world.advance("5m");
        world.polled("repo", Ok(unchanged("a")));
    }
    assert_eq!(polled_facts(&world), 7);
}

#[test]
fn failures_are_recorded_and_tried_again_later_and_later() {
    let mut world = world();
    for pause in ["30s", "1m", "2m", "4m", "8m", "16m", "30m", "30m"] {
        world.polled("repo", Err("no route to host".into()));
        assert!(world.polls.is_empty());
        world.advance(pause);
        assert_eq!(world.polls.len(), 1, "after {pause}");
    }
    world.polled("repo", Ok(unchanged("a")));
    world.advance("5m");
    assert_eq!(world.polls.len(), 1);
    let failures = world.events().filter(|event| matches!(event, Event::SourceFailed { .. })).count();
    assert_eq!((failures, polled_facts(&world)), (8, 1));
}

#[test]
fn somebody_can_have_a_source_polled_now() {
    let mut world = world();
    let ask = |world: &mut World, source: Option<&str>| {
        let source = source.map(str::to_owned);
        world.order(Order::Poll { source })
    };
    assert_eq!(ask(&mut world, None), Reply::Done);
    assert_eq!(world.polls.len(), 1, "one poll at a time");
    world.polled("repo", Ok(unchanged("a")));
    assert_eq!(world.polls.len(), 1, "asked for while the other was under way");
    world.polled("repo", Ok(unchanged("a")));
    assert!(world.polls.is_empty());
    ask(&mut world, Some("repo"));
    assert_eq!(world.polls.len(), 1);
    assert!(matches!(ask(&mut world, Some("other")), Reply::Unknown(_)));
}

#[test]
fn a_poll_under_way_at_a_crash_is_asked_again_from_the_same_place() {
    let mut world = world();
    world.polled("repo", Ok(report(&["a"])));
    world.advance("5m");
    world.restart();
    assert_eq!(world.polls, [("repo".to_owned(), Some(cursor("a")))]);
    world.polled("repo", Ok(report(&["b"])));
    assert_eq!(world.buildsets("main").len(), 2);
}

#[test]
fn another_repository_starts_from_its_tip_and_the_old_polls_result_is_void() {
    let mut world = world();
    world.polled("repo", Ok(unchanged("a")));
    world.advance("5m");
    let other = plan().builder("linux", ["w1"]).scheduler(branch("main", &["linux"], "0s"));
    let changes = world.adopt(other.poller("repo", "git:other", "5m"));
    assert_eq!(changes, ["change source repo replaced"]);
    world.polled("repo", Ok(report(&["b"])));
    assert_eq!(world.buildsets("main").len(), 0);
    assert_eq!(world.polls, [("repo".to_owned(), None)]);
}

#[test]
fn a_removed_source_is_polled_no_more() {
    let mut world = world();
    world.polled("repo", Ok(unchanged("a")));
    world.adopt(plan().builder("linux", ["w1"]));
    world.advance("24h");
    assert!(world.polls.is_empty());
}

#[test]
fn a_clock_that_goes_back_does_not_silence_a_source() {
    let mut world = world();
    world.polled("repo", Ok(unchanged("a")));
    let wrong = world.now;
    world.set_clock(crate::base::Timestamp::from_seconds(wrong.as_seconds() - 86_400 * 300));
    assert_eq!(world.polls.len(), 1);
}

fn told(revision: &str) -> NewChange {
    NewChange {
        repository: "ssh://git@example.org/core.git".into(),
        branch: Some("main".into()),
        revision: Some(revision.into()),
        ..NewChange::default()
    }
}

fn seen(revision: &str) -> PollResult {
    let change = NewChange {
        repository: "https://example.org/core".into(),
        author: "Ann".into(),
        comments: "all of it".into(),
        files: vec!["a.c".into()],
        ..told(revision)
    };
    PollResult { changes: vec![change], cursor: cursor(revision) }
}

/// A poller that has looked once, and its repository's hook.
fn hooked() -> World {
    let scheduler = branch("main", &["linux"], "0s");
    let mut world = World::new(plan().builder("linux", ["w1"]).scheduler(scheduler).poller(
        "repo",
        "https://example.org/core",
        "5m",
    ));
    world.polled("repo", Ok(unchanged("a")));
    world
}

fn changes(world: &World) -> Vec<crate::model::Change> {
    let arrived = world.events().filter_map(|event| match event {
        Event::ChangeArrived { change } => Some(change.clone()),
        _ => None,
    });
    arrived.collect()
}

#[test]
fn a_hook_wakes_the_poller_and_adds_what_only_it_knows() {
    let mut world = hooked();
    let mut properties = crate::model::Properties::default();
    properties.set("pull", 7, "Change");
    let hook = NewChange {
        author: "Ann <ann@example.org>".into(),
        revlink: Some("https://example.org/b".into()),
        properties,
        ..told("b")
    };
    assert_eq!(world.hook(hook), [SubmissionResult::Awaited { source: "repo".into() }]);
    assert_eq!(world.polls.len(), 1);
    world.restart();
    world.polled("repo", Ok(seen("b")));
    let [change] = changes(&world).try_into().unwrap();
    assert_eq!((change.data.author.as_str(), change.data.comments.as_str()), ("Ann <ann@example.org>", "all of it"));
    assert_eq!(change.data.revlink.as_deref(), Some("https://example.org/b"));
    assert!(change.data.properties.get("pull").is_some() && change.source == Some(ChangeSourceId(1)));
    assert_eq!(world.buildsets("main").len(), 1);
}

#[test]
fn a_hook_that_comes_after_the_poll_records_nothing() {
    let mut world = hooked();
    world.advance("5m");
    world.polled("repo", Ok(seen("b")));
    let id = changes(&world)[0].id;
    assert_eq!(world.hook(told("b")), [SubmissionResult::Known { change: id, source: "repo".into() }]);
    assert_eq!(world.buildsets("main").len(), 1);
}

#[test]
fn a_hook_during_the_first_poll_is_not_taken_for_old() {
    let mut world = World::new(plan().builder("linux", ["w1"]).scheduler(branch("main", &["linux"], "0s")).poller(
        "repo",
        "https://example.org/core.git",
        "5m",
    ));
    assert!(world.hook(told("b"))[0].recorded().is_some());
    world.polled("repo", Ok(unchanged("b")));
    assert_eq!(world.buildsets("main").len(), 1);
}

#[test]
fn a_hook_of_a_repository_or_branch_that_no_poller_looks_at_is_always_recorded() {
    let mut world = hooked();
    for _ in 0..2 {
        let other = NewChange { repository: "https://example.org/other".into(), ..told("b") };
        assert!(world.hook(other)[0].recorded().is_some());
        assert!(world.hook(NewChange { branch: Some("dev".into()), ..told("b") })[0].recorded().is_some());
    }
}

#[test]
fn what_somebody_asks_for_is_recorded_also_if_its_poller_knows_it() {
    let mut world = hooked();
    world.advance("5m");
    world.polled("repo", Ok(seen("b")));
    for _ in 0..2 {
        assert!(world.hook_as(Intake::Always, told("b"))[0].recorded().is_some());
    }
    assert_eq!(world.buildsets("main").len(), 3);
    assert!(world.polls.is_empty());
}

#[test]
fn a_hook_that_wakes_has_the_repository_polled_also_after_a_restart() {
    let mut world = hooked();
    let other = NewChange { branch: Some("nobody's".into()), ..told("b") };
    assert_eq!(world.hook_as(Intake::Wake, other), [SubmissionResult::Awaited { source: "repo".into() }]);
    world.restart();
    assert_eq!(world.polls.len(), 1);
    assert!(changes(&world).is_empty());
    world.polled("repo", Ok(seen("b")));
    assert_eq!((changes(&world).len(), world.polls.len()), (1, 0));
    let elsewhere = NewChange { repository: "https://example.org/other".into(), ..told("b") };
    assert_eq!(world.hook_as(Intake::Wake, elsewhere), [SubmissionResult::NobodyPolls]);
}

#[test]
fn a_poller_of_branches_sees_no_pull_requests() {
    let mut world = World::new(plan().builder("linux", ["w1"]).scheduler(any_branch("all", &["linux"], "0s")).poller(
        "repo",
        "https://example.org/core",
        "5m",
    ));
    let branches = BranchChoice::Patterns(vec!["*".into()]);
    let git = GitPlan { repository: "https://example.org/core".into(), branches, tags: vec![] };
    let poller = source("repo", ChangeSourceKind::Git(git), "5m");
    let pull = |branch: &str| {
        let mut change = NewChange { branch: Some(branch.into()), ..told("b") };
        change.properties.set("pull.number", 7, "Change");
        change
    };
    assert!(watches(&poller, None, &told("b")));
    // That of a pull request on Bitbucket Cloud has an ordinary name.
    for change in
        [pull("refs/pull/7/merge"), pull("main"), NewChange { branch: Some("refs/pull/7/head".into()), ..told("b") }]
    {
        assert!(!watches(&poller, None, &change), "{change:?}");
    }
    world.polled("repo", Ok(unchanged("a")));
    assert!(world.hook(pull("refs/pull/7/merge"))[0].recorded().is_some());
}

#[test]
fn a_hook_and_the_poller_of_pull_requests_are_one_source() {
    let pulls = PullsPlan {
        forge: HookDialect::GitHub,
        path: "acme/core".into(),
        url: "https://example.org".into(),
        api: "https://example.org/api/v3".into(),
        repository: "https://example.org/core.git".into(),
        token: None,
        branches: vec!["release/*".into()],
        pulls: PullRef::Merge,
        drafts: true,
    };
    let mut world = World::new(plan().builder("linux", ["w1"]).scheduler(any_branch("all", &["linux"], "0s")).source(
        "pulls",
        ChangeSourceKind::Pulls(Box::new(pulls)),
        "5m",
    ));
    world.polled("pulls", Ok(unchanged("a")));
    let pull = |base: &str| {
        let mut change = NewChange { branch: Some("refs/pull/7/merge".into()), ..told("b") };
        change.properties.set("pull.number", 7, "Change");
        change.properties.set("pull.base", base, "Change");
        change
    };
    assert_eq!(world.hook(pull("release/1")), [SubmissionResult::Awaited { source: "pulls".into() }]);
    let found = NewChange { repository: "https://example.org/core.git".into(), ..pull("release/1") };
    world.polled("pulls", Ok(PollResult { changes: vec![found], cursor: cursor("b") }));
    assert!(matches!(world.hook(pull("release/1"))[..], [SubmissionResult::Known { .. }]));
    assert_eq!(world.buildsets("all").len(), 1);
    assert!(world.hook(pull("main"))[0].recorded().is_some(), "the poller leaves that base out");
    assert!(world.hook(told("b"))[0].recorded().is_some(), "a push is not the poller's");
}

#[test]
fn who_sends_a_change_again_wants_it_built_again() {
    let mut world = hooked();
    for _ in 0..2 {
        assert!(world.told(told("b"), None)[0].recorded().is_some());
    }
    world.advance("5m");
    world.polled("repo", Ok(seen("b")));
    assert_eq!(world.buildsets("main").len(), 3);
}

#[test]
fn a_delivery_that_came_before_is_known_also_after_a_restart() {
    let mut world = hooked();
    let by = |name: &str| Some(name.to_owned());
    let first = world.told(told("b"), by("d1"))[0].recorded().unwrap();
    world.restart();
    assert_eq!(world.told(told("b"), by("d1")), [SubmissionResult::SameDelivery(Some(first))]);
    assert!(world.told(told("b"), by("d2"))[0].recorded().is_some());
    assert_eq!(world.buildsets("main").len(), 2);
}

#[test]
fn two_pollers_of_a_repository_do_not_steal_from_each_other() {
    let mut world = World::new(
        plan()
            .builder("linux", ["w1"])
            .scheduler(branch("main", &["linux"], "0s"))
            .poller("one", "https://example.org/core", "5m")
            .poller("two", "https://example.org/core", "5m"),
    );
    for source in ["one", "two"] {
        world.polled(source, Ok(unchanged("a")));
    }
    assert_eq!(world.hook(told("b")).len(), 2);
    for source in ["one", "two"] {
        world.polled(source, Ok(seen("b")));
    }
    let sources: Vec<_> = changes(&world).into_iter().map(|change| change.source.unwrap()).collect();
    assert_eq!(sources, [1, 2].map(ChangeSourceId));
}
