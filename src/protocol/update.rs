//! What a running command reports (docs/reference/worker-protocol.md#updates).

use bytes::Bytes;
use rmpv::Value;

use super::fields::{Fields, MapWriter, array, bytes, int, natural, number, text, texts};

/// One `[name, value]` pair of an `update`.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// Lines of the command's own streams.
    Stream { stream: StdStream, lines: Lines },
    /// Lines of a watched log file.
    Log { log: String, lines: Lines },
    /// Exit code of a process, or error number of a file command.
    Rc(i64),
    /// Seconds.
    Elapsed(f64),
    /// Why the worker itself decided to kill.
    FailureReason(String),
    /// Names or paths.
    Files(Vec<String>),
    /// The ten numbers of a path.
    Stat(Vec<u64>),
    /// Ours: a part of a log, byte for byte.
    Chunk(LogChunk),
    /// An unknown name, or a known one with an unexpected value.
    Unknown { name: String, value: Value },
}

/// The three streams of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StdStream {
    Stdout,
    Stderr,
    /// Messages of the worker itself.
    Header,
}

/// Whole lines, each ended by a newline, and when each began (seconds since the epoch by the worker's clock; there may
/// be fewer times than lines). The positions of the newlines are sent as well, but are redundant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lines {
    pub text: String,
    pub times: Vec<f64>,
}

/// Whole lines as bytes (the last may lack its newline), one time in milliseconds per line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// `stdio` for the command's own streams, else the log file's name.
    pub log: String,
    pub stream: StdStream,
    pub data: Bytes,
    pub times: Vec<i64>,
}

impl StdStream {
    const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
            Self::Header => "header",
        }
    }

    /// `o`, `e` or `h`.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::Stdout => 'o',
            Self::Stderr => 'e',
            Self::Header => 'h',
        }
    }

    /// The stream of a letter.
    #[must_use]
    pub fn from_letter(letter: &str) -> Option<Self> {
        match letter {
            "o" => Some(Self::Stdout),
            "e" => Some(Self::Stderr),
            "h" => Some(Self::Header),
            _ => None,
        }
    }
}

impl Update {
    /// Reads the pairs of an `update`. Anything else is skipped.
    pub(super) fn read_all(args: &Value) -> Option<Vec<Self>> {
        Some(args.as_array()?.iter().filter_map(Self::read).collect())
    }

    fn read(pair: &Value) -> Option<Self> {
        let [name, value] = pair.as_array()?.as_slice() else { return None };
        let name = text(name)?;
        let known = match name {
            "stdout" => Lines::read(value).map(|lines| Self::Stream { stream: StdStream::Stdout, lines }),
            "stderr" => Lines::read(value).map(|lines| Self::Stream { stream: StdStream::Stderr, lines }),
            "header" => Lines::read(value).map(|lines| Self::Stream { stream: StdStream::Header, lines }),
            "log" => read_log(value),
            "rc" => int(value).map(Self::Rc),
            "elapsed" => number(value).map(Self::Elapsed),
            "failure_reason" => text(value).map(|reason| Self::FailureReason(reason.to_owned())),
            "files" => texts(value).map(Self::Files),
            "stat" => read_stat(value).map(Self::Stat),
            "x_log" => LogChunk::read(value).map(Self::Chunk),
            _ => None,
        };
        Some(known.unwrap_or_else(|| Self::Unknown { name: name.to_owned(), value: value.clone() }))
    }

    pub(super) fn write(&self) -> Value {
        let (name, value) = match self {
            Self::Stream { stream, lines } => (stream.name(), lines.write()),
            Self::Log { log, lines } => ("log", Value::Array(vec![log.as_str().into(), lines.write()])),
            Self::Rc(code) => ("rc", (*code).into()),
            Self::Elapsed(seconds) => ("elapsed", Value::F64(*seconds)),
            Self::FailureReason(reason) => ("failure_reason", reason.as_str().into()),
            Self::Files(names) => ("files", array(names.iter().map(String::as_str))),
            Self::Stat(numbers) => ("stat", array(numbers.iter().copied())),
            Self::Chunk(chunk) => ("x_log", chunk.write()),
            Self::Unknown { name, value } => (name.as_str(), value.clone()),
        };
        Value::Array(vec![name.into(), value])
    }
}

impl Lines {
    fn read(value: &Value) -> Option<Self> {
        let parts = value.as_array()?;
        let times = parts.get(2).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Some(Self { text: text(parts.first()?)?.to_owned(), times: times.iter().filter_map(number).collect() })
    }

    fn write(&self) -> Value {
        let newlines = self.text.chars().enumerate().filter(|(_, letter)| *letter == '\n').map(|(at, _)| at as u64);
        let times = self.times.iter().copied().map(Value::F64);
        Value::Array(vec![self.text.as_str().into(), array(newlines), array(times)])
    }
}

impl LogChunk {
    fn read(value: &Value) -> Option<Self> {
        let fields = Fields::of(value)?;
        Some(Self {
            log: text(fields.get("log")?)?.to_owned(),
            stream: StdStream::from_letter(text(fields.get("stream")?)?)?,
            data: bytes(fields.get("data")?)?,
            times: fields.get("times")?.as_array()?.iter().filter_map(int).collect(),
        })
    }

    fn write(&self) -> Value {
        let mut out = MapWriter::default();
        out.put("log", self.log.as_str())
            .put("stream", self.stream.letter().to_string())
            .put("data", self.data.to_vec())
            .put("times", array(self.times.iter().copied()));
        out.end()
    }
}

fn read_log(value: &Value) -> Option<Update> {
    let [log, lines] = value.as_array()?.as_slice() else { return None };
    Some(Update::Log { log: text(log)?.to_owned(), lines: Lines::read(lines)? })
}

/// Sizes, inodes and times. A time before 1970 counts as 0.
fn read_stat(value: &Value) -> Option<Vec<u64>> {
    value.as_array()?.iter().map(natural).collect()
}
