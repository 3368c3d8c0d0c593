//! The plan of faults: what is done to whom, and when. It follows from the seed alone.

use std::collections::BTreeMap;
use std::time::Duration;

use super::chance::Chance;
use super::fleet::Fleet;

/// Something that happens to an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    MasterKilled,
    WorkerKilled,
    LinkCut,
    AllLinksCut,
    LinkFrozen,
    MasterFrozen,
    WorkerFrozen,
    MasterTerminated,
    WorkerTerminated,
    ConfigurationReplaced,
    EvaluatorsKilled,
    ProgramReplaced,
}

/// How often each happens, in a hundred.
const SHARES: [(Kind, u64); 11] = [
    (Kind::MasterKilled, 24),
    (Kind::WorkerKilled, 32),
    (Kind::LinkCut, 15),
    (Kind::AllLinksCut, 4),
    (Kind::LinkFrozen, 6),
    (Kind::MasterFrozen, 3),
    (Kind::WorkerFrozen, 3),
    (Kind::MasterTerminated, 5),
    (Kind::WorkerTerminated, 5),
    (Kind::ConfigurationReplaced, 3),
    (Kind::EvaluatorsKilled, 12),
];

/// One in so many processes that were killed is killed again while it starts.
const AGAIN: u64 = 3;

impl Kind {
    /// As the report says it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::MasterKilled => "master killed",
            Self::WorkerKilled => "worker killed",
            Self::LinkCut => "connection cut",
            Self::AllLinksCut => "all connections cut",
            Self::LinkFrozen => "connection frozen, then cut",
            Self::MasterFrozen => "master frozen",
            Self::WorkerFrozen => "worker frozen",
            Self::MasterTerminated => "master ended in order",
            Self::WorkerTerminated => "worker ended in order",
            Self::ConfigurationReplaced => "configuration replaced",
            Self::EvaluatorsKilled => "evaluators killed",
            Self::ProgramReplaced => "program replaced on disk",
        }
    }

    fn draw(chance: &mut Chance) -> Self {
        let mut number = chance.below(SHARES.iter().map(|(_, share)| share).sum());
        for (kind, share) in SHARES {
            if number < share {
                return kind;
            }
            number -= share;
        }
        unreachable!("the shares add up")
    }
}

/// The faults of a run.
pub struct Faults {
    chance: Chance,
    /// How often each happened.
    pub done: BTreeMap<Kind, u64>,
}

impl Faults {
    pub const fn new(seed: u64) -> Self {
        Self { chance: Chance::new(seed), done: BTreeMap::new() }
    }

    /// How many happened.
    pub fn count(&self) -> u64 {
        self.done.values().sum()
    }

    /// Lets some time pass, 0.2 to 2 s; more often a short one, so that a process is also hit before it has found its feet.
    pub fn pause(&mut self) {
        std::thread::sleep(self.chance.time(200, 2000).min(self.chance.time(200, 2000)));
    }

    /// Does the next one.
    pub fn strike(&mut self, fleet: &mut Fleet) {
        let kind = Kind::draw(&mut self.chance);
        let who = usize::try_from(self.chance.below(fleet.workers.len() as u64)).unwrap();
        // How long the victim is away, or frozen. Short ones are the more interesting.
        let away = self.chance.time(0, 300);
        let frozen = self.chance.time(50, 1500);
        self.perform(kind, who, away, frozen, fleet);
        while matches!(kind, Kind::MasterKilled | Kind::WorkerKilled) && self.chance.below(AGAIN) == 0 {
            std::thread::sleep(self.chance.time(10, 500));
            self.perform(kind, who, Duration::ZERO, frozen, fleet);
        }
    }

    /// Puts a new program in place, and kills the master in the middle of its work, so that the next is the new one.
    pub fn upgrade(&mut self, fleet: &mut Fleet) {
        self.note(Kind::ProgramReplaced);
        fleet.replace_program();
        self.perform(Kind::MasterKilled, 0, Duration::ZERO, Duration::ZERO, fleet);
    }

    fn perform(&mut self, kind: Kind, who: usize, away: Duration, frozen: Duration, fleet: &mut Fleet) {
        self.note(kind);
        match kind {
            Kind::MasterKilled => {
                fleet.kill_master();
                std::thread::sleep(away);
                fleet.start_master();
            }
            Kind::MasterTerminated => {
                fleet.terminate_master();
                std::thread::sleep(away);
                fleet.start_master();
            }
            Kind::WorkerKilled => {
                fleet.kill_worker(who);
                std::thread::sleep(away);
                fleet.start_worker(who);
            }
            Kind::WorkerTerminated => {
                fleet.terminate_worker(who);
                std::thread::sleep(away);
                fleet.start_worker(who);
            }
            Kind::LinkCut => fleet.workers[who].proxy.cut(),
            Kind::AllLinksCut => fleet.workers.iter().for_each(|worker| worker.proxy.cut()),
            Kind::LinkFrozen => {
                fleet.workers[who].proxy.freeze(true);
                std::thread::sleep(frozen);
                fleet.workers[who].proxy.cut();
                fleet.workers[who].proxy.freeze(false);
            }
            Kind::MasterFrozen => {
                fleet.freeze_master(true);
                std::thread::sleep(frozen);
                fleet.freeze_master(false);
            }
            Kind::WorkerFrozen => {
                fleet.freeze_worker(who, true);
                std::thread::sleep(frozen);
                fleet.freeze_worker(who, false);
            }
            Kind::EvaluatorsKilled => fleet.kill_evaluators(who),
            Kind::ConfigurationReplaced => fleet.replace_configuration(),
            Kind::ProgramReplaced => fleet.replace_program(),
        }
    }

    fn note(&mut self, kind: Kind) {
        *self.done.entry(kind).or_default() += 1;
    }
}
