//! The master around the engine, after `src/master/engine_task.rs`: batches, one commit in flight, effects after the commit,
//! snapshots after the log lines; and its deaths.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bugs::{self, Bug};
use super::disk::{LogWrite, Source};
use super::run::{Happening, Sim, short};
use crate::base::Span;
use crate::engine::{Deadline, Effect, Engine, Input, PollResult};
use crate::model::{
    BuildId, Cause, CommandId, ConfigDigest, Cursor, EvalJob, Event, Fact, NewChange, Report, ReportId,
};

/// What is done once an input is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    Nothing,
    /// The ends of resumed commands may follow.
    Announced(u64),
    /// The worker may forget this command.
    EndHeard(u64, CommandId),
}

/// How the master dies at its next commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doom {
    BeforeCommit,
    TornCommit,
    AfterCommit,
    AmidEffects,
    DiskFull,
    CommitFails,
    CommitFailsButKept,
}

/// A process of the master.
pub struct Shell {
    pub process: u64,
    pub engine: Engine,
    /// The fold of all facts, each read back from its bytes.
    shadow: Engine,
    batch: Batch,
    flight: Option<Batch>,
    pub links: BTreeMap<String, u64>,
    pub last_epoch: u64,
    evaluations: BTreeMap<BuildId, u64>,
    polls: BTreeSet<String>,
    deliveries: BTreeSet<ReportId>,
    snapshot: u64,
    snapshot_every: u64,
    saving: bool,
    woken_for: Option<Deadline>,
    armed: Option<(i64, u64)>,
    timers: u64,
}

/// Turns on their way to the disk, together.
#[derive(Clone, Debug, Default)]
struct Batch {
    turns: Vec<Vec<Arc<Fact>>>,
    effects: Vec<Effect>,
    durable: Vec<Then>,
    snapshot: Option<(u64, Vec<u8>)>,
}

impl Batch {
    fn facts(&self) -> Vec<Arc<Fact>> {
        self.turns.iter().flatten().cloned().collect()
    }
}

impl Shell {
    /// Whether nothing is on its way to the disk.
    pub fn is_idle(&self) -> bool {
        self.flight.is_none() && self.batch.turns.is_empty()
    }
}

impl Sim {
    /// The master starts, on whatever the disk holds.
    pub fn master_starts(&mut self) {
        if self.shell.is_some() {
            return;
        }
        let facts = self.disk.facts();
        let snapshot = self.disk.snapshot();
        let from = snapshot.as_ref().map_or(0, |(seq, _)| *seq);
        assert!(from <= facts.len() as u64, "durability: the snapshot of fact {from} outlived the facts");
        let rest = &facts[usize::try_from(from).unwrap()..];
        let engine = self.restore(snapshot.as_ref().map(|(_, bytes)| bytes.as_slice()), rest);
        if snapshot.is_some() {
            let whole = self.restore(None, &facts);
            assert!(whole == engine, "restored state: from the snapshot at fact {from} it differs from all facts");
            self.saw("restored from a snapshot");
        }
        let known = usize::try_from(self.reference.seq).unwrap();
        assert!(known <= facts.len(), "durability: fact {known} was acted upon, and is gone");
        let found: Vec<Arc<Fact>> = facts[known..].iter().cloned().map(Arc::new).collect();
        self.reference.take(&found);
        self.processes += 1;
        let process = self.processes;
        let last_epoch = engine.last_epoch();
        let snapshot_every = 15 + self.rng.below(60);
        self.shell = Some(Shell {
            process,
            shadow: engine.clone(),
            engine,
            batch: Batch::default(),
            flight: None,
            links: BTreeMap::new(),
            last_epoch,
            evaluations: BTreeMap::new(),
            polls: BTreeSet::new(),
            deliveries: BTreeSet::new(),
            snapshot: from,
            snapshot_every,
            saving: false,
            woken_for: None,
            armed: None,
            timers: 0,
        });
        self.turn(Input::Started { name: "master".into(), installation: "inst".into() }, Then::Nothing);
        self.load_file("start");
    }

    fn restore(&self, snapshot: Option<&[u8]>, facts: &[Fact]) -> Engine {
        let mut plans = |digest: &ConfigDigest| {
            self.scene.plans.get(digest).map(|(plan, _)| Arc::clone(plan)).ok_or_else(|| "not kept".to_owned())
        };
        Engine::restore(snapshot, facts, &mut plans).unwrap_or_else(|error| panic!("restored state: {error:?}"))
    }

    /// The configuration file is loaded, if it is another one.
    pub fn load_file(&mut self, cause: &str) {
        let Some(shell) = &self.shell else { return };
        if shell.engine.plan().is_some_and(|plan| plan.digest == self.file) {
            return;
        }
        let plan = Arc::clone(&self.scene.plans[&self.file].0);
        self.turn(
            Input::PlanLoaded { plan, why: cause.into(), cause: Cause::Configuration, ticket: None },
            Then::Nothing,
        );
    }

    /// Gives one input to the engine.
    pub fn turn(&mut self, input: Input, then: Then) {
        let now = self.clock();
        if self.trace.is_some() {
            self.note(format!("         > {}", short(&format!("{input:?}"))));
        }
        let suspended = self.suspended(&input);
        let is_cause = cause_of(&input);
        let Some(shell) = &mut self.shell else { return };
        let before = shell.engine.last_seq();
        let turn = shell.engine.handle(now, input, &self.scene);
        for (number, fact) in turn.facts.iter().enumerate() {
            assert_eq!(fact.seq, before + 1 + number as u64, "numbers of facts: a gap");
            assert!(is_cause(&fact.cause), "causes: {:?} is not what caused {:?}", fact.cause, fact.event);
            let bytes = rmp_serde::to_vec_named(&**fact).unwrap();
            let read: Fact = rmp_serde::from_slice(&bytes).unwrap();
            assert!(read == **fact, "facts: fact {} reads back as another one", fact.seq);
            if let Err(illegal) = shell.shadow.apply(&read) {
                panic!("restored state: {illegal}");
            }
        }
        assert!(shell.shadow == shell.engine, "restored state: the fold of all facts differs from the live state");
        self.check_decisions(&suspended, &turn.facts);
        if bugs::on(Bug::SentBeforeCommit) {
            for effect in turn.effects.iter().filter(|effect| matches!(effect, Effect::Deliver { .. })) {
                let Effect::Deliver { report } = effect else { continue };
                self.queue_delivery(report.clone());
            }
        }
        let Some(shell) = &mut self.shell else { return };
        let trace: Vec<String> = match &self.trace {
            Some(_) => turn.facts.iter().map(|fact| format!("           {} {:?}", fact.seq, fact.event)).collect(),
            None => vec![],
        };
        shell.batch.turns.push(turn.facts);
        // Evaluations are pure, so nobody can tell when they happen: they begin at once.
        let (evaluations, effects): (Vec<Effect>, Vec<Effect>) =
            turn.effects.into_iter().partition(|effect| matches!(effect, Effect::Evaluate { .. }));
        shell.batch.effects.extend(effects);
        shell.batch.durable.push(then);
        trace.iter().for_each(|line| self.note(short(line)));
        evaluations.into_iter().for_each(|effect| self.carry_out(effect));
        self.take_off();
        self.arm_timer();
    }

    /// Starts to make what has come together durable, unless a commit is in flight.
    fn take_off(&mut self) {
        let Some(shell) = &mut self.shell else { return };
        if shell.flight.is_some() || shell.batch.turns.is_empty() {
            return;
        }
        let mut batch = std::mem::take(&mut shell.batch);
        let seq = shell.engine.last_seq();
        if !shell.saving && seq >= shell.snapshot + shell.snapshot_every {
            shell.snapshot = seq;
            shell.saving = true;
            batch.snapshot = Some((seq, shell.engine.snapshot()));
        }
        let empty = batch.turns.iter().all(Vec::is_empty);
        let process = shell.process;
        shell.flight = Some(batch);
        let takes = if empty { 0 } else { self.pause(8, 8_000) };
        self.after(takes, Happening::Landed(process));
    }

    /// The commit in flight is over, one way or the other.
    pub fn landed(&mut self, process: u64) {
        if !self.is_process(process) {
            return;
        }
        let Some(batch) = self.shell.as_mut().and_then(|shell| shell.flight.take()) else { return };
        let empty = batch.turns.iter().all(Vec::is_empty);
        if !empty && let Some(doom) = self.doom.take() {
            if doom == Doom::DiskFull {
                return self.wait_for_room(process, batch);
            }
            return self.die(doom, batch);
        }
        self.commit(&batch);
        self.carry_out_all(batch);
        self.take_off();
    }

    /// A full disk is waited out.
    fn wait_for_room(&mut self, process: u64, batch: Batch) {
        self.saw("full disk, waited out");
        let takes = self.rng.range(1_000, 400_000);
        if let Some(shell) = &mut self.shell {
            shell.flight = Some(batch);
            self.after(takes, Happening::Landed(process));
        }
    }

    fn commit(&mut self, batch: &Batch) {
        self.disk.commit(&batch.facts());
        for turn in &batch.turns {
            self.reference.take(turn);
            self.saw_lending(turn);
        }
    }

    fn saw_lending(&mut self, turn: &[Arc<Fact>]) {
        for fact in turn {
            let Event::BuildStarted { lender: Some(lender), .. } = &fact.event else { continue };
            self.saw("slot lent");
            if self.reference.builds.get(lender).is_some_and(|view| view.lender.is_some()) {
                self.saw("slot lent by a lent one");
            }
        }
    }

    fn carry_out_all(&mut self, batch: Batch) {
        for effect in batch.effects {
            self.carry_out(effect);
        }
        for then in batch.durable {
            self.durable(then);
        }
        if let (Some((seq, bytes)), Some(shell)) = (batch.snapshot, &self.shell) {
            let process = shell.process;
            let takes = self.pause(30, 3_000);
            self.after(takes, Happening::SnapshotKept(process, seq, bytes));
        }
    }

    fn durable(&mut self, then: Then) {
        match then {
            Then::Nothing => {}
            Then::Announced(link) => self.announced(link),
            Then::EndHeard(link, command) => self.end_heard(link, command),
        }
    }

    pub fn snapshot_kept(&mut self, process: u64, seq: u64, bytes: Vec<u8>) {
        if !self.is_process(process) {
            return;
        }
        if self.disk.is_writing(&Source::Master) && !bugs::on(Bug::SnapshotBeforeLogs) {
            return self.after(7, Happening::SnapshotKept(process, seq, bytes));
        }
        if self.disk.is_writing(&Source::Master) {
            // A snapshot that runs ahead of the logs: the worst moment to die.
            self.after(1, Happening::Dies);
        }
        self.disk.keep_snapshot(seq, bytes);
        self.saw("kept a snapshot");
        if let Some(shell) = &mut self.shell {
            shell.saving = false;
        }
    }

    // --- deaths

    fn die(&mut self, doom: Doom, batch: Batch) {
        match doom {
            Doom::BeforeCommit => self.saw("crash before commit"),
            Doom::TornCommit => {
                self.saw("crash with a torn last write");
                self.disk.tear(&batch.facts(), &mut self.rng);
            }
            Doom::AfterCommit => {
                self.saw("crash after commit, before effects");
                self.disk.commit(&batch.facts());
            }
            Doom::AmidEffects => {
                self.saw("crash amid effects");
                self.commit(&batch);
                let some = self.rng.index(batch.effects.len() + 1);
                let effects: Vec<Effect> = batch.effects.into_iter().take(some).collect();
                effects.into_iter().for_each(|effect| self.carry_out(effect));
                if self.rng.chance(50) {
                    let some = self.rng.index(batch.durable.len() + 1);
                    batch.durable.into_iter().take(some).for_each(|then| self.durable(then));
                }
            }
            Doom::DiskFull | Doom::CommitFails => self.saw("commit failed"),
            Doom::CommitFailsButKept => {
                self.saw("commit failed, but kept");
                self.disk.commit(&batch.facts());
            }
        }
        self.crash();
    }

    /// The master dies at once, whatever it does.
    pub fn crash_now(&mut self) {
        let Some(shell) = &mut self.shell else { return };
        if let Some(batch) = shell.flight.take() {
            match self.rng.below(3) {
                0 => {}
                1 => self.disk.commit(&batch.facts()),
                _ => self.disk.tear(&batch.facts(), &mut self.rng),
            }
        }
        self.saw("crash at any moment");
        self.crash();
    }

    /// The master ends in order: everything is durable, and a snapshot kept.
    pub fn end_in_order(&mut self) {
        self.saw("orderly end");
        self.turn(Input::Stopping, Then::Nothing);
        while let Some(batch) = self.shell.as_mut().and_then(|shell| shell.flight.take()) {
            self.commit(&batch);
            self.carry_out_all(batch);
            self.take_off();
        }
        self.disk.sync(&Source::Master);
        if let Some(shell) = &self.shell {
            let (seq, bytes) = (shell.engine.last_seq(), shell.engine.snapshot());
            self.disk.keep_snapshot(seq, bytes);
        }
        self.crash();
    }

    fn crash(&mut self) {
        self.shell = None;
        self.asked.clear();
        // Steps that were not durable never were.
        let last = self.reference.last_ids.get("step").copied().unwrap_or(0);
        self.contexts.retain(|step, _| *step <= last);
        self.doom = None;
        self.disk.crash(&mut self.rng);
        self.cut_all_links();
        let most = if self.rng.chance(80) { 5_000 } else { 600_000 };
        let away = self.rng.range(10, most);
        self.after(away, Happening::MasterStarts);
    }

    // --- time

    /// Sets the timer for the engine's next deadline.
    pub fn arm_timer(&mut self) {
        let now = self.clock();
        let Some(shell) = &mut self.shell else { return };
        let Some(deadline) = shell.engine.deadline() else { return };
        let again = shell.woken_for.as_ref() == Some(&deadline);
        let wait = deadline.0.since(now).as_millis() as i64;
        let at = self.now + wait.max(if again { 1_000 } else { 0 });
        if shell.armed.is_some_and(|(armed, _)| armed == at) {
            return;
        }
        shell.timers += 1;
        shell.armed = Some((at, shell.timers));
        let (process, number) = (shell.process, shell.timers);
        self.after(at - self.now, Happening::Wake(process, number));
    }

    pub fn wake(&mut self, process: u64, number: u64) {
        let now = self.clock();
        let Some(shell) = self.shell.as_mut().filter(|shell| shell.process == process) else { return };
        if shell.armed.is_none_or(|(_, armed)| armed != number) {
            return;
        }
        shell.armed = None;
        let due = shell.engine.deadline().filter(|deadline| deadline.0 <= now);
        let Some(deadline) = due else { return self.arm_timer() };
        assert!(shell.woken_for.as_ref() != Some(&deadline), "deadlines: woken for {deadline:?}, it does nothing");
        shell.woken_for = Some(deadline);
        self.turn(Input::Woke, Then::Nothing);
    }

    // --- effects

    fn carry_out(&mut self, effect: Effect) {
        let Some(process) = self.shell.as_ref().map(|shell| shell.process) else { return };
        match effect {
            Effect::Reply { ticket, reply } => self.replied(ticket, &reply),
            Effect::Poll { source, cursor } => {
                let takes = self.pause(2_000, 90_000);
                if let Some(shell) = &mut self.shell {
                    let fresh = shell.polls.insert(source.clone());
                    assert!(fresh, "effects: `{source}` is polled twice at a time");
                }
                self.after(takes, Happening::Polled(process, source, cursor));
            }
            Effect::Evaluate { build, job } => {
                if let Some(shell) = &mut self.shell {
                    shell.evaluations.insert(build, job.turn);
                }
                let takes = self.pause(20, 9_000);
                self.after(takes, Happening::Evaluated(process, build, job));
            }
            Effect::Deliver { report } => {
                let known = self.reference.reports.all.get(&report.id).is_some_and(|known| *known == report);
                assert!(known, "outbox: report {} is sent, but nothing durable says so", report.id);
                if !bugs::on(Bug::SentBeforeCommit) {
                    self.queue_delivery(report);
                }
            }
            Effect::WriteLog { log, n, text, .. } => {
                self.master_writes(LogWrite::Part { log, source: Source::Master, n, text });
            }
            Effect::CloseLog { log, .. } => self.master_writes(LogWrite::Close { log }),
            Effect::Dispatch(order) => self.order_dispatch(*order),
            Effect::Interrupt { worker, epoch, command, level, .. } => {
                self.order_interrupt(&worker, epoch, command, level);
            }
            Effect::Resume { worker, epoch, commands } => self.order_resume(&worker, epoch, commands),
            Effect::Forget { worker, epoch, commands } => self.order_forget(&worker, epoch, commands),
            // The worst case: it does not hear that it is to end, and comes back.
            Effect::KillWorker { worker, epoch, .. } | Effect::Disconnect { worker, epoch, .. } => {
                self.order_disconnect(&worker, epoch);
            }
            Effect::ShutDownWorker { worker, epoch } => self.order_shut_down(&worker, epoch),
        }
    }

    fn master_writes(&mut self, write: LogWrite) {
        let Some(process) = self.shell.as_ref().map(|shell| shell.process) else { return };
        if let Err(why) = self.disk.write(Source::Master, write) {
            panic!("logs: {why}");
        }
        let takes = self.pause(40, 30_000);
        self.after(takes, Happening::LogSynced(process, Source::Master));
    }

    fn queue_delivery(&mut self, report: Report) {
        let takes = self.pause(1_500, 40_000);
        self.reference.reports.handed_out(&report);
        let Some(shell) = &mut self.shell else { return };
        assert!(shell.deliveries.insert(report.id), "effects: report {} is handed out twice at a time", report.id);
        let process = shell.process;
        self.after(takes, Happening::Delivered(process, Box::new(report)));
    }

    /// The mail server was asked to take a report.
    pub fn delivered(&mut self, process: u64, report: Report) {
        if !self.is_process(process) {
            return;
        }
        let id = report.id;
        let fails = self.chaos && self.rng.chance(20);
        let heard = self.chaos && self.rng.chance(25);
        if !fails || heard {
            let durable = self.reference.reports.all.get(&id).is_some_and(|known| *known == report);
            assert!(durable, "outbox: report {id} arrived, but nothing durable says so");
            let before = self.mail.insert(id.0, report.clone());
            if let Some(before) = before {
                self.saw("report sent twice with one id");
                assert!(before == report, "outbox: two reports have the id {id}");
            }
        }
        if let Some(shell) = &mut self.shell {
            shell.deliveries.remove(&id);
        }
        let input = if fails {
            self.saw("delivery failed");
            let in_vain = self.rng.chance(50);
            let pause = id.0.is_multiple_of(10).then(|| Span::from_minutes(20));
            Input::ReportFailed { report: id, error: "refused".into(), final_: in_vain, pause }
        } else {
            self.saw("delivered");
            Input::ReportSent {
                report: id,
                remarks: if self.rng.chance(4) { vec!["somebody was left out".to_owned()] } else { Vec::new() },
            }
        };
        let input = Box::new(input);
        if self.chaos && self.rng.chance(4) {
            self.saw("doubled input");
            self.after(1, Happening::Told(process, input.clone(), Then::Nothing));
        }
        self.after(0, Happening::Told(process, input, Then::Nothing));
    }

    /// A poll looks at the repository.
    pub fn polled(&mut self, process: u64, source: String, cursor: Option<Cursor>) {
        if !self.is_process(process) {
            return;
        }
        if let Some(shell) = &mut self.shell {
            shell.polls.remove(&source);
        }
        let report = if self.chaos && self.rng.chance(20) {
            self.saw("poll failed");
            Err("no route to host".to_owned())
        } else {
            let report = self.look_at_repository(cursor.as_ref());
            if !report.changes.is_empty() {
                self.saw("poll found changes");
            }
            Ok(report)
        };
        self.turn(Input::Polled { source, report }, Then::Nothing);
    }

    fn look_at_repository(&self, cursor: Option<&Cursor>) -> PollResult {
        let mut report = PollResult::default();
        for (branch, commits) in &self.commits {
            let tip = commits.last().unwrap();
            report.cursor.insert(branch.clone(), tip.clone());
            let Some(seen) = cursor.and_then(|cursor| cursor.get(branch)) else { continue };
            let at = commits.iter().position(|commit| commit == seen).unwrap();
            report.changes.extend(commits[at + 1..].iter().map(|revision| commit(branch, revision)));
        }
        report
    }

    /// A script was evaluated.
    pub fn evaluated(&mut self, process: u64, build: BuildId, job: &EvalJob) {
        let Some(shell) = self.shell.as_ref().filter(|shell| shell.process == process) else { return };
        let newest = shell.evaluations.get(&build) == Some(&job.turn);
        if newest {
            self.check_context(build, job);
        } else if self.rng.chance(30) {
            // A newer one took its place; its answer was on its way already.
            self.saw("late answer of an evaluation");
        } else {
            return;
        }
        let mut outcome = self.scene.evaluate(job);
        if super::decisions::is_fickle(&self.draft) {
            outcome = self.scene.moods.evaluated(outcome);
        }
        if self.shape.starlark {
            self.saw("Starlark evaluated");
        }
        let input = Input::Evaluated { build, turn: job.turn, outcome };
        if self.chaos && self.rng.chance(3) {
            self.saw("doubled input");
            self.after(2, Happening::Told(process, Box::new(input.clone()), Then::Nothing));
        }
        self.turn(input, Then::Nothing);
    }

    /// A script sees the same in all evaluations of a step, and its journal only grows, also over a restart.
    fn check_context(&mut self, build: BuildId, job: &EvalJob) {
        let Some(shell) = &self.shell else { return };
        let step = shell.engine.state().builds().get(&build).and_then(|build| build.step.as_ref());
        // A job for a step that was stopped may come when the build is in its next one.
        let Some(step) = step.filter(|step| step.index == job.step).map(|step| step.id) else { return };
        let seen = rmp_serde::to_vec(&*job.context).unwrap();
        let before = self.contexts.entry(step.0).or_insert_with(|| seen.clone());
        assert!(*before == seen, "replay: in step {step} of build {build} a script sees another context than before");
        for (key, entry) in &job.journal.0 {
            let known = self.reference.ask_at(build, key);
            assert!(
                known.is_none_or(|known| known.0 == entry.ask || self.reference.step_in_progress(build) != Some(step)),
                "replay: the journal of build {build} has another {key:?} than the facts"
            );
        }
    }
}

/// A commit, as pollers and hooks report it.
pub fn commit(branch: &str, revision: &str) -> NewChange {
    NewChange {
        author: "bob".into(),
        branch: Some(branch.into()),
        revision: Some(revision.into()),
        repository: super::draft::REPOSITORY.into(),
        files: vec!["src/a".into()],
        ..NewChange::default()
    }
}

/// Whether something is the cause of all that follows from this input.
fn cause_of(input: &Input) -> Box<dyn Fn(&Cause) -> bool> {
    match input {
        Input::Started { .. } => Box::new(|cause| *cause == Cause::Recovery),
        Input::Stopping => Box::new(|cause| *cause == Cause::Shutdown),
        Input::Woke => Box::new(|cause| *cause == Cause::Clock),
        Input::PlanLoaded { cause, .. } | Input::PlanRefused { cause, .. } => {
            let want = cause.clone();
            Box::new(move |cause| *cause == want)
        }
        Input::Ordered { by, .. } => {
            let want = Cause::Order(by.clone());
            Box::new(move |cause| *cause == want)
        }
        Input::Polled { .. } => Box::new(|cause| matches!(cause, Cause::Source(id) if id.0 > 0)),
        Input::WorkerConnected { .. }
        | Input::Resumed { .. }
        | Input::Forgotten { .. }
        | Input::WorkerLost { .. }
        | Input::CommandEnded(_) => Box::new(|cause| matches!(cause, Cause::Worker(_))),
        Input::Evaluated { build, .. } => {
            let want = Cause::Script(*build);
            Box::new(move |cause| *cause == want)
        }
        Input::ReportSent { report, .. } | Input::ReportFailed { report, .. } => {
            let want = Cause::Delivery(*report);
            Box::new(move |cause| *cause == want)
        }
    }
}
