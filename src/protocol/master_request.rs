//! Requests of a master to a worker (docs/reference/worker-protocol.md#master-requests).

use std::collections::BTreeMap;

use rmpv::Value;

use super::args::Args;
use super::caps::Caps;
use super::fields::{FieldError, Fields, MapWriter, map, natural, number, shortest, text};
use super::message::{Message, Request};
use crate::model::{CommandId, StopLevel};

/// A message from master to worker.
pub type MasterMessage = Message<MasterRequest>;

/// A master's request.
#[derive(Clone, Debug, PartialEq)]
pub enum MasterRequest {
    /// For the worker's log.
    Print {
        message: String,
    },
    Keepalive,
    /// Result: [`super::WorkerInfo`].
    GetWorkerInfo {
        offer: Caps,
    },
    SetWorkerSettings(Settings),
    /// Result: nil once it has started (ours: once the order is durable).
    StartCommand {
        command: CommandId,
        name: String,
        builder: Option<String>,
        args: Args,
    },
    /// Result: nil, whether or not there is such a command.
    /// Stock workers know no levels.
    InterruptCommand {
        command: CommandId,
        why: String,
        builder: Option<String>,
        level: Option<StopLevel>,
    },
    /// The worker responds, then exits.
    Shutdown,
    /// Ours: the commands that the master still waits for, and the number of the next part that it expects of each.
    /// Result: [`super::ResumeAnswer`].
    Resume {
        commands: BTreeMap<CommandId, u64>,
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

/// How a worker buffers and cuts output, and which additions are in force (docs/reference/worker-protocol.md#settings).
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// A pattern in Python's syntax. Each match becomes a line end.
    pub newline_re: String,
    /// In characters.
    pub max_line_length: u64,
    /// In seconds.
    pub buffer_timeout: f64,
    pub buffer_size: u64,
    /// The extensions that the master confirms.
    pub caps: Caps,
}

impl Request for MasterRequest {
    fn read(op: &str, message: &Value) -> Result<Self, FieldError> {
        let fields = Fields::of(message).unwrap_or(Fields::new(&[]));
        let command = || fields.text("command_id").map(CommandId);
        let builder = || fields.get("builder_name").and_then(text).map(str::to_owned);
        Ok(match op {
            "print" => Self::Print {
                message: fields
                    .need("message", "a str", |it| Some(text(it).map_or_else(|| it.to_string(), str::to_owned)))?,
            },
            "keepalive" => Self::Keepalive,
            "get_worker_info" => {
                Self::GetWorkerInfo { offer: fields.get("x_caps").map(Caps::read_offer).unwrap_or_default() }
            }
            "set_worker_settings" => {
                Self::SetWorkerSettings(Settings::read(fields.need("args", "a map", Fields::of)?)?)
            }
            "start_command" => Self::StartCommand {
                command: command()?,
                name: fields.text("command_name")?,
                builder: builder(),
                args: Args(fields.need("args", "a map", |args| args.is_map().then(|| args.clone()))?),
            },
            "interrupt_command" => Self::InterruptCommand {
                command: command()?,
                why: fields.text("why")?,
                builder: builder(),
                level: fields.get("x_level").and_then(text).map(read_level),
            },
            "shutdown" => Self::Shutdown,
            "x_resume" => Self::Resume { commands: fields.need("commands", "a map of numbers", read_expected)? },
            _ => Self::Unknown { op: op.to_owned() },
        })
    }

    fn malformed(op: &str, why: FieldError) -> Self {
        Self::Malformed { op: op.to_owned(), why }
    }

    fn write(&self) -> (&str, Vec<(Value, Value)>) {
        let mut out = MapWriter::default();
        let op = match self {
            Self::Print { message } => {
                out.put("message", message.as_str());
                "print"
            }
            Self::Keepalive => "keepalive",
            Self::GetWorkerInfo { offer } => {
                out.put_some("x_caps", (*offer != Caps::default()).then(|| offer.write_offer()));
                "get_worker_info"
            }
            Self::SetWorkerSettings(settings) => {
                out.put("args", settings.write());
                "set_worker_settings"
            }
            Self::StartCommand { command, name, builder, args } => {
                out.put_some("builder_name", builder.as_deref())
                    .put("command_id", command.0.as_str())
                    .put("command_name", name.as_str())
                    .put("args", args.0.clone());
                "start_command"
            }
            Self::InterruptCommand { command, why, builder, level } => {
                out.put_some("builder_name", builder.as_deref())
                    .put("command_id", command.0.as_str())
                    .put("why", why.as_str())
                    .put_some("x_level", level.map(level_word));
                "interrupt_command"
            }
            Self::Shutdown => "shutdown",
            Self::Resume { commands } => {
                out.put("commands", map(commands.iter().map(|(id, next)| (id.0.as_str(), *next))));
                "x_resume"
            }
            Self::Unknown { op } | Self::Malformed { op, .. } => op,
        };
        (op, out.entries())
    }
}

impl Settings {
    fn read(fields: Fields<'_>) -> Result<Self, FieldError> {
        Ok(Self {
            newline_re: fields.text("newline_re")?,
            max_line_length: fields.need("max_line_length", "an int", natural)?,
            buffer_timeout: fields.need("buffer_timeout", "a number", number)?,
            buffer_size: fields.need("buffer_size", "an int", natural)?,
            caps: fields.get("x_caps").map(Caps::read_chosen).unwrap_or_default(),
        })
    }

    fn write(&self) -> Value {
        let mut out = MapWriter::default();
        out.put("newline_re", self.newline_re.as_str())
            .put("max_line_length", self.max_line_length)
            .put("buffer_timeout", shortest(self.buffer_timeout))
            .put("buffer_size", self.buffer_size)
            .put_some("x_caps", self.caps.write_chosen());
        out.end()
    }
}

const KILL: &str = "kill";

const fn level_word(level: StopLevel) -> &'static str {
    match level {
        StopLevel::Interrupt => "interrupt",
        StopLevel::Kill => KILL,
    }
}

/// An unknown word is the milder level.
fn read_level(word: &str) -> StopLevel {
    if word == KILL { StopLevel::Kill } else { StopLevel::Interrupt }
}

fn read_expected(value: &Value) -> Option<BTreeMap<CommandId, u64>> {
    Fields::of(value)?.entries().map(|(id, next)| Some((CommandId(id.to_owned()), natural(next)?))).collect()
}
