//! Requests of a worker to its master (docs/reference/worker-protocol.md#worker-requests).

use bytes::Bytes;
use rmpv::Value;

use super::fields::{FieldError, Fields, MapWriter, bytes, natural, number, text};
use super::message::{Message, Request};
use super::report::CommandReport;
use super::update::Update;
use crate::model::CommandId;

/// A message from worker to master.
pub type WorkerMessage = Message<WorkerRequest>;

/// A request of a worker. All but the last two belong to a command.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkerRequest {
    /// What happened, in order. Ours: `n` counts the updates of a command from 0.
    Update {
        command: CommandId,
        n: Option<u64>,
        updates: Vec<Update>,
    },
    /// The last message of a command. A failure means that the worker's own code failed. Ours: the number of updates,
    /// and the structured result.
    Complete {
        command: CommandId,
        n: Option<u64>,
        failure: Option<String>,
        report: Option<Box<CommandReport>>,
    },
    /// Ours: the place of the block in the file.
    UploadFileWrite {
        command: CommandId,
        offset: Option<u64>,
        data: Bytes,
    },
    UploadFileClose {
        command: CommandId,
    },
    /// Seconds since the epoch; none if the file does not exist.
    UploadFileTimes {
        command: CommandId,
        accessed: Option<f64>,
        modified: Option<f64>,
    },
    /// The response must be bin; an empty one ends the file (docs/reference/worker-protocol.md#transfers).
    /// Ours: the place of the block in the file.
    ReadFile {
        command: CommandId,
        offset: Option<u64>,
        length: u64,
    },
    ReadFileClose {
        command: CommandId,
    },
    /// Ours: the place of the block in the archive.
    UploadDirectoryWrite {
        command: CommandId,
        offset: Option<u64>,
        data: Bytes,
    },
    UploadDirectoryUnpack {
        command: CommandId,
    },
    /// An unknown operation. The response is a failure.
    Unknown {
        op: String,
    },
    /// A known operation with wrong keys. The response is a failure.
    Malformed {
        op: String,
        why: FieldError,
    },
}

impl Request for WorkerRequest {
    fn read(op: &str, message: &Value) -> Result<Self, FieldError> {
        let fields = Fields::of(message).unwrap_or(Fields::new(&[]));
        let command = || fields.text("command_id").map(CommandId);
        let data = || fields.need("args", "a bin", bytes);
        let offset = || fields.optional("x_offset", "an int", natural);
        Ok(match op {
            "update" => Self::Update {
                command: command()?,
                n: fields.optional("x_n", "an int", natural)?,
                updates: fields.need("args", "an array", Update::read_all)?,
            },
            "complete" => Self::Complete {
                command: command()?,
                n: fields.optional("x_n", "an int", natural)?,
                failure: fields.get("args").and_then(read_failure),
                report: match fields.get("x_result") {
                    Some(report) => Some(Box::new(CommandReport::read(report)?)),
                    None => None,
                },
            },
            "update_upload_file_write" => {
                Self::UploadFileWrite { command: command()?, offset: offset()?, data: data()? }
            }
            "update_upload_file_close" => Self::UploadFileClose { command: command()? },
            "update_upload_file_utime" => Self::UploadFileTimes {
                command: command()?,
                accessed: fields.optional("access_time", "a number", number)?,
                modified: fields.optional("modified_time", "a number", number)?,
            },
            "update_read_file" => {
                let length = fields.need("length", "an int", natural)?;
                Self::ReadFile { command: command()?, offset: offset()?, length }
            }
            "update_read_file_close" => Self::ReadFileClose { command: command()? },
            "update_upload_directory_write" => {
                Self::UploadDirectoryWrite { command: command()?, offset: offset()?, data: data()? }
            }
            "update_upload_directory_unpack" => Self::UploadDirectoryUnpack { command: command()? },
            _ => Self::Unknown { op: op.to_owned() },
        })
    }

    fn malformed(op: &str, why: FieldError) -> Self {
        Self::Malformed { op: op.to_owned(), why }
    }

    fn write(&self) -> (&str, Vec<(Value, Value)>) {
        let mut out = MapWriter::default();
        let op = self.op();
        match self {
            Self::Update { updates, .. } => {
                out.put("args", Value::Array(updates.iter().map(Update::write).collect()));
            }
            Self::Complete { failure, .. } => {
                out.put_or_nil("args", failure.as_deref());
            }
            Self::UploadFileWrite { data, offset, .. } | Self::UploadDirectoryWrite { data, offset, .. } => {
                out.put("args", data.to_vec()).put_some("x_offset", *offset);
            }
            Self::UploadFileTimes { accessed, modified, .. } => {
                out.put_or_nil("access_time", accessed.map(Value::F64))
                    .put_or_nil("modified_time", modified.map(Value::F64));
            }
            Self::ReadFile { length, offset, .. } => {
                out.put("length", *length).put_some("x_offset", *offset);
            }
            Self::UploadFileClose { .. }
            | Self::ReadFileClose { .. }
            | Self::UploadDirectoryUnpack { .. }
            | Self::Unknown { .. }
            | Self::Malformed { .. } => {}
        }
        out.put_some("command_id", self.command().map(|id| id.0.as_str()));
        if let Self::Update { n, .. } | Self::Complete { n, .. } = self {
            out.put_some("x_n", *n);
        }
        if let Self::Complete { report: Some(report), .. } = self {
            out.put("x_result", report.write());
        }
        (op, out.entries())
    }
}

impl WorkerRequest {
    /// The command that it belongs to.
    #[must_use]
    pub const fn command(&self) -> Option<&CommandId> {
        match self {
            Self::Update { command, .. }
            | Self::Complete { command, .. }
            | Self::UploadFileWrite { command, .. }
            | Self::UploadFileClose { command }
            | Self::UploadFileTimes { command, .. }
            | Self::ReadFile { command, .. }
            | Self::ReadFileClose { command }
            | Self::UploadDirectoryWrite { command, .. }
            | Self::UploadDirectoryUnpack { command } => Some(command),
            Self::Unknown { .. } | Self::Malformed { .. } => None,
        }
    }

    /// The operation's name.
    #[must_use]
    pub fn op(&self) -> &str {
        match self {
            Self::Update { .. } => "update",
            Self::Complete { .. } => "complete",
            Self::UploadFileWrite { .. } => "update_upload_file_write",
            Self::UploadFileClose { .. } => "update_upload_file_close",
            Self::UploadFileTimes { .. } => "update_upload_file_utime",
            Self::ReadFile { .. } => "update_read_file",
            Self::ReadFileClose { .. } => "update_read_file_close",
            Self::UploadDirectoryWrite { .. } => "update_upload_directory_write",
            Self::UploadDirectoryUnpack { .. } => "update_upload_directory_unpack",
            Self::Unknown { op } | Self::Malformed { op, .. } => op,
        }
    }
}

/// Nil means none; anything else is a failure.
fn read_failure(args: &Value) -> Option<String> {
    match args {
        Value::Nil => None,
        other => Some(text(other).map_or_else(|| other.to_string(), str::to_owned)),
    }
}
