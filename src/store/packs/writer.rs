//! Writing a pack.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::index::{Index, Place};
use super::{
    KIND_FACTS, KIND_FILES, KIND_LOGS, KIND_REMOVALS, LogFile, MAGIC, Read, Trailer, Wanted, push_file, push_log,
};
use crate::store::StoreError;
use crate::store::codec::encode;
use crate::store::compression;
use crate::store::directory::{make_dir, sync_dir};
use crate::store::frame;
use crate::store::journal::FactGroup;
use crate::store::removal::Removal;
use crate::store::varint;

/// Facts compressed together: more would compress little better, and reading one costs reading all.
const FACTS_BYTES: usize = 256 << 10;

/// Logs compressed together: reading one costs a fraction of a millisecond.
const LOGS_BYTES: usize = 64 << 10;

/// Writes a pack; it is there when it is finished, or not at all.
#[derive(Debug)]
pub(crate) struct PackWriter {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    end: u64,
    facts: Vec<u8>,
    logs: Vec<u8>,
    /// Logs in the block that is being gathered.
    gathered: Vec<(u64, u64)>,
    places: Vec<Place>,
    trailer: Trailer,
    /// The last fact gathered.
    last: u64,
    tally: Tally,
}

/// What is in a pack, to compare what was meant with what is read.
#[derive(Debug, Default)]
struct Tally {
    facts: crc32fast::Hasher,
    logs: crc32fast::Hasher,
    removals: usize,
    files: usize,
    damage: usize,
}

impl Tally {
    fn facts(&mut self, group: &FactGroup) {
        let mut bytes = Vec::new();
        group.push(&mut bytes);
        self.facts.update(&bytes);
    }

    fn log(&mut self, build: u64, log: u64, text: &[u8]) {
        self.logs.update(&build.to_le_bytes());
        self.logs.update(&log.to_le_bytes());
        self.logs.update(text);
    }

    fn sum(&self) -> (u32, u32, usize, usize, usize) {
        (self.facts.clone().finalize(), self.logs.clone().finalize(), self.removals, self.files, self.damage)
    }
}

impl PackWriter {
    /// Begins the pack of a number.
    pub fn begin(dir: &Path, number: u64) -> Result<Self, StoreError> {
        make_dir(dir)?;
        let path = super::path(dir, number);
        let temporary = path.with_extension("tmp");
        let file = File::create(&temporary).map_err(StoreError::io("write", &temporary))?;
        Ok(Self {
            path,
            temporary,
            file,
            end: 0,
            facts: Vec::new(),
            logs: Vec::new(),
            gathered: Vec::new(),
            places: Vec::new(),
            trailer: Trailer { first: 0, last: 0, build_min: u64::MAX, build_max: 0, index_at: 0, segment: 0 },
            last: 0,
            tally: Tally::default(),
        })
    }

    /// Says which segment of the journal it goes up to.
    pub fn up_to_segment(&mut self, number: u64) {
        self.trailer.segment = number;
    }

    /// Adds facts; they come in order.
    pub fn facts(&mut self, group: &FactGroup) -> Result<(), StoreError> {
        self.tally.facts(group);
        if self.trailer.first == 0 {
            self.trailer.first = group.first;
        }
        self.last = group.last;
        self.trailer.last = group.last;
        group.push(&mut self.facts);
        if self.facts.len() >= FACTS_BYTES { self.write_facts() } else { Ok(()) }
    }

    /// Adds removals.
    pub fn removals(&mut self, entries: &[Removal]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.tally.removals += entries.len();
        let mut payload = vec![KIND_REMOVALS];
        compression::push(&mut payload, &encode(&entries));
        self.write(&payload)
    }

    /// Adds files of long logs that there are.
    pub fn files(&mut self, files: &[LogFile]) -> Result<(), StoreError> {
        if files.is_empty() {
            return Ok(());
        }
        self.tally.files += files.len();
        let mut plain = Vec::new();
        files.iter().for_each(|file| push_file(&mut plain, file));
        let mut payload = vec![KIND_FILES];
        compression::push(&mut payload, &plain);
        self.write(&payload)
    }

    /// Adds the text of a log, as the logs encode it.
    pub fn log(&mut self, build: u64, log: u64, text: &[u8]) -> Result<(), StoreError> {
        self.tally.log(build, log, text);
        push_log(&mut self.logs, build, log, text);
        self.gathered.push((build, log));
        self.trailer.build_min = self.trailer.build_min.min(build);
        self.trailer.build_max = self.trailer.build_max.max(build);
        if self.logs.len() >= LOGS_BYTES { self.write_logs() } else { Ok(()) }
    }

    /// Bytes written so far.
    pub fn size(&self) -> u64 {
        self.end
    }

    /// Ends the pack. When it returns, it is durable and was read back: what it was made from can go.
    pub fn finish(mut self) -> Result<(), StoreError> {
        self.write_facts()?;
        self.write_logs()?;
        self.places.sort_unstable();
        self.trailer.index_at = self.end;
        let mut bytes = Vec::new();
        frame::push(&mut bytes, MAGIC, &Index::encode(&self.places));
        self.trailer.push(&mut bytes);
        self.file.write_all(&bytes).map_err(StoreError::io("write", &self.temporary))?;
        self.file.sync_all().map_err(StoreError::io("sync", &self.temporary))?;
        self.verify()?;
        fs::rename(&self.temporary, &self.path).map_err(StoreError::io("rename", &self.temporary))?;
        self.path.parent().map_or(Ok(()), sync_dir)
    }

    /// Compares what was meant to be in it with what is read.
    fn verify(&self) -> Result<(), StoreError> {
        let mut found = Tally::default();
        super::read(&self.temporary, Wanted::Everything, &mut |read| {
            match read {
                Read::Facts(group) => found.facts(&group),
                Read::Removals(entries) => found.removals += entries.len(),
                Read::Log(build, log, text) => found.log(build, log, &text),
                Read::Files(files) => found.files += files.len(),
                Read::Damage(_) => found.damage += 1,
            }
            Ok(())
        })?;
        if found.sum() == self.tally.sum() {
            return Ok(());
        }
        let what = format!("the new pack `{}`", self.temporary.display());
        Err(StoreError::corrupt(what, "it does not read as it was written"))
    }

    fn write_facts(&mut self) -> Result<(), StoreError> {
        if self.facts.is_empty() {
            return Ok(());
        }
        let mut payload = vec![KIND_FACTS];
        varint::push(&mut payload, self.last);
        payload.extend_from_slice(&compression::compress_thoroughly(&std::mem::take(&mut self.facts)));
        self.write(&payload)
    }

    fn write_logs(&mut self) -> Result<(), StoreError> {
        if self.logs.is_empty() {
            return Ok(());
        }
        let at = self.end;
        self.places.extend(self.gathered.drain(..).map(|(build, log)| (build, log, at)));
        let mut payload = vec![KIND_LOGS];
        payload.extend_from_slice(&compression::compress_thoroughly(&std::mem::take(&mut self.logs)));
        self.write(&payload)
    }

    fn write(&mut self, payload: &[u8]) -> Result<(), StoreError> {
        let mut bytes = Vec::with_capacity(payload.len() + frame::HEAD_BYTES);
        frame::push(&mut bytes, MAGIC, payload);
        self.file.write_all(&bytes).map_err(StoreError::io("write", &self.temporary))?;
        self.end += u64::try_from(bytes.len()).expect("sizes fit 64 bits");
        Ok(())
    }
}
