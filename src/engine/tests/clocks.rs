//! The master's clock is set back while something waits for a moment: nothing waits longer than it would have to.

use super::plans::{PlanBuilder, branch, nightly, periodic, plan, span, step};
use super::script::{Item, run_with};
use super::world::World;
use crate::base::Timestamp;
use crate::engine::StopLevel;
use crate::model::Outcome;

fn world(plan: PlanBuilder) -> World {
    let mut world = World::new(plan);
    world.connect("w1");
    world
}

/// The clock is put back by this much.
fn put_back(world: &mut World, by: &str) {
    let back = i64::try_from(span(by).as_millis()).unwrap();
    world.set_clock(Timestamp::from_millis(world.now.as_millis() - back));
}

#[test]
fn a_quiet_period_ends_after_the_clock_went_back() {
    let mut world = world(plan().builder("linux", ["w1"]).scheduler(branch("main", &["linux"], "5m")));
    world.change("main", &["a.c"]);
    world.advance("1m");
    put_back(&mut world, "12h");
    world.advance("5m");
    world.expect_ended("linux/1", Outcome::Success);
}

#[test]
fn a_wait_in_a_script_ends_after_the_clock_went_back() {
    let steps = vec![step("nap").does([Item::Wait(span("10m"))])];
    let mut world = world(plan().builder_with("linux", ["w1"], steps));
    world.force("linux");
    put_back(&mut world, "12h");
    world.advance("10m");
    world.expect_ended("linux/1", Outcome::Success);
}

#[test]
fn a_stop_escalates_after_the_clock_went_back() {
    let deaf = run_with("deaf", |spec| spec.grace = span("10s"));
    let mut world = world(plan().builder_with("linux", ["w1"], vec![step("deaf").does([deaf])]));
    world.hold("deaf");
    world.force("linux");
    world.stop("linux/1");
    put_back(&mut world, "12h");
    world.advance("1m");
    let levels: Vec<StopLevel> = world.worker("w1").interrupted.iter().map(|(_, level)| *level).collect();
    assert_eq!(levels, [StopLevel::Interrupt, StopLevel::Kill]);
    world.advance("1m");
    world.expect_ended("linux/1", Outcome::Cancelled);
}

#[test]
fn a_lost_worker_is_given_up_after_the_clock_went_back() {
    let mut world = world(plan().builder("linux", ["w1"]).grace("5m"));
    world.hold("make");
    world.force("linux");
    world.lose("w1");
    put_back(&mut world, "12h");
    world.advance("5m");
    world.expect_ended("linux/1", Outcome::Retry);
}

#[test]
fn a_request_that_rests_goes_on_after_the_clock_went_back() {
    let mut world = world(plan().builder("linux", ["w1"]).grace("1m"));
    world.hold("make");
    world.force("linux");
    for _ in 0..2 {
        world.lose("w1");
        world.advance("1m");
        world.connect("w1");
    }
    world.expect_ended("linux/2", Outcome::Retry);
    world.expect_none("linux/3");
    put_back(&mut world, "12h");
    world.advance("10s");
    world.expect_running("linux/3", "w1");
}

#[test]
fn a_periodic_scheduler_goes_on_after_the_clock_went_back() {
    let mut world = world(plan().builder("linux", ["w1"]).scheduler(periodic("often", &["linux"], "1h")));
    world.advance("1s");
    put_back(&mut world, "12h");
    world.advance("1h");
    assert!(world.buildsets("often").len() >= 2);
}

#[test]
fn a_night_computed_by_a_wrong_clock_is_computed_anew_by_the_next_master() {
    let mut world =
        world(plan().builder("linux", ["w1"]).scheduler(nightly("nightly", &["linux"], "0 3 * * *", false)));
    let right = world.now;
    world.set_clock(right.plus(span("400d")));
    let before = world.buildsets("nightly").len();
    world.now = right;
    world.restart();
    world.connect("w1");
    world.advance("24h");
    assert_eq!(world.buildsets("nightly").len(), before + 1);
}
