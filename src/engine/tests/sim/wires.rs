//! Connections between master and workers, with both ends, after `src/master/link` and `docs/design/worker-link.md`.
//!
//! What a wire guarantees: messages of one direction arrive in order and once, or the connection ends and a first part
//! of them has arrived. The two ends learn of the end at different times.

use std::collections::{BTreeMap, VecDeque};

use super::bugs::{self, Bug};
use super::disk::{LogWrite, Source};
use super::run::{Happening, Sim, short};
use super::shell::Then;
use crate::engine::{CommandEnded, CommandOrder, Input, ResumeState, ResumedCommand, StopLevel};
use crate::model::{CommandId, CommandResult, LogId};

/// How long the master hears nothing from a connection that was cut before it takes it for dead, at most.
const SILENCE: i64 = 180_000;

/// From the master.
#[derive(Clone, Debug)]
pub enum ToWorker {
    Start(Box<CommandOrder>),
    Resume(BTreeMap<CommandId, u64>),
    Interrupt(CommandId, StopLevel),
    /// Interrupts of these, to a stock worker.
    Forget(Vec<CommandId>),
    PartsKept(CommandId, u64),
    EndKept(CommandId),
    Refused(CommandId),
    NameTaken,
    ShutDown,
    Closed,
}

/// From the worker.
#[derive(Clone, Debug)]
pub enum ToMaster {
    Resumed(BTreeMap<CommandId, bool>),
    /// All interrupts of these are answered.
    Forgotten(Vec<CommandId>),
    Part {
        command: CommandId,
        n: u64,
        log: String,
        text: String,
    },
    End {
        command: CommandId,
        parts: u64,
        result: CommandResult,
    },
    Closed,
}

/// The master's end of a command on a connection.
#[derive(Clone, Debug)]
struct Session {
    logs: BTreeMap<String, LogId>,
    main: Option<LogId>,
    /// The number of the next part, over all logs and in each.
    parts: u64,
    next: BTreeMap<LogId, u64>,
    resumed: bool,
}

/// A connection.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "what each end knows of it")]
pub struct Link {
    pub machine: String,
    pub worker: String,
    instance: String,
    ours: bool,
    process: u64,
    epoch: u64,
    pub master_end: bool,
    pub worker_end: bool,
    to_worker: VecDeque<ToWorker>,
    to_master: VecDeque<ToMaster>,
    last_to_worker: i64,
    last_to_master: i64,
    sessions: BTreeMap<CommandId, Session>,
    /// Ends that wait for their parts to be durable, or for the resumption to be known.
    ends: BTreeMap<CommandId, (CommandResult, bool)>,
    early: Option<Vec<CommandOrder>>,
    announced: bool,
    /// When the last input on its way to the engine gets there.
    last_told: i64,
}

impl Sim {
    // --- connecting

    /// A worker's process tries to connect.
    pub fn connect(&mut self, id: &str) {
        let Some(machine) = self.machines.get(id).filter(|machine| machine.up && machine.link.is_none()) else {
            return;
        };
        let (worker, ours, instance) = (machine.worker.clone(), machine.ours, machine.instance(id));
        let Some(process) = self.shell.as_ref().map(|shell| shell.process) else {
            let again = self.rng.range(500, 8_000);
            return self.after(again, Happening::Connect(id.to_owned()));
        };
        self.last_link += 1;
        let number = self.last_link;
        let link = Link {
            machine: id.to_owned(),
            worker,
            instance,
            ours,
            process,
            epoch: 0,
            master_end: true,
            worker_end: true,
            to_worker: VecDeque::new(),
            to_master: VecDeque::new(),
            last_to_worker: 0,
            last_to_master: 0,
            sessions: BTreeMap::new(),
            ends: BTreeMap::new(),
            early: ours.then(Vec::new),
            announced: false,
            last_told: 0,
        };
        self.links.insert(number, link);
        if let Some(machine) = self.machines.get_mut(id) {
            machine.link = Some(number);
        }
        let takes = self.pause(60, 5_000);
        self.after(takes, Happening::Greeted(number));
    }

    /// The newcomer told who it is: it takes the place of an older connection, or is refused.
    pub fn greeted(&mut self, number: u64) {
        let Some(link) = self.links.get(&number).filter(|link| link.master_end && link.worker_end) else { return };
        let (worker, instance, ours) = (link.worker.clone(), link.instance.clone(), link.ours);
        let Some(shell) = self.shell.as_ref().filter(|shell| shell.process == link.process) else { return };
        if let Some(old) = shell.links.get(&worker).copied() {
            let present = &self.links[&old];
            if present.master_end && present.worker_end && (present.instance != instance || !ours) {
                self.saw("second worker of a name refused");
                self.send_worker(number, ToWorker::NameTaken);
                return self.forget_master_end(number);
            }
            self.saw("connection fenced by a newer one");
            self.end_link(old);
        }
        let Some(shell) = &mut self.shell else { return };
        shell.last_epoch += 1;
        let epoch = shell.last_epoch;
        shell.links.insert(worker.clone(), number);
        if let Some(link) = self.links.get_mut(&number) {
            link.epoch = epoch;
        }
        let info = [("basedir", "/srv/worker"), ("system", "posix"), ("numcpus", "4")];
        let info = info.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let input = Input::WorkerConnected { worker, epoch, instance, resumes: ours, info };
        let takes = self.pause(10, 3_000);
        self.saw("worker connected");
        self.tell(number, takes, input, Then::Nothing);
    }

    fn forget_master_end(&mut self, number: u64) {
        if let Some(link) = self.links.get_mut(&number) {
            link.master_end = false;
            link.sessions.clear();
            link.to_master.clear();
        }
    }

    // --- ends

    /// The master's end of a connection is over: what has arrived goes on, then the engine hears of the loss.
    fn end_link(&mut self, number: u64) {
        let Some(link) = self.links.get_mut(&number).filter(|link| link.master_end) else { return };
        link.announced = true;
        let ends: Vec<CommandId> = link.ends.keys().cloned().collect();
        let (worker_end, worker) = (link.worker_end, link.worker.clone());
        self.forget_master_end(number);
        if worker_end {
            self.send_worker(number, ToWorker::Closed);
        }
        if let Some(shell) = &mut self.shell
            && shell.links.get(&worker) == Some(&number)
        {
            shell.links.remove(&worker);
        }
        for command in ends {
            self.try_end(number, &command);
        }
        // The loss is the last that the engine hears of a connection.
        let takes = self.pause(20, 4_000).max(self.links[&number].last_told - self.now + 1);
        self.after(takes, Happening::LinkLost(number, 0));
    }

    /// A connection has something to tell the engine.
    fn tell(&mut self, number: u64, takes: i64, input: Input, then: Then) {
        let Some(link) = self.links.get_mut(&number) else { return };
        link.last_told = link.last_told.max(self.now + takes);
        let process = link.process;
        self.after(takes, Happening::Told(process, Box::new(input), then));
    }

    /// The engine hears of a loss, once what had arrived is durable, or after ten seconds.
    pub fn link_lost(&mut self, number: u64, waited: u32) {
        let Some(link) = self.links.get(&number).filter(|link| self.is_process(link.process)) else { return };
        if !link.ends.is_empty() && waited < 10 {
            return self.after(1_000, Happening::LinkLost(number, waited + 1));
        }
        let Some(link) = self.links.get_mut(&number) else { return };
        link.ends.clear();
        let input = Input::WorkerLost { worker: link.worker.clone(), epoch: link.epoch, why: "gone".into() };
        self.saw("worker lost");
        self.turn(input, Then::Nothing);
    }

    /// The master's process is gone, and with it its ends of all connections.
    pub fn cut_all_links(&mut self) {
        for number in self.links.keys().copied().collect::<Vec<_>>() {
            self.forget_master_end(number);
            if self.links[&number].worker_end {
                self.lose_some(number);
                self.send_worker(number, ToWorker::Closed);
            }
        }
    }

    /// A wire breaks: a first part of what is on it arrives, and both ends learn of it in their own time.
    pub fn cut(&mut self, number: u64) {
        self.lose_some(number);
        let (to_worker, to_master) = (self.rng.range(0, SILENCE), self.rng.range(0, SILENCE));
        let quickly = self.rng.chance(60);
        let Some(link) = self.links.get_mut(&number) else { return };
        link.last_to_worker = self.now + if quickly { to_worker / 100 } else { to_worker };
        link.last_to_master = self.now + if quickly { to_master / 100 } else { to_master };
        self.send_worker(number, ToWorker::Closed);
        self.send_master(number, ToMaster::Closed);
    }

    /// The worker's process ends: its end of the connection is over.
    pub fn drop_worker_end(&mut self, number: u64) {
        if let Some(link) = self.links.get_mut(&number).filter(|link| link.worker_end) {
            link.worker_end = false;
            let keep = self.rng.index(link.to_master.len() + 1);
            link.to_master.truncate(keep);
            self.send_master(number, ToMaster::Closed);
        }
    }

    fn lose_some(&mut self, number: u64) {
        let Some(link) = self.links.get_mut(&number) else { return };
        let (to_worker, to_master) =
            (self.rng.index(link.to_worker.len() + 1), self.rng.index(link.to_master.len() + 1));
        link.to_worker.truncate(to_worker);
        link.to_master.truncate(to_master);
    }

    // --- the wire

    fn send_worker(&mut self, number: u64, message: ToWorker) {
        let takes = self.pause(15, 7_000);
        let Some(link) = self.links.get_mut(&number) else { return };
        link.last_to_worker = link.last_to_worker.max(self.now + takes);
        link.to_worker.push_back(message);
        let at = link.last_to_worker;
        self.after(at - self.now, Happening::ToWorker(number));
    }

    pub fn send_master(&mut self, number: u64, message: ToMaster) {
        let takes = self.pause(15, 7_000);
        let Some(link) = self.links.get_mut(&number) else { return };
        link.last_to_master = link.last_to_master.max(self.now + takes);
        link.to_master.push_back(message);
        let at = link.last_to_master;
        self.after(at - self.now, Happening::ToMaster(number));
    }

    pub fn arrives_at_worker(&mut self, number: u64) {
        let Some(link) = self.links.get_mut(&number) else { return };
        let Some(message) = link.to_worker.pop_front() else { return };
        let id = link.machine.clone();
        if !link.worker_end || self.machines.get(&id).is_none_or(|machine| machine.link != Some(number)) {
            return;
        }
        if self.trace.is_some() {
            self.note(short(&format!("         {id} hears {message:?}")));
        }
        self.worker_hears(&id, number, message);
    }

    pub fn arrives_at_master(&mut self, number: u64) {
        let Some(link) = self.links.get_mut(&number) else { return };
        let Some(message) = link.to_master.pop_front() else { return };
        if !link.master_end || !self.is_process(self.links[&number].process) {
            return;
        }
        if self.trace.is_some() {
            self.note(short(&format!("         master hears {message:?}")));
        }
        self.master_hears(number, message);
    }

    // --- the master's end

    fn master_hears(&mut self, number: u64, message: ToMaster) {
        match message {
            ToMaster::Resumed(states) => self.resumed(number, &states),
            ToMaster::Forgotten(commands) => self.forgotten(number, commands),
            ToMaster::Part { command, n, log, text } => self.part(number, &command, n, &log, text),
            ToMaster::End { command, parts, result } => self.end(number, command, parts, result),
            ToMaster::Closed => self.end_link(number),
        }
    }

    fn part(&mut self, number: u64, command: &CommandId, n: u64, log: &str, text: String) {
        let Some(link) = self.links.get_mut(&number) else { return };
        let process = link.process;
        let Some(session) = link.sessions.get_mut(command) else {
            return self.send_worker(number, ToWorker::Refused(command.clone()));
        };
        if n > session.parts {
            return self.end_link(number);
        }
        let repeated = n < session.parts;
        if let (false, Some(at)) = (repeated, session.logs.get(log).copied().or(session.main)) {
            session.parts += 1;
            let next = session.next.entry(at).or_default();
            let (n, source) = (*next, Source::Command(command.clone()));
            *next += 1;
            let write = LogWrite::Part { log: at, source: source.clone(), n, text };
            if let Err(why) = self.disk.write(source, write) {
                panic!("logs: {why}");
            }
        } else {
            self.saw("output came twice, written once");
        }
        let takes = self.pause(10, 6_000);
        self.after(takes, Happening::LogSynced(process, Source::Command(command.clone())));
    }

    /// What a writer had under way is durable.
    pub fn log_synced(&mut self, process: u64, source: &Source) {
        if !self.is_process(process) {
            return;
        }
        if self.now < self.slow_until {
            return self.after(self.slow_until - self.now, Happening::LogSynced(process, source.clone()));
        }
        self.disk.sync(source);
        let Source::Command(command) = source else { return };
        for number in self.links.keys().copied().collect::<Vec<_>>() {
            let parts = self.links[&number].sessions.get(command).map(|session| session.parts);
            if let Some(parts) = parts {
                self.send_worker(number, ToWorker::PartsKept(command.clone(), parts));
            }
            self.try_end(number, command);
        }
    }

    fn end(&mut self, number: u64, command: CommandId, parts: u64, result: CommandResult) {
        let Some(link) = self.links.get_mut(&number) else { return };
        let Some(session) = link.sessions.remove(&command) else {
            return self.send_worker(number, ToWorker::Refused(command));
        };
        if parts != session.parts && link.ours {
            return self.end_link(number);
        }
        link.ends.insert(command.clone(), (result, session.resumed));
        if bugs::on(Bug::EndAcknowledgedTooEarly) {
            self.send_worker(number, ToWorker::EndKept(command.clone()));
        }
        self.try_end(number, &command);
    }

    /// Tells the engine of a command's end, once everything before it is durable.
    fn try_end(&mut self, number: u64, command: &CommandId) {
        let Some(link) = self.links.get_mut(&number) else { return };
        let Some((_, resumed)) = link.ends.get(command) else { return };
        if (*resumed && !link.announced) || self.disk.is_writing(&Source::Command(command.clone())) {
            return;
        }
        let Some((result, _)) = link.ends.remove(command) else { return };
        let (worker, epoch, process) = (link.worker.clone(), link.epoch, link.process);
        let ended = CommandEnded { worker, epoch, command: command.clone(), result };
        let input = Input::CommandEnded(ended);
        let takes = self.pause(5, 2_000);
        if self.chaos && self.rng.chance(4) {
            self.saw("doubled input");
            self.after(takes + 3, Happening::Told(process, Box::new(input.clone()), Then::Nothing));
        }
        let then = Then::EndHeard(number, command.clone());
        self.tell(number, takes, input, then);
    }

    /// The end of a command is durable.
    pub fn end_heard(&mut self, number: u64, command: CommandId) {
        if self.links.get(&number).is_some_and(|link| link.master_end) {
            self.send_worker(number, ToWorker::EndKept(command));
        }
    }

    fn resumed(&mut self, number: u64, states: &BTreeMap<CommandId, bool>) {
        let Some(link) = self.links.get_mut(&number) else { return };
        let mut commands = Vec::new();
        for (command, known) in states {
            if !known {
                link.sessions.remove(command);
            }
            let state = if *known { ResumeState::Known } else { ResumeState::NeverSeen };
            commands.push(ResumedCommand { command: command.clone(), state });
        }
        let (worker, epoch) = (link.worker.clone(), link.epoch);
        let input = Input::Resumed { worker, epoch, commands };
        let takes = self.pause(10, 3_000);
        self.tell(number, takes, input, Then::Announced(number));
    }

    fn forgotten(&mut self, number: u64, commands: Vec<CommandId>) {
        let Some(link) = self.links.get(&number) else { return };
        let (worker, epoch) = (link.worker.clone(), link.epoch);
        let takes = self.pause(10, 3_000);
        self.tell(number, takes, Input::Forgotten { worker, epoch, commands }, Then::Nothing);
    }

    /// The engine knows what was resumed.
    pub fn announced(&mut self, number: u64) {
        let Some(link) = self.links.get_mut(&number) else { return };
        link.announced = true;
        for command in link.ends.keys().cloned().collect::<Vec<_>>() {
            self.try_end(number, &command);
        }
    }

    // --- orders

    fn link_of(&self, worker: &str, epoch: u64) -> Option<u64> {
        let number = *self.shell.as_ref()?.links.get(worker)?;
        let link = self.links.get(&number)?;
        (link.epoch == epoch && link.master_end).then_some(number)
    }

    pub fn order_dispatch(&mut self, order: CommandOrder) {
        let Some(number) = self.link_of(&order.worker, order.epoch) else {
            return self.saw("order for a connection that is gone");
        };
        match self.links.get_mut(&number).and_then(|link| link.early.as_mut()) {
            Some(early) => early.push(order),
            None => self.dispatch(number, order),
        }
    }

    fn dispatch(&mut self, number: u64, order: CommandOrder) {
        let Some(link) = self.links.get_mut(&number) else { return };
        if link.sessions.contains_key(&order.command) {
            return self.saw("order given twice");
        }
        link.sessions.insert(order.command.clone(), Session::new(&order, false));
        self.send_worker(number, ToWorker::Start(Box::new(order)));
    }

    pub fn order_resume(&mut self, worker: &str, epoch: u64, orders: Vec<CommandOrder>) {
        let Some(number) = self.link_of(worker, epoch) else { return };
        for order in orders {
            let mut session = Session::new(&order, true);
            let source = Source::Command(order.command.clone());
            for log in order.logs.values() {
                let next = self.disk.next_part(*log, &source);
                session.parts += next;
                session.next.insert(*log, next);
            }
            if bugs::on(Bug::LogPartDoubledOnResume) && session.parts > 0 && !self.disk.is_writing(&source) {
                session.parts -= 1;
            }
            if let Some(link) = self.links.get_mut(&number) {
                link.sessions.insert(order.command.clone(), session);
            }
        }
        let Some(link) = self.links.get_mut(&number) else { return };
        let wanted = link.sessions.iter().map(|(id, session)| (id.clone(), session.parts)).collect();
        let early = link.early.take();
        self.send_worker(number, ToWorker::Resume(wanted));
        for order in early.into_iter().flatten() {
            self.dispatch(number, order);
        }
    }

    pub fn order_interrupt(&mut self, worker: &str, epoch: u64, command: CommandId, level: StopLevel) {
        if let Some(number) = self.link_of(worker, epoch) {
            self.send_worker(number, ToWorker::Interrupt(command, level));
        }
    }

    pub fn order_forget(&mut self, worker: &str, epoch: u64, commands: Vec<CommandId>) {
        if let Some(number) = self.link_of(worker, epoch) {
            self.saw("stock worker told to forget");
            self.send_worker(number, ToWorker::Forget(commands));
        }
    }

    pub fn order_disconnect(&mut self, worker: &str, epoch: u64) {
        if let Some(number) = self.link_of(worker, epoch) {
            self.saw("connection cut by the master");
            self.end_link(number);
        }
    }

    pub fn order_shut_down(&mut self, worker: &str, epoch: u64) {
        if let Some(number) = self.link_of(worker, epoch) {
            self.send_worker(number, ToWorker::ShutDown);
        }
    }
}

impl Session {
    fn new(order: &CommandOrder, resumed: bool) -> Self {
        let main = match &order.work {
            crate::engine::Work::Run(spec) => order.logs.get(&spec.log).copied(),
            crate::engine::Work::File(_) => None,
        };
        Self { logs: order.logs.clone(), main, parts: 0, next: BTreeMap::new(), resumed }
    }
}
