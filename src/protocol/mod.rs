//! Messages between master and worker: MessagePack maps over WebSocket (`msgpack_experimental_v7`) with our own
//! additions (prefix `x_`). Converts bytes to values and back; has no sockets and no state.
//! docs/reference/worker-protocol.md describes every message.
//!
//! Reading is tolerant: a number may be an integer or a float, unknown keys are ignored, and an unknown update or
//! operation becomes a value of its own. A message that breaks the rules of the envelope is a [`DecodeError`]. Nothing
//! panics.

mod args;
mod caps;
mod codec;
mod fields;
mod info;
mod master_request;
mod message;
mod report;
mod run_args;
mod update;
mod worker_request;

pub use args::{Args, CommandArgs, ContentArg, EnvEntry, LogFileArg, ProgramArg, ShellArgs};
pub use caps::{Caps, RESUME_VERSION};
pub use codec::{DecodeError, MESSAGE_BYTES_MAX};
pub use info::WorkerInfo;
pub use master_request::{MasterMessage, MasterRequest, Settings};
pub use message::{Answer, Message, Request, Seq};
pub use report::{CommandReport, ReportedEnd, ResumeAnswer, ResumedState};
pub use rmpv::Value as MsgPack;
pub use run_args::RunArgs;
pub use update::{Lines, LogChunk, StdStream, Update};
pub use worker_request::{WorkerMessage, WorkerRequest};
