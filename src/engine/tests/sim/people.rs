//! What people do while builds run, and what breaks.

use std::collections::BTreeSet;

use super::draft::{self, BRANCHES};
use super::machine::Machine;
use super::run::{Happening, Sim};
use super::shell::{Doom, Then, commit};
use crate::engine::{Input, Reply, SubmissionResult, Ticket};
use crate::model::{Actor, BuildId, BuiltOf, Cause, ForceOrder, Intake, Order, RequestId, Via};

impl Sim {
    /// Somebody does something, and somebody else will later.
    pub fn person(&mut self) {
        if !self.chaos {
            return;
        }
        let next = match self.rng.below(40) {
            0..28 => self.rng.range(0, 8_000),
            28..38 => self.rng.range(0, 150_000),
            _ => self.rng.range(600_000, 7_200_000),
        };
        self.after(next, Happening::Person);
        match self.rng.below(100) {
            0..26 => self.force(),
            26..42 => self.push_commit(),
            42..54 => self.stop_some(),
            54..60 => self.cancel_some(),
            60..67 => self.rebuild_some(),
            67..72 => self.prioritise_some(),
            72..75 => self.switch_scheduler(),
            75..82 => self.pause_some(),
            82..84 => self.send_away(),
            84..86 => self.kill_worker(),
            86..88 => self.ask_for_poll(),
            88..89 => self.refuse_plan(),
            89..91 => self.resend_some(),
            91..92 => self.hurry_or_give_up_some(),
            _ if self.shape.reloads => self.reload(),
            _ => self.force(),
        }
    }

    /// Tells the engine something that wants an answer.
    fn ask(&mut self, input: impl FnOnce(Option<Ticket>) -> Input) {
        if self.shell.is_none() {
            return;
        }
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.asked.insert(ticket);
        self.turn(input(Some(ticket)), Then::Nothing);
    }

    /// Somebody gives an order.
    fn order(&mut self, order: Order) {
        let via = [Via::Page, Via::Api, Via::CommandLine][self.tickets as usize % 3];
        self.order_by(order, Actor::person("ann", via));
    }

    fn order_by(&mut self, order: Order, by: Actor) {
        self.ask(|ticket| Input::Ordered { order, by, ticket });
    }

    /// An asker is told.
    pub fn replied(&mut self, ticket: Ticket, reply: &Reply) {
        assert!(self.asked.remove(&ticket), "answers to people: {ticket:?} is answered, and did not ask");
        if let (Some(report), Reply::Done) = (self.giving_up.remove(&ticket), reply) {
            let waits = self.reference.reports.outbox.contains(&report);
            assert!(!waits, "outbox: report {report} was given up and waits");
        }
        if let Reply::Buildset { buildset, .. } = reply {
            let kept = self.reference.sets.contains_key(buildset);
            assert!(kept, "durability: buildset {buildset} is acknowledged, and not durable");
        }
        if let Reply::Changes(intake) = reply {
            let ids: Vec<_> = intake.iter().filter_map(SubmissionResult::recorded).collect();
            let last = self.reference.last_ids.get("change").copied().unwrap_or(0);
            assert!(ids.iter().all(|id| id.0 <= last), "durability: changes {ids:?} are acknowledged, and not durable");
        }
    }

    fn force(&mut self) {
        let builder = self.rng.any(self.draft.builders.iter().map(|builder| builder.name.clone())).unwrap();
        let priority = self.rng.chance(25).then(|| self.rng.range(-1, 6));
        let scheduler = self.rng.chance(20).then(|| "by-hand".to_owned());
        let builders = if scheduler.is_some() { vec![] } else { vec![builder] };
        let order = ForceOrder { scheduler, builders, priority: priority.map(Into::into), ..ForceOrder::default() };
        self.saw("forced");
        self.order(Order::Force(order));
    }

    /// Somebody pushes, and often once more right away.
    pub fn push_commit(&mut self) {
        if self.rng.chance(40) {
            let next = self.rng.range(100, 25_000);
            self.after(next, Happening::Push);
        }
        let branch = (*self.rng.pick(&BRANCHES)).to_owned();
        let again = self.rng.chance(15);
        let hook = self.rng.chance(60);
        let commits = self.commits.get_mut(&branch).unwrap();
        if !again {
            let revision = format!("{branch}-{}", commits.len());
            commits.push(revision);
        }
        let (revision, commits_so_far) = (commits.last().unwrap().clone(), commits.len());
        if hook {
            self.saw(if again { "hook told twice" } else { "hook told" });
            let changes = vec![commit(&branch, &revision)];
            // Drawn from what is there, so that older seeds keep their worlds.
            let intake = if commits_so_far % 4 == 3 { Intake::Wake } else { Intake::Report };
            if intake == Intake::Wake {
                self.saw("hook only woke");
            }
            self.order_by(
                Order::AddChanges { changes, delivery: None, intake },
                Actor::Hook { dialect: "base".into() },
            );
        }
    }

    fn some_build(&mut self) -> Option<BuildId> {
        self.rng.any(self.reference.builds.keys().copied())
    }

    fn some_request(&mut self) -> Option<RequestId> {
        self.rng.any(self.reference.requests.keys().copied())
    }

    fn stop_some(&mut self) {
        let Some(build) = self.some_build() else { return };
        self.reference.stoppable.insert(build);
        let stops = self.reference.builds[&build].stops;
        self.saw(if stops > 0 { "stopped twice" } else { "stopped" });
        self.order(Order::StopBuild { build, why: "enough".into() });
        if self.rng.chance(25) {
            self.saw("stopped twice");
            self.order(Order::StopBuild { build, why: "enough".into() });
        }
    }

    fn resend_some(&mut self) {
        let Some(report) = self.rng.any(self.reference.reports.given_up.iter().copied()) else { return };
        let of = Box::new(self.reference.reports.all[&report].clone());
        self.saw("report sent again by hand");
        self.order(Order::Resend { report, of: Some(of) });
    }

    fn hurry_or_give_up_some(&mut self) {
        let Some(report) = self.rng.any(self.reference.reports.outbox.iter().copied()) else { return };
        if self.rng.chance(50) {
            self.saw("report hurried by hand");
            return self.order(Order::DeliverNow { report });
        }
        self.saw("report given up by hand");
        // Without a master nobody can be asked.
        if self.shell.is_some() {
            self.giving_up.insert(Ticket(self.tickets + 1), report);
        }
        self.order(Order::GiveUpReport { report });
    }

    fn cancel_some(&mut self) {
        let Some(request) = self.some_request() else { return };
        self.reference.cancellable.insert(request);
        self.saw("cancelled");
        self.order(Order::CancelRequest { request, why: "no".into() });
    }

    fn rebuild_some(&mut self) {
        let Some(build) = self.rng.any(self.reference.ended_builds.keys().copied()) else { return };
        let (builder, set) = self.reference.origins[&build];
        let buildset = self.reference.sets[&set].record.clone();
        self.saw("rebuilt");
        let of = Some(Box::new(BuiltOf { builder, buildset }));
        self.order(Order::Rebuild { build, of });
    }

    fn prioritise_some(&mut self) {
        let Some(request) = self.some_request() else { return };
        let priority = self.rng.range(-3, 9);
        self.saw("priority changed");
        self.order(Order::SetPriority { request, priority });
    }

    fn switch_scheduler(&mut self) {
        let scheduler = self.rng.any(self.draft.schedulers.iter().map(|plan| plan.name.clone())).unwrap();
        let enabled = self.rng.chance(60);
        self.saw("scheduler switched");
        self.order(Order::EnableScheduler { scheduler, enabled });
    }

    fn some_worker(&mut self) -> String {
        let name = self.rng.any(self.machines.values().map(|machine| machine.worker.clone()));
        name.unwrap()
    }

    fn pause_some(&mut self) {
        let (worker, paused) = (self.some_worker(), self.rng.chance(55));
        self.saw(if paused { "worker paused" } else { "worker unpaused" });
        self.order(Order::PauseWorker { worker, paused, reason: None });
    }

    fn send_away(&mut self) {
        let worker = self.some_worker();
        self.saw("worker asked to go");
        self.order(Order::StopWorker { worker });
    }

    fn kill_worker(&mut self) {
        let worker = self.some_worker();
        self.saw("worker killed by hand");
        self.order(Order::KillWorker { worker, why: "off".into() });
    }

    fn ask_for_poll(&mut self) {
        self.saw("poll asked for");
        self.order(Order::Poll { source: None });
    }

    fn refuse_plan(&mut self) {
        self.saw("configuration refused");
        let (why, message) = ("reload".to_owned(), "line 3: no".to_owned());
        let cause = Cause::Order(Actor::person("ann", Via::Signal));
        self.ask(|ticket| Input::PlanRefused { why, cause, message, ticket });
    }

    fn reload(&mut self) {
        let draft =
            if self.rng.chance(35) { self.first_draft.clone() } else { draft::edit(&mut self.rng, &self.draft) };
        self.saw("configuration changed");
        self.save_file(&draft);
        if self.rng.chance(80) {
            if !self.reference.builds.is_empty() {
                self.saw("reload in mid-build");
            }
            self.load_file("reload");
        }
    }

    // --- faults

    /// Something breaks, and something else will later.
    pub fn fault(&mut self) {
        if !self.chaos || !self.shape.faults {
            return;
        }
        let next = if self.rng.chance(75) { self.rng.range(0, 15_000) } else { self.rng.range(0, 200_000) };
        self.after(next, Happening::Fault);
        match self.rng.below(100) {
            0..17 => self.cut_some(),
            17..22 => self.slow_disk(),
            22..37 => self.end_worker_process(),
            37..42 => self.reboot_some(),
            42..46 => self.wipe_some(),
            46..51 => self.second_of_a_name(),
            51..78 => self.doom_the_master(),
            78..83 => self.crash_now(),
            83..86 if self.shell.is_some() => self.end_in_order(),
            86..89 => self.harm_snapshot(),
            89..99 if self.shape.clocks => self.set_clock(),
            _ => self.cut_some(),
        }
    }

    fn cut_some(&mut self) {
        let live = self.links.iter().filter(|(_, link)| link.master_end && link.worker_end).map(|(number, _)| *number);
        let Some(number) = self.rng.any(live) else { return };
        self.saw("connection cut");
        self.cut(number);
    }

    fn some_machine(&mut self) -> Option<String> {
        self.rng.any(self.machines.iter().filter(|(_, machine)| machine.up).map(|(id, _)| id.clone()))
    }

    fn comes_back(&mut self, id: String) {
        let away = if self.rng.chance(75) { self.rng.range(200, 30_000) } else { self.rng.range(30_000, 900_000) };
        self.after(away, Happening::MachineStarts(id));
    }

    fn end_worker_process(&mut self) {
        let Some(id) = self.some_machine() else { return };
        self.saw("worker's process ended");
        self.stop_machine(&id);
        self.comes_back(id);
    }

    fn reboot_some(&mut self) {
        let Some(id) = self.some_machine() else { return };
        self.saw("machine rebooted");
        self.reboot(&id);
        self.comes_back(id);
    }

    fn wipe_some(&mut self) {
        let Some(id) = self.some_machine() else { return };
        self.saw("machine lost its memory");
        self.lose_memory(&id);
        self.comes_back(id);
    }

    fn second_of_a_name(&mut self) {
        let Some(id) = self.some_machine().filter(|id| !id.ends_with('\'')) else { return };
        let twin = format!("{id}'");
        let ours = self.machines[&id].ours;
        self.twins.insert(id.clone());
        self.saw("second worker of a name");
        let machine = self.machines.entry(twin.clone()).or_insert_with(|| Machine::new(&id, ours));
        machine.up = true;
        if self.rng.chance(60) {
            // The first one falls silent for a while, so that the other gets in.
            self.stop_machine(&id);
            self.comes_back(id);
        }
        self.after(1_000, Happening::Connect(twin));
    }

    fn doom_the_master(&mut self) {
        let doom = match self.rng.below(7) {
            0 => Doom::BeforeCommit,
            1 => Doom::TornCommit,
            2 => Doom::AfterCommit,
            3 => Doom::AmidEffects,
            4 => Doom::DiskFull,
            5 => Doom::CommitFails,
            _ => Doom::CommitFailsButKept,
        };
        self.doom = self.shell.is_some().then_some(doom);
    }

    /// Log lines do not get to the disk for a while.
    fn slow_disk(&mut self) {
        let window = self.rng.range(1_000, 60_000);
        self.slow_until = self.now + window;
        self.saw("slow disk");
        if self.rng.chance(50) {
            let dies = self.rng.range(0, window);
            self.after(dies, Happening::Dies);
        }
    }

    fn harm_snapshot(&mut self) {
        if self.disk.damage_snapshot(&mut self.rng) {
            self.saw("snapshot damaged");
        }
    }

    fn set_clock(&mut self) {
        let Some(shell) = &self.shell else { return };
        let process = shell.process;
        let by = match self.rng.below(8) {
            0..3 => self.rng.range(1, 90_000),
            3..5 => 3_600_000,
            5..7 => self.rng.range(3_600_000, 90_000_000),
            _ => 10 * 86_400_000,
        };
        if self.rng.chance(50) {
            self.ahead += by;
            self.saw("clock put forward");
        } else {
            self.ahead -= by;
            self.saw("clock put back");
        }
        let notices = self.rng.range(0, 10_000);
        self.after(notices, Happening::LookAtClock(process));
    }

    /// Who is over when calm comes, so that nothing can go on by itself for ever.
    pub fn settle_people(&mut self) {
        // Also those that nobody has heard of yet: they may have been paused a moment ago.
        let drafted = self.draft.workers.iter().chain(&self.first_draft.workers).map(|worker| worker.name.clone());
        let workers: BTreeSet<String> = self.reference.workers.keys().cloned().chain(drafted).collect();
        for worker in workers {
            self.order(Order::PauseWorker { worker, paused: false, reason: None });
        }
        let timed: Vec<String> = (self.draft.schedulers.iter())
            .filter(|plan| matches!(plan.timing, draft::Timing::Periodic { .. } | draft::Timing::Nightly { .. }))
            .map(|plan| plan.name.clone())
            .collect();
        for scheduler in timed {
            self.order(Order::EnableScheduler { scheduler, enabled: false });
        }
        self.load_file("calm");
    }
}
