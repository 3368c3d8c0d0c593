//! The worker's end of a connection, and what happens to its machine.

use std::collections::BTreeMap;

use super::machine::Job;
use super::run::{Happening, Sim};
use super::wires::{ToMaster, ToWorker};
use crate::engine::{CommandOrder, StopLevel};
use crate::model::{CommandEnd, CommandId, CommandResult};

impl Sim {
    /// A message of the master's.
    pub fn worker_hears(&mut self, id: &str, number: u64, message: ToWorker) {
        match message {
            ToWorker::Start(order) => self.start_job(id, &order),
            ToWorker::Resume(wanted) => self.resume_jobs(id, number, wanted),
            ToWorker::Interrupt(command, level) => self.stop_job(id, &command, level),
            ToWorker::Forget(commands) => {
                for command in &commands {
                    self.stop_job(id, command, StopLevel::Kill);
                }
                self.send_master(number, ToMaster::Forgotten(commands));
            }
            ToWorker::PartsKept(command, parts) => self.ledger.parts_kept(&command, parts),
            ToWorker::EndKept(command) => {
                if let Some(machine) = self.machines.get_mut(id) {
                    machine.jobs.remove(&command);
                    machine.told.remove(&command);
                }
            }
            ToWorker::Refused(command) => {
                self.saw("worker's message refused");
                self.note(format!("         {id} is refused {command}"));
                self.leave(id, number);
                self.after(1_000, Happening::Connect(id.to_owned()));
            }
            ToWorker::ShutDown => {
                self.saw("worker told to go");
                self.leave(id, number);
                self.stop_machine(id);
                let away = self.rng.range(5_000, 90_000);
                self.after(away, Happening::MachineStarts(id.to_owned()));
            }
            ToWorker::NameTaken => {
                self.leave(id, number);
                let later = self.rng.range(15_000, 60_000);
                self.after(later, Happening::Connect(id.to_owned()));
            }
            ToWorker::Closed => {
                self.leave(id, number);
                let again = self.pause(4_000, 60_000);
                self.after(again, Happening::Connect(id.to_owned()));
            }
        }
    }

    /// The worker's end of its connection is over.
    fn leave(&mut self, id: &str, number: u64) {
        self.drop_worker_end(number);
        if let Some(machine) = self.machines.get_mut(id) {
            machine.unlink();
        }
    }

    fn start_job(&mut self, id: &str, order: &CommandOrder) {
        let Some(machine) = self.machines.get_mut(id) else { return };
        if machine.jobs.contains_key(&order.command) {
            return self.saw("command sent twice, started once");
        }
        machine.check_directory(order);
        let job = Job::draw(&mut self.rng, order);
        machine.jobs.insert(order.command.clone(), job);
        machine.told.insert(order.command.clone(), 0);
        self.ledger.started(&order.command, id, machine.ours);
        self.saw("command started");
        self.plan_job(id, &order.command);
    }

    fn plan_job(&mut self, id: &str, command: &CommandId) {
        let takes = match self.rng.below(20) {
            0..10 => self.rng.range(1, 1_000),
            10..19 => self.rng.range(500, 20_000),
            _ => self.rng.range(10_000, 240_000),
        };
        let memory = self.machines[id].memory;
        self.after(takes, Happening::JobGoesOn(id.to_owned(), memory, command.clone()));
    }

    /// A command prints something, or ends.
    pub fn job_goes_on(&mut self, id: &str, memory: u64, command: &CommandId) {
        let Some(machine) = self.machines.get_mut(id).filter(|machine| machine.memory == memory) else { return };
        let Some(job) = machine.jobs.get_mut(command).filter(|job| job.result.is_none()) else { return };
        let goes_on = job.go_on(&mut self.rng, command);
        self.ledger.went_on(command, job);
        let unheard = !machine.ours && !machine.told.contains_key(command);
        if !goes_on && unheard {
            machine.jobs.remove(command);
            return self.saw("stock command ended unheard");
        }
        if goes_on {
            self.plan_job(id, command);
        }
        self.pump(id);
    }

    fn resume_jobs(&mut self, id: &str, number: u64, wanted: BTreeMap<CommandId, u64>) {
        let Some(machine) = self.machines.get_mut(id) else { return };
        let before = machine.jobs.len();
        machine.jobs.retain(|command, _| wanted.contains_key(command));
        let killed = before - machine.jobs.len();
        let states = wanted.keys().map(|command| (command.clone(), machine.jobs.contains_key(command))).collect();
        machine.told = wanted.into_iter().filter(|(command, _)| machine.jobs.contains_key(command)).collect();
        let told = machine.told.clone();
        for (command, next) in &told {
            let kept = self.ledger.commands[command].kept;
            assert!(*next >= kept, "logs: {command} is asked for part {next}, but {kept} were acknowledged");
        }
        if killed > 0 {
            self.saw("worker forgot commands that nobody wants");
        }
        if !told.is_empty() {
            self.saw("commands resumed");
        }
        self.send_master(number, ToMaster::Resumed(states));
        self.pump(id);
    }

    fn stop_job(&mut self, id: &str, command: &CommandId, level: StopLevel) {
        let Some(machine) = self.machines.get_mut(id) else { return };
        let memory = machine.memory;
        let Some(job) = machine.jobs.get_mut(command).filter(|job| job.result.is_none()) else { return };
        if job.stop(level) {
            self.saw("command stopped");
            let takes = self.rng.range(5, 3_000);
            self.after(takes, Happening::JobGoesOn(id.to_owned(), memory, command.clone()));
        } else {
            self.saw("command ignores a stop");
        }
    }

    /// Sends what the connection has not told yet.
    pub fn pump(&mut self, id: &str) {
        let Some(machine) = self.machines.get_mut(id) else { return };
        let Some(number) = machine.link else { return };
        let mut messages = Vec::new();
        for (command, next) in &mut machine.told {
            let Some(job) = machine.jobs.get(command) else { continue };
            for (log, text) in job.parts.iter().skip(usize::try_from(*next).unwrap()) {
                let (command, log, text) = (command.clone(), log.clone(), text.clone());
                messages.push(ToMaster::Part { command, n: *next, log, text });
                *next += 1;
            }
            if let Some(result) = &job.result
                && machine.ends_sent.insert(command.clone())
            {
                let (command, parts, result) = (command.clone(), *next, result.clone());
                messages.push(ToMaster::End { command, parts, result });
            }
        }
        if !machine.ours {
            // A stock worker forgets what it has told.
            machine.jobs.retain(|command, _| !machine.ends_sent.contains(command));
        }
        for message in messages {
            if self.chaos && matches!(message, ToMaster::Part { .. }) && self.rng.chance(5) {
                self.saw("doubled message");
                self.send_master(number, message.clone());
            }
            self.send_master(number, message);
        }
    }

    // --- machines

    /// A worker's process starts.
    pub fn machine_starts(&mut self, id: &str) {
        let Some(machine) = self.machines.get_mut(id).filter(|machine| !machine.up && !machine.gone) else { return };
        machine.up = true;
        self.after(300, Happening::Connect(id.to_owned()));
    }

    /// A worker's process ends. Ours leaves its commands running; those of a stock one end with it.
    pub fn stop_machine(&mut self, id: &str) {
        let Some(machine) = self.machines.get_mut(id).filter(|machine| machine.up) else { return };
        machine.up = false;
        let link = machine.link;
        machine.unlink();
        if !machine.ours {
            machine.jobs.clear();
        }
        if let Some(number) = link {
            self.drop_worker_end(number);
        }
    }

    /// The machine starts anew: what ran is lost, what is in the spool stays.
    pub fn reboot(&mut self, id: &str) {
        self.stop_machine(id);
        let Some(machine) = self.machines.get_mut(id) else { return };
        for (command, job) in machine.jobs.iter_mut().filter(|(_, job)| job.result.is_none()) {
            let end = CommandEnd::Lost("the machine was started anew".into());
            job.result =
                Some(CommandResult { stdout: Some(command.0.clone()), ..CommandResult::of(end, &job.exit_codes) });
            self.ledger.went_on(command, job);
            self.ledger.cut_off(command);
        }
    }

    /// The machine loses its spool, and with it all that ran.
    pub fn lose_memory(&mut self, id: &str) {
        self.stop_machine(id);
        let Some(machine) = self.machines.get_mut(id) else { return };
        for command in machine.jobs.keys() {
            self.ledger.cut_off(command);
        }
        machine.forget_all();
    }
}
