//! The dump: a store as one stream of bytes, whatever database it came from.
//!
//! A line of text with the version, then frames (`frame.rs`) of MessagePack maps with named fields, one [`Item`] each. Facts
//! come in order; the last item says how many there were, so that a cut stream is noticed. Users read of it in
//! `docs/reference/dump-format.md`.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use crate::model::{BuildId, ConfigDigest, ContentDigest, Fact};
use crate::store::StoreError;
use crate::store::codec::{decode, encode};
use crate::store::frame::{self, Magic};
use crate::store::removal::Removal;

const MAGIC: Magic = *b"SwD1";

/// The version that this program writes, and the newest that it reads.
const VERSION: u64 = 1;

/// The first line is this, the version, and a line feed.
const TITLE: &str = "starwright dump ";

/// A first line that is longer is none.
const TITLE_BYTES_MAX: usize = 40;

/// What a dump consists of, in this order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "one value at a time, read and written at once")]
pub(super) enum Item {
    Begin {
        installation: String,
        last_fact: u64,
    },
    Config {
        digest: ConfigDigest,
        bytes: serde_bytes::ByteBuf,
    },
    Snapshot {
        seq: u64,
        bytes: serde_bytes::ByteBuf,
    },
    Fact(Fact),
    Removed(Vec<Removal>),
    /// A whole log that is short.
    ShortLog {
        build: BuildId,
        log: u64,
        bytes: serde_bytes::ByteBuf,
    },
    /// A piece of a file of a log.
    LogFile {
        build: BuildId,
        name: String,
        at: u64,
        bytes: serde_bytes::ByteBuf,
    },
    /// A piece of the content of an artifact.
    Content {
        digest: ContentDigest,
        at: u64,
        bytes: serde_bytes::ByteBuf,
    },
    End(Counts),
}

/// How many items there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub facts: u64,
    pub configs: u64,
    pub log_files: u64,
    pub log_bytes: u64,
    /// Contents of artifacts.
    #[serde(default, skip_serializing_if = "is_none")]
    pub contents: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde wants")]
const fn is_none(count: &u64) -> bool {
    *count == 0
}

/// What went through an export or import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DumpReport {
    /// Facts.
    pub facts: u64,
    /// Facts that the exported store lost.
    pub facts_lost: u64,
    /// Configurations.
    pub configs: u64,
    /// Short logs, and files of long ones.
    pub log_files: u64,
    /// Their bytes.
    pub log_bytes: u64,
    /// Contents of artifacts.
    pub contents: u64,
    /// Places that could not be read, in words. The rest is there.
    pub damage: Vec<String>,
}

impl Counts {
    pub fn report(self, damage: Vec<String>) -> DumpReport {
        let Self { facts, configs, log_files, log_bytes, contents } = self;
        DumpReport { facts, facts_lost: 0, configs, log_files, log_bytes, contents, damage }
    }
}

/// Writes a dump.
pub(super) struct DumpWriter<'a> {
    out: &'a mut dyn Write,
}

impl<'a> DumpWriter<'a> {
    pub fn begin(out: &'a mut dyn Write) -> Result<Self, StoreError> {
        out.write_all(format!("{TITLE}{VERSION}\n").as_bytes()).map_err(failed("write"))?;
        Ok(Self { out })
    }

    pub fn put(&mut self, item: &Item) -> Result<(), StoreError> {
        let mut bytes = Vec::new();
        frame::push(&mut bytes, MAGIC, &encode(item));
        self.out.write_all(&bytes).map_err(failed("write"))
    }

    pub fn end(self, counts: Counts) -> Result<(), StoreError> {
        let mut this = self;
        this.put(&Item::End(counts))?;
        this.out.flush().map_err(failed("write"))
    }
}

/// Reads a dump.
pub(super) struct DumpReader<'a> {
    input: &'a mut dyn Read,
    at: u64,
}

impl<'a> DumpReader<'a> {
    pub fn begin(input: &'a mut dyn Read) -> Result<Self, StoreError> {
        let no_dump = || wrong(format!("it does not begin with `{TITLE}{VERSION}`"));
        let found: u64 = first_line(input)?
            .and_then(|line| line.strip_prefix(TITLE)?.parse().ok())
            .filter(|version| *version > 0)
            .ok_or_else(no_dump)?;
        if found > VERSION {
            return Err(StoreError::NewerDump { found, known: VERSION });
        }
        Ok(Self { input, at: 0 })
    }

    pub fn next(&mut self) -> Result<Item, StoreError> {
        let at = self.at;
        let cut = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => wrong(format!("it ends in the middle of item {at}")),
            _ => failed("read")(error),
        };
        let mut bytes = vec![0; frame::HEAD_BYTES];
        self.input.read_exact(&mut bytes).map_err(cut)?;
        let length = frame::payload_bytes(&bytes, MAGIC).ok_or_else(|| wrong(format!("item {at} is damaged")))?;
        bytes.resize(frame::HEAD_BYTES + length, 0);
        self.input.read_exact(&mut bytes[frame::HEAD_BYTES..]).map_err(cut)?;
        let payload = frame::payload(&bytes, MAGIC).ok_or_else(|| wrong(format!("item {at} is damaged")))?;
        self.at += 1;
        decode(payload, &format!("item {at} of the dump"))
    }
}

/// The first line without its end; none if there is no line of a dump's length.
fn first_line(input: &mut dyn Read) -> Result<Option<String>, StoreError> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() < TITLE_BYTES_MAX {
        if input.read(&mut byte).map_err(failed("read"))? == 0 {
            return Ok(None);
        }
        if byte == *b"\n" {
            return Ok(String::from_utf8(line).ok());
        }
        line.extend(byte);
    }
    Ok(None)
}

/// Something that a dump should not have.
pub(super) fn wrong(why: impl Into<String>) -> StoreError {
    StoreError::Dump { why: why.into() }
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> StoreError {
    StoreError::io(action, std::path::Path::new("the dump"))
}
