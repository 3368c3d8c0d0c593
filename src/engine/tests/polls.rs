//! Change sources are polled.

use super::plans::{branch, plan};
use super::world::World;
use crate::engine::{ChangeReport, Input, Reply};
use crate::model::{Cursor, Event, NewChange};

fn world() -> World {
    World::new(
        plan().builder("linux", ["w1"]).scheduler(branch("main", &["linux"], "0s")).poller("repo", "git:core", "5m"),
    )
}

fn cursor(tip: &str) -> Cursor {
    Cursor::from([("main".to_owned(), tip.to_owned())])
}

fn report(revisions: &[&str]) -> ChangeReport {
    let change = |revision: &&str| NewChange {
        branch: Some("main".into()),
        revision: Some((*revision).to_owned()),
        ..NewChange::default()
    };
    ChangeReport { changes: revisions.iter().map(change).collect(), cursor: cursor(revisions.last().unwrap()) }
}

fn unchanged(tip: &str) -> ChangeReport {
    ChangeReport { changes: vec![], cursor: cursor(tip) }
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
        Event::ChangeArrived { change } => Some(change.source.clone()),
        _ => None,
    });
    assert_eq!(source, Some(Some("repo".into())));
}

#[test]
fn a_change_that_a_hook_told_of_is_not_built_twice() {
    let mut world = world();
    world.change_with(report(&["a"]).changes.remove(0));
    world.polled("repo", Ok(report(&["a"])));
    assert_eq!(world.buildsets("main").len(), 1);
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
        world.ask(|ticket| Input::PollAsked { source, ticket })
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
