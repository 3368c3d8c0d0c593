//! The reference model of directories and slots: a directory belongs to one build at a time, a slot to one line of builds
//! that wait for each other.

use super::reference::{Reference, WorkerView};
use crate::base::{Span, Timestamp};
use crate::model::{BuildId, BuilderId, CommandId, RequestId, dirs_clash};

/// A command that may still run although nobody waits for it. The model says so longer than the engine may.
#[derive(Clone, Debug)]
pub struct Leftover {
    pub worker: String,
    pub command: CommandId,
    pub dir: String,
    /// A stock worker was told to kill it.
    over: Option<Timestamp>,
    /// The engine said that it is over. It may not take that back, whatever the clock shows.
    ended: bool,
}

const KILL_TIME: Span = Span::from_seconds(10);

impl Reference {
    /// Nobody waits any more for a command that may still run.
    pub fn untidy(&mut self, build: BuildId, command: &CommandId) {
        let Some(view) = self.builds.get(&build) else { return };
        let (worker, dir) = (view.worker.clone(), view.dir.clone());
        // What a stock worker had when it came back it was told to kill.
        let told = |view: &WorkerView| view.epoch.is_some() && !view.resumes && view.connected == self.at;
        let over = self.workers.get(&worker).is_some_and(told).then(|| self.at.plus(KILL_TIME));
        self.leftovers.push(Leftover { worker, command: command.clone(), dir, over, ended: false });
    }

    pub fn leftover_ended(&mut self, command: &CommandId, heard: bool) {
        let known = self.leftovers.iter_mut().find(|left| left.command == *command);
        let left = known.unwrap_or_else(|| panic!("directories: {command} ended, but it is no leftover"));
        assert!(
            heard || left.over.is_some(),
            "directories: leftover {command} is over, but nobody was told to kill it"
        );
        assert!(heard || !left.ended, "directories: leftover {command} is over twice");
        left.ended = true;
        self.leftovers.retain(|left| !heard || left.command != *command);
    }

    /// A worker connects: one of ours has only what is wanted, a stock one kills the rest soon.
    pub fn tidied(&mut self, worker: &str, resumes: bool) {
        let over = self.at.plus(KILL_TIME);
        self.leftovers.retain(|left| !(resumes && left.worker == worker));
        for left in self.leftovers.iter_mut().filter(|left| left.worker == worker) {
            left.over = Some(over);
            left.ended = false;
        }
    }

    /// A build starts in a directory of its builder that no other build has.
    pub fn check_directory(&self, build: BuildId, builder: BuilderId, worker: &str, dir: &str) {
        let plan = self.builder_plan(builder).unwrap_or_else(|| panic!("directories: builder {builder} is gone"));
        assert!(plan.slot_dirs().any(|slot| slot == dir), "directories: `{dir}` of build {build} is not its builder's");
        for (other, view) in self.builds.iter().filter(|(id, view)| **id != build && view.worker == worker) {
            assert!(
                !dirs_clash(&view.dir, dir),
                "directories: build {build} starts in `{dir}` of `{worker}`, which build {other} has"
            );
        }
        assert!(
            self.runs_on(builder, worker) < plan.slots_per_worker.max(1),
            "directories: build {build} is one too many of its builder on `{worker}`"
        );
    }

    fn runs_on(&self, builder: BuilderId, worker: &str) -> u64 {
        self.builds.values().filter(|view| view.builder == builder && view.worker == worker).count() as u64
    }

    /// Whether a builder has a directory on a worker for one more build, for certain.
    pub fn has_directory(&self, builder: BuilderId, worker: &str) -> bool {
        let Some(plan) = self.builder_plan(builder) else { return false };
        let builds = self.builds.values().filter(|view| view.worker == worker).map(|view| &view.dir);
        let left = self.leftovers.iter().filter(|left| left.worker == worker);
        let left = left.filter(|left| !left.ended && left.over.is_none_or(|over| over > self.at)).map(|left| &left.dir);
        let used: Vec<&String> = builds.chain(left).collect();
        self.runs_on(builder, worker) < plan.slots_per_worker.max(1)
            && plan.slot_dirs().any(|dir| !used.iter().any(|used| dirs_clash(used, &dir)))
    }

    /// A build uses the slot of one that waits for it, at some remove, and does nothing else.
    pub fn check_lender(&self, build: BuildId, request: RequestId, worker: &str, lender: BuildId) {
        let view = self.builds.get(&lender).unwrap_or_else(|| panic!("lending: build {lender} is over"));
        assert_eq!(view.worker, worker, "lending: build {build} runs elsewhere than {lender}");
        let mut waits = self.awaiting_step(request).map(|owner| owner.0);
        while let Some(ancestor) = waits.filter(|ancestor| *ancestor != lender) {
            let first = self.builds[&ancestor].requests.first().copied();
            waits = first.and_then(|request| self.awaiting_step(request)).map(|owner| owner.0);
        }
        assert!(waits.is_some(), "lending: build {lender} does not wait for build {build}");
        let other = self.builds.iter().find(|(_, other)| other.lender == Some(lender));
        assert!(other.is_none(), "lending: build {lender} lends its slot to build {build} beside {other:?}");
        assert!(view.only_triggers(), "lending: build {lender} does other things: {view:?}");
    }

    /// A build asks for a command: nobody else uses its slot.
    pub fn check_slot(&self, build: BuildId) {
        let borrower = self.builds.iter().find(|(_, other)| other.lender == Some(build)).map(|(id, _)| id);
        assert!(borrower.is_none(), "lending: build {build} asks for a command while {borrower:?} uses its slot");
    }

    /// Who had its slot from a build that ended has it from that one's lender, or for itself.
    pub fn hand_slot_on(&mut self, ended: BuildId, lender: Option<BuildId>) {
        for view in self.builds.values_mut().filter(|view| view.lender == Some(ended)) {
            view.lender = lender;
        }
    }
}
