//! The reference model of directories and slots: a directory belongs to one build at a time, a slot to one line of builds
//! that wait for each other.

use super::reference::Reference;
use crate::base::{Span, Timestamp};
use crate::model::{BuildId, BuilderId, CommandId, RequestId, WorkerId, dirs_clash};

/// A command that may still run although nobody waits for it. The model says so longer than the engine may.
#[derive(Clone, Debug)]
pub struct Leftover {
    pub worker: String,
    pub command: CommandId,
    pub dir: String,
    /// A stock worker confirmed that it kills it.
    over: Option<Timestamp>,
}

const KILL_TIME: Span = Span::from_seconds(10);

impl Reference {
    /// Nobody waits any more for a command that may still run.
    pub fn untidy(&mut self, build: BuildId, command: &CommandId) {
        let Some(view) = self.builds.get(&build) else { return };
        let (worker, dir) = (view.worker.clone(), view.dir.clone());
        self.leftovers.push(Leftover { worker, command: command.clone(), dir, over: None });
    }

    pub fn leftovers_interrupted(&mut self, worker: WorkerId, commands: &[CommandId]) {
        let (name, over) = (&self.worker_names[&worker], self.at.plus(KILL_TIME));
        let stock = self.workers.get(name).is_some_and(|view| view.epoch.is_some() && !view.resumes);
        assert!(stock, "directories: `{name}`, which is no stock worker that is there, kills {commands:?}");
        for command in commands {
            let known = self.leftovers.iter_mut().find(|left| left.command == *command && left.worker == *name);
            let left = known.unwrap_or_else(|| panic!("directories: {command} is killed, but it is no leftover"));
            left.over = Some(over);
        }
    }

    pub fn leftover_ended(&mut self, command: &CommandId, heard: bool) {
        let known = self.leftovers.iter().position(|left| left.command == *command);
        let known = known.unwrap_or_else(|| panic!("directories: {command} ended, but it is no leftover"));
        let left = self.leftovers.remove(known);
        assert!(
            heard || left.over.is_some(),
            "directories: leftover {command} is over, but nobody confirmed that it is killed"
        );
    }

    /// A worker connects: one of ours has only what is wanted, a stock one is told to kill the rest.
    pub fn tidied(&mut self, worker: &str, resumes: bool) {
        self.leftovers.retain(|left| !(resumes && left.worker == worker));
        for left in self.leftovers.iter_mut().filter(|left| left.worker == worker) {
            left.over = None;
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
        let left = left.filter(|left| left.over.is_none_or(|over| over > self.at)).map(|left| &left.dir);
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
