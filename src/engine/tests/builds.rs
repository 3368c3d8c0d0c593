//! A build goes through its steps.

use super::plans::{plan, step};
use super::world::World;
use crate::model::Outcome;

#[test]
fn a_forced_build_runs_its_steps_in_order() {
    let mut world = World::new(plan().builder_with("linux", ["w1"], vec![step("compile"), step("test")]));
    world.connect("w1");
    world.force("linux");
    world.expect_ended("linux/1", Outcome::Success);
    assert_eq!(world.steps("linux/1"), ["compile: compile", "test: test"]);
    assert_eq!(world.build("linux/1").state, "build successful");
}
