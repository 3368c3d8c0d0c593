//! The disk of the simulated master: what a crash leaves of it.
//!
//! A model, because the real store works with threads of its own, whose order chance does not command. It keeps bytes: facts
//! are encoded in batches, each behind its length and check sum, and read back from these bytes. A batch is whole or it is
//! not there. Log lines are written behind the engine's back and become durable later; a crash keeps the first part of what
//! each writer had under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::bugs::{self, Bug};
use super::rng::Rng;
use crate::model::{CommandId, Fact, LogId};

/// Length and check sum before each batch.
const HEAD: usize = 8;

/// Who writes to a log: the master itself, or a command.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    Master,
    Command(CommandId),
}

/// A log, as far as it is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptLog {
    pub parts: BTreeMap<Source, Vec<String>>,
    pub closed: bool,
}

/// What is on its way into the logs.
#[derive(Clone, Debug)]
pub enum LogWrite {
    Part { log: LogId, source: Source, n: u64, text: String },
    Close { log: LogId },
}

impl LogWrite {
    const fn log(&self) -> LogId {
        match self {
            Self::Part { log, .. } | Self::Close { log } => *log,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Disk {
    journal: Vec<u8>,
    /// Snapshots, oldest first: the last fact in each, its bytes and their check sum.
    snapshots: Vec<(u64, Vec<u8>, u32)>,
    pub logs: BTreeMap<LogId, KeptLog>,
    /// What commands and the master write, in order, each on its own.
    under_way: BTreeMap<Source, Vec<LogWrite>>,
}

impl Disk {
    /// The bytes of a batch as they go to the journal.
    fn frame(facts: &[Arc<Fact>]) -> Vec<u8> {
        let payload = rmp_serde::to_vec_named(facts).unwrap();
        let mut frame = u32::try_from(payload.len()).unwrap().to_le_bytes().to_vec();
        frame.extend(crc32fast::hash(&payload).to_le_bytes());
        frame.extend(payload);
        frame
    }

    /// A batch becomes durable.
    pub fn commit(&mut self, facts: &[Arc<Fact>]) {
        if !facts.is_empty() {
            self.journal.extend(Self::frame(facts));
        }
    }

    /// Only the first bytes of a batch reach the disk.
    pub fn tear(&mut self, facts: &[Arc<Fact>], rng: &mut Rng) {
        if bugs::on(Bug::TornBatchTaken) && facts.len() > 1 {
            let some = rng.index(facts.len() - 1) + 1;
            return self.commit(&facts[..some]);
        }
        if !facts.is_empty() {
            let frame = Self::frame(facts);
            let length = rng.index(frame.len());
            self.journal.extend(&frame[..length]);
        }
    }

    /// All facts; what is torn at the end is cut off.
    pub fn facts(&mut self) -> Vec<Fact> {
        let mut facts: Vec<Fact> = Vec::new();
        let mut at = 0;
        while let Some(payload) = self.whole_frame(at) {
            facts.extend(rmp_serde::from_slice::<Vec<Fact>>(payload).unwrap());
            at += HEAD + payload.len();
        }
        self.journal.truncate(at);
        facts
    }

    fn whole_frame(&self, at: usize) -> Option<&[u8]> {
        let head = self.journal.get(at..at + HEAD)?;
        let (length, sum) = head.split_at(4);
        let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
        let payload = self.journal.get(at + HEAD..at + HEAD + length)?;
        (crc32fast::hash(payload).to_le_bytes() == sum).then_some(payload)
    }

    /// Keeps a snapshot, and the one before it.
    pub fn keep_snapshot(&mut self, seq: u64, bytes: Vec<u8>) {
        let sum = crc32fast::hash(&bytes);
        self.snapshots.push((seq, bytes, sum));
        if self.snapshots.len() > 2 {
            self.snapshots.remove(0);
        }
    }

    /// The newest snapshot comes to harm.
    pub fn damage_snapshot(&mut self, rng: &mut Rng) -> bool {
        let Some((_, bytes, _)) = self.snapshots.last_mut() else { return false };
        let at = rng.index(bytes.len());
        bytes[at] ^= 0x55;
        true
    }

    /// The newest whole snapshot.
    pub fn snapshot(&mut self) -> Option<(u64, Vec<u8>)> {
        self.snapshots.retain(|(_, bytes, sum)| crc32fast::hash(bytes) == *sum);
        self.snapshots.last().map(|(seq, bytes, _)| (*seq, bytes.clone()))
    }

    // --- logs

    /// The number of the next part of a source in a log, those under way counted.
    pub fn next_part(&self, log: LogId, source: &Source) -> u64 {
        let kept = self.logs.get(&log).and_then(|log| log.parts.get(source)).map_or(0, Vec::len) as u64;
        let under_way = self.under_way.get(source).into_iter().flatten();
        kept + under_way.filter(|write| matches!(write, LogWrite::Part { log: at, .. } if *at == log)).count() as u64
    }

    /// Takes a write. A part that is there already is left out; one that would leave a gap is refused.
    pub fn write(&mut self, source: Source, write: LogWrite) -> Result<(), String> {
        // A log that is finished takes no more.
        if self.logs.get(&write.log()).is_some_and(|log| log.closed) {
            return Ok(());
        }
        if let LogWrite::Part { log, n, .. } = &write {
            let next = self.next_part(*log, &source);
            if *n < next && !bugs::on(Bug::LogPartDoubledOnResume) {
                return Ok(());
            }
            if *n > next {
                return Err(format!("log {log} lacks part {next} of {source:?}, and got {n}"));
            }
        }
        self.under_way.entry(source).or_default().push(write);
        Ok(())
    }

    /// Whether something of this writer is not durable.
    pub fn is_writing(&self, source: &Source) -> bool {
        self.under_way.contains_key(source)
    }

    /// Everybody who has something under way.
    pub fn writers(&self) -> Vec<Source> {
        self.under_way.keys().cloned().collect()
    }

    /// All that this writer has under way becomes durable.
    pub fn sync(&mut self, source: &Source) {
        for write in self.under_way.remove(source).unwrap_or_default() {
            self.keep(write);
        }
    }

    fn keep(&mut self, write: LogWrite) {
        let log = self.logs.entry(write.log()).or_default();
        match write {
            LogWrite::Part { .. } if log.closed => {}
            LogWrite::Part { source, text, .. } => log.parts.entry(source).or_default().push(text),
            LogWrite::Close { .. } => log.closed = true,
        }
    }

    /// The master dies: of what was under way the first part is there, by chance how much. The master writes each log in
    /// order, but not one log after the other.
    pub fn crash(&mut self, rng: &mut Rng) {
        for (source, writes) in std::mem::take(&mut self.under_way) {
            match source {
                Source::Command(_) => {
                    let kept = rng.index(writes.len() + 1);
                    writes.into_iter().take(kept).for_each(|write| self.keep(write));
                }
                Source::Master => {
                    let logs: BTreeSet<LogId> = writes.iter().map(LogWrite::log).collect();
                    let lost: BTreeSet<LogId> = logs.into_iter().filter(|_| rng.chance(50)).collect();
                    writes.into_iter().filter(|write| !lost.contains(&write.log())).for_each(|write| self.keep(write));
                }
            }
        }
    }
}
