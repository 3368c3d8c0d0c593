//! Keys of the database: typed, ordered, each prefixed by the byte of its table.
//!
//! Numbers are big-endian, so that the order of keys is the order of numbers. A byte once given to a
//! table is never given to another: retired tables stay listed with their byte.

use super::backend::KeyRange;
use super::scan::Scan;

/// A kind of key. The number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Table {
    /// Name of a single value: format, installation, counters.
    Meta = 0x01,
    // 0x02 was the tail of facts, of which the journal is the only copy now.
    /// Fact number to the fact of an adopted configuration.
    PlanAdopted = 0x03,
    /// Number of the fact that ended a build to the build and the number of the fact that started it. Trimmed
    /// with each snapshot.
    Ended = 0x04,

    Builder = 0x10,
    BuilderNamed = 0x11,
    Worker = 0x12,
    WorkerNamed = 0x13,
    Scheduler = 0x14,
    SchedulerNamed = 0x15,
    ChangeSource = 0x16,
    ChangeSourceNamed = 0x17,
    Master = 0x18,
    Project = 0x19,
    ProjectNamed = 0x1a,
    Codebase = 0x1b,
    CodebaseNamed = 0x1c,

    Change = 0x20,
    Stamp = 0x21,
    /// Stamp to its newest change.
    ChangeOfStamp = 0x22,

    Buildset = 0x30,
    /// (Parent build, buildset).
    BuildsetOfParent = 0x31,
    Request = 0x32,
    /// (Builder, request).
    RequestOfBuilder = 0x33,
    RequestWaiting = 0x34,

    Build = 0x40,
    /// (Builder, number) to build.
    BuildNumber = 0x41,
    /// (Worker, build).
    BuildOfWorker = 0x42,
    /// (Request, build).
    BuildOfRequest = 0x43,
    /// Running build to the number of the fact that started it.
    BuildRunning = 0x44,
    /// Builder to how many builds it has.
    BuildCount = 0x45,
    /// (Running build, name) to a property that was set since it started.
    BuildProperty = 0x46,
    /// Builder to the bytes of its artifacts.
    ArtifactBytes = 0x47,
    /// (Builder, number) to a build that has artifacts.
    BuildWithArtifacts = 0x48,

    /// (Build, number in the build).
    Step = 0x50,
    /// Step to its (build, number).
    StepPlace = 0x51,
    /// (Step, log).
    Log = 0x52,
    /// Log to its step.
    LogPlace = 0x53,
    /// (Build, name).
    Artifact = 0x54,
    /// (Digest, build, name).
    ArtifactOfDigest = 0x55,

    Outbox = 0x60,
    /// Subject and kind to the alert that follows from facts.
    Alert = 0x61,
    /// Report to why it was given up, or delivered in part; the newest ones.
    Undelivered = 0x62,
    /// Number of the fact that tells of an order to its entry in the audit log; the newest ones.
    Audit = 0x63,

    /// Set of test results, or number, to its record.
    TestSet = 0x90,
    /// (Build, set).
    TestSetOfBuild = 0x91,
    /// Set to its results.
    TestResults = 0x92,
    /// (Builder, part of the index, build) to what became of tests.
    TestHistory = 0x93,
    /// (Builder, name's digest, build) to a number.
    ValueHistory = 0x94,
    /// (Build, name) to a datum.
    BuildDatum = 0x95,

    // 0x70 were the builds whose directory was about to go, which the journal tells now.
    /// Builder to the first build number whose logs were not retired yet.
    LogsKept = 0x71,
}

/// A stored key.
pub(crate) type Key = Vec<u8>;

impl Table {
    /// All of them, for messages.
    pub const ALL: [Self; 50] = [
        Self::Meta,
        Self::PlanAdopted,
        Self::Ended,
        Self::Builder,
        Self::BuilderNamed,
        Self::Worker,
        Self::WorkerNamed,
        Self::Scheduler,
        Self::SchedulerNamed,
        Self::ChangeSource,
        Self::ChangeSourceNamed,
        Self::Master,
        Self::Project,
        Self::ProjectNamed,
        Self::Codebase,
        Self::CodebaseNamed,
        Self::Change,
        Self::Stamp,
        Self::ChangeOfStamp,
        Self::Buildset,
        Self::BuildsetOfParent,
        Self::Request,
        Self::RequestOfBuilder,
        Self::RequestWaiting,
        Self::Build,
        Self::BuildNumber,
        Self::BuildOfWorker,
        Self::BuildOfRequest,
        Self::BuildRunning,
        Self::BuildCount,
        Self::BuildProperty,
        Self::ArtifactBytes,
        Self::BuildWithArtifacts,
        Self::Step,
        Self::StepPlace,
        Self::Log,
        Self::LogPlace,
        Self::Artifact,
        Self::ArtifactOfDigest,
        Self::Outbox,
        Self::Alert,
        Self::Undelivered,
        Self::Audit,
        Self::TestSet,
        Self::TestSetOfBuild,
        Self::TestResults,
        Self::TestHistory,
        Self::ValueHistory,
        Self::BuildDatum,
        Self::LogsKept,
    ];

    /// Its byte.
    pub const fn byte(self) -> u8 {
        self as u8
    }

    /// The key of a number.
    pub fn id(self, id: u64) -> Key {
        let mut key = Vec::with_capacity(9);
        key.push(self.byte());
        key.extend_from_slice(&id.to_be_bytes());
        key
    }

    /// The key of a pair of numbers.
    pub fn pair(self, first: u64, second: u64) -> Key {
        let mut key = Vec::with_capacity(17);
        key.push(self.byte());
        key.extend_from_slice(&first.to_be_bytes());
        key.extend_from_slice(&second.to_be_bytes());
        key
    }

    /// The key of a name that belongs to a number.
    pub fn named(self, first: u64, name: &str) -> Key {
        let mut key = self.id(first);
        key.extend_from_slice(name.as_bytes());
        key
    }

    /// The key of a name.
    pub fn name(self, name: &str) -> Key {
        let mut key = Vec::with_capacity(1 + name.len());
        key.push(self.byte());
        key.extend_from_slice(name.as_bytes());
        key
    }

    /// All keys of the table.
    pub fn all(self) -> KeyRange {
        KeyRange { from: vec![self.byte()], to: vec![self.byte() + 1] }
    }

    /// All names that begin with this text, which does not end with the highest letter.
    pub fn begins(self, text: &str) -> KeyRange {
        let (from, mut to) = (self.name(text), self.name(text));
        if let Some(last) = to.last_mut() {
            *last += 1;
        }
        KeyRange { from, to }
    }

    /// All pairs whose first number is this.
    pub fn under(self, first: u64) -> KeyRange {
        let to = first.checked_add(1).map_or_else(|| vec![self.byte() + 1], |next| self.id(next));
        KeyRange { from: self.id(first), to }
    }

    /// The part of the table that a scan wants.
    pub fn part(self, scan: &Scan) -> KeyRange {
        narrowed(self.all(), scan, |id| self.id(id))
    }

    /// The part of the pairs under `first` that a scan over the second number wants.
    pub fn part_under(self, first: u64, scan: &Scan) -> KeyRange {
        narrowed(self.under(first), scan, |second| self.pair(first, second))
    }
}

fn narrowed(range: KeyRange, scan: &Scan, key: impl Fn(u64) -> Key) -> KeyRange {
    match (scan.after, scan.descending) {
        (None, _) => range,
        (Some(after), true) => KeyRange { from: range.from, to: key(after) },
        (Some(after), false) => {
            let from = after.checked_add(1).map_or_else(|| range.to.clone(), key);
            KeyRange { from, to: range.to }
        }
    }
}

/// The number that a key ends with.
pub(crate) fn last_number(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_their_numbers() {
        let numbers = [0, 1, 255, 256, 65_535, u64::MAX];
        assert!(numbers.windows(2).all(|w| Table::Build.id(w[0]) < Table::Build.id(w[1])));
        assert!(Table::BuildNumber.pair(1, u64::MAX) < Table::BuildNumber.pair(2, 0));
        assert!(Table::Build.all().to <= Table::BuildNumber.all().from);
        assert_eq!(last_number(&Table::BuildNumber.pair(3, 9)), Some(9));
    }

    #[test]
    fn a_scan_starts_after_its_key_in_its_direction() {
        let scan = |after, descending| Scan { after, descending, limit: 1 };
        let up = Table::Build.part(&scan(Some(5), false));
        assert_eq!((up.from, up.to), (Table::Build.id(6), vec![Table::Build.byte() + 1]));
        let down = Table::Build.part(&scan(Some(5), true));
        assert_eq!((down.from, down.to), (vec![Table::Build.byte()], Table::Build.id(5)));
        let end = Table::Build.part(&scan(Some(u64::MAX), false));
        assert!(end.from >= end.to, "nothing follows the last key");
        let under = Table::BuildNumber.part_under(u64::MAX, &scan(None, true));
        assert_eq!(under.to, vec![Table::BuildNumber.byte() + 1]);
    }
}
