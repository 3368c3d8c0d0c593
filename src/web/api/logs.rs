//! `logs`, their lines as `contents`, and whole logs as text (`raw`, `raw_inline`);
//! docs/reference/rest-api-v2.md#logs.
//!
//! Invariant: however long a log is, only a slice of it is in memory.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use warp::http::header::{self, HeaderValue};
use warp::reply::Response;

use super::cell::{Cell, Writer};
use super::error::ApiError;
use super::kind::{Column, Kind, Resource, Type, fields, is, plain};
use super::query::{Query, Shape};
use super::read_request::{ReadRequest, ReadResponse, ReadResult};
use crate::model::{LogId, LogKind, LogRecord};
use crate::store::{LogLine, LogReader, StoreError};
use crate::web::respond::{HTML, TEXT, set, set_text, stream};
use crate::web::sync_stream::SyncStream;

const COLUMNS: &[Column<LogRecord>] = &[
    is("logid", Type::Int, |log, _| Cell::number(log.id.0)),
    is("name", Type::Text, |log, _| Cell::from(log.name.as_str())),
    is("slug", Type::Ident, |log, _| Cell::from(log.slug.as_str())),
    is("stepid", Type::Int, |log, _| Cell::number(log.step.0)),
    is("complete", Type::Bool, |log, _| log.complete.into()),
    is("num_lines", Type::Int, |log, _| Cell::number(log.lines)),
    is("type", Type::Ident, |log, _| Cell::from(log.kind.letter().to_string())),
];

pub static LOG: Kind =
    Kind { name: "log", plural: "logs", fields: &fields::<_, { COLUMNS.len() }>(COLUMNS), paged: false };

pub static LOG_CHUNK: Kind = Kind {
    name: "logchunk",
    plural: "logchunks",
    fields: &[plain("logid", Type::Int), plain("firstline", Type::Int), plain("content", Type::Text)],
    paged: false,
};

/// Lines that are read at once: typically about 256 KiB.
const SLICE: u64 = 2_000;

/// An HTML log comes from a build, so anybody may have written it: it may not run scripts, send forms or load anything.
pub const SANDBOX: HeaderValue =
    HeaderValue::from_static("sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:");

impl Resource for LogRecord {
    const KIND: &'static Kind = &LOG;
    const COLUMNS: &'static [Column<Self>] = COLUMNS;
}

pub fn of_step(read: &mut ReadRequest<'_>) -> ReadResult {
    let logs = match read.step()? {
        Some(step) => read.store.logs_of_step(step.id)?,
        None => Vec::new(),
    };
    // While a log grows, only the log itself knows its length.
    let logs = logs.into_iter().map(|log| if log.complete { Ok(Some(log)) } else { read.store.log(log.id) });
    let logs: Vec<Option<LogRecord>> = logs.collect::<Result<_, _>>()?;
    read.list(logs.into_iter().flatten().collect())
}

pub fn one(read: &mut ReadRequest<'_>) -> ReadResult {
    let log = read.log()?;
    read.one(log)
}

/// The lines of a log.
pub fn contents(read: &mut ReadRequest<'_>) -> ReadResult {
    let query = Query::parse(&LOG_CHUNK, Shape::One, read.pairs)?;
    let (offset, limit) = (read.signed("offset")?, read.signed("limit")?);
    let log = read.log()?.ok_or_else(|| read.missing())?;
    let lines = if log.kind == LogKind::Deleted { 0 } else { log.lines };
    let first = u64::try_from(offset.unwrap_or(0)).map_err(|_| read.missing())?;
    let wanted = match limit {
        None if first >= lines && lines > 0 => return Err(read.missing()),
        None => u64::MAX,
        Some(limit) => u64::try_from(limit).ok().filter(|limit| *limit > 0).ok_or_else(|| read.missing())?,
    };
    let count = wanted.min(lines.saturating_sub(first));
    write_chunk(read, &query, &log, first, count)
}

fn write_chunk(read: &mut ReadRequest<'_>, query: &Query, log: &LogRecord, first: u64, count: u64) -> ReadResult {
    let mut writer = Writer::new(read.layout);
    writer.open('{');
    writer.key(true, LOG_CHUNK.plural);
    writer.open('[');
    writer.item(true);
    writer.open('{');
    for (at, field) in query.fields.iter().enumerate() {
        writer.key(at == 0, field.name);
        match field.name {
            "firstline" => writer.cell(&Cell::number(first)),
            "logid" => writer.cell(&Cell::number(log.id.0)),
            _ => write_lines(read, &mut writer, log, first, count)?,
        }
    }
    writer.close('}', query.fields.is_empty());
    writer.close(']', false);
    writer.key(false, "meta");
    writer.open('{');
    writer.close('}', true);
    writer.close('}', false);
    Ok(ReadResponse { text: writer.out, kind: read.kind() })
}

fn write_lines(
    read: &mut ReadRequest<'_>,
    writer: &mut Writer,
    log: &LogRecord,
    first: u64,
    count: u64,
) -> Result<(), ApiError> {
    let logs = read.store.logs();
    let end = first.saturating_add(count);
    let mut at = first;
    writer.out.push('"');
    while at < end {
        let lines = logs.read(log.build, log.id, at, SLICE.min(end - at))?;
        if lines.is_empty() {
            break;
        }
        for line in &lines {
            if log.kind == LogKind::Stdio {
                writer.out.push(line.stream);
            }
            writer.letters(&String::from_utf8_lossy(&line.text));
            writer.letters("\n");
        }
        at += lines.len() as u64;
        read.output.offer(&mut writer.out)?;
    }
    writer.out.push('"');
    Ok(())
}

/// A whole log, ready to be sent.
#[derive(Debug)]
pub struct RawLog {
    logs: Arc<dyn LogReader>,
    log: LogRecord,
    heading: String,
    file_name: Option<String>,
}

/// Finds a log for `raw` and `raw_inline`.
pub fn raw(read: &ReadRequest<'_>, inline: bool) -> Result<RawLog, ApiError> {
    Query::parse(&LOG_CHUNK, Shape::One, read.pairs)?;
    let log = read.log()?.ok_or_else(|| read.missing())?;
    let step = read.store.step(log.step)?.ok_or_else(|| read.missing())?;
    let build = read.store.build(log.build)?.ok_or_else(|| read.missing())?;
    let builder = read.store.builder(build.builder)?.map(|builder| builder.name).unwrap_or_default();
    let worker = read.store.workers()?.into_iter().find(|worker| worker.id == build.worker);
    let worker = worker.map(|worker| worker.name).unwrap_or_default();
    let heading = if log.kind == LogKind::Stdio {
        format!("Builder: {builder}\nBuild number: {}\nWorker name: {worker}\n", build.number)
    } else {
        String::new()
    };
    let file_name = format!("{builder}_build_{}_step_{}_log_{}", build.number, step.name, log.slug);
    Ok(RawLog { logs: read.store.logs(), log, heading, file_name: (!inline).then_some(file_name) })
}

impl RawLog {
    /// The answer, read in slices as the client consumes it.
    pub fn respond(self) -> Response {
        let html = self.log.kind == LogKind::Html;
        let file_name = self.file_name.clone();
        let mut response = stream(if html { HTML } else { TEXT }, self.pieces());
        if let Some(name) = file_name {
            set_text(&mut response, header::CONTENT_DISPOSITION, &disposition(&name));
        }
        if html {
            set(&mut response, header::CONTENT_SECURITY_POLICY, SANDBOX);
        }
        response
    }

    fn pieces(self) -> impl Stream<Item = Result<Bytes, StoreError>> + Send + Sync + 'static {
        let lines = if self.log.kind == LogKind::Deleted { 0 } else { self.log.lines };
        let state = Arc::new((self.logs, self.log));
        let heading = futures_util::stream::iter((!self.heading.is_empty()).then(|| Ok(self.heading.into())));
        let slices = futures_util::stream::unfold(0, move |at| {
            let state = Arc::clone(&state);
            async move {
                if at >= lines {
                    return None;
                }
                let reading = tokio::task::spawn_blocking(move || {
                    state.0.read(state.1.build, state.1.id, at, SLICE.min(lines - at))
                });
                match reading.await.ok()? {
                    Ok(slice) if slice.is_empty() => None,
                    Ok(slice) => {
                        let next = at + slice.len() as u64;
                        Some((Ok(join(&slice)), next))
                    }
                    Err(error) => Some((Err(error), lines)),
                }
            }
        });
        SyncStream::new(futures_util::StreamExt::chain(heading, slices))
    }
}

fn join(lines: &[LogLine]) -> Bytes {
    let mut text = Vec::with_capacity(lines.iter().map(|line| line.text.len() + 1).sum());
    for line in lines {
        text.extend_from_slice(&line.text);
        text.push(b'\n');
    }
    text.into()
}

/// The name unchanged if a header can hold it; otherwise encoded as in RFC 6266.
pub fn disposition(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if plain {
        return format!("attachment; filename={name}");
    }
    let safe: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '_' }).collect();
    format!("attachment; filename={safe}; filename*=UTF-8''{}", crate::web::request::encode(name))
}

impl ReadRequest<'_> {
    /// The log that the path names: by id, or by slug in its step. With the present number of lines.
    fn log(&self) -> Result<Option<LogRecord>, ApiError> {
        if self.has("logid") {
            return Ok(self.store.log(LogId(self.number("logid")?))?);
        }
        let slug = self.text("log_slug");
        let Some(step) = self.step()? else { return Ok(None) };
        match self.store.logs_of_step(step.id)?.into_iter().find(|log| log.slug == slug) {
            Some(log) => Ok(self.store.log(log.id)?),
            None => Ok(None),
        }
    }

    /// The first value of a parameter that is a number.
    fn signed(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let value = self.pairs.iter().find(|(key, _)| key == name);
        value.map(|(_, text)| text.trim().parse().map_err(|_| ApiError::bad(format!("invalid {name}")))).transpose()
    }
}

/// `logchunks` is listed among the top collections, but lines can be read only through their log.
pub fn nowhere(read: &mut ReadRequest<'_>) -> ReadResult {
    Err(read.missing())
}
