//! The end of a run: nobody disturbs any more, so everything that can end has to; then all accounts are compared.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::disk::Source;
use super::reference_queue::RequestView;
use super::run::{Happening, Sim};
use crate::engine::Engine;
use crate::model::{BuildId, CommandId, LogId};

/// More steps than any calm takes, and the time after which nothing new means that something is stuck: longer than the
/// longest pause that the engine makes by itself, an hour between two questions to a function that failed.
pub const STEPS_MAX: u64 = 60_000;
pub const TIME_MAX: i64 = 20 * 86_400_000;
const STILL_MAX: i64 = 75 * 60_000;

impl Sim {
    /// Faults stop, people go home, machines come back - but for one that may stay away for ever.
    pub fn calm_down(&mut self) {
        self.chaos = false;
        self.scene.moods.calm_down();
        self.doom = None;
        let ids: Vec<String> = self.machines.keys().cloned().collect();
        // In a family builds wait for others on any worker; nobody ends who waits for one that is gone for ever.
        let deserted = if self.rng.chance(15) && !self.draft.family {
            self.rng.any(ids.iter().filter(|id| id.starts_with('w') && !id.ends_with('\'')).cloned())
        } else {
            None
        };
        for id in ids {
            let twin = id.ends_with('\'');
            if twin || deserted.as_ref() == Some(&id) {
                self.stop_machine(&id);
                let machine = self.machines.get_mut(&id).unwrap();
                machine.gone = true;
                machine.jobs.clear();
                if !twin {
                    self.saw("machine that never comes back");
                    self.deserted.insert(id);
                }
            } else {
                self.machine_starts(&id);
                self.after(2_000, Happening::Connect(id));
            }
        }
        if self.rng.chance(50) {
            let draft = self.first_draft.clone();
            self.save_file(&draft);
        }
        self.last_news = self.now;
    }

    /// Whether all is done.
    pub fn is_at_rest(&mut self) -> bool {
        if self.shell.is_none() {
            return false;
        }
        if !self.settled {
            self.settled = true;
            self.settle_people();
        }
        let news = self.reference.news;
        if news != self.news_seen {
            (self.news_seen, self.last_news) = (news, self.now);
        }
        assert!(self.now - self.last_news < STILL_MAX, "liveness: nothing happens any more: {}", self.stuck());
        self.shell.as_ref().is_some_and(super::shell::Shell::is_idle)
            && self.reference.builds.is_empty()
            && self.reference.reports.outbox.is_empty()
            && self.asked.is_empty()
            && self.reference.requests.values().all(|request| self.may_wait(request))
            && !self.has_overdue_changes()
            && self.is_decided()
            && self.unseen_commits().is_empty()
            && self.machines.values().all(|machine| machine.jobs.is_empty() || !self.is_wanted(&machine.worker))
    }

    /// Whether a request waits for a reason that will not pass by itself.
    fn may_wait(&self, request: &RequestView) -> bool {
        let (Some(plan), Some(builder)) = (&self.reference.plan, self.reference.builder_plan(request.builder)) else {
            return true;
        };
        let suspended = self.is_suspended(crate::model::FunctionKind::CanStart, request.builder);
        request.waits() && suspended
            || request.waits()
                && builder.workers.iter().all(|name| !plan.workers.contains_key(name) || self.deserted.contains(name))
    }

    fn is_wanted(&self, worker: &str) -> bool {
        self.reference.plan.as_ref().is_some_and(|plan| plan.workers.contains_key(worker))
    }

    /// Whether a scheduler sits on a change that it should have built.
    fn has_overdue_changes(&self) -> bool {
        let Some(plan) = &self.reference.plan else { return false };
        self.reference.queued.iter().any(|(name, queue)| {
            let quiet = plan.schedulers.get(name).is_some_and(|plan| {
                matches!(
                    plan.kind,
                    crate::model::SchedulerKind::Branch { .. } | crate::model::SchedulerKind::AnyBranch { .. }
                )
            });
            quiet && !self.reference.disabled.contains(name) && queue.iter().any(|queued| queued.due.is_some())
        })
    }

    /// Commits that a poller should have found and did not.
    fn unseen_commits(&self) -> Vec<String> {
        let polled = self.reference.plan.as_ref().is_some_and(|plan| plan.change_sources.contains_key("poller"));
        let Some(watched) = self.reference.watched.as_ref().filter(|_| polled) else { return vec![] };
        let mut unseen = Vec::new();
        for (branch, commits) in &self.commits {
            let from = commits.iter().position(|commit| watched.get(branch) == Some(commit)).unwrap();
            unseen.extend(
                commits[from + 1..]
                    .iter()
                    .filter(|revision| {
                        let key = (Some(branch.clone()), Some((*revision).clone()));
                        !self.reference.changes.contains_key(&key)
                    })
                    .cloned(),
            );
        }
        unseen
    }

    /// What does not go on.
    pub fn stuck(&self) -> String {
        let reference = &self.reference;
        let waiting: Vec<_> = reference.requests.values().filter(|request| !self.may_wait(request)).collect();
        let jobs: Vec<_> =
            self.machines.iter().map(|(id, machine)| (id, machine.up, machine.link, machine.jobs.keys())).collect();
        format!(
            "master {}, clock {}, last fact {} at {}\nbuilds {:#?}\nrequests {waiting:#?}\noutbox {:?}\nlocks {:?} waits {:?}\nworkers {:?}\ncommits {:?}\nqueued {:?}\nmachines {jobs:?}\nasked {:?}\ndeadline {:?}",
            if self.shell.is_some() { "up" } else { "down" },
            self.clock(),
            reference.seq,
            reference.at,
            reference.builds,
            reference.reports.outbox,
            reference.holds,
            reference.waits,
            reference.workers,
            self.unseen_commits(),
            reference.queued,
            self.asked,
            self.shell.as_ref().and_then(|shell| shell.engine.deadline()),
        )
    }

    /// All accounts, side by side.
    pub fn check_the_end(&mut self) {
        // What is still on its way to the disk gets there.
        let writers: Vec<Source> = self.disk.writers();
        writers.iter().for_each(|source| self.disk.sync(source));
        self.check_logs();
        self.check_commands();
        self.check_mail();
        self.check_rest();
    }

    /// Logs hold what the master wrote and what the commands printed, each part once, in order, and are finished.
    fn check_logs(&self) {
        for (id, log) in &self.reference.logs {
            let kept = self.disk.logs.get(id).cloned().unwrap_or_default();
            let written = kept.parts.get(&Source::Master).cloned().unwrap_or_default();
            assert!(written == log.written, "logs: {id} `{}` has {written:?}, not {:?}", log.name, log.written);
            assert!(log.closed && kept.closed, "logs: {id} `{}` is not finished", log.name);
        }
        for id in self.disk.logs.keys() {
            assert!(self.reference.logs.contains_key(id), "logs: nothing durable knows log {id}");
        }
        let mut printed: BTreeMap<&CommandId, BTreeMap<&str, &Vec<String>>> = BTreeMap::new();
        for (id, kept) in &self.disk.logs {
            for (source, parts) in &kept.parts {
                if let Source::Command(command) = source {
                    printed.entry(command).or_default().insert(self.log_name(*id), parts);
                }
            }
        }
        for (command, entry) in &self.ledger.commands {
            let mut names: Vec<&str> = entry.parts.iter().map(|(log, _)| log.as_str()).collect();
            names.extend(printed.get(command).into_iter().flat_map(|logs| logs.keys()));
            for name in names {
                let told: Vec<&String> =
                    entry.parts.iter().filter(|(log, _)| log == name).map(|(_, text)| text).collect();
                let kept = printed.get(command).and_then(|logs| logs.get(name)).copied().cloned().unwrap_or_default();
                let all = self.reference.answers.contains_key(command);
                let right = kept.len() <= told.len() && kept.iter().zip(&told).all(|(kept, told)| kept == *told);
                assert!(right, "logs: `{name}` of {command} has {kept:?}, but the worker printed {told:?}");
                assert!(
                    !all || kept.len() == told.len(),
                    "logs: `{name}` of {command} has {kept:?}, which lacks some of {told:?}"
                );
            }
        }
    }

    fn log_name(&self, id: LogId) -> &str {
        &self.reference.logs[&id].name
    }

    /// Facts say of commands what happened to them.
    fn check_commands(&self) {
        for (command, entry) in &self.ledger.commands {
            let known = self.reference.commands.contains_key(command);
            assert!(known, "starts of commands: {command} was started, and nothing durable knows it");
            assert_eq!(entry.starts, 1, "starts of commands: {command}");
        }
        for (command, result) in &self.reference.answers {
            let told = self.ledger.commands.get(command).and_then(|entry| entry.result.as_ref());
            assert_eq!(Some(result), told, "answers: {command}");
        }
        for (old, new) in &self.reference.restarts {
            let Some(entry) = self.ledger.commands.get(old).filter(|entry| entry.ours && !entry.cut_off) else {
                continue;
            };
            let twin = self.twins.contains(entry.machine.trim_end_matches('\''));
            assert!(twin, "starts of commands: {old} on `{}` was not cut off, and ran again as {new}", entry.machine);
        }
    }

    fn check_mail(&self) {
        for report in &self.reference.reports.sent {
            assert!(self.mail.contains_key(&report.0), "outbox: report {report} was never sent");
        }
        for (id, report) in &self.mail {
            let known = self.reference.reports.all.get(&report.id);
            assert_eq!(known, Some(report), "outbox: report {id} was sent, and nothing durable knows it");
        }
    }

    /// Nothing is held, and the disk tells the same as the live master.
    fn check_rest(&mut self) {
        let reference = &self.reference;
        assert!(
            reference.holds.is_empty() && reference.waits.is_empty(),
            "locks: {:?} are held for ever",
            reference.holds
        );
        for (id, set) in &reference.sets {
            let open = set.requests.iter().any(|(_, end)| end.is_none());
            assert!(open || set.ended.is_some(), "buildsets: {id} never ended");
        }
        let facts = self.disk.facts();
        assert_eq!(facts.len() as u64, reference.seq, "durability: facts on disk");
        let scene = &self.scene;
        let mut plans = |digest: &crate::model::ConfigDigest| Ok(Arc::clone(&scene.plans[digest].0));
        let whole = Engine::restore(None, &facts, &mut plans).unwrap();
        let Some(shell) = &self.shell else { return };
        assert!(whole == shell.engine, "restored state: at the end it differs from the live state");
        let ended: Vec<BuildId> = reference.ended_builds.keys().copied().collect();
        assert!(ended.iter().copied().eq((1..=ended.len() as u64).map(BuildId)), "builds: some never ended: {ended:?}");
    }
}
